"""Limits say what they cannot be."""

import math
from typing import Any

import pytest

from tidesync.errors import ConfigurationError
from tidesync.transports.service import Limits


@pytest.mark.parametrize(
    "wrong",
    [
        {"body": 0},
        {"body": 1.5},
        {"batch": True},
        {"page": "10"},
        {"depth": 65},
        {"concurrent": -1},
        {"rate": 0},
        {"rate": math.nan},
        {"burst": None},
        {"patience": math.inf},
        {"patience": None},
    ],
)
def test_a_value_that_cannot_be_is_named(wrong: dict[str, Any]) -> None:
    """The message names the limit, so that it is found in a configuration."""
    with pytest.raises(ConfigurationError, match=f"limits: {next(iter(wrong))} is"):
        Limits(**wrong)


def test_the_default_page_is_within_the_largest() -> None:
    """Else a request without $top would ask for more than it may."""
    with pytest.raises(ConfigurationError, match="page_default is 100, and page"):
        Limits(page=50)


def test_any_rate_is_no_rate() -> None:
    """None is the default, and a fraction means one request in several seconds."""
    assert (None, 0.5) == (Limits().rate, Limits(rate=0.5).rate)
