"""The store contract: all that a store author reads, and all that the engine needs.

A store keeps tables of records. The engine's own tables (their names start with `__`) are ordinary tables.
Rules that every store keeps:

* A transaction is atomic and isolated, and is rolled back on any exception, which comes out as it was raised.
  Readers see one committed state.
* Write transactions run strictly one after another, across threads, and across processes where
  `multiprocess` is declared. A long wait is `StoreBusy`. A transaction inside a transaction of the same
  thread is a `StoreError`, and leaves the outer one as it was.
* Any thread may use an open store, whichever opened it. Before `open` and after `close` it is `StoreClosed`.
* A call that raises a `UsageError` has done nothing, and its transaction goes on: a table that was not opened is
  `UnknownTable`, an id that is not text `InvalidId`. Writing in a transaction that only reads is a `StoreError`.
* Every name that `TableSchema` takes is a name; two that differ in case are two.
* Every JSON value comes back exactly, also in fields that the schema does not name and where it does not
  fit the declared type: null, bool, signed 64-bit integers, finite floats bit for bit, any text without lone
  surrogates (NUL included), lists, objects, 64 levels deep. Absent is not null. A field may have any such text as
  its name. What is not JSON is `InvalidRecord`, naming the field.
* An id is any such text that is not empty; ids are one only if they are the same text.
* A query means what `tidesync.predicate` says. Kinds of values stay apart: neither equal, nor less, nor greater.
  Null equals null, and a field that is missing is null; nothing is less or greater than null. Conditions are true
  or false, nothing between. Numbers compare exactly, and the text of a DECIMAL is a number. Text compares by code
  point, and every character means itself. A structure equals nothing. Functions and arithmetic give null for what
  they cannot take. Sorted are nulls, booleans, numbers, texts, structures, and ties by id. A condition may have any
  number of constants and parts; one that is nested too deeply for the store is `InvalidQuery`.
* `TableSchema.indexes` promise cost, where `indexed` is declared: equalities on a prefix, at most one range on the
  next column, ordered by the index, costs O(log n + rows returned), and so does `get`. An iterator reads as it is
  asked, not much ahead. The memory store may scan.
* A record belongs to the caller once returned, and to the store once put: neither side sees later changes of the other.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

import attrs

from tidesync.query import Query
from tidesync.records import Record
from tidesync.schema import TableSchema


@attrs.frozen(kw_only=True)
class StoreCapabilities:
    """What a store declares beyond the rules; optional ones default to False.

    `durable`: what was committed is there for every later store on the same place, without a `close`, and after the
    process was killed at any moment: each transaction whole, or not at all. A killed process leaves no lock behind.

    `multiprocess`: processes may use stores on one place at once, and open and upgrade it at once. What one of them
    committed the others see in their next transaction. In a process that was forked while the store was open, the
    store works, or is `StoreClosed`; a transaction that was under way belongs to the parent.

    `encrypted`: without the key, nothing that records hold can be read in any file at any moment, their ids included.
    Another key is a `StoreError` and leaves the files as they are. What was changed in a file is a `StoreError`, never
    another record. Neither the key nor what records hold is in what the store, its transactions and errors say.
    """

    durable: bool = False
    multiprocess: bool = False
    encrypted: bool = False
    indexed: bool = False


class StoreTransaction(Protocol):
    """One atomic, isolated unit. Used after its end, it and its iterators raise `StoreClosed`."""

    def get(self, table: str, ids: Sequence[str]) -> list[Record | None]:
        """One answer per id, in order; None where there is nothing. Any number of ids, repeated ones too."""
        ...

    def select(self, query: Query) -> Iterator[Record]:
        """The records of the query, in its order. The table is not written while it is iterated."""
        ...

    def count(self, query: Query) -> int:
        """How many records the query has without its skip and take."""
        ...

    def put(self, table: str, records: Sequence[Record]) -> None:
        """Insert or replace whole records, by id; of two with one id the later one stays."""
        ...

    def delete(self, table: str, ids: Sequence[str]) -> int:
        """Delete by id; missing ids do not matter. Returns how many records went."""
        ...

    def delete_where(self, query: Query) -> int:
        """Delete what the query selects (skip and take included). Returns how many records went."""
        ...


class Store(Protocol):
    """A place for tables of records. Construction does no I/O."""

    @property
    def capabilities(self) -> StoreCapabilities:
        """What this store declares; constant."""
        ...

    def open(self, tables: Sequence[TableSchema]) -> None:
        """Create or upgrade the tables; idempotent, and may be called again with more tables.

        A new column is added, and takes over the values that were kept as unknown fields under its name;
        a removed one is kept as an unknown field; a changed type that would lose values (one that is stored does not
        decode as the new type) is `SchemaMismatch` and nothing is touched. Indexes come and go as declared. Where
        `multiprocess` is declared, stores on the same place that were opened with older declarations go on.
        """
        ...

    def transaction(self, *, write: bool) -> AbstractContextManager[StoreTransaction]:
        """Begin a transaction: committed (durably, where declared) when the block ends, else rolled back."""
        ...

    def close(self) -> None:
        """Release everything; idempotent. The store may be opened again.

        A transaction under way writes nothing: from then on it is `StoreClosed`, its end included.
        """
        ...
