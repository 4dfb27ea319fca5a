"""Asserts of the support show their values, and hold under `python -O`, like those of the tests."""

import pytest

pytest.register_assert_rewrite("tests.stores.sqlcipher.support")
