"""A bucket that does not keep to "only if absent" is found out before it loses anything."""

from obstore.store import S3Store

from tests.peers.wire_faults import Answer
from tests.peers.wire_proxy import WireProxy
from tests.transports.files.bucket_calls import CALLS, all_raised, answer, opened, raised
from tests.transports.files.s3_server import S3Server
from tidesync.errors import ConfigurationError, NotReachable
from tidesync.transports.files.bucket import ATTEMPTS, Bucket
from tidesync.transports.files.targets import open_place


def test_a_bucket_that_writes_over_is_found_out(s3: S3Server, bucket: str, wire: WireProxy) -> None:
    """A bucket that does not know If-None-Match is refused at the first write, before anything is lost."""
    other = opened(s3, bucket)
    assert other.create("meta.json", b"meta")
    assert other.create("log/1", b"one")
    place = opened(s3, bucket, wire.url)
    assert b"meta" == place.read("meta.json")
    ok = {"ETag": '"e"', "Content-Type": "application/xml"}
    wire.plan(Answer(200, b"", ok), method="PUT", times=None)

    error = raised(lambda place: place.create("log/1", b"other"), place)

    assert ConfigurationError is type(error)
    assert "only if it is absent" in str(error)
    assert ["/meta.json"] * 2 == [seen.path[-10:] for seen in wire.requests if seen.method == "PUT"]


def test_a_new_remote_is_proved_by_its_first_file(s3: S3Server, bucket: str, wire: WireProxy) -> None:
    """Where nothing was there before, the first file is created twice, with the same bytes."""
    place = opened(s3, bucket, wire.url)
    wire.plan(Answer(200, b"", {"ETag": '"e"'}), method="PUT", times=None)

    error = raised(lambda place: place.create("meta.json", b"meta"), place)

    assert ConfigurationError is type(error)
    assert {b"meta"} == {seen.body for seen in wire.requests}


def test_one_request_proves_it_for_an_opening(s3: S3Server, bucket: str, wire: WireProxy) -> None:
    """Reading proves nothing and costs nothing; the first write costs one request more, others none."""
    assert opened(s3, bucket).create("meta.json", b"meta")
    place = opened(s3, bucket, wire.url)
    assert [b"meta", None] == [place.read("meta.json"), place.read("log/1")]
    assert place.create("log/1", b"one")
    assert not place.create("log/1", b"other")
    assert place.create("log/2", b"two")

    writes = [seen.path.removeprefix(f"/{bucket}/remote/") for seen in wire.requests if seen.method == "PUT"]

    assert ["meta.json", "log/1", "log/1", "log/2"] == writes


def test_a_proof_in_doubt_sent_nothing(s3: S3Server, bucket: str, wire: WireProxy) -> None:
    """A proof that gets no answer did not send the file; and is made again before the next one."""
    assert opened(s3, bucket).create("meta.json", b"meta")
    place = opened(s3, bucket, wire.url)
    assert b"meta" == place.read("meta.json")
    wire.plan(answer(500), method="PUT", times=ATTEMPTS)

    assert NotReachable is type(raised(CALLS["create"], place))
    assert place.read("log/2") is None
    assert place.create("log/2", b"content")


def test_a_first_file_whose_proof_fails_is_there(s3: S3Server, bucket: str, wire: WireProxy) -> None:
    """Once the file is created that is told, whatever happens to the proof, which comes before the next one."""
    place = opened(s3, bucket, wire.url)
    wire.plan(answer(403), method="PUT", skip=1)

    assert place.create("meta.json", b"meta")
    assert place.create("log/1", b"one")

    assert ["meta.json", "meta.json", "meta.json", "log/1"] == [
        seen.path.removeprefix(f"/{bucket}/remote/") for seen in wire.requests
    ]


def test_a_bucket_that_knows_no_condition_is_told_as_such(behind: Bucket, wire: WireProxy) -> None:
    """A bucket that answers "not implemented" to the condition cannot be a remote; nor a store that was told so."""
    wire.plan(answer(501, "NotImplemented"), times=None)

    assert {"create": ConfigurationError} == all_raised(behind, ["create"])


def test_a_store_without_conditions_cannot_be_a_remote(s3: S3Server, bucket: str) -> None:
    """A store of obstore's may have been told not to use them."""
    place = open_place(S3Store(bucket, conditional_put="disabled", **s3.options()))

    assert isinstance(place, Bucket)
    assert {"create": ConfigurationError} == all_raised(place, ["create"])
