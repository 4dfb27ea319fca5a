"""Broken engines, each of which the simulation catches."""
