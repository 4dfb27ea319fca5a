"""Rules about what an encrypted store lets nobody read."""

from __future__ import annotations

import pickle
import re
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, Final

from tidesync.conformance.expect import RuleBroken, equal, raises, true, works
from tidesync.conformance.rules import rule
from tidesync.conformance.store.bench import StoreBench, held, put
from tidesync.conformance.store.children import Fuse, Parent, Step, forked, spread
from tidesync.conformance.store.needles import (
    NEEDLE,
    TABLES,
    clear,
    files_of,
    fill,
    open_files,
    records,
    search,
)
from tidesync.conformance.store.tables import THING
from tidesync.contracts.store import Store
from tidesync.errors import InvalidRecord, StoreError
from tidesync.query import Field, Order, Query

_IGNORED: Final = re.compile(r"\bat 0x[0-9a-fA-F]+")


class Encryption:
    """Rules about what an encrypted store lets nobody read."""

    @rule("STORE-141", "Another key is a `StoreError` and leaves the files as they are", shows="encrypted")
    def test_another_key_is_refused(self, bench: StoreBench) -> None:
        """With another key, open raises a StoreError; the files stay as they were, and open with the right key.

        Why: a mistyped passphrase must neither show an empty store, nor spoil the one that is there.
        Look at: whether open reads something before it writes anything; what it makes beside the file; whether the
        key takes part at all.
        """
        expected = records(20)
        put(bench.open(*TABLES), *expected)
        bench.close()
        before = files_of(bench)
        for _ in range(2):
            with raises(StoreError, what="open with another key"):
                bench.make_locked().open(list(TABLES))
            bench.close()
            _unchanged(before, files_of(bench), "with another key")
            with works("after it was tried with another key"):
                equal(
                    expected,
                    held(bench.open(*TABLES)),
                    "with the right key, after it was tried with another one",
                )
            bench.close()
            before = files_of(bench)

    @rule(
        "STORE-142",
        "without the key, nothing that records hold can be read in any file",
        requires=("encrypted",),
    )
    def test_nothing_can_be_read_in_files(self, bench: StoreBench) -> None:
        """No value and no id of any table is in the store's files, as they are while it is open and after close.

        They are looked for as UTF-8 and UTF-16, also where that is escaped as in JSON, in base64, in hexadecimal.

        Why: who finds the disk, or a backup of it, reads what the user wrote.
        Look at: logs and journals beside the file; tables, indexes and ids that are kept in the clear; a file that was
        made before the key was set.
        """
        store = bench.open(*TABLES)
        for number in range(3):
            fill(store, 40 * number, 40)
            search(bench, "while the store is open")
        with store.transaction(write=True) as transaction:
            _ = transaction.delete_where(Query(THING.name, take=30))
        search(bench, "after records were deleted")
        store.close()
        search(bench, "after close")
        equal(90, len(held(bench.open(*TABLES))), "records that are there after all")

    @rule(
        "STORE-143",
        "nothing that records hold can be read in any file at any moment",
        requires=("encrypted", "fork"),
    )
    def test_nothing_can_be_read_while_a_process_works(self, bench: StoreBench) -> None:
        """No value and no id is in any file that a process has open or made, in mid-transaction, and after SIGKILL.

        Files that have no name any more are read, too, where the system shows them. The transaction is so large that
        it does not fit into a cache.

        Why: a transaction that does not fit into memory is written somewhere, and so is a large sort.
        Look at: temporary files (SQLite: temp_store), the log of what is not committed, copies made for an upgrade.
        """
        many = bench.profile.many

        def step(parent: Parent) -> None:
            store = bench.open(*TABLES)
            parent.tell("open")
            _ = parent.hear()
            fill(store, 0, 50)
            parent.tell("after a commit")
            _ = parent.hear()
            with store.transaction(write=True) as transaction:
                transaction.put(THING.name, records(many, first=50, size=5_000))
                parent.tell("in a large transaction that is not committed")
                _ = parent.hear()
                rows = transaction.select(
                    Query(THING.name, order=(Order(Field("tree")), Order(Field("any"))))
                )
                _ = next(rows)
                parent.tell("in a large sort")
                _ = parent.hear()

        with forked(bench, step) as (child,):
            equal("open", child.hear())
            inherited = open_files(child.pid)
            for _ in range(3):
                child.tell("go on")
                when = child.hear()
                search(bench, when)
                for name in open_files(child.pid) - inherited:
                    with suppress(OSError):
                        clear(
                            Path(f"/proc/{child.pid}/fd/{name}").read_bytes(),
                            "a file that the process has open",
                            when,
                        )
            _ = child.killed()
        search(bench, "after a kill")
        with forked(bench, _cut_short(bench, None)) as (child,):
            calls = child.rest()[-1]
        for call in spread(calls, 2 * bench.profile.kills):
            with forked(bench, _cut_short(bench, call)) as (child,):
                _ = child.last_words()
            search(bench, f"after a kill in a commit, after call {call} of {calls} to the outside")
        with works("after a kill, with another key"), suppress(StoreError):
            bench.make_locked().open(list(TABLES))
            raise RuleBroken("after a kill, the store opens with another key")
        bench.close()
        with works("after a kill"):
            there = held(bench.open(*TABLES))
            equal(records(50), there[:50], "what was committed before the kill")
        bench.close()
        search(bench, "after a kill, another opening, and close")

    @rule(
        "STORE-144",
        "What was changed in a file is a `StoreError`, never another record",
        requires=("encrypted",),
    )
    def test_a_flipped_byte_is_no_other_record(self, bench: StoreBench) -> None:
        """When a byte of a file is not what it was, the store tells so, or gives all records as they were.

        Why: who cannot read a file can still change it; a disk that fails does so, too.
        Look at: whether each page or message carries a code that is checked (an HMAC), also in the log; what is taken
        for an empty store.
        """
        store = bench.open(*TABLES)
        fill(store, 0, 60)
        expected = {table.name: held(store, Query(table.name)) for table in TABLES}
        store.close()
        before = files_of(bench)
        told = 0
        for path, at in _places(before, 4 * bench.profile.kills):
            changed = bytearray(before[path])
            changed[at] ^= 0x55
            _ = Path(path).write_bytes(changed)
            how = f"byte {at} of {len(changed)} of {Path(path).name} is another"
            try:
                store = bench.open(*TABLES)
                equal(expected, {table.name: held(store, Query(table.name)) for table in TABLES}, how)
            except StoreError:
                told += 1
            except RuleBroken:
                raise
            except Exception as error:
                raise RuleBroken(
                    f"{how}: expected StoreError, and {type(error).__name__} was raised: {error}"
                ) from error
            finally:
                bench.close()
                _restore(bench, before)
        true(told, "of all the bytes that were changed, none was noticed")
        equal(expected[THING.name], held(bench.open(*TABLES)), "after all is as it was")

    @rule(
        "STORE-145",
        "Neither the key nor what records hold is in what the store, its transactions and errors say",
        requires=("encrypted",),
    )
    def test_a_store_keeps_its_secrets_to_itself(self, bench: StoreBench) -> None:
        """repr, str and pickles of a store do not depend on its key; they and its errors show nothing of records.

        Errors are those of a record that cannot be put, of a file that is damaged, and of another key.

        Why: reports of errors are sent around, and logs are kept for years.
        Look at: generated `__repr__` (attrs, dataclasses), pragmas and addresses with the key in error texts, options
        that are pickled with the store.
        """
        one, again, locked = bench.bare(), bench.bare(), bench.bare(locked=True)
        for how, shown in _SHOWN.items():
            if shown(one) == shown(again):
                true(
                    shown(one) == shown(locked),
                    f"{how} of a store is another one with another key: it tells of the key",
                )
        said = [shown(one) for shown in _SHOWN.values()]
        one.open(list(TABLES))
        fill(one, 0, 5)
        with one.transaction(write=True) as transaction:
            transaction.put(THING.name, records(3, first=5))
            said += [repr(transaction), str(one), repr(one)]
            for wrong in _WRONG:
                with raises(InvalidRecord, what="a put of what is not JSON") as caught:
                    transaction.put(
                        THING.name, [{"id": f"{NEEDLE}-1", "text": NEEDLE, "tree": [NEEDLE, wrong]}]
                    )
                said += _told(caught.error)
        one.close()
        with raises(StoreError, what="open with another key") as refused:
            bench.make_locked().open(list(TABLES))
        said += _told(refused.error)
        bench.close()
        errors = _damaged(bench, bench.make, 0xA5)
        if errors == _damaged(bench, bench.make, 0x5A):
            equal(
                errors,
                _damaged(bench, bench.make_locked, 0xA5),
                "errors of a damaged file, with one key and another",
            )
        for text in (*said, *errors):
            clear(text.encode(errors="surrogatepass"), "what the store says", "repr, str, pickle and errors")


def _cut_short(bench: StoreBench, call: int | None) -> Step:
    """A commit, and a kill inside it at that call; None: no kill, and the last told is how many calls."""

    def step(parent: Parent) -> None:
        store, fuse = bench.open(*TABLES), Fuse(call)
        with ExitStack() as stack, store.transaction(write=True) as transaction:
            transaction.put(THING.name, records(5, first=50))
            _ = stack.enter_context(fuse)
        parent.tell(fuse.counted)
        if call is not None:
            parent.kill_me()

    return step


def _shown_pickle(store: Store) -> str:
    try:
        return pickle.dumps(store).hex()
    except Exception:  # noqa: BLE001  # whatever cannot be pickled tells nothing
        return ""


_WRONG: Final[tuple[Any, ...]] = (float("nan"), 2**64, {1: NEEDLE}, "\ud800")
"""What no record can hold."""
_SHOWN: Final[Mapping[str, Callable[[Store], str]]] = {
    "repr": lambda store: _IGNORED.sub("", repr(store)),
    "str": lambda store: _IGNORED.sub("", str(store)),
    "a pickle": _shown_pickle,
}


def _told(error: BaseException | None) -> list[str]:
    """All that an error says, with those that it is chained to."""
    return [] if error is None else [_IGNORED.sub("", "".join(traceback.format_exception(error)))]


def _messages(error: BaseException | None) -> list[str]:
    found: list[str] = []
    while error is not None:
        found.append(f"{type(error).__name__}: {_IGNORED.sub('', str(error))}")
        error = error.__cause__ or error.__context__
    return found


def _damaged(bench: StoreBench, make: Callable[[], Store], byte: int) -> list[str]:
    """What is said when all files hold nothing sensible; they are put back."""
    before = files_of(bench)
    try:
        for path, content in before.items():
            _ = Path(path).write_bytes(bytes([byte]) * len(content))
        with raises(StoreError, what="open of a damaged file") as caught:
            store = make()
            store.open(list(TABLES))
            _ = held(store)
        return _messages(caught.error)
    finally:
        bench.close()
        _restore(bench, before)


def _unchanged(before: Mapping[str, bytes], after: Mapping[str, bytes], how: str) -> None:
    equal(sorted(before), sorted(after), f"the files, after open {how}")
    for path, content in before.items():
        true(after[path] == content, f"open {how} has written to {Path(path).name}")


def _restore(bench: StoreBench, before: Mapping[str, bytes]) -> None:
    for path in set(files_of(bench)) - before.keys():
        Path(path).unlink()
    for path, content in before.items():
        _ = Path(path).write_bytes(content)


def _places(files: Mapping[str, bytes], most: int) -> Iterator[tuple[str, int]]:
    """So many bytes of each file: the first, the last, and others in between."""
    for path, content in files.items():
        last = len(content) - 1
        for at in sorted({round(last * part / (most - 1)) for part in range(most)}) if content else ():
            yield path, at
