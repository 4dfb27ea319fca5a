"""An offline-first sync engine: local tables that work without a network, and push, pull and purge."""

__version__ = "0.1.0"
