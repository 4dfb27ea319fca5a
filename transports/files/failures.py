"""What an exception of obstore says: whether anything was sent, and whether it may be in effect; pure.

obstore has a class for each of a few replies and `GenericError` for all the rest; what was met stands in the text that
follows, which is a debug print of object_store's own error (the same form from obstore 0.10 on). What is not recognised
there is *in doubt*: nothing ever counts as refused, or as not sent, because a text was not understood.
"""

from __future__ import annotations

import enum
import re
from typing import Final

import attrs
from obstore.exceptions import (
    AlreadyExistsError,
    BaseError,
    InvalidPathError,
    NotSupportedError,
    PermissionDeniedError,
    UnauthenticatedError,
)

from tidesync.errors import (
    ConfigurationError,
    NotReachable,
    ProtocolError,
    RemoteDamaged,
    RemoteUnavailable,
    RequestRefused,
    TidesyncError,
    Unauthorized,
)

RAISED: Final = (BaseError, OSError, NotImplementedError)
"""All that obstore raises for what it met; FileNotFoundError is one of them."""

_STATUS: Final = re.compile(r"\b(?:Status|Response) \{\s*status: (\d{3}),")
_KIND: Final = re.compile(r"\bHttpError \{\s*kind: (\w+),")
_CONNECTING: Final = re.compile(r"\blegacy::Error\(\s*Connect,")
_RETRIES: Final = re.compile(r"\bretries: ([1-9]\d*),")
_CODE: Final = re.compile(r"<Code>([A-Za-z]{1,60})</Code>|\bcode: \"([A-Za-z]{1,60})\"")
_METADATA: Final = re.compile(
    r"\buri: Some\(\s*https?://(?:169\.254\.\d+\.\d+|metadata(?:\.google\.internal)?)[:/]"
)
_NO_BUCKET: Final = frozenset(("NoSuchBucket", "ContainerNotFound"))
_NOT_YOU: Final = frozenset(("AccessDenied", "ExpiredToken", "InvalidToken", "InvalidAccessKeyId"))
_SAYS_NOTHING: Final = re.compile(r"^\s*(?:store|path|code|type): |^[^\"']*$")


class What(enum.Enum):
    """What became of a request."""

    TAKEN = enum.auto()
    """Create: there is such a file."""
    CONFLICT = enum.auto()
    """HTTP 409. S3: another request for this name is under way, and nothing was done; Azure: the name is taken."""
    ABSENT = enum.auto()
    NO_BUCKET = enum.auto()
    DENIED = enum.auto()
    NO_CREDENTIALS = enum.auto()
    """None were given, and the machine's own service for credentials has none."""
    CANNOT = enum.auto()
    """The bucket, or its store object, does not create a file only if it is absent."""
    PLAIN = enum.auto()
    """Plain http, which nobody allowed."""
    STRANGE_NAME = enum.auto()
    NO_ANSWER_OF_ITS_KIND = enum.auto()
    REFUSED = enum.auto()
    NOT_REACHED = enum.auto()
    LIMITED = enum.auto()
    DOUBT = enum.auto()


@attrs.frozen
class Failure:
    """A request that failed. `passing`: it may go through in a moment. `cause` quotes nothing that was received."""

    what: What
    detail: str
    passing: bool
    cause: Exception

    def error(self, address: str, name: str) -> TidesyncError:
        """The error to raise for a request about a file or folder; `cause` is to be chained."""
        match self.what:
            case What.NOT_REACHED:
                return NotReachable(f"{address} cannot be reached: nothing was sent")
            case What.LIMITED:
                return NotReachable(f"{address} takes no more requests just now ({self.detail})")
            case What.CONFLICT:
                return NotReachable(f"{address} is busy with {name}: nothing was done", retry_after=1.0)
            case What.DENIED:
                return Unauthorized(f"{address} refused the credentials ({self.detail})")
            case What.NO_CREDENTIALS:
                return Unauthorized(
                    f"there are no credentials for {address}: give them in options=, or in the environment"
                )
            case What.NO_BUCKET:
                return RequestRefused(
                    f"{address}: there is no such bucket; it has to be made first", code="NoSuchBucket"
                )
            case What.CANNOT:
                return ConfigurationError(
                    f"{address} cannot be a remote: it does not create a file only if it is absent ({self.detail})"
                )
            case What.PLAIN:
                return ConfigurationError(
                    f"{address} is to be reached by plain http: that needs options={{'client_options': {{'allow_http': "
                    "True}}, and shows everything to whoever listens"
                )
            case What.STRANGE_NAME:
                return RemoteDamaged(name, "there are files here whose names cannot be read: move them away")
            case What.NO_ANSWER_OF_ITS_KIND:
                return ProtocolError(f"{address} did not answer as a bucket does: look at what is there")
            case What.TAKEN | What.ABSENT | What.REFUSED:
                return RequestRefused(
                    f"{address} refused the request for {name} ({self.detail})", code=self.detail
                )
            case What.DOUBT:
                return RemoteUnavailable(f"{address} did not answer the request for {name} ({self.detail})")


def read_failure(error: Exception) -> Failure:
    """What one of `RAISED` says."""
    text = str(error).rpartition("\n\nDebug source:\n")[2]
    status = int(found[1]) if (found := _STATUS.search(text)) else 0
    kind = found[1] if (found := _KIND.search(text)) else ""
    code = (found[1] or found[2]) if (found := _CODE.search(text)) else ""
    what = _what(error, text, status, code)
    passing = what in (What.CONFLICT, What.LIMITED) or (
        what is What.DOUBT and (status >= 500 or kind in ("Request", "Interrupted"))
    )
    cause = type(error)(_without_contents(text))
    return Failure(what, code or _detail(status, kind), passing, cause)


def _what(error: Exception, text: str, status: int, code: str) -> What:
    if _METADATA.search(text):
        return What.NO_CREDENTIALS
    if isinstance(error, AlreadyExistsError):
        return What.CONFLICT if status == 409 else What.TAKEN
    if isinstance(error, FileNotFoundError) or status == 404:
        return What.NO_BUCKET if code in _NO_BUCKET else What.ABSENT
    if isinstance(error, PermissionDeniedError | UnauthenticatedError):
        return What.DENIED
    if status in (401, 403) or code in _NOT_YOU:
        return What.DENIED
    if isinstance(error, NotSupportedError | NotImplementedError) or status == 501:
        return What.CANNOT
    if isinstance(error, InvalidPathError):
        return What.STRANGE_NAME
    if "kind: Builder" in text:
        return What.PLAIN
    if re.search(r"\bInvalid\w+Response \{", text):
        return What.NO_ANSWER_OF_ITS_KIND
    if _CONNECTING.search(text) and not _RETRIES.search(text):
        return What.NOT_REACHED
    if status == 429:
        return What.LIMITED
    if "BareRedirect" in text or (300 <= status < 500 and status != 408):
        return What.REFUSED
    return What.DOUBT


def _detail(status: int, kind: str) -> str:
    if status:
        return f"HTTP {status}"
    if kind == "Timeout":
        return "not in time"
    return "the connection was cut" if kind in ("Request", "Interrupted") else "for reasons of its own"


def _without_contents(text: str) -> str:
    """The text without replies and without what follows a `?`: either may hold a credential, or a record."""
    lines = text.partition("PyErr {")[0].splitlines()
    return "\n".join(re.sub(r"\?\S*", "?…", line) for line in lines if _SAYS_NOTHING.match(line))
