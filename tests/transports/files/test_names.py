"""Names of files come from numbers and hashes, and lead to them again."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tidesync.errors import RemoteDamaged
from tidesync.transports.files.names import (
    LAST_NUMBER,
    commit_name,
    digests,
    fence_name,
    file_name,
    is_ignored,
    manifest_name,
    numbers,
    part_name,
)
from tidesync.transports.files.place import checked


@given(st.lists(st.integers(1, LAST_NUMBER), unique=True, max_size=6))
@settings(max_examples=40)
def test_names_sort_as_their_numbers(found: list[int]) -> None:
    """And the numbers are read from them again, in order."""
    names = [file_name(number) for number in found]

    assert sorted(found) == numbers("log", names)
    assert [file_name(number) for number in sorted(found)] == sorted(names)


def test_every_name_is_one_in_every_place() -> None:
    """A folder, a bucket and Windows take all of them, and mean one file."""
    made = [commit_name(1), manifest_name(2), part_name(2, "a" * 64), fence_name(3)]

    assert made == [checked(name) for name in made]


@pytest.mark.parametrize("name", [".tmp-0f", ".DS_Store", "Thumbs.db", "desktop.ini", "Icon\r"])
def test_what_systems_leave_behind_is_ignored(name: str) -> None:
    """Hidden files, unfinished ones, and those that file browsers write are none of the remote's."""
    assert is_ignored(name)
    assert ([1], []) == (numbers("log", [name, file_name(1)]), digests(1, [name]))


@pytest.mark.parametrize(
    "name",
    [
        "00000000000000000002 (conflicted copy).jsonl", "00000000000000000002.sync-conflict-20261120.jsonl",
        "2.jsonl", "000000000000000000002.jsonl", "00000000000000000000.jsonl", "00000000000000000002.json",
        "00000000000000000002.JSONL", "00000000000000000002.jsonl\n", "0000000000000000000\uff12.jsonl",
        "99999999999999999999.jsonl", "-0000000000000000002.jsonl", "+0000000000000000002.jsonl", "notes.txt", "~",
        "a\\log.jsonl", "0000000000000000000\udcff.jsonl",
    ],
)  # fmt: skip
def test_any_other_file_is_foreign(name: str) -> None:
    """It is named, with its folder, and with what cannot be printed escaped."""
    with pytest.raises(RemoteDamaged, match="does not belong here") as caught:
        _ = numbers("log", [file_name(1), name])
    with pytest.raises(RemoteDamaged):
        _ = digests(1, [name])

    assert f"log/{name}" == caught.value.file.encode().decode("unicode_escape")
