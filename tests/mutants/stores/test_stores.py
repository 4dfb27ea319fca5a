"""Each broken store is caught by its rule, and the sound store that it is made from is not."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.mutants.registry import Mutant, table, tried
from tests.mutants.stores.all import MUTANTS
from tests.mutants.stores.bases import BASES, counted_steps
from tidesync.conformance import StoreConformance, Verdict, check_store
from tidesync.conformance.rules import rules_of

# The memory store keeps all rules in tests/conformance/test_memory.py.
PAIRS = sorted({(each.base, each.caught_by) for each in MUTANTS.values() if each.base != "memory"})


@pytest.fixture(autouse=True)
def steps() -> Iterator[None]:
    with counted_steps():
        yield


@pytest.mark.parametrize("mutant", MUTANTS.values(), ids=list(MUTANTS))
def test_a_broken_store_is_caught(mutant: Mutant) -> None:
    """The rule says that it is broken, and how: no crash, and nothing that was left out."""
    result = mutant.tried(check_store, StoreConformance)
    assert (Verdict.BROKEN, mutant.caught_by) == (result.verdict, result.rule.name), result.detail
    message = str(result.error)
    assert len(message.split()) >= 4
    assert result.detail.startswith(f"RuleBroken: {message}")


@pytest.mark.parametrize(("base", "rule"), PAIRS, ids=[f"{base}-{rule}" for base, rule in PAIRS])
def test_the_sound_store_keeps_the_rule(base: str, rule: str) -> None:
    """A rule that catches a mutant passes what the mutant was made from."""
    sound = BASES[base]
    result = tried(
        check_store, StoreConformance, sound.made_of(sound.store), rule, sound.options(sound.store)
    )
    assert Verdict.PASSED is result.verdict, result.detail


def test_every_rule_has_a_mutant() -> None:
    """A rule that no mistake breaks shows nothing."""
    caught = {mutant.caught_by for mutant in MUTANTS.values()}
    assert {each.name for each, _ in rules_of(StoreConformance)} == caught


def test_each_mistake_is_said_once_in_a_line() -> None:
    """The documentation lists them."""
    rows = table(MUTANTS.values(), StoreConformance)
    assert len(rows) == len(MUTANTS) == len({mistake for _, mistake, _, _ in rows})
    assert all(15 < len(mistake) < 160 and mistake.endswith(".") for _, mistake, _, _ in rows)
