"""What a write does: fields, times, versions, operation ids, and what is refused."""

from typing import Any

import pytest

from tests.transports.authority.support import (
    ITEMS,
    LISTS,
    MakeAuthority,
    Time,
    applied,
    authority_on,
    change,
    delete,
    held,
    insert,
    kinds,
    live,
    pull,
    update,
)
from tidesync import table
from tidesync.contracts.store import Store
from tidesync.contracts.transport import Applied, Change, Rejected, Untried, Version
from tidesync.errors import ConfigurationError, StoreClosed, StoreTooNew
from tidesync.query import Query
from tidesync.records import Record, content_of
from tidesync.schema import Column, TableSchema
from tidesync.stores.memory import MemoryStore
from tidesync.transports import work
from tidesync.transports.authority import Authority


def test_an_update_writes_only_its_fields(authority: Authority) -> None:
    """Fields that a change does not name stay the remote's; a named one that its record lacks is removed."""
    _ = applied(authority, insert("a", text="x", size=1, extra={"deep": [1]}))
    _ = applied(authority, change("update", "a", fields=("size", "extra"), text="not named", size=2))
    assert {"id": "a", "text": "x", "size": 2} == content_of(held(authority, "a"))


def test_an_insert_writes_all_of_its_record(authority: Authority) -> None:
    """The fields named by an insert do not matter, nor does an id that is left out of its record."""
    whole = Change(id="o", table="item", record_id="a", kind="insert", record={"text": "x", "odd": None})
    _ = applied(authority, whole)
    assert {"id": "a", "text": "x", "odd": None} == content_of(held(authority, "a"))


def test_system_fields_are_the_remotes(authority: Authority) -> None:
    """System fields that a change carries are not written."""
    sent = {"version": "mine", "created_at": "then", "updated_at": "then"}
    _ = applied(authority, change("insert", "a", text="x", **sent))
    _ = applied(authority, change("update", "a", text="y", **sent))
    assert {"mine", "then"}.isdisjoint(map(str, held(authority, "a").values()))


def test_times_are_canonical_and_never_go_backwards(make: MakeAuthority, time: Time) -> None:
    """Created once, updated at each change; a clock that is turned back, or a restart, turns nothing back."""
    _ = applied(make(), insert("a", text="x"))
    time.seconds -= 3600.5
    _ = applied(make(), update("a", text="y"))
    early = held(make(), "a")
    assert "1970-01-12T13:46:40.000000Z" == early["created_at"] == early["updated_at"]
    assert "1970-01-12T13:46:40.000000Z" == pull(make()).clock
    time.seconds += 7200
    _ = applied(make(), update("a", text="y"))
    late = held(make(), "a")
    assert ("1970-01-12T13:46:40.000000Z", "1970-01-12T14:46:39.500000Z") == (
        late["created_at"],
        late["updated_at"],
    )


def test_times_are_whole_milliseconds(authority: Authority, time: Time) -> None:
    """What a wire with three decimals cannot carry is cut off, so that no time is later than the clock was."""
    time.seconds += 0.1239
    _ = applied(authority, insert("a"))
    told = (held(authority, "a")["created_at"], held(authority, "a")["updated_at"], pull(authority).clock)
    assert ("1970-01-12T13:46:40.123000Z",) * 3 == told


def test_each_change_has_a_version_of_its_own(authority: Authority) -> None:
    """No version comes twice, not even for the same content."""
    changes = [insert("a", text="x"), update("a", text="x"), delete("a"), change("undelete", "a")]
    outcomes = applied(authority, *changes, insert("b", text="x"))
    assert 5 == len({outcome.version for outcome in outcomes})


def test_a_restored_backup_does_not_repeat_versions() -> None:
    """Two stores that went on differently from one state never give different content the same version."""
    versions: list[str | None] = []
    for text in ("one", "other"):
        authority = authority_on(MemoryStore(), Time())
        versions += [outcome.version for outcome in applied(authority, insert("a", text=text))]
    assert 2 == len(set(versions))


# ---- operation ids


@pytest.mark.parametrize("kind", ["insert", "update", "delete", "undelete"])
def test_an_operation_takes_effect_once(make: MakeAuthority, kind: Any) -> None:
    """A repeated id is applied as of then, without the record of then, also after a restart."""
    authority = make()
    if kind != "insert":
        _ = applied(authority, insert("a", text="0"))
    if kind == "undelete":
        _ = applied(authority, delete("a"))
    again = change(kind, "a", text="1", operation="same")
    [first] = applied(authority, again)
    _ = authority.push([update("a", text="2")])
    before = pull(authority)
    assert [Applied(first.version)] == authority.push([again])
    assert before == pull(authority)
    assert [Applied(first.version)] == make().push([again])
    after = pull(authority)
    assert (before.records, before.tombstones) == (after.records, after.tombstones)


def test_an_operation_twice_in_one_push_takes_effect_once(authority: Authority) -> None:
    """The second of two equal changes is applied as of then."""
    again = insert("a", text="x")
    first, second = applied(authority, again, again)
    assert Applied(first.version) == second
    assert Applied(first.version, held(authority, "a")) == first


@pytest.mark.parametrize(
    "other",
    [
        update("a", text="2"),
        update("a", text=True),
        update("a", text="1", size=None),
        change("update", "a", fields=("text", "size"), text="1"),
        update("b", text="1"),
        change("update", "a", text="1", table="list"),
        delete("a"),
    ],
)
def test_an_operation_id_is_not_taken_for_other_content(authority: Authority, other: Change) -> None:
    """One id with another table, record, kind or content is refused by name, and changes nothing."""
    _ = applied(authority, insert("a"), insert("b"), change("insert", "a", table="list"))
    _ = applied(authority, change("update", "a", text="1", operation="same"))
    before = pull(authority)
    [outcome] = authority.push([change_id(other, "same")])
    assert isinstance(outcome, Rejected)
    assert "operation_reused" == outcome.code
    assert before == pull(authority)


def change_id(change: Change, id: str) -> Change:
    return Change(
        id=id,
        table=change.table,
        record_id=change.record_id,
        kind=change.kind,
        record=change.record,
        fields=change.fields,
        expected=change.expected,
    )


def test_what_had_no_effect_is_not_remembered(make: MakeAuthority) -> None:
    """After a conflict, a refusal or a delete of nothing, the same id may still take effect."""
    authority = make(foreign_keys=True)
    _ = applied(authority, insert("a", text="x"))
    stale = change("update", "a", Version("old"), text="y", operation="first")
    dangling = change("insert", "b", list_id="l", operation="second")
    nothing = change("delete", "c", operation="third")
    assert ["Conflicted", "Rejected", "Applied"] == kinds(authority.push([stale, dangling, nothing]))
    _ = applied(authority, change("insert", "l", table="list"), insert("c"))
    mended = change("update", "a", text="z", operation="first")
    assert ["Applied"] * 3 == kinds(authority.push([mended, dangling, nothing]))
    assert ["a", "b"] == sorted(live(authority))


@pytest.mark.parametrize(
    ("remembers", "later", "known"), [(60.0, 60, True), (60.0, 61, False), (0.0, 0, False)]
)
def test_operation_ids_are_known_within_the_declared_window(
    make: MakeAuthority, time: Time, remembers: float, later: int, known: bool
) -> None:
    """An id is known for as long as is declared, and takes effect again after that."""
    authority = make(remembers=remembers)
    assert remembers == authority.capabilities().remembers
    again = change("insert", "a", text="x")
    [first] = applied(authority, again)
    time.seconds += later
    expected = ["Applied"] if known else ["Conflicted"]
    assert expected == kinds(authority.push([again]))
    assert first.copy == authority.get("item", "a")


def test_a_span_may_reach_back_before_all_time(make: MakeAuthority) -> None:
    """More seconds than there are since 1970, or than a calendar has years for: then all is kept."""
    authority = make(remembers=1e15)
    again = insert("a")
    _ = applied(authority, again, delete("a"))
    assert ([Applied], 0) == ([type(each) for each in authority.push([again])], authority.compact(keep=1e15))


def test_operation_ids_that_are_not_known_any_more_leave_the_store_now_and_then(
    make: MakeAuthority, time: Time, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every so many commits, in whatever parts these come: looking for them each time costs a store that scans dear."""
    monkeypatch.setattr(work, "FORGET_EVERY", 4)
    authority, kept = make(remembers=60.0), list[int]()
    for at in range(7):
        _ = applied(authority, insert(f"i{at}"))
        time.seconds += 61
        with authority.store.transaction(write=False) as transaction:
            kept.append(transaction.count(Query("__remembered")))
    assert [1, 2, 3, 1, 2, 3, 4] == kept
    _ = applied(authority, *(insert(f"j{at}") for at in range(10)))
    with authority.store.transaction(write=False) as transaction:
        assert 10 == transaction.count(Query("__remembered"))


# ---- refusals

CYCLE: list[Any] = []
CYCLE.append(CYCLE)


@pytest.mark.parametrize(
    ("bad", "code"),
    [
        (insert("a", text=float("nan")), "invalid_record"),
        (insert("a", size=2**63), "invalid_record"),
        (insert("a", text="\ud800"), "invalid_record"),
        (change("insert", "a", **{"\ud800": 1}), "invalid_record"),
        (insert("a", text={1}), "invalid_record"),  # type: ignore[arg-type]  # what is not JSON
        (insert("a", text={1: 2}), "invalid_record"),
        (insert("a", text=CYCLE), "invalid_record"),
        (insert("a", _sequence=1), "invalid_record"),
        (change("update", "a", _deleted=True), "invalid_record"),
        (Change(id="o", table="item", record_id="a", kind="insert", record=None), "invalid_record"),
        (Change(id="o", table="item", record_id="a", kind="insert", record=["x"]), "invalid_record"),  # type: ignore[arg-type]  # not a record
        (Change(id="o", table="item", record_id="a", kind="insert", record={"id": "b"}), "invalid_id"),
        (Change(id="o", table="item", record_id="a", kind="upsert", record={"id": "a"}), "unknown_kind"),  # type: ignore[arg-type]  # no such kind
        (change("insert", "a", operation="\x00"), "invalid_id"),
        (change("delete", ""), "invalid_id"),
        (change("delete", "x" * 256), "invalid_id"),
        (change("insert", "a", table="nowhere"), "unknown_table"),
        (insert("a", text="ä" * 50_000), "too_large"),
    ],
)
def test_bad_content_is_an_outcome(make: MakeAuthority, bad: Change, code: str) -> None:
    """What is no record, has no usable id, or is too large is refused by name; its neighbours go on."""
    authority = make(record_limit=100_000)
    outcomes = authority.push([insert("before"), bad, insert("after")])
    assert ["Applied", "Rejected", "Applied"] == kinds(outcomes)
    [refused] = [outcome for outcome in outcomes if isinstance(outcome, Rejected)]
    assert code == refused.code
    assert refused.message
    assert ["after", "before"] == sorted(live(authority))


def test_a_push_of_nothing_but_bad_content_is_answered(authority: Authority) -> None:
    """Where nothing can have an effect, each change still has its outcome."""
    outcomes = authority.push([delete(""), insert("a", text=float("inf"))])
    assert ["invalid_id", "invalid_record"] == [o.code for o in outcomes if isinstance(o, Rejected)]
    assert [] == authority.push([])


def test_changes_past_the_limit_are_untried(make: MakeAuthority) -> None:
    """A push takes as many changes as it declares; the others are told apart, and not lost."""
    authority = make(max_changes=2)
    assert 2 == authority.capabilities().max_changes
    outcomes = authority.push([insert("a"), insert("b"), insert("c")])
    assert ["Applied", "Applied", "Untried"] == kinds(outcomes)
    assert Untried() == outcomes[2]
    assert ["a", "b"] == sorted(live(authority))


# ---- construction and opening


@pytest.mark.parametrize(
    ("tables", "text"),
    [
        ([TableSchema("__mine")], "__mine"),
        ([TableSchema("t", (Column("_deleted"),))], "_deleted"),
        ([ITEMS], "'list'"),
    ],
)
def test_tables_that_cannot_be_kept_are_refused(tables: list[TableSchema], text: str) -> None:
    """Names that are the remote's own, and references to what is not declared, are errors that name them."""
    with pytest.raises(ConfigurationError, match=text):
        _ = Authority(MemoryStore(), tables, foreign_keys=True)


def test_tables_may_be_given_as_tables_or_schemas() -> None:
    """An authority takes what a context takes, and what a store takes."""
    todos = table("todo", {"text": str})
    for given in (todos, todos.schema):
        with Authority(MemoryStore(), [given]) as authority:
            assert {"todo": todos.schema} == authority.tables


def test_an_identity_is_drawn_once_and_kept(store: Store) -> None:
    """A store is one remote, whoever opens it; under another name it is refused."""
    first = Authority(store, [LISTS]).open().capabilities().identity
    assert first
    assert first == Authority(store, [LISTS]).open().open().capabilities().identity
    with pytest.raises(ConfigurationError, match=first):
        _ = Authority(store, [LISTS], identity="other").open()
    other = Authority(MemoryStore(), [LISTS]).open().capabilities().identity
    assert first != other


def test_nothing_is_told_before_it_is_open() -> None:
    """An authority that was never opened says so."""
    authority = Authority(MemoryStore(), [ITEMS])
    with pytest.raises(ConfigurationError, match="open"):
        _ = authority.capabilities()
    with pytest.raises(StoreClosed, match="open"):
        _ = pull(authority)


def test_a_store_of_another_format_is_left_alone(make: MakeAuthority, store: Store) -> None:
    """What a newer tidesync wrote is refused, and not touched."""
    _ = make()
    with store.transaction(write=True) as transaction:
        [meta] = transaction.get("__authority", ["meta"])
        assert meta is not None
        newer: Record = {**meta, "format": 2}
        transaction.put("__authority", [newer])
    with pytest.raises(StoreTooNew) as caught:
        _ = make()
    assert (2, 1) == (caught.value.found, caught.value.supported)
    with store.transaction(write=False) as transaction:
        assert [newer] == transaction.get("__authority", ["meta"])
