"""`tidesync demo`: the whole story, from offline edits to the comparison."""

from __future__ import annotations

import secrets
import tempfile
import time
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from tidesync.cli import ending, story
from tidesync.cli.show import Show
from tidesync.cli.story import Story
from tidesync.cli.world import TABLES, Place, Protocol, device
from tidesync.errors import ConfigurationError

if TYPE_CHECKING:
    from tidesync.cli.service import Remote

Outage: TypeAlias = Callable[[Show], AbstractContextManager[None]]
"""Takes the remote away inside a block, if it is the demo's to take, and says so."""


def demo(url: str | None, protocol: Protocol, keep: Path | None, *, loopback: bool = False) -> int:
    """Tell the story; 0 if both devices and the remote agree at the end and all promises held, else 1."""
    started, show = time.monotonic(), Show()
    with _folder(keep) as folder, _remote(folder, url, loopback=loopback) as (where, called, outage):
        place = Place(folder, f"demo-{secrets.token_hex(4)}", where, protocol, own=url is None)
        show.say("Two devices, phone and laptop, each with a SQLite store, and one remote.")
        show.say(f"Remote: {called}.")
        show.say(f"Files: {folder}{'' if keep else ' (removed at the end)'}.")
        told = Story(place, show)
        agreed = _tell(told, outage)
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
def _remote(folder: Path, url: str | None, *, loopback: bool) -> Generator[tuple[str | None, str, Outage]]:
    """The remote's address, what it is called in print, and a way to take it away for a while."""
    if url is not None:
        yield url, url, _no_outage
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


@contextmanager
def _folder(keep: Path | None) -> Generator[Path]:
    if keep is None:
        with tempfile.TemporaryDirectory(prefix="tidesync-demo-") as folder:
            yield Path(folder)
        return
    try:
        keep.mkdir(parents=True, exist_ok=True)
        empty = not any(keep.iterdir())
    except OSError as error:
        raise ConfigurationError(f"--keep {keep}: {error.strerror or error}: name another folder") from error
    if not empty:
        raise ConfigurationError(f"--keep {keep}: the folder is not empty: name another folder")
    yield keep
