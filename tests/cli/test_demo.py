"""`tidesync demo` over its own service, and against a remote in the process of each device."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.cli.command import environment, headings, tidesync

STEPS = [
    "Offline edits",
    "Parents before children",
    "Push and pull",
    "A refused operation",
    "A conflict, merged field by field",
    "A device killed in the middle of a push",
    "A purge",
    "The end: do all three agree?",
]
MERGED = [
    ("text", "Buy milk", "Buy milk", "Buy oat milk", "Buy oat milk", "laptop"),
    ("complete", "no", "yes", "no", "yes", "phone"),
    ("list_id", "errands", "archive", "birthday", "archive", "both"),
]
WAYS = [(), ("--loopback",)]
KEPT = ["laptop.db", "phone.db", "remote.db"]
"""What --keep leaves: all closed, no log of SQLite beside them."""
HEARD = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
"""Whoever began the tests in the background of a shell made them deaf to Ctrl-C."""
WRITABLE = "from tidesync.cli import demo, ending, story\n"
OFFLINE = """
from tidesync.errors import NotReachable
from tidesync.cli.world import TASKS
edit = story.edit_offline
def offline(told, phone, laptop):
    try:
        phone.remote(TASKS).where().count()
    except NotReachable:
        told.show.say("nobody answers")
    edit(told, phone, laptop)
story.edit_offline = offline
"""


@pytest.fixture(scope="module")
def temporary(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the runs of the whole story make their temporary files."""
    return tmp_path_factory.mktemp("demo")


@pytest.fixture(scope="module", params=[(), ("--loopback",)], ids=["service", "loopback"])
def told(request: pytest.FixtureRequest, temporary: Path) -> subprocess.CompletedProcess[str]:
    """One run of the whole story."""
    return tidesync("demo", *request.param, folder=temporary)


def assert_gone(printed: str) -> None:
    """Every service that the demo told of has ended, and been waited for where the demo still could."""
    found = re.search(r"served at http://127\.0\.0\.1:(\d+), process", printed)
    assert found is not None
    end = time.monotonic() + 20
    while True:
        try:
            socket.create_connection(("127.0.0.1", int(found[1])), 1).close()
        except ConnectionRefusedError:
            return
        assert time.monotonic() < end, "the service still runs"
        time.sleep(0.05)


def rows(printed: str) -> list[tuple[str, ...]]:
    """The lines of all tables, as cells."""
    return [tuple(re.split(r" {2,}", line.strip())) for line in printed.splitlines()]


def test_the_demo_tells_every_step_and_ends_in_agreement(told: subprocess.CompletedProcess[str]) -> None:
    """Exit status 0 says that both devices and the remote agree."""
    assert (0, "") == (told.returncode, told.stderr)
    assert headings(told.stdout) == STEPS
    assert "Phone, laptop and remote agree on all 309 records." in told.stdout
    assert "NOT TRUE" not in told.stdout


def test_the_demo_takes_less_than_20_seconds(told: subprocess.CompletedProcess[str]) -> None:
    """A first look costs no patience."""
    spent = re.search(r"\((\d+\.\d) seconds\)", told.stdout)

    assert spent is not None
    assert float(spent[1]) < 20


def test_the_queue_is_shown_before_and_after_collapse(told: subprocess.CompletedProcess[str]) -> None:
    """Seven edits are three operations."""
    found = rows(told.stdout)

    assert ("7", "update 'Call Ada': done", "part of the queued insert", "3") in found
    assert ("2", "insert", "todotask", "milk", "Buy milk, list errands", "pending") in found
    assert "asdf" not in told.stdout.partition("After collapse")[2]


def test_a_parent_is_sent_before_its_child(told: subprocess.CompletedProcess[str]) -> None:
    """The task was typed first, its list after it."""
    sent = [row[3] for row in rows(told.stdout) if len(row) == 4 and row[1] == "insert"]

    assert sent.index("birthday") < sent.index("cake")


def test_the_merge_shows_each_field_of_every_side(told: subprocess.CompletedProcess[str]) -> None:
    """Base, local, remote and result stand side by side."""
    assert [row for row in rows(told.stdout) if row[0] in ("text", "complete", "list_id")] == MERGED


def test_the_killed_device_is_killed_by_the_system_with_operations_in_doubt(
    told: subprocess.CompletedProcess[str],
) -> None:
    """SIGKILL ends it between the effect at the remote and the acknowledgement."""
    found = [
        row
        for row in rows(told.stdout)
        if len(row) == 6 and row[2] in ("acknowledged", "attempted", "pending")
    ]

    assert f"then killed; exit status -{int(signal.SIGKILL)}." in told.stdout
    assert [row[2] for row in found] == ["acknowledged"] * 3 + ["attempted"] * 3 + ["pending"] * 3
    assert [row[:1] + row[5:] for row in found] == [
        ("insert", "once"),
        ("update", "once"),
        ("delete", "once"),
    ] * 3
    assert all((row[3] == row[4]) == (row[2] != "pending") for row in found)


def test_away_from_a_terminal_it_prints_plain_lines_of_80_columns(
    told: subprocess.CompletedProcess[str],
) -> None:
    """A log file holds no control codes."""
    assert [char for char in told.stdout if char < " " and char != "\n"] == []
    assert [line for line in told.stdout.splitlines() if len(line) > 80] == []


def test_in_one_process_it_needs_no_service_writes_ascii_if_asked_and_keeps_its_files(tmp_path: Path) -> None:
    """Nor any module for a service or a network; boxes and bars have a plain form; --keep names a new folder."""
    folder = tmp_path / "new" / "kept"
    without = "sys.modules['starlette'] = sys.modules['uvicorn'] = sys.modules['httpx'] = None"
    told = tidesync("demo", "--loopback", "--keep", str(folder), before=without, encoding="ascii")

    assert (0, "") == (told.returncode, told.stderr)
    assert told.stdout.isascii()
    assert KEPT == sorted(path.name for path in folder.iterdir())


def test_on_a_terminal_the_bars_move() -> None:
    """Each page of a pull moves its bar."""
    ours, theirs = pytest.importorskip("pty").openpty()
    code = "import sys; from tidesync.cli import main; sys.exit(main(['demo', '--loopback']))"
    printed = b""
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=theirs, stdout=theirs, stderr=theirs, env=environment(None)
    ) as process:
        os.close(theirs)
        try:
            while block := os.read(ours, 65536):
                printed += block
        except OSError:
            pass  # how Linux says that the other side is closed
        finally:
            os.close(ours)
        assert process.wait() == 0

    steps = [
        int(done) for done in re.findall(r"\b(\d+)/303\b", re.sub(r"\x1b\[[\d;?]*\w", "", printed.decode()))
    ]
    assert {50, 100, 150, 200, 250, 300, 303} <= set(steps)


def test_the_temporary_folder_is_gone_afterwards(
    told: subprocess.CompletedProcess[str], temporary: Path
) -> None:
    """Nothing stays behind unless asked for."""
    assert told.returncode == 0
    assert list(temporary.iterdir()) == []


@pytest.mark.parametrize("protocol", ["2.0", "3.0"])
def test_the_service_is_also_spoken_with_as_others_speak(protocol: str) -> None:
    """The same story, refusal and all, over either protocol that is not tidesync's own."""
    told = tidesync("demo", "--protocol", protocol)

    assert (0, "") == (told.returncode, told.stderr)
    assert headings(told.stdout) == STEPS


def test_the_service_is_stopped_while_the_devices_are_offline_and_keeps_its_files(tmp_path: Path) -> None:
    """Offline is not only said: nothing answers before the edits are made. --keep leaves the service's log, too."""
    folder = tmp_path / "new" / "kept"
    told = tidesync("demo", "--keep", str(folder), before=WRITABLE + OFFLINE)
    said = told.stdout.partition("Parents before children")[0]

    assert (0, "") == (told.returncode, told.stderr)
    assert re.search("stopped for now.*nobody answers.*started again", said, re.DOTALL)
    assert [*KEPT, "remote.log"] == sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("way", WAYS)
def test_ctrl_c_ends_it_in_one_line(way: Sequence[str], tmp_path: Path) -> None:
    """No traceback, and nothing stays behind: no file, and no service."""
    interrupt = f"{HEARD}\nstory.merge = lambda *_: signal.raise_signal(signal.SIGINT)"
    told = tidesync("demo", *way, folder=tmp_path, before=WRITABLE + interrupt)

    assert (130, "tidesync: interrupted") == (told.returncode, told.stderr.strip())
    assert list(tmp_path.iterdir()) == []
    if not way:
        assert_gone(told.stdout)


def test_the_service_ends_with_a_demo_that_is_killed(tmp_path: Path) -> None:
    """Nobody can stop it then, so it notices by itself."""
    kill = "import os, signal\nstory.merge = lambda *_: os.kill(os.getpid(), signal.SIGKILL)"
    told = tidesync(
        "demo",
        "--keep",
        str(tmp_path / "kept"),
        before="import sys\nsys.stdout.reconfigure(line_buffering=True)\n" + WRITABLE + kill,
    )

    assert -signal.SIGKILL == told.returncode
    assert_gone(told.stdout)


def test_a_service_that_does_not_start_is_told_in_one_line() -> None:
    """With the last line that it said."""
    fail = "from tidesync.cli import service\nservice.sys.executable = 'false'\n"
    told = tidesync("demo", before=fail)

    assert 2 == told.returncode
    assert "the service did not start" in told.stderr
    assert 1 == len(told.stderr.splitlines())


@pytest.mark.parametrize("package", ["starlette", "uvicorn"])
def test_without_the_service_s_extra_there_is_another_way(package: str) -> None:
    """One line names the extra, and --loopback; which needs neither."""
    told = tidesync("demo", before=f"sys.modules[{package!r}] = None")

    assert (2, "") == (told.returncode, told.stdout)
    assert "pip install 'tidesync[service]'" in told.stderr
    assert "--loopback" in told.stderr
    assert 1 == len(told.stderr.splitlines())


def test_ctrl_c_leaves_no_device_process_behind(tmp_path: Path) -> None:
    """The device process ends with the command, whatever it is doing."""
    interrupt = f"""
{HEARD}
import subprocess
class Interrupted(subprocess.Popen):
    pressed = False
    def poll(self):
        if not self.pressed:
            self.pressed = True
            open({str(tmp_path / "pid")!r}, "w").write(str(self.pid))
            signal.raise_signal(signal.SIGINT)
        return super().poll()
subprocess.Popen = Interrupted
"""
    told = tidesync("demo", "--loopback", before=WRITABLE + interrupt)

    assert (130, "tidesync: interrupted") == (told.returncode, told.stderr.strip())
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)
