"""Tests of values, ids and declared tables."""
