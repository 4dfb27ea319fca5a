"""A look at all of a remote: every damage is found and named, nothing else is, and nothing changes."""

import re
from pathlib import Path

import attrs
import pytest

from tests.transports.authority.support import insert
from tests.transports.files.dying import Memory
from tests.transports.files.lives import Files, Written, applied, cold, device
from tests.transports.files.looks import looked, written
from tests.transports.files.test_format_page import example
from tidesync.errors import ConfigurationError, RemoteDamaged
from tidesync.stores.memory import MemoryStore
from tidesync.stores.sqlite import SQLiteStore
from tidesync.transports.files import snapshots
from tidesync.transports.files.folder import Folder
from tidesync.transports.files.lines import digest, with_checksum
from tidesync.transports.files.names import META, commit_name, fence_name, manifest_name
from tidesync.transports.files.parts import Counts, read_manifest, write_manifest
from tidesync.transports.files.verify import Damage, verify
from tidesync.transports.layout import moment


def rewritten(content: bytes, old: bytes, new: bytes) -> bytes:
    """A file that says something else, under a checksum that fits."""
    assert old in content
    return with_checksum(content.replace(old, new, 1).splitlines()[:-1])


def part_of(files: Files, number: int) -> str:
    [found] = [name for name in files if name.startswith(f"snapshots/{number:020}/")]
    return found


def test_a_remote_that_is_whole_has_no_damage() -> None:
    """With a fence and without one, new, and empty."""
    empty: Files = {}
    _ = device(empty)
    found = looked(written())

    assert (True, 4, 4, 2, 3, ()) == (
        found.whole, found.commits, found.changes, found.snapshots, found.fence, found.leftovers,
    )  # fmt: skip
    assert looked(empty).whole
    assert (0, 0, 0) == (looked(empty).commits, looked(empty).snapshots, looked(empty).fence)


def test_the_documentation_s_example_is_whole() -> None:
    """As it is shown there; its first commit lies before the fence."""
    found = looked(example())

    assert () == found.damages
    assert (commit_name(1),) == found.leftovers


@pytest.mark.parametrize("name", [name for name in sorted(written()) if name.count("/") < 2])
def test_a_file_that_was_changed_is_named(name: str) -> None:
    """One byte of any file, or its end; the last line of it, too."""
    for spoil in (
        lambda content: content[:-20],
        lambda content: content.replace(b"format", b"formAt"),
        lambda content: content[:-5] + (b"1" if content[-5:-4] == b"0" else b"0") + content[-4:],
        lambda content: b"",
        lambda content: content + b"\n",
    ):
        files = written()
        files[name] = spoil(files[name])
        assert name in {damage.file for damage in looked(files).damages}


@pytest.mark.parametrize("number", [3, 5])
def test_a_part_that_was_changed_or_is_gone_is_named(number: int) -> None:
    """Its name is its hash."""
    for content in (b"", None):
        files = written()
        name = part_of(files, number)
        if content is None:
            del files[name]
        else:
            files[name] = content
        assert [name] == [damage.file for damage in looked(files).damages]


def test_all_damages_are_told_and_what_lies_behind_is_looked_at() -> None:
    """Torn, missing and foreign files in all folders, in one go."""
    files = written()
    files[commit_name(4)] = files[commit_name(4)][:-9]
    del files[commit_name(6)]
    files[commit_name(7)] = b"nothing"
    files[part_of(files, 5)] = b"torn"
    files[fence_name(3)] = files[fence_name(3)][:-9]
    foreign = [
        "notes.txt",
        "log/1.jsonl",
        "fences/mine",
        "snapshots/mine.jsonl",
        "mine/here.txt",
        "log/old/1",
    ]
    files |= dict.fromkeys(foreign, b"")
    torn = [commit_name(4), commit_name(7), fence_name(3), part_of(files, 5)]
    found = looked(files)

    assert sorted([*torn, commit_name(6), *foreign[:4], "mine", "log/old"]) == sorted(
        damage.file for damage in found.damages
    )
    assert 2 == found.commits


def test_missing_commits_are_one_damage() -> None:
    """From the first to the last of them."""
    files: Files = {}
    writer = device(files)
    for number in range(5):
        _ = applied(writer, insert(f"r{number}"))
    for number in (2, 3, 4):
        del files[commit_name(number)]

    assert (
        Damage(commit_name(2), "it is missing, and so are all up to 4: bring it back from a copy"),
    ) == looked(files).damages


@pytest.mark.parametrize("number", [4, 5, 6])
def test_a_commit_of_another_history_is_found(number: int) -> None:
    """It is whole by itself, and does not follow the one before; or the next one does not follow it."""
    files, other = written(), written()
    whose = files[META].split(b'"id":"')[1][:36], other[META].split(b'"id":"')[1][:36]
    body = other[commit_name(number)].replace(whose[1], whose[0])
    files[commit_name(number)] = with_checksum(body.splitlines()[:-1])

    assert commit_name(number) in {damage.file for damage in looked(files).damages}


def test_files_that_were_swapped_are_found() -> None:
    """Each of them says which one it is."""
    files = written()
    files[commit_name(4)], files[commit_name(5)] = files[commit_name(5)], files[commit_name(4)]

    assert {commit_name(4), commit_name(5)} <= {damage.file for damage in looked(files).damages}


def test_a_moment_before_that_of_the_commit_before_is_found() -> None:
    """The log's clock does not go back."""
    log = Written()
    log.put(5, "a")
    log.put(4, "b")

    assert [Damage(commit_name(2), "its moment is before that of the commit before")] == list(
        looked(log.files).damages
    )


def resealed(files: Files, number: int, old: bytes, new: bytes) -> None:
    """Change a snapshot so that all of its hashes fit again."""
    name = part_of(files, number)
    content = rewritten(files.pop(name), old, new)
    files[name.replace(name[-70:-6], digest(content))] = content
    manifest = read_manifest(files[manifest_name(number)], number, looked(written_meta(files)).remote)
    part = attrs.evolve(manifest.parts[0], digest=digest(content), size=len(content))
    files[manifest_name(number)] = write_manifest(attrs.evolve(manifest, parts=[part]))


def written_meta(files: Files) -> Files:
    return {META: files[META]}


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        (b'"text":"c"', b'"text":"d"', "item/'b' is another"),
        (b'"size":1', b'"size":1.0', "item/'b' is another"),
        (b'"size":1', b'"size":true', "item/'b' is another"),
        (b'"id":"l"', b'"id":"m"', "list/'l' is missing"),
        (b'"id":"b"', b'"id":"a"', "item/'a' is there, and should not be"),
        (b'"mark":"', b'"mark":"0', "operation .* is another"),
    ],
)
def test_a_snapshot_that_is_not_what_the_log_makes_is_found(old: bytes, new: bytes, says: str) -> None:
    """Also where every hash fits: value by value, and by the type of values."""
    files = written()
    resealed(files, 5, old, new)
    [found] = looked(files).damages

    assert manifest_name(5) == found.file
    assert re.search(says, found.reason)


def test_a_snapshot_that_lacks_a_record_or_counts_wrongly_is_found() -> None:
    """What it tells in its first line is counted again."""
    files = written()
    manifest = read_manifest(files[manifest_name(5)], 5, looked(files).remote)
    wrong = [
        attrs.evolve(manifest, changes=manifest.changes + 1),
        attrs.evolve(manifest, operations=0),
        attrs.evolve(manifest, tables={**manifest.tables, "more": Counts(1)}),
        attrs.evolve(manifest, clock=moment(1)),
        attrs.evolve(manifest, commit=digest(b"")),
        attrs.evolve(manifest, parts=[]),
    ]
    for each in wrong:
        files[manifest_name(5)] = write_manifest(each)
        assert [manifest_name(5)] == list({damage.file for damage in looked(files).damages})


@pytest.mark.parametrize("number", [3, 5], ids=["begun with", "compared"])
def test_lines_of_a_snapshot_out_of_order_are_found(number: int) -> None:
    """So that nothing can be there twice; also where there is no log any more to compare it with."""
    files = written()
    del files[fence_name(3)], files[part_of(files, 8 - number)], files[manifest_name(8 - number)]
    name, remote = part_of(files, number), looked(written_meta(files)).remote
    manifest = read_manifest(files[manifest_name(number)], number, remote)
    lines = files.pop(name).splitlines()[:-1]
    late = [lines[0].replace(b'"sequence":', b'"sequence":9'), *lines[1:]]
    for found in (lines[::-1], [*lines[:1], *lines], late):
        content = with_checksum(found)
        part = attrs.evolve(manifest.parts[0], digest=digest(content), size=len(content), lines=len(found))
        counts = {**manifest.tables, "item": Counts(1 + len(found) - len(lines))}
        changed = {
            **files,
            name.replace(name[-70:-6], digest(content)): content,
            manifest_name(number): write_manifest(attrs.evolve(manifest, parts=[part], tables=counts)),
        }
        with pytest.raises(RemoteDamaged, match=r"in order|later commit"):
            _ = list(
                snapshots.lines(
                    Memory(changed), read_manifest(changed[manifest_name(number)], number, remote)
                )
            )
        assert [True] == [
            damage.file.startswith("snapshots/")
            for damage in looked(changed).damages
            if not damage.file.startswith("log/")
        ]


def test_snapshots_may_have_forgotten_what_may_be_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """Old operation ids, and tombstones up to the sequence that its manifest tells; no more than that."""
    log = Written(meta=attrs.evolve(Written().meta, remembers=1))
    for number in range(8):
        log.put(10 * number, f"r{number}", deleted=number == 4)
    with monkeypatch.context() as patch:
        patch.setattr(snapshots, "KEPT", 2)
        store = cold(log.files)
        with store.transaction(write=True) as transaction:
            snapshots.trim(transaction, 1, 6)
        made = snapshots.make(Memory(log.files), log.meta, store)
        found = looked(log.files)

    assert made is not None
    assert (2, {"item": 5 << 20}) == (made.operations, made.fences)
    assert () == found.damages
    assert "operation 'op1' is missing" in looked(log.files).damages[0].reason
    log.files[manifest_name(8)] = write_manifest(attrs.evolve(made, fences={}))
    monkeypatch.setattr(snapshots, "KEPT", 2)
    assert "item/'r4' is missing" in looked(log.files).damages[0].reason


def test_a_fence_without_its_snapshot_or_commit_is_damage() -> None:
    """There is nothing to begin with."""
    files = written()
    del files[manifest_name(3)]
    one = looked(files)
    files = written()
    del files[commit_name(3)]
    two = looked(files)

    assert [manifest_name(3)] == [each.file for each in one.damages]
    assert [commit_name(3)] == [each.file for each in two.damages]


def test_a_log_that_ends_before_a_snapshot_is_damage() -> None:
    """Those commits were there once."""
    files = written()
    for number in (5, 6):
        del files[commit_name(number)]

    assert [commit_name(5)] == [each.file for each in looked(files).damages]


def test_without_meta_json_all_else_is_looked_at() -> None:
    """The commits say which remote it is; torn or gone."""
    files = written()
    whole = looked(files)
    files[commit_name(6)] = files[commit_name(6)][:-9]
    for content in (None, b"torn"):
        files.pop(META)
        if content is not None:
            files[META] = content
        found = looked(files)
        assert [META, commit_name(6)] == [each.file for each in found.damages]
        assert (whole.remote, 3) == (found.remote, found.commits)
        files[META] = b""


def test_where_no_file_tells_the_remote_s_id_damage_is_told_all_the_same() -> None:
    """Nothing is left but a file that does not belong there."""
    found = looked({"log/x": b"x"})

    assert {META, "log/x"} == {damage.file for damage in found.damages}
    assert ("unknown", False, 0) == (found.remote, found.whole, found.commits)


@pytest.mark.parametrize(
    "name", ["meta.json", "log", "snapshots", "fences", commit_name(4), manifest_name(3)]
)
@pytest.mark.parametrize("link", [True, False])
def test_what_stands_in_the_place_of_a_file_or_folder_is_damage(
    name: str, link: bool, tmp_path: Path
) -> None:
    """A link, a file for a folder, a folder for a file: it is told, and the rest is looked at."""
    for file, content in written().items():
        path = tmp_path / "remote" / file
        path.parent.mkdir(parents=True, exist_ok=True)
        _ = path.write_bytes(content)
    path, moved = tmp_path / "remote" / name, tmp_path / "moved"
    was_folder = path.is_dir()
    _ = path.rename(moved)
    if link:
        path.symlink_to(moved)
    elif was_folder:
        path.touch()
    else:
        path.mkdir()

    found = verify(Folder(tmp_path / "remote"), MemoryStore())

    assert name in {damage.file for damage in found.damages}
    assert (name != "log") == (found.commits > 0)


def test_a_name_that_no_file_can_have_is_damage_also_where_meta_json_is_gone() -> None:
    """It is not read."""
    files = written()
    del files[META]
    files["log/no name.txt"] = b"x"

    assert {META, "log/no name.txt"} == {damage.file for damage in looked(files).damages}


def test_leftovers_are_no_damage() -> None:
    """What a compaction deletes is told, and by whom it was left."""
    files = written()
    left = [
        commit_name(1), fence_name(1), manifest_name(2), f"snapshots/{2:020}/{'0' * 64}.jsonl",
        f"snapshots/{6:020}/{'0' * 64}.jsonl", "log/.tmp-0123", ".tmp-4567",
    ]  # fmt: skip
    files |= dict.fromkeys(left, b"left")
    files |= {".DS_Store": b"", "log/Thumbs.db": b"", ".sync/x": b""}
    found = looked(files)

    assert () == found.damages
    assert sorted(left) == sorted(found.leftovers)


def test_where_there_is_no_remote_there_is_nothing_to_verify() -> None:
    """An empty folder, or one with other things in it."""
    for files in ({}, {"notes.txt": b""}):
        with pytest.raises(ConfigurationError, match="holds no remote"):
            _ = looked(files)


def test_it_works_on_a_store_in_a_file_as_in_memory(tmp_path: Path) -> None:
    """For remotes that memory does not hold."""
    files = written()

    assert looked(files) == verify(Memory(files), SQLiteStore(tmp_path / "scratch.db"))
