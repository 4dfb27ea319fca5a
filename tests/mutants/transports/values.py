"""What travels, changed on its way."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from typing import Any

import attrs

from tests.mutants.transports.bases import Loopback, Rows, broken
from tests.mutants.transports.remote import Row
from tidesync.contracts.transport import Change
from tidesync.records import Copy, Json, Record, alive

_DECLARED = ("id", "text", "number", "ratio", "flag", "at", "tree")


class _Changed(Loopback):
    """Every value of a record but its id is changed, at any depth."""

    def value(self, value: Any) -> Json:
        """What becomes of a value that is no list and no object."""
        return value

    def sent(self, change: Change) -> Change:
        if change.record is None:
            return change
        record = {name: value if name == "id" else self._walk(value) for name, value in change.record.items()}
        return attrs.evolve(change, record=record)

    def _walk(self, value: Json) -> Json:
        if isinstance(value, dict):
            return {name: self._walk(each) for name, each in value.items()}
        if isinstance(value, list):
            return [self._walk(each) for each in value]
        return self.value(value)


def _texts(change: Callable[[str], Json]) -> Callable[[Any, Any], Json]:
    return lambda self, value: change(value) if isinstance(value, str) else value


@broken("test_text_travels_as_it_is")
class ComposedText(_Changed):
    """Text is brought into its composed form (NFC)."""

    value = _texts(lambda text: unicodedata.normalize("NFC", text))


@broken("test_text_travels_as_it_is")
class TrimmedText(_Changed):
    """Spaces at the ends of a text are trimmed."""

    value = _texts(str.strip)


@broken("test_text_travels_as_it_is")
class LineEnds(_Changed):
    """Line ends are those of Unix."""

    value = _texts(lambda text: text.replace("\r\n", "\n"))


@broken("test_integers_travel_as_they_are")
class IntegersAsFloats(_Changed):
    """Integers pass through floats, as in JavaScript: above 2**53 the last digits are others."""

    def value(self, value: Any) -> Json:
        return int(float(value)) if type(value) is int and abs(value) < 2**62 else value


@broken("test_floats_travel_as_they_are")
class NoMinusZero(_Changed):
    """-0.0 is printed as 0.0."""

    def value(self, value: Any) -> Json:
        return 0.0 if type(value) is float and value == 0 else value


@broken("test_floats_travel_as_they_are")
class WholeFloats(_Changed):
    """A float without decimals comes back as an integer."""

    def value(self, value: Any) -> Json:
        return int(value) if type(value) is float and value.is_integer() and abs(value) < 2**60 else value


@broken("test_any_record_travels_as_it_is")
class FifteenDigits(_Changed):
    """Floats are printed with 15 digits."""

    def value(self, value: Any) -> Json:
        return float(f"{value:.15g}") if type(value) is float else value


@broken("test_moments_travel_as_they_are")
class MomentsInMilliseconds(_Changed):
    """Datetimes are kept in milliseconds."""

    value = _texts(lambda text: f"{text[:23]}000Z" if len(text) == 27 and text.endswith("Z") else text)


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_nulls(each) for name, each in value.items() if each is not None}
    return [_without_nulls(each) for each in value] if isinstance(value, list) else value


@broken("test_trees_travel_as_they_are")
class NullsInTreesDropped(Loopback):
    """The serialiser leaves out nulls at every level."""

    def sent(self, change: Change) -> Change:
        return attrs.evolve(change, record=_without_nulls(change.record))


@broken("test_fields_that_no_schema_names_travel_too")
class DeclaredFieldsOnly(Loopback):
    """Rows are made of the declared columns; what else a record has is dropped."""

    def sent(self, change: Change) -> Change:
        if change.record is None:
            return change
        return attrs.evolve(
            change, record={name: change.record[name] for name in _DECLARED if name in change.record}
        )


@broken("test_names_of_fields_travel_as_they_are")
class LowerCaseNames(Loopback):
    """Names of fields are names of columns, whose case does not count."""

    def sent(self, change: Change) -> Change:
        if change.record is None:
            return change
        record = {name.lower(): value for name, value in change.record.items()}
        return attrs.evolve(change, record=record, fields=tuple(map(str.lower, change.fields)))


@broken("test_null_is_null_or_absent")
class NullIsEmptyText(Loopback):
    """Columns are NOT NULL with a default: what is null comes back as empty text."""

    def sent(self, change: Change) -> Change:
        if change.record is None:
            return change
        return attrs.evolve(
            change, record={name: "" if value is None else value for name, value in change.record.items()}
        )


@broken("test_a_record_may_have_many_fields")
class HundredFields(Loopback):
    """A statement has a hundred parameters, and the fields past them are left out."""

    def sent(self, change: Change) -> Change:
        if change.record is None:
            return change
        return attrs.evolve(change, record=dict(list(change.record.items())[:100]))


@broken("test_what_is_given_is_not_changed")
class TakesTheRecordApart(Loopback):
    """A push takes what it has read out of the record that it was given."""

    def push(self, changes, /):
        outcomes = super().push(changes)
        for change in changes:
            _ = (change.record or {}).pop("number", None)
        return outcomes


@broken("test_what_is_given_is_not_changed")
class KeepsTheVeryObjects(Rows):
    """A remote in memory keeps the very lists that it was given."""

    def content(self, change: Change, row: Row | None) -> Record:
        content = super().content(change, row)
        return {name: (change.record or {}).get(name, value) for name, value in content.items()}


@broken("test_what_is_returned_is_the_callers")
class HandsOutItsCache(Loopback):
    """`get` hands out the record in its cache, by version."""

    def get(self, table: str, id: str, /) -> Copy:
        copy = super().get(table, id)
        return self.shared.setdefault((table, id, copy["version"]), copy) if alive(copy) else copy


@broken("test_what_is_returned_is_the_callers")
class HandsOutItsRows(Rows):
    """A remote in memory hands out the very lists in its rows."""

    def copy(self, row: Row | None) -> Copy:
        copy = super().copy(row)
        return {**copy, **row.content} if alive(copy) and row else copy
