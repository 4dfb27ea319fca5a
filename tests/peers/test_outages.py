"""No network, a server that is slow, busy, broken, killed or wrong: nothing is lost, and the queue goes on."""

from typing import Any

import pytest

from tests.peers.remote import Remote, texts
from tests.peers.sent import changes
from tests.peers.wire_faults import Answer, LoseRequest, Seen
from tidesync import PushFailed, SyncContext, table
from tidesync.errors import (
    NotReachable,
    ProtocolError,
    RemoteUnavailable,
    RequestRefused,
    TransportError,
    Unauthorized,
)


def failed_push(device: SyncContext) -> PushFailed:
    with pytest.raises(PushFailed) as caught:
        device.push()
    return caught.value


def with_queue(remote: Remote, count: int = 5, **transport: Any) -> SyncContext:
    """A device with so many inserts, which the server has not seen."""
    device = remote.device(concurrency=1, **transport)
    device.remote(remote.items).get("nothing")  # it knows the server
    remote.wire.clear()
    device[remote.items].insert_many([{"id": f"i{number}", "text": f"{number}"} for number in range(count)])
    return device


def assert_all_there(remote: Remote, device: SyncContext, count: int = 5) -> None:
    """Each record is at the server once, and nothing is queued."""
    rows, edits = remote.rows(remote.items), remote.edits(remote.items)
    assert {f"i{number}": (f"{number}", 1) for number in range(count)} == {
        id: (row["text"], edits[id]) for id, row in rows.items()
    }
    assert 0 == device.pending_operations


@pytest.mark.parametrize("known", [True, False])
def test_a_refused_connection(remote: Remote, known: bool) -> None:
    """Push says "network" and all is pending as before; the next push sends it."""
    device = with_queue(remote) if known else remote.device()
    if not known:
        device[remote.items].insert_many([{"id": f"i{number}", "text": f"{number}"} for number in range(5)])
    remote.wire.offline()

    report = failed_push(device).report

    assert ("network", 0, 5) == (report.status, len(report.pushed), report.pending)
    assert [("pending", 0)] * 5 == [
        (operation.state, operation.attempts) for operation in device.operations()
    ]
    with pytest.raises(PushFailed):
        device.pull(remote.items)
    with pytest.raises(NotReachable):
        device.pull(remote.items, push="none")
    device[remote.items].insert({"id": "i5", "text": "5"})
    remote.wire.online()
    assert 6 == len(device.push().pushed)
    assert_all_there(remote, device, 6)


def test_the_network_goes_in_the_middle(remote: Remote) -> None:
    """What was sent stays sent; what was not is pending; and it ends where the user would."""
    device = with_queue(remote)

    def cut(seen: Seen) -> bool:
        return changes(seen)[-1].id >= "i2"

    remote.plan(LoseRequest(), when=cut, times=None)
    report = failed_push(device).report

    # A batch goes as a whole or not at all.
    assert ("network", 0 if remote.way.batched else 2) == (report.status, len(report.pushed))
    remote.wire.clear()
    device.push()
    assert_all_there(remote, device)


def test_too_many_requests(remote: Remote) -> None:
    """429 sends nothing more, and `retry_after` says when to come back; push itself never sleeps on it."""
    device = with_queue(remote)
    done = 0 if remote.way.batched else 2
    remote.plan(Answer(429, headers={"Retry-After": "17"}), skip=done)

    report = failed_push(device).report

    assert ("network", done, 17.0) == (report.status, len(report.pushed), report.retry_after)
    assert [("pending", 0)] * (5 - done) == [
        (operation.state, operation.attempts) for operation in device.operations()
    ]
    device.push()
    assert_all_there(remote, device)


TOKEN_HEADERS = ("x-zumo-auth", "authorization")


def token(seen: Seen) -> str:
    """The token that a request carries, in the header of its protocol."""
    found = (seen.headers.get(name, "") for name in TOKEN_HEADERS)
    return "".join(found).removeprefix("Bearer ")


def test_credentials_are_renewed_once(remote: Remote) -> None:
    """401: one fresh token, and the push goes on as if nothing had been."""
    tokens = iter(["old", "new"])
    device = remote.device(auth=lambda: next(tokens), concurrency=1, protocol=remote.way.said)
    device[remote.items].insert_many([{"id": f"i{number}", "text": f"{number}"} for number in range(5)])
    passed: list[str] = []

    def take_off(seen: Seen) -> bool:
        """The server has its own idea of tokens: the wire looks at them, and takes them off."""
        passed.append(token(seen))
        seen.raw_headers = [
            (name, value) for name, value in seen.raw_headers if name.lower() not in TOKEN_HEADERS
        ]
        return False

    remote.wire.plan(Answer(401), when=lambda seen: token(seen) == "old", times=None)
    remote.wire.plan(Answer(500), when=take_off, times=None)
    assert 5 == len(device.push().pushed)

    assert ["new"] * (remote.way.asks + 1 if remote.way.batched else 5) == passed
    assert_all_there(remote, device)


def test_credentials_that_stay_refused(remote: Remote) -> None:
    """Push stops with "authentication", all is pending; a pull is `Unauthorized`."""
    device = remote.device(auth=lambda: "never good", concurrency=1)
    device[remote.items].insert({"id": "i0", "text": "0"})

    report = failed_push(device).report

    assert ("authentication", 1) == (report.status, report.pending)
    assert ["pending"] == [operation.state for operation in device.operations()]
    with pytest.raises(Unauthorized):
        device.remote(remote.items).get("i0")
    with pytest.raises(Unauthorized):
        device.pull(remote.items, push="none")
    assert {} == remote.rows(remote.items)


def test_one_operation_that_the_server_cannot_do(remote: Remote) -> None:
    """Three tries, then it is set aside; the rest of the queue goes on, and the next push tries again."""
    device = with_queue(remote)
    remote.plan(Answer(500), id="i1", times=None)

    failure = failed_push(device)

    if remote.way.batched:  # an answer is to all of them
        assert ("network", 0) == (failure.report.status, len(failure.report.pushed))
    else:
        assert ("complete", 4) == (failure.report.status, len(failure.report.pushed))
        assert [("i1", "unknown")] == [(error.record_id, error.status) for error in failure.errors]
    assert (1 if remote.way.batched else 3) == remote.sent().count("insert i1")
    remote.wire.clear()
    device.push()
    assert_all_there(remote, device)


def test_a_server_that_cannot_do_anything(remote: Remote) -> None:
    """Three operations in a row: it is down, and the rest is not even tried."""
    device = with_queue(remote, 20)
    remote.wire.plan(Answer(503), times=None)

    report = failed_push(device).report

    assert ("network", 20) == (report.status, report.pending)
    assert len(remote.pushes) <= 9
    remote.wire.clear()
    device.push()
    assert_all_there(remote, device, 20)


def test_a_poison_operation_does_not_wedge_the_queue(remote: Remote) -> None:
    """The server has no such column, and answers as it does: the others arrive, in this push and in later ones."""
    columns = {"text": str, "colour": str}
    strict = table(remote.name("strict"), columns, references={})
    device = remote.device(strict, concurrency=1)
    device[strict].insert({"id": "good", "text": "good"})
    device[strict].insert({"id": "poison", "text": "bad", "colour": "red"})
    device[strict].insert({"id": "better", "text": "better"})

    failure = failed_push(device)

    refused = remote.deviations.unknown_column < 500
    assert [("poison", "rejected" if refused else "unknown")] == [
        (e.record_id, e.status) for e in failure.errors
    ]
    assert ["good", "better"] == [operation.record_id for operation in failure.report.pushed]
    device[strict].insert({"id": "late", "text": "late"})
    if refused:
        device.push()
    else:
        failed_push(device)
    assert {"good": "good", "better": "better", "late": "late"} == remote.alive(strict, "text")
    # The way out: what nobody can send is dropped, and the record with it.
    device.purge(strict, device[strict].where(id="poison"), force=True)
    assert 0 == device.pending_operations


def test_a_body_that_is_too_large_is_refused(remote: Remote) -> None:
    """The operation fails with the server's words, the others arrive, and a smaller content mends it."""
    limit = remote.deviations.body_limit
    if limit is None:
        pytest.skip("this server takes bodies of any size")
    device = with_queue(remote, 2)
    device[remote.items].insert({"id": "i2", "text": "x" * limit})

    failure = failed_push(device)

    assert [("i2", "rejected")] == [(error.record_id, error.status) for error in failure.errors]
    assert ["failed"] == [operation.state for operation in device.operations()]
    device[remote.items].update("i2", text="2")
    device.push()
    assert_all_there(remote, device, 3)


# ---- wrong servers


PAGE = b"<!DOCTYPE html><html><head><title>Wi-Fi</title></head><body>Please log in</body></html>"
WRONG: dict[str, tuple[Answer, type[TransportError]]] = {
    "a portal that says 200": (Answer(200, PAGE, {"Content-Type": "text/html"}), ProtocolError),
    "a portal that lies about it": (Answer(200, PAGE), ProtocolError),
    "HTML with 404": (Answer(404, PAGE, {"Content-Type": "text/html"}), RequestRefused),
    "HTML with 502": (Answer(502, PAGE, {"Content-Type": "text/html"}), RemoteUnavailable),
    "JSON of another shape": (Answer(200, b'{"hello": "world"}'), ProtocolError),
    "nothing": (Answer(200, b""), ProtocolError),
    "half of it": (Answer(200, b'[{"id": "a", "te'), ProtocolError),
}


@pytest.mark.parametrize("when", ["at first", "later"])
@pytest.mark.parametrize("what", WRONG)
def test_answers_of_something_else(remote: Remote, what: str, when: str) -> None:
    """A typed error; nothing is stored, nothing leaves the queue, and the next call works."""
    answer, error = WRONG[what]
    if what == "HTML with 404" and remote.way.batched:
        error = ProtocolError  # nothing of its protocol is there
    remote.insert(remote.items, "there", text="there")
    device = with_queue(remote, 1, retries=0) if when == "later" else remote.device(retries=0)
    if when == "at first":
        device[remote.items].insert({"id": "i0", "text": "0"})
    remote.wire.plan(answer, times=None)

    with pytest.raises(error):
        device.pull(remote.items, push="none")
    # What finds out the protocol is told so before it could send.
    refused = what == "HTML with 404" and when == "at first" and remote.way.protocol == "auto"
    with pytest.raises(TransportError if refused else PushFailed):
        device.push()

    assert {"i0": "0"} == texts(device[remote.items].all())
    assert {"there": "there"} == remote.alive(remote.items, "text")
    remote.wire.clear()
    device.push(retry_failed=True)
    device.pull(remote.items)
    assert {"i0": "0", "there": "there"} == texts(device[remote.items].all())


@pytest.mark.parametrize("found_out", [True, False])
def test_a_server_without_the_table(remote: Remote, found_out: bool) -> None:
    """Refused, with the table named; the queue stays whole."""
    nowhere = table("nowhere", {"text": str})
    device = remote.device(nowhere, protocol="auto" if found_out else remote.way.said)
    device[nowhere].insert({"id": "a", "text": "a"})

    with pytest.raises(RequestRefused):
        device.pull(nowhere, push="none")
    with pytest.raises((PushFailed, RequestRefused)):
        device.push()

    assert ["a"] == [operation.record_id for operation in device.operations()]
    assert "a" in texts(device[nowhere].all())


def test_an_address_where_nothing_is(remote: Remote) -> None:
    """A path without tables is refused; a port where nobody listens is not reachable."""
    device = remote.device(url=f"{remote.wire.url}/elsewhere")
    with pytest.raises(RequestRefused):
        device.pull(remote.items)
    remote.wire.offline()
    with pytest.raises(NotReachable):
        device.pull(remote.items)


def test_the_protocol_is_found_out_once(remote: Remote) -> None:
    """One request more than with the protocol given, and never again."""
    asked = remote.way.asks if remote.way.said == remote.way.protocol else 0
    for protocol, more in ((remote.way.said, asked), ("auto", remote.way.finds_out)):
        remote.wire.clear()
        device = remote.device(protocol=protocol)
        device.pull(remote.items)
        device.pull(remote.items)
        assert 2 + more == len(remote.wire.requests)
