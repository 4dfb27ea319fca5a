"""A wire for a transport that has none: loopback, with what may go wrong between two machines."""

from collections.abc import Callable, Sequence
from typing import TypeVar

from tidesync.contracts.transport import (
    Change,
    Denied,
    NotSent,
    Outcome,
    Page,
    PullRequest,
    Transport,
    TransportCapabilities,
    Unknown,
)
from tidesync.errors import NotReachable, ProtocolError, RemoteUnavailable, TransportError, Unauthorized
from tidesync.records import Record, Tombstone
from tidesync.schema import TableSchema

T = TypeVar("T")


class LoopbackWire:
    """A transport to `inner` whose wire fails as it is told, and which says so as one of a real wire would."""

    def __init__(self, inner: Transport) -> None:
        self.inner = inner
        self._before: Outcome | None = None
        self._after: Outcome | None = None
        self._error: TransportError | None = None

    # ---- what goes wrong

    def heal(self) -> None:
        self._before = self._after = self._error = None

    def refuse(self) -> None:
        self._goes_wrong(NotReachable("refused"), before=NotSent("refused"))

    def lose_request(self) -> None:
        self._goes_wrong(RemoteUnavailable("no reply"), before=Unknown("no reply"))

    def lose_reply(self) -> None:
        self._goes_wrong(RemoteUnavailable("no reply"), after=Unknown("no reply"))

    def truncate_reply(self) -> None:
        self._goes_wrong(ProtocolError("half a reply"), after=Unknown("half a reply"))

    def garble_reply(self) -> None:
        self._goes_wrong(ProtocolError("no reply of ours"), after=Unknown("no reply of ours"))

    def fail(self) -> None:
        self._goes_wrong(RemoteUnavailable("500"), before=Unknown("500"))

    def deny(self) -> None:
        self._goes_wrong(Unauthorized("401"), before=Denied("401"))

    def _goes_wrong(
        self, error: TransportError, *, before: Outcome | None = None, after: Outcome | None = None
    ) -> None:
        self._error, self._before, self._after = error, before, after

    # ---- the transport

    def open(self, tables: Sequence[TableSchema], /) -> TransportCapabilities:
        return self._asked(lambda: self.inner.open(tables))

    def push(self, changes: Sequence[Change], /) -> Sequence[Outcome]:
        before, after = self._before, self._after
        if before is not None:
            return [before for _ in changes]
        outcomes = self.inner.push(changes)
        return outcomes if after is None else [after for _ in changes]

    def pull(self, request: PullRequest, /) -> Page:
        return self._asked(lambda: self.inner.pull(request))

    def get(self, table: str, id: str, /) -> Record | Tombstone | None:
        return self._asked(lambda: self.inner.get(table, id))

    def close(self) -> None:
        self.inner.close()

    def _asked(self, ask: Callable[[], T]) -> T:
        if self._error is not None:
            raise self._error
        return ask()
