"""What was deleted long ago is forgotten: by the service itself, or when its owner says so."""

import time
from pathlib import Path
from typing import Any

import anyio
import pytest

from tests.transports.service.conftest import Serve
from tests.transports.service.support import SECONDS, Serving
from tidesync.errors import ConfigurationError, StoreBusy
from tidesync.schema import TableSchema
from tidesync.stores import MemoryStore, SQLiteStore
from tidesync.transports.service import create_app
from tidesync.transports.service.upkeep import compact_daily

NOTES = TableSchema("notes")


def delete_one(served: Serving) -> None:
    for id in ("kept", "gone"):
        _ = served.http.post("/tables/notes", json={"id": id}).raise_for_status()
    _ = served.http.delete("/tables/notes/gone").raise_for_status()


def known(served: Serving) -> list[str]:
    rows = served.http.get("/tables/notes", params={"__includedeleted": "true"}).raise_for_status().json()
    return [row["id"] for row in rows["items"]]


def test_a_service_forgets_when_it_starts(serve: Serve, tmp_path: Path) -> None:
    """A service that was told how long deleted records matter forgets older ones by itself."""
    first = serve(SQLiteStore(tmp_path / "a.db"), [NOTES])
    delete_one(first)
    assert ["gone", "kept"] == known(first)
    first.stop()

    second = serve(SQLiteStore(tmp_path / "a.db"), [NOTES], keep=0.001)
    until = time.monotonic() + SECONDS
    while known(second) != ["kept"] and time.monotonic() < until:
        time.sleep(0.01)
    assert ["kept"] == known(second)


def test_a_service_forgets_nothing_unless_it_is_told(serve: Serve) -> None:
    """Deleted records stay for ever; who owns the application may let them go."""
    served = serve(MemoryStore(), [NOTES])
    delete_one(served)
    assert 0 == served.app.compact(60)
    assert ["gone", "kept"] == known(served)
    time.sleep(0.01)
    assert 1 == served.app.compact(0.001)
    assert ["kept"] == known(served)


@pytest.mark.parametrize("keep", [0, -1, float("nan"), float("inf"), "week", True])
def test_a_time_that_cannot_be_is_refused(keep: Any) -> None:
    """It is a number of seconds, or None."""
    with pytest.raises(ConfigurationError, match="keep is a number of seconds"):
        create_app(MemoryStore(), [NOTES], keep=keep)


def test_what_fails_is_tried_again() -> None:
    """A store that is busy once does not end the upkeep."""

    class Enough(Exception):
        pass

    class Authority:
        asked = 0

        def compact(self, keep: float) -> int:
            self.asked += 1
            if self.asked == 3:
                raise Enough
            if self.asked == 1:
                raise StoreBusy("another process writes")
            return 0

    authority: Any = Authority()
    with pytest.raises(Enough):
        anyio.run(compact_daily, authority, 1.0, 0.0)
