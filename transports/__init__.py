"""Transports: how operations and records travel to and from the authority."""
