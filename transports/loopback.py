"""The in-process transport, to an authority in the same process: for tests, documentation and embedding."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import contextmanager

import attrs

from tidesync.contracts.transport import (
    Applied,
    Change,
    Conflicted,
    Outcome,
    Page,
    PullRequest,
    TransportCapabilities,
    Undeleted,
    Unknown,
)
from tidesync.errors import ConfigurationError, RemoteUnavailable, StoreError
from tidesync.query import with_names
from tidesync.records import Copy, alive
from tidesync.schema import TableSchema
from tidesync.transports.authority import Authority


class LoopbackTransport:
    """A `Transport` to an authority in this process; any number of them, from any thread, may share one.

    `open` opens the authority; `close` leaves it open, since it belongs to whoever made it. Where its store
    fails, a push is `Unknown` and everything else `RemoteUnavailable`, with the `StoreError` chained. Renamed
    columns travel under their wire names, as on any wire.
    """

    def __init__(self, authority: Authority) -> None:
        if not isinstance(authority, Authority):  # pyright: ignore[reportUnnecessaryIsInstance]  # callers without types
            raise ConfigurationError(f"give the Authority that this leads to, not {authority!r:.60}")
        self.authority = authority
        self._renaming: dict[str, TableSchema] = {}

    def open(self, tables: Sequence[TableSchema], /) -> TransportCapabilities:
        # What the authority does not hold is refused when it is asked for.
        self._renaming = {table.name: table for table in tables if table.renames}
        with _served():
            return self.authority.open().capabilities()

    def push(self, changes: Sequence[Change], /) -> Sequence[Outcome]:
        try:
            outcomes = self.authority.push([self._sent(change) for change in changes])
            return [
                self._heard(change.table, outcome) for change, outcome in zip(changes, outcomes, strict=True)
            ]
        except StoreError as error:
            return [Unknown(f"the remote's store failed: {error}") for _ in changes]

    def pull(self, request: PullRequest, /) -> Page:
        schema = self._renaming.get(request.query.table)
        with _served():
            if schema is None:
                return self.authority.pull(request)
            page = self.authority.pull(_asked(schema, request))
            return attrs.evolve(page, records=[schema.from_wire(record) for record in page.records])

    def get(self, table: str, id: str, /) -> Copy:
        with _served():
            copy, schema = self.authority.get(table, id), self._renaming.get(table)
            return schema.from_wire(copy) if schema is not None and alive(copy) else copy

    def close(self) -> None:
        """Do nothing: there is no connection, and the authority is its owner's."""

    def _sent(self, change: Change) -> Change:
        schema = self._renaming.get(change.table)
        if schema is None:
            return change
        record = None if change.record is None else schema.to_wire(change.record)
        return attrs.evolve(change, record=record, fields=tuple(map(schema.wire_name, change.fields)))

    def _heard(self, table: str, outcome: Outcome) -> Outcome:
        schema = self._renaming.get(table)
        match outcome:
            case Applied(version, dict(copy)) if schema is not None:
                return Applied(version, schema.from_wire(copy))
            case Conflicted(dict(copy)) if schema is not None:
                return Conflicted(schema.from_wire(copy))
            case Undeleted(record) if schema is not None:
                return Undeleted(schema.from_wire(record))
            case _:
                return outcome


def _asked(schema: TableSchema, request: PullRequest) -> PullRequest:
    """The request under the names that the remote knows."""
    query, name = request.query, schema.wire_name
    renamed = attrs.evolve(
        query,
        where=None if query.where is None else with_names(query.where, name),
        order=tuple(attrs.evolve(key, by=with_names(key.by, name)) for key in query.order),
        fields=None if query.fields is None else tuple(map(name, query.fields)),
    )
    fields = None if request.fields is None else tuple(map(name, request.fields))
    return attrs.evolve(request, query=renamed, fields=fields)


@contextmanager
def _served() -> Generator[None, None, None]:
    try:
        yield
    except StoreError as error:
        raise RemoteUnavailable(f"the remote's store failed: {error}") from error
