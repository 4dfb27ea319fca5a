"""Junk for a service, one request after another: `python -m tests.attacks.service.fuzz folder seed count`.

After each: no status of 500 or above, nothing of the program's inside in the reply, and where the reply is a refusal,
nothing was written. A table that no request may name stays as it was.
"""

from __future__ import annotations

import collections
import http.client
import io
import logging
import re
import socket
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import attrs
import httpx

from tests.attacks.service.grammar import Grammar, Request
from tests.transports.service.rest.support import FILMS
from tests.transports.service.support import Serving
from tidesync import PushFailed, SyncContext, table
from tidesync.contracts.store import Store
from tidesync.contracts.transport import Absent, Applied, Change
from tidesync.query import Not, Query, equals
from tidesync.records import Record
from tidesync.schema import TableSchema
from tidesync.stores.memory import MemoryStore
from tidesync.stores.sqlite import SQLiteStore
from tidesync.transports.http import HttpTransport
from tidesync.transports.http.transport import Protocol
from tidesync.transports.principal import ANYBODY, Principal
from tidesync.transports.service import create_app
from tidesync.values import ColumnType

NOTES = TableSchema("notes", (), {})
VAULT = TableSchema("vault", (), {})
TABLES = (FILMS, NOTES, VAULT)
SECONDS = 20.0
"""By when everything is answered."""
SECRET = "vault-secret"
"""What nobody is to read."""
MOMENT = 0.05
"""How long an unfinished request is left open."""
_INSIDE = re.compile(
    rb"Traceback|File \"|\.py\b|site-packages|sqlite|apsw|SELECT |INSERT INTO|DELETE FROM [\"f]"
    rb"|no such (column|table|function)|syntax error|/(?:tmp|home|root|usr)/|<class |object at 0x|set_int_max"
    rb"|[A-Z][a-z]+Error\b|vault-secret"
)
"""What only the program could say: no request has it."""


@attrs.frozen
class Reply:
    """What came back; status 0 if nothing did."""

    status: int
    headers: Sequence[tuple[str, str]]
    body: bytes

    def header(self, name: str) -> str | None:
        return next((value for each, value in self.headers if each.lower() == name), None)


class Line:
    """A connection that is made anew when it ends."""

    def __init__(self, port: int) -> None:
        self.port = port
        self._socket: socket.socket | None = None

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def send(self, request: Request) -> Reply:
        """The reply to one request. Raises TimeoutError where there is none in time."""
        if request.raw is not None:
            return self._send_raw(request.raw)
        for again in (False, True):
            fresh = self._socket is None
            line = self._socket = self._socket or self._connect()
            try:
                # A refusal may come before all of it was sent.
                with suppress(BrokenPipeError, ConnectionResetError):
                    line.sendall(request.text())
                reply = self._read(line, request.method)
            except (http.client.HTTPException, ConnectionError):
                self.close()
                if fresh or again:
                    return Reply(0, (), b"")
                continue
            if reply.status in (0, 400, 408, 413) or "close" in (reply.header("connection") or ""):
                self.close()
            return reply
        raise AssertionError

    def _connect(self) -> socket.socket:
        line = socket.create_connection(("127.0.0.1", self.port), SECONDS)
        line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return line

    @staticmethod
    def _read(line: socket.socket, method: str) -> Reply:
        # http.client takes a reply to every other method for one with a body.
        with http.client.HTTPResponse(line, method=method) as reply:
            reply.begin()
            return Reply(reply.status, reply.getheaders(), reply.read())

    def _send_raw(self, raw: bytes) -> Reply:
        with self._connect() as line:
            with suppress(OSError):
                line.sendall(raw)
            found = io.BytesIO()
            # What has no end is waited for a moment only. An end of what is sent is the end of the connection: the
            # server takes it so.
            for patience in (MOMENT, SECONDS):
                line.settimeout(patience)
                try:
                    while part := line.recv(1 << 16):
                        _ = found.write(part)
                    break
                except ConnectionError:
                    break
                except TimeoutError:
                    if patience == SECONDS:
                        raise
                    with suppress(OSError):
                        line.shutdown(socket.SHUT_WR)
        told = found.getvalue()
        # Several requests may have been in it: the worst of the replies counts.
        statuses = [int(each) for each in re.findall(rb"HTTP/1\.1 (\d{3})", told)]
        return Reply(max(statuses, default=0), (), told)


def record(url: str) -> list[Request]:
    """What our own client sends, in each of its protocols."""
    found: list[Request] = []

    def note(request: httpx.Request) -> None:
        body = request.read()
        skipped = ("host", "content-length", "transfer-encoding", "connection", "accept-encoding")
        headers = [(name, value) for name, value in request.headers.items() if name not in skipped]
        found.append(Request(request.method, request.url.raw_path, headers, body or None))

    films, protocols = table("films", {"title": str, "year": int, "won": bool}), ("2.0", "3.0", "tidesync")
    each: Protocol
    for each in protocols:
        with httpx.Client(event_hooks={"request": [note]}, trust_env=False, verify=False) as client:
            transport = HttpTransport(url, protocol=each, client=client)
            with SyncContext(MemoryStore(), transport, [films]) as ctx:
                for number in range(3):
                    ctx[films].insert({"id": f"f{number}", "title": f"t{number}", "year": 2018, "won": True})
                for step in range(3):
                    with suppress(PushFailed):  # another protocol inserted them before
                        ctx.push()
                    if step == 0:
                        ctx.pull(films, ctx[films].where(films.c.year > 2000), name="new", push="none")
                        ctx.purge(films, force=True)
                        ctx.pull(films, name="all", push="none")
                        _ = ctx[films].update("f1", year=2019, title=f"by {each}")
                        ctx[films].delete("f2")
                    if step == 1:
                        ctx[films].insert({"id": f"f-{each}", "title": "it's new", "year": 1, "won": False})
                    ctx.pull(films, name="all", push="none")
    return found


class Fuzz:
    """A service on a file, and what is known of it."""

    def __init__(self, store: Store, serving: Serving, seed: int | str) -> None:
        self.store, self.serving, self.seed = store, serving, seed
        for number in range(5):
            film = {"id": f"f{number}", "title": "A" * number, "year": 2000 + number, "won": True}
            self.put("films", film)
            self.put("vault", {**film, "title": SECRET})
        self.grammar = Grammar(seed, record(serving.url))
        self.vault = self.rows("vault")
        self.line = Line(serving.port)
        self.statuses: collections.Counter[int] = collections.Counter()
        self.number = 0

    def put(self, name: str, record: dict[str, Any]) -> None:
        """Insert a record without a request."""
        change = Change(
            id=f"{name}-{record['id']}",
            table=name,
            record_id=record["id"],
            kind="insert",
            record=record,
            fields=tuple(record),
            expected=Absent(),
        )
        (outcome,) = self.serving.app.service.authority.push([change])
        if not isinstance(outcome, Applied):
            raise AssertionError(f"{record} is {outcome}")

    def rows(self, name: str) -> list[Record]:
        with self.store.transaction(write=False) as transaction:
            return list(transaction.select(Query(name)))

    def effects(self) -> int:
        """How many writes took effect so far."""
        with self.store.transaction(write=False) as transaction:
            (meta,) = transaction.get("__authority", ["meta"])
        assert meta is not None
        return int(str(meta["sequence"]))

    def step(self) -> None:
        """One request. Raises AssertionError with all that is needed to send it again."""
        self.number += 1
        request = self.grammar.request()
        before = self.effects()
        try:
            reply = self.line.send(request)
        except TimeoutError:
            reply = Reply(599, (), b"")
        self.statuses[reply.status] += 1
        wrong = self.fault(request, reply, self.effects() - before)
        if wrong:
            text = request.text()
            raise AssertionError(
                f"seed {self.seed}, request {self.number}: {wrong}\n{text[:1500]!r} ({len(text)} bytes)\n"
                f"{reply.status} {reply.headers}\n{reply.body[:1500]!r}"
            )

    def fault(self, request: Request, reply: Reply, effects: int) -> str | None:
        """What is wrong with this reply; None if nothing is."""
        if reply.status >= 500:
            return "it failed"
        if reply.status == 0 and request.raw is None:
            return "there is no answer"
        if reply.header("x-injected") is not None or (request.raw and b"\r\nX-Injected:" in reply.body):
            return "a header was injected"
        if (said := _INSIDE.search(reply.body)) and said[0] not in request.text():
            return f"it tells {said[0]!r}"
        if effects and reply.status >= 300:
            return "it was refused, and something was written"
        if effects and request.method in ("GET", "HEAD", "OPTIONS", "TRACE") and request.raw is None:
            return "it was a read, and something was written"
        if effects > max(1, reply.body.count(b'"applied"')) and request.raw is None:
            return f"it had {effects} effects, and told of fewer"
        return None

    def end(self) -> None:
        """The service is there, and the table that nobody was to touch is as it was."""
        self.line.close()
        _ = self.serving.http.post("/tables/films", json={"id": "last", "title": "x"}).raise_for_status()
        if self.serving.http.get("/tables/films/last").json()["title"] != "x":
            raise AssertionError("what was written last is not there")
        if self.vault != self.rows("vault"):
            raise AssertionError(f"{self.vault} became {self.rows('vault')}")


@contextmanager
def fuzzed(folder: Path, seed: int | str, principal: Principal = ANYBODY) -> Iterator[Fuzz]:
    """A service with some films, ready for junk from the principal."""
    store = SQLiteStore(folder / "films.db", synchronous="normal")
    serving = Serving(create_app(store, TABLES, authorize=lambda _: principal))
    fuzz = None
    try:
        fuzz = Fuzz(store, serving, seed)
        yield fuzz
    finally:
        if fuzz is not None:
            fuzz.line.close()
        serving.stop()


CONFINED = Principal(
    "bob",
    {
        "films": Not(equals("owner", "alice", ColumnType.STRING)),
        "notes": equals("owner", None, ColumnType.ANY),
    },
)
"""Sees the films that are not Alice's, notes of nobody, and no vault."""


def hide(fuzz: Fuzz) -> None:
    """Put records where `CONFINED` does not see them, under ids that junk has."""
    for id in ("f9", "null", "0", "x", "NaN"):
        fuzz.put("films", {"id": id, "title": SECRET, "owner": "alice", "year": 2000})
        fuzz.put("notes", {"id": id, "title": SECRET, "owner": SECRET, "x": SECRET})


def main(folder: str, seed: str, count: str) -> None:
    logging.disable(logging.CRITICAL)
    for name, principal in (("anybody", ANYBODY), ("confined", CONFINED)):
        place = Path(folder) / name
        place.mkdir()
        with fuzzed(place, int(seed), principal) as fuzz:
            if principal is CONFINED:
                hide(fuzz)
            for _ in range(int(count)):
                fuzz.step()
            fuzz.end()
            told = ", ".join(f"{status}: {times}" for status, times in sorted(fuzz.statuses.items()))
            print(f"{name}: {count} requests, {fuzz.effects()} writes; {told}")


if __name__ == "__main__":
    main(*sys.argv[1:])
