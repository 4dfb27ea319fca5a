"""Stores and transports that fail on purpose, from a seed."""
