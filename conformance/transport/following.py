"""Somebody who writes, and somebody who follows by pulling: what rules about cursors are told with."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Any, Final

import attrs

from tidesync.conformance.expect import fail, true
from tidesync.conformance.transport.bench import TransportBench, overlap_of
from tidesync.conformance.transport.tables import THING
from tidesync.contracts.transport import (
    Applied,
    Change,
    CursorGuarantee,
    Page,
    PullRequest,
    Transport,
    Undeleted,
    Version,
)
from tidesync.query import Query
from tidesync.records import Copy, Json, Record, Tombstone, alive

_PAGES: Final = 300
WRITTEN: Final = ("id", "version", "text", "number")
"""The fields of what an author writes: a remote may have others, of its own."""


def shape(copy: Copy) -> Record | None:
    """A record as far as authors write it, without nulls; None for what is not alive."""
    if not alive(copy):
        return None
    return {field: copy[field] for field in WRITTEN if copy.get(field) is not None}


def updating(bench: TransportBench, copy: Record | None, table: str = THING.name, **content: Json) -> Change:
    """An update of a record as it is known: all its content goes with it, and what changed is named."""
    known = shape(copy) or {}
    whole = {field: value for field, value in known.items() if field not in ("id", "version")} | content
    expected = Version(str(known.get("version")))
    return bench.change("update", str(known.get("id")), whole, expected, fields=tuple(content), table=table)


@attrs.define
class Author:
    """Writes records through one client, and remembers what the remote holds now: a record, or None once deleted."""

    bench: TransportBench
    client: Transport
    table: str = THING.name
    committed: dict[str, Record | None] = attrs.field(factory=dict[str, "Record | None"])

    def insert(self, **content: Json) -> str:
        """Insert a record with a new id; the id."""
        return self.insert_many([content or {"text": "new"}])[0]

    def insert_many(self, contents: Iterable[dict[str, Json]]) -> list[str]:
        """Insert records with new ids, as many in one push as it takes; the ids."""
        waiting = [(self.bench.id(), content) for content in contents]
        ids = [id for id, _ in waiting]
        size = max(1, self.bench.capabilities.max_changes)
        while waiting:
            these, waiting = waiting[:size], waiting[size:]
            changes = [self.bench.change("insert", id, content, table=self.table) for id, content in these]
            outcomes = self.client.push(changes)
            for (id, content), outcome in zip(these, outcomes, strict=True):
                if not isinstance(outcome, Applied):
                    fail(f"the insert of {id} should be Applied, and is {outcome!a:.300}")
                self._note(id, content, outcome)
        return ids

    def insert_apart(self, count: int) -> list[str]:
        """Insert so many records, each in a push of its own; the ids."""
        return [self.insert(number=number) for number in range(count)]

    def update(self, id: str, **content: Json) -> None:
        """Update a record, which must still be as this author left it."""
        self.update_many([id], **content)

    def update_many(self, ids: Iterable[str], **content: Json) -> None:
        """Update records as this author left them, as many in one push as it takes."""
        waiting, size = list(ids), max(1, self.bench.capabilities.max_changes)
        while waiting:
            these, waiting = waiting[:size], waiting[size:]
            changes = [updating(self.bench, self.committed[id], self.table, **content) for id in these]
            for change, outcome in zip(changes, self.client.push(changes), strict=True):
                if not isinstance(outcome, Applied):
                    fail(f"the update of {change.record_id} should be Applied, and is {outcome!a:.300}")
                self._note(change.record_id, change.record or {}, outcome)

    def delete(self, id: str) -> Tombstone:
        """Delete a record, which must still be as this author left it; the tombstone, as far as it is told."""
        held = self.committed[id] or {}
        change = self.bench.change("delete", id, None, Version(str(held.get("version"))), table=self.table)
        outcome = self._sent(change)
        self.committed[id] = None
        return Tombstone(outcome.copy.version if isinstance(outcome.copy, Tombstone) else outcome.version)

    def insert_again(self, id: str, tombstone: Tombstone, **content: Json) -> None:
        """Insert under the id of a record that was deleted."""
        outcome = self.bench.send(
            self.client, self.bench.change("insert", id, content, tombstone, table=self.table)
        )
        if isinstance(outcome, Undeleted):
            # Revived as it was: its content is an update now, as the engine goes on.
            self.committed[id] = outcome.record
            self.update(id, **content)
        elif isinstance(outcome, Applied):
            self._note(id, content, outcome)
        else:
            fail(
                f"an insert that expects the tombstone of {id} should be Applied or Undeleted, not {outcome!a:.300}"
            )

    def look(self, id: str) -> None:
        """Learn what the remote holds, whoever wrote it."""
        copy = self.client.get(self.table, id)
        self.committed[id] = copy if isinstance(copy, dict) else None

    def _sent(self, change: Change) -> Applied:
        outcome = self.bench.send(self.client, change)
        if not isinstance(outcome, Applied):
            fail(f"the {change.kind} of {change.record_id} should be Applied, and is {outcome!a:.300}")
        return outcome

    def _note(self, id: str, content: Record, outcome: Applied) -> None:
        told = outcome.copy.get("version") if isinstance(outcome.copy, dict) else outcome.version
        if isinstance(told, str):
            self.committed[id] = {**content, "id": id, "version": told}
        else:
            self.look(id)  # the reply told no version


@attrs.define
class Follower:
    """What one client knows of a table by pulling, page after page, as an engine would keep it.

    `held`: the last that was told of each id. `cursor`: where it goes on. Where cursors promise less than HORIZON,
    `catch_up` rewinds by the declared overlap; where there are none, each pull reads everything, and what it did not
    bring is gone.
    """

    bench: TransportBench
    client: Transport
    query: Query = attrs.field(factory=lambda: Query(THING.name))
    options: dict[str, Any] = attrs.field(factory=dict[str, Any])
    held: dict[str, Record | Tombstone] = attrs.field(factory=dict[str, "Record | Tombstone"])
    departed: set[str] = attrs.field(factory=set[str])
    cursor: Json = None
    ended: bool = True
    _seen: set[str] = attrs.field(factory=set[str])

    @property
    def incremental(self) -> bool:
        """Whether a cursor is good for the next pull."""
        return self.bench.capabilities.cursor > CursorGuarantee.FULL_SCAN

    def page(self, limit: int = 1000, *, overlap: float = 0.0) -> Page:
        """Pull one page, the first of a pull if the last one came to its end."""
        if self.ended and not self.incremental:
            self.cursor, self._seen = None, set()
        page = self.client.pull(
            PullRequest(
                query=self.query,
                cursor=self.cursor,
                limit=limit,
                overlap=overlap if self.ended and self.cursor is not None else 0.0,
                incremental=self.incremental,
                **self.options,
            )
        )
        self._take(page)
        self.cursor, self.ended = page.cursor, not page.more
        if self.ended and not self.incremental:
            for id in self.held.keys() - self._seen:
                del self.held[id]
        return page

    def pull(self, limit: int = 1000, *, overlap: float = 0.0) -> list[Page]:
        """Go on to the end of a pull; its pages. `RuleBroken` if it does not end."""
        pages = [self.page(limit, overlap=overlap)]
        while not self.ended:
            before = self.cursor
            pages.append(self.page(limit))
            moved = self.ended or self.cursor != before
            true(
                moved,
                f"a page announces more, from the cursor {before!a:.200} that it was asked from: no end is near",
            )
            true(len(pages) < _PAGES, f"a pull does not end: {_PAGES} pages said that there are more")
        return pages

    def catch_up(self) -> None:
        """Pull until everything that is committed must have been told, as far as what the transport declares."""
        overlap = overlap_of(self.bench.capabilities)
        _ = self.pull()
        if overlap > 0 or not self.incremental:
            _ = self.pull(overlap=overlap)
        if self.incremental and self.query.table not in self.bench.capabilities.tombstones:
            self._look_for_the_gone()

    def expect(self, author: Author, *, only: Iterable[str] | None = None) -> None:
        """Raise `RuleBroken` unless what was told is what the author left: all of it, or `only` these ids."""
        for id in author.committed if only is None else only:
            wanted, found = shape(author.committed[id]), shape(self.held.get(id))
            if wanted is None:
                true(
                    found is None,
                    f"{id} was deleted, and whoever follows still has it: no tombstone was told",
                )
            elif found is None:
                fail(
                    f"{id} was committed at version {wanted.get('version')!a}, and no page of the pulls since told it"
                )
            elif wanted != found:
                fail(f"{id} is {wanted!a} now, and what the pulls since told of it last is {found!a}")

    def _take(self, page: Page) -> None:
        for record in page.records:
            id = str(record["id"])
            self.held[id] = record
            self.departed.discard(id)
            self._seen.add(id)
        for id in page.departed:
            _ = self.held.pop(id, None)
            self.departed.add(id)
        self.held.update(page.tombstones)

    def _look_for_the_gone(self) -> None:
        """Deletes are not told here: compare with the full list, as `pull(reconcile=True)` does."""
        everything = self.bench.drain(
            self.client, self.query, incremental=False, deleted=False, fields=("id", "version")
        )
        for id in self.held.keys() - everything.records.keys():
            del self.held[id]


def brought(pages: Iterable[Page]) -> dict[str, Record]:
    """The records of some pages, by id."""
    return {str(record["id"]): record for page in pages for record in page.records}


def comes(bench: TransportBench, author: Author, follower: Follower, act: Callable[[], str]) -> None:
    """Raise `RuleBroken` unless the next pull tells what is done, without an overlap.

    Where late commits may be missed, so may be what falls into the instant of the cursor: it is then done again.
    """
    strong = bench.capabilities.cursor >= CursorGuarantee.HORIZON
    id = ""
    for wait in (0.0,) if strong else (0.0, 0.01, 0.1, 1.1):
        time.sleep(wait)
        id = act()
        _ = follower.pull()
        if shape(author.committed[id]) == shape(follower.held.get(id)):
            return
    follower.expect(author, only=[id])
