"""Tests of the engine: rules, queue and plans."""
