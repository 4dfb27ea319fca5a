"""Snapshots that are damaged, and what is read in their place."""

import logging

import pytest

from tests.transports.authority.support import insert
from tests.transports.files.lives import (
    Files,
    applied,
    cold,
    counters,
    device,
    held,
    records,
    trimmed,
)
from tidesync.errors import RemoteDamaged
from tidesync.stores.memory import MemoryStore
from tidesync.transports.files.names import commit_name, manifest_name


def damaged(files: Files, number: int, what: str) -> None:
    part = next(name for name in files if name.startswith(f"snapshots/{number:020}/"))
    match what:
        case "part torn":
            files[part] = files[part][:-30]
        case "part changed":
            files[part] = files[part].replace(b'"deleted":false', b'"deleted":true ')
        case "part missing":
            del files[part]
        case "manifest torn":
            files[manifest_name(number)] = files[manifest_name(number)][:100]
        case _:
            files[manifest_name(number)] = files[manifest_name(number)].replace(
                b'"kind":"snap', b'"kind":"slap'
            )


WAYS = ["part torn", "part changed", "part missing", "manifest torn", "manifest changed"]


@pytest.mark.parametrize("what", WAYS)
@pytest.mark.parametrize("numbers", [(4,), (2, 4)], ids=["newest", "all"])
def test_a_damaged_snapshot_is_told_and_what_is_older_is_read(
    what: str, numbers: tuple[int, ...], caplog: pytest.LogCaptureFixture
) -> None:
    """An older snapshot, or the log from its first commit: nothing is lost, and nothing is believed that is torn."""
    files: Files = {}
    writer = device(files, snapshot_every=2)
    for number in range(5):
        _ = applied(writer, insert(f"r{number}"))
    for number in numbers:
        damaged(files, number, what)
    store = MemoryStore()
    with caplog.at_level(logging.WARNING, "tidesync"):
        reader = device(files, store)
        found = records(reader)

    assert records(writer) == found
    assert trimmed(cold({name: each for name, each in files.items() if "snap" not in name}), 60) == trimmed(
        store, 60
    )
    assert len(numbers) == len([each for each in caplog.records if "damaged" in each.getMessage()])


@pytest.mark.parametrize("what", WAYS)
def test_where_nothing_is_whole_it_is_damage_and_the_index_stays_as_it_was(what: str) -> None:
    """The log before the snapshot is gone, and the snapshot is torn."""
    files: Files = {}
    writer = device(files, snapshot_every=2)
    for number in range(3):
        _ = applied(writer, insert(f"r{number}"))
    damaged(files, 2, what)
    del files[commit_name(1)]
    store = MemoryStore()
    reader = device(files, store)
    with pytest.raises(RemoteDamaged, match=r"log/0{19}1\.jsonl: it is missing"):
        _ = reader.get("item", "r0")

    assert (0, []) == (counters(store)[0], held(store))


def test_a_log_that_ends_before_a_snapshot_has_lost_something() -> None:
    """Its last commits were there when the snapshot was made; also where that is damaged."""
    files: Files = {}
    writer = device(files, snapshot_every=4)
    for number in range(4):
        _ = applied(writer, insert(f"r{number}"))
    del files[commit_name(4)]
    for what in (None, *WAYS):
        copy = dict(files)
        if what is not None:
            damaged(copy, 4, what)
        with pytest.raises(RemoteDamaged) as caught:
            _ = device(copy).get("item", "r0")
        assert commit_name(4) == caught.value.file


def test_a_snapshot_of_another_history_is_not_read(caplog: pytest.LogCaptureFixture) -> None:
    """The log was put back to a copy, and went on; a snapshot stayed from the time before."""
    files: Files = {}
    writer = device(files, snapshot_every=3)
    for number in range(2):
        _ = applied(writer, insert(f"r{number}"))
    copy = dict(files)
    _ = applied(writer, insert("lost"))
    copy |= {name: content for name, content in files.items() if name.startswith("snapshots/")}
    put_back = {name: content for name, content in copy.items() if "snap" not in name}
    _ = applied(device(put_back), insert("new"))
    copy[commit_name(3)] = put_back[commit_name(3)]
    with caplog.at_level(logging.WARNING, "tidesync"):
        found = records(device(copy))

    assert {"r0", "r1", "new"} == set(found)
    assert "of another commit 3 than there is" in caplog.text
