"""What decides a write besides what is held: who sees what, what fits, and the remote's own rule."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Mapping, Sequence
from typing import Final, TypeAlias

import attrs

from tidesync.arguments import is_async
from tidesync.contracts.transport import Rejected, Unknown
from tidesync.errors import ConfigurationError
from tidesync.records import Record, same
from tidesync.schema import Column, TableSchema
from tidesync.transports.commits import Effect, Write, read_write
from tidesync.transports.fitting import Closed
from tidesync.transports.layout import DELETED, content_in
from tidesync.transports.principal import BeforeWrite, Principal, table_name
from tidesync.transports.views import Views
from tidesync.values import copy_json

Referrers: TypeAlias = Mapping[str, Sequence[tuple[str, Column]]]
"""By table: the tables and columns whose values name its records."""

FORBIDDEN: Final = Rejected(
    "forbidden", "the record would not be one that you may see, or its id is not free: nothing was changed"
)
"""One and the same answer to a write that leads out of a view, and to an insert under a hidden id."""

_log: Final = logging.getLogger(__name__)


@attrs.frozen(kw_only=True)
class Rules:
    """All that an authority knows beforehand about writes.

    `tables` are under wire names. `referrers` None: references are not enforced. `remembers` is in seconds, None
    for ever. `before_write` and `closed` are by table, and hold those that have one. `limit` is in bytes of JSON.
    """

    tables: Mapping[str, TableSchema]
    views: Views
    referrers: Referrers | None
    remembers: float | None
    before_write: Mapping[str, BeforeWrite]
    closed: Mapping[str, Closed]
    limit: int

    def read(self, write: Write) -> Effect | Rejected:
        """The effect that a write asks for, or why it can have none, whatever the remote holds."""
        table = write.change.table
        view = self.views.of(write.principal, table)
        if view is None:
            return Rejected("unknown_table", f"there is no table {table!r:.80} here")
        return read_write(write, self.limit, view)

    def refusal(self, effect: Effect, held: Record | None) -> Rejected | None:
        """Why a closed table does not take a write that meets this row, or None.

        What an update leaves as it is held need not fit: a client that sends whole records sends that too.
        """
        updates = effect.change.kind == "update"
        old = content_in(held) if updates and held is not None and not held[DELETED] else None
        whole = effect.write.whole if updates else effect.change.kind == "insert"
        return self._unfit(effect, old, whole=whole)

    def amend(self, effect: Effect, held: Record | None, answer: Record) -> Effect | Rejected:
        """The effect of a record that the rule answered; what it leaves as it was need not fit."""
        record = {"id": effect.change.record_id, **answer}
        change = attrs.evolve(effect.change, kind="insert", record=record)
        amended = read_write(attrs.evolve(effect.write, change=change), self.limit, effect.view)
        if not isinstance(amended, Effect):
            return amended
        # It stays the operation that was sent: what it is known by does not change.
        settled = attrs.evolve(effect, values=amended.values, removed=frozenset())
        old = None if held is None else content_in(held)
        return self._unfit(settled, old, whole=True) or settled

    def _unfit(self, effect: Effect, old: Record | None, *, whole: bool) -> Rejected | None:
        """Why what is written or taken away, where `old` is held, does not fit; `whole`: nothing else is left."""
        takes = self.closed.get(effect.change.table)
        if takes is None:
            return None
        kept = {} if old is None else old
        written = {
            name: value
            for name, value in effect.values.items()
            if name not in kept or not same(kept[name], value)
        }
        gone = [name for name in takes.fits if name not in effect.values] if whole else effect.removed
        return takes.refusal(written, [name for name in gone if old is None or name in old])

    def ask(
        self, table: str, old: Record | None, new: Record | None, principal: Principal
    ) -> Record | Rejected | Unknown | None:
        """What `before_write` says of a write; None where there is no rule. It never raises."""
        rule = self.before_write.get(table)
        if rule is None:
            return None
        try:
            answer = rule(_copied(old), _copied(new), principal)
            if answer is None or isinstance(answer, dict | Rejected):  # pyright: ignore[reportUnnecessaryIsInstance]  # callers without types
                return answer
            raise TypeError(f"it answers None, a record or Rejected, not {type(answer).__name__}")
        except Exception as error:  # noqa: BLE001  # its sender is told nothing of it
            # Its text may quote a record.
            places = "".join(traceback.format_tb(error.__traceback__))
            _log.error(
                "before_write of table %s failed, nothing was written: %s, whose text is logged at DEBUG\n%s",
                table,
                type(error).__name__,
                places,
            )
            _log.debug("before_write of table %s failed", table, exc_info=error)
            return Unknown("the remote's rule for this table failed: nothing was changed")


def _copied(record: Record | None) -> Record | None:
    return None if record is None else {name: copy_json(value) for name, value in record.items()}


def by_table(
    given: BeforeWrite | Mapping[str, BeforeWrite] | None, tables: Sequence[str]
) -> dict[str, BeforeWrite]:
    """The rule of each table that has one; `ConfigurationError` for a table that there is not."""
    if given is None:
        return {}
    if callable(given):
        _check_waits_for_nothing(given, "before_write")
        return dict.fromkeys(tables, given)
    if not isinstance(given, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance]  # callers without types
        raise ConfigurationError(f"before_write is a function, or functions by table, not {given!r:.60}")
    rules = {table_name(table): rule for table, rule in given.items()}
    for table, rule in rules.items():
        if table not in tables:
            known = ", ".join(tables) or "none"
            raise ConfigurationError(f"before_write names the table {table!r}: the tables are {known}")
        if not callable(rule):
            raise ConfigurationError(f"before_write of {table} is a function, not {rule!r:.60}")
        _check_waits_for_nothing(rule, f"before_write of {table}")
    return rules


def _check_waits_for_nothing(rule: BeforeWrite, what: str) -> None:
    if is_async(rule):
        raise ConfigurationError(
            f"{what} is a coroutine function, and is asked inside a transaction: make it a plain one"
        )
