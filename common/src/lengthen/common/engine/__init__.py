"""The engine: where text comes from, behind one small protocol (`protocol.py`)."""
