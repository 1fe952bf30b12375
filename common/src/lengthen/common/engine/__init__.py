"""Engines: they generate text, behind one small protocol (`protocol.py`)."""
