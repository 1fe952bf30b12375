"""The release: responses and expansions -> a dataset of instructions with length demands and answers that meet them."""
