"""Broken stores: values that come back otherwise."""

from __future__ import annotations

import unicodedata
from copy import deepcopy
from typing import Any

from tests.mutants.stores.bases import broken
from tidesync.errors import InvalidRecord
from tidesync.records import Record
from tidesync.stores.memory import MemoryTransaction
from tidesync.values import ColumnType


class _Keeps(MemoryTransaction):
    """Keeps something else than it was given."""

    def put(self, table: str, records: Any) -> None:
        super().put(table, records)
        changes = self._changes[table]
        for record in records:
            changes[record["id"]] = self.record(table, deepcopy(record))

    def record(self, table: str, record: Record) -> Record:
        """What is kept of a record."""
        return {name: value if name == "id" else self.walked(value) for name, value in record.items()}

    def walked(self, value: Any) -> Any:
        """What is kept of a value, and of all in it."""
        if isinstance(value, list):
            value = [self.walked(item) for item in value]
        elif isinstance(value, dict):
            value = {key: self.walked(item) for key, item in value.items()}
        return self.value(value)

    def value(self, value: Any) -> Any:
        """What is kept of a value."""
        return value


@broken("test_integers_keep_their_bits")
class IntegersAreFloats(_Keeps):
    """Numbers pass through a float, as in JavaScript."""

    def value(self, value: Any) -> Any:
        return int(float(value)) if type(value) is int and abs(value) < 2**63 - 1000 else value


@broken("test_integers_keep_their_bits")
class IntegersOf32Bits(_Keeps):
    """A column of 32 bits."""

    def value(self, value: Any) -> Any:
        return (value + 2**31) % 2**32 - 2**31 if type(value) is int else value


@broken("test_floats_keep_their_bits")
class FloatsAreText(_Keeps):
    """Floats are kept as text of 15 digits."""

    def value(self, value: Any) -> Any:
        return float(f"{value:.15g}") if type(value) is float else value


@broken("test_floats_keep_their_bits")
class WholeFloatsAreIntegers(_Keeps):
    """1.0 comes back as 1."""

    def value(self, value: Any) -> Any:
        return int(value) if type(value) is float and value.is_integer() else value


@broken("test_floats_keep_their_bits")
class ZeroHasNoSign(_Keeps):
    """-0.0 comes back as 0.0."""

    def value(self, value: Any) -> Any:
        return value + 0.0 if type(value) is float else value


@broken("test_booleans_are_no_numbers")
class TrueComesBackAsOne(_Keeps):
    """The database has no booleans: true comes back as 1 where the column is not declared as one."""

    def record(self, table: str, record: Record) -> Record:
        types = self._store._columns[table]
        return {
            name: int(value) if type(value) is bool and types.get(name) is not ColumnType.BOOLEAN else value
            for name, value in record.items()
        }


@broken("test_texts_keep_their_characters")
class TextsEndAtNul(_Keeps):
    """A text is cut at a NUL."""

    def value(self, value: Any) -> Any:
        return value.partition("\0")[0] if type(value) is str else value


@broken("test_texts_keep_their_characters")
class TextsAreComposed(_Keeps):
    """Texts are normalized to NFC."""

    def value(self, value: Any) -> Any:
        return unicodedata.normalize("NFC", value) if type(value) is str else value


@broken("test_texts_keep_their_characters")
class LineEndsAreUnix(_Keeps):
    """A file that was opened as text: its line ends become newlines."""

    def value(self, value: Any) -> Any:
        return value.replace("\r\n", "\n").replace("\r", "\n") if type(value) is str else value


@broken("test_structures_keep_their_parts")
class EmptyListsAreNull(_Keeps):
    """An empty list is kept as null."""

    def value(self, value: Any) -> Any:
        return None if value == [] else value


@broken("test_structures_keep_their_parts")
class KeysAreStripped(_Keeps):
    """Keys of objects lose the spaces around them."""

    def value(self, value: Any) -> Any:
        return {key.strip(): item for key, item in value.items()} if type(value) is dict else value


@broken("test_nesting_goes_to_the_limit")
class NestingIsLimitedBelow(_Keeps):
    """A check of the depth that is off by one."""

    def put(self, table: str, records: Any) -> None:
        for record in records:
            for name, value in record.items():
                depth, inner = 0, value
                while isinstance(inner, list | dict) and inner:
                    depth, inner = depth + 1, next(iter(inner.values() if isinstance(inner, dict) else inner))
                if 64 <= depth < 100:
                    raise InvalidRecord(table, name, type(value).__name__, "it is nested too deeply")
        super().put(table, records)


@broken("test_absent_is_not_null")
class NullIsAbsent(_Keeps):
    """A field that is null is not kept."""

    def record(self, table: str, record: Record) -> Record:
        return {name: value for name, value in record.items() if value is not None}


@broken("test_absent_is_not_null")
class AbsentIsNull(_Keeps):
    """Columns that a record has not come back as null."""

    def record(self, table: str, record: Record) -> Record:
        return {**dict.fromkeys(self._store._columns[table]), **record}


@broken("test_a_column_holds_what_does_not_fit_it")
class ColumnsConvert(_Keeps):
    """A column of numbers makes a number of the text "007", as SQLite's affinity does."""

    def record(self, table: str, record: Record) -> Record:
        return {name: self.converted(table, name, value) for name, value in record.items()}

    def converted(self, table: str, name: str, value: Any) -> Any:
        kind = self._store._columns[table].get(name)
        if kind in (ColumnType.INTEGER, ColumnType.FLOAT) and type(value) is str and value.isdigit():
            return int(value)
        return value


@broken("test_fields_may_have_any_name")
class DottedNamesArePaths(_Keeps):
    """A field "a.b" that nobody declared is kept as a field "b" in "a"."""

    def record(self, table: str, record: Record) -> Record:
        return {name.partition(".")[0] or name: value for name, value in record.items()}


@broken("test_any_record_comes_back")
class FirstRecordTellsTheColumns(MemoryTransaction):
    """All records of a put are written with the columns of the first one."""

    def put(self, table: str, records: Any) -> None:
        columns = records[0] if records else ()
        super().put(table, [{name: record[name] for name in record if name in columns} for record in records])


@broken("test_any_record_comes_back")
class ListsOutliveTheirRecord(_Keeps):
    """Lists are rows of another table, and stay when their record is replaced."""

    def record(self, table: str, record: Record) -> Record:
        old = self._tables[table].get(str(record["id"]), {})
        return {**{name: value for name, value in old.items() if type(value) is list}, **record}


@broken("test_ids_are_told_apart")
class IdsAreComposed(MemoryTransaction):
    """Ids are normalized to NFC, as names of files are."""

    def put(self, table: str, records: Any) -> None:
        ids = [record["id"] for record in records]
        super().put(table, records)
        for id in ids:
            row = self._changes[table].pop(id)
            self._changes[table][unicodedata.normalize("NFC", id)] = row

    def get(self, table: str, ids: Any) -> Any:
        return super().get(table, [unicodedata.normalize("NFC", id) for id in ids])


@broken("test_ids_are_told_apart")
class IdsIgnoreCase(MemoryTransaction):
    """Ids are compared without case, as the collation of the column says."""

    def delete(self, table: str, ids: Any) -> int:
        lower = {id.lower() for id in ids}
        return super().delete(
            table, [str(row["id"]) for row in self._rows(table) if str(row["id"]).lower() in lower]
        )


@broken("test_ids_may_be_long")
class KeysOf511Bytes(MemoryTransaction):
    """A key has 511 bytes, and the rest of an id is not looked at."""

    def get(self, table: str, ids: Any) -> Any:
        short = {str(row["id"]).encode()[:511]: str(row["id"]) for row in self._rows(table)}
        return super().get(table, [short.get(id.encode()[:511], id) for id in ids])


@broken("test_records_may_be_large")
class TextsOf64Kilobytes(_Keeps):
    """A column of text holds 65,535 characters, and drops the others."""

    def value(self, value: Any) -> Any:
        return value[:65_535] if type(value) is str else value


@broken("test_what_was_put_belongs_to_the_store")
class KeepsTheGivenLists(MemoryTransaction):
    """Put copies a record, but not the lists in it."""

    def put(self, table: str, records: Any) -> None:
        super().put(table, records)
        self._changes[table].update({record["id"]: dict(record) for record in records})


@broken("test_what_was_returned_belongs_to_the_caller")
class GivesItsOwnLists(MemoryTransaction):
    """Get copies a record, but hands out the store's own lists."""

    def get(self, table: str, ids: Any) -> Any:
        rows = {row["id"]: row for row in self._rows(table)}
        return [dict(rows[id]) if id in rows else None for id in ids]


@broken("test_put_sees_every_difference")
class EqualIsLeftOut(MemoryTransaction):
    """A record that equals the one that is there is not written; True equals 1."""

    def put(self, table: str, records: Any) -> None:
        super().put(
            table,
            [
                record
                for record in records
                if super(EqualIsLeftOut, self).get(table, [record["id"]]) != [record]
            ],
        )


class _Takes(MemoryTransaction):
    """Takes what is not JSON."""

    def put(self, table: str, records: Any) -> None:
        try:
            super().put(table, records)
        except InvalidRecord:
            if not all(self.takes(record) for record in records):
                raise
            self._changes.setdefault(table, {}).update({record["id"]: dict(record) for record in records})

    def takes(self, record: Any) -> bool:
        """Whether the record is taken all the same."""
        return any(self.takes_value(value) for value in record.values())

    def takes_value(self, value: Any) -> bool:
        """Whether the value is taken, by itself or inside another one."""
        return False


@broken("test_not_a_number_is_refused")
class NotANumberIsNull(_Takes):
    """NaN is taken, as `json.dumps` does."""

    def takes_value(self, value: Any) -> bool:
        return type(value) is float and value != value  # noqa: PLR0124  only NaN differs from itself


@broken("test_not_a_number_is_refused")
class OnlyTheTopIsChecked(_Takes):
    """Infinities inside a list are not looked at."""

    def takes_value(self, value: Any) -> bool:
        return (type(value) is list and value == [float("inf")]) or value == {"a": [float("inf")]}


@broken("test_integers_beyond_64_bits_are_refused")
class LargeIntegersAreTaken(_Takes):
    """JSON text limits no integer."""

    def takes_value(self, value: Any) -> bool:
        return type(value) is int


@broken("test_integers_beyond_64_bits_are_refused")
class LargeIntegersOverflow(MemoryTransaction):
    """An integer of more than 64 bits is the driver's own error."""

    def put(self, table: str, records: Any) -> None:
        try:
            super().put(table, records)
        except InvalidRecord as error:
            raise OverflowError("Python int too large to convert to SQLite INTEGER") from error


@broken("test_lone_surrogates_are_refused")
class SurrogatesPass(_Takes):
    """Half of a surrogate pair is kept, escaped as in JSON."""

    def takes_value(self, value: Any) -> bool:
        return type(value) is str


@broken("test_other_types_are_refused")
class TuplesAreLists(_Takes):
    """A tuple is taken for a list."""

    def takes_value(self, value: Any) -> bool:
        return type(value) is tuple


@broken("test_other_types_are_refused")
class IntegerKeysAreText(_Takes):
    """Keys that are numbers are taken, as `json.dumps` does."""

    def takes_value(self, value: Any) -> bool:
        return type(value) is dict and {type(key) for key in value} == {int}


@broken("test_what_is_nested_too_deeply_is_refused")
class DepthIsNotLimited(_Takes):
    """Nobody counts the levels of a list."""

    def takes_value(self, value: Any) -> bool:
        return isinstance(value, list | dict)


@broken("test_what_is_nested_too_deeply_is_refused")
class DepthIsRecursion(MemoryTransaction):
    """What is nested too deeply is a RecursionError of the encoder."""

    def put(self, table: str, records: Any) -> None:
        try:
            super().put(table, records)
        except InvalidRecord as error:
            raise RecursionError("maximum recursion depth exceeded while encoding a JSON object") from error


@broken("test_names_of_fields_are_text")
class NamesAreMadeText(_Takes):
    """A field named 1 becomes a field named "1"."""

    def takes(self, record: Any) -> bool:
        return any(type(name) is int for name in record)


@broken("test_ids_hold_no_lone_surrogates")
class IdsAreEncodedSomehow(MemoryTransaction):
    """Half of a surrogate pair in an id becomes a question mark."""

    def get(self, table: str, ids: Any) -> Any:
        return super().get(table, [id.encode("utf-8", "replace").decode() for id in ids])
