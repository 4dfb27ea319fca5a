"""Who asks, and which part of a remote exists for them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias

import attrs

from tidesync.contracts.transport import Rejected
from tidesync.errors import ConfigurationError
from tidesync.expressions import Expression
from tidesync.query import Expr
from tidesync.records import Record


def _views(given: Mapping[Any, Any] | None) -> Mapping[str, Expr | None] | None:
    if given is None:
        return None
    return {table_name(table): _condition(table, view) for table, view in given.items()}


def table_name(table: object) -> str:
    """The name of a table that is given by name, or as `table()` made it."""
    return str(getattr(table, "name", table))


def _condition(table: object, view: object) -> Expr | None:
    if view is None or isinstance(view, Expr):
        return view
    if isinstance(view, Expression):
        return view.expr
    raise ConfigurationError(
        f"the view of {table!r:.80} is a condition, such as todos.c.owner == 'ann', or None"
    )


def _check_name(principal: Principal, attribute: object, name: str) -> None:
    del principal, attribute
    try:
        _ = name.encode()
    except (AttributeError, UnicodeEncodeError) as error:
        raise ConfigurationError(
            f"the name of a principal is text that can be encoded, not {name!a:.80}"
        ) from error


@attrs.frozen
class Principal:
    """Somebody who was let in.

    `views` None: every table, whole. Else by table name the condition that every read, write, cursor and count
    is confined to (None: the whole table); a table that is not named does not exist for them. `name` tells
    principals apart: operation ids are remembered, and rates are counted, under it. Conditions are written with
    the names of the declared table, whatever they are on the wire; tables may stand for their names. Keep one
    object for each principal: its views are compiled once. Raises `ConfigurationError` for a view that is no
    condition, and a name that is no text.
    """

    name: str = attrs.field(validator=_check_name)
    views: Mapping[str, Expr | None] | None = attrs.field(default=None, converter=_views)

    def sees(self, table: str) -> bool:
        """Whether the table exists for them."""
        return self.views is None or table in self.views

    def view(self, table: str) -> Expr | None:
        """The condition that they are confined to; None if they see the whole table."""
        return None if self.views is None else self.views[table]


ANYBODY: Final = Principal("")
"""Whoever asks where nobody is asked who they are."""

BeforeWrite: TypeAlias = Callable[[Record | None, Record | None, Principal], Record | Rejected | None]
"""A rule of the remote's own: `before_write(old, new, principal)`, asked inside the write transaction.

`old` is the live record that the principal may see, system fields included; None: there is none, or it is
deleted. `new` is the whole record there would be; None for a delete. Both are copies, under the names that the
remote knows. Of system fields `new` has `version` alone: the version that the write was made from, as far as its
sender told. A write that conflicts with nothing has the version of `old`, so `conflicts(old, new)` tells one that
does: an update of another version or under a condition that does not hold, or an insert under the id of a live
record. It is asked only where `old` and `new` are both alive; a delete that conflicts is not asked about.

The answer is one of
* None: no objection. A conflict stays one;
* a record, written whole instead of `new` (or instead of deleting): its system fields are ignored, its id must be
  the same. *It settles a conflict*: a rule that only amends should answer None where `conflicts(old, new)`;
* `Rejected`, with a code and message for the sender.

A record that it answers is checked as one that was sent: JSON, columns of a closed schema, view, references. If
it raises, or answers anything else, the error is logged, that write's outcome is `Unknown`, and others go on. It
is not asked about a delete of what is gone, nor again when an operation is sent again after it was applied.
"""


def conflicts(old: Record | None, new: Record | None) -> bool:
    """Whether a write that `before_write` is asked about conflicts with the record that is held."""
    return old is not None and new is not None and old["version"] != new.get("version")
