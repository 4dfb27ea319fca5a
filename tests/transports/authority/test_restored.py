"""A remote whose file is put back to an earlier state: no follower goes on as if nothing had happened."""

import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.transports.authority.support import Time, applied, authority_on, insert, pull, update
from tidesync.errors import ResyncRequired
from tidesync.records import Json
from tidesync.stores.memory import MemoryStore
from tidesync.stores.sqlite import SQLiteStore


class Remote:
    """An authority on a file, which can be copied and put back while it is closed."""

    def __init__(self, folder: Path) -> None:
        self.file, self.backup, self.time = folder / "remote.db", folder / "backup.db", Time()
        self.open()

    def open(self) -> None:
        store = SQLiteStore(self.file, synchronous="normal")
        self.authority = authority_on(store, self.time)

    def save(self) -> None:
        self.authority.close()
        _ = shutil.copy(self.file, self.backup)
        self.open()

    def restore(self) -> None:
        self.authority.close()
        _ = shutil.copy(self.backup, self.file)
        self.open()


class Follower:
    """Holds what it was told, by id, and starts again where it is asked to."""

    def __init__(self) -> None:
        self.cursor: Json = None
        self.held: dict[str, Json] = {}
        self.resyncs = 0

    def follow(self, remote: Remote) -> None:
        try:
            page = pull(remote.authority, self.cursor)
        except ResyncRequired:
            self.resyncs += 1
            self.cursor, self.held = None, {}
            page = pull(remote.authority)
        self.held.update((str(record["id"]), record["version"]) for record in page.records)
        self.cursor = page.cursor


def test_a_restart_asks_nobody_to_start_again(tmp_path: Path) -> None:
    """A cursor is good across any number of restarts."""
    remote, follower = Remote(tmp_path), Follower()
    for number in range(5):
        _ = applied(remote.authority, insert(f"a{number}"))
        follower.follow(remote)
        remote.authority.close()
        remote.open()
    assert (5, 0) == (len(follower.held), follower.resyncs)


def test_a_store_that_lost_commits_asks_for_a_new_start(tmp_path: Path) -> None:
    """A cursor from after the backup is not honoured, also when as many other commits have come since."""
    remote = Remote(tmp_path)
    _ = applied(remote.authority, insert("a"))
    early = pull(remote.authority).cursor
    remote.save()
    _ = applied(remote.authority, insert("lost"))
    late = pull(remote.authority).cursor
    remote.restore()
    for commits in range(3):
        with pytest.raises(ResyncRequired, match="lost"):
            _ = pull(remote.authority, late)
        assert commits == len(pull(remote.authority, early).records)
        _ = applied(remote.authority, insert(f"other {commits}"))


def test_who_only_wrote_since_the_copy_is_told_if_the_remote_is(tmp_path: Path) -> None:
    """A cursor from before the copy is good, unless it is said that the copy was put back; later ones are again."""
    remote = Remote(tmp_path)
    _ = applied(remote.authority, insert("a"))
    early = pull(remote.authority).cursor
    remote.save()
    _ = applied(remote.authority, update("a", text="lost"))  # by the follower itself, which does not pull
    remote.restore()
    remote.authority.restart_followers()
    with pytest.raises(ResyncRequired, match="lost"):
        _ = pull(remote.authority, early)
    late = pull(remote.authority).cursor
    remote.authority.close()
    remote.open()
    assert [] == pull(remote.authority, late).records
    with pytest.raises(ResyncRequired, match="lost"):
        _ = pull(remote.authority, early)


def test_the_same_change_to_other_content_has_another_version(tmp_path: Path) -> None:
    """At the same number too, in the history after a restore: a version stands for one content."""
    remote = Remote(tmp_path)
    remote.save()
    found = []
    for text in ("first", "second"):
        _ = applied(remote.authority, insert("a", text=text))
        [changed] = applied(remote.authority, update("a", size=1))
        found.append(str(changed.version))
        remote.restore()
    assert found[0].partition(".")[0] == found[1].partition(".")[0]
    assert found[0] != found[1]


def test_another_store_of_the_same_name_is_another_history() -> None:
    """A cursor of one store is not honoured by another one that was given the same identity."""
    one, another = authority_on(MemoryStore(), Time()), authority_on(MemoryStore(), Time())
    _ = applied(one, insert("a"))
    _ = applied(another, insert("b"))
    with pytest.raises(ResyncRequired, match="lost"):
        _ = pull(another, pull(one).cursor)


STEPS = st.lists(
    st.sampled_from(("write", "write", "pull 0", "pull 1", "open", "save", "restore")), max_size=14
)


@given(STEPS)
def test_followers_never_miss_what_a_restored_remote_holds(steps: Sequence[str]) -> None:
    """Whatever is restarted, saved and put back: after a pull the follower holds exactly what the remote holds."""
    with tempfile.TemporaryDirectory() as folder:
        remote, followers, restored = Remote(Path(folder)), (Follower(), Follower()), 0
        remote.save()
        for number, step in enumerate(steps):
            match step.split():
                case ["write"]:
                    held = remote.authority.records("item")
                    change = (
                        update("a0", text=str(number)) if held and number % 2 else insert(f"a{number % 3}")
                    )
                    _ = remote.authority.push([change])
                case ["pull", which]:
                    follower = followers[int(which)]
                    follower.follow(remote)
                    there = {
                        str(record["id"]): record["version"] for record in remote.authority.records("item")
                    }
                    assert there == follower.held
                    assert follower.resyncs <= restored
                case ["open"]:
                    remote.authority.close()
                    remote.open()
                case ["save"]:
                    remote.save()
                case _:
                    remote.restore()
                    restored += 1
        remote.authority.close()
