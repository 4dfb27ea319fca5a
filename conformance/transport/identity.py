"""Rules about who the remote is, opening and closing, and reading one record."""

from __future__ import annotations

import threading
from collections.abc import Callable

import attrs

from tidesync.answers import system_fault
from tidesync.conformance.expect import RuleBroken, equal, fail, true, works
from tidesync.conformance.rules import rule
from tidesync.conformance.transport.bench import TransportBench
from tidesync.conformance.transport.copies import check_content, check_copy, check_gone, record_of
from tidesync.conformance.transport.tables import TABLES, THING
from tidesync.contracts.transport import Applied, PullRequest
from tidesync.errors import TidesyncError
from tidesync.query import Query
from tidesync.records import Tombstone, alive, version_of
from tidesync.schema import TableSchema

_NOWHERE = TableSchema("no_such_table", THING.columns)


class Identity:
    """Rules about who the remote is, and opening and closing."""

    @rule("TRANSPORT-40", "Every client of it is told one identity, at every call")
    def test_the_remote_has_one_identity(self, bench: TransportBench) -> None:
        """Every client is told the same identity at every open: text that is not empty, and not that of a client.

        Why: the engine refuses to sync with another remote than before; with a new identity a day it never syncs again.
        Look at: a session, a process, a port or a moment in the identity; one that is drawn when there is none yet.
        """
        found: list[str] = []
        for client in (*bench.clients, *bench.clients[:2]):
            found.append(client.open(list(TABLES)).identity)
            _ = bench.insert(client, bench.id(), text="a")
            client.close()
            found.append(client.open(list(TABLES)).identity)
        true(found[0], f"the identity is {found[0]!a}")
        equal([found[0]] * len(found), found, "the identities")

    @rule("TRANSPORT-41", "Find out who the remote is and what it can do")
    def test_capabilities_are_as_declared(self, bench: TransportBench) -> None:
        """Every open tells the capabilities that the adapter declares, all but its identity.

        Why: the engine trusts them: a cursor that promises too much loses records, a limit too high fails pushes.
        Look at: `open`, and the declaration in the test class.
        """
        for client in (*bench.clients, bench.clients[0]):
            told = client.open(list(TABLES))
            for field in attrs.fields(type(told)):
                if field.name != "identity":
                    equal(getattr(bench.capabilities, field.name), getattr(told, field.name), field.name)

    @rule("TRANSPORT-42", "`open` may be called again after `close`")
    def test_a_client_opens_again_after_close(self, bench: TransportBench) -> None:
        """A client that was closed opens again, and reads and writes as before.

        Why: an application closes when it goes to the background, and opens in the same process.
        Look at: a connection pool or thread pool that is made with the client and shut down by `close`.
        """
        one, other = bench.pair()
        id = bench.id()
        version = bench.insert(one, id, text="a")
        for text in ("b", "c"):
            one.close()
            with works("a client that was closed and opened"):
                _ = one.open(list(TABLES))
                check_copy(other.get(THING.name, id), one.get(THING.name, id), "get() after close and open")
                version = bench.update(one, id, version, text=text)
                pulled = bench.drain(one).records
            check_content({"id": id, "text": text}, other.get(THING.name, id), "written after close and open")
            true(id in pulled, "the record is missing in a pull after close and open")

    @rule("TRANSPORT-43", "Release everything; idempotent")
    def test_close_is_idempotent(self, bench: TransportBench) -> None:
        """A client may be closed twice, and before it was opened; others of the same remote are not disturbed.

        Why: cleaning up after an error must not raise a second one.
        Look at: attributes that only `open` makes; a connection that clients share.
        """
        one, other = bench.clients[0], bench.open(1)
        with works("close() of a client that never was open"):
            one.close()
        _ = one.open(list(TABLES))
        id = bench.id()
        _ = bench.insert(one, id, text="a")
        one.close()
        with works("close() of a client that was closed"):
            one.close()
        with works("get() of another client, which is open"):
            check_content({"id": id, "text": "a"}, other.get(THING.name, id), "get() of another client")

    @rule("TRANSPORT-44", "Read one record as it is now: None for nothing")
    def test_get_of_nothing_is_none(self, bench: TransportBench) -> None:
        """`get` of an id that was never there is None, and no error.

        Why: the engine asks for what the remote may not have, and goes on.
        Look at: a 404 that is raised; a tombstone for what never lived; ids that become part of a filter as they are.
        """
        one, other = bench.pair()
        id = bench.id()
        with works("get() of nothing"):
            equal(None, one.get(THING.name, id), "get() in an empty table")
            _ = bench.insert(other, f"{id}-and-more", text="a")
            equal(None, one.get(THING.name, id), "get() of the beginning of an id")
            for wild in bench.domain.legal_ids(
                ["%", "*", f"{id}%", f"{id}*", "' or 'a' eq 'a", "x' OR '1'='1"]
            ):
                equal(None, one.get(THING.name, wild), f"get() of {wild!a}, which nobody inserted")

    @rule("TRANSPORT-45", "where there are such, are canonical datetime text")
    def test_system_fields_are_canonical(self, bench: TransportBench) -> None:
        """The system fields of a record, where there are any, have one form: text, and UTC with six decimals.

        Why: a record whose system fields cannot be read is put aside, and the user never sees it.
        Look at: versions that are numbers; dates of HTTP, seconds since 1970, three decimals.
        """
        one, other = bench.pair()
        id = bench.id()
        outcome = bench.send(one, bench.change("insert", id, {"text": "a"}))
        copies = [outcome.copy if isinstance(outcome, Applied) else None, other.get(THING.name, id)]
        for copy in (*copies, *bench.drain(other).records.values()):
            if alive(copy):
                fault = system_fault(THING.name, copy)
                true(fault is None, f"{fault}: {copy!a:.300}")

    @rule("TRANSPORT-46", "a tombstone where the table reports deletes", requires=("tombstones",))
    def test_get_of_what_was_deleted_is_a_tombstone(self, bench: TransportBench) -> None:
        """`get` of a deleted record is a tombstone, whose version, where there is one, is not that of the record.

        Why: nothing and deleted are settled in different ways; over a tombstone one can only insert with its version.
        Look at: a GET that hides deleted rows; a flag `deleted` that is handed on as a field of a live record.
        """
        one, other = bench.pair()
        id = bench.id()
        version = bench.insert(one, id, text="a")
        bench.delete(one, id, version)
        for client in (one, other):
            copy = client.get(THING.name, id)
            if not isinstance(copy, Tombstone):
                fail(f"get() of what was deleted should be a tombstone, and is {copy!a:.300}")
            true(copy.version != version, f"the tombstone has the version of the record, {version!a}")
        check_copy(one.get(THING.name, id), other.get(THING.name, id), "two clients, one tombstone")

    @rule("TRANSPORT-47", "Read one record as it is now")
    def test_get_is_never_of_before(self, bench: TransportBench) -> None:
        """`get` shows what others wrote before it was called, each time.

        Why: it is asked for after a conflict: with a copy of before, the same conflict comes again and again.
        Look at: a cache on the way, in the client, in a proxy or in a replica that lags.
        """
        one, other = bench.pair()
        id = bench.id()
        equal(None, one.get(THING.name, id), "get() before the insert")
        version = bench.insert(other, id, number=0)
        for number in range(1, 4):
            check_content({"id": id, "number": number - 1}, one.get(THING.name, id), "get()")
            version = bench.update(other, id, version, number=number)
            equal(version, version_of(record_of(one, id)), "the version that get() tells")
        bench.delete(other, id, version)
        check_gone(one.get(THING.name, id), "get() after the delete")

    @rule("TRANSPORT-48", "A table that the remote has not got is an error, never an empty page")
    def test_a_table_that_is_not_there_is_an_error(self, bench: TransportBench) -> None:
        """Pulling a table that the remote has not got raises a typed error; it is not empty.

        Why: one letter wrong in a name: the user would see an empty list, and write into the void.
        Look at: a 404 that is taken for "no records"; a remote that makes tables as they are asked for is right, too.
        """
        client = bench.clients[0]
        try:
            _ = client.open([*TABLES, _NOWHERE])
            page = client.pull(PullRequest(query=Query(_NOWHERE.name)))
        except TidesyncError:
            return
        except RuleBroken:
            raise
        except Exception as error:  # noqa: BLE001  # it is told
            fail(
                f"pulling a table that is not there should raise a TidesyncError, not {type(error).__name__}: {error}"
            )
        # Perhaps there is such a table now: then it holds what is written.
        id = bench.id()
        try:
            outcome: object = bench.send(
                client, bench.change("insert", id, {"text": "a"}, table=_NOWHERE.name)
            )
        except TidesyncError as error:
            outcome = error
        if not isinstance(outcome, Applied):
            fail(
                f"pulling a table that is not there should raise, and gives {page!a:.200}; an insert: {outcome!a:.200}"
            )
        check_content({"id": id, "text": "a"}, client.get(_NOWHERE.name, id), "the new table")

    @rule("TRANSPORT-49", "remote tables may call from another thread meanwhile")
    def test_a_client_serves_two_threads(self, bench: TransportBench) -> None:
        """A client may be called from two threads at the same time; each gets the answer to what it asked.

        Why: the application looks at a remote table while a sync is under way.
        Look at: one connection, cursor or buffer for all threads; a driver that refuses other threads.
        """
        one, other = bench.pair()
        turns = 4 * bench.profile.runs
        mine, theirs = bench.id("pushed"), bench.id("read")
        _ = bench.insert(other, theirs, text="there")
        first = bench.insert(one, mine, number=-1)

        def write() -> None:
            version = first
            for number in range(turns):
                version = bench.update(one, mine, version, number=number)

        def read() -> None:
            for turn in range(turns):
                if turn % 2:
                    check_content(
                        {"id": theirs, "text": "there"}, one.get(THING.name, theirs), "get() meanwhile"
                    )
                else:
                    page = one.pull(PullRequest(query=Query(THING.name)))
                    true(
                        theirs in [record["id"] for record in page.records],
                        "a pull meanwhile misses a record",
                    )

        _at_once(write, read)
        check_content(
            {"id": mine, "number": turns - 1}, other.get(THING.name, mine), "after all that was pushed"
        )


def _at_once(*works: Callable[[], None]) -> None:
    """Do everything at the same time; what one of them raises is raised here."""
    start = threading.Barrier(len(works))
    errors: list[Exception] = []

    def guarded(work: Callable[[], None]) -> None:
        try:
            _ = start.wait(10)
            work()
        except Exception as error:  # noqa: BLE001  # told below
            errors.append(error)

    threads = [threading.Thread(target=guarded, args=(work,), daemon=True) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        broken = next((error for error in errors if isinstance(error, RuleBroken)), None)
        if broken is not None:
            raise broken
        raise RuleBroken(f"{type(errors[0]).__name__} in one of two threads: {errors[0]}") from errors[0]
