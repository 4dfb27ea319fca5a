"""`tidesync remote info|verify|compact`: what it tells of a folder, and its exit status."""

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.cli.command import tidesync
from tests.cli.stores import SECRET, TABLES, TASKS, TodoTask
from tidesync import SyncContext
from tidesync.cli import main
from tidesync.stores.memory import MemoryStore
from tidesync.transports import FileTransport
from tidesync.transports.files.names import commit_name


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A remote of four commits: three tasks, of which one was deleted."""
    folder = tmp_path_factory.mktemp("made") / "shared"
    with SyncContext(MemoryStore(), FileTransport(folder), TABLES) as ctx:
        for number in range(3):
            ctx[TASKS].insert(TodoTask(f"t{number}", SECRET))
            ctx.push()
        ctx[TASKS].delete("t1")
        ctx.push()
    return folder


@pytest.fixture
def shared(made: Path, tmp_path: Path) -> Path:
    """A folder of its own for a test."""
    return Path(shutil.copytree(made, tmp_path / "shared"))


def contents(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def told(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    """Exit status, and what is printed on standard output."""
    status = main(["remote", *arguments])
    captured = capsys.readouterr()
    assert "" == captured.err
    assert SECRET not in captured.out
    return status, captured.out


def document(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, dict[str, Any]]:
    """Exit status, and what --json prints."""
    status, printed = told(capsys, *arguments, "--json")
    found: dict[str, Any] = json.loads(printed)
    return status, found


def test_info_tells_what_a_remote_holds(shared: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """In lines for people, and as one object for programs; and it changes nothing."""
    before = contents(shared)
    status, printed = told(capsys, "info", str(shared))
    figures = document(capsys, "info", str(shared))[1]
    lines = [line.split() for line in printed.splitlines()]

    assert 0 == status
    assert before == contents(shared)
    assert f"{shared}: remote {figures['remote']}, format 1" in printed
    assert "Commits: 4, with 4 changes; the last one at 20" in printed
    assert "Log: begins with the first commit" in printed
    assert "Snapshots: none" in printed
    assert "Operations: 4 are known when they are sent again, each for 30 days at the least" in printed
    assert ["todotask", "2", "1"] in lines
    assert {"todotask": {"live": 2, "deleted": 1}} == figures["tables"]
    assert {"meta.json": 1, "log": 4, "snapshots": 0, "fences": 0} == figures["files"]
    assert sum(map(len, before.values())) == sum(figures["bytes"].values())
    assert (1, 4, 4, 4, 0, []) == tuple(
        figures[name] for name in ("format", "commits", "changes", "operations", "fence", "snapshots")
    )


def test_verify_finds_nothing_where_nothing_is(shared: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit status 0, and nothing is changed."""
    before = contents(shared)
    status, printed = told(capsys, "verify", str(shared))
    found = document(capsys, "verify", str(shared))

    assert (0, before) == (status, contents(shared))
    assert "4 commits with 4 changes, and 0 snapshots, are whole." in printed
    assert printed.endswith("Nothing is damaged.\n")
    assert (0, True, [], []) == (found[0], *(found[1][name] for name in ("whole", "damages", "leftovers")))


def test_verify_lists_every_damage(shared: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit status 1; files that were torn, and what does no harm, each by its name."""
    for number in (1, 3):
        (shared / commit_name(number)).write_bytes(b"torn")
    (shared / "log" / ".tmp-0123").write_bytes(b"")
    status, printed = told(capsys, "verify", str(shared))
    found = document(capsys, "verify", str(shared))

    assert 1 == status
    assert "Damaged: 2" in printed
    assert f"  {commit_name(1)}: it is torn" in printed
    assert f"  {commit_name(3)}: it is torn" in printed
    assert "  log/.tmp-0123" in printed
    assert (1, False) == (found[0], found[1]["whole"])
    assert [commit_name(1), commit_name(3)] == [each["file"] for each in found[1]["damages"]]
    assert ["log/.tmp-0123"] == found[1]["leftovers"]


def test_many_damages_are_counted_and_the_first_are_listed(
    shared: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """--json lists all of them; a name is shown in one line, whatever it holds."""
    for number in range(30):
        (shared / "log" / f"odd\n{number:02}").write_bytes(b"")
    printed = told(capsys, "verify", str(shared))[1]

    assert "Damaged: 30" in printed
    assert r"  log/odd\n00: it does not belong here" in printed
    assert "  ... and 10 more: --json lists all." in printed
    assert 30 == len(document(capsys, "verify", str(shared))[1]["damages"])


def test_compact_deletes_what_a_snapshot_has(shared: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit status 0, also where there is nothing to do; the records stay."""
    status, printed = told(capsys, "compact", str(shared), "--keep", "0")
    again = document(capsys, "compact", str(shared), "--keep", "0")
    figures = document(capsys, "info", str(shared))[1]

    assert 0 == status
    assert "the log begins with snapshot 4." in printed
    assert "Deleted: 3 commits, 0 snapshots, 0 other files, 1 tombstones." in printed
    assert (
        0,
        {"target": str(shared), "fence": 4, "commits": 0, "snapshots": 0, "others": 0, "tombstones": 0},
    ) == again
    assert ({"todotask": {"live": 2, "deleted": 0}}, 4, [4]) == (
        figures["tables"],
        figures["operations"],
        figures["snapshots"],
    )
    assert "1 snapshots, are whole, from snapshot 4 on." in told(capsys, "verify", str(shared))[1]


def test_compact_keeps_thirty_days(shared: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """So that a device that was away for a month finds what it needs."""
    before = contents(shared)
    status, printed = told(capsys, "compact", str(shared))

    assert (0, before) == (status, contents(shared))
    assert f"{shared}: no commit is 30 days older than the last one; nothing was deleted." in printed


@pytest.mark.parametrize("action", ["info", "compact"])
def test_what_needs_a_whole_remote_tells_of_the_first_damage(
    action: str, shared: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit status 1, and the command that tells all."""
    (shared / commit_name(2)).write_bytes(b"torn")
    before = contents(shared)
    keep = ["--keep", "0"] if action == "compact" else []
    status = main(["remote", action, str(shared), *keep])
    printed = capsys.readouterr()

    assert (1, "", before) == (status, printed.out, contents(shared))
    assert f"tidesync: {commit_name(2)}: it is torn" in printed.err
    assert f"tidesync remote verify {shared}" in printed.err


@pytest.mark.parametrize("action", ["info", "verify", "compact"])
def test_where_there_is_no_remote_it_says_so(
    action: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit status 2, one line, and nothing is made: neither a folder nor a remote."""
    found = [
        (main(["remote", action, str(target)]), capsys.readouterr().err)
        for target in (tmp_path, tmp_path / "missing")
    ]

    assert [2, 2] == [status for status, _ in found]
    assert [] == [said for _, said in found if "holds no remote: there is no meta.json" not in said]
    assert [] == list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["info", "ftp://example.org"], "ftp:// is unknown"),
        (["compact", "somewhere", "--keep", "-1"], "--keep is a number of days from 0 on"),
        (["compact", "somewhere", "--keep", "nan"], "--keep is a number of days from 0 on"),
    ],
)
def test_what_cannot_be_is_refused(
    arguments: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit status 2, in one line."""
    status = main(["remote", *arguments])
    said = capsys.readouterr().err

    assert (2, 1) == (status, len(said.splitlines()))
    assert says in said


@pytest.mark.parametrize("arguments", [[], ["info"], ["shrink", "here"]])
def test_a_command_that_is_not_whole_shows_how_it_is_used(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit status 2, as of any command."""
    with pytest.raises(SystemExit) as caught:
        main(["remote", *arguments])

    assert 2 == caught.value.code
    assert "usage: tidesync remote" in capsys.readouterr().err


def test_its_help_tells_what_it_does_and_how_it_ends() -> None:
    """Without any extra."""
    told = tidesync("remote", "--help", before="sys.modules['rich'] = sys.modules['obstore'] = None")
    words = ["info TARGET", "verify TARGET", "compact TARGET", "s3://", "Exit status", "--json"]

    assert 0 == told.returncode
    assert [] == [word for word in words if word not in told.stdout]


def test_a_bucket_needs_the_extra(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The line names it."""
    for name in [name for name in sys.modules if name.startswith("obstore")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "obstore", None)
    monkeypatch.setitem(sys.modules, "obstore.exceptions", None)

    assert 2 == main(["remote", "info", "s3://bucket/prefix"])
    assert "pip install 'tidesync[files]'" in capsys.readouterr().err
