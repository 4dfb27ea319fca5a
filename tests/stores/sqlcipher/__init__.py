"""The encrypted store: its keys, its file, and what never is in plain text."""
