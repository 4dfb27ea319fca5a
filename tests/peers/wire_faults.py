"""What may happen to a request on the wire, and what is remembered of it."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias
from urllib.parse import parse_qs, unquote, urlsplit

import attrs


@attrs.frozen
class Forward:
    """No fault; planned, it keeps what is planned after it for later requests."""


@attrs.frozen
class LoseRequest:
    """The server never sees it; the client gets no answer."""

    silent: bool = False


@attrs.frozen
class LoseReply:
    """The server acts on it; the client gets no answer: a lost acknowledgement."""

    silent: bool = False


@attrs.frozen
class Hold:
    """The client gets no answer, and the server sees it only at `WireProxy.deliver()`: late."""

    silent: bool = False


@attrs.frozen
class Duplicate:
    """Forwarded and answered, and at `WireProxy.deliver()` the server sees it once more."""


@attrs.frozen
class CutReply:
    """The server acts on it; the client gets the reply's head and its first `keep` bytes (None: half)."""

    keep: int | None = None


@attrs.frozen
class Answer:
    """The client gets this answer, without the server having seen the request, or `after` it acted on it."""

    status: int = 500
    body: bytes = b'{"error":"planned"}'
    headers: Mapping[str, str] = attrs.field(factory=lambda: {"Content-Type": "application/json"})
    after: bool = False


@attrs.frozen
class Delay:
    """Forwarded after `before` seconds, answered `after` seconds later than it could be."""

    before: float = 0.0
    after: float = 0.0


Fault: TypeAlias = Forward | LoseRequest | LoseReply | Hold | Duplicate | CutReply | Answer | Delay


@attrs.frozen
class Reply:
    """What the server answered; header names in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    reason: str = ""
    raw_headers: Sequence[tuple[str, str]] = ()

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@attrs.define(eq=False)
class Seen:
    """One request that came to the wire: `target` is path and query as sent, `headers` have lower-case names.

    `replies` holds one answer of the server for each time it was forwarded; `answered` is the status that the
    client was given, None if nothing or not all of it was delivered. It is complete before the client is
    answered.
    """

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes
    fault: Fault
    raw_headers: Sequence[tuple[str, str]] = ()
    replies: list[Reply] = attrs.field(factory=list)
    answered: int | None = None

    @property
    def path(self) -> str:
        """The path without the query, decoded."""
        return unquote(urlsplit(self.target).path)

    @property
    def query(self) -> dict[str, str]:
        """The parameters, decoded; the last one counts where a name is repeated."""
        found = parse_qs(urlsplit(self.target).query, keep_blank_values=True)
        return {name: values[-1] for name, values in found.items()}

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def status(self) -> int | None:
        """What the server last answered, None if it has not seen the request."""
        return self.replies[-1].status if self.replies else None
