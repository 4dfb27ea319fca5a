"""Broken stores: what somebody without the key can read."""
