"""Rules about opening and closing a store, and about using one that is closed."""

from __future__ import annotations

from contextlib import suppress

from tidesync.conformance.expect import equal, raises, true, works
from tidesync.conformance.rules import rule
from tidesync.conformance.store.bench import StoreBench, held, put
from tidesync.conformance.store.tables import ALL, OTHER, THING
from tidesync.conformance.store.threads import apart
from tidesync.conformance.store.turns import Stop
from tidesync.errors import StoreClosed


class Closing:
    """What a store does when it is closed, and after."""

    @rule("STORE-41", "Before `open` and after `close` it is `StoreClosed`")
    def test_a_closed_store_says_so(self, bench: StoreBench) -> None:
        """A transaction of a store that is not open is StoreClosed, before the first open and after close.

        Why: the class tells the application that its own order of calls is wrong, not the disk.
        Look at: an AttributeError of a connection that is None, and a store that opens itself again unasked.
        """
        store = bench.make()

        def refused(when: str) -> None:
            for write in (True, False):
                with (
                    raises(StoreClosed, what=f"a transaction {when}, write={write}"),
                    store.transaction(write=write),
                ):
                    pass

        refused("before open")
        store.open([THING])
        made = store.transaction(write=True)
        put(store, {"id": "1"})
        store.close()
        refused("after close")
        with raises(StoreClosed, what="a transaction that was made before close and is begun after it"), made:
            pass

    @rule("STORE-42", "Release everything; idempotent")
    def test_a_store_may_be_closed_twice(self, bench: StoreBench) -> None:
        """Close does nothing to a store that is closed, or was never opened, and another close does not either.

        Why: `finally: store.close()` runs whatever happened before, in more than one place.
        Look at: a connection that is closed without a look whether there is one.
        """
        never = bench.make()
        with works("close of a store that was never opened"):
            never.close()
            never.close()
        store = bench.filled({"id": "1"})
        store.close()
        with works("another close"):
            store.close()
            apart(store.close, "a third close, in another thread")

    @rule(
        "STORE-43",
        "A transaction under way writes nothing: from then on it is `StoreClosed`, its end included",
    )
    def test_close_ends_a_transaction_under_way(self, bench: StoreBench) -> None:
        """A transaction during which the store is closed writes nothing, and says so: each call and its end.

        Why: an application that is shut down in mid-write must not take a half for the whole, nor believe it kept.
        Look at: a close that commits, waits for its own transaction, or leaves it working on a connection of its own.
        """

        def rule() -> None:
            for write in (True, False):
                store = bench.filled({"id": "1"}, {"id": "2"})
                with (
                    raises(StoreClosed, what=f"the end of a transaction, write={write}, after close"),
                    store.transaction(write=write) as transaction,
                ):
                    rows = transaction.select(ALL)
                    _ = next(rows)
                    if write:
                        transaction.put(THING.name, [{"id": "3"}])
                    store.close()
                    with raises(StoreClosed, what="count after close"):
                        _ = transaction.count(ALL)
                    with raises(StoreClosed, what="an iterator after close"):
                        _ = next(rows)
                with works("open of a store that was closed in mid-transaction"):
                    store.open([THING])
                found = [row["id"] for row in held(store)]
                true("3" not in found, f"a transaction that ended after close has written: {found}")
                store.close()

        apart(rule, "close during a transaction")

    @rule("STORE-44", "The store may be opened again")
    def test_a_store_may_be_opened_again(self, bench: StoreBench) -> None:
        """A store that was closed is opened again, as often as one likes, and works as before.

        Why: an application that goes to the background closes its store, and opens it when it comes back.
        Look at: locks, threads and marks that close takes away, and only the constructor makes.
        """

        def rule() -> None:
            store = bench.make()
            for turn in range(3):
                with works("open, and put, of a store that was closed"):
                    store.open([THING, OTHER])
                    put(store, {"id": "1", "number": turn})
                    put(store, {"id": "1"}, table=OTHER.name)
                equal([{"id": "1", "number": turn}], held(store), f"what was put after {turn + 1} openings")
                with suppress(Stop), store.transaction(write=True) as transaction:
                    transaction.put(THING.name, [{"id": "never"}])
                    raise Stop
                equal(1, len(held(store)), "records after a transaction that was rolled back")
                store.close()

        apart(rule, "a store that is opened again")
