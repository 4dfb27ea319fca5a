"""The engine with one rule broken, for each rule that DESIGN marks as found by running its opposite.

A mutant replaces a few functions while a run lasts. `rule` names it as `RULES` does; a rule may have several.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
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
    "a refusal ends the doubt of news too": "test_a_refusal_ends_the_doubt_about_a_tombstone_that_waited",
    # Not marked, and worth breaking:
    "changed content has a new id": None,
    "a sequence is never reused": None,
    "what changes nothing vanishes": None,
    "dependent operations never overtake": None,
    "a blocker that leaves is noticed": None,
    "only what changed is sent": None,
    "the known version is expected": None,
    "an acknowledgement takes one operation": None,
    "a page and its cursor are one": None,
    "the same page twice changes nothing": None,
    "news does not touch edited records": None,
    "tombstones are pulled": None,
    "a purge drops nothing unsent": None,
}
"""The rules, those that the design marks first. None: mutants here break it. Else: the test that shows it, because it
is about one device and one moment, and no schedule would add to it."""


@attrs.frozen
class Mutant:
    """A broken rule, and a profile in which it shows from a seed on; `replaces` gives what to put where."""

    name: str
    mistake: str
    rule: str
    profile: str
    seed: int
    replaces: Callable[[], Sequence[tuple[object, str, object]]]

    @contextmanager
    def __call__(self) -> Iterator[None]:
        """The rule is broken inside."""
        with ExitStack() as stack:
            for where, name, instead in self.replaces():
                stack.enter_context(patch.object(where, name, instead))
            yield


MUTANTS: dict[str, Mutant] = {}
_Replaces = Callable[[], Sequence[tuple[object, str, object]]]


def mutant(rule: str, seeds: Mapping[str, int]) -> Callable[[_Replaces], _Replaces]:
    """Register a mutant under its function's name, by the profiles that notice it and the seed to begin with."""

    def register(replaces: _Replaces) -> _Replaces:
        name = replaces.__name__.replace("_", "-")
        mistake = (replaces.__doc__ or "").strip()
        for profile, seed in seeds.items():
            key = name if len(seeds) == 1 else f"{name} ({profile})"
            MUTANTS[key] = Mutant(key, mistake, rule, profile, seed, replaces)
        return replaces

    return register
