"""Running many worlds, and telling the story of one."""

from __future__ import annotations

import argparse
import importlib
import time
from collections.abc import Iterable, Iterator, Sequence
from multiprocessing import Pool

from tidesync.conformance.simulation.profiles import PROFILES, Profile
from tidesync.conformance.simulation.scenario import Scenario
from tidesync.conformance.simulation.shrink import shrunk
from tidesync.conformance.simulation.simulate import replay, simulate
from tidesync.conformance.simulation.tapes import Tapes, tapes_of
from tidesync.conformance.simulation.world import World

CHUNK = 100
CHECK_EVERY = 16
"""One run in so many checks its system tables after every transaction, not only in the end."""


def play(profile: Profile, tapes: Tapes, *, checking: bool = False) -> dict[str, str]:
    """One run: what went wrong, by kind."""
    return World(profile, tapes, checking=checking).live()


def tell(profile: Profile, tapes: Tapes) -> list[str]:
    """One run, told."""
    story: list[str] = []
    _ = World(profile, tapes, story=story, checking=True).live()
    return story


def smallest(profile: Profile, tapes: Tapes) -> Tapes:
    """A smaller run that fails in the same way; the same run if it does not fail."""
    return shrunk(tapes, lambda each: next(iter(play(profile, each, checking=True)), None))


def many(profile: Profile, seeds: Iterable[int]) -> list[tuple[int, dict[str, str]]]:
    """The seeds that fail, and how."""
    found: list[tuple[int, dict[str, str]]] = []
    for seed in seeds:
        problems = play(
            profile, tapes_of(profile.name, seed, profile.steps), checking=seed % CHECK_EVERY == 0
        )
        if problems:
            found.append((seed, problems))
    return found


def _chunk(work: tuple[str, int, int]) -> tuple[str, int, list[tuple[int, dict[str, str]]]]:
    name, start, end = work
    return name, end - start, many(PROFILES[name], range(start, end))


def _work(names: Sequence[str], runs: int, start: int = 0) -> Iterator[tuple[str, int, int]]:
    each = -(-runs // len(names))
    for begin in range(start, start + each, CHUNK):
        for name in names:
            yield name, begin, min(begin + CHUNK, start + each)


def run(names: Sequence[str], runs: int, jobs: int, start: int = 0, minutes: float | None = None) -> int:
    """Run them all, and print what failed, with the smallest seed of each kind."""
    began, done, failures = time.monotonic(), 0, 0
    found: dict[tuple[str, str], list[int]] = {}
    told = began
    with Pool(jobs) as pool:
        for name, count, failed in pool.imap_unordered(_chunk, _work(names, runs, start)):
            done += count
            for seed, problems in failed:
                failures += 1
                for kind, detail in problems.items():
                    seeds = found.setdefault((name, kind), [])
                    if len(seeds) < 3:
                        print(f"{name} seed {seed}: {kind} {detail}"[:300], flush=True)
                    seeds.append(seed)
            now = time.monotonic()
            if now - told > 60:
                told = now
                print(f"{done} runs, {done / (now - began):.0f} a second, {failures} failed", flush=True)
            if minutes is not None and now - began > minutes * 60:
                pool.terminate()
                break
    spent = time.monotonic() - began
    for (name, kind), seeds in sorted(found.items()):
        print(f"{name}: {kind}: {len(seeds)}, first {min(seeds)}")
    print(
        f"{done} runs of {len(names)} profiles in {spent:.0f} s, {done / spent:.0f} a second; "
        f"{failures} failed; seeds from {start}"
    )
    return 1 if failures else 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns 1 if a run failed."""
    given = _parser().parse_args(arguments)
    if given.command in ("run", "soak"):
        if given.scenario is None:
            return run(given.profile or list(PROFILES), given.runs, given.jobs, given.start, given.minutes)
        report = simulate(given.scenario, given.runs, start=given.start)
        print("\n".join([f"{report}", *(failure.story for failure in report.failures[:1])]))
        return 0 if report.ok else 1
    if given.scenario is not None:
        return _tell_scenario(given.scenario, given.seed, small=given.command == "shrink")
    if given.profile is None:
        print("give a profile and a seed, or --scenario module:name and a seed")
        return 2
    profile = PROFILES[given.profile]
    tapes = tapes_of(profile.name, given.seed, profile.steps)
    if given.command == "shrink":
        tapes = smallest(profile, tapes)
        print(f"# {len(tapes.schedule)} steps, {sum(entry is not None for entry in tapes.workload)} edits")
    print("\n".join(tell(profile, tapes)))
    return 0


def _tell_scenario(scenario: Scenario, seed: int, *, small: bool) -> int:
    failures = simulate(scenario, 1, start=seed).failures
    print(failures[0].story if small and failures else replay(scenario, seed))
    return 1 if failures else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tidesync.conformance.simulation",
        description="Run the engine in worlds full of faults.",
    )
    commands = parser.add_subparsers(dest="command", required=True)
    for name, runs in (("run", 20_000), ("soak", 5_000_000)):
        command = commands.add_parser(name, help=f"{runs} runs, or --runs")
        command.add_argument("--runs", type=int, default=runs)
        command.add_argument("--profile", action="append", choices=sorted(PROFILES))
        command.add_argument("--jobs", type=int, default=2)
        command.add_argument(
            "--start", type=int, default=0, help="the first seed: soaks go on where one ended"
        )
        command.add_argument("--minutes", type=float, default=None)
        command.add_argument("--scenario", type=_scenario, help="module:name of a Scenario of your own")
    for name, what in (("trace", "tell one run"), ("shrink", "tell one run, made small")):
        command = commands.add_parser(name, help=what)
        command.add_argument("profile", nargs="?", choices=sorted(PROFILES))
        command.add_argument("seed", type=int)
        command.add_argument("--scenario", type=_scenario, help="module:name of a Scenario of your own")
    return parser


def _scenario(named: str) -> Scenario:
    """The scenario of that name in that module."""
    module, _, name = named.partition(":")
    try:
        found = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise argparse.ArgumentTypeError(f"{named!r} cannot be imported: {error}") from error
    if not isinstance(found, Scenario):
        raise argparse.ArgumentTypeError(f"{named!r} is {type(found).__name__}, and must be a Scenario")
    return found
