"""The program of a failure: short, run as it is printed, and what was really called."""

import datetime
import re
import subprocess
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tidesync.conformance import TABLES, check_transport
from tidesync.conformance.program import Program
from tidesync.conformance.source import Imports, source
from tidesync.conformance.transport.tables import KNOWN, THING
from tidesync.contracts.transport import Absent, Applied, Change, PullRequest, Version
from tidesync.errors import InvalidRecord, StoreClosed
from tidesync.query import Query
from tidesync.records import Record
from tidesync.stores import MemoryStore
from tidesync.transports import Authority, LoopbackTransport


def memory() -> MemoryStore:
    """A store that a program can be given."""
    return MemoryStore()


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
    record: Record = {"id": id, "text": text}
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
    for text, shortened in (("x" * 100_000, False), (str(list(range(10_000))), True)):
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


def test_what_is_refused_is_in_it(tmp_path: Path) -> None:
    """A transaction that may not begin and values that are no JSON are in the program as they were."""
    program = Program(memory)
    store = program.store(MemoryStore())
    odd: list[Any] = [object(), datetime.datetime(2026, 11, 20, tzinfo=datetime.UTC), Decimal("1.5"), {1, 2}]
    with suppress(StoreClosed), store.transaction(write=False):
        pass
    store.open([THING])
    with store.transaction(write=True) as transaction:
        for value in odd:
            with suppress(InvalidRecord):
                transaction.put("thing", [{"id": "1", "text": value}])
        assert 0 == transaction.count(Query("thing"))
    assert ["0"] == ran(program.text(), tmp_path).splitlines()


def test_calls_of_threads_are_made_in_threads(tmp_path: Path) -> None:
    """A writer that waits for another one does so in the program, too; what is not read to its end is not read."""
    program = Program(memory)
    store = program.store(MemoryStore())
    store.open([THING])

    def other() -> None:
        with store.transaction(write=True) as transaction:
            transaction.put("thing", [{"id": "3"}])
            assert {"id": "1"} == next(transaction.select(Query("thing")))

    with store.transaction(write=True) as transaction:
        transaction.put("thing", [{"id": "1"}, {"id": "2"}])
        thread = threading.Thread(target=other)
        thread.start()
        thread.join(0.2)
        assert 2 == transaction.count(Query("thing"))
    thread.join()
    assert ["2", "[{'id': '1'}]"] == ran(program.text(), tmp_path).splitlines()


@pytest.mark.parametrize(
    ("value", "length"),
    [
        (
            [{"id": f"{n:05}", "number": n + 3, "text": "a", "tree": [n, {"b": None}]} for n in range(2_000)],
            110,
        ),
        ([f"nobody-{n}" for n in range(95, 1_200)], 60),
        ([{"id": "{x}" + str(n), "ratio": 0.5} for n in range(7, 2_000)], 70),
        (["1"] * 100, 30),
        ([{"id": f"{n:05}", "number": n % 3} for n in range(30)], 1_200),
        ([*range(30), 31], 200),
        ([f"it's {n}" for n in range(30)], 500),
        ([True, *[1] * 30], 200),
        ([0.0, *[-0.0] * 30], 250),
    ],
)
def test_what_is_counted_up_is_not_written_out(value: list[Any], length: int) -> None:
    """A long list of which the items are counted up is a comprehension; every other is written as it is."""
    text = source(value, Imports())
    assert len(text) < length, text
    assert repr(value) == repr(eval(text))
