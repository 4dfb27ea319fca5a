"""tidesync's own protocol under `/tidesync/v1`: what a remote says of itself, batches, delta pulls.

docs/native-protocol.md says what travels. A batch is committed in parts as it arrives, and its outcomes are kept
until it has ended, since a client reads no reply before it has sent its request. An outcome belongs to the change
in its place, whose id it repeats; a batch stops at what cannot be given a place, and says so in its last line.
"""

from __future__ import annotations

import logging
import traceback
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from typing import Final, TypeAlias
from urllib.parse import quote, unquote_to_bytes

import attrs
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from tidesync.contracts.transport import Outcome, PullRequest, Rejected, TransportCapabilities, Unknown
from tidesync.errors import ConfigurationError, InvalidQuery, RequestRefused, ResyncRequired, StoreError
from tidesync.query import Query, fields_in
from tidesync.records import SYSTEM_FIELDS, Json
from tidesync.transports.commits import Write
from tidesync.transports.layout import HIDDEN
from tidesync.transports.messages import (
    NDJSON,
    REMOTE,
    ROOT,
    copy_json_of,
    id_in,
    outcome_json,
    page_json,
    read_change,
    read_request,
)
from tidesync.transports.principal import Principal
from tidesync.transports.service.bodies import read_body, stream_body
from tidesync.transports.service.problems import Problem
from tidesync.transports.service.served import Endpoint, Service
from tidesync.transports.strict import Malformed, parse, to_line
from tidesync.transports.welcome import Welcome, welcome_json

PART: Final = 250
PART_BYTES: Final = 1 << 18
"""A batch is committed whenever so many changes, or so many bytes of them, have come."""
PIECE: Final = 1 << 16
_DOUBT: Final = Unknown("the service failed: its log tells more")
Item: TypeAlias = tuple[str, Write | Rejected]


_log: Final = logging.getLogger("tidesync.service")


async def welcome(service: Service, request: Request, principal: Principal) -> Response:
    """What this service can do for the principal."""
    del request
    limits, found = service.limits, await _capabilities(service)
    tables = frozenset(filter(principal.sees, service.authority.tables))
    found = attrs.evolve(
        found,
        tombstones=tables,
        departures=tables,
        max_changes=limits.batch,
        max_bytes=limits.batch_body,
        page_limit=min(found.page_limit, limits.page),
    )
    return JSONResponse(welcome_json(Welcome(capabilities=found, line=_line_limit(service))))


async def _capabilities(service: Service) -> TransportCapabilities:
    """What the authority can do, which it knows as soon as it is open."""
    try:
        return service.authority.capabilities()
    except ConfigurationError:
        return await service.read(service.authority.capabilities)


def _line_limit(service: Service) -> int:
    # An update repeats the names of its fields, and a change has more to say than its record.
    return 2 * service.limits.body + PIECE


# ---- push


async def push(service: Service, request: Request, principal: Principal) -> Response:
    """Decide a batch: one change a line in, one outcome a line out, `end` or `error` in the last."""
    batch = Batch(service, principal)
    try:
        async for piece in stream_body(request, service.limits, service.limits.batch_body):
            await batch.take(piece)
        await batch.end()
    except Problem as problem:
        if not batch.lines:
            raise
        # The body broke off: what was not given to the store yet is certainly not done.
        batch.stopped = _error(problem.code, problem.detail, "untried")
    return _streamed(batch.reply())


def _error(code: str, detail: str, rest: str) -> bytes:
    return to_line({"error": {"code": code, "detail": detail, "rest": rest}})


class Batch:
    """A batch on its way in: what has come and is not committed yet, and the outcomes of what is."""

    def __init__(self, service: Service, principal: Principal) -> None:
        self.service, self.principal = service, principal
        self.line_limit = _line_limit(service)
        self.rest = bytearray()
        self.items: list[Item] = []
        self.size = 0
        self.count = 0
        self.lines: list[bytes] = []
        self.held = 0
        self.stopped: bytes | None = None

    async def take(self, piece: bytes) -> None:
        """Read what came, and commit it where it is enough."""
        if self.stopped is not None:  # read to the end all the same: who still sends would not read the reply
            return
        # Only what is new is looked through: a line may come in many small pieces.
        first, *others = piece.split(b"\n")
        self.rest += first
        for other in others:
            await self.line(bytes(self.rest))
            self.rest = bytearray(other)
        if len(self.rest) > self.line_limit:
            await self.line(bytes(self.rest))

    async def line(self, line: bytes) -> None:
        """Read one change, unless the batch has stopped."""
        if self.stopped is not None:
            return
        if len(line) > self.line_limit:
            await self.stop("too_large", f"a line has more than {self.line_limit} bytes", "refused")
        elif not line.strip():
            return
        elif self.count >= self.service.limits.batch:
            await self.stop("too_many", f"a batch has {self.service.limits.batch} changes at most", "untried")
        elif self.held > self.service.limits.batch_body:  # conflicts, say, that each show a large record
            await self.stop("too_much", "the outcomes so far fill a reply", "untried")
        else:
            item = self.read(line)
            if isinstance(item, Malformed):
                await self.stop("malformed", str(item), "refused")
                return
            self.items.append(item)
            self.count += 1
            self.size += len(line)
            if len(self.items) >= PART or self.size >= PART_BYTES:
                await self.commit()

    def read(self, line: bytes) -> Item | Malformed:
        """The change of a line; one that is malformed is refused by its id, if it has one."""
        message: Json = None
        try:
            message = parse(line)
            change = read_change(message)
        except Malformed as error:
            id = id_in(message)
            return error if id is None else (id, Rejected("malformed", str(error)))
        return change.id, Write(change, self.principal)

    async def commit(self) -> None:
        """Decide what has come; where that fails, the batch stops. Raises `Problem` and `StoreError`."""
        items, self.items, self.size = self.items, [], 0
        writes = [item for _, item in items if isinstance(item, Write)]
        try:
            outcomes = iter(await self.decided(writes))
        except Problem as problem:  # nothing was written
            if not self.lines:
                raise
            self.stopped = _error(problem.code, problem.detail, "untried")
            return
        except StoreError as error:
            # As long as nothing was decided, the status may say it.
            if not self.lines:
                raise
            _log.error("a part of a batch failed: %s: %s", type(error).__name__, error)
            outcomes = iter([_DOUBT] * len(writes))
            self.stopped = _error("store", "the store failed", "untried")
        for id, item in items:
            if isinstance(item, Write):
                line = to_line(outcome_json(id, next(outcomes), item.change.record))
            else:
                line = to_line(outcome_json(id, item))
            self.lines.append(line)
            self.held += len(line)

    async def decided(self, writes: Sequence[Write]) -> Sequence[Outcome]:
        """The outcomes of the writes; one that makes the service fail is in doubt, and stops no other."""
        try:
            return await self.service.commit(writes) if writes else ()
        except (Problem, StoreError):
            raise
        except Exception as error:  # noqa: BLE001  # whatever it is, it is about one change
            half = len(writes) // 2
            if half:
                return [*await self.apart(writes[:half]), *await self.apart(writes[half:])]
            # Its text may quote records.
            places = "".join(traceback.format_tb(error.__traceback__))
            _log.error("a change of %s failed: %s\n%s", writes[0].change.table, type(error).__name__, places)
            _log.debug("a change of %s failed", writes[0].change.table, exc_info=error)
            return [_DOUBT]

    async def apart(self, writes: Sequence[Write]) -> Sequence[Outcome]:
        """As `decided`, beside others that may be in effect already: what fails now is in doubt."""
        try:
            return await self.decided(writes)
        except (Problem, StoreError):
            return [_DOUBT] * len(writes)

    async def stop(self, code: str, detail: str, rest: str) -> None:
        """Decide what came before, and nothing behind: `rest` says what becomes of it."""
        if self.items:
            await self.commit()
        self.stopped = self.stopped or _error(code, detail, rest)

    async def end(self) -> None:
        """The body has ended: read what is left of it, and decide it."""
        await self.line(bytes(self.rest))
        if self.items:
            await self.commit()

    def reply(self) -> Iterator[bytes]:
        """The outcomes, and how the batch ended."""
        yield from self.lines
        yield self.stopped or to_line({"end": {"outcomes": len(self.lines)}})


# ---- reading


async def pull(service: Service, request: Request, principal: Principal) -> Response:
    """One page: records, tombstones, departed ids, one a line, `end` in the last."""
    raw = await read_body(request, service.limits, service.limits.body)
    try:
        wanted = read_request(parse(raw), depth=service.limits.depth)
    except Malformed as error:
        raise Problem(400, "malformed", str(error)) from error
    _check_names(service, wanted, principal)
    wanted = attrs.evolve(wanted, limit=min(wanted.limit, service.limits.page))

    def ask() -> Sequence[bytes]:
        page = service.authority.pull(wanted, principal)
        return list(_pieces(map(to_line, page_json(page))))

    try:
        return _sent(await service.read(ask))
    except ResyncRequired as error:
        raise Problem(410, "resync", str(error)) from error
    except RequestRefused as error:
        raise Problem(404 if error.code == "unknown_table" else 400, error.code, str(error)) from error
    except InvalidQuery as error:
        raise Problem(400, "invalid_query", str(error)) from error


def _check_names(service: Service, wanted: PullRequest, principal: Principal) -> None:
    """Raise `Problem` for fields that are the remote's own, or that a closed table has not."""
    schema = service.table(wanted.query.table, principal)
    names = _names_in(wanted.query) | set(wanted.fields or ())
    odd = names & HIDDEN
    if schema.columns and service.authority.schema == "closed":
        odd |= names - schema.by_name.keys() - {"id", *SYSTEM_FIELDS}
    if odd:
        raise Problem(400, "unknown_field", f"{schema.name} has no field {min(odd)!a:.80}")


def _names_in(query: Query) -> set[str]:
    keys = (name for key in query.order for name in fields_in(key.by))
    return {*fields_in(query.where), *keys, *(query.fields or ())}


async def get(service: Service, request: Request, principal: Principal) -> Response:
    """One record as it is now, its tombstone, or that there is none."""
    table, id = _address(request)
    _ = service.table(table, principal)
    copy = await service.read(lambda: service.authority.get(table, id, principal))
    return Response(to_line(copy_json_of(copy)), media_type="application/json")


def _address(request: Request) -> tuple[str, str]:
    """Table and id, each decoded by itself: an id may hold any character, a slash too."""
    raw: bytes = request.scope["raw_path"].partition(b"?")[0]
    *_, tables, table, id = raw.split(b"/")
    try:
        if tables == b"tables":
            return unquote_to_bytes(table).decode(), unquote_to_bytes(id).decode()
    except UnicodeDecodeError as error:
        raise Problem(400, "malformed", "the address is not UTF-8") from error
    raise Problem(404, "not_found", "an address ends in tables/{table}/{id}")


# ---- replies


def _pieces(lines: Iterable[bytes]) -> Iterator[bytes]:
    """Lines, with their ends, joined to pieces that are worth sending."""
    held: list[bytes] = []
    size = 0
    for line in lines:
        held.append(line)
        size += len(line)
        if size >= PIECE:
            yield b"\n".join([*held, b""])
            held, size = [], 0
    if held:
        yield b"\n".join([*held, b""])


def _streamed(lines: Iterable[bytes]) -> Response:
    return _sent(_pieces(lines))


def _sent(pieces: Iterable[bytes]) -> Response:
    async def body() -> AsyncIterator[bytes]:
        for piece in pieces:
            yield piece

    return StreamingResponse(body(), media_type=NDJSON)


def _for_this_remote(endpoint: Endpoint) -> Endpoint:
    """The endpoint, which does nothing for whom another remote is meant."""

    async def answer(service: Service, request: Request, principal: Principal) -> Response:
        meant = request.headers.get(REMOTE)
        if meant is not None and meant != quote((await _capabilities(service)).identity, safe=""):
            raise Problem(
                421, "another_remote", "this is not the remote that the request is for: open it anew"
            )
        return await endpoint(service, request, principal)

    return answer


ROUTES: Final[Sequence[tuple[str, Sequence[str], Endpoint]]] = (
    (f"/{ROOT}", ("GET",), welcome),
    (f"/{ROOT}/push", ("POST",), _for_this_remote(push)),
    (f"/{ROOT}/pull", ("POST",), _for_this_remote(pull)),
    (f"/{ROOT}/tables/{{table}}/{{id:path}}", ("GET",), _for_this_remote(get)),
)
