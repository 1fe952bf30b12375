"""Datasets as folders: `part-*.parquet`, `.rejected/`, and a manifest that is written last.

A dataset is complete if and only if its `.manifest.json` exists. `load_dataset`, DuckDB, Spark and pyarrow ignore names that
begin with a dot, so they read the parts only.
"""
