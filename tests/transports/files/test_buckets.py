"""What a bucket answers, or does not answer, becomes the error that says what was done."""

import contextlib
import os
import socket
import time
import traceback
from datetime import timedelta

import pytest
from obstore.store import MemoryStore, S3Store

from tests.peers.wire_faults import Answer, CutReply, Fault, LoseReply, LoseRequest
from tests.peers.wire_proxy import WireProxy
from tests.transports.files.bucket_calls import CALLS, all_raised, answer, opened, raised
from tests.transports.files.s3_server import S3Server
from tidesync.errors import (
    NotReachable,
    ProtocolError,
    RemoteDamaged,
    RemoteUnavailable,
    RequestRefused,
    TidesyncError,
    Unauthorized,
)
from tidesync.transports.files.bucket import ATTEMPTS, Bucket
from tidesync.transports.files.targets import open_place


def test_a_closed_port_is_not_reachable(behind: Bucket, wire: WireProxy) -> None:
    """Where nothing listens, nothing was sent; and that is told at once, without another attempt."""
    wire.offline()
    began = time.monotonic()

    assert dict.fromkeys(CALLS, NotReachable) == all_raised(behind)
    assert time.monotonic() - began < 2
    assert "nothing was sent" in str(raised(CALLS["create"], behind))


def test_an_unknown_host_is_not_reachable(s3: S3Server) -> None:
    """A name without an address, and a handshake that fails, come before anything is sent."""
    for url in ("http://no-such-host.invalid", s3.url.replace("http:", "https:")):
        assert dict.fromkeys(CALLS, NotReachable) == all_raised(opened(s3, "any", url))


def test_a_host_that_takes_no_connection_is_not_reachable(s3: S3Server) -> None:
    """A connection that is not made in time sent nothing, other than a reply that does not come."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full:
        waiting = [socket.socket() for _ in range(3)]
        for each in waiting:
            each.setblocking(False)
            each.connect_ex(full.getsockname())
        url = f"http://127.0.0.1:{full.getsockname()[1]}"
        place = opened(s3, "any", url, connect_timeout=timedelta(seconds=0.1))

        assert {"create": NotReachable} == all_raised(place, ["create"])
        for each in waiting:
            each.close()


@pytest.mark.parametrize(
    ("status", "code"),
    [(401, "Unauthorized"), (403, "SignatureDoesNotMatch"), (400, "ExpiredToken"), (403, "")],
)
def test_refused_credentials_are_unauthorized(
    status: int, code: str, behind: Bucket, wire: WireProxy
) -> None:
    """401, 403, and the 400 that S3 answers to a token that is over; it is not asked again."""
    wire.plan(answer(status, code), times=None)

    assert dict.fromkeys(CALLS, Unauthorized) == all_raised(behind)
    assert len(CALLS) == len(wire.requests)
    assert (code or "HTTP 403") in str(raised(CALLS["create"], behind))


def test_a_missing_bucket_is_refused(s3: S3Server) -> None:
    """Where there is no bucket, nothing is called absent: the answer is not that all files are gone."""
    place = opened(s3, "bucket-that-nobody-made")

    errors = [raised(call, place) for call in CALLS.values()]

    assert {"NoSuchBucket"} == {error.code for error in errors if isinstance(error, RequestRefused)}
    assert dict.fromkeys(CALLS, RequestRefused) == all_raised(place)


@pytest.mark.parametrize("status", [500, 503])
def test_a_failure_inside_is_in_doubt(status: int, behind: Bucket, wire: WireProxy) -> None:
    """5xx may have had an effect. It is asked for three times, and told as a doubt."""
    wire.plan(answer(status), times=None)

    assert dict.fromkeys(CALLS, RemoteUnavailable) == all_raised(behind)
    assert ATTEMPTS * len(CALLS) == len(wire.requests)


@pytest.mark.parametrize("fault", [answer(503), LoseRequest(), LoseReply(), CutReply()], ids=str)
def test_what_passes_is_asked_again(fault: Fault, behind: Bucket, wire: WireProxy) -> None:
    """One 5xx, or one connection that is cut, is not seen by who asks."""
    for name in ("read", "names", "folders", "sizes", "delete"):
        expected = CALLS[name](behind) if name != "delete" else None
        wire.clear()
        wire.plan(fault)
        assert expected == CALLS[name](behind), name
        assert 2 == len(wire.requests), name


@pytest.mark.parametrize(
    ("fault", "told"), [(answer(503), True), (LoseRequest(), True), (LoseReply(), False)]
)
def test_a_create_that_is_asked_again_may_meet_itself(
    fault: Fault, told: bool, behind: Bucket, wire: WireProxy
) -> None:
    """A create whose reply was lost says "taken" when it is repeated, and what is there are its own bytes."""
    wire.plan(fault)

    assert told == behind.create("log/2", b"content")
    assert b"content" == behind.read("log/2")


def test_silence_is_in_doubt(s3: S3Server, bucket: str, wire: WireProxy) -> None:
    """A reply that does not come in time is a doubt; it is not waited for twice."""
    place = opened(s3, bucket, wire.url, timeout=timedelta(seconds=0.2))
    wire.plan(LoseRequest(silent=True), times=None)

    assert dict.fromkeys(CALLS, RemoteUnavailable) == all_raised(place)
    assert len(CALLS) == len(wire.requests)
    began = time.monotonic()
    assert "not in time" in str(raised(CALLS["create"], place))
    assert 0.15 < time.monotonic() - began < 2


@pytest.mark.parametrize("later", [answer(403, "AccessDenied"), answer(429)], ids=["denied", "limited"])
def test_a_doubt_stays_one(later: Answer, behind: Bucket, wire: WireProxy) -> None:
    """What a later attempt meets does not say that an earlier one had no effect."""
    wire.plan(answer(500, after=True), later, later, method="PUT")

    assert {"create": RemoteUnavailable} == all_raised(behind, ["create"])
    assert b"content" == behind.read("log/2")


def test_too_many_requests_are_not_sent(behind: Bucket, wire: WireProxy) -> None:
    """429 says that nothing was done."""
    wire.plan(answer(429, "TooManyRequests"), times=None)

    assert dict.fromkeys(CALLS, NotReachable) == all_raised(behind)
    assert ATTEMPTS * len(CALLS) == len(wire.requests)


def test_a_conflict_on_the_way_is_asked_again(behind: Bucket, wire: WireProxy) -> None:
    """S3 answers 409 where another request for a name is under way, and has written nothing: that is not "taken"."""
    wire.plan(answer(409, "ConditionalRequestConflict"), method="PUT")

    assert behind.create("log/2", b"content")
    assert b"content" == behind.read("log/2")


def test_a_conflict_that_stays_is_not_sent(behind: Bucket, wire: WireProxy) -> None:
    """A 409 that does not go away while there is no such file says that nothing was done."""
    wire.plan(answer(409, "ConditionalRequestConflict"), method="PUT", times=None)

    error = raised(CALLS["create"], behind)

    assert isinstance(error, NotReachable)
    assert 1.0 == error.retry_after


def test_a_conflict_with_a_file_is_a_name_that_is_taken(behind: Bucket, wire: WireProxy) -> None:
    """Azure answers 409 where the name is taken, which a look tells."""
    wire.plan(answer(409, "BlobAlreadyExists"), method="PUT")

    assert not behind.create("log/1", b"other")
    assert ["PUT", "HEAD"] == [seen.method for seen in wire.requests]


def test_a_conflict_that_cannot_be_looked_at_is_in_doubt(behind: Bucket, wire: WireProxy) -> None:
    """Where nobody tells whether the name is taken, nothing is known."""
    wire.plan(answer(409), method="PUT")
    wire.plan(answer(403), method="HEAD")

    assert {"create": RemoteUnavailable} == all_raised(behind, ["create"])


@pytest.mark.parametrize("status", [400, 301, 405])
def test_other_refusals_are_told_as_such(status: int, behind: Bucket, wire: WireProxy) -> None:
    """4xx, and S3's answer to a wrong region, are refusals."""
    wire.plan(answer(status, "SomethingElse"), times=None)

    assert dict.fromkeys(CALLS, RequestRefused) == all_raised(behind)


def test_a_page_of_somebody_else_is_no_answer(behind: Bucket, wire: WireProxy) -> None:
    """What is no answer of a bucket's, with the status of one, is a broken protocol; a create is in doubt then."""
    wire.plan(Answer(200, b"<html>Log in to this network", {"Content-Type": "text/html"}), times=None)
    answers = ("names", "folders", "sizes", "delete")

    assert dict.fromkeys(answers, ProtocolError) == all_raised(behind, answers)
    assert {"create": RemoteUnavailable} == all_raised(behind, ["create"])


def test_a_file_that_is_too_large_is_not_loaded(behind: Bucket, wire: WireProxy) -> None:
    """What is larger than any file of a remote is damage, told by its size alone."""
    huge = {"Content-Length": str(10**12), "ETag": '"e"', "Last-Modified": "Wed, 21 Oct 2026 07:28:00 GMT"}
    wire.plan(Answer(200, b"the beginning", huge))

    error = raised(CALLS["read"], behind)

    assert isinstance(error, RemoteDamaged)
    assert "log/1" == error.file


def test_names_that_cannot_be_read_are_damage(s3: S3Server, bucket: str) -> None:
    """What another program put beside the files is told as it is; what no path can be, is damage."""
    place = opened(s3, bucket)
    for name in ("", "%C3%BC", "a%20b", ".hidden"):
        s3.put(f"{bucket}/remote/log/{name}", b"")
    assert [".hidden", "a b", "\u00fc"] == place.names("log")

    s3.put(f"{bucket}/remote/log//x", b"")

    error = raised(lambda place: place.names("log"), place)
    assert isinstance(error, RemoteDamaged)
    assert "log" == error.file


def test_any_number_of_names(s3: S3Server, bucket: str) -> None:
    """A list of several pages is told whole and in order, also after a name; other prefixes are not told."""
    s3.fill(bucket, "remote/log", 3000)
    s3.fill(bucket, "remote-of-another/log", 5)
    place = opened(s3, bucket)

    assert [f"{number:05}" for number in range(1, 3001)] == place.names("log")
    assert [f"{number:05}" for number in range(2990, 3001)] == place.names("log", "02989")


# ---- stores that were made elsewhere


def test_a_store_with_retries_of_its_own_may_have_sent(s3: S3Server, bucket: str, wire: WireProxy) -> None:
    """Where obstore tried again by itself, a connection that is refused at last proves nothing."""
    retries = {"max_retries": 1, "backoff": {"init_backoff": timedelta(seconds=0.01)}}
    wire.offline()
    place = open_place(S3Store(bucket, retry_config=retries, **s3.options(wire.url)))

    assert isinstance(place, Bucket)
    assert RemoteUnavailable is type(raised(CALLS["create"], place))


def test_a_store_of_obstore_is_bounded_by_its_own_options(s3: S3Server) -> None:
    """`longest` counts its timeout and its retries."""
    options = s3.options()
    options["client_options"] |= {"timeout": "1min 2s"}
    one = S3Store("any", retry_config={"max_retries": 0}, **options)
    other = S3Store("any", retry_config={"retry_timeout": timedelta(seconds=20)}, **options)

    assert (5 + 62, 5 + 62 + 20 + 15) == (open_place(one).longest, open_place(other).longest)
    assert 5.0 == open_place(MemoryStore()).longest


# ---- what is not told


def test_no_credential_is_in_an_error(s3: S3Server, bucket: str, wire: WireProxy) -> None:
    """What a server answers, which may be what it was sent, gets into no traceback; nor do options into a repr."""
    place = opened(s3, bucket, wire.url)
    quoted = "an-access-key wJalrXUtnFEMI"
    body = f"<Error><Code>SomeCode</Code><Message>{quoted}</Message>\n\nDebug source:\n{quoted}</Error>"
    wire.plan(
        *(Answer(status, body.encode()) for status in (400, 401, 403, 404, 409, 412, 418) for _ in CALLS)
    )
    told: list[str] = []

    for call in list(CALLS.values()) * 7:
        try:
            call(place)
        except TidesyncError as error:
            told.append("".join(traceback.format_exception(error)))

    assert len(told) > 30
    assert [] == [text for text in told if "wJalr" in text or "access-key" in text or "secret" in text]
    assert f"Bucket('s3://{bucket}/remote')" == repr(place)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there are no forks here")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_forked_process_is_told_so(behind: Bucket) -> None:
    """obstore's threads are not in a process that was forked: that is an error, where it would wait for ever."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        with contextlib.suppress(BaseException):
            os.write(write, type(raised(CALLS["read"], behind)).__name__.encode())
        os._exit(0)
    os.close(write)
    with os.fdopen(read, "rb") as told:
        assert b"ConfigurationError" == told.read()
    os.waitpid(child, 0)
