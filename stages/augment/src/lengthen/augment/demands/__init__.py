"""demands: responses and expansions -> the dataset of instructions with length demands and their answers."""
