"""A remote's duties, held once, on any store: loopback is a face of it, and other ways to a remote can be.

Writing is in `work.py`, reading in `pages.py`, how it is kept in `layout.py`.
"""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal

import attrs

from tidesync.contracts.store import Store, StoreTransaction
from tidesync.contracts.transport import (
    Change,
    CursorGuarantee,
    Outcome,
    Page,
    PullRequest,
    Rejected,
    TransportCapabilities,
    Untried,
)
from tidesync.errors import ConfigurationError, RequestRefused
from tidesync.objects import Table
from tidesync.query import Query
from tidesync.records import Copy, Record, alive
from tidesync.schema import Column, TableSchema
from tidesync.transports.commits import Effect, Write
from tidesync.transports.compaction import compact
from tidesync.transports.fitting import closed
from tidesync.transports.layout import (
    HIDDEN,
    LIVE,
    OWN_TABLES,
    Meta,
    begin_epoch,
    check_owner,
    copy_of,
    find_meta,
    forget_epochs,
    moment,
    own,
    read_meta,
    stored,
)
from tidesync.transports.pages import Answer
from tidesync.transports.principal import ANYBODY, BeforeWrite, Principal
from tidesync.transports.rules import Rules, by_table
from tidesync.transports.views import View, Views
from tidesync.transports.work import Work

PAGE_LIMIT = 1000


@attrs.frozen
class Decided:
    """What comes of some writes: one outcome each, and what took effect at `clock`, with the rows that were left."""

    outcomes: list[Outcome]
    written: Sequence[tuple[Effect, Record]]
    clock: str


class Authority:
    """The remote: it decides every write, and tells each follower what was committed since.

    `tables` are the tables it holds, or their schemas; it knows their columns by their wire names.
    `foreign_keys`: their references are enforced. `identity` names it; if None, it is drawn at the
    first open and kept. `epoch`: whose numbers its store has; None: each opening begins an epoch of its own.
    `remembers`: seconds for which operation ids are known, None for ever.
    `max_changes` bounds one push, `record_limit` the bytes of JSON in one change. `clock` tells seconds
    since 1970, of which whole milliseconds are kept. `before_write` is a rule for all tables, or one by table.
    `schema` "closed": tables that declare columns hold those only, with values that fit them. It keeps
    no state outside the store: several authorities may share one, from several processes too where the
    store allows that. Raises `StoreError` where the store fails, never for what a change holds: that is
    an outcome.
    """

    def __init__(  # noqa: PLR0913  # each is an option of its own, by keyword
        self,
        store: Store,
        tables: Iterable[TableSchema | Table[Any]],
        *,
        foreign_keys: bool = False,
        identity: str | None = None,
        epoch: str | None = None,
        remembers: float | None = None,
        max_changes: int = 1000,
        record_limit: int = 1 << 20,
        clock: Callable[[], float] = time.time,
        before_write: BeforeWrite | Mapping[str, BeforeWrite] | None = None,
        schema: Literal["open", "closed"] = "open",
    ) -> None:
        if schema not in ("open", "closed"):
            raise ConfigurationError(f"schema is 'open' or 'closed', not {schema!r:.60}")
        self.store, self.clock, self.remembers = store, clock, remembers
        self.max_changes, self.record_limit, self.schema = max_changes, record_limit, schema
        given = _declared(tables)
        declared = {name: each.schema if isinstance(each, Table) else each for name, each in given.items()}
        self.tables = {name: each.at_the_remote() for name, each in declared.items()}
        self.foreign_keys = foreign_keys
        self._identity, self._epoch = identity, epoch
        self._opening, self._begun = threading.Lock(), False
        self._views = Views(declared)
        referrers = self._referrers() if foreign_keys else None
        fits = {name: closed(each) for name, each in given.items()} if schema == "closed" else {}
        self._rules = Rules(
            tables=self.tables,
            views=self._views,
            referrers=referrers,
            remembers=remembers,
            before_write=by_table(before_write, tuple(self.tables)),
            closed={name: fit for name, fit in fits.items() if fit is not None},
            limit=record_limit,
        )

    def _referrers(self) -> dict[str, list[tuple[str, Column]]]:
        """By table, who names its records."""
        referrers: dict[str, list[tuple[str, Column]]] = {name: [] for name in self.tables}
        for schema in self.tables.values():
            for name, target in (schema.references or {}).items():
                if target not in self.tables:
                    raise ConfigurationError(f"{schema.name}.{name} references {target!r}: declare it too")
                referrers[target].append((schema.name, schema.by_name[name]))
        return referrers

    # ---- life

    def open(self) -> Authority:
        """Open the store, create what is missing, and learn the identity; idempotent."""
        kept = [stored(table, foreign_keys=self.foreign_keys) for table in self.tables.values()]
        with self._opening:
            check_owner(self.store)
            self.store.open([*kept, *OWN_TABLES])
            with self.store.transaction(write=True) as transaction:
                meta = find_meta(transaction) or Meta(self._identity or str(uuid.uuid4()))
                if self._identity not in (None, meta.identity):
                    raise ConfigurationError(
                        f"the store is of remote {meta.identity!r}, not {self._identity!r}: use another store"
                    )
                if not self._begun:
                    begin_epoch(transaction, meta, self._epoch)
                    own(transaction)
            self._identity, self._begun = meta.identity, True
        return self

    def close(self) -> None:
        """Close the store; idempotent."""
        with self._opening:
            self._begun = False
            self.store.close()

    def __enter__(self) -> Authority:
        return self.open()

    def __exit__(self, *exception: object) -> None:
        self.close()

    def capabilities(self) -> TransportCapabilities:
        """What a face of this authority may declare; only once it was opened."""
        if self._identity is None:
            raise ConfigurationError("the authority has no identity yet: call open() first")
        return TransportCapabilities(
            identity=self._identity,
            cursor=CursorGuarantee.COMMIT_ORDERED,
            max_changes=self.max_changes,
            ordered=True,
            total=True,
            filters=True,
            tombstones=frozenset(self.tables),
            departures=frozenset(self.tables),
            remembers=self.remembers,
            page_limit=PAGE_LIMIT,
        )

    # ---- reading

    def get(self, table: str, id: str, principal: Principal = ANYBODY) -> Copy:
        """What is held under this id now: a record, a tombstone, or None."""
        view = self.view(table, principal)
        with self.store.transaction(write=False) as transaction:
            return copy_of(view.row(transaction.get(table, [id])[0]))

    def records(self, table: str) -> list[Record]:
        """All live records of the table, by id."""
        _ = self.view(table, ANYBODY)
        with self.store.transaction(write=False) as transaction:
            return [copy for copy in map(copy_of, transaction.select(Query(table, LIVE))) if alive(copy)]

    def pull(self, request: PullRequest, principal: Principal = ANYBODY) -> Page:
        """One page: what was committed since the cursor and matches, in the order of commits.

        Every tombstone since the cursor is told. Without a cursor all that matches comes, with all tombstones
        if `deleted` is set; if it is not, still those of what dies between the pages of that first pull.
        A request that is not incremental and has an order, skip or take is a listing in that order (a record
        that moves between its pages may be missed); one with `ids` is a lookup. `total` counts what matches
        from the request's cursor on, without skip and take.
        Raises `ResyncRequired` for a cursor that is not honoured, `RequestRefused` for what has no meaning.
        """
        query = request.query
        view = self.view(query.table, principal)
        if request.limit < 1:
            raise RequestRefused(f"limit is {request.limit}: at least 1 is needed", code="invalid_request")
        if request.incremental and (query.order or query.skip or query.take is not None):
            raise RequestRefused("an incremental pull has no order, skip or take", code="invalid_request")
        with self.store.transaction(write=False) as transaction:
            meta = read_meta(transaction)
            answer = Answer(transaction, meta, request, min(request.limit, PAGE_LIMIT), view)
            page = answer.page() if answer.ready() else None
        if page is None:
            self._keep_trails(query.table)
            return self.pull(request, principal)
        return attrs.evolve(page, clock=max(moment(self.clock()), meta.clock))

    def _keep_trails(self, table: str) -> None:
        """From now on keep what is replaced in a table: somebody follows it who sees a part of it only."""
        with self.store.transaction(write=True) as transaction:
            meta = read_meta(transaction)
            if table not in meta.trails:
                attrs.evolve(meta, trails={**meta.trails, table: meta.sequence}).write(transaction)

    def is_closed(self, table: str) -> bool:
        """Whether the table holds nothing but its declared columns."""
        return table in self._rules.closed

    def view(self, name: str, principal: Principal = ANYBODY) -> View:
        """What the principal sees of a table, under the names that are kept; `RequestRefused` if none of it."""
        view = self._views.of(principal, name)
        if view is None:
            known = ", ".join(filter(principal.sees, self.tables)) or "none"
            raise RequestRefused(
                f"there is no table {name!r:.80} here; declared: {known}", code="unknown_table"
            )
        return view

    # ---- writing

    def push(self, changes: Sequence[Change], principal: Principal = ANYBODY) -> list[Outcome]:
        """Decide the changes one after another, in one write transaction; one outcome for each, in order.

        A refused one does not stop the rest; those past `max_changes` are `Untried`.
        """
        outcomes = self.commit([Write(change, principal) for change in changes[: self.max_changes]])
        return [*outcomes, *(Untried() for _ in changes[self.max_changes :])]

    def commit(self, writes: Sequence[Write]) -> list[Outcome]:
        """Decide the writes one after another, in one write transaction; one outcome for each, in order.

        Each is decided on what the ones before it left. What is applied is durable, where the store is, once
        this returns.
        """
        taken = self.read(writes)
        refused = [outcome for outcome in taken if not isinstance(outcome, Effect)]
        if len(refused) == len(taken):
            return list(refused)
        with self.store.transaction(write=True) as transaction:
            return self.decide(transaction, taken).outcomes

    def read(self, writes: Sequence[Write]) -> list[Effect | Rejected]:
        """What the writes ask for, or why they can have no effect, whatever is held."""
        rules = self._rules_now()
        return [rules.read(write) for write in writes]

    def decide(
        self, transaction: StoreTransaction, taken: Sequence[Effect | Rejected], after: int | None = None
    ) -> Decided:
        """Decide what was read, in a write transaction of the store that the caller ends; draw numbers from `after` on.

        Nothing is in effect before the transaction is committed.
        """
        work = Work(transaction, self._rules_now(), self.clock(), after)
        work.load([item for item in taken if isinstance(item, Effect)])
        outcomes = [work.apply(item) if isinstance(item, Effect) else item for item in taken]
        work.finish()
        return Decided(outcomes, work.written, work.clock)

    def _rules_now(self) -> Rules:
        """The rules, with what may be set while it is open."""
        return attrs.evolve(self._rules, limit=self.record_limit, remembers=self.remembers)

    def restart_followers(self) -> None:
        """Honour no cursor from before now: the store was put back from a copy.

        A follower that wrote what the copy has not, and has not pulled since, has a cursor that the copy knows: it
        would not find out otherwise.
        """
        with self.store.transaction(write=True) as transaction:
            forget_epochs(transaction, read_meta(transaction))

    def compact(self, keep: float) -> int:
        """Forget tombstones older than `keep` seconds; followers from before the last of them must resync.

        With them goes what left somebody's view longer ago: followers with a view from before then must resync too.
        Returns how many tombstones went, by the thousand in transactions of their own. Their ids are free again, as
        if they had never been used.
        """
        return compact(self.store, self.tables, moment(self.clock() - keep))


def _declared(tables: Any) -> dict[str, TableSchema | Table[Any]]:
    if isinstance(tables, Table | str) or not hasattr(tables, "__iter__"):
        raise ConfigurationError(f"tables are a list, such as [todos], not {tables!r:.60}")
    declared: dict[str, TableSchema | Table[Any]] = {}
    for each in tables:
        if not isinstance(each, Table | TableSchema):
            raise ConfigurationError(f"tables are what table() returns, not {each!r:.60}")
        schema = each.schema if isinstance(each, Table) else each
        if schema.name.startswith("__"):
            raise ConfigurationError(f"{schema.name}: names that start with __ belong to tidesync")
        if taken := HIDDEN & {name.lower() for name in schema.by_wire}:
            raise ConfigurationError(f"{schema.name}.{min(taken)}: the name belongs to the remote")
        declared[schema.name] = each
    return declared
