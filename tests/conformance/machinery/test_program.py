"""The program of a failure: short, run as it is printed, and what was really called."""

import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from tidesync.conformance import TABLES, check_transport
from tidesync.conformance.program import Program
from tidesync.conformance.transport.tables import KNOWN
from tidesync.contracts.transport import Absent, Applied, Change, PullRequest, Version
from tidesync.query import Query
from tidesync.stores import MemoryStore
from tidesync.transports import Authority, LoopbackTransport


def clients() -> Sequence[LoopbackTransport]:
    """Two clients of a remote whose versions are others each time."""
    authority = Authority(MemoryStore(), TABLES)
    return [LoopbackTransport(authority), LoopbackTransport(authority)]


class Crashing(LoopbackTransport):
    """Fails to read."""

    def get(self, table: str, id: str, /) -> None:
        raise KeyError(id)


def crashing_clients() -> Sequence[LoopbackTransport]:
    """Two of them."""
    authority = Authority(MemoryStore(), TABLES)
    return [Crashing(authority), Crashing(authority)]


def insert(id: str, text: str) -> Change:
    """An insert of one text."""
    record = {"id": id, "text": text}
    return Change(
        id=f"o-{id}",
        table="thing",
        record_id=id,
        kind="insert",
        record=record,
        fields=("text",),
        expected=Absent(),
    )


def ran(text: str, folder: Path) -> str:
    """What the program of a failure prints."""
    _, _, program = text.partition("The same as a program:\n")
    path = folder / "program.py"
    _ = path.write_text(program)
    done = subprocess.run([sys.executable, path], capture_output=True, text=True, timeout=60, check=False)
    assert 0 == done.returncode, done.stderr + program
    return done.stdout


def test_it_imports_what_its_calls_use() -> None:
    """Names that only the answers in comments have are not imported, and builtins never are."""
    (result,) = check_transport(crashing_clients, only=["TRANSPORT-02"]).failures
    _, _, program = result.detail.partition("The same as a program:\n")
    imported = re.findall(r"^from (\S+) import (.*)$", program, re.MULTILINE)
    assert imported
    code = re.sub(r"#.*|^from.*", "", program, flags=re.MULTILINE)
    assert [] == [name for _, names in imported for name in names.split(", ") if name not in code]
    assert "builtins" not in [module for module, _ in imported]


def test_answers_that_are_cut_do_not_shorten_it() -> None:
    """It says that it cannot be run as it is where a value of a call is cut, and not for its comments."""
    for text, shortened in (("x" * 1000, False), ("x" * 10_000, True)):
        program = Program(clients, clients=True, known=KNOWN)
        one = program.client(clients()[0], 0)
        _ = one.open(TABLES)
        _ = one.push([insert("1", text)])
        assert shortened == ("# shortened" in program.text()), program.text()[:300]


def test_it_shows_what_was_given_then() -> None:
    """What a rule, or what is tested, changes after a call is not changed in the program."""
    program = Program(clients, clients=True, known=KNOWN)
    one = program.client(clients()[0], 0)
    _ = one.open(TABLES)
    change = insert("1", "as it was")
    (outcome,) = one.push([change])
    assert isinstance(outcome, Applied)
    assert isinstance(outcome.copy, dict)
    outcome.copy["text"] = (change.record or {})["text"] = "spoilt"
    assert "as it was" in program.text()
    assert "spoilt" not in program.text()


def test_versions_and_cursors_are_those_of_the_answers(tmp_path: Path) -> None:
    """A call that took a version or a cursor from an answer does so in the program, which has another remote."""
    program = Program(clients, clients=True, known=KNOWN)
    one = program.client(clients()[0], 0)
    _ = one.open(TABLES)
    (applied,) = one.push([insert("1", "a")])
    assert isinstance(applied, Applied)
    update = Change(
        id="update", table="thing", record_id="1", kind="update", record={"id": "1", "text": "b"}, fields=("text",),
        expected=Version(str(applied.version)),
    )  # fmt: skip
    _ = one.push([update])
    page = one.pull(PullRequest(query=Query("thing")))
    _ = one.push([insert("2", "c")])
    assert 1 == len(one.pull(PullRequest(query=Query("thing"), cursor=page.cursor)).records)
    said = ran(program.text(), tmp_path).splitlines()
    assert "Conflicted" not in said[2]
    assert "'b'" in said[2]
    assert "'id': '2'" in said[-1]
    assert "'id': '1'" not in said[-1]
