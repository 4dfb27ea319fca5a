"""Cursors of a file remote, and what becomes of them where the remote was put back to an older copy."""

from collections.abc import Callable
from typing import Any

import attrs
import pytest

from tests.transports.authority.support import insert, kinds
from tests.transports.files.clients import Files, applied, client, commits, damaged, held, pull, refused, send
from tests.transports.files.dying import Memory
from tidesync.errors import ProtocolError, ResyncRequired
from tidesync.records import Json
from tidesync.stores import MemoryStore
from tidesync.transports.files.compaction import compact
from tidesync.transports.files.names import commit_name


def test_a_cursor_is_good_for_every_client() -> None:
    """Also for one that began today, and in the middle of a pull; nothing is told twice or left out."""
    files: Files = {}
    writer = client(files)
    for number in range(4):
        _ = applied(writer, insert(f"a{number}"), insert(f"b{number}"))
    cursor: Json = None
    told: list[str] = []
    more = True
    while more:
        page = pull(client(files), cursor, limit=3)
        told += [str(record["id"]) for record in page.records]
        cursor, more = page.cursor, page.more
    _ = applied(writer, insert("c"))

    assert [f"{letter}{number}" for number in range(4) for letter in "ab"] == told
    assert ["c"] == [record["id"] for record in pull(client(files), cursor).records]


@attrs.define
class Put:
    """A remote that is put back to an older copy: after `kept` commits, and others go on with `others`."""

    kept: int
    others: int
    files: Files = attrs.field(factory=dict[str, bytes])

    def restore(self) -> None:
        for name in commits(self.files)[self.kept :]:
            del self.files[name]
        other = client(self.files)
        for number in range(self.others):
            _ = applied(other, insert(f"other {number}"))


@pytest.mark.parametrize(("kept", "others"), [(2, 0), (2, 1), (2, 2), (2, 5), (0, 0), (0, 7)])
def test_a_remote_that_was_put_back_is_noticed(kept: int, others: int) -> None:
    """A follower of what was lost starts again; an index of it says so, and writes nothing on top of what it is not."""
    put = Put(kept, others)
    writer = client(put.files)
    for number in range(4):
        _ = applied(writer, insert(f"a{number}"))
    store = MemoryStore()
    seen = client(put.files, index=store)
    cursor, early = pull(seen).cursor, pull(client({**put.files}), limit=1).cursor
    seen.close()
    put.restore()
    after = dict(put.files)

    for lost in (cursor, early):
        with pytest.raises(ResyncRequired, match="lost"):
            _ = pull(client(put.files), lost)
    again = client(put.files, index=store)
    with pytest.raises(ProtocolError, match="older copy") as caught:
        _ = pull(again)
    assert ["NotSent"] == kinds(send(again, insert("b")))
    assert after == put.files
    assert "new index" in str(caught.value)
    assert kept + others == len(held(client(put.files)))


def test_a_remote_that_was_put_back_is_noticed_while_it_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where as many other commits have come as there were: the last one is looked at now and then."""
    put = Put(kept=2, others=2)
    writer = client(put.files)
    for number in range(4):
        _ = applied(writer, insert(f"a{number}"))
    put.restore()
    monkeypatch.setattr("tidesync.transports.files.replica.CHECKED_FOR", 0.0)
    after = dict(put.files)

    assert ["NotSent"] == kinds(send(writer, insert("b")))
    with damaged(commit_name(4), "another commit"):
        _ = pull(writer)
    assert after == put.files


def test_nothing_is_written_on_top_of_what_was_put_back_a_moment_ago() -> None:
    """Where reading costs nothing, the last commit is looked at before each write: no commit names one that is gone."""
    put = Put(kept=2, others=2)
    writer = client(put.files)
    for number in range(4):
        _ = applied(writer, insert(f"a{number}"))
    put.restore()
    after = dict(put.files)

    assert ["NotSent"] == kinds(send(writer, insert("b")))
    assert after == put.files


def test_what_was_read_before_a_remote_was_put_back_is_not_believed_after_a_compaction() -> None:
    """A cursor of what was lost is not honoured, though this client knows of that commit: not all would be told."""
    put = Put(kept=2, others=5)
    writer, store = client(put.files), MemoryStore()
    for number in range(4):
        _ = applied(writer, insert(f"a{number}"))
    seen, shares = client(put.files, index=store), client(put.files, index=store)
    cursor = pull(seen).cursor
    assert cursor == pull(shares).cursor
    put.restore()
    _ = compact(Memory(put.files), MemoryStore(), keep=0)

    for follower in (seen, shares):
        with pytest.raises(ResyncRequired, match="start again"):
            _ = pull(follower, cursor)
        assert held(client(put.files)) == held(follower)


def test_a_remote_that_was_made_anew_before_its_first_commit_is_noticed() -> None:
    """A client of the one that is gone writes nothing into the other, nor into what has no meta.json any more."""
    files: Files = {}
    before = client(files)
    files.clear()
    for there in (0, 1):
        assert there == len(files)
        refused(before, "meta.json", insert("a"))
        with damaged("meta.json", "was there"):
            _ = pull(before)
        after = client(files)

    assert ["meta.json"] == list(files)
    _ = applied(after, insert("b"))
    assert {"b"} == held(client(files)).keys()


def test_a_cursor_from_before_what_was_lost_is_good() -> None:
    """Who had not seen what was lost goes on."""
    put = Put(kept=2, others=1)
    writer = client(put.files)
    _ = applied(writer, insert("a0"))
    cursor = pull(writer).cursor
    for number in range(1, 4):
        _ = applied(writer, insert(f"a{number}"))
    put.restore()

    assert ["a1", "other 0"] == [record["id"] for record in pull(client(put.files), cursor).records]


@pytest.mark.parametrize(
    "spoil",
    [
        lambda cursor: {**cursor, "hash": "0" * 32}, lambda cursor: {**cursor, "hash": ""},
        lambda cursor: {**cursor, "commit": 3}, lambda cursor: {**cursor, "commit": -1},
        lambda cursor: {**cursor, "commit": True}, lambda cursor: {**cursor, "commit": 0},
        lambda cursor: {**cursor, "at": {}}, lambda cursor: {**cursor, "more": 1}, lambda cursor: cursor["at"],
        lambda cursor: {**cursor, "at": {**cursor["at"], "identity": "x"}}, lambda cursor: {}, lambda cursor: [],
        lambda cursor: {**cursor, "at": {**cursor["at"], "sequence": 2**60}}, lambda cursor: "x",
    ],
)  # fmt: skip
def test_a_cursor_that_was_spoilt_is_not_honoured(spoil: Callable[[Any], Json]) -> None:
    """It is refused in words that say to start again."""
    files: Files = {}
    transport = client(files)
    _ = applied(transport, insert("a"))
    cursor = pull(transport).cursor
    _ = applied(transport, insert("b"))

    with pytest.raises(ResyncRequired, match="start again"):
        _ = pull(transport, spoil(cursor))
    assert ["b"] == [record["id"] for record in pull(transport, cursor).records]
