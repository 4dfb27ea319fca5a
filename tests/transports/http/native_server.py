"""A remote that speaks tidesync's own protocol, in memory; its network can be told to misbehave."""

import gzip
import json
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import attrs
import httpx

from tests.transports.http.support import TODO, Pieces, Way, transport
from tidesync.contracts.transport import Applied, Change, Outcome
from tidesync.errors import RequestRefused, ResyncRequired
from tidesync.stores.memory import MemoryStore
from tidesync.transports.authority import Authority
from tidesync.transports.messages import (
    copy_json_of,
    outcome_json,
    page_json,
    read_change,
    read_request,
)
from tidesync.transports.strict import parse, to_line
from tidesync.transports.welcome import Welcome, welcome_json

SPOKEN = {"Tidesync-Protocol": "1"}
Edit = Callable[[bytes], bytes]


def reply(status: int, body: bytes = b"", **headers: str) -> httpx.Response:
    return httpx.Response(status, content=body, headers={**SPOKEN, **headers})


def problem(status: int, code: str, **headers: str) -> httpx.Response:
    return reply(status, json.dumps({"code": code, "detail": f"it is {code}"}).encode(), **headers)


@attrs.define(eq=False)
class NativeServer:
    """`changes`, `most` and `line` are its limits; `answers` are given first, None lets the request through.

    `edit`: what becomes of a reply's body on the way. `cut`: after so many bytes the reply breaks off.
    """

    authority: Authority = attrs.field(factory=lambda: Authority(MemoryStore(), [TODO], identity="it").open())
    changes: int = 1000
    most: int | None = None
    line: int = 1 << 20
    edit: Edit | None = None
    cut: int | None = None
    answers: list[httpx.Response | type[httpx.TransportError] | None] = attrs.field(factory=list)
    asked: list[httpx.Request] = attrs.field(factory=list)
    batches: list[int] = attrs.field(factory=list)
    outcomes: list[Outcome] = attrs.field(factory=list)

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        if self.answers:
            answer = self.answers.pop(0)
            if isinstance(answer, type):
                raise answer("broken", request=request)
            if answer is not None:  # another each time: who has read one closes it
                return httpx.Response(answer.status_code, headers=answer.headers, content=answer.content)
        assert request.headers.get("tidesync-remote", quote(self.identity)) == quote(self.identity)
        path = request.url.raw_path.decode().partition("/tidesync/v1")[2]
        body = request.read()
        if request.headers.get("content-encoding") == "gzip":
            body = gzip.decompress(body)
        if path == "":
            return reply(200, to_line(self.welcome()))
        if path == "/push":
            return self.sent(self.push(body))
        if path == "/pull":
            try:
                page = self.authority.pull(read_request(parse(body)))
            except ResyncRequired:
                return problem(410, "resync")
            except RequestRefused as error:
                return problem(404, error.code)
            return self.sent(b"".join(to_line(message) + b"\n" for message in page_json(page)))
        _, _, table, id = path.split("/")
        copy = self.authority.get(table, httpx.URL(f"http://x/{id}").path[1:])
        return self.sent(to_line(copy_json_of(copy)))

    @property
    def identity(self) -> str:
        return self.authority.capabilities().identity

    def welcome(self) -> dict[str, object]:
        found = attrs.evolve(self.authority.capabilities(), max_changes=self.changes, max_bytes=self.most)
        return welcome_json(Welcome(capabilities=found, line=self.line))

    def push(self, body: bytes) -> bytes:
        changes = [read_change(parse(line)) for line in body.splitlines()]
        self.batches.append(len(changes))
        self.outcomes = self.authority.push(changes)
        lines = [
            outcome_json(change.id, outcome, change.record)
            for change, outcome in zip(changes, self.outcomes, strict=True)
        ]
        end = {"end": {"outcomes": len(lines)}}
        return b"".join(to_line(line) + b"\n" for line in [*lines, end])

    def sent(self, body: bytes) -> httpx.Response:
        body = body if self.edit is None else self.edit(body)
        if self.cut is None:
            return reply(200, body)
        return httpx.Response(200, headers=SPOKEN, stream=Pieces([body[: self.cut], httpx.ReadError("cut")]))


def native(server: Any, **options: Any) -> Way:
    """A transport that speaks this protocol with a server, open; a read is tried once."""
    options.setdefault("retries", 0)
    return transport(server, protocol=options.pop("protocol", "tidesync"), **options)


def anew(one: Change) -> Change:
    """The change as an operation of its own."""
    return attrs.evolve(one, id=f"{one.id}-again")


def version_in(outcome: Outcome) -> str:
    assert isinstance(outcome, Applied)
    return str(outcome.version)


def kinds(outcomes: Any) -> list[type[Outcome]]:
    return [type(outcome) for outcome in outcomes]
