"""Autosync: its pace by properties, and both drivers, on real but tiny times."""
