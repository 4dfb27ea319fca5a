"""The engine with one rule broken, for each rule that DESIGN marks as found by running its opposite.

A mutant replaces a few functions while a run lasts. `rule` names it as `RULES` does; a rule may have several.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from unittest.mock import patch

import attrs

RULES: dict[str, str | None] = {
    "a field named later moves to its column": "test_a_new_column_takes_over_what_was_unknown",
    "an object from an older copy is stale": "test_an_object_from_an_older_copy_is_stale",
    "heads per record": None,
    "revision never reused": None,
    "attempted frozen": None,
    "leaving without being applied": None,
    "after a refusal": None,
    "collapse never breaks order": None,
    "failed always collapses": None,
    "one lease per store": None,
    "applied copy as it is now": None,
    "undeleted alone": None,
    "unknown stays attempted": None,
    "not sent: back to its state": None,
    "echo": None,
    "settling a conflict": None,
    "last write wins with a version": None,
    "news while in doubt is only kept": None,
    "quarantine in the page's transaction": "test_what_cannot_be_stored_goes_to_quarantine_and_the_cursor_moves",
    "overlap from where the pull began": None,
    "the window decides": "test_what_was_delivered_inside_the_window_is_known_by_id_and_version",
    "a pending delete belongs by its base": "test_a_pending_delete_belongs_to_the_query_by_its_base",
    "a reply remembered carries no record": None,
    # Found by this simulation:
    "moved operations are looked at again": None,
    "a departure is remembered until it is dealt with": None,
}
"""The rules that DESIGN marks, in its order. None: mutants here break it. Else: the test that shows it, because it is
about one device and one moment, and no schedule would add to it."""


@attrs.frozen
class Mutant:
    """A broken rule, and a profile in which it shows; `replaces` gives what to put where."""

    name: str
    rule: str
    profile: str
    replaces: Callable[[], Sequence[tuple[object, str, object]]]
    start: int = 0

    @contextmanager
    def __call__(self) -> Iterator[None]:
        """The rule is broken inside."""
        with ExitStack() as stack:
            for where, name, instead in self.replaces():
                stack.enter_context(patch.object(where, name, instead))
            yield


MUTANTS: dict[str, Mutant] = {}
_Replaces = Callable[[], Sequence[tuple[object, str, object]]]


def mutant(rule: str, *profiles: str, start: int = 0) -> Callable[[_Replaces], _Replaces]:
    """Register a mutant under its function's name."""

    def register(replaces: _Replaces) -> _Replaces:
        for profile in profiles:
            name = replaces.__name__.replace("_", "-")
            key = name if len(profiles) == 1 else f"{name} ({profile})"
            MUTANTS[key] = Mutant(key, rule, profile, replaces, start)
        return replaces

    return register
