"""Tests of what type checkers infer."""
