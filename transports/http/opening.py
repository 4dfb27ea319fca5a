"""One opening of a transport: who the remote is and what it speaks, once that is found out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, TypeAlias

from tidesync.contracts.transport import TransportCapabilities
from tidesync.errors import ContextClosed, ProtocolError
from tidesync.schema import TableSchema
from tidesync.transports.http.client import Caller
from tidesync.transports.http.dialect import Wire
from tidesync.transports.http.flow import Flow
from tidesync.transports.http.native import Native
from tidesync.transports.http.options import Options
from tidesync.transports.http.rest import Rest
from tidesync.transports.http.values import Dialect, Form
from tidesync.transports.http.wire import (
    Reply,
    Wanted,
    from_json,
    identity_of,
    message_of,
    refusal,
    rows_of,
)
from tidesync.transports.http.wire2 import Wire2
from tidesync.transports.http.wire3 import Wire3
from tidesync.transports.messages import HEADER, speaks

Face: TypeAlias = Rest | Native
"""What is the same of a transport whatever it speaks: `open`, `push`, `pull` and `get`, as flows."""
_WIRES: Final[Mapping[Dialect, Wire]] = {"2.0": Wire2(), "3.0": Wire3()}


class Opening:
    """The remote of these options, which has a face once it was found out what it speaks."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._caller = Caller(options.base, options.headers, options.auth, options.limits)
        self._face: Face | None = None

    @property
    def face(self) -> Face:
        """The remote's face. Raises `ContextClosed` where there is none yet."""
        if self._face is None:
            raise not_open()
        return self._face

    def open(self, tables: Sequence[TableSchema]) -> Flow[TransportCapabilities]:
        """Find out what the remote speaks, where that is not known, and open it. Raises `TransportError`."""
        face = self._face or (yield from self._found(tables))
        found = yield from face.open(tables)
        self._face = face
        return found

    def _found(self, tables: Sequence[TableSchema]) -> Flow[Face]:
        protocol = self._options.protocol
        if protocol == "tidesync":
            return self._native()
        if protocol != "auto":
            return self._rest(_WIRES[protocol])
        asked = yield from self._asked(tables)
        if speaks(asked.headers.get(HEADER)):
            return self._native()
        return self._rest(self._recognised(asked, tables))

    def _native(self) -> Native:
        # Within one machine there is nothing to be gained by compressing.
        options = self._options
        return Native(self._caller, page_limit=options.page_limit, compress=options.outside)

    def _rest(self, wire: Wire) -> Rest:
        options = self._options
        return Rest(
            self._caller,
            wire,
            concurrency=options.concurrency,
            overlap=options.overlap,
            page_limit=options.page_limit,
        )

    def _asked(self, tables: Sequence[TableSchema]) -> Flow[Reply]:
        """The reply to a request as of 3.0 for one record of the first table that there is."""
        caller, wire3 = self._caller, _WIRES["3.0"]
        caller.dialect, caller.dialect_headers = "3.0", wire3.headers
        reply = Reply(404)
        for schema in tables:
            # Which names of columns can travel is not known yet.
            form = Form(TableSchema(schema.name), "3.0")
            reply = yield from caller.budget().read(wire3.list(form, Wanted(top=1)))
            if reply.status != 404:
                break
        return reply

    def _recognised(self, reply: Reply, tables: Sequence[TableSchema]) -> Wire:
        """Who answers so: a 2.0 server names the version it wants, or answers with a bare list."""
        if reply.ok:
            value = from_json(reply.body)
            _ = rows_of(value)
            return _WIRES["3.0" if isinstance(value, dict) and "items" in value else "2.0"]
        said = message_of(reply)
        if reply.status == 400 and ("API version" in said or "ZUMO-API-VERSION" in said.upper()):
            return _WIRES["2.0"]
        if not tables:
            raise ProtocolError(
                'without tables the protocol cannot be found out: say protocol="tidesync", "2.0" or "3.0"'
            )
        raise refusal(reply, f"{identity_of(self._options.base)}/tables")


def not_open() -> ContextClosed:
    """The error for a call before `open`, or after `close`."""
    return ContextClosed("the transport is not open: call open() first")
