"""What the keepers of the two servers can do to them behind their backs, and what their servers do otherwise."""

import contextlib
import re
import sqlite3
from collections.abc import Iterator, Mapping, Sequence

import attrs

from tests.peers.remote import COLUMNS, Deviations, Way
from tests.peers.server_process import EDITS, Peer, ServerProcess
from tidesync.records import Json, Record
from tidesync.stores.sqlite import SQLiteStore
from tidesync.transports.layout import DELETED, SEQUENCE, read_meta

MANY = {"item": 80, "typed": 40, "strict": 2, "list": 6, "task": 6, "label": 2}
"""Tables of each kind of one server."""
TYPED = {
    "text": "string", "note": "string", "priority": "integer", "score": "float", "complete": "boolean",
    "due": "datetime",
}  # fmt: skip
_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


class NodeBackDoor:
    """The keeper of the Azure Mobile Apps server for Node.js: it knows the file that the rows are in."""

    deviations = Deviations(
        unknown_column=500, body_limit=100 * 1024, safe_integer=2**53, second_decimals=3, forgets=True
    )
    way = Way("auto", "2.0", asks=1)

    def __init__(self, peer: Peer) -> None:
        self._peer = peer
        self.start, self.kill = peer.start, peer.kill

    def seed(self, table: str, rows: Sequence[Mapping[str, object]], moments: Sequence[str]) -> None:
        columns = [*rows[0], "createdAt", "updatedAt", "version", "deleted"]
        marks = ", ".join("?" * len(columns))
        values = [(*row.values(), moment, moment, 1, 0) for row, moment in zip(rows, moments, strict=True)]
        with contextlib.closing(self._file()) as file, file:
            file.executemany(f"INSERT INTO [{table}] ({', '.join(columns)}) VALUES ({marks})", values)

    def tie(self, table: str, ids: Sequence[str], moment: str) -> None:
        with contextlib.closing(self._file()) as file, file:
            file.executemany(
                f"UPDATE [{table}] SET updatedAt = ?, version = version + 1 WHERE id = ?",
                [(moment, id) for id in ids],
            )

    def edits(self, table: str) -> dict[str, int]:
        # It counts them itself: a version is that number.
        with contextlib.closing(self._file()) as file:
            return {id: int(version) for id, version in file.execute(f"SELECT id, version FROM [{table}]")}

    def _file(self) -> sqlite3.Connection:
        return sqlite3.connect(self._peer.db_path, timeout=10)


class ServiceBackDoor:
    """The keeper of tidesync's service, whose rows are in a store."""

    def __init__(self, service: ServerProcess, way: Way) -> None:
        self._path = service.db_path
        # Whoever speaks 2.0 keeps to the numbers of its servers.
        self.deviations = Deviations(
            body_limit=1 << 20, safe_integer=2**53 if way.said == "2.0" else 2**63 - 1
        )
        self.start, self.kill = service.start, service.kill

    def seed(self, table: str, rows: Sequence[Mapping[str, object]], moments: Sequence[str]) -> None:
        changed: list[Record] = [
            {name: _kept(value) for name, value in row.items()}
            | {"created_at": _kept(moment), DELETED: False}
            for row, moment in zip(rows, moments, strict=True)
        ]
        self._write(table, changed, moments)

    def tie(self, table: str, ids: Sequence[str], moment: str) -> None:
        with self._store() as store, store.transaction(write=False) as transaction:
            rows = [row for row in transaction.get(table, list(ids)) if row is not None]
        self._write(table, rows, [moment] * len(rows))

    def edits(self, table: str) -> dict[str, int]:
        with contextlib.closing(sqlite3.connect(self._path, timeout=10)) as file:
            return dict(file.execute(f'SELECT id, n FROM "{EDITS}" WHERE name = ?', [table]).fetchall())

    def _write(self, table: str, rows: Sequence[Record], moments: Sequence[str]) -> None:
        with self._store() as store, store.transaction(write=True) as transaction:
            meta = read_meta(transaction)
            numbers = range(meta.sequence + 1, meta.sequence + 1 + len(rows))
            stamped = [
                {**row, "updated_at": _kept(moment), "version": f"{number}.seeded", SEQUENCE: number}
                for row, moment, number in zip(rows, moments, numbers, strict=True)
            ]
            transaction.put(table, stamped)
            attrs.evolve(meta, sequence=numbers[-1]).write(transaction)

    @contextlib.contextmanager
    def _store(self) -> Iterator[SQLiteStore]:
        store = SQLiteStore(self._path, synchronous="normal", mode="rw")
        store.open([])
        try:
            yield store
        finally:
            store.close()


def _kept(value: object) -> Json:
    """A value as the service keeps its own: moments with microseconds."""
    assert value is None or isinstance(value, str | int | float)
    return value[:-1] + "000Z" if isinstance(value, str) and _MOMENT.fullmatch(value) else value


def node_tables(many: Mapping[str, int] = MANY) -> dict[str, object]:
    """So many tables of each kind, as app.js takes them: each test has tables of its own."""
    return {
        f"{kind}{number}": {
            "columns": COLUMNS[kind],
            "softDelete": kind != "label",
            **({"dynamicSchema": False} if kind == "strict" else {}),
        }
        for kind, count in many.items()
        for number in range(count)
    }


def service_tables(many: Mapping[str, int] = MANY) -> dict[str, Mapping[str, str]]:
    """So many tables of each kind: all but the typed and the strict ones take any column."""
    return {
        f"{kind}{number}": {"typed": TYPED, "strict": COLUMNS["strict"]}.get(kind, {})
        for kind, count in many.items()
        for number in range(count)
    }
