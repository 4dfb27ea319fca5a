"""`tidesync status FILE`: what an application's store holds, and how it stands with the remote.

`--json` prints one object. Keys are added in time, and none changes its meaning; none holds a record's content:

* `file`; `format` of the store; `size` and `log` in bytes (the log beside the file, which is part of the store);
* `remote`: who it was synced with, or null; `lease`: null, or `process` (null: on another machine) and `until`;
* `queue`: operations in all by how they stand (`pending`, `attempted`, `failed`, `conflict`, `parked`), and `oldest`;
* `tables` by name: `records`, the same five numbers, and `quarantined`;
* `pulls`: `table`, `name`, `complete`, and `pulled` by the remote's clock, or null;
* `quarantine`: `table`, `record`, `reason`, `since`.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, get_args

from tidesync.cli.columns import Cell, columns, exact, moment, plain, size
from tidesync.cli.keys import file_store
from tidesync.errors import StoreCorrupt, UnknownTable
from tidesync.overview import Overview, Standing, overview
from tidesync.rows import META, REMOTE
from tidesync.stores.file_store import FileStore, Mode

STANDINGS: Final[tuple[Standing, ...]] = get_args(Standing)
ASIDE: Final = 20
"""Records in quarantine that are listed; `--json` lists all."""


def status(file: Path, *, key_file: Path | None, as_json: bool) -> int:
    """Print what one committed state of the store holds; 0."""
    with opened(file, "ro", key_file) as store:
        with store.transaction(write=False) as transaction:
            found = overview(transaction, time.time())
        log = Path(f"{file}-wal")
        facts = {
            "file": str(file), "format": store.format, "size": file.stat().st_size,
            "log": log.stat().st_size if log.exists() else 0,
        }  # fmt: skip
    if as_json:
        print(json.dumps({**facts, **_document(found)}, indent=2))
    else:
        print("\n".join(_lines(facts, found)))
    return 0


@contextmanager
def opened(file: Path, mode: Mode, key_file: Path | None) -> Generator[FileStore]:
    """The store in a file that is there, with the tables that it has."""
    store = file_store(file, key_file, mode=mode)
    store.open([])
    try:
        _check_kind(file, store)
        yield store
    finally:
        store.close()


_WANTED: Final = "name the file that a SyncContext works on"


def _check_kind(file: Path, store: FileStore) -> None:
    try:
        with store.transaction(write=False) as transaction:
            remote = transaction.get(META, [REMOTE]) != [None]
    except UnknownTable as error:
        raise StoreCorrupt(f"{file}: no store of an application: {_WANTED}") from error
    if remote:
        raise StoreCorrupt(f"{file}: the store of a service, and not of an application: {_WANTED}")


def _by_table(found: Overview) -> dict[str, dict[str, int]]:
    aside = Counter(each.table for each in found.quarantine)
    queued = Counter((each.table, each.standing) for each in found.operations)
    names = sorted({*found.tables, *aside, *(table for table, _ in queued)})
    return {
        name: {
            "records": found.tables.get(name, 0),
            **{standing: queued[name, standing] for standing in STANDINGS},
            "quarantined": aside[name],
        }
        for name in names
    }


def _oldest(found: Overview) -> float | None:
    return min((each.created for each in found.operations), default=None)


def _document(found: Overview) -> dict[str, Any]:
    lease, queued = found.lease, Counter(each.standing for each in found.operations)
    standings = {standing: queued[standing] for standing in STANDINGS}
    return {
        "remote": found.remote,
        "lease": None if lease is None else {"process": lease.process, "until": exact(lease.until)},
        "queue": {**standings, "oldest": exact(_oldest(found))},
        "tables": _by_table(found),
        "pulls": [
            {"table": each.table, "name": each.name, "complete": each.complete, "pulled": each.pulled}
            for each in found.cursors
        ],
        "quarantine": [
            {"table": each.table, "record": each.record_id, "reason": each.reason, "since": exact(each.at)}
            for each in found.quarantine
        ],
    }


def _lines(facts: dict[str, Any], found: Overview) -> Generator[str]:
    log = f" and {size(facts['log'])} of log" if facts["log"] else ""
    yield f"{plain(facts['file'])}: {size(facts['size'])}{log}, format {facts['format']}"
    yield f"Remote: {'none yet' if found.remote is None else plain(found.remote)}"
    yield f"Lease: {'free' if found.lease is None else f'held by {holder(found)}'}"
    yield ""
    tables = _by_table(found)
    if tables:
        rows: list[tuple[Cell, ...]] = [(name, *counts.values()) for name, counts in tables.items()]
        if len(rows) > 1:
            counted = zip(*(counts.values() for counts in tables.values()), strict=True)
            rows.append(("all", *map(sum, counted)))
        yield from columns(("table", "records", *STANDINGS, "quarantined"), rows)
    else:
        yield "No tables."
    oldest = moment(_oldest(found))
    if oldest is not None:
        yield f"\nThe oldest operation waits since {oldest} UTC. See: tidesync queue {plain(facts['file'])}"
    if found.cursors:
        yield "\nNamed pulls, by the remote's clock:"
        yield from columns(
            ("table", "name", "pulled", ""),
            [(e.table, e.name, e.pulled, "" if e.complete else "not complete") for e in found.cursors],
        )
    if found.quarantine:
        yield "\nCame, and could not be stored:"
        shown = found.quarantine[:ASIDE]
        yield from columns(
            ("table", "record", "since (UTC)", "why"),
            [(each.table, each.record_id, moment(each.at), each.reason) for each in shown],
        )
        if len(found.quarantine) > ASIDE:
            yield f"... and {len(found.quarantine) - ASIDE} more: --json lists all."


def holder(found: Overview) -> str:
    """Who holds the lease, in words; nobody is "nobody"."""
    if found.lease is None:
        return "nobody"
    process = found.lease.process
    who = "a process of another machine" if process is None else f"process {process}"
    return f"{who}, until {moment(found.lease.until)} UTC at the least"
