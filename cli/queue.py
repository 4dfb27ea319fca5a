"""`tidesync queue FILE`: the operations that wait in an application's store, and what may be done to them.

`--json` prints one object with `file` and `operations`; after retry and discard `done`, `refused` (each with `why`)
and `missing` (what was named and is not queued) instead. Keys are added in time, and none changes its meaning. An
operation has `number` (its place, never reused), `id` (what the remote knows it by), `table`, `record`, `operation`
(insert, update or delete), `state` (pending, attempted, failed, conflict or parked), `behind` (the number of one that
it waits for, or null), `attempts`, `code` and `message` of the remote, `created` and `last_attempt`. Only `show` tells
contents: `content`, `fields`, and `base` and `remote` as `{"record": ...}`, `{"tombstone": version}` or null.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Collection, Generator, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import attrs

from tidesync.cli.columns import columns, exact, moment, plain
from tidesync.cli.status import holder, opened
from tidesync.errors import UsageError
from tidesync.overview import Detail, Overview, Queued, detail, discard, overview, retry
from tidesync.records import encode_copy
from tidesync.stores.file_store import FileStore

SHOWN: Final = 20
"""Operations that are named in a sentence."""
_STANDING: Final[Mapping[str, str]] = {
    "attempted": "may be at the remote: a push finds out",
    "conflict": "changed at the remote too",
}
"""Why an operation waits, where the remote gave no reason."""


@attrs.frozen(kw_only=True)
class Choice:
    """Which operations are meant: of these tables and states (none: any), all of them or those that words name."""

    tables: Collection[str] = ()
    states: Collection[str] = ()
    words: Sequence[str] = ()
    everything: bool = False

    def among(self, found: Overview) -> list[Queued]:
        """Those of the tables and states. Raises `UsageError` for a table that the store has not."""
        held = {*found.tables, *(each.table for each in found.operations)}
        for name in self.tables:
            if name not in held:
                raise UsageError(f"no table {name!r} here; there are: {', '.join(sorted(held)) or 'none'}")
        return [
            each
            for each in found.operations
            if (not self.tables or each.table in self.tables)
            and (not self.states or each.standing in self.states)
        ]

    def named(self, operations: Sequence[Queued], *, first: bool) -> tuple[list[Queued], list[str]]:
        """What the words name, each once and in their order, and the words that name nothing.

        A record may name several operations: `first` takes only the one that the others of the record wait for.
        """
        found: dict[str, Queued] = {}
        missing: list[str] = []
        for word in self.words:
            meant = [each for each in operations if word in _names(each)]
            found.update((each.key, each) for each in (meant[:1] if first else meant))
            missing += [] if meant else [word]
        return list(found.values()), missing


def _names(operation: Queued) -> tuple[str, ...]:
    return str(operation.number), operation.id, f"{operation.table}/{operation.record_id}"


# ---- looking


def list_queue(file: Path, choice: Choice, *, key_file: Path | None, as_json: bool) -> int:
    """Print the queue in order, without contents; 0."""
    with opened(file, "ro", key_file) as store:
        operations = choice.among(_look(store))
    if as_json:
        _print_json(file, operations=[_document(each) for each in operations])
    elif operations:
        print("\n".join(_table(operations)))
    else:
        print("Nothing is queued.")
    return 0


def show(file: Path, choice: Choice, *, key_file: Path | None, content: bool, as_json: bool) -> int:
    """Print all that is kept of the named operations; contents where they are asked for. 1 if one is missing."""
    with opened(file, "ro", key_file) as store, store.transaction(write=False) as transaction:
        found, missing = choice.named(choice.among(overview(transaction, time.time())), first=False)
        details = [(each, detail(transaction, each)) for each in found]
    if as_json:
        _print_json(file, operations=[{**_document(each), **_contents(kept)} for each, kept in details])
    else:
        print("\n\n".join("\n".join(_shown(each, kept, content=content)) for each, kept in details))
    return _tell_missing(missing)


def _look(store: FileStore) -> Overview:
    with store.transaction(write=False) as transaction:
        return overview(transaction, time.time())


def _table(operations: Iterable[Queued]) -> Generator[str]:
    names = (
        "#",
        "operation",
        "table",
        "record",
        "state",
        "behind",
        "tries",
        "since (UTC)",
        "last tried",
        "why",
    )
    rows = [
        (
            each.number, each.kind, each.table, each.record_id, each.standing, each.behind, each.attempts,
            moment(each.created), moment(each.last_attempt), _why(each),
        )
        for each in operations
    ]  # fmt: skip
    yield from columns(names, rows)


def _why(operation: Queued) -> str | None:
    if operation.code is not None:
        return f"{operation.code}: {operation.message}"
    return _STANDING.get(operation.standing)


def _shown(each: Queued, kept: Detail, *, content: bool) -> Generator[str]:
    fields = kept.operation.fields
    behind = None if each.behind is None else f"#{each.behind}"
    told: dict[str, object] = {
        "operation": f"#{each.number}, {each.kind}", "record": f"{each.table}/{each.record_id}",
        "state": each.standing, "behind": behind, "why": _why(each), "tries": each.attempts,
        "since (UTC)": moment(each.created), "last tried": moment(each.last_attempt), "id": each.id,
        "fields": None if fields is None else ", ".join(fields),
    }  # fmt: skip
    if content:
        told |= {name: json.dumps(value) for name, value in _contents(kept).items() if name != "fields"}
    for name, value in told.items():
        if value is not None:
            yield f"{name:<12} {plain(str(value))}"


# ---- doing


def retry_queue(file: Path, choice: Choice, *, key_file: Path | None, as_json: bool) -> int:
    """Send refused operations again with the next push of the application; 1 if there is none, or one is left."""
    with opened(file, "rw", key_file) as store:
        operations = choice.among(_look(store))
        if choice.everything:
            chosen, missing = [each for each in operations if each.standing == "failed"], list[str]()
        else:
            chosen, missing = choice.named(operations, first=True)
        left = retry(store, chosen) if chosen else {}
    return _report(file, chosen, left, missing, "The next push sends again", as_json=as_json)


def discard_queue(
    file: Path, choice: Choice, *, key_file: Path | None, force: bool, yes: bool, as_json: bool
) -> int:
    """Drop what is queued on the records of these operations, after asking; 1 if there is none, or one is left."""
    with opened(file, "rw", key_file) as store:
        found = _look(store)
        operations = choice.among(found)
        if choice.everything:
            chosen, missing = operations, list[str]()
        else:
            chosen, missing = choice.named(operations, first=True)
        left = {} if force else _in_doubt(found, chosen)
        records = {(each.table, each.record_id) for each in chosen if each.key not in left}
        going = [each for each in found.operations if (each.table, each.record_id) in records]
        if going and not yes and not _confirmed(going, found):
            return 1
        meant = [each for each in chosen if each.key not in left]
        left |= discard(store, meant, force=force) if meant else {}
    gone = [each for each in going if each.key not in left]
    told = gone + [each for each in chosen if each.key in left]
    return _report(file, told, left, missing, "Discarded", as_json=as_json)


def _in_doubt(found: Overview, chosen: Iterable[Queued]) -> dict[str, str]:
    """Why operations stay without --force: one of their record may be at the remote already."""
    records = {(each.table, each.record_id) for each in found.operations if each.standing == "attempted"}
    syncing = "" if found.lease is None else f" The lease is held by {holder(found)}."
    why = "it may be at the remote already, and a push finds out; --force drops it here only." + syncing
    return {each.key: why for each in chosen if (each.table, each.record_id) in records}


def _confirmed(going: Sequence[Queued], found: Overview) -> bool:
    if not sys.stdin.isatty():
        raise UsageError("discard asks before it drops anything: give --yes where nobody can answer")
    print("\n".join(_table(going)))
    keys = {each.number for each in going}
    waiting = sum(each.behind in keys and each.number not in keys for each in found.operations)
    if waiting:
        print(f"{waiting} more waited for these, and then go without them.")
    answer = input(f"Discard {len(going)} operation(s)? The edits in them are lost. [y/N] ")
    if answer.strip().lower() in ("y", "yes"):
        return True
    print("Nothing was discarded.")
    return False


# ---- telling


def _report(
    file: Path,
    chosen: Sequence[Queued],
    left: dict[str, str],
    missing: list[str],
    done: str,
    *,
    as_json: bool,
) -> int:
    went = [each for each in chosen if each.key not in left]
    stayed = [(each, left[each.key]) for each in chosen if each.key in left]
    if as_json:
        refused = [{**_document(each), "why": why} for each, why in stayed]
        _print_json(file, done=[_document(each) for each in went], refused=refused, missing=missing)
    elif went:
        shown = ", ".join(_called(each) for each in went[:SHOWN])
        more = f" and {len(went) - SHOWN} more" if len(went) > SHOWN else ""
        print(f"{done}: {shown}{more}.")
    elif not stayed and not missing:
        print("There was nothing to do.")
    for each, why in stayed:
        print(f"tidesync: {_called(each)}: {plain(why)}", file=sys.stderr)
    return 1 if _tell_missing(missing) or stayed or not went else 0


def _called(operation: Queued) -> str:
    return plain(f"#{operation.number} {operation.kind} {operation.table}/{operation.record_id}")


def _tell_missing(missing: Iterable[str]) -> int:
    named = list(missing)
    for word in named:
        print(f"tidesync: {plain(word)} is not queued: tidesync queue FILE lists what is", file=sys.stderr)
    return 1 if named else 0


def _document(each: Queued) -> dict[str, Any]:
    return {
        "number": each.number, "id": each.id, "table": each.table, "record": each.record_id, "operation": each.kind,
        "state": each.standing, "behind": each.behind, "attempts": each.attempts, "code": each.code,
        "message": each.message, "created": exact(each.created), "last_attempt": exact(each.last_attempt),
    }  # fmt: skip


def _contents(kept: Detail) -> dict[str, Any]:
    return {
        "content": kept.operation.content, "fields": kept.operation.fields, "base": encode_copy(kept.base),
        "remote": encode_copy(kept.remote),
    }  # fmt: skip


def _print_json(file: Path, **document: object) -> None:
    print(json.dumps({"file": str(file), **document}, indent=2))
