"""The command `python -m lengthen.common.dataset`: show a dataset, verify it, seal its shards."""
