"""`tidesync demo`: the whole story, from offline edits to the comparison."""

from __future__ import annotations

import secrets
import shlex
import tempfile
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeAlias

from tidesync.cli import ending, story
from tidesync.cli.show import Show
from tidesync.cli.story import Story
from tidesync.cli.world import TABLES, Place, Protocol, device
from tidesync.errors import ConfigurationError

if TYPE_CHECKING:
    from tidesync.cli.service import Remote

Outage: TypeAlias = Callable[[Show], AbstractContextManager[None]]
"""Takes the remote away inside a block, if it is the demo's to take, and says so."""


def demo(
    url: str | None,
    protocol: Protocol,
    keep: Path | None,
    *,
    loopback: bool = False,
    files: Path | None = None,
) -> int:
    """Tell the story; 0 if both devices and the remote agree at the end and all promises held, else 1.

    The remote is a server at `url`, the folder `files`, one in each device's process with `loopback`, else a service.
    """
    started, show = time.monotonic(), Show()
    with ExitStack() as stack:
        if keep is not None and files is not None and keep.resolve().is_relative_to(files.resolve()):
            raise ConfigurationError(
                f"--keep {keep}: it lies in the remote, which has files of its own: name another"
            )
        folder = stack.enter_context(_folder(keep))
        if files is not None:
            _check_empty("--remote", files)
        where, called, outage = stack.enter_context(_remote(folder, url, files, loopback=loopback))
        own = url is None and files is None
        place = Place(folder, f"demo-{secrets.token_hex(4)}", where, protocol, own, files)
        show.say("Two devices, phone and laptop, each with a SQLite store, and one remote.")
        show.say(f"Remote: {called}.")
        show.say(f"Files: {folder}{'' if keep else ' (removed at the end)'}.")
        told = Story(place, show)
        agreed = _tell(told, outage)
    if files is not None:
        show.say("")
        _look_into(files, show)
    show.say(f"({time.monotonic() - started:.1f} seconds)")
    for said in told.broken:
        show.bad(f"Not true: {said}")
    return 0 if agreed and not told.broken else 1


def _tell(told: Story, outage: Outage) -> bool:
    with device(told.place, "phone") as phone:
        # A remote that does not answer, or lacks a table, is told of before anything is typed.
        for table in TABLES:
            _ = told.place.mine(phone.remote(table).where()).count()
        with device(told.place, "laptop") as laptop:
            with outage(told.show):
                story.edit_offline(told, phone, laptop)
            story.order_parents(told, phone)
            story.meet(told, phone, laptop)
            if told.place.own:  # no rule of another server is known
                story.refuse(told, phone)
            story.merge(told, phone, laptop)
        ending.revive(told, phone, ending.kill(told, phone))
        ending.purge(told, phone)
        with device(told.place, "laptop") as laptop:
            return ending.compare(told, phone, laptop)


@contextmanager
def _remote(
    folder: Path, url: str | None, files: Path | None, *, loopback: bool
) -> Generator[tuple[str | None, str, Outage]]:
    """The remote's address, what it is called in print, and a way to take it away for a while."""
    if url is not None:
        yield url, url, _no_outage
    elif files is not None:
        yield None, f"the folder {files}, which both devices read and write; no server", _no_outage
    elif loopback:
        yield None, "remote.db, in the process of each device", _no_outage
    else:
        from tidesync.cli.service import served

        with served(folder) as remote:
            yield remote.url, remote.told, lambda show: _stopped(remote, show)


@contextmanager
def _stopped(remote: Remote, show: Show) -> Generator[None]:
    """The service is not there inside the block."""
    remote.stop()
    show.say("The service is stopped for now: phone and laptop are offline.")
    yield
    remote.start()
    show.say("The service is started again.")


def _no_outage(_: Show) -> AbstractContextManager[None]:
    return nullcontext()


def _look_into(files: Path, show: Show) -> None:
    """Say what a remote that is a folder consists of, and how it is looked at."""
    folders = {each.name: sorted(each.iterdir()) for each in sorted(files.iterdir()) if each.is_dir()}
    show.say(f"All that the devices shared is the folder {files}, which stays. In it:")
    rows = [("meta.json", 1, "who this remote is; written once")]
    rows += [(f"{name}/", len(held), _FOLDERS.get(name, "")) for name, held in folders.items()]
    show.table("", ("name", "files", "what they are"), rows)
    show.say(f"Look at it: tidesync remote info {shlex.quote(str(files))}")


_FOLDERS: Final[Mapping[str, str]] = {
    "log": "a file for each commit: what a push changed",
    "snapshots": "the state after a commit, to begin from",
    "fences": "where the log now begins",
}


@contextmanager
def _folder(keep: Path | None) -> Generator[Path]:
    if keep is None:
        with tempfile.TemporaryDirectory(prefix="tidesync-demo-") as folder:
            yield Path(folder)
        return
    _check_empty("--keep", keep)
    yield keep


def _check_empty(option: str, folder: Path) -> None:
    """Make the folder; `ConfigurationError` if it cannot be made, or holds anything."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        empty = not any(folder.iterdir())
    except OSError as error:
        raise ConfigurationError(
            f"{option} {folder}: {error.strerror or error}: name another folder"
        ) from error
    if not empty:
        raise ConfigurationError(f"{option} {folder}: the folder is not empty: name another folder")
