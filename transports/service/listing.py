"""Which rows a list request asks for, and the address of the page behind a page; pure."""

from __future__ import annotations

import re
import urllib.parse
from collections.abc import Callable, Mapping, Sequence
from typing import Final, TypeAlias, TypeVar

import attrs

from tidesync.query import Expr, Field, Order, Query
from tidesync.records import INT_MAX, Record
from tidesync.schema import TableSchema
from tidesync.transports.layout import DELETED
from tidesync.transports.service.dialects import VERSION, Links, Manners
from tidesync.transports.service.limits import Limits
from tidesync.transports.service.odata import FilterError, parse_filter, parse_order, parse_select
from tidesync.transports.service.paging import PageTokenError, after, token
from tidesync.transports.service.problems import Problem

Pairs: TypeAlias = Sequence[tuple[str, str]]
T = TypeVar("T")

DELETED_TOO: Final = "__includedeleted"
_OPTIONS: Final = frozenset(
    ("$filter", "$orderby", "$top", "$skip", "$select", "$inlinecount", "$count", "$skiptoken", DELETED_TOO)
)
_PAGING: Final = frozenset(("$top", "$skip", "$skiptoken"))
_COUNT: Final = re.compile(r"\d{1,19}\Z", re.ASCII)
_FLAGS: Final = {"true": True, "false": False}
_INLINE: Final = {"allpages": True, "none": False}


def read_pairs(query: bytes) -> Pairs:
    """The parameters of an address. Raises `Problem` 400 for what is not UTF-8."""
    try:
        return urllib.parse.parse_qsl(query.decode("ascii"), keep_blank_values=True, errors="strict")
    except ValueError as error:
        raise Problem(400, "malformed_address", "the parameters are not percent-encoded UTF-8") from error


def read_options(pairs: Pairs) -> dict[str, str]:
    """The parameters that belong to the protocol, by their names in lower case.

    Clients add their parameters to a link that has them already: twice the same is once. Raises `Problem` 400
    for two values, and for an option of OData that is not known here.
    """
    found: dict[str, str] = {}
    for name, value in pairs:
        key = name.lower()
        if key not in _OPTIONS:
            if name.startswith("$"):
                raise Problem(400, "unknown_option", f"the option {name!r:.60} is not supported")
            continue
        if found.setdefault(key, value) != value:
            raise Problem(400, "repeated_option", f"{name} is given twice, with different values")
    return found


def versions_in(pairs: Pairs) -> list[str]:
    """The protocol versions that the parameters name."""
    return [value for name, value in pairs if name.upper() == VERSION]


def wants_deleted(options: Mapping[str, str]) -> bool:
    """Whether deleted records are asked for too. Raises `Problem` 400."""
    return _flag(options, DELETED_TOO, _FLAGS)


def _flag(options: Mapping[str, str], name: str, values: Mapping[str, bool]) -> bool:
    said = options.get(name, "")
    found = values.get(said.lower()) if said else False
    if found is None:
        raise _invalid(name, f"it is {' or '.join(values)}, not {said!r:.40}")
    return found


def _number(options: Mapping[str, str], name: str) -> int | None:
    said = options.get(name)
    if said is None:
        return None
    if not _COUNT.match(said) or int(said) > INT_MAX:
        raise _invalid(name, f"it counts records, and {said!r:.40} is no such number")
    return int(said)


def _parsed(name: str, parse: Callable[[], T]) -> T:
    try:
        return parse()
    except FilterError as error:
        raise _invalid(name, error.message, error.position) from error
    except PageTokenError as error:
        raise _invalid(name, str(error)) from error


def _invalid(name: str, reason: str, position: int | None = None) -> Problem:
    return Problem(400, "invalid_option", f"{name}: {reason}", position=position)


@attrs.frozen(kw_only=True)
class Listing:
    """A list request, read.

    `size`: the most rows in this page. `top`: how many the client wants from here on, None for all. `select`:
    local names, None for whole rows. `after`: what the last page ended with, as a condition.
    """

    table: str
    where: Expr | None
    order: tuple[Order, ...]
    after: Expr | None
    skip: int
    top: int | None
    size: int
    select: tuple[str, ...] | None
    total: bool
    deleted: bool
    pairs: Pairs

    def query(self) -> Query:
        """What is asked of the store: one row more than is given, which tells that there are more."""
        return Query(
            self.table,
            self.where,
            self.order,
            skip=self.skip,
            take=self.size + 1 if self.size else 0,
            fields=self._fields(),
            total=self.total,
        )

    def _fields(self) -> tuple[str, ...] | None:
        if self.select is None:
            return None
        keys = (key.by.name for key in self.order if isinstance(key.by, Field))
        return tuple(dict.fromkeys((*self.select, *keys, DELETED)))

    def next_query(self, last: Record, given: int, *, caps: bool) -> str | None:
        """The parameters of the page behind this one, percent-encoded; None if nothing more is wanted.

        `caps`: `$top` is how many rows the client wants in all; else it is how many fit a page.
        """
        top = self.top
        if top is not None and caps:
            top -= given
            if top <= 0:
                return None
        kept = [(name, value) for name, value in self.pairs if name.lower() not in _PAGING]
        if top is not None:
            kept.append(("$top", str(top)))
        place = token(self.order, last)
        kept.append(("$skiptoken", place) if place is not None else ("$skip", str(self.skip + given)))
        return urllib.parse.urlencode(kept, quote_via=urllib.parse.quote, safe="$")


def read_listing(
    pairs: Pairs, schema: TableSchema, manners: Manners, limits: Limits, *, closed: bool, deleted: bool
) -> Listing:
    """The list that the parameters ask for; `deleted`: deleted records are asked for elsewhere already.

    Raises `Problem` 400 naming the option, and the position in a filter, order or selection.
    """
    options = read_options(pairs)
    top = _number(options, "$top")
    where: Expr | None = None
    order: tuple[Order, ...] = ()
    select: tuple[str, ...] | None = None
    if top is not None and top > limits.page and not manners.caps:
        # Clients of 2.0 know this sentence, and ask again for so many.
        raise Problem(400, "page_too_large", f"You cannot request more than {limits.page} records")
    if text := options.get("$filter", "").strip():
        where = _parsed(
            "$filter",
            lambda: parse_filter(text, schema, dialect=manners.dialect, closed=closed, limits=limits),
        )
    if keys := options.get("$orderby", "").strip():
        order = _parsed("$orderby", lambda: parse_order(keys, schema, closed=closed, limits=limits))
    if (names := options.get("$select", "").strip()) and names != "*":
        select = _parsed("$select", lambda: parse_select(names, schema, closed=closed, limits=limits))
    place, behind = options.get("$skiptoken"), None
    if place is not None:
        behind = _parsed("$skiptoken", lambda: after(order, place))
    total = _flag(options, "$inlinecount", _INLINE)
    return Listing(
        table=schema.name,
        where=where,
        order=order,
        after=behind,
        skip=_number(options, "$skip") or 0,
        top=top,
        size=min(limits.page, limits.page_default if top is None else top),
        select=select,
        total=_flag(options, "$count", _FLAGS) or total,
        deleted=wants_deleted(options) or deleted,
        pairs=pairs,
    )


def next_address(base: str, path: str, query: str, links: Links) -> str:
    """The address of the next page: absolute, as a path, or as the community toolkit can follow it.

    Its online client takes what is before the question mark for a path, and its offline client takes all of it
    for parameters: behind an empty one, both find the others.
    """
    if links == "community":
        return f"{path}?&{query}"
    return f"{path if links == 'path' else base + path}?{query}"
