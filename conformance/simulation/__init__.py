"""The engine under a seeded scheduler, a faulty network and users who do not wait: see `world.py`."""
