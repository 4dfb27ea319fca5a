"""The transaction steps of a pull: store a page with its cursor, all or nothing.

What cannot be stored goes to quarantine in the same transaction, so that the cursor may move past it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

import attrs

from tidesync.answers import is_id, is_moment, shown, system_fault
from tidesync.contracts.store import StoreTransaction
from tidesync.contracts.transport import Page
from tidesync.errors import InvalidId, InvalidRecord, MassDeparture, QueryNameReused
from tidesync.predicate import matcher
from tidesync.query import Compare, Expr, Field, Order, Query, Value, all_of, equals
from tidesync.queue import Queue
from tidesync.records import Record, Tombstone, check_record, same, version_of
from tidesync.rows import CURSORS, HEADS, QUARANTINE, SEEN
from tidesync.rules import settle
from tidesync.rules.chain import record_key
from tidesync.rules.cursors import Bookmark, window_edge
from tidesync.values import ColumnType

CHUNK: Final = 500
FUSE_RECORDS: Final = 100
_S = ColumnType.STRING


@attrs.define(eq=False)
class Arrival:
    """What one pull keeps in mind while it runs. `query`: its text. `read` counts what came, known or not."""

    table: str
    name: str | None
    query: str
    where: Expr | None
    fits: Callable[[Record], str | None]
    overlap: float = 0.0
    bookmark: Bookmark = attrs.field(factory=Bookmark)
    quarantine_used: bool = False
    departures_noted: bool = False
    records: int = 0
    deleted: int = 0
    departed: int = 0
    conflicts: int = 0
    read: int = 0
    pages: int = 0
    total: int | None = None
    quarantined: dict[str, str] = attrs.field(factory=dict[str, str])

    @property
    def cursor_key(self) -> str | None:
        """The row of `__cursors` that this pull moves, if it moves one."""
        return None if self.name is None else record_key(self.table, self.name)


# ---- cursors


def read_bookmark(transaction: StoreTransaction, arrival: Arrival) -> Bookmark:
    """Where a named pull left off; `QueryNameReused` if the name belongs to another query."""
    arrival.quarantine_used = (
        _first(transaction, Query(QUARANTINE, equals("table", arrival.table, _S), take=1)) is not None
    )
    if arrival.cursor_key is None:
        return Bookmark()
    noted = Query(SEEN, equals("cursor", _departures(arrival.cursor_key), _S), take=1)
    arrival.departures_noted = _first(transaction, noted) is not None
    row = transaction.get(CURSORS, [arrival.cursor_key])[0]
    if row is None:
        return Bookmark()
    if row["query"] != arrival.query:
        raise QueryNameReused(arrival.table, str(arrival.name))
    kept = row["bookmark"]
    assert isinstance(kept, dict)
    return Bookmark(**kept)


def write_bookmark(transaction: StoreTransaction, arrival: Arrival) -> None:
    """Keep how far the pull came, in the transaction that stores what it brought."""
    if arrival.cursor_key is None:
        return
    row: Record = {
        "id": arrival.cursor_key, "table": arrival.table, "name": arrival.name, "query": arrival.query,
        "bookmark": attrs.asdict(arrival.bookmark),
    }  # fmt: skip
    transaction.put(CURSORS, [row])


def forget_cursor(transaction: StoreTransaction, key: str) -> None:
    """The next pull under this cursor starts from nothing."""
    _ = transaction.delete(CURSORS, [key])
    _ = transaction.delete_where(Query(SEEN, equals("cursor", key, _S)))
    _ = transaction.delete_where(Query(SEEN, equals("cursor", _departures(key), _S)))


def _departures(cursor_key: str | None) -> str:
    """What departed is noted beside what was seen. No table's name begins like this, so no cursor's key does."""
    return f"#{cursor_key}"


def _seen_key(cursor: str, id: str) -> str:
    """Names of pulls and ids may hold any mark that could part them: the length parts them."""
    return f"{len(cursor)}:{cursor}/{id}"


def cursors_of(transaction: StoreTransaction, table: str) -> list[Record]:
    """The rows of `__cursors` of a table."""
    return list(transaction.select(Query(CURSORS, equals("table", table, _S))))


def _first(transaction: StoreTransaction, query: Query) -> Record | None:
    return next(iter(list(transaction.select(query))), None)


# ---- pages


def store_page(queue: Queue, arrival: Arrival, page: Page) -> list[tuple[str, str]]:
    """Store what a page brought; returns the records that are in conflict now."""
    transaction = queue.ledger.transaction
    records, tombstones = _sound(queue, arrival, page), dict(page.tombstones)
    if arrival.cursor_key is not None and arrival.overlap:
        records, tombstones = _unseen(transaction, arrival, records, tombstones, page)
    asks = _store_copies(queue, arrival, records, tombstones)
    if arrival.departures_noted:
        # What is told now is there now, whatever was told before.
        ids = (record.get("id") for record in page.records)
        told = (*(id for id in ids if isinstance(id, str)), *page.tombstones)
        _ = transaction.delete(SEEN, _departure_keys(arrival, told))
    if arrival.cursor_key is not None and page.departed:
        _note_departed(transaction, arrival, page.departed)
    _advance(arrival, page)
    write_bookmark(transaction, arrival)
    return asks


def _advance(arrival: Arrival, page: Page) -> None:
    latest = _later(arrival.bookmark.latest, _latest(page))
    arrival.bookmark = attrs.evolve(arrival.bookmark, cursor=page.cursor, latest=latest, complete=False)
    arrival.pages += 1
    arrival.read += len(page.records) + len(page.tombstones) + len(page.junk)
    if page.total is not None:
        arrival.total = page.total


def _latest(page: Page) -> str | None:
    moments = (record.get("updated_at") for record in page.records)
    return max((moment for moment in moments if is_moment(moment)), default=None)


def _later(*moments: str | None) -> str | None:
    return max(filter(None, moments), default=None)


def _sound(queue: Queue, arrival: Arrival, page: Page) -> dict[str, Record]:
    """The records that can be stored and belong here; the others go to quarantine, with the reason."""
    sound: dict[str, Record] = {}
    bad: list[Record] = []
    mended: list[str] = [*page.tombstones]
    matches = None if page.exact else matcher(arrival.where)
    for record in page.records:
        reason = arrival.fits(record) or _illegal(arrival.table, record)
        if reason is not None:
            bad.append(_aside(queue, arrival, record, reason))
            continue
        mended.append(str(record["id"]))
        if matches is None or matches(record):
            sound[str(record["id"])] = record
    for junk in page.junk:
        bad.append(_aside(queue, arrival, junk.raw, junk.reason))
    if arrival.quarantine_used and mended:
        _ = queue.ledger.transaction.delete(QUARANTINE, [record_key(arrival.table, id) for id in mended])
    if bad:
        queue.ledger.transaction.put(QUARANTINE, bad)
        arrival.quarantine_used = True
        arrival.quarantined.update((str(row["record_id"]), str(row["reason"])) for row in bad)
    return sound


def _illegal(table: str, record: Record) -> str | None:
    try:
        _ = check_record(table, record)
    except (InvalidId, InvalidRecord) as error:
        return str(error)
    return system_fault(table, record)


def _aside(queue: Queue, arrival: Arrival, raw: Record | str, reason: str) -> Record:
    id = raw.get("id") if isinstance(raw, dict) else None
    text = shown(raw) if isinstance(raw, dict) else raw
    if not is_id(id):
        id = "?" + hashlib.sha256(text.encode(errors="replace")).hexdigest()[:24]
    kept = text.encode("utf-8", "backslashreplace").decode()
    return {
        "id": record_key(arrival.table, id), "table": arrival.table, "record_id": id, "raw": kept, "reason": reason,
        "at": queue.ledger.now,
    }  # fmt: skip


def _unseen(
    transaction: StoreTransaction,
    arrival: Arrival,
    records: Mapping[str, Record],
    tombstones: Mapping[str, Tombstone],
    page: Page,
) -> tuple[dict[str, Record], dict[str, Tombstone]]:
    """What the window does not hold yet by id and version; the rest is noted in it.

    A tombstone tells no time: it is kept for as long as the latest record of its page.
    """
    copies: dict[str, Record | Tombstone] = {**records, **tombstones}
    versions = {id: version_of(copy) for id, copy in copies.items()}
    if not versions:
        return dict(records), dict(tombstones)
    keys = [_seen_key(str(arrival.cursor_key), id) for id in versions]
    known = {
        id
        for id, row in zip(versions, transaction.get(SEEN, keys), strict=True)
        if row is not None and row["version"] is not None and row["version"] == versions[id]
    }
    # What a remote holds may be older than this pull by far: the window lies before the latest of it, this page's too.
    latest = _later(arrival.bookmark.latest, _latest(page))
    edge = window_edge(attrs.evolve(arrival.bookmark, latest=latest), arrival.overlap) or ""
    page_moment = _latest(page) or page.clock
    notes: list[Record] = []
    for id, key in zip(versions, keys, strict=True):
        moment = records[id].get("updated_at") if id in records else None
        at = moment if isinstance(moment, str) else page_moment
        if id not in known and (at is None or at >= edge):
            notes.append({"id": key, "cursor": arrival.cursor_key, "at": at, "version": versions[id]})
    if notes:
        transaction.put(SEEN, notes)
    return (
        {id: record for id, record in records.items() if id not in known},
        {id: tombstone for id, tombstone in tombstones.items() if id not in known},
    )


def _store_copies(
    queue: Queue, arrival: Arrival, records: Mapping[str, Record], tombstones: Mapping[str, Tombstone]
) -> list[tuple[str, str]]:
    """Records without queued operations become the copy; for the others it is news, or nothing new."""
    ledger, table = queue.ledger, arrival.table
    copies: dict[str, Record | Tombstone] = {**records, **tombstones}
    keys = {id: record_key(table, id) for id in copies}
    heads = ledger.transaction.get(HEADS, list(keys.values()))
    busy = dict.fromkeys(id for id, row in zip(keys, heads, strict=True) if row is not None)  # in their order
    ledger.load(keys[id] for id in busy)
    free = [id for id in copies if id not in busy]
    held = dict(zip(free, ledger.transaction.get(table, free), strict=True))
    # What is here already, our own pushes above all, is neither written nor told again.
    plain = [records[id] for id in free if id in records and not same(held[id], records[id])]
    gone = [id for id in free if id not in records and held[id] is not None]
    if plain:
        ledger.transaction.put(table, plain)
    if gone:
        _ = ledger.transaction.delete(table, gone)
    ledger.changed_ids.setdefault(table, {}).update(dict.fromkeys([*(str(r["id"]) for r in plain), *gone]))
    asks: list[tuple[str, str]] = []
    for id in busy:
        head = ledger.head(table, id)
        if head is None or not settle.is_news(head, copies[id]):
            continue
        if settle.arrives(head, copies[id]):
            asks.append((table, id))
        queue.finish(head)
        arrival.conflicts += head.in_conflict
    arrival.records += sum(id in records for id in free)
    arrival.deleted += len(gone)
    return asks


# ---- departures


def _note_departed(transaction: StoreTransaction, arrival: Arrival, ids: Sequence[str]) -> None:
    cursor, keys = _departures(arrival.cursor_key), _departure_keys(arrival, ids)
    rows: list[Record] = [
        {"id": key, "cursor": cursor, "at": id, "version": None} for key, id in zip(keys, ids, strict=True)
    ]
    transaction.put(SEEN, rows)
    arrival.departures_noted = True


def _departure_keys(arrival: Arrival, ids: Iterable[str]) -> list[str]:
    cursor = _departures(arrival.cursor_key)
    return [_seen_key(cursor, id) for id in ids]


def departed_ids(transaction: StoreTransaction, arrival: Arrival) -> list[str]:
    """The ids noted as departed by the pages of this pull, and by earlier ones that could not drop them yet."""
    key = _departures(arrival.cursor_key)
    return [str(row["at"]) for row in transaction.select(Query(SEEN, equals("cursor", key, _S)))]


def drop(
    queue: Queue, arrival: Arrival, ids: Sequence[str], wanted_by_others: Callable[[Record], bool]
) -> int:
    """Drop records that left the query, unless they have queued operations or another named query wants them.

    More than half of more than 100 records is `MassDeparture`, and nothing is dropped.
    """
    transaction, table = queue.ledger.transaction, arrival.table
    going: list[str] = []
    for start in range(0, len(ids), CHUNK):
        chunk = ids[start : start + CHUNK]
        local = transaction.get(table, chunk)
        heads = transaction.get(HEADS, [record_key(table, id) for id in chunk])
        going.extend(
            id
            for id, record, head in zip(chunk, local, heads, strict=True)
            if record is not None and head is None and not wanted_by_others(record)
        )
    held = transaction.count(Query(table))
    if held > FUSE_RECORDS and len(going) * 2 > held:
        raise MassDeparture(table, len(going), held)
    if going:
        _ = transaction.delete(table, going)
        queue.ledger.changed_ids.setdefault(table, {}).update(dict.fromkeys(going))
    arrival.departed += len(going)
    return len(going)


def complete(queue: Queue, arrival: Arrival, began: str | None) -> None:
    """The pull met its end: the window that the next one reads again is counted from when it began."""
    if arrival.cursor_key is None:
        return
    transaction = queue.ledger.transaction
    arrival.bookmark = attrs.evolve(arrival.bookmark, began=began, complete=True)
    write_bookmark(transaction, arrival)
    edge = window_edge(arrival.bookmark, arrival.overlap) if arrival.overlap else None
    if edge is not None:
        old = all_of(
            equals("cursor", arrival.cursor_key, _S), Compare("lt", Field("at", _S), Value(edge, _S))
        )
        _ = transaction.delete_where(Query(SEEN, old))


def local_ids(transaction: StoreTransaction, table: str, where: Expr | None, after: str | None) -> list[str]:
    """The next ids of local records that match, in order."""
    following = None if after is None else Compare("gt", Field("id", _S), Value(after, _S))
    query = Query(table, all_of(where, following), (Order(Field("id", _S)),), take=CHUNK, fields=())
    return [str(row["id"]) for row in transaction.select(query)]


def forget_departed(transaction: StoreTransaction, arrival: Arrival, ids: Sequence[str]) -> None:
    """What was noted as departed has been dealt with; what has queued operations is looked at again without them."""
    heads = transaction.get(HEADS, [record_key(arrival.table, id) for id in ids])
    done = [id for id, head in zip(ids, heads, strict=True) if head is None]
    _ = transaction.delete(SEEN, _departure_keys(arrival, done))
