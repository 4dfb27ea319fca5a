"""Services as processes of their own: killed at any moment, and two on one file."""

import subprocess
import sys
from pathlib import Path

import apsw
import pytest

from tests.attacks.service.processes import NOTES
from tests.transports.service.conftest import Host
from tidesync.contracts.transport import Absent, Change, NotSent
from tidesync.stores.sqlite import SQLiteStore
from tidesync.transports.http import HttpTransport
from tidesync.transports.service import create_app

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs signals")


def done(module: str, *arguments: object) -> str:
    command = [sys.executable, "-W", "error", "-m", f"tests.attacks.service.{module}", *map(str, arguments)]
    found = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert (0, "") == (found.returncode, found.stderr)
    return found.stdout


def test_no_acknowledged_write_is_lost_when_the_service_is_killed(tmp_path: Path) -> None:
    """Six kills under six writers: each write has one effect, and followers know all that the file holds."""
    assert done("kills", tmp_path, 7, 6).startswith("6 kills, ")


def test_two_services_on_one_file(tmp_path: Path) -> None:
    """No change is lost or skipped, no race is won twice, and an operation sent through both has one effect."""
    assert done("two", tmp_path, 7, 4).endswith(" records\n")


def test_a_file_that_somebody_else_writes_is_503(tmp_path: Path, host: Host) -> None:
    """With Retry-After, in every protocol; reads go on, and so do writes when the other one is done."""
    file = tmp_path / "kept.db"
    served = host(create_app(SQLiteStore(file, busy_timeout=0.1), [NOTES]))
    note = {"id": "a", "n": 1, "text": "x"}
    assert 201 == served.http.post("/tables/note", json=note).status_code
    transport = HttpTransport(served.url, protocol="tidesync")
    _ = transport.open([NOTES.schema])
    other = apsw.Connection(str(file))
    _ = other.execute("BEGIN IMMEDIATE")

    refused = served.http.patch("/tables/note/a", json={"n": 2})
    assert (503, "1") == (refused.status_code, refused.headers["Retry-After"])
    change = Change(
        id="op", table="note", record_id="b", kind="insert", record={"id": "b"}, expected=Absent(), fields=()
    )
    (outcome,) = transport.push([change])
    assert isinstance(outcome, NotSent)
    assert 1.0 == outcome.retry_after
    assert 1 == served.http.get("/tables/note/a").json()["n"]

    _ = other.execute("ROLLBACK")
    other.close()
    assert 200 == served.http.patch("/tables/note/a", json={"n": 2}).status_code
    transport.close()
