"""One page of a pull: which request, and what its reply says."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Final, Protocol

import attrs

from tidesync.contracts.transport import Junk, Page, PullRequest
from tidesync.errors import ProtocolError, ResyncRequired, Unsupported
from tidesync.predicate import matcher
from tidesync.records import Json, Record, Tombstone
from tidesync.transports.http.dialect import Wire
from tidesync.transports.http.flow import Compute, Flow
from tidesync.transports.http.odata import Split, address_length, any_of, both, ordering, split, text_literal
from tidesync.transports.http.paging import Walk, advance, begin, condition, walk_of
from tidesync.transports.http.values import SYSTEM, Form, canonical_moment, lone_surrogate
from tidesync.transports.http.wire import (
    Reply,
    Request,
    Wanted,
    clock_of,
    from_json,
    message_of,
    note_columns,
    refusal,
    rows_of,
)

RAW_LIMIT: Final = 10_000
IDS: Final = 30
_TOO_MANY: Final = re.compile(r"more than (\d{1,9}) records")
IDS_LENGTH: Final = 2_000


class Call(Protocol):
    """What a pull needs of the network; raises `TransportError`."""

    def read(self, request: Request) -> Flow[Reply]: ...


@attrs.frozen(eq=False)
class Listing:
    """The reply to a list; `whole`: all fields of its records were asked for."""

    reply: Reply
    whole: bool

    @property
    def size(self) -> int:
        """Its bytes."""
        return len(self.reply.body)


@attrs.frozen(kw_only=True)
class Rows:
    """A list reply, read.

    `steps`: id and updatedAt of every row that has an id, in order, for the cursor. `whole`: the records
    have all their fields.
    """

    records: list[Record]
    tombstones: dict[str, Tombstone]
    junk: list[Junk]
    steps: list[tuple[str, str | None]]
    raw: int
    whole: bool
    total: int | None
    clock: str | None


class Reader:
    """Reads pages of one table."""

    def __init__(self, form: Form, wire: Wire, call: Call, page_limit: int) -> None:
        self.form, self.wire, self.call, self.page_limit = form, wire, call, page_limit

    def page(self, request: PullRequest) -> Flow[Page]:
        """One page. Raises `TransportError`, `InvalidQuery` and `Unsupported`."""
        if request.ids is not None:
            return (yield from self._by_ids(request))
        if request.incremental:
            return (yield from self._incremental(request))
        return (yield from self._walk(request))

    # ------------------------------------------------------------ three ways to walk

    def _incremental(self, request: PullRequest) -> Flow[Page]:
        query = request.query
        if query.order or query.skip or query.take is not None:
            raise Unsupported("an incremental pull has no order, skip or take: pull without a name")
        position, first = begin(request.cursor, request.overlap)
        sent = yield from self._split(request)
        bounds, order = condition(position, self.wire.dialect)
        listing = yield from self._list(
            request,
            Wanted(filter=both(sent.text, bounds), order=order, top=self._top(request.limit)),
            exact=sent.exact,
        )

        def read() -> Page:
            rows = self._rows(listing)
            clock = rows.clock if first else position.clock
            after, more = advance(position, rows.steps, clock)
            _check_steps(query.table, rows)
            return self._page(request, rows, cursor=after.to_json(), more=more, exact=sent.exact)

        return (yield from Compute(read, listing.size))

    def _walk(self, request: PullRequest) -> Flow[Page]:
        """Everything, by id; or in the order of the query, by counting.

        What the remote cannot be trusted with is filtered, skipped and counted here.
        """
        query = request.query
        walk = walk_of(request.cursor)
        keys = ordering(query.order, self.form)
        if keys is None:
            raise Unsupported(
                f"{query.table}: the remote cannot order by this: order by plain columns, or pull first and "
                "order locally"
            )
        sent = yield from self._split(request)
        keys = yield from self._orderable(keys)
        top = self._top(request.limit)
        if query.take is not None and sent.exact:
            top = min(top, max(query.take - walk.given, 1))
        skip = query.skip if sent.exact else 0
        bounds: str | None = None
        if keys:
            skip += walk.read
            keys = [*keys, *([] if any(name == "id" for name, _ in keys) else [("id", False)])]
        elif walk.after is not None:
            bounds, skip = f"id gt {text_literal(walk.after)}", 0
        listing = yield from self._list(
            request,
            Wanted(filter=both(sent.text, bounds), order=keys or [("id", False)], top=top, skip=skip),
            exact=sent.exact,
        )

        def read() -> Page:
            return self._walked(request, walk, self._rows(listing), exact=sent.exact, by_id=not keys)

        return (yield from Compute(read, listing.size))

    def _walked(self, request: PullRequest, walk: Walk, rows: Rows, *, exact: bool, by_id: bool) -> Page:
        """The page of a walk; `exact`: the remote filtered, skipped and counted."""
        query = request.query
        if by_id and rows.steps and rows.steps[-1][0] == walk.after:
            raise ProtocolError(
                f"{query.table}: the remote gives the same page again: it does not filter by id"
            )
        _check_steps(query.table, rows)
        matches = matcher(query.where if rows.whole else None)
        found = [record for record in rows.records if matches(record)]
        passed = 0 if exact else min(len(found), query.skip - walk.passed)
        found = found[passed:] if query.take is None else found[passed:][: query.take - walk.given]
        given = walk.given + len(found)
        after = Walk(
            after=rows.steps[-1][0] if rows.steps else walk.after,
            passed=walk.passed + passed,
            given=given,
            read=walk.read + rows.raw,
        )
        more = rows.raw > 0 and (query.take is None or given < query.take)
        rows = attrs.evolve(rows, records=found, total=rows.total if exact else None)
        return self._page(request, rows, cursor=after.to_json(), more=more, exact=True)

    def _by_ids(self, request: PullRequest) -> Flow[Page]:
        ids = tuple(dict.fromkeys(request.ids or ()))
        done = request.cursor.get("ids") if isinstance(request.cursor, dict) else 0
        if type(done) is not int:
            raise ResyncRequired("this cursor was not made by the HTTP transport: pull(resync=True)")
        end, length = done, 0
        while end < min(len(ids), done + IDS, done + request.limit) and (length < IDS_LENGTH or end == done):
            length += address_length(ids[end]) + 20
            end += 1
        wanted = set(ids[done:end])
        if not wanted:
            return Page(total=0 if request.total else None)
        listing = yield from self._list(
            attrs.evolve(request, total=False),
            Wanted(filter=any_of(ids[done:end]), order=[("id", False)], top=len(wanted)),
            exact=False,
        )

        def read() -> Page:
            rows = self._rows(listing)
            matches = matcher(request.query.where)
            records = [record for record in rows.records if record["id"] in wanted and matches(record)]
            rows = attrs.evolve(rows, records=records, total=len(ids) if request.total else None)
            return self._page(request, rows, cursor={"ids": end}, more=end < len(ids), exact=True)

        return (yield from Compute(read, listing.size))

    # ------------------------------------------------------------ parts

    def _top(self, limit: int) -> int:
        return max(1, min(limit, self.page_limit))

    def _split(self, request: PullRequest) -> Flow[Split]:
        sent = split(request.query.where, self.form)
        if sent.wants:
            yield from self._learn()
            sent = split(request.query.where, self.form)
        return sent

    def _orderable(self, keys: list[tuple[str, bool]]) -> Flow[list[tuple[str, bool]]]:
        """Without columns that the remote has not got: on 2.0 naming one makes the answer empty."""
        if self.wire.dialect == "3.0" or not keys:
            return keys
        if any(name not in self.form.known for name, _ in keys):
            yield from self._learn()
        return [key for key in keys if key[0] in self.form.known or key[0] in ("id", *SYSTEM)]

    def _learn(self) -> Flow[None]:
        """Look at one row, for its columns."""
        reply = yield from self.call.read(self.wire.list(self.form, Wanted(top=1, deleted=True)))
        note_columns(reply, self.form)

    def _selected(self, request: PullRequest, *, exact: bool) -> list[str] | None:
        """What to ask for, None for all: only columns that the remote has may be named.

        Where the condition is looked at here, records must come whole.
        """
        fields = _fields(request)
        if fields is None or (request.query.where is not None and not exact):
            return None
        names = [self.form.wire_name(field) for field in fields if field not in ("id", "version")]
        wanted = ["id", "version", "updatedAt", "deleted", *(name for name in names if name is not None)]
        known = self.form.known if self.wire.dialect == "2.0" else set(wanted)
        whole = None in names or not known.issuperset(wanted)
        return None if whole else list(dict.fromkeys(wanted))

    def _list(self, request: PullRequest, wanted: Wanted, *, exact: bool) -> Flow[Listing]:
        """A list; a server that allows fewer records at once is asked again for so many."""
        counted = request.query.skip == 0 and request.query.take is None
        wanted = attrs.evolve(
            wanted,
            select=self._selected(request, exact=exact),
            deleted=request.deleted and counted,
            total=request.total,
            parameters=request.parameters,
        )
        reply = yield from self.call.read(self.wire.list(self.form, wanted))
        fewer = _TOO_MANY.search(message_of(reply)) if reply.status == 400 else None
        if fewer and 0 < int(fewer[1]) < wanted.top:
            wanted = attrs.evolve(wanted, top=int(fewer[1]))
            reply = yield from self.call.read(self.wire.list(self.form, wanted))
        if not reply.ok:
            raise refusal(reply, request.query.table)
        return Listing(reply, whole=wanted.select is None)

    def _rows(self, listing: Listing) -> Rows:
        raw, total = rows_of(from_json(listing.reply.body, self.form))
        records: dict[str, Record] = {}
        tombstones: dict[str, Tombstone] = {}
        junk: list[Junk] = []
        steps: list[tuple[str, str | None]] = []
        for row in raw:
            if isinstance(row, dict) and isinstance(row.get("id"), str) and not lone_surrogate(row["id"]):
                moment = canonical_moment(row.get("updatedAt"))
                steps.append((row["id"], moment if isinstance(moment, str) else None))
                if listing.whole:
                    self.form.note(row)
            try:
                id, copy = self.form.read(row)
            except ValueError as error:
                junk.append(Junk(_raw(row), str(error)))
                continue
            if isinstance(copy, Tombstone):
                tombstones[id] = copy
                _ = records.pop(id, None)
            else:
                records[id] = copy
                _ = tombstones.pop(id, None)
        return Rows(
            records=list(records.values()),
            tombstones=tombstones,
            junk=junk,
            steps=steps,
            raw=len(raw),
            whole=listing.whole,
            total=total,
            clock=clock_of(listing.reply.headers),
        )

    def _page(self, request: PullRequest, rows: Rows, *, cursor: Json, more: bool, exact: bool) -> Page:
        fields = _fields(request)
        records: Sequence[Record] = rows.records
        if fields is not None and exact:
            kept = ("id", "version", *fields)
            records = [{key: record[key] for key in kept if key in record} for record in records]
        tombstones: Mapping[str, Tombstone] = rows.tombstones if request.deleted else {}
        return Page(
            records=records,
            tombstones=tombstones,
            cursor=cursor,
            more=more,
            total=rows.total,
            exact=exact,
            clock=rows.clock,
            junk=rows.junk,
        )


def _check_steps(table: str, rows: Rows) -> None:
    """Raise `ProtocolError` for a page behind which nothing can be asked for."""
    if rows.raw and not rows.steps:
        raise ProtocolError(
            f"{table}: a page of {rows.raw} rows has no usable id in it: the pull cannot go on"
        )


def _fields(request: PullRequest) -> tuple[str, ...] | None:
    return request.fields if request.fields is not None else request.query.fields


def _raw(row: object) -> str:
    """A row that is no record, as far as it can be kept."""
    try:
        return json.dumps(row, default=str)[:RAW_LIMIT]
    except (TypeError, ValueError, RecursionError):
        return repr(row)[:RAW_LIMIT]
