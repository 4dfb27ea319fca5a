"""Needles: what is written to an encrypted store, and looked for in every file afterwards."""

from __future__ import annotations

import base64
import os
import stat
import struct
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

from tidesync.conformance.expect import RuleBroken, true
from tidesync.conformance.store.bench import StoreBench, put
from tidesync.conformance.store.tables import THING
from tidesync.contracts.store import Store
from tidesync.records import Record
from tidesync.schema import Column, TableSchema

QUEUE: Final = TableSchema("__queue", (Column("key"), Column("content")), indexes=(("key",),))


CURSOR: Final = TableSchema("__cursor", (Column("name"), Column("cursor")))


TABLES: Final = (THING, QUEUE, CURSOR)
"""A table of a user, and two like those in which the engine keeps its queue and its cursors."""


CORE: Final = "4711-Nachtigall-0815"
"""What is looked for: it looks the same in JSON, escaped or not."""


NEEDLE: Final = f"Zaunkönig-{CORE}"
"""Part of every text that is written, and of nothing else."""


NUMBER: Final = 5_903_381_127_654_321
"""In every record, too."""


def records(count: int, *, first: int = 0, size: int = 0) -> list[Record]:
    """Records with the needle in every field, as text of about `size` characters in one of them."""
    filler = f"{NEEDLE}, " * (size // len(NEEDLE))
    return [
        {
            "id": f"{NEEDLE}-{n:05}", "text": f"{NEEDLE} {n}", "number": NUMBER, "tree": {"in": [NEEDLE, NUMBER]},
            "any": f"{filler}{NEEDLE}", "unknown": NEEDLE,
        }
        for n in range(first, first + count)
    ]  # fmt: skip


def fill(store: Store, first: int, count: int) -> None:
    """Put so many records, and what the engine would keep of them, into three tables."""
    put(store, *records(count, first=first))
    queued: list[Record] = [
        {"id": f"{n}", "key": NEEDLE, "content": {"text": NEEDLE}} for n in range(first, first + count)
    ]
    put(store, *queued, table=QUEUE.name)
    put(store, {"id": "all", "name": NEEDLE, "cursor": f"{NEEDLE}/{first}"}, table=CURSOR.name)


def _forms() -> Iterator[tuple[str, bytes]]:
    """It in every form in which it could be written, and the name of that form."""
    plain = CORE.encode()
    yield "UTF-8", plain
    for name in ("utf-16-le", "utf-16-be"):
        yield name.upper(), CORE.encode(name)
    yield "hexadecimal", plain.hex().encode()
    yield "hexadecimal", plain.hex().upper().encode()
    for shift, skipped in enumerate((0, 2, 3)):
        yield "base64", base64.b64encode(b"x" * shift + plain)[skipped:-4]
    yield "digits", str(NUMBER).encode()
    yield "an integer", struct.pack(">q", NUMBER)
    yield "an integer", struct.pack("<q", NUMBER)


FORMS: Final = tuple(_forms())


def clear(content: bytes, where: str, when: str) -> None:
    """Raise `RuleBroken` where a needle is found."""
    for form, needle in FORMS:
        at = content.find(needle)
        if at >= 0:
            raise RuleBroken(f"{when}: what a record holds is in {where}, as {form}, at byte {at}")


def files_of(bench: StoreBench) -> dict[str, bytes]:
    """All files of the store. Raises `RuleBroken` where there are none: nothing could then be seen in them."""
    paths = sorted(bench.folder.rglob("*"))
    found = {str(path): content_of(path) for path in paths if path.is_file()}
    true(
        any(found.values()),
        "the store has no file in its folder: make_store must keep its files in the given one",
    )
    return found


def content_of(path: Path) -> bytes:
    """What is in a file; nothing where it is none, or has gone."""
    with suppress(OSError):
        if stat.S_ISREG(path.stat().st_mode):
            return path.read_bytes()
    return b""


def search(bench: StoreBench, when: str) -> None:
    """Look through all files of the store."""
    for path, content in files_of(bench).items():
        clear(content, f"the file {Path(path).name}", when)


def open_files(pid: int) -> set[str]:
    """What the process has open, by number, where the system tells."""
    with suppress(OSError):
        return set(os.listdir(f"/proc/{pid}/fd"))  # noqa: PTH208  # names are all that is wanted
    return set()
