"""Forgetting in parts: whenever it ends, what is left is whole, and followers are told what they cannot be told."""

import pytest

from tests.transports.authority.support import MakeAuthority, Time, applied, change, delete, insert, pull
from tidesync.contracts.store import Store
from tidesync.errors import ResyncRequired, StoreBusy
from tidesync.query import Query
from tidesync.transports import compaction


@pytest.fixture(autouse=True)
def _small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compaction, "PART", 2)


def test_all_that_is_old_goes_however_many_parts_that_takes(
    make: MakeAuthority, store: Store, time: Time
) -> None:
    """Tombstones of one moment and of several; what is alive or younger stays."""
    authority = make()
    _ = applied(authority, *(insert(f"i{n:02}") for n in range(9)), change("insert", "l", table="list"))
    _ = applied(authority, *(delete(f"i{n:02}") for n in range(5)))
    time.seconds += 10
    _ = applied(authority, delete("i05"), change("delete", "l", table="list"))
    time.seconds += 10
    _ = applied(authority, delete("i06"))
    assert 7 == authority.compact(5)
    with store.transaction(write=False) as transaction:
        assert ["i06", "i07", "i08"] == [str(row["id"]) for row in transaction.select(Query("item"))]
    assert 0 == authority.compact(5)


def test_an_end_between_two_parts_leaves_fences_that_fit(
    make: MakeAuthority, store: Store, time: Time, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who missed what is gone already must start again; who missed what is still there is told."""
    authority = make()
    _ = applied(authority, *(insert(f"i{n:02}") for n in range(5)))
    start = pull(authority).cursor
    cursors = []
    for n in range(5):
        _ = applied(authority, delete(f"i{n:02}"))
        cursors.append(pull(authority).cursor)
        time.seconds += 1
    begin, count = store.transaction, 0

    def busy_at_the_third(*, write: bool) -> object:
        nonlocal count
        count += 1
        if count == 3:
            raise StoreBusy("another process writes")
        return begin(write=write)

    with monkeypatch.context() as patch:
        patch.setattr(store, "transaction", busy_at_the_third)
        with pytest.raises(StoreBusy):
            _ = authority.compact(0.5)
    for missed in (start, cursors[0]):
        with pytest.raises(ResyncRequired, match="forgotten"):
            _ = pull(authority, missed)
    assert {"i02", "i03", "i04"} == set(pull(authority, cursors[1]).tombstones)
    assert 3 == authority.compact(0.5)
    assert {} == pull(authority, cursors[4]).tombstones
