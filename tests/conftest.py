"""Hypothesis profiles: `quick` by default, `ci` where the environment sets CI, `soak` on request.

Choose one with `--hypothesis-profile` or with the environment variable HYPOTHESIS_PROFILE.

Thousands of tests and all modules stay until the end: the collector of cycles never walks them.
"""

import gc
import os

from hypothesis import HealthCheck, settings

settings.register_profile("quick", derandomize=True, deadline=None, max_examples=50)
settings.register_profile("ci", derandomize=True, deadline=None, max_examples=200, print_blob=True)
settings.register_profile(
    "soak",
    derandomize=False,
    deadline=None,
    max_examples=5_000,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE") or ("ci" if os.environ.get("CI") else "quick"))

gc.disable()


def pytest_collection_finish() -> None:
    """What was collected is not garbage: from here on only what tests leave behind is looked through."""
    gc.freeze()
    gc.set_threshold(700, 10, 50)
    gc.enable()
