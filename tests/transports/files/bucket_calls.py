"""Calls of a place in a bucket behind a wire, and what they raise."""

from collections.abc import Callable, Iterable
from typing import Any, TypeAlias

import pytest

from tests.peers.wire_faults import Answer
from tests.transports.files.s3_server import S3Server
from tidesync.errors import TidesyncError
from tidesync.transports.files.bucket import Bucket
from tidesync.transports.files.targets import open_place

Call: TypeAlias = Callable[[Bucket], object]

CALLS: dict[str, Call] = {
    "create": lambda place: place.create("log/2", b"content"),
    "read": lambda place: place.read("log/1"),
    "names": lambda place: place.names("log", "0"),
    "folders": lambda place: place.folders("log"),
    "sizes": lambda place: place.sizes(""),
    "delete": lambda place: place.delete("log/1"),
}


def answer(status: int, code: str = "", *, after: bool = False) -> Answer:
    """What S3 answers where it does not do as it was told."""
    body = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>m</Message></Error>" if code else ""
    return Answer(status, body.encode(), {"Content-Type": "application/xml"}, after)


def opened(s3: S3Server, bucket: str, url: str = "", **client_options: Any) -> Bucket:
    options = s3.options(url)
    options["client_options"] |= client_options
    place = open_place(f"s3://{bucket}/remote", options)
    assert isinstance(place, Bucket)
    return place


def raised(call: Call, place: Bucket) -> TidesyncError:
    """What a call raises."""
    with pytest.raises(TidesyncError) as caught:
        call(place)
    return caught.value


def all_raised(place: Bucket, calls: Iterable[str] = CALLS) -> dict[str, type[TidesyncError]]:
    """The classes of what these calls raise, by the call; each has a driver's exception as its cause."""
    errors = {name: raised(CALLS[name], place) for name in calls}
    if any(error.__cause__ is None for error in errors.values()):
        pytest.fail(f"what the driver raised is not chained: {errors}")
    return {name: type(error) for name, error in errors.items()}
