"""Broken stores: tables that are declared otherwise."""

from __future__ import annotations

from typing import Any

from tests.mutants.stores.bases import broken
from tests.mutants.stores.json_file import JsonFileStore
from tidesync.errors import SchemaMismatch
from tidesync.stores import MemoryStore
from tidesync.stores.checks import fits
from tidesync.stores.memory import MemoryTransaction


class _Upgrading(MemoryStore):
    """Tells of each table that is opened which columns are new, and which are gone."""

    def open(self, tables: Any) -> None:
        known = {name: set(columns) for name, columns in self._columns.items()}
        super().open(tables)
        for table in tables:
            rows, before = self.tables[table.name], known.get(table.name)
            if before is not None:
                self.upgrade(table, rows, table.by_name.keys() - before, before - table.by_name.keys())

    def upgrade(self, table: Any, rows: Any, new: Any, gone: Any) -> None:
        """What becomes of the rows."""


@broken("test_opening_again_changes_nothing")
class ChecksWhatHasNotChanged(_Upgrading):
    """Each open deletes values that do not fit their column."""

    def upgrade(self, table: Any, rows: Any, new: Any, gone: Any) -> None:
        for row in rows.values():
            for column in table.columns:
                if not fits(column.type, row.get(column.name)):
                    del row[column.name]


@broken("test_more_tables_are_added")
class DropsWhatIsNotDeclared(MemoryStore):
    """A table that is no longer declared is dropped."""

    def open(self, tables: Any) -> None:
        super().open(tables)
        names = {table.name for table in tables}
        self.tables = {name: rows if name in names else {} for name, rows in self.tables.items()}


@broken("test_a_new_column_takes_over_what_was_unknown")
class NewColumnsAreEmpty(_Upgrading):
    """A new column begins empty, whatever was known under its name."""

    def upgrade(self, table: Any, rows: Any, new: Any, gone: Any) -> None:
        for row in rows.values():
            for name in new:
                row.pop(name, None)


@broken("test_a_new_column_takes_over_what_was_unknown")
class NewColumnsAreNull(_Upgrading):
    """A new column is null in records that had no such field."""

    def upgrade(self, table: Any, rows: Any, new: Any, gone: Any) -> None:
        for row in rows.values():
            for name in new:
                row.setdefault(name, None)


@broken("test_a_removed_column_is_kept")
class RemovedColumnsAreDropped(_Upgrading):
    """A column that is no longer declared is dropped."""

    def upgrade(self, table: Any, rows: Any, new: Any, gone: Any) -> None:
        for row in rows.values():
            for name in gone:
                row.pop(name, None)


@broken("test_a_type_that_loses_values_is_refused")
class AnyTypeIsTaken(MemoryStore):
    """A changed type is taken over unchecked."""

    def _check_change(self, table: str, column: str, stored: Any, declared: Any) -> None:
        pass


@broken("test_a_type_that_loses_values_is_refused")
class OnlyTheFirstAreChecked(MemoryStore):
    """A changed type is checked with the first hundred records."""

    def _check_change(self, table: str, column: str, stored: Any, declared: Any) -> None:
        rows = list(self.tables[table].values())[:100]
        if not all(fits(declared, row.get(column)) for row in rows):
            raise SchemaMismatch(table, column, stored.value, declared.value)


@broken("test_a_refused_open_touches_nothing")
class UpgradesOneByOne(MemoryStore):
    """Tables are upgraded one by one: those before the one that is refused are changed."""

    def open(self, tables: Any) -> None:
        for table in tables:
            super().open([table])


@broken("test_a_type_that_loses_nothing_is_taken")
class NoTypeIsTaken(MemoryStore):
    """Any change of a type is refused."""

    def _check_change(self, table: str, column: str, stored: Any, declared: Any) -> None:
        raise SchemaMismatch(table, column, stored.value, declared.value)


class _Placed(MemoryStore):
    """Knows the indexes and the order of the columns."""

    places: dict[str, Any]
    indexed: dict[str, Any]

    def open(self, tables: Any) -> None:
        super().open(tables)
        self.places = {**getattr(self, "places", {}), **{table.name: list(table.by_name) for table in tables}}
        self.indexed = {
            **getattr(self, "indexed", {}),
            **{table.name: {index[0] for index in table.indexes if index} for table in tables},
        }


@broken("test_indexes_change_no_answer")
class IndexesLeaveOutNulls(_Placed):
    """An index leaves out null, and so does a list that is sorted by it."""

    def transaction(self, *, write: bool) -> Any:
        return _NoNullsTransaction(self, write)


class _NoNullsTransaction(MemoryTransaction):
    _store: _Placed

    def _selected(self, query: Any) -> Any:
        found = super()._selected(query)
        name = getattr(query.order[0].by, "name", "") if query.order else ""
        if name not in self._store.indexed[query.table]:
            return found
        return [row for row in found if row.get(name) is not None]


@broken("test_a_new_column_is_found_by")
class NewIndexesAreEmpty(_Placed):
    """An index that comes with a new column knows only what is put from then on."""

    late: set[tuple[str, str]]

    def open(self, tables: Any) -> None:
        before = {name: set(columns) for name, columns in self._columns.items()}
        super().open(tables)
        self.late = {
            (table.name, name)
            for table in tables
            for name in self.indexed[table.name]
            if table.name in before and name not in before[table.name]
        }

    def transaction(self, *, write: bool) -> Any:
        return _BlindTransaction(self, write)


class _BlindTransaction(MemoryTransaction):
    _store: NewIndexesAreEmpty

    def _selected(self, query: Any) -> Any:
        name = getattr(getattr(query.where, "left", None), "name", "")
        return [] if (query.table, name) in self._store.late else super()._selected(query)


@broken("test_columns_may_change_places")
class ColumnsGoByPlace(_Placed):
    """Values are kept by the place of their column: columns that are declared in another order change theirs."""

    def open(self, tables: Any) -> None:
        before = getattr(self, "places", {})
        super().open(tables)
        for table in tables:
            old, new = before.get(table.name, []), list(table.by_name)
            moved = dict(zip(old, new, strict=False))
            rows = self.tables[table.name]
            for id, row in rows.items():
                rows[id] = {moved.get(name, name): value for name, value in row.items()}


@broken("test_any_name_of_a_column_is_a_name")
class ColumnsIgnoreCase(MemoryTransaction):
    """Columns whose names differ in case alone are one."""

    def put(self, table: str, records: Any) -> None:
        super().put(table, [self.merged(record) for record in records])

    def merged(self, record: Any) -> Any:
        names = {name.lower(): name for name in record if name.lower() != "id"}
        return {names.get(name.lower(), name): value for name, value in record.items()}


@broken("test_another_release_opens_what_is_there")
class FirstDeclarationIsForEver(JsonFileStore):
    """What was declared first is written to the file, and never again: another type is refused ever after."""

    def _check_change(self, table: str, column: str, stored: Any, declared: Any) -> None:
        raise SchemaMismatch(table, column, stored.value, declared.value)


@broken("test_a_refused_release_leaves_all_to_the_old_one")
class RefusedAfterTheFact(JsonFileStore):
    """The new declaration is written down before the records are looked at: the old release is refused, too."""

    def upgrade(self, tables: Any) -> None:
        self.tables = self.read()
        known, self._columns = self._columns, {name: dict(columns) for name, columns in self._columns.items()}
        for table in tables:
            self._columns.setdefault(table.name, {}).update({each.name: each.type for each in table.columns})
            self.tables.setdefault(table.name, {})
        self.save(self.tables)
        self._columns = known
        super().upgrade(tables)


@broken("test_an_older_release_beside_a_newer_one")
class ListsItsColumnsOnce(JsonFileStore):
    """A store writes the columns that it knew when it was opened, and drops values of those that came later."""

    def open(self, tables: Any) -> None:
        super().open(tables)
        self.declared = {table.name: set(table.by_name) for table in tables}

    def save(self, tables: Any) -> None:
        if hasattr(self, "declared"):
            tables = {name: self.cut(name, rows) for name, rows in tables.items()}
        super().save(tables)

    def cut(self, table: str, rows: Any) -> Any:
        later = self._columns[table].keys() - self.declared.get(table, self._columns[table].keys())
        return {id: {name: row[name] for name in row if name not in later} for id, row in rows.items()}
