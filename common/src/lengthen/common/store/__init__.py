"""Datasets as folders: `part-*.parquet`, `.rejected/`, and a manifest that is written last.

A dataset is complete if and only if its `.manifest.json` exists. Names with a dot keep everything but the parts from
`load_dataset`, DuckDB, Spark and pyarrow.
"""
