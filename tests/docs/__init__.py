"""The documentation tells the truth: its programs run, its links lead somewhere, its names exist."""
