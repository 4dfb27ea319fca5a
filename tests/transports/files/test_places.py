"""A folder, a bucket and a place in memory keep one promise: a name is taken once, and what it names is whole."""

import threading
from collections.abc import Callable
from itertools import count
from pathlib import Path

import pytest

from tests.transports.files.s3_server import S3Server
from tidesync.transports.files.bucket import Bucket
from tidesync.transports.files.folder import Folder
from tidesync.transports.files.place import Place
from tidesync.transports.files.targets import open_place

Open = Callable[[], Place]
_MEMORIES = count()


@pytest.fixture(params=["folder", "memory", "bucket"])
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Open:
    """Opens one place, new and empty, as often as it is called."""
    if request.param == "folder":
        return lambda: open_place(tmp_path / "remote")
    if request.param == "memory":
        number = next(_MEMORIES)
        return lambda: open_place(f"memory://place-{number}")
    s3: S3Server = request.getfixturevalue("s3")
    bucket = s3.new_bucket()
    return lambda: open_place(f"s3://{bucket}/some/prefix", s3.options())


@pytest.fixture
def place(opened: Open) -> Place:
    return opened()


def test_a_file_is_read_as_it_was_created(place: Place) -> None:
    """Bytes come back as they were given, whatever they are, also none and many."""
    contents = {"log/1": bytes(range(256)), "empty": b"", "parts/7/large.jsonl": b"\r\n\0" * 1_000_000}

    created = {name: place.create(name, content) for name, content in contents.items()}

    assert dict.fromkeys(contents, True) == created
    assert contents == {name: place.read(name) for name in contents}


def test_what_is_there_is_never_overwritten(opened: Open) -> None:
    """A second create answers False, from whatever client, and changes nothing."""
    one, other = opened(), opened()
    assert one.create("log/1", b"first")

    answers = [one.create("log/1", b"first"), one.create("log/1", b"second"), other.create("log/1", b"")]

    assert [False, False, False] == answers
    assert b"first" == other.read("log/1")


def test_one_of_many_creates_a_name(opened: Open) -> None:
    """Of eight clients at the same time exactly one is told True, for every name, and its bytes are there."""
    places = [opened() for _ in range(8)]
    starts = threading.Barrier(8)
    won: list[tuple[int, int]] = []

    def race(client: int) -> None:
        for name in range(20):
            starts.wait()
            if places[client].create(f"log/{name}", f"client {client}".encode()):
                won.append((name, client))

    threads = [threading.Thread(target=race, args=(client,)) for client in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert list(range(20)) == sorted(name for name, _ in won)
    assert {name: f"client {client}".encode() for name, client in won} == {
        name: places[0].read(f"log/{name}") for name in range(20)
    }


def test_names_are_those_directly_in_a_folder(place: Place) -> None:
    """Names are told without their folder, in order, and without files of folders inside, before or beside it."""
    for name in ("log/b", "log/a", "log/sub/c", "logs/d", "lo/e", "meta.json", "parts/1/x", "parts/2/y"):
        assert place.create(name, b".")

    assert ["a", "b"] == place.names("log")
    assert ["meta.json"] == place.names("")
    assert [] == place.names("parts")
    assert [] == place.names("nothing")


def test_names_begin_after_one(place: Place) -> None:
    """`after` need not be there, and is not told itself."""
    for number in (1, 2, 4):
        assert place.create(f"log/{number}.jsonl", b".")

    assert ["2.jsonl", "4.jsonl"] == place.names("log", "1.jsonl")
    assert ["4.jsonl"] == place.names("log", "3.jsonl")
    assert [] == place.names("log", "4.jsonl")
    assert [] == place.names("nothing", "4.jsonl")


def test_folders_and_sizes(place: Place) -> None:
    """Folders are those that hold files, and sizes are bytes."""
    for name, content in (("parts/2/y", b"12"), ("parts/1/x", b""), ("parts/z", b"123"), ("meta.json", b"1")):
        assert place.create(name, content)

    assert ["1", "2"] == place.folders("parts")
    assert ["parts"] == place.folders("")
    assert [] == place.folders("nothing")
    assert {"z": 3} == place.sizes("parts")
    assert {"meta.json": 1} == place.sizes("")
    assert {} == place.sizes("nothing")


def test_what_is_not_there_is_none(place: Place) -> None:
    """A missing file is None, and deleting it no error; a folder is no file."""
    assert place.create("log/1", b".")

    assert [None, None, None] == [place.read(name) for name in ("meta.json", "log/2", "nothing/1")]
    place.delete("log/2")
    place.delete("nothing/1")
    assert ["1"] == place.names("log")


def test_a_deleted_name_is_free_again(place: Place) -> None:
    """After delete there is no such file, and the name may be taken once more."""
    assert place.create("log/1", b"first")
    place.delete("log/1")

    assert place.read("log/1") is None
    assert [] == place.names("log")
    assert place.create("log/1", b"second")
    assert b"second" == place.read("log/1")


@pytest.mark.parametrize(
    "name",
    ["", "/", "..", "../x", "log/../x", "log//x", "/log/x", "log/", "./x", "log/\u00e9", "log/e\u0301", "a b", "a\0b",
     "a\\b", "C:x", "-x", "log/.x", "x?y", "x#y", "x%2fy", "x\n", "a/b/c/d/e/f"],
)  # fmt: skip
def test_names_that_may_mean_another_file_are_refused(place: Place, name: str) -> None:
    """Names in other letters than ASCII, with dots or signs that mean something somewhere, lead to no request."""
    for call in (lambda: place.create(name, b""), lambda: place.read(name), lambda: place.delete(name)):
        with pytest.raises(ValueError, match="no name"):
            call()
    assert [] == place.names("")


def test_sweeping_takes_nothing_that_is_whole(place: Place) -> None:
    """Files that were created stay."""
    assert place.create("log/1", b".")

    assert 0 == place.sweep()
    assert ["1"] == place.names("log")


def test_closing_twice_is_no_error(opened: Open) -> None:
    """Close may be called again, and another client goes on."""
    place = opened()
    assert place.create("meta.json", b".")
    place.close()
    place.close()

    assert b"." == opened().read("meta.json")


def test_a_place_says_how_long_it_can_take(place: Place) -> None:
    """`longest` bounds a call: 30 seconds a request unless it is told otherwise, and no request in memory."""
    expected = {Folder: 10.0, Bucket: 35.0 if "s3://" in repr(place) else 5.0}

    assert expected[type(place)] == place.longest
