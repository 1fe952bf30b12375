"""Benchmark prompts: the built-in file, or one of the user's."""
