"""tidesync's own protocol as anybody may speak it: requests and replies of the service, line by line."""

import asyncio
import gzip
import json
import socket
import time
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.routing import Mount

from tests.transports.service.conftest import Host, Serve
from tests.transports.service.native_lines import NDJSON, NOTE, TODO, insert, line, lines, pull, push, told
from tests.transports.service.support import Serving
from tidesync.contracts.transport import Outcome
from tidesync.errors import StoreBusy, StoreError
from tidesync.query import Compare, Field, Value
from tidesync.records import Record
from tidesync.stores.memory import MemoryStore
from tidesync.transports.commits import Write
from tidesync.transports.principal import Principal
from tidesync.transports.service import Limits, create_app, native
from tidesync.values import ColumnType


@pytest.fixture
def service(serve: Serve) -> Serving:
    return serve(MemoryStore(), [TODO, NOTE], identity="here")


def test_a_service_says_what_it_is(service: Serving) -> None:
    """Its identity, versions and limits, and the tables that exist for who asks."""
    reply = service.http.get("/tidesync/v1")
    assert "1" == reply.headers["tidesync-protocol"]
    assert {
        "protocol": "tidesync", "versions": [1], "identity": "here", "cursor": "commit_ordered", "ordered": True,
        "total": True, "filters": True, "tombstones": ["note", "todo"], "departures": ["note", "todo"],
        "remembers": 2592000.0, "overlap": 0.0,
        "limits": {"changes": 1000, "bytes": 16 << 20, "line": (2 << 20) + 65536, "page": 1000},
    } == reply.json()  # fmt: skip


def test_a_batch_is_answered_change_by_change(service: Serving) -> None:
    """In the order of the changes, each on what the ones before it left; the content is not sent back."""
    update = {
        "id": "u",
        "table": "todo",
        "record_id": "a",
        "kind": "update",
        "record": {"id": "a", "n": 2},
        "fields": ["n"],
    }
    gone = {"id": "d", "table": "todo", "record_id": "a", "kind": "delete"}
    first, second, third, fourth, end = push(service, insert("a", text="x", n=1), insert("a"), update, gone)
    assert {"id", "outcome", "version", "created_at", "updated_at"} == first.keys()
    assert ("op-a", "applied") == (first["id"], first["outcome"])
    assert "operation_reused" == second["code"]
    assert {"id": "a", "text": "x", "n": 2} == {
        name: third["record"][name] for name in third["record"].keys() & {"id", "text", "n"}
    }
    assert fourth["version"] == fourth["tombstone"]
    assert {"end": {"outcomes": 4}} == end
    again = push(service, insert("a", text="x", n=1))
    assert {"id": "op-a", "outcome": "applied", "version": first["version"]} == again[0]


def test_a_conflict_carries_what_is_there(service: Serving) -> None:
    """The record, the tombstone, or that there is nothing."""
    [made, _] = push(service, insert("a", text="x"))
    change = {"id": "u", "table": "todo", "record_id": "a", "kind": "update", "record": {"id": "a"}}
    [stale, _] = push(service, {**change, "fields": [], "expected": {"version": "0.x"}})
    assert ("conflicted", made["version"], "x") == (
        stale["outcome"], stale["record"]["version"], stale["record"]["text"],
    )  # fmt: skip
    [gone, missing, _] = push(
        service,
        {
            "id": "d",
            "table": "todo",
            "record_id": "a",
            "kind": "delete",
            "expected": {"version": made["version"]},
        },
        {**change, "record_id": "b", "record": {"id": "b"}},
    )
    [dead, _] = push(service, {**insert("a"), "id": "again", "expected": "absent"})
    assert {"id": "again", "outcome": "conflicted", "tombstone": gone["version"]} == dead
    assert {"id": "u", "outcome": "conflicted", "absent": True} == missing


def test_batches_and_their_replies_may_be_compressed(service: Serving) -> None:
    """Both ways, by the usual headers; a reply is small enough to show that it was."""
    body = gzip.compress(b"".join(line(insert(f"r{n}", text="x" * 50)) + b"\n" for n in range(300)))
    reply = service.http.post(
        "/tidesync/v1/push",
        content=body,
        headers={**NDJSON, "Content-Encoding": "gzip", "Accept-Encoding": "gzip"},
    )
    assert "gzip" == reply.headers["content-encoding"]
    assert (["applied"] * 300, 300) == (told(lines(reply))[:-1], lines(reply)[-1]["end"]["outcomes"])
    page = service.http.post(
        "/tidesync/v1/pull", json={"query": {"table": "todo"}}, headers={"Accept-Encoding": "gzip"}
    )
    assert "gzip" == page.headers["content-encoding"]
    assert 301 == len(lines(page))
    plain = service.http.post(
        "/tidesync/v1/pull", json={"query": {"table": "todo"}}, headers={"Accept-Encoding": "identity"}
    )
    assert "content-encoding" not in plain.headers
    assert lines(page)[:-1] == lines(plain)[:-1]


# ---- what is wrong in a batch


@pytest.mark.parametrize(
    ("odd", "field"),
    [
        ({**insert("x"), "kind": "upsert"}, "kind"),
        ({**insert("x"), "odd": 1}, "odd"),
        ({**insert("x"), "record": 5}, "record"),
        ({"id": "op-x"}, "kind"),
    ],
)
def test_a_malformed_change_is_refused_alone(service: Serving, odd: Any, field: str) -> None:
    """As long as its id can be read: its outcome has its place, and the rest goes on."""
    found = push(service, insert("a"), odd, insert("b"))
    assert ["applied", "rejected", "applied", "end"] == told(found)
    assert ("op-x", "malformed") == (found[1]["id"], found[1]["code"])
    assert field in found[1]["message"]


@pytest.mark.parametrize(
    "odd", [b"{", b"5", b'{"kind":"insert"}', b'{"id":5}', b"\xff", b'{"id":"x","id":"y"}', b"NaN"]
)
def test_a_line_without_an_id_stops_the_batch(service: Serving, odd: bytes) -> None:
    """What came before is decided and answered; that line is refused, and what follows is not tried."""
    found = push(service, insert("a"), insert("b"), odd, insert("c"))
    assert ["applied", "applied", "error"] == told(found)
    assert ("malformed", "refused") == (found[-1]["error"]["code"], found[-1]["error"]["rest"])
    assert ["a", "b"] == [record["id"] for record in held(service)]


def held(service: Serving, table: str = "todo") -> list[Any]:
    found = lines(pull(service, query={"table": table}))
    return [each["record"] for each in found if "record" in each]


def test_more_than_a_batch_may_hold_is_not_tried(serve: Serve) -> None:
    """The first ones are decided; the reply says what becomes of the rest."""
    service = serve(MemoryStore(), [TODO], limits=Limits(batch=3))
    found = push(service, *(insert(f"r{n}") for n in range(5)))
    assert ["applied", "applied", "applied", "error"] == told(found)
    assert ("too_many", "untried") == (found[-1]["error"]["code"], found[-1]["error"]["rest"])
    assert 3 == len(held(service))


def test_a_batch_that_is_too_large_is_refused_before_anything_is_done(serve: Serve) -> None:
    """Where its length is known."""
    service = serve(MemoryStore(), [TODO], limits=Limits(batch_body=1000))
    body = b"".join(line(insert(f"r{n}", text="x" * 100)) + b"\n" for n in range(20))
    reply = service.http.post("/tidesync/v1/push", content=body)
    assert (413, "too_large", "1") == (
        reply.status_code, reply.json()["code"], reply.headers["tidesync-protocol"],
    )  # fmt: skip
    assert [] == held(service)


def test_a_batch_that_turns_out_to_be_too_large_is_answered_as_far_as_it_was_decided(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Compressed, only reading it tells; what was not decided is not tried."""
    monkeypatch.setattr(native, "PART", 2)
    service = serve(MemoryStore(), [TODO], limits=Limits(batch_body=1 << 18))
    body = b"".join(line(insert(f"r{n}", text="x" * 1000)) + b"\n" for n in range(300))
    reply = service.http.post(
        "/tidesync/v1/push", content=gzip.compress(body), headers={"Content-Encoding": "gzip"}
    )
    if reply.status_code == 200:
        *outcomes, error = lines(reply)
        assert {"applied"} <= set(told(outcomes))
        assert ("too_large", "untried") == (error["error"]["code"], error["error"]["rest"])
    else:
        outcomes = []
        assert 413 == reply.status_code
    assert len(outcomes) == len(held(service))


def test_a_line_that_is_too_long_stops_the_batch(serve: Serve) -> None:
    """It is not kept until its end is seen; what came before it is decided."""
    service = serve(MemoryStore(), [TODO], limits=Limits(body=1000))
    found = push(service, insert("a"), insert("b", text="x" * 200_000), insert("c"))
    assert ["applied", "error"] == told(found)
    assert ("too_large", "refused") == (found[-1]["error"]["code"], found[-1]["error"]["rest"])
    assert ["a"] == [record["id"] for record in held(service)]


def test_a_line_in_many_pieces_costs_no_more_than_it_has_bytes(service: Serving) -> None:
    """What has come of a line is not gone through again with each piece that follows: nobody else would be served."""
    batch = native.Batch(service.app.service, Principal("ann"))
    text = line(insert("a", text="x" * 1_000_000)) + b"\n" + line(insert("b"))
    began = time.monotonic()

    async def arrive() -> None:
        for start in range(0, len(text), 20):
            await batch.take(text[start : start + 20])
        await batch.end()

    asyncio.run(arrive())

    assert ["applied", "applied"] == told([json.loads(each) for each in batch.lines])
    assert time.monotonic() - began < 2


def test_a_reply_that_grows_too_large_leaves_the_rest_untried(serve: Serve) -> None:
    """Conflicts show what is there, however small the changes are: so far, and no further, in one reply."""
    limits = Limits(batch_body=100_000)
    service = serve(MemoryStore(), [NOTE], limits=limits, identity="here")
    for n in range(2):
        _ = push(service, insert(f"n{n}", "note", text="x" * 15_000))
    stale = [insert(f"n{n % 2}", "note", text="y") for n in range(1, 2 * native.PART)]
    [*outcomes, last] = push(service, *({**each, "id": f"again-{n}"} for n, each in enumerate(stale)))

    assert {"conflicted"} == set(told(outcomes))
    assert native.PART == len(outcomes)
    assert ("too_much", "untried") == (last["error"]["code"], last["error"]["rest"])


def test_an_empty_batch_ends_at_once(service: Serving) -> None:
    """Blank lines are nothing; the last line needs no end."""
    assert [{"end": {"outcomes": 0}}] == push(service)
    assert [{"end": {"outcomes": 0}}] == push(service, b"", b"  ")
    reply = service.http.post("/tidesync/v1/push", content=line(insert("a")))
    assert ["applied", "end"] == told(lines(reply))


# ---- trouble


class Failing:
    """A service whose commits fail as they are told to."""

    def __init__(self, service: Serving, fail: Callable[[Sequence[Write]], Exception | None]) -> None:
        inner = service.app.service
        commit = inner.commit

        async def failing(writes: Sequence[Write]) -> list[Outcome]:
            error = fail(writes)
            if error is not None:
                raise error
            done: list[Outcome] = await commit(writes)
            return done

        inner.commit = failing


def has(id: str) -> Callable[[Sequence[Write]], bool]:
    return lambda writes: any(write.change.record_id == id for write in writes)


def test_a_store_that_fails_in_the_middle_leaves_its_part_in_doubt(
    service: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is known is told, the part that failed may be in effect, and what follows was not tried."""
    monkeypatch.setattr(native, "PART", 2)
    _ = Failing(service, lambda writes: StoreError("disk") if has("c")(writes) else None)
    found = push(service, *map(insert, "abcdef"))
    assert ["applied", "applied", "unknown", "unknown", "error"] == told(found)
    assert "untried" == found[-1]["error"]["rest"]
    assert ["a", "b"] == [record["id"] for record in held(service)]


def test_a_store_that_is_busy_at_once_is_a_503(service: Serving) -> None:
    """Nothing was decided, which the status may then say."""
    _ = Failing(service, lambda writes: StoreBusy("busy"))
    reply = service.http.post("/tidesync/v1/push", content=line(insert("a")))
    assert (503, "1") == (reply.status_code, reply.headers["tidesync-protocol"])
    assert "retry-after" in reply.headers


def test_one_change_that_makes_the_service_fail_is_in_doubt_alone(serve: Serve) -> None:
    """A hook that raises stops neither the changes before nor those behind."""

    def hook(old: Record | None, new: Record | None, principal: Principal) -> None:
        if new is not None and new.get("text") == "bad":
            raise ZeroDivisionError("secret")

    service = serve(MemoryStore(), [TODO], before_write=hook)
    texts = {"d": "bad", "g": "bad"}
    found = push(service, *(insert(id, text=texts.get(id, "good")) for id in "abcdefgh"))
    assert ["applied"] * 3 + ["unknown"] + ["applied"] * 2 + ["unknown", "applied", "end"] == told(found)
    assert "secret" not in json.dumps(found)
    assert list("abcefh") == sorted(record["id"] for record in held(service))


def test_a_store_that_fails_while_the_culprit_is_sought_leaves_doubts(service: Serving) -> None:
    """Some of the part are in effect by then, so that neither a status nor "untried" may say otherwise."""

    def fail(writes: Sequence[Write]) -> Exception | None:
        if len(writes) == 4:
            return ZeroDivisionError()
        return StoreBusy("busy") if has("c")(writes) else None

    _ = Failing(service, fail)
    found = push(service, *map(insert, "abcd"))
    assert ["applied", "applied", "unknown", "unknown", "end"] == told(found)
    assert ["a", "b"] == [record["id"] for record in held(service)]


def test_a_client_that_leaves_in_the_middle_loses_no_part_that_came(
    service: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whole parts are committed as they come; nothing of half a line is."""
    monkeypatch.setattr(native, "PART", 2)
    body = b"".join(line(insert(id)) + b"\n" for id in "abcd") + line(insert("e"))[:-5]
    head = f"POST /tidesync/v1/push HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body) + 100}\r\n\r\n"
    with socket.create_connection(("127.0.0.1", service.port)) as wire:
        wire.sendall(head.encode() + body)
        for _ in range(200):
            if len(held(service)) == 4:
                break
    assert list("abcd") == [record["id"] for record in held(service)]


# ---- principals, and other remotes


def test_what_lies_outside_of_a_view_does_not_exist(serve: Serve) -> None:
    """Not in the welcome, a batch, a page or a read."""
    mine = {"todo": Compare("eq", Field("owner", ColumnType.STRING), Value("ann", ColumnType.STRING))}
    service = serve(
        MemoryStore(),
        [TODO, NOTE],
        authorize=lambda request: Principal("ann", mine) if "x" in request.headers else Principal("root"),
    )
    _ = push(service, insert("hers", owner="ann"), insert("his", owner="bob"), insert("n", "note"))
    service.http.headers["x"] = "1"
    assert ["todo"] == service.http.get("/tidesync/v1").json()["tombstones"]
    assert ["hers"] == [record["id"] for record in held(service)]
    assert {"absent": True} == service.http.get("/tidesync/v1/tables/todo/his").json()
    assert 404 == service.http.get("/tidesync/v1/tables/note/n").status_code
    assert 404 == pull(service, query={"table": "note"}).status_code
    change = {
        "table": "todo",
        "record_id": "his",
        "kind": "update",
        "record": {"id": "his", "n": 1},
        "fields": ["n"],
    }
    found = push(service, {"id": "1", **change}, {**insert("n", "note"), "id": "2"}, insert("o", owner="bob"))
    assert ["conflicted", "rejected", "rejected", "end"] == told(found)
    assert (True, "unknown_table", "forbidden") == (found[0]["absent"], found[1]["code"], found[2]["code"])


@pytest.mark.parametrize(("identity", "status"), [("here", 200), ("h%65re", 421), ("there", 421), ("", 421)])
def test_what_another_remote_is_asked_for_is_not_done(service: Serving, identity: str, status: int) -> None:
    """Should one take another's place, a client that names its remote does no harm."""
    headers = {"Tidesync-Remote": identity}
    replies = [
        service.http.post("/tidesync/v1/push", content=line(insert("a")), headers=headers),
        service.http.post("/tidesync/v1/pull", json={"query": {"table": "todo"}}, headers=headers),
        service.http.get("/tidesync/v1/tables/todo/a", headers=headers),
    ]
    assert [status] * 3 == [reply.status_code for reply in replies]
    assert (status == 200) == bool(held(service))


def test_a_mounted_service_speaks_it_too(host: Host) -> None:
    """Under any path; it opens its store, and learns its identity, when it is first asked."""
    store = MemoryStore()
    for path, headers in (("/tables/todo/a%2Fb", {"Tidesync-Remote": "here"}), ("", {})):
        app = create_app(store, [TODO], identity="here")
        service = host(Starlette(routes=[Mount("/api/v2", app)]))
        reply = service.http.get(f"/api/v2/tidesync/v1{path}", headers=headers)
        assert 200 == reply.status_code
        app.close()
