"""The service, in a process of its own, against bare Starlette handlers on a bare connection in another."""

from __future__ import annotations

import contextlib
import http.client
import itertools
import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import attrs
import httpx

from benchmarks.measure import Result, compared, timed
from benchmarks.world import note, notes
from tidesync.contracts.transport import Absent, Applied, Change, PullRequest
from tidesync.query import Query
from tidesync.transports.http import HttpTransport

WRITES, READS, PAGE, BATCH, BATCHES, ROWS = 640, 320, 100, 1000, 5, 10_000
SERVE = ("tidesync.cli", "serve", "benchmarks.service:TABLES", "--port", "0", "--quiet")
TABLES = notes(declared=True)
_numbers = itertools.count(1_000_000)


@attrs.frozen
class Server:
    """One server that listens on this port of loopback."""

    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@contextlib.contextmanager
def running(command: list[str]) -> Iterator[Server]:
    """A server, as long as the block lasts."""
    process = subprocess.Popen(
        [sys.executable, "-m", *command], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        found = re.findall(r"\d+", line.partition("127.0.0.1")[2] or line)
        yield Server(int(found[0]))
    finally:
        process.terminate()
        _ = process.wait()
        assert process.stdout is not None
        process.stdout.close()


def results() -> Iterator[Result]:
    """REST writes and pages, one client and sixteen; batches; pages of what changed."""
    with (
        tempfile.TemporaryDirectory() as folder,
        running([*SERVE, "--db", str(Path(folder) / "service.db")]) as service,
        running(["benchmarks.bare_service", str(Path(folder) / "bare.db")]) as bare,
    ):
        for clients in (1, 16):
            yield compared(
                f"service: REST write, {clients} at once", clients, WRITES,
                lambda n=clients: _writes(service, n), lambda n=clients: _writes(bare, n), rounds=3,
            )  # fmt: skip
        yield compared(
            "service: batch push of 1,000", BATCH, BATCH * BATCHES,
            lambda: _push(service), lambda: _bare_push(bare), rounds=3,
        )  # fmt: skip
        yield compared(
            "service: delta pull, pages of 1,000", ROWS, ROWS,
            lambda: _pull(service), lambda: _bare_pull(bare), rounds=3,
        )  # fmt: skip
        for clients in (1, 16):
            yield compared(
                f"service: REST page of {PAGE}, {clients} at once", clients, READS,
                lambda n=clients: _pages(service, n), lambda n=clients: _pages(bare, n), rounds=3,
            )  # fmt: skip


# ---- plain REST: a client that costs as little as can be


def _asked(
    server: Server, clients: int, requests: int, ask: Callable[[http.client.HTTPConnection], int]
) -> float:
    """Seconds for so many requests, each client on a connection of its own."""
    connections = [http.client.HTTPConnection("127.0.0.1", server.port) for _ in range(clients)]

    def work(connection: http.client.HTTPConnection) -> None:
        for _ in range(requests // clients):
            status = ask(connection)
            assert status in (200, 201), status

    with ThreadPoolExecutor(clients) as pool:
        try:
            return timed(lambda: list(pool.map(work, connections)))
        finally:
            for connection in connections:
                connection.close()


def _writes(server: Server, clients: int) -> float:
    def write(connection: http.client.HTTPConnection) -> int:
        body = json.dumps(note(next(_numbers)))
        connection.request("POST", "/tables/notes", body, {"Content-Type": "application/json"})
        reply = connection.getresponse()
        _ = reply.read()
        return reply.status

    return _asked(server, clients, WRITES, write)


def _pages(server: Server, clients: int) -> float:
    def page(connection: http.client.HTTPConnection) -> int:
        connection.request("GET", f"/tables/notes?$orderby=id&$top={PAGE}")
        reply = connection.getresponse()
        items = json.loads(reply.read())["items"]
        assert len(items) == PAGE
        return reply.status

    return _asked(server, clients, READS, page)


# ---- batches


def _changes() -> list[Change]:
    records = [note(next(_numbers)) for _ in range(BATCH)]
    return [
        Change(
            id=f"op-{record['id']}", table="notes", record_id=record["id"], kind="insert", record=record,
            fields=tuple(record), expected=Absent(),
        )
        for record in records
    ]  # fmt: skip


def _push(server: Server) -> float:
    batches = [_changes() for _ in range(BATCHES)]
    transport = HttpTransport(server.url, protocol="tidesync")
    _ = transport.open([TABLES.schema])

    def work() -> None:
        for batch in batches:
            assert all(isinstance(outcome, Applied) for outcome in transport.push(batch))

    try:
        return timed(work)
    finally:
        transport.close()


def _bare_push(server: Server) -> float:
    batches = [[note(next(_numbers)) for _ in range(BATCH)] for _ in range(BATCHES)]
    with httpx.Client(base_url=server.url) as client:

        def work() -> None:
            for batch in batches:
                reply = client.post("/batch", content="\n".join(map(json.dumps, batch)))
                assert len([json.loads(line) for line in reply.text.splitlines()]) == BATCH

        return timed(work)


def _pull(server: Server) -> float:
    transport = HttpTransport(server.url, protocol="tidesync")
    _ = transport.open([TABLES.schema])

    def work() -> None:
        cursor, seen = None, 0
        while seen < ROWS:
            page = transport.pull(PullRequest(query=Query("notes"), cursor=cursor))
            cursor, seen = page.cursor, seen + len(page.records)

    try:
        return timed(work)
    finally:
        transport.close()


def _bare_pull(server: Server) -> float:
    with httpx.Client(base_url=server.url) as client:

        def work() -> None:
            after, seen = 0, 0
            while seen < ROWS:
                rows = [
                    json.loads(line)
                    for line in client.get("/since", params={"after": after}).text.splitlines()
                ]
                after, seen = rows[-1][0], seen + len(rows)

        return timed(work)
