"""A user's own policy, tables, store or remote in the simulation: mistakes in them are found, sound ones pass."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.conformance.simulation.parts import (
    LIBRARY,
    REMOTES,
    STORES,
    Tagged,
    another_id,
    answers_nothing,
    authority,
    forgets_deletes,
    merging,
    on_disk,
    overlays,
    remote_with,
    writes_into_it,
)
from tidesync import table
from tidesync.conflicts import Policy, defer, keep_local, keep_remote, merge_fields
from tidesync.conformance.simulation import Report, Scenario, SimulationFailed, replay, simulate
from tidesync.conformance.simulation.command import main
from tidesync.conformance.simulation.scenario import ITEMS, LISTS
from tidesync.contracts.transport import Rejected
from tidesync.errors import ConfigurationError
from tidesync.records import Record
from tidesync.transports.loopback import LoopbackTransport
from tidesync.transports.principal import Principal, conflicts

RUNS = 24
WITHIN = 60
"""Runs in which a mistake must show."""

# ---- what is sound passes


@pytest.mark.parametrize("policy", [None, defer, keep_local, keep_remote, merge_fields("remote"), merging])
def test_a_sound_policy_passes(policy: Policy | None) -> None:
    """Whatever a policy chooses, all agree, and nothing is lost that it did not decide against."""
    report = simulate(Scenario(policy=policy, merges=True if policy is merging else None), RUNS)
    assert (True, RUNS) == (report.raise_for_failures().ok, report.runs)
    assert report.conflicts > RUNS / 2


SOUND: dict[str, dict[str, Any]] = {
    "tables of one's own": {"tables": LIBRARY},
    "tables that are enforced": {"tables": LIBRARY, "foreign_keys": True, "policy": merging, "merges": True},
    "a schema": {"tables": [ITEMS.schema, LISTS.schema]},
    "last write wins": {"tables": [table("note", {"text": str, "size": int}, concurrency="last-write-wins")]},
    "a table that refers to itself": {"tables": [table("node", {"up": str}, references={"up": "node"})]},
    "four devices": {"devices": 4, "records": 4, "batch": 4},
    "a store that two contexts share": {"contexts": 2},
    "nobody deletes": {"deletes": False},
    "an authority": {"make_remote": partial(authority, LISTS, ITEMS, foreign_keys=True)},
    "an authority that forgets ids": {"make_remote": partial(authority, LISTS, ITEMS, remembers=0.0)},
    "versions in no order": {"make_remote": remote_with(Tagged, LISTS, ITEMS)},
    "clients of a remote": {"make_remote": remote_with(LoopbackTransport, LISTS, ITEMS)},
}


@pytest.mark.parametrize("parts", SOUND.values(), ids=list(SOUND))
def test_sound_parts_pass(parts: dict[str, Any]) -> None:
    """Tables of any columns and references, authorities and transports that keep the contract pass."""
    assert simulate(Scenario(**parts), RUNS).raise_for_failures().edits > RUNS


def test_a_store_on_disk_passes() -> None:
    """A durable store is closed and opened again at each kill, and has everything."""
    report = simulate(Scenario(make_store=on_disk), 5).raise_for_failures()
    assert report.kills > 5


def test_a_rule_of_the_remote_passes() -> None:
    """What the remote's rule refuses for good is given up by the user in the end, and loses nothing else."""

    def positive(old: Record | None, new: Record | None, who: Principal) -> Rejected | None:
        place = new.get("place") if new is not None else None
        return Rejected("place", "a place is positive") if isinstance(place, int) and place < 0 else None

    def all_positive(records: Mapping[str, Sequence[Record]]) -> str | None:
        wrong = [row for rows in records.values() for row in rows if (row["place"] or 0) < 0]  # type: ignore[operator]
        return f"{wrong} got through" if wrong else None

    assert simulate(Scenario(before_write=positive, holds=all_positive), RUNS).raise_for_failures().ok


def test_what_the_remote_computes_is_its_own() -> None:
    """A column that the remote sets by itself is not missed, where it is declared as computed."""

    def ours(old: Record | None, new: Record | None, who: Principal) -> Record | None:
        return None if new is None or "title" not in new or conflicts(old, new) else {**new, "title": "OURS"}

    scenario = Scenario(before_write=ours, computed=["list.title"])
    assert simulate(scenario, RUNS).raise_for_failures().ok
    assert "lost write" in {each.kind for each in simulate(Scenario(before_write=ours), RUNS).failures}


# ---- mistakes are found


def found(scenario: Scenario) -> set[str]:
    """How the runs of a scenario fail."""
    return {failure.kind for failure in simulate(scenario, WITHIN, failures=2).failures}


POLICIES: dict[str, tuple[Policy, str]] = {
    "forgets deletes": (forgets_deletes, "crash TypeError"),
    "overlays, and promises to merge": (overlays, "lost write"),
    "keeps one side, and promises to merge": (keep_remote, "lost write"),
    "writes into the conflict": (writes_into_it, "the policy changed the conflict it was shown"),
    "answers nothing": (answers_nothing, "crash UsageError"),
    "merges under another id": (another_id, "crash InvalidRecord"),
}


@pytest.mark.parametrize(("policy", "kind"), POLICIES.values(), ids=list(POLICIES))
def test_a_mistaken_policy_is_found(policy: Policy, kind: str) -> None:
    """A policy that raises, that is no function of what it sees, or does not keep its promise, is found."""
    assert kind in found(Scenario(policy=policy, merges=True))


@pytest.mark.parametrize("make_store", STORES.values(), ids=list(STORES))
def test_a_mistaken_store_is_found(make_store: Any) -> None:
    """A store that loses, keeps or resurrects what it should not is found, and not by a crash."""
    kinds = found(Scenario(make_store=make_store, page=3))
    assert kinds != set()
    assert not any(kind.startswith("crash") for kind in kinds)


@pytest.mark.parametrize("transport", REMOTES.values(), ids=list(REMOTES))
def test_a_mistaken_remote_is_found(transport: type[LoopbackTransport]) -> None:
    """A remote that says otherwise than it does is found, and not by a crash."""
    kinds = found(Scenario(make_remote=remote_with(transport, LISTS, ITEMS)))
    assert kinds != set()
    assert not any(kind.startswith("crash") for kind in kinds)


def test_what_must_hold_is_asked() -> None:
    """A sentence of the user's about the records is asked when all agree."""
    scenario = Scenario(holds=lambda records: "too many items" if len(records["item"]) > 1 else None)
    failure = simulate(scenario, WITHIN).failures[0]
    assert ("does not hold", "too many items") == (failure.kind, failure.detail)


# ---- what it tells


def failing() -> Report:
    """A report with failures."""
    return simulate(
        Scenario(make_remote=remote_with(REMOTES["acknowledges and drops"], LISTS, ITEMS)), WITHIN
    )


def test_the_story_is_short_and_ends_with_the_problem() -> None:
    """The story of a failure is a smaller run that fails in the same way, told to the end."""
    failure = failing().failures[0]
    told = failure.story.splitlines()
    assert len(told) < len(replay(failure.scenario, failure.seed).splitlines())
    assert f"!! {failure.kind}" in failure.story
    assert "scenario, seed" in told[0]


def test_a_failure_is_raised_with_its_story() -> None:
    """An assertion that fails shows what happened."""
    report = failing()
    with pytest.raises(SimulationFailed) as raised:
        _ = report.raise_for_failures()
    assert report is raised.value.report
    assert report.failures[0].story in str(raised.value)


def test_a_seed_is_a_run() -> None:
    """The same scenario and seed tell the same story, also among others."""
    scenario = Scenario(policy=merging)
    assert replay(scenario, 5) == replay(scenario, 5)
    once, later = simulate(scenario, 3, start=4), simulate(scenario, 1, start=5)
    assert later.edits < once.edits


def test_what_does_not_happen_again_is_said_to_be_so() -> None:
    """A failure that another run of its seed does not show is not explained by a run that passes."""
    asked = [0]

    def moody(records: Mapping[str, Sequence[Record]]) -> str | None:
        asked[0] += 1
        return "moody" if asked[0] == 2 else None

    failure = simulate(Scenario(holds=moody), WITHIN).failures[0]
    assert "does not do so again" in failure.story


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"tables": []}, "needs a table"),
        ({"tables": ITEMS}, "tables are a list"),
        ({"devices": 0}, "devices is 0"),
        ({"contexts": 4}, "3 at most"),
        ({"values": {"item.txt": ["a"]}}, "'item.txt' is no column"),
        (
            {"foreign_keys": True, "make_remote": partial(authority, LISTS, ITEMS)},
            "give them to make_remote's",
        ),
    ],
)
def test_what_is_no_scenario_is_refused(options: dict[str, Any], said: str) -> None:
    """A scenario that cannot be a world says what is wrong with it."""
    with pytest.raises(ConfigurationError, match=said):
        _ = Scenario(**options)


def test_values_can_be_given() -> None:
    """Where a column's type says too little, the user says what to fill it with."""
    scenario = Scenario(values={"item.text": ["x", "y"], "list.title": ["z"]})
    told = replay(scenario, 1)
    assert "text=x" in told
    assert "text=a" not in told


SCENARIO = Scenario(name="mine", policy=merging)
BROKEN = Scenario(name="broken", policy=answers_nothing, steps=60)


def test_a_scenario_runs_from_the_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    """`run --scenario module:name` runs it, and the status says whether it failed; `trace` and `shrink` tell a seed."""
    assert 0 == main(["run", "--scenario", f"{__name__}:SCENARIO", "--runs", "5"])
    assert "mine: 5 runs" in capsys.readouterr().out
    assert 1 == main(["run", "--scenario", f"{__name__}:BROKEN", "--runs", str(WITHIN)])
    assert "crash UsageError" in capsys.readouterr().out
    assert 0 == main(["trace", "--scenario", f"{__name__}:SCENARIO", "2"])
    assert replay(SCENARIO, 2) in capsys.readouterr().out


def test_a_run_is_the_same_in_every_process() -> None:
    """Nothing depends on the order of sets, which is another one in every process."""
    script = (
        "import hashlib\nfrom tidesync.conformance.simulation import Scenario, replay\n"
        "told = ''.join(replay(Scenario(devices=3), seed) for seed in range(4))\n"
        "print(hashlib.sha256(told.encode()).hexdigest())"
    )
    told = [
        subprocess.run(
            [sys.executable, "-c", script], check=True, capture_output=True, text=True,
            env={**os.environ, "PYTHONHASHSEED": seed}, cwd=Path(__file__).parent,
        ).stdout
        for seed in ("1", "2")
    ]  # fmt: skip
    assert told[0] == told[1]
