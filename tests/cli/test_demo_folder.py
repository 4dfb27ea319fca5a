"""`tidesync demo --remote DIR`: the whole story, with a plain folder as the remote."""

import re
import signal
import subprocess
from pathlib import Path

import pytest

from tests.cli.command import headings, tidesync
from tests.cli.test_demo import MERGED, STEPS, rows
from tidesync.cli import main

REFUSED = "A refused operation"
"""The one step that is left out: a folder has no rule of its own."""


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the run below."""
    return tmp_path_factory.mktemp("demo") / "new" / "shared"


@pytest.fixture(scope="module")
def told(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> subprocess.CompletedProcess[str]:
    """One run of the whole story, away from every server: there is not even a module for HTTP."""
    without = "sys.modules['starlette'] = sys.modules['uvicorn'] = sys.modules['httpx'] = None"
    return tidesync("demo", "--remote", str(shared), folder=tmp_path_factory.mktemp("files"), before=without)


def test_the_story_is_told_without_a_server_and_ends_in_agreement(
    told: subprocess.CompletedProcess[str],
) -> None:
    """Exit status 0 says that both devices and the folder agree, in less than 20 seconds."""
    spent = re.search(r"\((\d+\.\d) seconds\)", told.stdout)

    assert (0, "") == (told.returncode, told.stderr)
    assert [step for step in STEPS if step != REFUSED] == headings(told.stdout)
    assert "Phone, laptop and remote agree on all 306 records." in told.stdout
    assert "NOT TRUE" not in told.stdout
    assert spent is not None
    assert float(spent[1]) < 20


def test_the_conflict_is_merged_field_by_field(told: subprocess.CompletedProcess[str]) -> None:
    """As with any other remote."""
    assert MERGED == [row for row in rows(told.stdout) if row[0] in ("text", "complete", "list_id")]


def test_what_arrived_before_the_kill_has_its_effect_once(told: subprocess.CompletedProcess[str]) -> None:
    """The second commit was in the folder, and its acknowledgement was lost."""
    found = [
        row
        for row in rows(told.stdout)
        if len(row) == 6 and row[2] in ("acknowledged", "attempted", "pending")
    ]

    assert f"then killed; exit status -{int(signal.SIGKILL)}." in told.stdout
    assert ["acknowledged"] * 3 + ["attempted"] * 3 + ["pending"] * 3 == [row[2] for row in found]
    assert ["once"] * 9 == [row[5] for row in found]


def test_the_folder_stays_and_the_story_says_what_lies_in_it(
    told: subprocess.CompletedProcess[str], shared: Path
) -> None:
    """Nothing but meta.json and the log; and how to look at it."""
    commits = sorted(path.name for path in (shared / "log").iterdir())

    assert ["log", "meta.json"] == sorted(path.name for path in shared.iterdir())
    assert [f"{number:020}.jsonl" for number in range(1, len(commits) + 1)] == commits
    assert ("log/", str(len(commits)), "a file for each commit: what a push changed") in rows(told.stdout)
    assert f"tidesync remote info {shared}" in told.stdout.replace("\n", "")


def test_a_folder_that_is_not_empty_is_refused(tmp_path: Path) -> None:
    """Nothing is mixed with what is there; one line says so."""
    (tmp_path / "mine.txt").write_text("mine")
    told = tidesync("demo", "--remote", str(tmp_path))

    assert (2, "") == (told.returncode, told.stdout)
    assert f"--remote {tmp_path}: the folder is not empty: name another folder" in told.stderr
    assert ["mine.txt"] == [path.name for path in tmp_path.iterdir()]


@pytest.mark.parametrize("address", ["s3://bucket/demo", "memory://demo", "file://localhost/demo"])
def test_an_address_is_no_folder(address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is refused, and no folder of that name is made."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as ended:
        _ = main(["demo", "--remote", address])

    assert 2 == ended.value.code
    assert [] == list(tmp_path.iterdir())


def test_the_devices_files_do_not_lie_in_the_remote(tmp_path: Path) -> None:
    """What a remote has not made does not belong there."""
    told = tidesync("demo", "--remote", str(tmp_path), "--keep", str(tmp_path / "kept"))

    assert 2 == told.returncode
    assert "it lies in the remote" in told.stderr
    assert [] == list(tmp_path.iterdir())


def test_it_has_one_remote_only() -> None:
    """A folder, or a server, or the process of each device."""
    told = tidesync("demo", "--remote", "shared", "--loopback")

    assert 2 == told.returncode
    assert "not allowed with" in told.stderr
