"""The tests of tidesync."""
