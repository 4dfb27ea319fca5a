"""Looking at every page and every row of a file."""

from __future__ import annotations

import itertools
from typing import Final

from tidesync.errors import StoreCorrupt
from tidesync.stores.sql.driver import Connection
from tidesync.stores.sql.migrations import read_layouts
from tidesync.stores.sql.rows import Codec

_BATCH: Final = 500


def check_whole(connection: Connection, path: str) -> None:
    """Raise `StoreCorrupt` unless every page is sound and every row is a record; in one reading transaction."""
    told = [str(row[0]) for row in connection.execute("PRAGMA integrity_check(5)")]
    if told != ["ok"]:
        raise StoreCorrupt(f"{path}: the file is damaged: {'; '.join(told)}: restore a copy")
    try:
        layouts = read_layouts(connection)
    except (ValueError, TypeError) as error:
        raise StoreCorrupt(f"{path}: the list of tables is damaged: restore a copy") from error
    for layout in layouts.values():
        codec = Codec(layout)
        rows = connection.execute(f"SELECT {codec.columns} FROM {codec.table}")
        while batch := list(itertools.islice(rows, _BATCH)):
            try:
                _ = codec.decode(batch)
            except (ValueError, TypeError, LookupError) as error:
                raise StoreCorrupt(
                    f"{path}: {layout.table} holds a row that is no record: restore a copy"
                ) from error
