"""Compaction: what goes and what stays; killed anywhere, beside readers and writers, and twice at once."""

import logging
from contextlib import suppress
from pathlib import Path

import attrs
import pytest

from tests.transports.authority.support import delete, insert, update
from tests.transports.files.compacted import check_all, log, numbers, squeezed, state
from tests.transports.files.dying import Dying, Killed, Memory
from tests.transports.files.lives import (
    Files,
    applied,
    cold,
    device,
    held,
    records,
    trimmed,
)
from tidesync import SyncContext, table
from tidesync.contracts.transport import PullRequest
from tidesync.errors import ConfigurationError, NotReachable, RemoteDamaged, ResyncRequired
from tidesync.query import Query
from tidesync.stores.memory import MemoryStore
from tidesync.transports import FileTransport
from tidesync.transports.files.compaction import Compaction, compact
from tidesync.transports.files.folder import Folder
from tidesync.transports.files.lines import digest
from tidesync.transports.files.names import commit_name, fence_name, manifest_name, part_name
from tidesync.transports.files.parts import Row


@pytest.mark.parametrize(("keep", "fence"), [(0, 6), (1, 5), (2.5, 3), (5, 1), (5.5, 0)])
def test_the_log_begins_with_the_newest_commit_that_is_old_enough(keep: float, fence: int) -> None:
    """By the log's own moments; that commit stays, and all after it."""
    files = log().files
    before = state(files)
    found = squeezed(files, keep)

    assert (fence, max(fence - 1, 0)) == (found.fence, found.commits)
    assert list(range(max(fence, 1), 7)) == numbers(files, "log/")
    assert [fence] * bool(fence) == numbers(files, "fences/") == numbers(files, "snapshots/")
    assert before == state(files)


def test_a_second_compaction_does_nothing_more() -> None:
    """Not a file changes."""
    files = log().files
    first, after = squeezed(files, 2), dict(files)
    again = squeezed(files, 2)

    assert (4, 3, 1) == (first.fence, first.commits, first.tombstones)
    assert Compaction(fence=4) == again
    assert after == files


def test_what_lay_before_the_fence_goes_with_the_next_one() -> None:
    """Older snapshots with their parts, older fences, and parts that a killed writer left without a manifest."""
    written = log()
    files = written.files
    _ = squeezed(files, 2)
    rubbish = part_name(2, "0" * 64), part_name(9, "0" * 64)
    files |= dict.fromkeys(rubbish, b"rubbish")
    for number in range(7, 12):
        written.put(number, "r1", f"text {number}")
    before = state(files)
    found = squeezed(files, 3)

    # Of the older snapshot its manifest and its one part, the part without a manifest, the older fence.
    assert (8, 4, 1, 3) == (found.fence, found.commits, found.snapshots, found.others)
    assert [8] == numbers(files, "fences/") == numbers(files, "snapshots/")
    assert [rubbish[1]] == [name for name in rubbish if name in files]
    assert before == state(files)


def test_every_operation_that_was_known_is_known_afterwards() -> None:
    """Also to whoever has read none of its commits: sent again, it has no second effect."""
    files: Files = {}
    writer = device(files)
    sent = [insert(f"r{number}", text="once") for number in range(4)]
    first = applied(writer, *sent[:2]) + applied(writer, *sent[2:])
    _ = applied(writer, update("r0", text="later"))
    _ = squeezed(files)
    again = applied(device(files), *sent)

    assert [each.version for each in first] == [each.version for each in again]
    assert "later" == records(device(files))["r0"]["text"]


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("begun", [False, True], ids=["first", "second"])
def test_a_compaction_that_is_killed_at_any_call_leaves_all_that_was_there(after: bool, begun: bool) -> None:
    """A reader, a writer and the next compaction find every record and every operation; nothing is damaged."""
    number, ended = 0, False
    while not ended:
        written = log()
        if begun:
            _ = squeezed(written.files, 4)
            written.put(7, "r9", "more")
        before = state(written.files)
        with suppress(Killed):
            _ = compact(Dying(written.files, number, after=after), MemoryStore(), keep=1)
            ended = True
        check_all(written.files, before)
        number += 1

    assert number > 20


def test_a_cursor_from_before_the_fence_is_not_honoured_and_one_from_the_fence_on_is() -> None:
    """What was deleted before the fence nobody can tell any more."""
    files: Files = {}
    writer = device(files)
    cursors = []
    for number in range(5):
        _ = applied(writer, insert(f"r{number}"))
        cursors.append(writer.pull(PullRequest(query=Query("item"))).cursor)
    _ = applied(writer, delete("r0"))
    now = {name: content for name, content in files.items() if name != commit_name(6)}
    _ = squeezed(now)  # behind commit 5
    now[commit_name(6)] = files[commit_name(6)]
    reader = device(now)

    for cursor in cursors[:-1]:
        with pytest.raises(ResyncRequired, match="start again"):
            _ = reader.pull(PullRequest(query=Query("item"), cursor=cursor))
    page = reader.pull(PullRequest(query=Query("item"), cursor=cursors[-1]))
    assert (["r0"], []) == (list(page.tombstones), list(page.records))


@attrs.define
class Item:
    id: str
    text: str = ""


def test_a_device_that_was_away_for_too_long_is_told_and_mended() -> None:
    """ResyncRequired says what to do and deletes nothing; pull(resync=True) mends it; queued edits are pushed."""
    items, files, store = table(Item, name="item"), dict[str, bytes](), MemoryStore()
    with SyncContext(store, FileTransport(Memory(files)), [items]) as phone:
        phone[items].insert_many(Item(f"r{number}") for number in range(3))
        phone.push()
        phone.pull(items, name="all")
    other = device(files)
    _ = applied(other, delete("r0"))
    _ = applied(other, insert("r3"))
    _ = squeezed(files)
    with SyncContext(store, FileTransport(Memory(files)), [items]) as phone:
        phone[items].update("r1", text="mine")
        with pytest.raises(ResyncRequired, match="start again"):
            phone.pull(items, name="all")
        assert ["r0", "r1", "r2"] == sorted(each.id for each in phone[items].where())
        phone.pull(items, name="all", resync=True)
        assert ["r1", "r2", "r3"] == sorted(each.id for each in phone[items].where())
    assert "mine" == records(other)["r1"]["text"]


def test_tombstones_go_with_the_commits_that_made_them() -> None:
    """From the snapshot of the fence, and from those that are made later; their ids are free again."""
    files: Files = {}
    store = MemoryStore()
    writer = device(files, store)
    _ = applied(writer, insert("a"), insert("b"))
    _ = applied(writer, delete("a"))
    found = squeezed(files)
    _ = applied(writer, delete("b"))
    dead = [each.id for each in trimmed(store, 60, fence=2) if isinstance(each, Row)]

    assert 1 == found.tombstones
    assert ["b"] == [each.id for each in held(cold(files)) if isinstance(each, Row)]
    assert ["b"] == dead
    _ = applied(device(files), insert("a", text="again"))


def test_damage_in_what_would_go_stops_it_before_anything_is_changed() -> None:
    """Torn, missing, or what does not belong there: not even a fence is made."""

    def torn(files: Files) -> str:
        files[commit_name(2)] = files[commit_name(2)][:-9]
        return commit_name(2)

    def missing(files: Files) -> str:
        del files[commit_name(2)]
        return commit_name(2)

    def foreign(files: Files) -> str:
        files["log/notes.txt"] = b""
        return "log/notes.txt"

    def foreign_part(files: Files) -> str:
        files["snapshots/00000000000000000001/notes.txt"] = b""
        return "snapshots/00000000000000000001/notes.txt"

    def foreign_folder(files: Files) -> str:
        files["snapshots/mine/notes.txt"] = b""
        return "snapshots/mine"

    for spoil in (torn, missing, foreign, foreign_part, foreign_folder):
        files = log().files
        name = spoil(files)
        before = set(files)
        with pytest.raises(RemoteDamaged) as caught:
            _ = squeezed(files)
        assert name == caught.value.file
        assert before == set(files)


def test_a_snapshot_that_did_not_arrive_whole_gets_no_fence() -> None:
    """It is read back before anything goes: a disk may say that it has written, and not have."""

    class Lossy(Memory):
        def create(self, name: str, content: bytes) -> bool:
            return super().create(name, content[:-20] if name.count("/") == 2 else content)

    files = log().files
    before = state(files)
    with pytest.raises(RemoteDamaged, match="does not fit"):
        _ = compact(Lossy(files), MemoryStore(), keep=0)

    assert [] == numbers(files, "fences/")
    assert list(range(1, 7)) == numbers(files, "log/")
    assert before == state(files)


def test_nothing_goes_behind_a_fence_whose_snapshot_was_damaged_since() -> None:
    """Who made it was killed before it deleted: the log can still mend it."""
    files = log().files
    for number in range(1000):
        with suppress(Killed):
            _ = compact(Dying(files, number), MemoryStore(), keep=0)
        if fence_name(6) in files:
            break
    [part] = [name for name in files if name.startswith("snapshots/") and name.count("/") == 2]
    files[part] = files[part].replace(b"text 5", b"text 9")
    before = dict(files)
    with pytest.raises(RemoteDamaged, match="does not fit"):
        _ = squeezed(files)

    assert before == files
    assert 6 == len(numbers(files, "log/"))


def test_where_a_commit_has_a_damaged_snapshot_the_one_before_gets_the_fence() -> None:
    """The name of its manifest is taken for ever."""
    files = log().files
    files[manifest_name(6)] = b"torn"
    before = state(files)
    found = squeezed(files)

    assert 5 == found.fence
    assert before == state(files)


def test_of_a_fence_that_is_torn_the_name_is_believed(caplog: pytest.LogCaptureFixture) -> None:
    """All that it says besides is said again by the manifest's own checksum; a warning tells."""
    files = log().files
    before = state(files)
    _ = squeezed(files)
    files[fence_name(6)] = files[fence_name(6)][:50]
    with caplog.at_level(logging.WARNING, "tidesync"):
        found = state(files)

    assert before == found
    assert "a fence is damaged" in caplog.text


def test_a_snapshot_that_the_fence_does_not_name_is_not_read() -> None:
    """One that was put in its place is whole by itself, and is none of this remote's history."""
    files, other = log().files, log().files
    _ = squeezed(files)
    _ = squeezed(other)
    parts = {name: content for name, content in other.items() if name.startswith("snapshots/")}
    changed = parts[manifest_name(6)].replace(b'"fences":{"item":', b'"fences":{"list":')
    body = changed[: changed.rindex(b'{"sha256"')]
    files[manifest_name(6)] = body + b'{"sha256":"%b"}\n' % digest(body).encode()
    with pytest.raises(RemoteDamaged, match="not the snapshot that the fence names"):
        _ = state(files)


def test_a_place_without_a_remote_is_refused() -> None:
    """Nothing is made."""
    files: Files = {}
    with pytest.raises(ConfigurationError, match="holds no remote"):
        _ = squeezed(files)
    with pytest.raises(ConfigurationError, match="keep is seconds from 0 on"):
        _ = squeezed(log().files, -1)
    used = cold(log().files)
    with pytest.raises(ConfigurationError, match="give an empty store"):
        _ = compact(Memory(log().files), used, keep=0)

    assert {} == files


def test_a_place_that_fails_meanwhile_loses_nothing() -> None:
    """The error comes out as the place raised it."""
    files = log().files
    before = state(files)

    class Failing(Memory):
        def delete(self, name: str) -> None:
            if name == commit_name(3):
                raise NotReachable("the drive is gone")
            super().delete(name)

    with pytest.raises(NotReachable):
        _ = compact(Failing(files), MemoryStore(), keep=0)

    assert [3, 4, 5, 6] == numbers(files, "log/")
    check_all(files, before)


def test_in_a_folder_what_dead_writers_left_goes_and_a_live_one_is_not_harmed(tmp_path: Path) -> None:
    """Unfinished files have no clock: one that is being written is written again."""
    place = Folder(tmp_path / "shared")
    writer = device(place)
    _ = applied(writer, insert("a"))
    for folder in ("", "log", "snapshots"):
        (tmp_path / "shared" / folder).mkdir(exist_ok=True)
        (tmp_path / "shared" / folder / ".tmp-0123456789abcdef").write_bytes(b"half")
    found = compact(place, MemoryStore(), keep=0)

    assert 3 == found.others
    assert [] == list((tmp_path / "shared").rglob(".tmp-*"))
    assert {"a"} == records(device(place)).keys()
