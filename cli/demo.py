"""`tidesync demo`: the whole story, from offline edits to the comparison."""

from __future__ import annotations

import secrets
import tempfile
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from tidesync.cli import ending, story
from tidesync.cli.show import Show
from tidesync.cli.story import Story
from tidesync.cli.world import TABLES, Place, Protocol, device
from tidesync.errors import ConfigurationError


def demo(url: str | None, protocol: Protocol, keep: Path | None) -> int:
    """Tell the story; 0 if both devices and the remote agree at the end and all promises held, else 1."""
    started, show = time.monotonic(), Show()
    with _folder(keep) as folder:
        place = Place(folder, f"demo-{secrets.token_hex(4)}", url, protocol)
        show.say("Two devices, phone and laptop, each with a SQLite store, and one remote.")
        show.say(f"Remote: {place.remote}. Files: {folder}{'' if keep else ' (removed at the end)'}.")
        told = Story(place, show)
        agreed = _tell(told)
    show.say(f"({time.monotonic() - started:.1f} seconds)")
    for said in told.broken:
        show.bad(f"Not true: {said}")
    return 0 if agreed and not told.broken else 1


def _tell(told: Story) -> bool:
    with device(told.place, "phone") as phone:
        # A remote that does not answer, or lacks a table, is told of before anything is typed.
        for table in TABLES:
            _ = told.place.mine(phone.remote(table).where()).count()
        with device(told.place, "laptop") as laptop:
            story.edit_offline(told, phone, laptop)
            story.order_parents(told, phone)
            story.meet(told, phone, laptop)
            if told.place.url is None:  # no rule of another server is known
                story.refuse(told, phone)
            story.merge(told, phone, laptop)
        ending.revive(told, phone, ending.kill(told, phone))
        ending.purge(told, phone)
        with device(told.place, "laptop") as laptop:
            return ending.compare(told, phone, laptop)


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
