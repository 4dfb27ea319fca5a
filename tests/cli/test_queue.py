"""`tidesync queue FILE` on files that contexts made: list, show, retry, discard, and what is refused."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import apsw
import pytest

from tests.cli.stores import LISTS, SECRET, TABLES, TASKS, TodoTask, operations, remote, store_of_everything
from tidesync import SyncContext
from tidesync.cli import main
from tidesync.stores.sqlite import SQLiteStore
from tidesync.transports.loopback import LoopbackTransport

NUMBERS = {"shared": "2", "untitled": "3", "behind": "4", "doubt": "5", "new": "7"}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with an operation of each kind."""
    path = tmp_path_factory.mktemp("made") / "app.db"
    store_of_everything(path)
    return path


@pytest.fixture
def path(made: Path, tmp_path: Path) -> Path:
    """A file of its own for a test."""
    return Path(shutil.copy(made, tmp_path / "app.db"))


class Told:
    """What one command did and said."""

    def __init__(self, capsys: pytest.CaptureFixture[str], *arguments: str) -> None:
        try:
            self.status: Any = main(["queue", *arguments])
        except SystemExit as ended:
            self.status = ended.code
        self.out, self.err = capsys.readouterr()

    @property
    def json(self) -> Any:
        """The one document."""
        return json.loads(self.out)

    @property
    def rows(self) -> list[list[str]]:
        """The lines of the table, as cells."""
        return [line.split() for line in self.out.splitlines()[2:]]


def test_the_queue_is_listed_in_order_with_state_and_reason(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Parked is what waits behind a refused one, and says behind which."""
    told, named = Told(capsys, str(path)), Told(capsys, str(path), "list")

    assert (0, "") == (told.status, told.err)
    assert told.out == named.out
    assert [
        ["2", "update", "todolist", "shared", "conflict", "-", "0"],
        ["3", "insert", "todolist", "untitled", "failed", "-", "1"],
        ["4", "insert", "todotask", "behind", "parked", "3", "0"],
        ["5", "insert", "todotask", "doubt", "attempted", "-", "3"],
        ["7", "insert", "todotask", "new", "pending", "-", "0"],
    ] == [row[:7] for row in told.rows]
    assert "title_missing: a list\\nneeds a title \\x1b[31m" in told.out
    assert [char for char in told.out if not char.isprintable() and char != "\n"] == []


def test_for_scripts_it_is_one_document(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The documented keys; moments are text in UTC, or null."""
    for arguments in (["--json", str(path)], [str(path), "--json"], [str(path), "list", "--json"]):
        found = Told(capsys, *arguments).json
        assert str(path) == found["file"]
        failed = found["operations"][1]
        moments = [failed.pop("created"), failed.pop("last_attempt")]
        assert "-" in failed.pop("id")
        assert {
            "number": 3, "table": "todolist", "record": "untitled", "operation": "insert", "state": "failed",
            "behind": None, "attempts": 1, "code": "title_missing", "message": "a list\nneeds a title \x1b[31m",
        } == failed  # fmt: skip
        assert ["Z", "Z"] == [moment[-1] for moment in moments]
        assert found["operations"][2]["last_attempt"] is None


@pytest.mark.parametrize(
    ("filters", "numbers"),
    [
        (["--table", "todotask"], ["4", "5", "7"]),
        (["--state", "failed", "--state", "parked"], ["3", "4"]),
        (["--table", "todolist", "--state", "pending"], []),
    ],
)
def test_filters_narrow_the_list(
    filters: Sequence[str], numbers: Sequence[str], path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """By table and by state; an empty list is no failure."""
    told = Told(capsys, str(path), *filters)

    assert (0, numbers) == (told.status, [row[0] for row in told.rows])


def test_a_table_that_is_not_there_is_told(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With those that are."""
    told = Told(capsys, str(path), "--table", "todo")

    assert 2 == told.status
    assert "todolist, todotask" in told.err


def test_contents_are_shown_where_they_are_asked_for_only(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Not by list, nor by show alone; by show with --content or --json."""
    discreet = [[], ["--json"], ["show", "2"]]
    open_hearted = [["show", "2", "--content"], ["show", "2", "--json"]]

    assert [False] * 3 == [SECRET in Told(capsys, str(path), *each).out for each in discreet]
    assert [True] * 2 == [SECRET in Told(capsys, str(path), *each).out for each in open_hearted]


def test_an_operation_is_shown_with_all_that_is_kept(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What would be sent, and what is known of the remote's copy."""
    [found] = Told(capsys, str(path), "show", "2", "--json").json["operations"]

    assert {"id": "shared", "title": f"mine, {SECRET}"} == found["content"]
    assert SECRET == found["base"]["record"]["title"]
    assert f"theirs, {SECRET}" == found["remote"]["record"]["title"]
    printed = Told(capsys, str(path), "show", "4").out
    assert [["record", "todotask/behind"], ["state", "parked"], ["behind", "#3"]] == [
        line.split() for line in printed.splitlines()[1:4]
    ]


def test_an_operation_has_three_names(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Its number, its id, and its record's; one that nothing has is told, with status 1."""
    [found] = Told(capsys, str(path), "show", "4", "--json").json["operations"]
    shown = [Told(capsys, str(path), "show", name).out for name in ("4", found["id"], "todotask/behind")]
    missing = Told(capsys, str(path), "show", "4", "99")

    assert [shown[0]] * 3 == shown
    assert (1, shown[0]) == (missing.status, missing.out)
    assert "99 is not queued" in missing.err


# ---- retry


def test_retry_sends_again_what_was_refused(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The next push does; what was parked behind it goes in its turn."""
    told = Told(capsys, str(path), "retry", "--all")

    assert (0, "") == (told.status, told.err)
    assert "The next push sends again: #3 insert todolist/untitled." in told.out
    assert ["conflict", "pending", "pending", "attempted", "pending"] == [
        each["state"] for each in Told(capsys, str(path), "--json").json["operations"]
    ]
    assert (1, "There was nothing to do.\n") == (
        (again := Told(capsys, str(path), "retry", "--all")).status,
        again.out,
    )


@pytest.mark.parametrize(
    ("name", "why"), [("shared", "in conflict"), ("behind", "not refused"), ("doubt", "not refused")]
)
def test_retry_is_refused_for_what_was_not_refused(
    name: str, why: str, path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With the reason, and status 1; nothing changes."""
    before = operations(path)
    told = Told(capsys, str(path), "retry", NUMBERS[name])

    assert (1, "") == (told.status, told.out)
    assert why in told.err
    assert before == operations(path)


# ---- discard


def record(path: Path, table: Any, id: str) -> Any:
    with SyncContext(SQLiteStore(path), None, TABLES) as ctx:
        return ctx[table].get(id)


def test_a_discarded_edit_leaves_the_remote_s_copy(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A conflict is settled for the remote, a refused insert is undone, and what waited for it is free."""
    told = Told(capsys, str(path), "discard", "todolist/shared", "3", "--yes")

    assert (0, "") == (told.status, told.err)
    assert "Discarded: #2 update todolist/shared, #3 insert todolist/untitled." in told.out
    assert f"theirs, {SECRET}" == record(path, LISTS, "shared").title
    assert record(path, LISTS, "untitled") is None
    assert {"behind": ("pending", 0), "doubt": ("attempted", 3), "new": ("pending", 0)} == operations(path)


def test_all_that_is_queued_on_a_record_leaves_together(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Naming one of its operations, any of them, or the record, is the same."""
    with SyncContext(SQLiteStore(path), None, TABLES) as ctx:
        ctx[TASKS].update("doubt", text="edited since")
    listed = Told(capsys, str(path), "--json").json["operations"]
    mine = [each["number"] for each in listed if each["record"] == "doubt"]
    told = Told(capsys, str(path), "discard", str(mine[1]), str(mine[0]), "--force", "--yes", "--json")

    assert 0 == told.status
    assert mine == [each["number"] for each in told.json["done"]]
    assert "doubt" not in operations(path)


def test_what_may_be_at_the_remote_is_not_discarded_unforced(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Status 1, with the reason; the others go. With --force it goes too."""
    told = Told(capsys, str(path), "discard", "5", "7", "--yes", "--json")

    assert 1 == told.status
    assert [7] == [each["number"] for each in told.json["done"]]
    assert [5] == [each["number"] for each in told.json["refused"]]
    assert "may be at the remote already" in told.json["refused"][0]["why"]
    assert "may be at the remote already" in told.err
    assert 0 == Told(capsys, str(path), "discard", "5", "--yes", "--force").status
    assert record(path, TASKS, "doubt") is None


def test_all_of_a_state_are_discarded_together(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Filters say which; what nothing matches is status 1."""
    arguments = [str(path), "discard", "--all", "--state", "failed", "--state", "parked", "--yes"]

    assert 0 == Told(capsys, *arguments).status
    assert ["shared", "doubt", "new"] == [*operations(path)]
    assert (1, "There was nothing to do.\n") == ((again := Told(capsys, *arguments)).status, again.out)


def test_where_nobody_can_answer_nothing_is_discarded(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Status 2, naming --yes; --json, which asks nothing, needs it too."""
    before = operations(path)
    told = subprocess.run(
        [sys.executable, "-m", "tidesync.cli", "queue", str(path), "discard", "7"],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert (2, "") == (told.returncode, told.stdout)
    assert "--yes" in told.stderr
    assert 2 == Told(capsys, str(path), "discard", "7", "--json").status
    assert before == operations(path)


@pytest.mark.parametrize(("answer", "status"), [("y", 0), ("", 1), ("n", 1)])
def test_it_asks_before_it_discards(answer: str, status: int, path: Path) -> None:
    """On a terminal, showing what goes and what then goes without it; anything but yes is no."""
    ours, theirs = pytest.importorskip("pty").openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "tidesync.cli", "queue", str(path), "discard", "3"],
        stdin=theirs, stdout=subprocess.PIPE, text=True,
    ) as command:  # fmt: skip
        os.write(ours, f"{answer}\n".encode())
        printed, _ = command.communicate(timeout=30)
    os.close(ours)
    os.close(theirs)

    assert status == command.returncode
    assert "untitled" in printed
    assert "1 more waited for these" in printed
    assert ("untitled" in operations(path)) is (status == 1)


# ---- beside the application


def test_the_application_goes_on_with_what_is_left(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It need not be closed meanwhile: its next push sends what was retried or set free, in the right order."""
    with SyncContext(SQLiteStore(path), LoopbackTransport(remote()), TABLES) as ctx:
        assert 0 == Told(capsys, str(path), "discard", "--all", "--table", "todolist", "--yes").status
        report = ctx.push()

    assert ["behind", "doubt", "new"] == [each.record_id for each in report.pushed]


def test_what_waits_for_another_record_still_does(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The references of the application's tables are kept in its store: touching one record loses none."""
    assert 0 == Told(capsys, str(path), "retry", "3").status
    with SyncContext(SQLiteStore(path), LoopbackTransport(remote()), TABLES) as ctx:
        ctx[LISTS].update("untitled", title="a title")
        assert 0 == Told(capsys, str(path), "discard", "7", "2", "--yes").status
        report = ctx.push()

    assert ["untitled", "behind"] == [each.record_id for each in report.pushed if each.record_id != "doubt"]


def test_the_tables_of_the_application_stay_as_they_are(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Columns and indexes: only rows change."""

    def schema() -> list[Any]:
        connection = apsw.Connection(str(path))
        found = list(connection.execute("SELECT type, name, sql FROM sqlite_schema ORDER BY name"))
        connection.close()
        return found

    before = schema()
    assert 0 == Told(capsys, str(path), "retry", "3").status
    assert 0 == Told(capsys, str(path), "discard", "2", "--yes").status

    assert before == schema()


def test_a_name_that_means_something_else_by_now_is_left_alone(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """An operation's id is new when its content changed: what was looked at is what is discarded, or nothing is."""
    [found] = Told(capsys, str(path), "show", "7", "--json").json["operations"]
    with SyncContext(SQLiteStore(path), None, TABLES) as ctx:
        ctx[TASKS].update("new", text="edited since")
    told = Told(capsys, str(path), "discard", found["id"], "--yes")

    assert 1 == told.status
    assert "is not queued" in told.err
    assert "new" in operations(path)


@pytest.mark.parametrize(
    "words", ["forget", "show", "retry", "retry 3 --all", "discard --yes", "list 3", "retry 3 --yes"]
)
def test_a_wrong_command_ends_with_its_usage(
    words: str, path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Status 2, and nothing done."""
    before = operations(path)
    told = Told(capsys, str(path), *words.split())

    assert (2, "") == (told.status, told.out)
    assert "usage: tidesync" in told.err
    assert before == operations(path)


def test_of_many_operations_only_some_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """And the others counted; --json names all."""
    for arguments in (["--yes"], ["--yes", "--json"]):
        with SyncContext(SQLiteStore(tmp_path / "app.db"), None, TABLES) as ctx:
            ctx[TASKS].insert_many(TodoTask(f"task-{number}", "x") for number in range(25))
        told = Told(capsys, str(tmp_path / "app.db"), "discard", "--all", *arguments)
        if "--json" in arguments:
            assert 25 == len(told.json["done"])
        else:
            assert "task-19 and 5 more.\n" in told.out
            assert "task-20" not in told.out


def test_a_queue_of_nothing_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """And is no failure."""
    with SyncContext(SQLiteStore(tmp_path / "app.db"), None, TABLES):
        pass

    assert (0, "Nothing is queued.\n") == ((told := Told(capsys, str(tmp_path / "app.db"))).status, told.out)


def test_whoever_reads_may_have_read_enough(tmp_path: Path) -> None:
    """As in `tidesync queue FILE | head -1`: no traceback."""
    with SyncContext(SQLiteStore(tmp_path / "app.db"), None, TABLES) as ctx:
        ctx[TASKS].insert_many(TodoTask(f"task-{number}", "x") for number in range(2000))
    command = [sys.executable, "-m", "tidesync.cli", "queue", str(tmp_path / "app.db")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline().startswith("   #")
        process.stdout.close()
        said = process.stderr.read()

    assert (1, "") == (process.returncode, said)
