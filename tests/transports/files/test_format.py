"""Commits, fences and meta.json as bytes: read as they were written, and refused if anything in them is wrong."""

import json
from typing import Any, get_args

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tidesync.conformance import strategies
from tidesync.contracts.transport import ChangeKind
from tidesync.errors import ProtocolError, RemoteDamaged
from tidesync.records import SYSTEM_FIELDS, Json, Record, same
from tidesync.transports.files.format import (
    Commit,
    Entry,
    Fence,
    Meta,
    read_commit,
    read_fence,
    read_meta,
    write_commit,
    write_fence,
    write_meta,
)
from tidesync.transports.files.lines import digest, with_checksum

WHO = "5c1d3f0a-7b2e-4c55-9a51-0c6a5d0f7e21"
AT = "2026-11-20T03:45:05.507000Z"
META = Meta(id=WHO)
ENTRY = Entry(
    operation="o1", mark="ab12", kind="insert", table="item", id="a", version="1048576.ab", created_at=AT,
    deleted=False, record={"text": "Brot\u2028🍞", "size": 1.0},
)  # fmt: skip
COMMIT = Commit(
    remote=WHO, number=1, previous=digest(write_meta(META)), at=AT, writer="0f",
    changes=[ENTRY, attrs.evolve(ENTRY, id="b")],
)  # fmt: skip
FENCE = Fence(remote=WHO, number=7, snapshot="a" * 64)
LOG_1 = "log/00000000000000000001.jsonl"

ids = st.text(st.characters(exclude_categories=("Cc", "Cs")), min_size=1, max_size=8)
hexes = st.text("0123456789abcdef", min_size=1, max_size=64)
moments = st.datetimes().map(lambda each: each.isoformat(timespec="microseconds") + "Z")
hashes = st.binary(max_size=4).map(digest)


def _content(record: Record) -> Record:
    return {name: value for name, value in record.items() if name not in ("id", *SYSTEM_FIELDS)}


entries = st.builds(
    Entry,
    operation=st.none() | ids,
    mark=hexes,
    kind=st.sampled_from(get_args(ChangeKind)),
    table=st.from_regex(r"[A-Za-z][A-Za-z0-9_]{0,62}", fullmatch=True),
    id=ids,
    version=ids,
    created_at=moments,
    deleted=st.booleans(),
    record=strategies.records().map(_content),
)
log = st.builds(
    Commit,
    remote=st.just(WHO),
    number=st.integers(1, 2**43 - 1),
    previous=hashes,
    at=moments,
    writer=hexes,
    changes=st.lists(entries, min_size=1, max_size=4),
)


@given(log)
@settings(max_examples=100)
def test_a_commit_is_read_as_it_was_written(commit: Commit) -> None:
    """Every record comes back by JSON type, floats bit for bit; and no line feed is anywhere but between lines."""
    content = write_commit(commit)

    found = read_commit(content, commit.number, WHO)

    assert attrs.asdict(commit) == attrs.asdict(found)
    assert same([entry.record for entry in commit.changes], [entry.record for entry in found.changes])
    assert len(commit.changes) + 2 == content.count(b"\n")


@given(st.integers(1, 10**12), st.integers(0, 10**6))
@settings(max_examples=20)
def test_meta_is_one_object_on_one_line(remembers: int, snapshot_every: int) -> None:
    """It is read as it was written, and any reader of JSON reads it."""
    meta = Meta(id=WHO, remembers=remembers, snapshot_every=snapshot_every)

    content = write_meta(meta)

    assert meta == read_meta(content)
    assert (WHO, b"\n", 1) == (json.loads(content)["id"], content[-1:], content.count(b"\n"))


def test_a_fence_is_read_as_it_was_written() -> None:
    """What it says comes back."""
    assert FENCE == read_fence(write_fence(FENCE), 7, WHO)


def test_the_bytes_are_what_they_have_always_been() -> None:
    """Files that were written stay readable: their bytes are fixed."""
    commit = (
        '{"kind":"commit","format":1,"remote":"5c1d3f0a-7b2e-4c55-9a51-0c6a5d0f7e21","number":1,"previous":'
        '"55000e7aac2e5e6da9955e55c0aa4e1d35a2ed7c3a25fb96cb3da0d39db70b49","at":"2026-11-20T03:45:05.507000Z",'
        '"writer":"0f","changes":1}\n'
        '{"operation":"o1","mark":"ab12","kind":"insert","table":"item","id":"a","version":"1048576.ab","created_at":'
        '"2026-11-20T03:45:05.507000Z","deleted":false,"record":{"text":"Brot\u2028🍞","size":1.0}}\n'
    )
    body = commit.replace(
        "55000e7aac2e5e6da9955e55c0aa4e1d35a2ed7c3a25fb96cb3da0d39db70b49", COMMIT.previous
    ).encode()

    written = write_commit(attrs.evolve(COMMIT, changes=[ENTRY]))

    assert body + f'{{"sha256":"{digest(body)}"}}\n'.encode() == written


def _every_way_to_spoil(content: bytes) -> list[bytes]:
    flipped = [content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :] for at in range(len(content))]
    return [
        *flipped,
        *(content[:at] for at in range(len(content))),
        content + b"\n",
        content + content,
        b"\xff",
    ]


@pytest.mark.parametrize(
    ("file", "content", "read"),
    [
        ("meta.json", write_meta(META), read_meta),
        (LOG_1, write_commit(COMMIT), lambda content: read_commit(content, 1, WHO)),
        (
            "fences/00000000000000000007.jsonl",
            write_fence(FENCE),
            lambda content: read_fence(content, 7, WHO),
        ),
    ],
)
def test_a_file_that_was_changed_anywhere_is_torn(file: str, content: bytes, read: Any) -> None:
    """Whichever byte is another one, and wherever the file ends: it is refused, and named."""
    for spoilt in _every_way_to_spoil(content):
        with pytest.raises(RemoteDamaged) as caught:
            read(spoilt)
        assert file == caught.value.file


def _signed(*lines: Json) -> bytes:
    return with_checksum([json.dumps(line).encode() for line in lines])


HEAD: dict[str, Any] = {
    "kind": "commit", "format": 1, "remote": WHO, "number": 1, "previous": "a" * 64, "at": AT, "writer": "0f",
    "changes": 1,
}  # fmt: skip
LINE: dict[str, Any] = {
    "operation": "o", "mark": "ab", "kind": "insert", "table": "item", "id": "a", "version": "v", "created_at": AT,
    "deleted": False, "record": {"text": "a"},
}  # fmt: skip


def _without(line: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in line.items() if key != name}


WRONG_HEADS: list[dict[str, Any]] = [
    *(_without(HEAD, name) for name in HEAD),
    *(
        {**HEAD, **wrong}
        for wrong in (
            {"kind": "fence"}, {"format": 0}, {"format": True}, {"format": "1"}, {"remote": WHO.upper()},
            {"number": 2}, {"number": "1"}, {"number": True}, {"number": 1.0}, {"previous": "A" * 64},
            {"previous": "a" * 63}, {"previous": None}, {"at": "2026-11-20T03:45:05Z"}, {"at": "yesterday"},
            {"writer": ""}, {"writer": "xyz"}, {"writer": 7}, {"changes": 2}, {"changes": 0}, {"changes": -1},
            {"more": 1},
        )
    ),
]  # fmt: skip
WRONG_LINES: list[dict[str, Any]] = [
    *(_without(LINE, name) for name in LINE),
    *(
        {**LINE, **wrong}
        for wrong in (
            {"operation": ""}, {"operation": 7}, {"operation": "a\nb"}, {"operation": "\ud800"}, {"mark": ""},
            {"mark": "XY"}, {"kind": "replace"}, {"kind": None}, {"table": "__item"}, {"table": "a b"}, {"table": ""},
            {"table": "../item"}, {"id": ""}, {"id": "x" * 256}, {"id": "a\x00"}, {"id": 7}, {"version": ""},
            {"version": None}, {"created_at": "2026-11-20"}, {"created_at": None}, {"deleted": 0}, {"deleted": None},
            {"record": None}, {"record": []}, {"record": {"id": "a"}}, {"record": {"version": "v"}},
            {"record": {"updated_at": AT}}, {"record": {"_sequence": 1}}, {"record": {"_deleted": False}},
            {"record": {"\ud800": 1}}, {"record": {"text": "\ud800"}}, {"record": {"size": 2**63}}, {"more": 1},
        )
    ),
]  # fmt: skip


@pytest.mark.parametrize(
    "lines",
    [
        *([head, LINE] for head in WRONG_HEADS),
        *([HEAD, line] for line in WRONG_LINES),
        [], [HEAD], [[], LINE], [HEAD, []], [HEAD, None], [HEAD, LINE, LINE], [None],
    ],
    ids=str,
)  # fmt: skip
def test_what_a_commit_may_not_say_is_refused(lines: list[Json]) -> None:
    """Also under a checksum that fits: wrong members, other values, too many or too few lines."""
    with pytest.raises(RemoteDamaged) as caught:
        _ = read_commit(_signed(*lines), 1, WHO)

    assert LOG_1 == caught.value.file


@pytest.mark.parametrize(
    "value",
    [b"1e999", b"NaN", b"-Infinity", b"[" * 70 + b"]" * 70, b"[" * 100_000, b"1" * 5_000, b"\xff"],
    ids=repr,
)
def test_values_that_are_no_json_of_ours_are_refused(value: bytes) -> None:
    """What no table can hold is in no commit, however a writer put it there."""
    line = json.dumps(LINE).encode().replace(b'"text": "a"', b'"text": ' + value)

    with pytest.raises(RemoteDamaged) as caught:
        _ = read_commit(with_checksum([json.dumps(HEAD).encode(), line]), 1, WHO)

    assert LOG_1 == caught.value.file


def test_a_line_is_one_value() -> None:
    """Neither two on a line nor one on two lines: other programs would read something else."""
    one = json.dumps(LINE).encode()
    for head, line in (({**HEAD, "changes": 2}, one + b"," + one), (HEAD, one.replace(b'"a"', b"[1\n2]", 1))):
        with pytest.raises(RemoteDamaged, match="one value a line"):
            _ = read_commit(with_checksum([json.dumps(head).encode(), line]), 1, WHO)


@pytest.mark.parametrize(
    "wrong",
    [
        {"kind": "commit"}, {"id": WHO.upper()}, {"id": "x"}, {"id": None}, {"remembers": 0}, {"remembers": 1.5},
        {"remembers": None}, {"snapshot_every": -1}, {"snapshot_every": True}, {"more": 1}, {"format": "1"},
    ],
    ids=str,
)  # fmt: skip
def test_what_meta_may_not_say_is_refused(wrong: dict[str, Json]) -> None:
    """Also under a checksum that fits."""
    members = {
        "kind": "tidesync remote",
        "format": 1,
        "id": WHO,
        "remembers": 1,
        "snapshot_every": 0,
        **wrong,
    }
    head = json.dumps(members).encode()[:-1]

    with pytest.raises(RemoteDamaged) as caught:
        _ = read_meta(head + b',"sha256":"' + digest(head).encode() + b'"}\n')

    assert "meta.json" == caught.value.file


def test_a_newer_format_is_no_damage() -> None:
    """Files of a later format say that tidesync has to be upgraded, and blame nothing else in them."""
    commit = _signed({**HEAD, "format": 2, "of": "the future"}, LINE)
    head = b'{"kind":"tidesync remote","format":2,"id":7'
    meta = head + b',"sha256":"' + digest(head).encode() + b'"}\n'

    for read in (lambda: read_commit(commit, 1, WHO), lambda: read_meta(meta)):
        with pytest.raises(ProtocolError, match="upgrade it") as caught:
            _ = read()
        assert not isinstance(caught.value, RemoteDamaged)
