"""What a log or a snapshot makes of the tables of a remote, kept on a store: the authority's tables, and how far it is.

Besides the tables of `layout.py` there is one row that tells up to which commit they are. It is written in the same
transaction as they are, so that an index is always at one commit, whole, wherever a process ends.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

import attrs

from tidesync.contracts.store import Store, StoreTransaction
from tidesync.errors import ConfigurationError, StoreTooNew
from tidesync.query import Query
from tidesync.records import Record
from tidesync.schema import TableSchema
from tidesync.transports import layout
from tidesync.transports.files.format import Commit, Entry
from tidesync.transports.files.parts import Known, Manifest, Row
from tidesync.transports.layout import DELETED, REMEMBERED, SEQUENCE

HEAD: Final = TableSchema("__log", (), {})
FORMAT: Final = 1
_AT_ONCE: Final = 1000
"""Rows that are written by one call."""


@attrs.frozen(kw_only=True)
class Head:
    """How far an index is: it holds what commits up to `number`, whose hash is `hash`, have made of the tables.

    Before the first commit `number` is 0, and `hash` that of meta.json, as `meta` always is. `changes` counts
    those of all commits, `tables` are the names of all tables that they are of, in order.
    """

    remote: str
    meta: str
    number: int = 0
    hash: str
    changes: int = 0
    tables: tuple[str, ...] = ()

    def after(self, commit: Commit, its_hash: str) -> Head:
        """The head once this commit, the next one, is applied, whose file has this hash."""
        return attrs.evolve(
            self,
            number=commit.number,
            hash=its_hash,
            changes=self.changes + len(commit.changes),
            tables=_with_tables(self.tables, (entry.table for entry in commit.changes)),
        )


def find_head(transaction: StoreTransaction) -> Head | None:
    """How far the index is; None for a new one. `StoreTooNew` for another format."""
    row = transaction.get(HEAD.name, ["head"])[0]
    match row:
        case None:
            return None
        case {
            "format": 1,
            "remote": str(remote),
            "meta": str(meta),
            "number": int(number),
            "hash": str(hash),
            "changes": int(changes),
            "tables": list(tables),
        }:
            return Head(
                remote=remote,
                meta=meta,
                number=number,
                hash=hash,
                changes=changes,
                tables=tuple(map(str, tables)),
            )
        case _:
            found = row.get("format")
            raise StoreTooNew(
                f"the index has format {found!r}, and this tidesync reads {FORMAT}: upgrade it, or use a new index",
                found if isinstance(found, int) else 0,
                FORMAT,
            )


def read_head(transaction: StoreTransaction) -> Head:
    """How far the index is, which was opened."""
    head = find_head(transaction)
    if head is None:
        raise ConfigurationError("the index is empty: open the transport first")
    return head


def write_head(transaction: StoreTransaction, head: Head) -> None:
    """Note how far the index is."""
    row: Record = {"id": "head", "format": FORMAT, "remote": head.remote, "meta": head.meta}
    row |= {"number": head.number, "hash": head.hash, "changes": head.changes, "tables": list(head.tables)}
    transaction.put(HEAD.name, [row])


def open_tables(store: Store, names: Iterable[str]) -> None:
    """Open tables that nobody here declared; their rows are kept as they came."""
    wanted = [layout.stored(TableSchema(name), foreign_keys=False) for name in names]
    if wanted:
        store.open(wanted)


def apply(transaction: StoreTransaction, head: Head, news: Sequence[tuple[Commit, str]]) -> Head:
    """Write what the commits that follow the head, each with its file's hash, make of the tables; the new head.

    Their tables are open.
    """
    rows: dict[str, dict[str, Record]] = {}
    known: dict[str, Record] = {}
    for commit, its_hash in news:
        head = head.after(commit, its_hash)
        for place, entry in enumerate(commit.changes):
            row = _row(entry, commit.at, commit.first + place)
            rows.setdefault(entry.table, {})[entry.id] = row
            if entry.operation is not None:
                known[entry.operation] = _known(entry.operation, entry.mark, entry.version, commit.at)
    for table, written in rows.items():
        _put(transaction, table, written.values())
    _put(transaction, REMEMBERED, known.values())
    last = news[-1][0]
    meta = layout.read_meta(transaction)
    attrs.evolve(meta, sequence=last.last, clock=max(meta.clock, last.at)).write(transaction)
    write_head(transaction, head)
    return head


def load(transaction: StoreTransaction, head: Head, manifest: Manifest, lines: Iterable[Row | Known]) -> Head:
    """Write what a snapshot holds in the place of all that is there; the new head. Its tables are open."""
    for table in (*head.tables, REMEMBERED):
        _ = transaction.delete_where(Query(table))
    rows: dict[str, list[Record]] = {}
    for line in lines:
        if isinstance(line, Known):
            table, row = REMEMBERED, _known(line.operation, line.mark, line.version, line.at)
        else:
            table, row = line.table, _row(line, line.updated_at, line.sequence)
        held = rows.setdefault(table, [])
        held.append(row)
        if len(held) == _AT_ONCE:
            transaction.put(table, held)
            held.clear()
    for table, held in rows.items():
        _put(transaction, table, held)
    meta = layout.read_meta(transaction)
    attrs.evolve(meta, sequence=manifest.sequence, clock=manifest.clock, fences=dict(manifest.fences)).write(
        transaction
    )
    found = attrs.evolve(
        head,
        number=manifest.number,
        hash=manifest.commit,
        changes=manifest.changes,
        tables=_with_tables(head.tables, manifest.tables),
    )
    write_head(transaction, found)
    return found


def lines(transaction: StoreTransaction, head: Head) -> Iterator[Row | Known]:
    """All that a snapshot holds: rows by table and id, and then known operations by id, in code points."""
    for table in sorted(head.tables):
        for row in transaction.select(Query(table)):
            yield Row(
                table=table, id=_text(row, "id"), version=_text(row, "version"), created_at=_text(row, "created_at"),
                updated_at=_text(row, "updated_at"), sequence=_number(row), deleted=row[DELETED] is True,
                record=content_of(row),
            )  # fmt: skip
    for row in transaction.select(Query(REMEMBERED)):
        yield Known(
            operation=_text(row, "id"),
            mark=_text(row, "fingerprint"),
            version=_text(row, "version"),
            at=_text(row, "at"),
        )


def content_of(row: Record) -> Record:
    """The fields of a row as a commit or a snapshot holds them: without its id, system fields and hidden ones."""
    content = layout.content_in(row)
    del content["id"]
    return content


def _row(line: Entry | Row, updated_at: str, sequence: int) -> Record:
    return {
        **line.record, "id": line.id, "version": line.version, "created_at": line.created_at,
        "updated_at": updated_at, SEQUENCE: sequence, DELETED: line.deleted,
    }  # fmt: skip


def _known(operation: str, mark: str, version: str, at: str) -> Record:
    return {"id": operation, "fingerprint": mark, "version": version, "at": at}


def _put(transaction: StoreTransaction, table: str, rows: Iterable[Record]) -> None:
    found = list(rows)
    for start in range(0, len(found), _AT_ONCE):
        transaction.put(table, found[start : start + _AT_ONCE])


def _with_tables(tables: tuple[str, ...], more: Iterable[str]) -> tuple[str, ...]:
    new = set(more) - set(tables)
    return tuple(sorted({*tables, *new})) if new else tables


def _text(row: Record, name: str) -> str:
    value = row[name]
    assert isinstance(value, str)
    return value


def _number(row: Record) -> int:
    value = row[SEQUENCE]
    assert isinstance(value, int)
    return value
