"""Files that are torn, missing, foreign or in another order: told, with the file, and nothing is changed anywhere."""

import itertools
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.transports.authority.support import insert, kinds, update
from tests.transports.files.clients import (
    TABLES,
    Files,
    applied,
    client,
    commits,
    damaged,
    held,
    pull,
    refused,
)
from tests.transports.files.dying import Memory
from tidesync.errors import ConfigurationError, NotReachable
from tidesync.stores import MemoryStore, SQLiteStore
from tidesync.transports import FileTransport
from tidesync.transports.files.lines import digest
from tidesync.transports.files.names import commit_name

ONE, TWO, THREE, FOUR = map(commit_name, range(1, 5))


def _remote() -> Files:
    """Three commits of two records."""
    files: Files = {}
    writer = client(files)
    _ = applied(writer, insert("a", text="one"), insert("b", text="one"))
    _ = applied(writer, update("a", text="two"))
    _ = applied(writer, update("b", size=2))
    return files


@pytest.fixture
def files() -> Files:
    return _remote()


SOUND = _remote()


def _flipped(content: bytes, at: int) -> bytes:
    return content[:at] + bytes([content[at] ^ 4]) + content[at + 1 :]


@pytest.mark.parametrize("file", ["meta.json", ONE, TWO, THREE])
def test_a_byte_that_was_changed_is_found(file: str) -> None:
    """Wherever it is in the log, whoever reads it for the first time names its file, and takes nothing from it."""
    for at in range(len(SOUND[file])):
        files = {**SOUND, file: _flipped(SOUND[file], at)}
        with damaged(file):
            _ = pull(client(files))


@pytest.mark.parametrize("file", ["meta.json", ONE, TWO, THREE])
def test_a_file_that_was_cut_is_found(file: str) -> None:
    """Wherever it ends, also before its first byte."""
    for at in range(len(SOUND[file])):
        with damaged(file):
            _ = pull(client({**SOUND, file: SOUND[file][:at]}))


def _swapped(files: Files) -> None:
    files[TWO], files[THREE] = files[THREE], files[TWO]


def _copied(files: Files) -> None:
    files[FOUR] = files[THREE]


def _of_another(files: Files) -> None:
    other = _remote()
    files[TWO] = other[TWO]


def _without(name: str) -> Callable[[Files], None]:
    return lambda files: files.__delitem__(name)


def _with(name: str) -> Callable[[Files], None]:
    return lambda files: files.__setitem__(name, b"something else")


WRONG: list[tuple[str, Callable[[Files], None], str]] = [
    (TWO, _swapped, "number"),
    (FOUR, _copied, "number"),
    (TWO, _of_another, "another remote"),
    (ONE, _without(ONE), "missing"),
    (TWO, _without(TWO), "missing"),
    ("log/00000000000000000002 (1).jsonl", _with("log/00000000000000000002 (1).jsonl"), "does not belong"),
    ("log/notes.txt", _with("log/notes.txt"), "does not belong"),
    ("log/99999999999999999999.jsonl", _with("log/99999999999999999999.jsonl"), "does not belong"),
]


@pytest.mark.parametrize(("file", "spoil", "says"), WRONG, ids=[f"{file} {says}" for file, _, says in WRONG])
def test_a_log_that_is_no_row_of_commits_is_damaged(
    file: str, spoil: Callable[[Files], None], says: str, files: Files
) -> None:
    """Reading and writing name the file; nothing is changed in the remote, and once it is mended all goes on."""
    sound = dict(files)
    spoil(files)
    spoilt = dict(files)
    reader = client(files)

    with damaged(file, says):
        _ = pull(reader)
    with damaged(file, says):
        _ = reader.get("item", "a")
    refused(reader, file, insert("c"))

    assert spoilt == files
    files.clear()
    files.update(sound)
    assert {"a", "b"} == held(reader).keys()
    _ = applied(reader, insert("c"))


@pytest.mark.parametrize(
    ("file", "spoil", "says"), WRONG[1:], ids=[f"{file} {says}" for file, _, says in WRONG[1:]]
)
def test_an_index_keeps_what_it_knew(
    file: str, spoil: Callable[[Files], None], says: str, files: Files
) -> None:
    """Who had read the first commit keeps the state after it, through all that is damaged later."""
    later = {name: files.pop(name) for name in (TWO, THREE)}
    store = MemoryStore()
    reader = client(files, index=store)
    before = held(reader)
    files |= later
    spoil(files)
    if file == ONE:
        return
    tables = dict(store.tables)
    rows = {name: {id: dict(row) for id, row in table.items()} for name, table in tables.items()}

    with damaged(file, says):
        _ = pull(reader)
    refused(reader, file, insert("c"))

    assert rows == {
        name: {id: dict(row) for id, row in table.items()} for name, table in store.tables.items()
    }
    assert {"a", "b"} == before.keys()


@pytest.mark.parametrize("gone", [(THREE,), (TWO, THREE), (ONE, TWO, THREE)])
def test_a_log_that_shrank_is_damaged(gone: tuple[str, ...], files: Files) -> None:
    """What an index has seen must still be there, also if the log ends in good order before it."""
    reader = client(files)
    _ = held(reader)
    for name in gone:
        del files[name]
    left = dict(files)

    with damaged(THREE, "missing", "older copy"):
        _ = pull(reader)
    refused(reader, THREE, insert("c"))

    assert left == files


def test_files_of_the_system_are_no_damage(files: Files) -> None:
    """Hidden files, unfinished ones and those of file browsers may lie anywhere."""
    for folder, name in itertools.product(
        ("", "log/", "snapshots/", "fences/"), (".tmp-0", ".DS_Store", "Thumbs.db")
    ):
        files[folder + name] = b"something else"

    assert {"a", "b"} == held(client(files)).keys()


# ---- meta.json


def test_a_remote_without_its_meta_is_never_made_anew() -> None:
    """Where commits, snapshots or fences are, meta.json is missing, and not to be replaced by another one."""
    for name in (
        ONE,
        "snapshots/00000000000000000001.jsonl",
        "fences/00000000000000000001.jsonl",
        "log/notes.txt",
    ):
        files = {name: b"something"}
        with damaged("meta.json", "missing"):
            _ = client(files)
        assert [name] == list(files)


def test_an_index_that_knows_a_remote_does_not_begin_another(files: Files) -> None:
    """An empty folder may be a drive that is not there: whoever has an index of the remote says so."""
    store = MemoryStore()
    client(files, index=store).close()
    files.clear()

    with damaged("meta.json", "missing", "mounted"):
        _ = client(files, index=store)
    assert {} == files


def test_another_meta_of_the_same_remote_is_damage(files: Files) -> None:
    """It is written once: an index notices where it says something else than before."""
    store = MemoryStore()
    client(files, index=store).close()
    other: Files = {}
    FileTransport(Memory(other), snapshot_every=7).open(TABLES)
    who = [content.split(b'"id":"')[1][:36] for content in (files["meta.json"], other["meta.json"])]
    head = other["meta.json"].replace(who[1], who[0]).split(b',"sha256"')[0]
    files["meta.json"] = head + f',"sha256":"{digest(head)}"}}\n'.encode()

    with damaged("meta.json", "another one"):
        _ = client(files, index=store)


def test_other_files_beside_a_remote_are_told(files: Files) -> None:
    """A copy of meta.json that a sync program made, say: somebody has made two remotes of one."""
    files["meta (conflicted copy).json"] = files["meta.json"]

    with damaged("meta (conflicted copy).json", "does not belong"):
        _ = client(files)


@pytest.mark.parametrize("name", ["notes.txt", "photos/1.jpg"])
def test_no_remote_is_made_among_files_of_others(name: str) -> None:
    """A folder that is used for something else was named by mistake."""
    files: Files = {name: b"something else"}

    with pytest.raises(ConfigurationError, match="folder of its own"):
        _ = client(files)
    assert [name] == list(files)


# ---- on a disk


@pytest.fixture
def folder(tmp_path: Path, files: Files) -> Path:
    """The same remote in a folder."""
    for name, content in files.items():
        path = tmp_path / "remote" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        _ = path.write_bytes(content)
    return tmp_path / "remote"


def test_a_commit_that_is_a_link_is_not_followed(folder: Path, tmp_path: Path) -> None:
    """Not even to a commit that would fit; and no commit is written through one."""
    reader = FileTransport(folder)
    _ = reader.open(TABLES)
    assert {"a", "b"} == held(reader).keys()
    _ = (folder / THREE).rename(tmp_path / "three")
    (folder / THREE).symlink_to(tmp_path / "three")
    (folder / FOUR).symlink_to(tmp_path / "four")

    with damaged(FOUR, "symbolic link"):
        _ = pull(reader)
    refused(reader, FOUR, insert("c"))
    other = FileTransport(folder)
    _ = other.open(TABLES)
    with damaged(THREE, "symbolic link"):
        _ = pull(other)
    assert not (tmp_path / "four").exists()


def test_a_log_that_is_a_link_is_not_followed(folder: Path, tmp_path: Path) -> None:
    """What it leads to is somebody else's."""
    _ = (folder / "log").rename(tmp_path / "elsewhere")
    (folder / "log").symlink_to(tmp_path / "elsewhere")

    with damaged("log", "symbolic link"):
        _ = FileTransport(folder).open(TABLES)
    assert 3 == len(list((tmp_path / "elsewhere").iterdir()))


def test_commits_are_numbered_as_they_were_made(files: Files) -> None:
    """The remote of these tests is what they say."""
    assert [ONE, TWO, THREE] == commits(files)


def test_an_opening_that_fails_leaves_the_index_closed(tmp_path: Path) -> None:
    """Nobody has to close what did not open: SQLite's own log is gone from beside the file; the next one works."""
    away, index = tmp_path / "away", tmp_path / "index"
    index.mkdir()
    transport = FileTransport(away / "remote", index=SQLiteStore(index / "index.db"))
    for _ in range(2):
        with pytest.raises(NotReachable):
            _ = transport.open(TABLES)
        assert ["index.db"] == [path.name for path in index.iterdir()]
    away.mkdir()
    _ = transport.open(TABLES)

    assert ["Applied"] == kinds(transport.push([insert("a")]))
    transport.close()
    assert ["index.db"] == [path.name for path in index.iterdir()]
