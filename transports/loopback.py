"""The in-process transport, to an authority in the same process: for tests, documentation and embedding."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import contextmanager

from tidesync.contracts.transport import (
    Change,
    Outcome,
    Page,
    PullRequest,
    TransportCapabilities,
    Unknown,
)
from tidesync.errors import ConfigurationError, RemoteUnavailable, StoreError
from tidesync.records import Copy
from tidesync.schema import TableSchema
from tidesync.transports.authority import Authority
from tidesync.transports.renaming import Renaming


class LoopbackTransport:
    """A `Transport` to an authority in this process; any number of them, from any thread, may share one.

    `open` opens the authority; `close` leaves it open, since it belongs to whoever made it. Where its store
    fails, a push is `Unknown` and everything else `RemoteUnavailable`, with the `StoreError` chained. Renamed
    columns travel under their wire names, as on any wire.
    """

    def __init__(self, authority: Authority) -> None:
        if not isinstance(authority, Authority):  # pyright: ignore[reportUnnecessaryIsInstance]  # callers without types
            raise ConfigurationError(f"give the Authority that this leads to, not {authority!r:.60}")
        self.authority = authority
        self._renaming = Renaming()

    def open(self, tables: Sequence[TableSchema], /) -> TransportCapabilities:
        # What the authority does not hold is refused when it is asked for.
        self._renaming = Renaming(tables)
        with _served():
            return self.authority.open().capabilities()

    def push(self, changes: Sequence[Change], /) -> Sequence[Outcome]:
        names = self._renaming
        try:
            outcomes = self.authority.push(list(map(names.sent, changes)))
        except StoreError as error:
            return [Unknown(f"the remote's store failed: {error}") for _ in changes]
        return [names.heard(change.table, outcome) for change, outcome in zip(changes, outcomes, strict=True)]

    def pull(self, request: PullRequest, /) -> Page:
        names = self._renaming
        with _served():
            return names.told(request.query.table, self.authority.pull(names.asked(request)))

    def get(self, table: str, id: str, /) -> Copy:
        with _served():
            return self._renaming.read(table, self.authority.get(table, id))

    def close(self) -> None:
        """Do nothing: there is no connection, and the authority is its owner's."""


@contextmanager
def _served() -> Generator[None, None, None]:
    try:
        yield
    except StoreError as error:
        raise RemoteUnavailable(f"the remote's store failed: {error}") from error
