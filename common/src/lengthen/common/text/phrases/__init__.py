"""Phrases for which a text is rejected: regular expressions in a text file for each kind and language."""
