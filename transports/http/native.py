"""One remote that speaks tidesync's own protocol: a batch is one request, a page says what changed since.

An outcome counts only if it stands in its change's place and repeats its id: whatever comes after one that does
not, or after the reply broke off, is `Unknown`; what the remote says that it did not try is `Untried`.
"""

from __future__ import annotations

import gzip
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Final
from urllib.parse import quote

import attrs

from tidesync.contracts.transport import (
    Change,
    Denied,
    NotSent,
    Outcome,
    Page,
    PullRequest,
    Rejected,
    TransportCapabilities,
    Unknown,
    Untried,
)
from tidesync.errors import (
    NotReachable,
    ProtocolError,
    RemoteUnavailable,
    RequestRefused,
    ResyncRequired,
    TransportError,
    Unauthorized,
    UnknownTable,
)
from tidesync.query import Query
from tidesync.records import Copy, Json
from tidesync.schema import TableSchema
from tidesync.transports.http.client import Budgeted, Caller
from tidesync.transports.http.flow import Compute, Flow
from tidesync.transports.http.wire import (
    Content,
    Reply,
    Request,
    message_of,
    object_of,
    sendable_id,
    table_path,
)
from tidesync.transports.messages import (
    HEADER,
    NDJSON,
    REMOTE,
    ROOT,
    change_json,
    has_end,
    read_copy,
    read_outcome,
    read_page,
    request_json,
    speaks,
)
from tidesync.transports.renaming import Renaming
from tidesync.transports.strict import Malformed, Members, parse, parse_lines, to_line
from tidesync.transports.welcome import read_welcome

BATCH_BYTES: Final = 1 << 20
"""One batch is no larger, so that it gets through within the timeout on a slow network too."""
PIECE: Final = 1 << 16
CHANGE: Final = 1 << 8
"""Bytes that a change is taken for before it is known."""
WORTH: Final = 1 << 10
"""Bytes from which on a body is compressed."""
_BROKEN: Final = "the reply broke off before its end"
_STOPS: Final = (Unknown, NotSent, Denied, Untried)


class Native:
    """A face of a transport; `compress`: requests and replies travel compressed."""

    def __init__(self, caller: Caller, *, page_limit: int, compress: bool) -> None:
        self._caller, self._page_limit, self._compress = caller, page_limit, compress
        self._root = f"{caller.identity}/{ROOT}"
        self._tables: dict[str, TableSchema] = {}
        self._renaming = Renaming()
        self._remote: Mapping[str, str] = {}
        self._line = self._bytes = self._changes = 1

    def open(self, tables: Sequence[TableSchema]) -> Flow[TransportCapabilities]:
        """Ask the remote what it is. Raises `TransportError`."""
        self._caller.dialect = "3.0"
        accepted = {"Accept": f"{NDJSON}, application/json"}
        self._caller.dialect_headers = (
            accepted if self._compress else {**accepted, "Accept-Encoding": "identity"}
        )
        reply = yield from self._caller.budget().read(Request(method="GET", path=self._root))
        reply = self._checked(reply, "open")
        try:
            welcome = read_welcome(parse(reply.body))
        except Malformed as error:
            raise ProtocolError(f"the remote's welcome cannot be read: {error}") from error
        found = welcome.capabilities
        self._tables = self._tables | {schema.name: schema for schema in tables}
        self._renaming = Renaming(self._tables.values())
        # Should another remote take its place while this is open, it is to do nothing.
        self._remote = {REMOTE: quote(found.identity, safe="")}
        self._line, self._changes = welcome.line, found.max_changes
        self._bytes = min(found.max_bytes or BATCH_BYTES, BATCH_BYTES)
        return attrs.evolve(
            found,
            max_bytes=self._bytes,
            page_limit=min(self._page_limit, found.page_limit),
            exchange_timeout=self._caller.longest,
        )

    # ---- push

    def push(self, changes: Sequence[Change]) -> Flow[Sequence[Outcome]]:
        """Send the changes as one batch, or as several one after another where there are too many for one."""
        self._declared({change.table for change in changes})
        call = self._caller.budget()
        outcomes: dict[int, Outcome] = {}
        batches = self._batches(changes)
        while not self._stopped(outcomes):
            batch = yield from Compute(partial(next, batches, None), len(changes) * CHANGE)
            if batch is None:
                break
            outcomes |= batch.rejected
            if batch.lines:
                outcomes |= yield from self._sent(call, batch.lines)
        return [outcomes.get(place, Untried()) for place in range(len(changes))]

    @staticmethod
    def _stopped(outcomes: dict[int, Outcome]) -> bool:
        return any(isinstance(outcome, _STOPS) for outcome in outcomes.values())

    def _batches(self, changes: Sequence[Change]) -> Iterator[_Batch]:
        """The changes in batches that the remote takes, each made when it is asked for."""
        batch, size = _Batch(), 0
        for place, change in enumerate(changes):
            line = self._encoded(place, change)
            if isinstance(line, Rejected):
                batch.rejected[place] = line
                continue
            lines = len(batch.lines)
            if lines and (lines >= self._changes or size + len(line.text) >= self._bytes):
                yield batch
                batch, size = _Batch(), 0
            batch.lines.append(line)
            size += len(line.text) + 1
        yield batch

    def _encoded(self, place: int, change: Change) -> _Line | Rejected:
        change = self._renaming.sent(change)
        try:
            text = to_line(change_json(change))
        except (ValueError, TypeError, RecursionError) as error:
            return Rejected("unsendable", f"{change.table}/{change.record_id}: it is not JSON: {error}")
        if len(text) > self._line:
            reason = (
                f"{change.table}/{change.record_id}: it has {len(text)} bytes, and {self._line} are the limit"
            )
            return Rejected("too_large", reason)
        return _Line(place, change, text)

    def _sent(self, call: Budgeted, batch: Sequence[_Line]) -> Flow[dict[int, Outcome]]:
        """Send a batch, in halves where it is too large as it is; an outcome for each of its places."""
        if call.spent:
            return {line.place: Untried() for line in batch}
        everywhere: Outcome
        try:
            request = yield from Compute(lambda: self._batch(batch), sum(len(line.text) for line in batch))
            reply = yield from call.write(request)
        except NotReachable as error:
            everywhere = NotSent(str(error), error.retry_after)
        except Unauthorized as error:
            everywhere = Denied(str(error))
        except TransportError as error:
            everywhere = Unknown(str(error))
        else:
            if reply.ok and speaks(reply.headers.get(HEADER)):
                size = len(reply.body) + len(batch) * CHANGE
                return (yield from Compute(lambda: _answers(reply, batch, self._renaming), size))
            if reply.status == 413 and len(batch) > 1:
                half = len(batch) // 2
                first = yield from self._sent(call, batch[:half])
                if self._stopped(first):
                    return first | {line.place: Untried() for line in batch[half:]}
                return first | (yield from self._sent(call, batch[half:]))
            everywhere = _refused(reply, self._root)
        return dict.fromkeys((line.place for line in batch), everywhere)

    # ---- reading

    def pull(self, request: PullRequest) -> Flow[Page]:
        """Read one page."""
        table = request.query.table
        self._declared({table})
        asked = yield from Compute(lambda: self._asked(request), len(request.ids or ()) * CHANGE)
        reply = self._checked((yield from self._caller.budget().read(asked)), table)
        return (yield from Compute(lambda: self._page(table, reply.body), len(reply.body)))

    def get(self, table: str, id: str) -> Flow[Copy]:
        """Read one record as it is now, or its tombstone."""
        self._declared({table})
        if not sendable_id(id):  # no address, but a lookup, names it
            page = yield from self.pull(PullRequest(query=Query(table), ids=(id,), incremental=False))
            return next(iter(page.records), page.tombstones.get(id))
        path = f"{self._root}/tables/{table_path(table, id)}"
        asked = Request(method="GET", path=path, headers=self._remote)
        reply = self._checked((yield from self._caller.budget().read(asked)), table)
        try:
            copy = read_copy(Members(parse(reply.body)), id)
        except Malformed as error:
            raise ProtocolError(f"{table}: the remote's record cannot be read: {error}") from error
        return self._renaming.read(table, copy)

    # ---- parts

    def _declared(self, tables: set[str]) -> None:
        if unknown := tables - self._tables.keys():
            raise UnknownTable(min(unknown), sorted(self._tables))

    def _batch(self, lines: Sequence[_Line]) -> Request:
        return self._request("push", b"\n".join(line.text for line in lines) + b"\n", NDJSON)

    def _asked(self, request: PullRequest) -> Request:
        limited = attrs.evolve(request, limit=min(request.limit, self._page_limit))
        return self._request("pull", to_line(request_json(self._renaming.asked(limited))), "application/json")

    def _page(self, table: str, body: bytes) -> Page:
        if not body.endswith(b"\n"):
            raise RemoteUnavailable(f"{table}: {_BROKEN}")
        try:
            messages = [message for piece in _pieces(body) for message in parse_lines(piece)]
            if not has_end(messages):
                raise RemoteUnavailable(f"{table}: {_BROKEN}")
            page = read_page(messages)
        except Malformed as error:
            raise ProtocolError(f"{table}: the remote's page cannot be read: {error}") from error
        return self._renaming.told(table, page)

    def _request(self, what: str, body: bytes, type: str) -> Request:
        packed = self._compress and len(body) >= WORTH
        if packed:
            # Level 1: more saves little, and costs several times as much.
            body = gzip.compress(body, compresslevel=1, mtime=0)
        pieces = [body[start : start + PIECE] for start in range(0, len(body), PIECE)]
        content = Content(pieces=pieces, type=type, encoding="gzip" if packed else None)
        return Request(
            method="POST",
            path=f"{self._root}/{what}",
            body=content,
            headers=self._remote,
            partial=what == "push",
        )

    def _checked(self, reply: Reply, what: str) -> Reply:
        """The reply, if it is one of success and this protocol's."""
        if not speaks(reply.headers.get(HEADER)):
            raise ProtocolError(_no_longer(self._root))
        if reply.ok:
            return reply
        code, said = _code_of(reply), message_of(reply)
        if reply.status == 410 and code == "resync":
            raise ResyncRequired(f"{what}: {said}")
        raise RequestRefused(f"{what}: {reply.status}: {said}", code=code)


@attrs.frozen(eq=False)
class _Line:
    """A change in its place among those of a push, under names of the wire, and as text."""

    place: int
    change: Change
    text: bytes


@attrs.frozen(eq=False)
class _Batch:
    """Lines that go together, and what became of changes between them that cannot be sent, by place."""

    lines: list[_Line] = attrs.field(factory=list["_Line"])
    rejected: dict[int, Outcome] = attrs.field(factory=dict[int, Outcome])


def _pieces(body: bytes) -> Iterator[bytes]:
    """Lines in pieces that are soon read. Raises `Malformed` for an empty line, which a piece might not show."""
    body = body.strip(b"\n")
    if b"\n\n" in body:
        raise Malformed("", "it is not JSON: a line is empty")
    start = 0
    while start < len(body):
        end = body.find(b"\n", start + PIECE) + 1 or len(body)
        yield body[start:end]
        start = end


def _answers(reply: Reply, batch: Sequence[_Line], renaming: Renaming) -> dict[int, Outcome]:
    """What a reply says of each change, as far as it goes, under local names."""
    outcomes: dict[int, Outcome] = {}
    *lines, _ = reply.body.split(b"\n")
    rest: Outcome = Unknown(reply.cut or _BROKEN)
    places = iter(batch)
    for text in lines:
        try:
            message = parse(text)
            last = _last(message)
            if last is not None:
                rest = last
                break
            line = next(places, None)
            if line is None:
                break
            if not isinstance(message, dict) or message.get("id") != line.change.id:
                rest = Unknown("the reply is about another operation than the one in its place")
                break
        except Malformed as error:
            rest = Unknown(f"the reply cannot be read: {error}")
            break
        try:
            outcomes[line.place] = renaming.heard(line.change.table, read_outcome(message, line.change))
        except Malformed as error:
            outcomes[line.place] = Unknown(f"the outcome cannot be read: {error}")
    return outcomes | _rest(batch[len(outcomes) :], rest)


def _last(message: Json) -> Outcome | None:
    """What the last line of a reply says of the changes without an outcome; None if it is not the last."""
    match message:
        case {"end": {"outcomes": int()}}:
            return Unknown("the remote ended without an outcome for it, and says nothing of it")
        case {"error": {"code": str(code), "detail": str(detail), "rest": str(rest)}}:
            if rest == "refused":
                return Rejected(code, detail)
            return Untried() if rest == "untried" else Unknown(f"{code}: {detail}")
        case _:
            return None


def _rest(batch: Sequence[_Line], rest: Outcome) -> dict[int, Outcome]:
    """The outcomes of the changes that have none of their own: only the first of them can be the refused one."""
    found = dict.fromkeys((line.place for line in batch), rest)
    if isinstance(rest, Rejected):
        found |= dict.fromkeys((line.place for line in batch[1:]), Untried())
    return found


def _refused(reply: Reply, root: str) -> Outcome:
    """What a reply that is no success says of all changes of a batch. None of them was done, if it is of 4xx."""
    said = message_of(reply)
    if not speaks(reply.headers.get(HEADER)) and (reply.ok or reply.status in (404, 405)):
        return Unknown(_no_longer(root)) if reply.ok else NotSent(_no_longer(root))
    if reply.status == 413:
        return Rejected("too_large", said)
    if reply.status == 403:
        return Denied(said)
    if 300 <= reply.status < 400:
        target = reply.headers.get("location", "elsewhere")[:200]
        text = f"the remote redirects this request to {target}; writes are not redirected"
        return NotSent(text) if reply.status in (307, 308) else Unknown(text)
    return (
        NotSent(f"{reply.status}: {said}")
        if 400 <= reply.status < 500
        else Unknown(f"{reply.status}: {said}")
    )


def _code_of(reply: Reply) -> str:
    code = (object_of(reply.body) or {}).get("code")
    return code if isinstance(code, str) else str(reply.status)


def _no_longer(root: str) -> str:
    return (
        f"{root} does not speak tidesync's protocol (any more): close this and open it again with protocol="
        '"auto", which finds out what it speaks'
    )
