"""`tidesync status FILE` on files that contexts made: what it tells, and that it changes nothing."""

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import apsw
import pytest

from tests.cli.command import tidesync
from tests.cli.stores import SECRET, TABLES, TASKS, TodoTask, operations, remote, store_of_everything
from tidesync import SyncContext
from tidesync.cli import main
from tidesync.rows import META
from tidesync.stores.sql.ddl import FORMAT
from tidesync.stores.sqlite import SQLiteStore
from tidesync.transports.authority import Authority
from tidesync.transports.loopback import LoopbackTransport


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with an operation of each kind."""
    path = tmp_path_factory.mktemp("made") / "app.db"
    store_of_everything(path)
    return path


@pytest.fixture
def path(made: Path, tmp_path: Path) -> Path:
    """A file of its own for a test."""
    (tmp_path / "store").mkdir()
    return Path(shutil.copy(made, tmp_path / "store" / "app.db"))


def status(path: Path, capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    """What --json prints."""
    assert 0 == main(["status", str(path), "--json"])
    told = capsys.readouterr()
    assert "" == told.err
    found: dict[str, Any] = json.loads(told.out)
    return found


def contents(folder: Path) -> dict[str, tuple[bytes, int]]:
    return {each.name: (each.read_bytes(), each.stat().st_mtime_ns) for each in folder.iterdir()}


def test_it_counts_records_and_operations_by_table(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Every operation is counted once, by how it stands."""
    found = status(path, capsys)
    none = {"pending": 0, "attempted": 0, "failed": 0, "conflict": 0, "parked": 0}

    assert {
        "todolist": {"records": 2, **none, "failed": 1, "conflict": 1, "quarantined": 1},
        "todotask": {"records": 3, **none, "pending": 1, "attempted": 1, "parked": 1, "quarantined": 0},
    } == found["tables"]
    oldest = found["queue"].pop("oldest")
    assert dict.fromkeys(none, 1) == found["queue"]
    assert oldest[:10] == time.strftime("%Y-%m-%d", time.gmtime(path.stat().st_mtime))


def test_it_tells_the_remote_the_pulls_and_what_was_put_aside(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Who the remote is, which named queries were pulled, and why a record is in quarantine."""
    found = status(path, capsys)
    [pull], [aside] = found["pulls"], found["quarantine"]

    assert ("the-remote", None) == (found["remote"], found["lease"])
    assert ("todolist", "all", True) == (pull["table"], pull["name"], pull["complete"])
    assert pull["pulled"].endswith("Z")
    assert ("todolist", "misfit") == (aside["table"], aside["record"])
    assert "int does not fit" in aside["reason"]


def test_it_tells_format_and_size_of_the_file(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """In bytes; the log beside the file is counted by itself."""
    store = SQLiteStore(path)
    with SyncContext(store, None, TABLES) as ctx:
        ctx[TASKS].insert(TodoTask("one-more", "x"))
        log = path.with_name("app.db-wal").stat().st_size
        found = status(path, capsys)

    assert log > 0
    assert (FORMAT, path.stat().st_size, log) == (found["format"], found["size"], found["log"])


def test_the_shape_for_scripts_is_stable(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The documented keys, and no others by accident; in all of them no word of a record's content."""
    found = status(path, capsys)

    assert ["file", "format", "size", "log", "remote", "lease", "queue", "tables", "pulls", "quarantine"] == [
        *found
    ]
    assert SECRET not in json.dumps(found)


def test_people_read_the_same_in_lines(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A table with a sum, and where to look on; no control codes, and no content."""
    assert 0 == main(["status", str(path)])
    printed = capsys.readouterr().out

    assert ["all", *"5111111"] == _line(printed, "all")
    assert "Remote: the-remote" in printed
    assert "Lease: free" in printed
    assert f"tidesync queue {path}" in printed
    assert "misfit" in printed
    assert SECRET not in printed
    assert [char for char in printed if not char.isprintable() and char != "\n"] == []


def _line(printed: str, first: str) -> list[str]:
    return next(line.split() for line in printed.splitlines() if line.split()[:1] == [first])


def test_it_needs_no_extra(path: Path) -> None:
    """Whoever has the library can look at its stores."""
    without = "sys.modules['rich'] = sys.modules['starlette'] = sys.modules['httpx'] = None"

    assert 0 == tidesync("status", str(path), before=without).returncode


def test_an_output_that_knows_ascii_only_gets_ascii(tmp_path: Path) -> None:
    """Ids may hold any letter; what cannot be written is spelt out."""
    with SyncContext(SQLiteStore(tmp_path / "é.db"), None, TABLES) as ctx:
        ctx[TASKS].insert(TodoTask("Käse", "x"))
    told = [tidesync(each, str(tmp_path / "é.db"), encoding="ascii") for each in ("status", "queue")]

    assert [(0, ""), (0, "")] == [(each.returncode, each.stderr) for each in told]
    assert "K\\xe4se" in told[1].stdout


def test_it_changes_no_byte(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The folder is as it was: no file more, and none touched."""
    before = contents(path.parent)
    _ = status(path, capsys)
    assert 0 == main(["queue", str(path)])

    assert before == contents(path.parent)


def test_a_file_of_before_is_read_and_not_upgraded(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What older versions did not keep is null."""
    connection = apsw.Connection(str(path))
    for statement in (
        'ALTER TABLE "__operations" DROP COLUMN "last_attempt"',
        """UPDATE _tidesync SET layout = replace(layout, ', ["last_attempt", "float", "last_attempt", false]', '')
           WHERE name = '__operations'""",
        "UPDATE _tidesync SET layout = layout + 1 WHERE name = ''",
    ):
        connection.execute(statement)
    connection.close()
    before = contents(path.parent)
    assert 0 == main(["queue", str(path), "--json"])
    listed = json.loads(capsys.readouterr().out)["operations"]

    assert [None] * 5 == [each["last_attempt"] for each in listed]
    assert before == contents(path.parent)


@pytest.mark.parametrize("command", ["status", "queue"])
def test_what_is_no_application_s_store_is_told_in_one_line(
    command: str, path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit status 2, with the reason; and nothing is made."""
    (tmp_path / "empty.db").touch()
    (tmp_path / "text.db").write_text("hello" * 100)
    other = apsw.Connection(str(tmp_path / "other.db"))
    other.execute("CREATE TABLE t (x)")
    other.close()
    with Authority(SQLiteStore(tmp_path / "service.db"), TABLES):
        pass
    newer = apsw.Connection(str(shutil.copy(path, tmp_path / "newer.db")))
    newer.execute(f"PRAGMA user_version = {FORMAT + 1}")
    newer.close()
    reasons = {
        "missing.db": "no such file", "no/app.db": "does not exist", "store": "is a directory", "empty.db": "is empty",
        "text.db": "not a tidesync database", "other.db": "of another program", "service.db": "of a service",
        "newer.db": "written by a newer tidesync",
    }  # fmt: skip
    before = sorted(tmp_path.rglob("*"))

    for name, reason in reasons.items():
        assert 2 == main([command, str(tmp_path / name)])
        told = capsys.readouterr()
        assert ("", 1) == (told.out, len(told.err.splitlines()))
        assert reason in told.err
    assert before == sorted(tmp_path.rglob("*"))


BUSY = """
import sys
from tests.cli.stores import LISTS, TABLES, TodoList, remote
from tidesync import SyncContext
from tidesync.stores.sqlite import SQLiteStore
from tidesync.transports.loopback import LoopbackTransport

class Slow(LoopbackTransport):
    def push(self, changes, /):
        print("pushing", flush=True)
        sys.stdin.read()
        raise SystemExit

with SyncContext(SQLiteStore(sys.argv[1]), Slow(remote()), TABLES) as ctx:
    ctx[LISTS].insert(TodoList("busy", "x"))
    with ctx._store.transaction(write=True) as transaction:
        print("writing", flush=True)
        sys.stdin.readline()
    ctx.push()
"""


def test_it_may_run_while_the_application_writes_and_pushes(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It waits for nobody; it tells which process holds the lease, and the operation that is on its way."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(
        [sys.executable, "-c", BUSY, str(path)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment,
    ) as application:  # fmt: skip
        assert application.stdout is not None
        assert application.stdin is not None
        try:
            assert "writing\n" == application.stdout.readline()
            began = time.monotonic()
            writing = status(path, capsys)
            spent = time.monotonic() - began
            print(file=application.stdin, flush=True)
            assert "pushing\n" == application.stdout.readline()
            pushing = status(path, capsys)
            assert 0 == main(["status", str(path)])
            printed = capsys.readouterr().out
        finally:
            application.kill()
    assert None is status(path, capsys)["lease"]
    assert spent < 5
    assert (None, 2) == (writing["lease"], writing["tables"]["todolist"]["records"] - 1)
    assert application.pid == pushing["lease"]["process"]
    assert f"held by process {application.pid}, until 2" in printed
    assert 3 == pushing["queue"]["attempted"]


@pytest.mark.parametrize(
    ("seconds", "said"), [(60, "held by a process of another machine, until 2"), (-1, "Lease: free")]
)
def test_a_lease_of_another_machine_is_held_until_its_time_is_over(
    seconds: float, said: str, path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whether a process elsewhere still runs cannot be told: as the next push would see it."""
    store = SQLiteStore(path, mode="rw")
    store.open([])
    with store.transaction(write=True) as transaction:
        [row] = transaction.get(META, ["lease"])
        assert row is not None
        assert isinstance(row["value"], dict)
        held = {**row["value"], "holder": "another machine|7|1|1", "until": time.time() + seconds}
        transaction.put(META, [{**row, "value": held}])
    store.close()
    assert 0 == main(["status", str(path)])
    assert said in capsys.readouterr().out


CHILD = """
import os, sys
from contextlib import suppress
from tidesync.cli import main, status
with suppress(SystemExit):
    main(["status", "--help"])  # which imports what others may not read
if os.getuid() == 0:
    os.setgid(65534)
    os.setuid(65534)
sys.exit(main(["status", sys.argv[1]]))
"""


def test_a_file_and_folder_that_cannot_be_written_are_read(path: Path, tmp_path: Path) -> None:
    """Looking needs no right to write."""
    for folder in (tmp_path, *tmp_path.parents):
        if folder.stat().st_uid == os.getuid() and str(folder) not in ("/", "/tmp"):
            folder.chmod(folder.stat().st_mode | 0o055)
    path.chmod(0o444)
    path.parent.chmod(0o555)
    try:
        told = subprocess.run(
            [sys.executable, "-c", CHILD, str(path)], capture_output=True, text=True, check=False
        )
    finally:
        path.parent.chmod(0o755)
        path.chmod(0o644)

    assert (0, "") == (told.returncode, told.stderr)
    assert ["all", *"5111111"] == _line(told.stdout, "all")


def test_a_store_that_was_never_synced_is_told_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """No remote, no pulls; nothing waits."""
    with SyncContext(SQLiteStore(tmp_path / "app.db"), None, []):
        pass
    assert 0 == main(["status", str(tmp_path / "app.db")])
    printed = capsys.readouterr().out

    assert "Remote: none yet" in printed
    assert "No tables." in printed


def test_the_application_goes_on_as_if_nobody_had_looked(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A context that is open meanwhile sees its queue, writes and pushes."""
    before = operations(path)
    with SyncContext(SQLiteStore(path), LoopbackTransport(remote()), TABLES) as ctx:
        _ = status(path, capsys)
        ctx[TASKS].insert(TodoTask("later", "x"))
        _ = status(path, capsys)

    assert {**before, "later": ("pending", 0)} == operations(path)
