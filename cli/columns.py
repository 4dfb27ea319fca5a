"""Plain tables and moments, the same on a terminal and in a file: what is printed may be searched and cut."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Final, TypeAlias

Cell: TypeAlias = str | int | None
_UNITS: Final = ("bytes", "KiB", "MiB", "GiB", "TiB")


def columns(names: Sequence[str], rows: Iterable[Sequence[Cell]]) -> Iterator[str]:
    """The lines of a table; a column of numbers is aligned to the right. No line is cut or folded."""
    cells = [[plain("-" if cell is None else str(cell)) for cell in row] for row in rows]
    widths = [max(map(len, each)) for each in zip(names, *cells, strict=True)]
    right = [
        bool(cells) and all(row[place].isdigit() or row[place] == "-" for row in cells)
        for place in range(len(names))
    ]
    for line in (names, ["-" * width for width in widths], *cells):
        told = (
            cell.rjust(width) if to_right else cell.ljust(width)
            for cell, width, to_right in zip(line, widths, right, strict=True)
        )
        yield "  ".join(told).rstrip()


def plain(text: str) -> str:
    """Text that others wrote, in one line: what would move a terminal's cursor or colour it is spelt out."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def moment(seconds: float | None) -> str | None:
    """Seconds since 1970 as text in UTC, to the second; None for none, or for the beginning of all counting."""
    return f"{_utc(seconds):%Y-%m-%d %H:%M:%S}" if seconds else None


def exact(seconds: float | None) -> str | None:
    """As `moment`, in the form of RFC 3339, to the millisecond: for programs."""
    return f"{_utc(seconds).isoformat(timespec='milliseconds')[:-6]}Z" if seconds else None


def _utc(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def size(count: int) -> str:
    """A number of bytes, in the unit that keeps it short."""
    told, unit = float(count), 0
    while told >= 1024 and unit < len(_UNITS) - 1:
        told, unit = told / 1024, unit + 1
    return f"{count} bytes" if unit == 0 else f"{told:.1f} {_UNITS[unit]}"
