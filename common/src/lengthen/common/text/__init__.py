"""Measures of a text (words, paragraphs, repetition), and the check that accepts or rejects it."""
