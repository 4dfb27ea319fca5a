"""Runs tidesync's service on loopback: `python -m tests.peers.serving`. Once it answers, it prints {"port": N}.

DBFILE   the SQLite file; kept between runs
PORT     0: any free port
TABLES   JSON: {"name": {"column": "string"}}; a table without columns takes any

The file also counts how often each row was written, in a table that the service knows nothing of.
"""

import json
import os
import sqlite3
import sys
import threading
from contextlib import closing

from starlette.requests import Request

from tests.peers.server_process import EDITS
from tidesync.schema import Column, TableSchema
from tidesync.stores.sqlite import SQLiteStore
from tidesync.transports.authority import Authority
from tidesync.transports.principal import ANYBODY, Principal
from tidesync.transports.service import create_app
from tidesync.transports.service.server import run
from tidesync.values import ColumnType


def count_edits(path: str, tables: list[str]) -> None:
    """Let the file itself count the writes of each row."""
    with closing(sqlite3.connect(path)) as file, file:
        file.execute(f'CREATE TABLE IF NOT EXISTS "{EDITS}" (name, id, n, PRIMARY KEY (name, id))')
        for table in tables:
            for verb in ("INSERT", "UPDATE"):
                file.execute(f"""
                    CREATE TRIGGER IF NOT EXISTS "{EDITS}: {verb} {table}" AFTER {verb} ON "{table}" BEGIN
                        INSERT INTO "{EDITS}" VALUES ('{table}', new.id, 1) ON CONFLICT DO UPDATE SET n = n + 1;
                    END""")


def whoever_shows_no_token(request: Request) -> Principal | None:
    """As the Node.js server does it: no table asks for a login, and a token that is none is refused."""
    shows = "authorization" in request.headers or "x-zumo-auth" in request.headers
    return None if shows else ANYBODY


def die_with_the_tests() -> None:
    """They hold the other end of stdin: when they are gone, however that happened, so is the service."""
    while os.read(sys.stdin.fileno(), 1024):
        pass
    os._exit(0)


def tell(url: str) -> None:
    """Say where it answers."""
    print(json.dumps({"port": int(url.rpartition(":")[2])}), flush=True)


def main() -> None:
    path, given = os.environ["DBFILE"], json.loads(os.environ["TABLES"])
    tables = [
        TableSchema(name, tuple(Column(column, ColumnType(type)) for column, type in columns.items()))
        for name, columns in given.items()
    ]
    with Authority(SQLiteStore(path, synchronous="normal"), tables):
        count_edits(path, list(given))
    threading.Thread(target=die_with_the_tests, daemon=True).start()
    app = create_app(SQLiteStore(path, synchronous="normal"), tables, authorize=whoever_shows_no_token)
    run(app, port=int(os.environ["PORT"]), ready=tell)


if __name__ == "__main__":
    main()
