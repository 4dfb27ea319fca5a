"""The tidesync command: wiring and printing only."""
