"""`python -m benchmarks [--sizes 10000,100000] [--only PART]`: run and print every figure."""

from __future__ import annotations

import argparse
from collections.abc import Iterator

from benchmarks import aio, encrypted, files, http, local, memory, service, sync
from benchmarks.measure import Result

LINEAR = 1.3
"""Cost per operation at the largest size, at most so many times that at the smallest."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="benchmarks", description=__doc__)
    parser.add_argument("--sizes", default="10000,100000", help="how many records or pending operations")
    parser.add_argument(
        "--only", default="", help="local, encrypted, sync, http, service, asyncio, files or memory"
    )
    arguments = parser.parse_args()
    sizes = [int(size) for size in arguments.sizes.split(",")]
    by_name: dict[str, list[Result]] = {}
    print("  what                                             size    per operation            bare floor")
    for result in _results(sizes, arguments.only):
        print(result.line(), flush=True)
        by_name.setdefault(result.name, []).append(result)
    over = _linearity(by_name)
    if arguments.only in ("", "asyncio"):
        _delays()
    if arguments.only in ("", "files"):
        _log()
    if arguments.only in ("", "memory"):
        over += _memory()
    return 1 if over else 0


def _results(sizes: list[int], only: str) -> Iterator[Result]:
    if only in ("", "local"):
        for declared in (True, False):
            for synchronous in ("full", "normal"):
                for size in sizes:
                    yield from local.single_writes(size, declared=declared, synchronous=synchronous)
        for declared in (True, False):
            for size in sizes:
                yield local.bulk_writes(size, declared=declared)
        for size in sizes:
            yield from local.queries(size)
    if only in ("", "encrypted"):
        yield from encrypted.results(sizes)
    if only in ("", "sync"):
        for declared in (True, False):
            for size in sizes:
                yield sync.page_apply(size, declared=declared)
        for declared in (True, False):
            for size in sizes:
                yield sync.push_drain(size, declared=declared)
        yield sync.push_behind_parked(sizes[0], 10_000)
    parts = {
        "http": http.requests,
        "service": service.results,
        "asyncio": aio.results,
        "files": files.results,
    }
    for part, results in parts.items():
        if only in ("", part):
            yield from results()


def _linearity(by_name: dict[str, list[Result]]) -> int:
    """How the ratio to the floor grows with size: both grow alike where the store itself gets slower."""
    print("\nlinearity: cost per operation at the largest size, over that at the smallest")
    over = 0
    for name, results in by_name.items():
        if len(results) < 2 or results[0].size == results[-1].size:
            continue
        factor = results[-1].cost / results[0].cost
        floor = (results[-1].floor or 1) / (results[0].floor or 1)
        verdict = (
            "" if factor <= LINEAR else f"   above {LINEAR}" + (" as the floor" if floor > LINEAR else "")
        )
        over += factor > LINEAR and floor <= LINEAR
        print(f"  {name:<44} {factor:>5.2f}   floor {floor:>5.2f}{verdict}")
    return over


def _delays() -> None:
    print(f"\nworst delay of a heartbeat on the event loop, median of {aio.RUNS} runs, in milliseconds")
    print(
        f"  {'':<20} nothing to do   pull {aio.PULLED:,}   push {aio.PUSHED:,}   longest pause of the collector"
    )
    for said, frozen in (("as it is", False), ("after gc.freeze()", True)):
        found = aio.heartbeat(frozen=frozen)
        print(
            f"  {said:<20} {found.idle:>13.1f} {found.pull:>13.1f} {found.push:>12.1f} {found.collector:>32.1f}"
        )


def _log() -> None:
    print("\nmemory of a new device that reads a folder of 1,000 records, each commit with its operation ids")
    for count in (10, 1_000, 10_000):
        inside, outside = files.memory(count, file=False), files.memory(count, file=True)
        print(
            f"  in {count:>6,} commits: index in memory {inside:>5.1f} MB, in a SQLite file {outside:>5.1f} MB"
        )


def _memory() -> int:
    small, large = memory.growth(20_000), memory.growth(200_000)
    print(f"\nmemory while pulling: 20,000 records {small:.1f} MB, 200,000 records {large:.1f} MB")
    return large > small + 16


if __name__ == "__main__":
    raise SystemExit(main())
