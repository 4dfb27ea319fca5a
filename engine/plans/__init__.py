"""Push, pull and purge as generators of effects, written once for every driver."""
