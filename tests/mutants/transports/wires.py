"""What went wrong on the wire, told wrongly."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar, TypeVar

import attrs
import httpx

from tests.mutants.transports.bases import Bounded, Loopback, Wired, broken
from tidesync.contracts.transport import Applied, Change, Denied, NotSent, Outcome, Page, Rejected, Unknown
from tidesync.errors import ProtocolError, RemoteUnavailable, TransportError, Unauthorized

T = TypeVar("T")


class _Told(Wired):
    """Some outcomes are told as others."""

    otherwise: ClassVar[Callable[[Outcome], Outcome | None]]

    def push(self, changes, /):
        return [type(self).otherwise(outcome) or outcome for outcome in super().push(changes)]


class _Raised(Wired):
    """A read that fails is told otherwise."""

    def raised(self, error: TransportError) -> TransportError:
        """What is raised instead."""
        return error

    def _asked(self, ask: Callable[[], T]) -> T:
        try:
            return super()._asked(ask)
        except TransportError as error:
            raise self.raised(error) from error


@broken("test_a_refused_connection_is_not_sent")
class RefusedIsADoubt(_Told):
    """A refused connection is told as Unknown, as every other error of the network."""

    @staticmethod
    def otherwise(outcome: Outcome) -> Outcome | None:
        return Unknown(outcome.reason) if isinstance(outcome, NotSent) else None


@broken("test_a_refused_connection_is_not_sent")
class PushRaises(Wired):
    """A push over a dead network raises, as a read does."""

    def push(self, changes, /):
        if self._error is not None:
            raise self._error
        return super().push(changes)


@broken("test_a_lost_request_is_a_doubt")
class TimedOutIsNotSent(_Told):
    """A time-out is told as NotSent: no reply is taken for no request."""

    @staticmethod
    def otherwise(outcome: Outcome) -> Outcome | None:
        return (
            NotSent(outcome.reason) if isinstance(outcome, Unknown) and "no reply" in outcome.reason else None
        )


@broken("test_a_lost_reply_is_a_doubt")
class BrokenIsDone(_Told):
    """A connection that breaks once the request is out is taken for a success."""

    @staticmethod
    def otherwise(outcome: Outcome) -> Outcome | None:
        return Applied(None) if isinstance(outcome, Unknown) and "no reply" in outcome.reason else None


@broken("test_a_lost_reply_is_a_doubt")
class SendsAgain(Wired):
    """A push without a reply is sent again by the HTTP library, without a mark that says so."""

    def push(self, changes, /):
        outcomes = super().push(changes)
        if not any(isinstance(outcome, Unknown) for outcome in outcomes):
            return outcomes
        return self.inner.push([attrs.evolve(change, id=f"{change.id}-again") for change in changes])


@broken("test_an_unreadable_reply_to_a_push_is_a_doubt")
class StatusIsEnough(_Told):
    """The status is believed, and a body that cannot be read is passed over."""

    @staticmethod
    def otherwise(outcome: Outcome) -> Outcome | None:
        return Applied(None) if outcome in (Unknown("half a reply"), Unknown("no reply of ours")) else None


@broken("test_an_unreadable_reply_to_a_push_is_a_doubt")
class ParserRaises(Wired):
    """The exception of the JSON parser comes out of a push."""

    def push(self, changes, /):
        outcomes = super().push(changes)
        if isinstance(self._error, ProtocolError):
            raise self._error
        return outcomes


@broken("test_a_failure_inside_the_remote_is_a_doubt")
class FailedIsRefused(_Told):
    """Every status from 400 on is taken for a refusal, 500 too."""

    @staticmethod
    def otherwise(outcome: Outcome) -> Outcome | None:
        return Rejected("500", "internal error") if outcome == Unknown("500") else None


@broken("test_refused_credentials_are_denied")
class DeniedIsRefused(_Told):
    """A 401 is taken for a refusal of the content."""

    @staticmethod
    def otherwise(outcome: Outcome) -> Outcome | None:
        return Rejected("401", outcome.reason) if isinstance(outcome, Denied) else None


@broken("test_reads_say_that_the_remote_is_not_there")
class OfflineIsEmpty(Wired):
    """Offline, a pull gives an empty page."""

    def pull(self, request, /):
        try:
            return super().pull(request)
        except RemoteUnavailable:
            return Page()


@broken("test_reads_say_that_the_remote_is_not_there")
class LibraryRaises(Wired):
    """The exceptions of the HTTP library come through."""

    def _asked(self, ask: Callable[[], T]) -> T:
        if isinstance(self._error, RemoteUnavailable):
            raise httpx.ConnectError("connection refused")
        return super()._asked(ask)


@broken("test_reads_say_that_a_reply_is_unreadable")
class HalfAPage(Wired):
    """A page is put together from those lines that could be read."""

    def pull(self, request, /):
        try:
            return super().pull(request)
        except ProtocolError:
            page = self.inner.pull(request)
            return attrs.evolve(page, records=page.records[: len(page.records) // 2])


@broken("test_reads_say_why_the_remote_does_not_answer")
class OneErrorForAll(_Raised):
    """Every status that is not 200 is one error."""

    def raised(self, error: TransportError) -> TransportError:
        return RemoteUnavailable("not 200")


@broken("test_reads_say_why_the_remote_does_not_answer")
class FailedIsUnauthorized(_Raised):
    """A proxy's 500 is taken for its 401: the user is asked to log in."""

    def raised(self, error: TransportError) -> TransportError:
        return Unauthorized("log in") if str(error) == "500" else error


# ---- sizes


def _size(change: Change) -> int:
    return len(str(change.record or ""))


@broken("test_a_large_record_arrives_whole_or_is_rejected")
class TooLargeIsADoubt(Loopback):
    """A 413 is told as Unknown, and sent again for ever."""

    def one(self, change: Change) -> Outcome:
        return Unknown("413") if _size(change) > 200_000 else super().one(change)


@broken("test_a_large_record_arrives_whole_or_is_rejected")
class CutTexts(Loopback):
    """A column holds 65,535 characters, and what is longer is cut without a word."""

    def sent(self, change: Change) -> Change:
        if change.record is None:
            return change
        record = {
            name: value[:65_535] if isinstance(value, str) else value for name, value in change.record.items()
        }
        return attrs.evolve(change, record=record)


@broken("test_a_record_that_is_too_large_does_not_stop_the_rest")
class TooLargeAsAWhole(Loopback):
    """A push is one request, and is refused as a whole where one change in it is too large."""

    def push(self, changes, /):
        if any(_size(change) > 1 << 20 for change in changes):
            return [Rejected("413", "too large") for _ in changes]
        return super().push(changes)


@broken("test_changes_up_to_max_bytes_are_taken")
class BytesOnTheWire(Bounded):
    """The limit is counted on the wire, where base64 has made four bytes of three."""

    def push(self, changes, /):
        if sum(map(_size, changes)) * 4 // 3 > 50_000:
            return [Rejected("413", "too large") for _ in changes]
        return super().push(changes)
