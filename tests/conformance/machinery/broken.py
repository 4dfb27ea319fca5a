"""A store that is broken in one way, for what is said about it."""

from collections.abc import Sequence

from tidesync.records import Record
from tidesync.stores.memory import MemoryStore, MemoryTransaction


class _Merging(MemoryTransaction):
    def put(self, table: str, records: Sequence[Record]) -> None:
        super().put(table, [{**(self.get(table, [str(each["id"])])[0] or {}), **each} for each in records])


class MergingStore(MemoryStore):
    """Its put keeps the fields of the old record: STORE-02 is broken."""

    def transaction(self, *, write: bool) -> MemoryTransaction:
        return _Merging(self, write)
