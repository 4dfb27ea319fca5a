"""The command itself: help, version, and errors in one line."""

import socket
import subprocess
import sys
from pathlib import Path

import pytest

import tidesync as library
from tests.cli.command import tidesync
from tidesync.cli import one_line
from tidesync.errors import RequestRefused, StoreFull, TidesyncError


def error(told: subprocess.CompletedProcess[str]) -> str:
    """The one line of a command that could not run."""
    assert told.returncode == 2
    assert len(told.stderr.splitlines()) == 1
    return told.stderr.strip()


def test_the_version_is_the_library_s() -> None:
    """--version names command and version."""
    told = tidesync("--version")

    assert (0, f"tidesync {library.__version__}\n") == (told.returncode, told.stdout)


def test_help_names_the_options_and_what_a_server_needs() -> None:
    """Tables, columns, soft delete and exit statuses are found without reading code."""
    told = tidesync("demo", "--help")

    assert told.returncode == 0
    words = ("--url", "--keep", "--protocol", "todolist", "todotask", "list_id", "soft delete", "Exit status")
    assert [word for word in words if word not in told.stdout] == []


def test_without_a_command_it_prints_its_help() -> None:
    """Exit status 2: nothing was done."""
    told = tidesync()

    assert told.returncode == 2
    assert "demo" in told.stdout


def test_the_module_is_the_command() -> None:
    """`python -m tidesync.cli` works where scripts are not on the path."""
    told = subprocess.run(
        [sys.executable, "-m", "tidesync.cli", "--version"], capture_output=True, text=True, check=False
    )

    assert (0, f"tidesync {library.__version__}\n") == (told.returncode, told.stdout)


def test_a_server_that_is_not_there_is_one_line() -> None:
    """What went wrong, and what to do."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    said = error(tidesync("demo", "--url", f"http://127.0.0.1:{port}"))

    assert "refused" in said
    assert "check the address" in said


@pytest.mark.parametrize("url", ["nonsense", "ftp://127.0.0.1", "http://example.org"])
def test_an_address_that_cannot_be_used_is_one_line(url: str) -> None:
    """Named, and found before anything is sent."""
    assert url.rpartition("/")[2] in error(tidesync("demo", "--url", url))


def test_an_unknown_protocol_is_refused() -> None:
    """The known ones are listed."""
    told = tidesync("demo", "--protocol", "4.0")

    assert told.returncode == 2
    assert "3.0" in told.stderr


def test_without_rich_the_extra_is_named() -> None:
    """`pip install tidesync` alone says what the command needs."""
    said = error(tidesync("demo", before="sys.modules['rich'] = None"))

    assert "pip install 'tidesync[cli]'" in said


def test_help_and_version_need_no_extra() -> None:
    """Only the demo needs more than the library."""
    assert tidesync("demo", "--help", before="sys.modules['rich'] = None").returncode == 0


def test_keep_takes_a_new_or_empty_folder_only(tmp_path: Path) -> None:
    """Files of an earlier run are neither mixed in nor lost."""
    (tmp_path / "phone.db").write_text("mine")
    said = error(tidesync("demo", "--keep", str(tmp_path)))

    assert "not empty" in said
    assert (tmp_path / "phone.db").read_text() == "mine"


def test_keep_under_a_file_is_one_line(tmp_path: Path) -> None:
    """The system's reason, and what to do."""
    (tmp_path / "file").touch()
    said = error(tidesync("demo", "--keep", str(tmp_path / "file")))

    assert "name another folder" in said


def test_traceback_shows_where_an_error_comes_from() -> None:
    """For those who want to look."""
    told = tidesync("demo", "--traceback", "--url", "nonsense")

    assert told.returncode == 1
    assert "Traceback" in told.stderr


def test_every_error_is_one_line_with_something_to_do() -> None:
    """Also one whose message has lines of its own, and one that is not foreseen."""
    refused = RequestRefused("404:\n  File not found", code="404")

    assert one_line(refused).startswith("404: File not found (the server needs the tables")
    assert "--keep" in one_line(StoreFull("the disk is full"))
    assert "--traceback" in one_line(TidesyncError("odd"))
