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


def _views(given: Mapping[str, Any] | None) -> Mapping[str, Expr | None] | None:
    if given is None:
        return None
    return {str(table): _condition(table, view) for table, view in given.items()}


def _condition(table: object, view: object) -> Expr | None:
    if view is None or isinstance(view, Expr):
        return view
    if isinstance(view, Expression):
        return view.expr
    raise ConfigurationError(f"the view of {table!r:.80} is a condition, such as todos.c.owner == 'ann', or None")


@attrs.frozen
class Principal:
    """Somebody who was let in.

    `views` None: every table, whole. Else by table name the condition that every read, write, cursor and count
    is confined to (None: the whole table); a table that is not named does not exist for them. `name` tells
    principals apart: operation ids are remembered, and rates are counted, under it.
    """

    name: str
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
"""Asked before a write: the live record there is (None: there is none) and the content there would be (None: a
delete), whose `version` is the one that the write was made from, if its sender told. It answers None for no
objection, a record to be written instead, or why the write is refused. Where both are alive and the versions
differ, the write is a conflict: None leaves it one, a record settles it."""
