"""Requests that nobody should send: grown from grammars, and from what our own client sends."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Sequence
from typing import Any

import attrs

from tests.attacks.service import words
from tests.attacks.service.junk import Junk

BOMB = gzip.compress(b'{"title":"' + b"x" * 60_000_000 + b'"}', mtime=0)
"""60 MB in 58 kB."""


@attrs.frozen
class Request:
    """One request, whose body has the length that it says; or `raw` bytes instead."""

    method: str = "GET"
    target: bytes = b"/"
    headers: Sequence[tuple[str, str]] = ()
    body: bytes | None = None
    raw: bytes | None = None

    def text(self) -> bytes:
        """What is sent."""
        if self.raw is not None:
            return self.raw
        lines = [f"{name}: {value}".encode("utf-8", "surrogateescape") for name, value in self.headers]
        if self.body is not None:
            lines.append(b"Content-Length: %d" % len(self.body))
        first = self.method.encode() + b" " + self.target + b" HTTP/1.1"
        return b"\r\n".join([first, b"Host: here", *lines, b"", self.body or b""])


class Grammar(Junk):
    """Draws requests; `recorded` are some that a client of ours sent."""

    def __init__(self, seed: int | str, recorded: Sequence[Request]) -> None:
        super().__init__(seed)
        self.recorded = recorded

    def request(self) -> Request:
        """The next one."""
        self.count += 1
        draws: tuple[tuple[int, Callable[[], Request]], ...] = (
            (30, self.mutated),
            (25, self.listing),
            (20, self.writing),
            (15, self.native),
            (4, self.lost),
            (3, self.zipped),
            (3, self.broken),
        )
        (_, draw) = self.chance.choices(draws, [weight for weight, _ in draws])[0]
        return draw()

    def listing(self) -> Request:
        table = self.spelt(self.text()) if self.one_in(10) else self.pick(words.TABLES).encode()
        path = b"/tables/" + table + (b"/" + self.spelt(self.id()) if self.one_in(4) else b"")
        method = self.pick(("GET", "GET", "GET", "HEAD"))
        return Request(method, self.target(path, self.parameters()), self.headers())

    def writing(self) -> Request:
        method = self.pick(("POST", "POST", "PATCH", "PUT", "DELETE"))
        path = f"/tables/{self.pick(words.TABLES if self.one_in(8) else words.TABLES[:2])}".encode()
        record = self.record()
        if method != "POST" or self.one_in(4):
            path += b"/" + self.spelt(self.id())
            if not self.one_in(4):
                _ = record.pop("id", None)
        type = self.pick(words.TYPES) if self.one_in(3) else "application/json"
        operation = self.pick(("add", "replace", "remove", "move", self.text()))
        patch = [{"op": operation, "path": "/" + self.name(), "value": self.value()}]
        body = self.body(patch if type.endswith("patch+json") and self.one_in(2) else record)
        pairs = [] if self.one_in(2) else self.parameters()[:1]
        headers = [*self.headers(), ("Content-Type", type)]
        return Request(method, self.target(path, pairs), headers, None if method == "DELETE" else body)

    def native(self) -> Request:
        what = self.pick((b"push", b"push", b"pull", b"pull", b"pull", b"get", b"welcome"))
        headers = [*self.headers(), ("Content-Type", self.pick(words.TYPES[:7]))]
        if what == b"get":
            path = b"/tidesync/v1/tables/" + self.pick(words.TABLES).encode() + b"/"
            return Request("GET", path + self.spelt(self.id()), headers)
        if what == b"welcome":
            return Request(self.pick(words.METHODS), b"/tidesync/v1", headers)
        if what == b"push":
            body = b"\n".join(self.body(self.change()) for _ in range(self.chance.randrange(1, 6)))
        else:
            body = self.body(self.wanted())
        return Request("POST", b"/tidesync/v1/" + what, headers, body)

    def change(self) -> dict[str, Any]:
        id = self.id()
        change: dict[str, Any] = {
            "id": self.text() if self.one_in(8) else f"op-{self.count}-{self.chance.randrange(9)}",
            "table": self.pick(words.TABLES[:2]),
            "record_id": id,
            "kind": self.pick(("insert", "update", "delete", "undelete")),
            "record": self.record() if self.one_in(4) else {**self.record(), "id": id},
        }
        if self.one_in(2):
            expected = ("absent", "anything", {"version": self.text()}, {"tombstone": None}, self.value())
            change["expected"] = self.pick(expected)
        if self.one_in(4):
            names = ("fields", "attempts", "parameters", "id", "table", "kind", "record", self.text())
            change[self.pick(names)] = self.value()
        return change

    def wanted(self) -> dict[str, Any]:
        query: dict[str, Any] = {"table": self.pick(words.TABLES[:2]), "where": self.node()}
        wanted: dict[str, Any] = {"query": query}
        if self.one_in(2):
            values = (1, True, False, ["f1", "title"], {"sequence": 3}, 1e18, self.value())
            wanted[self.pick(words.WANTED)] = self.pick(values)
        if self.one_in(3):
            order = [[["field", self.name(), "any"], True]]
            query[self.pick(("order", "skip", "take", "fields", "total"))] = self.pick(
                (order, 3, self.value())
            )
            wanted["incremental"] = False
        return wanted

    def mutated(self) -> Request:
        """One of the recorded requests, with something changed."""
        request: Request = self.pick(self.recorded)
        match self.chance.randrange(7):
            case 0:
                return attrs.evolve(request, method=self.pick(words.METHODS))
            case 1:
                target = self.bent(request.target).replace(b" ", b"%20").lstrip(b"/")
                return attrs.evolve(request, target=b"/" + target)
            case 2:
                kept = [pair for pair in request.headers if not self.one_in(4)]
                return attrs.evolve(request, headers=[*kept, *self.headers()])
            case 3 | 4 if request.body is not None:
                return attrs.evolve(request, body=self.bent(request.body))
            case 5 if request.body is not None:
                return attrs.evolve(request, body=self.body(self.value()))
            case _:
                other: Request = self.pick(self.recorded)
                return attrs.evolve(
                    request, target=other.target, body=other.body if self.one_in(2) else request.body
                )

    def lost(self) -> Request:
        """An address that leads nowhere, and methods that nobody knows."""
        body = self.pick((None, b"{}", b"x" * 100))
        return Request(self.pick(words.METHODS), self.pick(words.PATHS), self.headers(), body)

    def zipped(self) -> Request:
        """A body that says that it is gzip."""
        good = gzip.compress(self.json(self.pick((self.record(), self.change(), self.wanted()))), mtime=0)
        cut = (good[:-4], good[:-9], good[:15], BOMB[: len(BOMB) // 2], b"\x1f\x8b", b"")
        more = (good + b"x", good + good, gzip.compress(good, mtime=0), BOMB, b"{}", self.bent(good))
        path = self.pick((b"/tables/films", b"/tidesync/v1/push", b"/tidesync/v1/pull"))
        encodings = ("gzip", "gzip", "gzip", "x-gzip", "deflate", "gzip, gzip", "br", "identity", "GZIP")
        headers = [("Content-Type", "application/json"), ("Content-Encoding", self.pick(encodings))]
        return Request("POST", path, headers, self.pick((good, *cut, *more)))

    def broken(self) -> Request:
        """What is hardly HTTP at all."""
        good = self.pick(self.recorded).text()
        noise = bytes(self.chance.randrange(256) for _ in range(self.chance.randrange(1, 400)))
        cut = good[: self.chance.randrange(len(good))]
        return Request(
            raw=self.pick((noise, noise, self.bent(good), self.bent(good), cut, cut, *words.BROKEN))
        )
