"""docs/files-format.md: its example is what it says, by hashlib and json alone; its program reads what is written."""

import hashlib
import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.docs.pages import blocks
from tests.packaging.tree import ROOT
from tests.transports.authority.support import change, delete, insert, update
from tests.transports.files.lives import applied, device, records
from tidesync.records import Json, same
from tidesync.stores.memory import MemoryStore
from tidesync.transports.files.compaction import compact
from tidesync.transports.files.folder import Folder

PAGE = ROOT / "docs" / "files-format.md"
LIVE = {
    ("todoitem", "milk"): {
        "id": "milk", "text": "Buy milk", "complete": True, "version": "2097152.99fe0b12",
        "created_at": "2026-11-20T08:00:00.000000Z", "updated_at": "2026-11-20T08:05:30.250000Z",
    }
}  # fmt: skip


def example() -> dict[str, bytes]:
    """The files of the example, by name."""
    shown = {each.before.strip("`"): each.text for each in blocks(PAGE) if each.info == "json"}
    return {name: f"{text}\n".encode() for name, text in shown.items()}


def reader() -> Any:
    """`read_remote`, as the page has it."""
    found: dict[str, Any] = {}
    [program] = [each.text for each in blocks(PAGE) if "def read_remote" in each.text]
    exec(compile(program, str(PAGE), "exec", optimize=0), found)
    return found["read_remote"]


def written(files: dict[str, bytes], folder: Path) -> Path:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return folder


def test_the_example_has_the_hashes_and_sizes_that_are_told() -> None:
    """Every hash in the table, and in the files, is the SHA-256 of what is shown."""
    files = example()
    told = re.findall(
        r"^\| `([\w/.<>-]+)` \| (\d+) \| `([0-9a-f]{64})` \|$", PAGE.read_text("utf-8"), re.MULTILINE
    )
    found = [
        (name.replace(digest := hashlib.sha256(content).hexdigest(), "<hash>"), str(len(content)), digest)
        for name, content in files.items()
    ]

    assert 6 == len(files)
    assert found == told


def test_the_example_s_checksums_fit_and_each_commit_names_the_one_before() -> None:
    """The last line of a file is over all before it; of meta.json it is a member."""
    files = example()
    meta = files.pop("meta.json")
    said = json.loads(meta)["sha256"]
    checked = {
        name: content[: content.rindex(b'{"sha256"')] == content[: -len(content.splitlines(True)[-1])]
        and hashlib.sha256(content[: content.rindex(b'{"sha256"')]).hexdigest()
        == json.loads(content.splitlines()[-1])["sha256"]
        for name, content in files.items()
    }
    commits = [content for name, content in sorted(files.items()) if name.startswith("log/")]
    previous = [json.loads(content.splitlines()[0])["previous"] for content in commits]

    assert hashlib.sha256(meta[: meta.index(b',"sha256":"')]).hexdigest() == said
    assert dict.fromkeys(files, True) == checked
    assert [hashlib.sha256(each).hexdigest() for each in (meta, *commits[:-1])] == previous


@pytest.mark.parametrize(
    "left_out", [(), ("snapshots", "fences"), ("fences",), ("log/00000000000000000001.jsonl",)]
)
def test_the_page_s_program_reads_the_example(left_out: tuple[str, ...], tmp_path: Path) -> None:
    """By the snapshot or by the log: the same records."""
    files = {name: content for name, content in example().items() if not name.startswith(left_out or ("-",))}

    assert LIVE == reader()(written(files, tmp_path))


@pytest.mark.parametrize("name", sorted(example()))
def test_the_page_s_program_finds_a_byte_that_was_changed(name: str, tmp_path: Path) -> None:
    """In any file that it reads; so it does not read the commits behind the snapshot, nor what a fence says."""
    files = example()
    if name.startswith("log/"):
        files = {each: content for each, content in files.items() if each.startswith(("log/", "meta"))}
    files[name] = (
        files[name].replace(b"2026", b"2027", 1)
        if b"2026" in files[name]
        else files[name].replace(b"6f1c", b"6f1d", 1)
    )
    folder = written(files, tmp_path)

    if name.startswith("fences/"):
        assert LIVE == reader()(folder)
    else:
        with pytest.raises(ValueError, match=re.escape(name.rpartition("/")[2])):
            reader()(folder)


VALUES: list[Json] = [
    None, True, 0, -1, 2**63 - 1, 0.1, -0.0, 2.0, 1e300, 5e-324, "", "\u2028 \x00 \x7f \n \U0001f600", [1, [2.5, None]],
    {"a": {"b": [True]}},
]  # fmt: skip


@pytest.mark.parametrize("compacted", [False, True], ids=["log", "fence"])
def test_the_page_s_program_reads_what_file_transports_have_written(compacted: bool, tmp_path: Path) -> None:
    """Two devices with snapshots, deletes and every kind of value: the same records, to the bit."""
    folder = tmp_path / "shared"
    phone, laptop = device(Folder(folder), snapshot_every=4), device(Folder(folder))
    for number, value in enumerate(VALUES):
        _ = applied((phone, laptop)[number % 2], insert(f"r{number}", text=f"{number}", more=value))
    _ = applied(laptop, delete("r3"), update("r4", text="changed"), insert("r\u00e9/\u0301", text=""))
    if compacted:
        assert len(VALUES) + 1 == compact(Folder(folder), MemoryStore(), keep=0).fence
    _ = applied(phone, delete("r5"), change("insert", "l", table="list", name="a list"))
    found = reader()(folder)
    wanted = {(table, id): each for table in ("item", "list") for id, each in records(laptop, table).items()}

    assert len(VALUES) == len(wanted)  # two went, two came
    assert wanted.keys() == found.keys()
    assert [] == [key for key, record in wanted.items() if not same(record, found[key])]
