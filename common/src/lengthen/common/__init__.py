"""What the five stages share: configuration, tables, the store, the engine, text measures and the check."""

__version__ = "0.1.0"
