"""2,000 records come in pages from a real server, while others change them: nothing is lost, nothing comes twice."""

from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.peers.remote import Remote, texts
from tests.peers.sent import reads_page
from tests.peers.wire_faults import Forward, LoseReply, Seen
from tidesync import SyncContext
from tidesync.errors import RemoteUnavailable
from tidesync.events import Event, RecordsChanged

BEGAN = datetime(2026, 1, 1, tzinfo=UTC)
RECORDS = 2_000


def moment(number: int) -> str:
    return (BEGAN + timedelta(milliseconds=number)).isoformat(timespec="milliseconds")[:-6] + "Z"


def seed(remote: Remote, *, tie: int, at: int = 700) -> None:
    """2,000 rows, of which `tie` from the place `at` on were changed in one millisecond, and others in threes."""
    rows = [{"id": f"r{(number * 7919) % RECORDS:04}", "text": f"{number}"} for number in range(RECORDS)]
    moments = [moment(at if at <= number < at + tie else number // 3 * 3) for number in range(RECORDS)]
    moments.sort()
    remote.door.seed(remote.items.name, rows, moments)


def arrivals(device: SyncContext) -> Counter[str]:
    """How often each record was stored by a pull, from now on."""
    came: Counter[str] = Counter()

    def note(event: Event) -> None:
        if isinstance(event, RecordsChanged) and event.source == "pull":
            came.update(event.ids)

    device.subscribe(note)
    return came


def local(device: SyncContext, remote: Remote) -> dict[str, Any]:
    return texts(device[remote.items].all())


def before_pages(remote: Remote, act: Callable[[int], object], pages: int) -> None:
    """Let another client act while each of the first pages is on its way."""
    counted = iter(range(10_000))

    def when(seen: Seen) -> bool:
        if reads_page(seen) and (page := next(counted)) < pages:
            act(page)
        return False

    remote.wire.plan(Forward(), when=when, times=None)


@pytest.mark.soaked
@pytest.mark.parametrize("tie", [1, 150, 450])
def test_every_record_comes_once(remote: Remote, tie: int) -> None:
    """Also where more records share their moment than a page holds; the next pull brings only what changed."""
    seed(remote, tie=tie)
    device = remote.device(page_size=200)
    came = arrivals(device)

    report = device.pull(remote.items, name="all")

    assert (RECORDS, 0) == (report.records, report.deleted)
    assert {1} == set(came.values())
    assert remote.alive(remote.items, "text") == local(device, remote)

    came.clear()
    assert 0 == device.pull(remote.items, name="all").records
    changed = [f"r{number:04}" for number in (3, 500, 701, 1999)]
    for id in changed:
        remote.change(remote.items, id, text="changed")
    remote.remove(remote.items, "r0900")
    report = device.pull(remote.items, name="all")
    assert (4, 1) == (report.records, report.deleted)
    assert {*changed, "r0900"} == set(came)
    assert remote.alive(remote.items, "text") == local(device, remote)


def test_a_tie_made_after_the_first_pull(remote: Remote) -> None:
    """One statement changed more records than a page holds, and a second one does so again in the same moment."""
    seed(remote, tie=1)
    device = remote.device(page_size=100)
    device.pull(remote.items, name="all")
    for ids in ([f"r{number:04}" for number in range(300)], [f"r{number:04}" for number in range(200, 350)]):
        remote.door.tie(remote.items.name, ids, "2030-01-01T00:00:00.000Z")
        assert len(ids) == device.pull(remote.items, name="all").records


def test_rows_that_change_between_pages(remote: Remote) -> None:
    """What came already and what is still to come, deleted, new and in a tie: in the end all are as they are."""
    seed(remote, tie=300)
    tied = [id for id, row in remote.rows(remote.items).items() if row["updatedAt"] == moment(700)]
    ordered = sorted(remote.rows(remote.items).values(), key=lambda row: (row["updatedAt"], row["id"]))
    early, late = [row["id"] for row in ordered[:600]], [row["id"] for row in ordered[1200:]]

    def act(page: int) -> None:
        remote.change(remote.items, early[page], text=f"early {page}")
        remote.change(remote.items, late[-page - 1], text=f"late {page}")
        remote.change(remote.items, tied[page], text=f"tied {page}")
        remote.remove(remote.items, early[-page - 1])
        remote.remove(remote.items, late[page])
        remote.insert(remote.items, f"new{page}", text=f"new {page}")

    device = remote.device(page_size=150)
    before_pages(remote, act, pages=12)
    device.pull(remote.items, name="all")

    assert RECORDS + 12 - 24 == device[remote.items].count()
    assert remote.alive(remote.items, "text") == local(device, remote)
    remote.wire.clear()
    report = device.pull(remote.items, name="all")
    assert (0, 0) == (report.records, report.deleted)


def test_a_pull_without_a_name_reads_by_id_while_rows_change(remote: Remote) -> None:
    """Changing rows moves none of them: every row that lived throughout comes."""
    seed(remote, tie=300)
    device = remote.device(page_size=150)
    counted = iter(range(10_000))

    def change(seen: Seen) -> bool:
        number = next(counted)
        if number < 10:
            remote.change(remote.items, f"r{number:04}", text="changed")
        return False

    remote.wire.plan(Forward(), when=change, times=None)
    device.pull(remote.items)

    assert remote.rows(remote.items).keys() == local(device, remote).keys()
    device.pull(remote.items)
    assert remote.alive(remote.items, "text") == local(device, remote)


def test_a_named_pull_that_breaks_off_goes_on_where_it_was(remote: Remote) -> None:
    """Pages that were stored are not read again."""
    seed(remote, tie=450)
    path = remote.folder / "kept.db"
    device = remote.device(path=path, page_size=200, retries=0)
    came = arrivals(device)
    remote.wire.plan(LoseReply(), when=reads_page, skip=5)
    with pytest.raises(RemoteUnavailable):
        device.pull(remote.items, name="all")
    held = device[remote.items].count()
    assert 0 < held < RECORDS
    device.close()

    again = remote.device(path=path, page_size=200, overlap=0)
    came_again = arrivals(again)
    again.pull(remote.items, name="all")

    assert (held, RECORDS - held) == (len(came), len(came_again))
    assert remote.alive(remote.items, "text") == local(again, remote)


@pytest.mark.soaked
def test_the_server_is_restarted_between_pages(own_remote: Remote) -> None:
    """The cursor is the device's: a server that comes back goes on with it."""
    seed(own_remote, tie=450)
    device = own_remote.device(page_size=200, retries=0)
    came = arrivals(device)
    before_pages(own_remote, lambda page: own_remote.door.kill() if page == 4 else None, pages=5)
    with pytest.raises(RemoteUnavailable):
        device.pull(own_remote.items, name="all")
    assert 0 < len(came) < RECORDS

    own_remote.door.start()
    device.pull(own_remote.items, name="all")

    assert (RECORDS, {1}) == (len(came), set(came.values()))
    assert own_remote.alive(own_remote.items, "text") == local(device, own_remote)


def test_progress_counts_up_to_the_total(remote: Remote) -> None:
    """The server tells how many there are: done grows with each page, up to it."""
    seed(remote, tie=1)
    device = remote.device(page_size=500)
    seen: list[tuple[int, int | None]] = []
    device.subscribe(lambda event: seen.append((event.done, event.total)) if hasattr(event, "done") else None)

    device.pull(remote.items, name="all")

    assert {RECORDS} == {total for _, total in seen}
    assert sorted(seen) == seen
    assert (RECORDS, RECORDS) == seen[-1]


def test_a_query_brings_what_matches_and_keeps_what_left(remote: Remote) -> None:
    """Each named query has its own cursor; `reconcile` drops what is gone from it, and what no other one wants."""
    for number in range(20):
        remote.insert(remote.items, f"i{number:02}", text="t", priority=number, complete=number % 2 == 0)
    device = remote.device()
    items = device[remote.items]
    c = remote.items.c
    high = items.where(c.priority >= 10)

    assert 10 == items.pull(high, name="high").records
    assert 10 == items.pull(items.where(c.complete), name="done").records
    remote.change(remote.items, "i10", priority=1)
    remote.change(remote.items, "i11", priority=1)
    remote.remove(remote.items, "i12")
    assert 1 == items.pull(high, name="high").deleted
    assert {"i10", "i11"} < {row["id"] for row in high}
    items.pull(high, name="high", reconcile=True)

    assert {f"i{number}" for number in (10, *range(13, 20))} == {row["id"] for row in high}
