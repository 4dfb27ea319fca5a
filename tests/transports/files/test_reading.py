"""Many files are read several at once where each is a request, and told in their order."""

import threading

import pytest

from tests.peers.wire_faults import Answer, Delay
from tests.peers.wire_proxy import WireProxy
from tests.transports.files.dying import Memory
from tests.transports.files.s3_server import S3Server
from tidesync.errors import Unauthorized
from tidesync.transports.files.bucket import Bucket
from tidesync.transports.files.reading import read_all

NAMES = [f"{number:05}" for number in range(1, 31)]


@pytest.fixture
def full(s3: S3Server, behind: Bucket, bucket: str) -> Bucket:
    """A bucket behind the wire, with thirty files in a folder."""
    s3.fill(bucket, "remote/many", len(NAMES))
    return behind


def test_files_are_told_in_their_order(full: Bucket) -> None:
    """Whatever is read first, the answers come in the order of the names, None for one that is not there."""
    assert full.create("many/here", b"here")

    found = read_all(full, [f"many/{name}" for name in (*NAMES, "none", "here")])

    assert [*([b"."] * len(NAMES)), None, b"here"] == list(found)


def test_requests_are_under_way_at_the_same_time(full: Bucket, wire: WireProxy) -> None:
    """Of thirty files eight are asked for at once, and no more than that."""
    under_way, most = 0, 0
    mutex = threading.Lock()
    read = full.read

    def counted(name: str) -> bytes | None:
        nonlocal under_way, most
        with mutex:
            under_way += 1
            most = max(most, under_way)
        try:
            return read(name)
        finally:
            with mutex:
                under_way -= 1

    full.read = counted  # type: ignore[method-assign]
    wire.plan(Delay(before=0.02), times=None)

    assert [b"."] * len(NAMES) == list(read_all(full, [f"many/{name}" for name in NAMES]))
    assert full.at_once == most == 8


def test_what_fails_is_raised_in_its_turn(full: Bucket, wire: WireProxy) -> None:
    """What was read before it is told first, and nobody waits for what comes after it."""
    wire.plan(Answer(403), path=".*/many/00005", times=None)
    found = read_all(full, [f"many/{name}" for name in NAMES])

    assert [b"."] * 4 == [next(found) for _ in range(4)]
    with pytest.raises(Unauthorized):
        next(found)
    assert len(wire.requests) < len(NAMES)


def test_a_place_without_requests_is_read_one_by_one() -> None:
    """Where reading at once is of no use, no thread is begun, and nothing is read before it is wanted."""
    place = Memory({"log/1": b"1", "log/2": b"2"})
    before = threading.active_count()
    found = read_all(place, ["log/1", "log/2", "log/3"])

    assert b"1" == next(found)
    place.delete("log/2")
    assert ([None, None], before) == (list(found), threading.active_count())
