"""`tidesync remote info|verify|compact TARGET`: a remote that is a folder or a bucket, looked at from outside.

`--json` prints one object. Keys are added in time, and none changes its meaning; none holds what records contain.

* info: `target`; `remote`, its id; `format`; `remembers` in seconds; `snapshot_every`; `commits`, the number of
  the last one; `changes` of all commits; `first` and `last`, the moments of the oldest commit that is there and of
  the newest, or null; `fence`, the commit with whose snapshot the log begins, or 0; `snapshots`, their numbers;
  `files` and `bytes` by folder, and of meta.json; `tables` by name: `live`, `deleted`; `operations`, how many are
  known if they come again.
* verify: `target`, `remote`, `whole`; `commits`, `changes` and `snapshots`, how many are whole; `fence`;
  `damages`, a list of `file` and `reason`; `leftovers`, names of files that do no harm, and that a compaction
  deletes.
* compact: `target`; `fence`, as above; `commits`, `snapshots` and `others`: how many files went; `tombstones`,
  likewise.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import attrs

from tidesync.cli.columns import Cell, columns, plain, size
from tidesync.contracts.store import Store
from tidesync.errors import ConfigurationError, RemoteDamaged
from tidesync.stores.sqlite import SQLiteStore
from tidesync.transports.files import compaction
from tidesync.transports.files import verify as verification
from tidesync.transports.files.info import Info
from tidesync.transports.files.info import info as figures
from tidesync.transports.files.names import META
from tidesync.transports.files.place import Place
from tidesync.transports.files.targets import open_place

DAY: Final = 24 * 3600.0
LISTED: Final = 20
"""Damages and leftovers that are listed; `--json` lists all."""


def info(target: str, *, as_json: bool, allow_http: bool = False) -> int:
    """Print what a remote holds, in figures; 0, or 1 if it is damaged."""
    try:
        with _opened(target, allow_http) as (place, scratch):
            found = figures(place, scratch)
    except RemoteDamaged as error:
        return _damaged(target, error)
    if as_json:
        print(json.dumps({"target": target, **_document(found)}, indent=2))
    else:
        print("\n".join(_lines(target, found)))
    return 0


def verify(target: str, *, as_json: bool, allow_http: bool = False) -> int:
    """Read and check all of a remote, and print what is wrong with it; 0 if nothing is, else 1."""
    with _opened(target, allow_http) as (place, scratch):
        found = verification.verify(place, scratch)
    if as_json:
        print(json.dumps({"target": target, "whole": found.whole, **attrs.asdict(found)}, indent=2))
        return 0 if found.whole else 1
    begins = f", from snapshot {found.fence} on" if found.fence else ""
    print(
        f"{plain(target)}: {found.commits} commits with {found.changes} changes, and {found.snapshots} snapshots,"
        f" are whole{begins}."
    )
    if found.leftovers:
        print(f"\nLeft over, which does no harm (tidesync remote compact deletes it): {len(found.leftovers)}")
        print("\n".join(_first([f"  {plain(name)}" for name in found.leftovers])))
    if found.damages:
        print(f"\nDamaged: {len(found.damages)}")
        print("\n".join(_first([f"  {plain(each.file)}: {each.reason}" for each in found.damages])))
        return 1
    print("Nothing is damaged.")
    return 0


def compact(target: str, *, keep: float, as_json: bool, allow_http: bool = False) -> int:
    """Delete what nobody needs who was here within so many days; 0, or 1 if the remote is damaged."""
    if not keep >= 0:
        raise ConfigurationError(f"--keep is a number of days from 0 on, not {keep:g}")
    try:
        with _opened(target, allow_http) as (place, scratch):
            done = compaction.compact(place, scratch, keep=keep * DAY)
    except RemoteDamaged as error:
        return _damaged(target, error)
    if as_json:
        print(json.dumps({"target": target, **attrs.asdict(done)}, indent=2))
    elif done.fence:
        print(f"{plain(target)}: the log begins with snapshot {done.fence}.")
        print(
            f"Deleted: {done.commits} commits, {done.snapshots} snapshots, {done.others} other files,"
            f" {done.tombstones} tombstones."
        )
    else:
        print(f"{plain(target)}: no commit is {keep:g} days older than the last one; nothing was deleted.")
    return 0


@contextmanager
def _opened(target: str, allow_http: bool) -> Generator[tuple[Place, Store]]:
    """The place, and a store to work on, which goes afterwards: memory does not have to hold all records."""
    place = open_place(target, {"client_options": {"allow_http": True}} if allow_http else None)
    try:
        with tempfile.TemporaryDirectory(prefix="tidesync-remote-") as folder:
            yield place, SQLiteStore(Path(folder) / "scratch.db", synchronous="normal")
    finally:
        place.close()


def _damaged(target: str, error: RemoteDamaged) -> int:
    print(f"tidesync: {plain(str(error))}", file=sys.stderr)
    print(f"tidesync: nothing was deleted; see: tidesync remote verify {plain(target)}", file=sys.stderr)
    return 1


def _document(found: Info) -> dict[str, Any]:
    facts = attrs.asdict(found)
    facts["bytes"] = _named(facts.pop("sizes"))
    facts["files"] = _named(found.files)
    return facts


def _named(folders: Mapping[str, int]) -> dict[str, int]:
    return {folder or META: count for folder, count in folders.items()}


def _lines(target: str, found: Info) -> Generator[str]:
    yield f"{plain(target)}: remote {found.remote}, format {found.format}"
    files, taken = sum(found.files.values()), sum(found.sizes.values())
    yield f"Size: {size(taken)} in {files} files ({size(found.sizes['log'])} of log)"
    if not found.commits:
        yield "Commits: none yet"
        return
    yield f"Commits: {found.commits}, with {found.changes} changes; the last one at {_moment(found.last)} UTC"
    since = "the first commit" if not found.fence else f"snapshot {found.fence}"
    yield f"Log: begins with {since}; its oldest commit is of {_moment(found.first)} UTC"
    yield f"Snapshots: {_numbers(found.snapshots)}"
    known = f"{found.remembers / DAY:g} days"
    yield f"Operations: {found.operations} are known when they are sent again, each for {known} at the least"
    yield ""
    rows: list[tuple[Cell, ...]] = [(name, each.live, each.deleted) for name, each in found.tables.items()]
    yield from columns(("table", "records", "tombstones"), rows)


def _moment(text: str | None) -> str:
    return "-" if text is None else text[:19].replace("T", " ")


def _numbers(numbers: tuple[int, ...]) -> str:
    if not numbers:
        return "none"
    told = ", ".join(map(str, numbers[-5:]))
    return f"after commit {told}" if len(numbers) <= 5 else f"{len(numbers)}, the last after commit {told}"


def _first(lines: list[str]) -> list[str]:
    more = len(lines) - LISTED
    return lines if more <= 0 else [*lines[:LISTED], f"  ... and {more} more: --json lists all."]
