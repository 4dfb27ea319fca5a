"""What the command prints: headings, tables and bars, on a terminal or in a file."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import contextmanager
from typing import Final, TypeAlias

from tidesync import SyncContext
from tidesync.errors import MissingExtra
from tidesync.events import Event, Progress

try:
    from rich import box
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn
    from rich.progress import Progress as Bars
    from rich.table import Table
    from rich.text import Text
except ImportError as error:
    raise MissingExtra("rich", "cli") from error

Cell: TypeAlias = str | int | bool | None
_GOOD: Final = ("yes", "once", "same", "agree")


class Show:
    """Prints the story. Records are shown as they are: nothing in them is taken for markup."""

    def __init__(self) -> None:
        self._console = Console(markup=False, emoji=False, highlight=False, soft_wrap=False)
        self._steps = 0

    def heading(self, title: str, said: str = "") -> None:
        """Begin the next step."""
        self._steps += 1
        self._console.print()
        self._console.print(f"{self._steps}. {title}", style="bold cyan")
        if said:
            self.say(said)

    def say(self, said: str) -> None:
        """A sentence or two."""
        self._console.print(said)

    def good(self, said: str) -> None:
        """What was hoped for."""
        self._console.print(said, style="green")

    def bad(self, said: str) -> None:
        """What was not."""
        self._console.print(said, style="bold red")

    def table(self, title: str, columns: Sequence[str], rows: Iterable[Sequence[Cell]]) -> None:
        """A table; a column of numbers is aligned to the right."""
        cells = [[_text(cell) for cell in row] for row in rows]
        grid = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
        for place, column in enumerate(columns):
            said = [row[place].plain for row in cells]
            numbers = bool(said) and all(each.isdigit() or each == "-" for each in said)
            grid.add_column(column, justify="right" if numbers else "left", overflow="fold")
        for row in cells:
            grid.add_row(*row)
        self._console.print()
        if title:
            self._console.print(f"{title}:", style="italic")
        self._console.print(grid)
        self._console.print()

    @contextmanager
    def bars(self, device: SyncContext, name: str) -> Generator[None]:
        """One bar for each push or pull of this device inside the block, from the events it tells."""
        columns = (
            TextColumn("{task.description:<24}", markup=False),
            BarColumn(bar_width=30),
            MofNCompleteColumn(),
            TextColumn("{task.fields[unit]}", markup=False),
        )
        with Bars(*columns, console=self._console) as bars:
            unsubscribe = device.subscribe(_follow(bars, name))
            try:
                yield
            finally:
                unsubscribe()


def _follow(bars: Bars, name: str) -> Callable[[Event], None]:
    known: dict[tuple[str, str | None], TaskID] = {}

    def follow(event: Event) -> None:
        if not isinstance(event, Progress):
            return
        key = event.activity, event.table
        if key not in known:
            label = f"{name} {event.activity}{'' if event.table is None else f' {event.table}'}"
            unit = "operations" if event.activity == "push" else "records"
            known[key] = bars.add_task(label, total=event.total, unit=unit)
        bars.update(known[key], completed=event.done, total=event.total, refresh=True)

    return follow


def _text(cell: Cell) -> Text:
    said = "-" if cell is None else str(cell) if not isinstance(cell, bool) else "yes" if cell else "no"
    return Text(said, style="green" if said in _GOOD else "")
