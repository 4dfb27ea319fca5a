"""Tests of queries: column handles, what they mean, and their text."""
