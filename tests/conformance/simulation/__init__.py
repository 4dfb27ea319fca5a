"""The simulation: twenty thousand runs, and what a user runs of their own in it."""
