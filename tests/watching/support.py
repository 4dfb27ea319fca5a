"""What tests of streams share."""

import time
from collections.abc import Callable
from typing import Any

from tests.api.support import Todo, TodoList
from tidesync import Rows


def ids(rows: Rows[Any] | None) -> list[str] | None:
    return (
        None if rows is None else [row.id if isinstance(row, Todo | TodoList) else row["id"] for row in rows]
    )


def eventually(true: Callable[[], bool]) -> bool:
    """Whether it comes true within ten seconds."""
    end = time.monotonic() + 10
    while not true() and time.monotonic() < end:
        time.sleep(0.002)
    return true()
