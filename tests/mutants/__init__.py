"""Broken stores, transports and engines: what the conformance suite and the simulation must catch."""
