"""The file transport by itself: openings, indexes, tables, cursors, and remotes that were put back."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.transports.authority.support import Time, change, delete, insert, kinds, update
from tests.transports.files.clients import (
    ITEMS,
    LISTS,
    TABLES,
    Files,
    applied,
    client,
    commits,
    held,
    pull,
    send,
)
from tests.transports.files.dying import Dying, Memory
from tidesync import SyncContext, table
from tidesync.contracts.store import Store
from tidesync.contracts.transport import Applied, CursorGuarantee
from tidesync.errors import (
    ConfigurationError,
    ContextClosed,
    RemoteUnavailable,
    RequestRefused,
)
from tidesync.records import Tombstone, alive
from tidesync.schema import Column, TableSchema
from tidesync.stores import MemoryStore, SQLiteStore
from tidesync.transports import Authority, FileTransport
from tidesync.transports.files.format import read_commit
from tidesync.transports.files.names import commit_name
from tidesync.values import ColumnType

# ---- openings


def test_a_new_remote_is_one_file() -> None:
    """It is made by the first open, with what that was told; later ones find it so."""
    files: Files = {}
    first = FileTransport(Memory(files), remembers=60, snapshot_every=7).open(TABLES)
    second = FileTransport(Memory(files), remembers=90).open(TABLES)

    assert first == second
    assert (["meta.json"], 60.0) == (list(files), first.remembers)
    assert b'"snapshot_every":7,' in files["meta.json"]
    assert (CursorGuarantee.COMMIT_ORDERED, True, 1000) == (first.cursor, first.ordered, first.max_changes)
    assert frozenset(("item", "list")) == first.tombstones == first.departures


def test_two_that_open_at_once_open_one_remote() -> None:
    """Who comes second takes what the first one made, wherever it is overtaken."""
    for at in range(8):
        files: Files = {}
        found: list[str] = []
        calls: list[str] = []

        def meanwhile(word: str, name: str) -> None:
            calls.append(word)  # noqa: B023
            if len(calls) == at + 1:  # noqa: B023  # used at once
                other = client(files)  # noqa: B023
                _ = applied(other, insert("a"))
                found.append(other.open(TABLES).identity)  # noqa: B023

        mine = FileTransport(Dying(files, meanwhile=meanwhile))

        assert mine.open(TABLES).identity == (found or [mine.open(TABLES).identity])[0]
        assert [] == found or ["a"] == list(held(mine))


@pytest.mark.parametrize(
    "options",
    [
        {"remembers": 0},
        {"remembers": 1.5},
        {"remembers": True},
        {"remembers": 2**63},  # would be in meta.json, and refused by whoever reads it
        {"snapshot_every": -1},
        {"snapshot_every": None},
        {"snapshot_every": 10**400},
    ],
    ids=str,
)
def test_options_that_mean_nothing_are_refused(options: dict[str, Any]) -> None:
    """Before anything is looked at."""
    with pytest.raises(ConfigurationError, match="whole number"):
        _ = FileTransport(Memory(), **options)


@pytest.mark.parametrize("index", ["index.db", Path("index.db"), MemoryStore], ids=str)
def test_an_index_is_a_store(index: Any) -> None:
    """Not the path of one, nor a class: it is said at once what is wanted."""
    with pytest.raises(ConfigurationError, match=r"SQLiteStore\(path\)"):
        _ = FileTransport(Memory(), index=index)


def test_it_is_used_between_open_and_close() -> None:
    """Before and after, every call says so; closing is never an error, and opening works again."""
    transport = FileTransport(Memory())
    uses: list[Callable[[], object]] = [
        lambda: transport.push([insert("a")]),
        lambda: pull(transport),
        lambda: transport.get("item", "a"),
    ]
    for _ in range(2):
        transport.close()
        for use in uses:
            with pytest.raises(ContextClosed, match="open"):
                _ = use()
        _ = transport.open(TABLES)
        assert ["Applied"] == kinds(send(transport, insert("a"))) or ["a"] == list(held(transport))
        transport.close()


def test_many_threads_use_one_transport() -> None:
    """Each gets the answer to what it asked, and every change has its effect once."""
    files: Files = {}
    transport = client(files)
    errors: list[Exception] = []

    def work(name: str) -> None:
        try:
            for number in range(10):
                id = f"{name}{number}"
                _ = applied(transport, insert(id, text=name))
                found = transport.get("item", id)
                assert alive(found)
                assert name == found["text"]
                assert id in held(transport)
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert [] == errors
    assert (40, 40) == (len(held(client(files))), len(commits(files)))


def test_a_context_syncs_through_a_folder(tmp_path: Path) -> None:
    """Two devices and a folder; renamed columns lie there under their wire names."""
    todos = table("todo", {"text": str, "done": bool}, rename={"done": "is_done"})
    with (
        SyncContext(MemoryStore(), FileTransport(tmp_path / "remote"), [todos]) as one,
        SyncContext(MemoryStore(), FileTransport(tmp_path / "remote"), [todos]) as other,
    ):
        made = one[todos].insert({"text": "Buy bread", "done": True})
        _ = one.push()
        _ = other[todos].pull()
        found = other[todos].get(made["id"])

    content = (tmp_path / "remote" / commit_name(1)).read_bytes()
    (entry,) = read_commit(content, 1, FileTransport(tmp_path / "remote").open([]).identity).changes
    assert found is not None
    assert ("Buy bread", True) == (found["text"], found["done"])
    assert {"text": "Buy bread", "is_done": True} == entry.record


# ---- what is in a commit


def test_a_commit_holds_what_took_effect() -> None:
    """In order, whole records, without what was refused, known or in conflict; a deleted one with its last content."""
    files: Files = {}
    transport = client(files)
    known = insert("a", text="one", size=1)
    _ = applied(transport, known)

    outcomes = send(
        transport, known, insert("b"), change("insert", "a", text="two"), update("a", size=2), delete("nothing"),
        change("insert", "", text="three"), delete("a"),
    )  # fmt: skip

    who = transport.open(TABLES).identity
    entries = read_commit(files[commit_name(2)], 2, who).changes
    assert ["Applied", "Applied", "Conflicted", "Applied", "Applied", "Rejected", "Applied"] == kinds(
        outcomes
    )
    assert [("insert", "b", False), ("update", "a", False), ("delete", "a", True)] == [
        (entry.kind, entry.id, entry.deleted) for entry in entries
    ]
    assert [{}, {"text": "one", "size": 2}, {"text": "one", "size": 2}] == [entry.record for entry in entries]
    assert isinstance(client(files).get("item", "a"), Tombstone)


def test_nothing_effective_makes_no_commit() -> None:
    """What is known, gone or in conflict is answered from what is held."""
    files: Files = {}
    transport = client(files)
    known = insert("a")
    _ = applied(transport, known)

    assert ["Applied", "Conflicted", "Applied"] == kinds(
        send(transport, known, change("insert", "a"), delete("nothing"))
    )
    assert 1 == len(commits(files))


def test_an_index_is_the_same_by_writing_and_by_reading() -> None:
    """Who wrote the commits holds, row by row, what those hold who read them."""
    files: Files = {}
    one, other, third = MemoryStore(), MemoryStore(), MemoryStore()
    writer, reader = client(files, index=one), client(files, index=other)
    for step in (
        [insert("a", text="one"), insert("b", extra=[1, 2.0, {"x": None}])],
        [update("a", size=2), update("b", text=None), delete("a")],
        [change("undelete", "a"), change("insert", "l", table="list", name="x")],
    ):
        _ = applied(writer, *step)
        _ = pull(reader)
    _ = pull(client(files, index=third))

    assert one.tables == other.tables == third.tables


def test_no_clock_decides_anything() -> None:
    """A writer whose clock is years behind goes on from the log's own, and its commits come after."""
    files: Files = {}
    early, late = client(files), client(files)
    early._current().authority.clock = Time()
    versions = [
        applied(each, change("insert", id))[0].version
        for each, id in ((late, "a"), (early, "b"), (late, "c"))
    ]

    moments = [row["updated_at"] for row in held(client(files)).values()]
    assert moments == sorted(map(str, moments))
    assert ["a", "b", "c"] == list(held(early))
    assert 3 == len(set(versions))


# ---- indexes


@pytest.fixture(params=["memory", "sqlite"])
def make_index(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[str], Store]:
    """Makes an index that outlives its transport, by a name; the same again for SQLite."""
    stores: dict[str, Store] = {}
    if request.param == "memory":
        return lambda name: stores.setdefault(name, MemoryStore())
    return lambda name: SQLiteStore(tmp_path / f"{name}.db", synchronous="normal")


def test_an_index_is_gone_on_from(make_index: Callable[[str], Store]) -> None:
    """Who opens it again reads the commits that came since, and no others."""
    files: Files = {}
    writer = client(files)
    first = client(files, index=make_index("x"))
    for number in range(5):
        _ = applied(writer, insert(f"a{number}"))
    before = held(first)
    first.close()
    _ = applied(writer, insert("b"))

    place = Dying(files)
    again = client(place, index=make_index("x"))

    assert {**before, "b": held(writer)["b"]} == held(again)
    read = [name for word, name in place.calls if word == "read" and name.startswith("log/")]
    assert [commit_name(6)] == read
    again.close()


def test_an_index_that_is_far_behind_begins_with_a_snapshot(monkeypatch: pytest.MonkeyPatch) -> None:
    """Instead of many commits; and never with one that is older than it is itself."""
    monkeypatch.setattr("tidesync.transports.files.replica.FAR", 3)
    files: Files = {}
    writer = FileTransport(Memory(files), snapshot_every=4)
    _ = writer.open(TABLES)
    place = Dying(files)
    reader = client(place, index=MemoryStore())
    for number in range(9):
        _ = applied(writer, insert(f"a{number}"))
    expected = held(writer)
    read: list[list[int]] = []
    for more in (0, 3, 1):
        for number in range(more):
            _ = applied(writer, insert(f"b{len(files)}{number}"))
        del place.calls[:]
        _ = pull(reader)
        read.append(
            [int(name[4:24]) for word, name in place.calls if word == "read" and name.startswith("log/")]
        )

    # Of a snapshot's commit it is asked whether it is the log's own.
    assert [[8, 9], [10, 11, 12], [13]] == read
    assert {*expected} < {*held(reader)}
    assert held(writer) == held(reader)


def test_two_transports_share_an_index(make_index: Callable[[str], Store]) -> None:
    """Of two on one index each sees what the other has read and written."""
    files: Files = {}
    one = client(files, index=make_index("x"))
    other = client(files, index=make_index("x"), tables=[LISTS])
    _ = applied(one, insert("a"), change("insert", "l", table="list", name="x"))
    assert {"l"} == held(other, "list").keys()
    _ = applied(other, change("update", "l", table="list", name="y"))
    _ = applied(one, change("update", "l", table="list", extra="z"))

    assert ("y", "z") == tuple(held(one, "list")["l"].get(name) for name in ("name", "extra"))
    assert held(client(files)) == held(one)
    assert 3 == len(commits(files))
    one.close()
    other.close()


def test_an_index_of_another_remote_is_refused(make_index: Callable[[str], Store]) -> None:
    """So is a store that a device keeps its records in, and one of an authority; nothing is changed in them."""
    files: Files = {}
    client(files).close()
    client({}, index=make_index("x")).close()
    with pytest.raises(ConfigurationError, match="of remote"):
        _ = client(files, index=make_index("x"))
    with SyncContext(make_index("y"), None, [table("todo", {"text": str})]):
        pass
    with pytest.raises(ConfigurationError, match="own"):
        _ = client(files, index=make_index("y"))
    Authority(make_index("z"), TABLES).open().close()
    with pytest.raises(ConfigurationError, match="of remote"):
        _ = client(files, index=make_index("z"))
    assert not commits(files)


def test_an_index_of_a_newer_format_is_refused() -> None:
    """It is left as it is."""
    files: Files = {}
    store = MemoryStore()
    client(files, index=store).close()
    store.tables["__log"]["head"]["format"] = 2

    with pytest.raises(RemoteUnavailable, match="upgrade"):
        _ = client(files, index=store)


# ---- tables


def test_a_table_that_is_declared_later_is_there(make_index: Callable[[str], Store]) -> None:
    """The index holds all tables of the log, whoever declared them."""
    files: Files = {}
    _ = applied(client(files), insert("a", text="x", size=2), change("insert", "l", table="list", name="y"))
    lists = client(files, index=make_index("x"), tables=[LISTS])
    assert {"l"} == held(lists, "list").keys()
    with pytest.raises(RequestRefused, match="no table 'item'"):
        _ = pull(lists)
    assert ["Rejected"] == kinds(send(lists, update("a", size=3)))
    lists.close()

    place = Dying(files)
    both = client(place, index=make_index("x"))

    assert held(client(files)) == held(both)
    assert not [name for word, name in place.calls if word == "read" and name == commit_name(2)]
    both.close()


def test_devices_may_declare_a_column_as_they_like() -> None:
    """What a column is declared as elsewhere shapes no record here."""
    files: Files = {}
    texts = TableSchema("item", (Column("size", ColumnType.STRING),), {})
    one, other = client(files), client(files, tables=[texts])
    _ = applied(one, insert("a", size=1))
    _ = applied(other, insert("b", size="large"))

    assert {"a": 1, "b": "large"} == {id: row["size"] for id, row in held(one).items()}
    assert held(one) == held(other)


def test_what_is_applied_is_the_record_as_it_is_now() -> None:
    """An outcome's copy is what a get tells; of a known operation there is its version."""
    files: Files = {}
    transport = client(files)
    first = insert("a", text="one")

    (outcome,) = applied(transport, first)
    (again,) = applied(client(files), first)

    assert transport.get("item", "a") == outcome.copy
    assert Applied(outcome.version) == again
    assert ITEMS.name in transport.open(TABLES).tombstones
