"""The pytest plugin: markers, options, what is tried, and the report."""

from __future__ import annotations


import pytest

from tidesync.conformance.rules import MARKER


def pytest_addoption(parser: pytest.Parser) -> None:
    """Options of the suite."""
    group = parser.getgroup("tidesync conformance")
    group.addoption("--conformance-profile", dest="conformance_profile", default=None)


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker."""
    config.addinivalue_line("markers", f"{MARKER}(id, clause, since, requires, shows): a rule of the suite")
