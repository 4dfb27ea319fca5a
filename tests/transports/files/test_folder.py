"""A folder keeps what it acknowledged, whatever the system says, and never leads anywhere else."""

import errno
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tidesync.errors import (
    ConfigurationError,
    NotReachable,
    RemoteDamaged,
    RemoteUnavailable,
    TransportError,
)
from tidesync.transports.files.folder import ATTEMPTS, Folder

NAME = "log/00000000000000000001.jsonl"


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    """A folder with one file of its own in a folder in it."""
    place = Folder(tmp_path / "remote")
    assert place.create("log/first", b"first")
    return place


def _files(folder: Folder) -> list[str]:
    return sorted(str(path.relative_to(folder.path)) for path in folder.path.rglob("*") if path.is_file())


def _failing(number: int, real: Callable[..., Any], at: int = 1) -> Callable[..., Any]:
    """The function, whose call of this number, counted from 1, fails."""
    calls = iter(range(1, 1000))

    def failing(*args: Any, **options: Any) -> Any:
        if next(calls) == at:
            raise OSError(number, os.strerror(number))
        return real(*args, **options)

    return failing


def test_a_file_is_on_the_disk_before_it_has_its_name(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its bytes first, then its name, then the folder that holds the name: and only then it is acknowledged."""
    told: list[str] = []
    sync, link = os.fsync, os.link

    def synced(descriptor: int) -> None:
        where = Path(f"/proc/self/fd/{descriptor}").resolve()
        told.append("folder" if where.is_dir() else where.read_bytes().decode())
        sync(descriptor)

    def linked(*args: Any, **options: Any) -> None:
        told.append("link")
        link(*args, **options)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(os, "link", linked)

    assert folder.create(NAME, b"content")
    assert ["content", "link", "folder"] == told


def test_folders_that_are_made_are_on_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """So is the name of each of them in the folder above it."""
    synced: list[Path] = []
    sync = os.fsync
    monkeypatch.setattr(
        os, "fsync", lambda fd: (synced.append(Path(f"/proc/self/fd/{fd}").resolve()), sync(fd))
    )

    assert Folder(tmp_path / "remote").create("snapshots/7/part", b"content")

    made = [tmp_path, tmp_path / "remote", tmp_path / "remote/snapshots"]
    assert made == synced[:3]
    assert tmp_path / "remote/snapshots/7" == synced[-1]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EIO])
@pytest.mark.parametrize("call", ["open", "fsync"])
def test_what_could_not_be_written_is_not_there(
    call: str, number: int, folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full or read-only disk, or no right to it: certainly nothing was done, and nothing is left."""
    monkeypatch.setattr(os, call, _failing(number, getattr(os, call)))

    with pytest.raises(NotReachable, match=os.strerror(number)) as caught:
        _ = folder.create(NAME, b"content")

    monkeypatch.undo()
    assert isinstance(caught.value.__cause__, OSError)
    assert ["log/first"] == _files(folder)


def test_a_link_that_failed_leaves_nothing(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where the file was whole already."""
    monkeypatch.setattr(os, "link", _failing(errno.ENOSPC, os.link))

    with pytest.raises(NotReachable):
        _ = folder.create(NAME, b"content")

    assert ["log/first"] == _files(folder)


@pytest.mark.parametrize("number", [errno.EPERM, errno.ENOTSUP, errno.ENOSYS])
def test_a_file_system_without_links_is_told(
    number: int, folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It cannot be a remote, and nothing is left on it."""
    monkeypatch.setattr(os, "link", _failing(number, os.link))

    with pytest.raises(ConfigurationError, match="hard links"):
        _ = folder.create(NAME, b"content")

    assert ["log/first"] == _files(folder)


def test_a_disk_that_fails_after_the_link_leaves_a_doubt(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The name may be lost again when power fails, or not."""
    monkeypatch.setattr(os, "fsync", _failing(errno.EIO, os.fsync, at=2))

    with pytest.raises(RemoteUnavailable, match="may lose"):
        _ = folder.create(NAME, b"content")

    assert b"content" == folder.read(NAME)


def test_a_link_that_may_have_been_made_is_a_doubt(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    """A network file system may say that it failed when it did not."""
    monkeypatch.setattr(os, "link", _failing(errno.EIO, os.link))

    with pytest.raises(RemoteUnavailable, match="or not"):
        _ = folder.create(NAME, b"content")


def test_a_file_that_was_swept_away_is_written_again(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who deletes what dead writers left may take it from one that lives."""
    link = os.link
    sweeps = iter([1, 1])

    def swept(*args: Any, **options: Any) -> None:
        if next(sweeps, 0):
            assert 1 == folder.sweep()
        link(*args, **options)

    monkeypatch.setattr(os, "link", swept)

    assert folder.create(NAME, b"content")
    assert (b"content", [NAME, "log/first"]) == (folder.read(NAME), _files(folder))


def test_sweeping_leaves_hidden_folders_alone(folder: Folder) -> None:
    """They are none of the remote's, and may be called as none of its folders is: `.git`, `.stfolder`, `.snapshot`."""
    mine = ["", "log/", "fences/", "snapshots/", f"snapshots/{7:020}/"]
    others = [".git/", ".Trash 1/", "log/.old/", "snapshots/.old/"]
    for place in (*mine, *others):
        (folder.path / place).mkdir(parents=True, exist_ok=True)
        (folder.path / place / ".tmp-1").touch()

    assert len(mine) == folder.sweep()
    assert sorted(["log/first", *(f"{place}.tmp-1" for place in others)]) == _files(folder)


def test_who_is_swept_away_each_time_gives_up(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    """After some attempts, and nothing is left."""
    sweeps: list[int] = []
    link = os.link

    def swept(*args: Any, **options: Any) -> None:
        sweeps.append(folder.sweep())
        link(*args, **options)

    monkeypatch.setattr(os, "link", swept)

    with pytest.raises(NotReachable, match="each time"):
        _ = folder.create(NAME, b"content")

    assert ([1] * ATTEMPTS, ["log/first"]) == (sweeps, _files(folder))


def test_a_drive_that_is_not_there_gets_no_folder(tmp_path: Path) -> None:
    """Only the last folder of the path is made: where a drive should be mounted, there would be another remote."""
    with pytest.raises(NotReachable, match="mounted"):
        _ = Folder(tmp_path / "drive/remote").create("meta.json", b"content")

    assert [] == list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "use",
    [
        lambda place: place.read("log/first"), lambda place: place.names("log"), lambda place: place.create(NAME, b""),
        lambda place: place.names(""), lambda place: place.sizes("log"),
    ],
)  # fmt: skip
def test_a_drive_that_goes_away_is_not_reachable(folder: Folder, use: Callable[[Folder], object]) -> None:
    """What was there and is gone as a whole was not deleted file by file."""
    assert b"first" == folder.read("log/first")
    _ = folder.path.rename(folder.path.with_name("elsewhere"))

    with pytest.raises(NotReachable, match="mounted"):
        _ = use(folder)
    assert not folder.path.exists()


@pytest.fixture
def outside(tmp_path: Path) -> Iterator[Path]:
    """A file and a folder that are none of the remote's; nothing of them may have changed."""
    (tmp_path / "outside").mkdir()
    _ = (tmp_path / "outside/secret").write_bytes(b"secret")
    yield tmp_path / "outside"
    assert {"secret": b"secret"} == {
        path.name: path.read_bytes() for path in (tmp_path / "outside").iterdir()
    }


def test_a_link_is_not_followed(folder: Folder, outside: Path) -> None:
    """A file that is a link elsewhere is damage, and its name is taken."""
    (folder.path / NAME).symlink_to(outside / "secret")

    with pytest.raises(RemoteDamaged, match="symbolic link") as caught:
        _ = folder.read(NAME)

    assert NAME == caught.value.file
    assert not folder.create(NAME, b"content")
    folder.delete(NAME)
    assert ["log/first"] == _files(folder)


def test_a_folder_that_is_a_link_is_not_followed(folder: Folder, outside: Path) -> None:
    """Nothing is read, listed, written or deleted through it."""
    (folder.path / "snapshots").symlink_to(outside)
    uses: list[Callable[[], object]] = [
        lambda: folder.read("snapshots/secret"),
        lambda: folder.names("snapshots"),
        lambda: folder.sizes("snapshots"),
        lambda: folder.folders("snapshots"),
        lambda: folder.create("snapshots/new", b"content"),
        lambda: folder.create("snapshots/7/new", b"content"),
        lambda: folder.delete("snapshots/secret"),
    ]

    for use in uses:
        with pytest.raises(RemoteDamaged, match="symbolic link"):
            _ = use()


def test_the_folder_itself_may_be_a_link(tmp_path: Path) -> None:
    """Whoever names the folder decides where it is."""
    (tmp_path / "there").mkdir()
    (tmp_path / "here").symlink_to(tmp_path / "there")

    assert Folder(tmp_path / "here").create("meta.json", b"content")
    assert b"content" == Folder(tmp_path / "there").read("meta.json")


def test_what_is_no_file_is_damage(folder: Folder) -> None:
    """A folder or a pipe under the name of a file is neither read nor waited for."""
    (folder.path / NAME).mkdir()
    os.mkfifo(folder.path / "log/pipe")

    for name in (NAME, "log/pipe"):
        with pytest.raises(RemoteDamaged, match="not a file") as caught:
            _ = folder.read(name)
        assert name == caught.value.file
    with pytest.raises(RemoteDamaged, match="not a folder"):
        _ = folder.names("log/first")


def test_a_file_without_end_is_not_loaded(folder: Folder) -> None:
    """What is larger than any file of a remote does not fill the memory."""
    with (folder.path / NAME).open("wb") as file:
        _ = file.truncate(2**40)

    with pytest.raises(RemoteDamaged, match="most"):
        _ = folder.read(NAME)


def test_a_folder_that_may_not_be_read_is_told(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    """Reading and listing never say that nothing is there where they could not look."""

    def denied(*args: Any, **options: Any) -> Any:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(os, "open", denied)
    monkeypatch.setattr(os, "scandir", denied)
    for use in (lambda: folder.read("log/first"), lambda: folder.names("log"), lambda: folder.sizes("log")):
        with pytest.raises(TransportError, match=os.strerror(errno.EACCES)):
            _ = use()
