"""Columns that have another name on the wire: what every way to a remote does with them; pure."""

from __future__ import annotations

from collections.abc import Iterable

import attrs

from tidesync.contracts.transport import Applied, Change, Conflicted, Outcome, Page, PullRequest, Undeleted
from tidesync.query import with_names
from tidesync.records import Copy, alive
from tidesync.schema import TableSchema


class Renaming:
    """Changes, requests and what is answered to them, from local names to those on the wire and back."""

    def __init__(self, tables: Iterable[TableSchema] = ()) -> None:
        self._renamed = {table.name: table for table in tables if table.renames}

    def sent(self, change: Change) -> Change:
        """The change under the names that the remote knows."""
        schema = self._renamed.get(change.table)
        if schema is None:
            return change
        record = None if change.record is None else schema.to_wire(change.record)
        return attrs.evolve(change, record=record, fields=tuple(map(schema.wire_name, change.fields)))

    def heard(self, table: str, outcome: Outcome) -> Outcome:
        """The outcome under local names."""
        schema = self._renamed.get(table)
        match outcome:
            case Applied(version, dict(copy)) if schema is not None:
                return Applied(version, schema.from_wire(copy))
            case Conflicted(dict(copy)) if schema is not None:
                return Conflicted(schema.from_wire(copy))
            case Undeleted(record) if schema is not None:
                return Undeleted(schema.from_wire(record))
            case _:
                return outcome

    def asked(self, request: PullRequest) -> PullRequest:
        """The request under the names that the remote knows."""
        query = request.query
        schema = self._renamed.get(query.table)
        if schema is None:
            return request
        name = schema.wire_name
        renamed = attrs.evolve(
            query,
            where=None if query.where is None else with_names(query.where, name),
            order=tuple(attrs.evolve(key, by=with_names(key.by, name)) for key in query.order),
            fields=None if query.fields is None else tuple(map(name, query.fields)),
        )
        fields = None if request.fields is None else tuple(map(name, request.fields))
        return attrs.evolve(request, query=renamed, fields=fields)

    def told(self, table: str, page: Page) -> Page:
        """The page under local names."""
        schema = self._renamed.get(table)
        if schema is None:
            return page
        return attrs.evolve(page, records=[schema.from_wire(record) for record in page.records])

    def read(self, table: str, copy: Copy) -> Copy:
        """The copy under local names."""
        schema = self._renamed.get(table)
        return schema.from_wire(copy) if schema is not None and alive(copy) else copy
