"""The code that all stages use: configuration, tables, dataset store, engines, text measures and text check."""

__version__ = "0.1.0"
