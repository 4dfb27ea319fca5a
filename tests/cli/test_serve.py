"""`tidesync serve`, as a process of its own."""

import json
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.cli.command import SECONDS, environment, tidesync
from tidesync import SyncContext, new_id, table
from tidesync.cli import main
from tidesync.errors import ResyncRequired
from tidesync.schema import TableSchema
from tidesync.stores import SQLiteStore
from tidesync.transports.authority import Authority
from tidesync.transports.http import HttpTransport

TOKEN = "token-of-ann-0001"
MODULE = """
from tidesync import table
from tidesync.stores import SQLiteStore
from tidesync.transports.service import create_app

notes = table("notes", {"text": str})
tables = [notes]
nothing = []
app = create_app(SQLiteStore("own.db"), tables)
"""


class Served:
    """A service that runs; `stop` ends it with a signal and returns its exit status."""

    def __init__(self, child: subprocess.Popen[str], line: str) -> None:
        self.child, self.line = child, line
        found = re.search(r"http://\S+", line)
        assert found is not None, line
        self.url = found[0]
        self.http = httpx.Client(base_url=self.url, trust_env=False, timeout=SECONDS, verify=False)

    def stop(self, number: int = signal.SIGTERM) -> tuple[int, str]:
        """Its status, and what it said on standard error."""
        self.child.send_signal(number)
        _, said = self.child.communicate(timeout=SECONDS)
        return self.child.returncode, said


@contextmanager
def serving(folder: Path, *arguments: str, **variables: str) -> Generator[Served]:
    """`tidesync serve`, on a port that is free, from a folder."""
    command = [sys.executable, "-m", "tidesync.cli", "serve", "--port", "0", *arguments]
    with subprocess.Popen(
        command,
        cwd=folder,
        env={**environment(None), **variables},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as child:
        assert child.stdout is not None
        line = child.stdout.readline()
        if not line:
            raise AssertionError(child.communicate()[1])
        served = Served(child, line)
        try:
            yield served
        finally:
            served.http.close()
            child.kill()


def error(told: subprocess.CompletedProcess[str]) -> str:
    """The one line of a command that could not run."""
    assert told.returncode == 2
    assert len(told.stderr.splitlines()) == 1
    return told.stderr.strip()


def test_a_table_by_name_is_served_and_stopped(tmp_path: Path) -> None:
    """The line tells what and where, once it is ready; SIGTERM is status 0."""
    with serving(tmp_path, "--table", "notes", "--table", "tags", "--db", "notes.db") as served:
        added = served.http.post("/tables/notes", json={"id": "a", "any": [1]})
        found = served.http.get("/tables/notes/a").json()
        status, said = served.stop()

    assert f"tidesync: serving notes, tags at {served.url} (Ctrl-C stops)\n" == served.line
    assert (201, [1], 0) == (added.status_code, found["any"], status)
    assert "anybody on this machine may read and write everything" in said


def test_each_request_is_a_line_of_json_on_standard_error(tmp_path: Path) -> None:
    """And with --quiet none is."""
    told = []
    for options in ([], ["--quiet"]):
        with serving(tmp_path, "--table", "notes", "--db", "notes.db", *options) as served:
            served.http.get("/tables/notes").raise_for_status()
            told.append([json.loads(line) for line in served.stop()[1].splitlines() if line.startswith("{")])

    assert [[("GET", "notes", 200)], []] == [
        [(line["method"], line["table"], line["status"]) for line in lines] for lines in told
    ]


def test_a_client_syncs_with_it(tmp_path: Path) -> None:
    """What the command is for."""
    todos = table("todoitem", {"text": str})
    with serving(tmp_path, "--table", "todoitem", "--db", "far.db") as served:
        for name, text in (("phone", "milk"), ("laptop", "bread")):
            device = SyncContext(SQLiteStore(tmp_path / f"{name}.db"), HttpTransport(served.url), [todos])
            with device as ctx:
                ctx[todos].insert({"id": new_id(), "text": text})
                ctx.push()
                ctx[todos].pull()
                found = {item["text"] for item in ctx[todos].where()}

    assert {"milk", "bread"} == found


@pytest.mark.parametrize("target", ["found:tables", "found:notes"])
def test_tables_of_a_module_are_served(tmp_path: Path, target: str) -> None:
    """A list of them, or one; from the folder where the command runs. Fields that are not declared are refused."""
    (tmp_path / "found.py").write_text(MODULE)
    with serving(tmp_path, target, "--db", "notes.db") as at:
        taken = at.http.post("/tables/notes", json={"id": "a", "text": "hello"}).status_code
        refused = at.http.post("/tables/notes", json={"id": "b", "other": "hello"}).status_code

    assert (201, 400) == (taken, refused)


def test_an_application_of_a_module_is_served_as_it_is(tmp_path: Path) -> None:
    """With its own store."""
    (tmp_path / "found.py").write_text(MODULE)
    with serving(tmp_path, "found:app") as served:
        served.http.post("/tables/notes", json={"id": "a", "text": "hello"}).raise_for_status()

    assert (tmp_path / "own.db").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "name either MODULE:NAME or --table NAME"),
        (["found:tables", "--table", "notes"], "name either"),
        (["--table", "notes"], "--db FILE is missing"),
        (["--table", "no such"], "cannot be a table name"),
        (["found"], "is not MODULE:NAME"),
        (["nowhere:tables"], "nowhere cannot be imported: ModuleNotFoundError"),
        (["broken:tables"], "broken cannot be imported: ZeroDivisionError"),
        (["found:table_s"], "found has no table_s"),
        (["found:nothing"], "found:nothing is neither"),
        (["found:SQLiteStore"], "found:SQLiteStore is neither"),
        (["found:app", "--db", "x.db"], "a store and rules of its own"),
        (["found:app", "--host", "0.0.0.0"], "can be reached from other machines"),
        (["--table", "notes", "--db", "x.db", "--host", "0.0.0.0"], "--token-file asks for a token"),
        (["--table", "notes", "--db", "x.db", "--host", "no.such.host.invalid"], "can be reached"),
        (["--table", "notes", "--db", "x.db", "--cors", "example.org"], "is no origin"),
        (["--table", "notes", "--db", "x.db", "--keep", "-1"], "--keep is a number of days above 0, not -1"),
        (["--table", "notes", "--db", "x.db", "--token-file", "nowhere"], "nowhere"),
        (["--table", "notes", "--db", "x.db", "--token-file", "empty"], "no token in it"),
        (["--table", "notes", "--db", "x.db", "--token-file", "found.py"], "line 2: it is TOKEN"),
        (["--table", "notes", "--db", "x.db", "--token-file", "short"], "16 characters"),
        (
            ["--table", "notes", "--db", "x.db", "--token-file", "binary"],
            "binary is not a text file in UTF-8",
        ),
    ],
)
def test_what_cannot_be_served_is_one_line(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: Sequence[str],
    said: str,
) -> None:
    """What is wrong, status 2, and no file is made."""
    (tmp_path / "found.py").write_text(MODULE)
    (tmp_path / "broken.py").write_text("1 / 0")
    (tmp_path / "empty").write_text("# nobody yet\n")
    (tmp_path / "short").write_text("ann secret\n")
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    for name in ("found", "broken"):
        monkeypatch.setitem(sys.modules, name, sys)
        monkeypatch.delitem(sys.modules, name)
    status = main(["serve", *arguments])
    (line,) = capsys.readouterr().err.splitlines()

    assert (2, True) == (status, said in line)
    assert [] == list(tmp_path.glob("*.db"))


def test_an_address_or_a_file_that_cannot_be_had_is_one_line(tmp_path: Path) -> None:
    """With the system's reason, and before the other is touched."""
    file = str(tmp_path / "x.db")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])

        assert f"port {port}:" in error(tidesync("serve", "--table", "notes", "--db", file, "--port", port))
    nowhere = str(tmp_path / "nowhere" / "x.db")
    assert "nowhere does not exist" in error(
        tidesync("serve", "--table", "notes", "--db", nowhere, "--port", "0")
    )
    assert [] == list(tmp_path.iterdir())


def test_a_devices_store_is_not_served(tmp_path: Path) -> None:
    """What an application keeps for itself is no remote's; the file stays as it is."""
    path, todos = tmp_path / "device.db", table("todo", {"text": str})
    with SyncContext(SQLiteStore(path), None, [todos]) as ctx:
        ctx[todos].insert({"id": "1", "text": "bread"})
    before = path.read_bytes()

    told = tidesync("serve", "--table", "todo", "--db", str(path), "--port", "0")
    assert "device.db') is a device's own" in error(told)
    assert before == path.read_bytes()


def test_devices_start_again_where_the_file_was_put_back(tmp_path: Path) -> None:
    """Also one that had only written what the copy lacks: it is told, and holds what the service holds."""
    file, copy, todos = tmp_path / "remote.db", tmp_path / "copy.db", table("todo", {"text": str})
    serve = ("--table", "todo", "--db", str(file))
    store = SQLiteStore(tmp_path / "device.db")
    with serving(tmp_path, *serve) as first, SyncContext(store, HttpTransport(first.url), [todos]) as ctx:
        ctx[todos].insert({"id": "1", "text": "bread"})
        ctx.pull(todos, name="all")
        assert 0 == first.stop()[0]
    shutil.copy(file, copy)
    with serving(tmp_path, *serve) as second, SyncContext(store, HttpTransport(second.url), [todos]) as ctx:
        ctx[todos].update("1", text="rye bread")
        ctx.push()
        assert 0 == second.stop()[0]
    shutil.copy(copy, file)

    with (
        serving(tmp_path, *serve, "--restored") as third,
        SyncContext(store, HttpTransport(third.url), [todos]) as ctx,
    ):
        with pytest.raises(ResyncRequired):
            ctx.pull(todos, name="all")
        ctx.pull(todos, name="all", resync=True)
        assert ["bread"] == [item["text"] for item in ctx[todos].where()]


@pytest.mark.parametrize("module", ["starlette", "uvicorn"])
def test_without_the_extra_it_is_named(module: str) -> None:
    """`pip install tidesync` alone says what the command needs."""
    told = tidesync("serve", "--table", "notes", "--db", "x.db", before=f"sys.modules[{module!r}] = None")

    assert f"{module} is not installed: pip install 'tidesync[service]'" in error(told)


def test_tokens_let_in_by_name(tmp_path: Path) -> None:
    """From a file and from the environment; whoever has none is 401, and the log has names and no token.

    A # begins a comment where a word begins: inside one it is a part of the token.
    """
    (tmp_path / "tokens").write_text(f"# who may\nann {TOKEN}  # phone\n\n{TOKEN}#too\n")
    given = ["--table", "notes", "--db", "notes.db", "--token-file", "tokens", "--host", "0.0.0.0"]
    with serving(tmp_path, *given, TIDESYNC_TOKEN="token-of-the-script") as served:
        url = served.url.replace("0.0.0.0", "127.0.0.1")

        def ask(token: str) -> int:
            said = {"Authorization": f"Bearer {token}"}
            return httpx.get(f"{url}/tables/notes", headers=said, verify=False).status_code

        answers = [
            ask(token) for token in (TOKEN, f"{TOKEN}#too", "token-of-the-script", "token-of-nobody-x")
        ]
        _, said = served.stop()
    names = [json.loads(line)["principal"] for line in said.splitlines() if line.startswith("{")]

    assert ([200, 200, 200, 401], ["ann", "client", "client", None]) == (answers, names)
    assert "token-of" not in said


def test_without_a_token_a_page_of_another_name_is_refused(tmp_path: Path) -> None:
    """Its name may lead to this machine: to the browser, it would be the page's own server."""
    with serving(tmp_path, "--table", "notes", "--db", "notes.db") as served:
        answers = [
            served.http.get("/tables/notes", headers={"Host": host}).status_code
            for host in ("localhost:80", "127.0.0.1", "evil.example.org")
        ]

    assert [200, 200, 421] == answers


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_under_load_finishes_what_was_accepted(tmp_path: Path, number: int) -> None:
    """Status 0, nothing in the log, and each write that was acknowledged is in the file."""
    acknowledged: list[str] = []
    many = threading.Event()

    def write(url: str, name: str) -> list[Any]:
        odd: list[Any] = []
        with httpx.Client(base_url=url, trust_env=False, timeout=SECONDS, verify=False) as http:
            for at in range(100_000):
                try:
                    answer = http.post("/tables/notes", json={"id": f"{name}-{at}"})
                except httpx.TransportError:
                    break
                if answer.status_code != 201:
                    odd.append(answer.status_code)
                    break
                acknowledged.append(f"{name}-{at}")
                if len(acknowledged) > 100:
                    many.set()
        return odd

    given = ["--table", "notes", "--db", "notes.db", "--quiet"]
    with serving(tmp_path, *given) as served, ThreadPoolExecutor(8) as threads:
        writers = [threads.submit(write, served.url, name) for name in "abcdefgh"]
        assert many.wait(SECONDS)
        status, said = served.stop(number)
        odd = [each for writer in writers for each in writer.result() if each != 503]
    with Authority(SQLiteStore(tmp_path / "notes.db"), [TableSchema("notes")]) as authority:
        there = {str(record["id"]) for record in authority.records("notes")}

    assert (0, [], set()) == (status, odd, set(acknowledged) - there)
    assert 1 == len(said.splitlines())


def test_a_second_process_on_the_same_file_serves_the_same(tmp_path: Path) -> None:
    """Each sees at once what the other wrote."""
    given = ["--table", "notes", "--db", "notes.db"]
    with serving(tmp_path, *given) as one, serving(tmp_path, *given) as two:
        for at in range(20):
            (one if at % 2 else two).http.post("/tables/notes", json={"id": f"{at:02}"}).raise_for_status()
            (two if at % 2 else one).http.get(f"/tables/notes/{at:02}").raise_for_status()
