"""What records hold, from one device through a real server to another: ids, texts, numbers, dates, nested values."""

import enum
import uuid
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import Any

import attrs
import pytest

from tests.peers.remote import Remote, texts
from tidesync import PushFailed, table
from tidesync.errors import InvalidId, InvalidRecord

IDS = (
    "a/b", "/", "a//b/", "a?b=c&d", "with space", " ", "a+b", "%2F", "100%", "it's", "''", 'say "hi"', "#frag",
    ";semi", "..a", "...", "a\\b", "(1)", "*", "~", "$top", "ünï", "e\u0301", "\u00e9", "日本語", "😀", "👩‍👩‍👧",
    "\ufeffbom", "\u2028", "A", "a", "null", "true", "0", "x" * 255, "😀" * 60,
)  # fmt: skip
TEXTS = {
    "empty": "", "space": " ", "emoji": "😀👩‍👩‍👧🇩🇪", "combining": "e\u0301 \u00e9", "nul": "a\0b",
    "lines": "a\r\nb\tc\u2028d\u2029e",
    "right to left": "שלום \u202e", "quotes": "'\"`\\", "markup": "<b>&amp;</b>",
    "controls": "\x01\x1f\x7f\x85", "bom": "\ufeffx",
    "json": '{"a": [1, null]}', "object": "[object Object]", "number": "007",
    "noncharacters": "\ufffe\uffff", "last": "\U0010ffff",
    "replaced": "\ufffd", "words": "null",
}  # fmt: skip


def test_awkward_ids_go_there_and_back(remote: Remote) -> None:
    """Made, changed, deleted and made again; another device has them, and reading each finds it."""
    phone, laptop = remote.device(), remote.device()
    items = phone[remote.items]
    items.insert_many([{"id": id, "text": id} for id in IDS])
    assert len(IDS) == len(phone.push().pushed)
    laptop.pull(remote.items, name="all")
    assert {id: id for id in IDS} == texts(laptop[remote.items].all()) == remote.alive(remote.items, "text")

    with phone.batch():
        for id in IDS[::2]:
            items.delete(id)
        for id in IDS[1::2]:
            items.update(id, text="changed")
    phone.push()
    laptop.pull(remote.items, name="all")
    assert dict.fromkeys(IDS[1::2], "changed") == texts(laptop[remote.items].all())

    laptop[remote.items].insert_many([{"id": id, "text": "again"} for id in IDS[::2]])
    laptop.push()
    phone.pull(remote.items, name="all")
    assert {id: "again" if place % 2 == 0 else "changed" for place, id in enumerate(IDS)} == texts(
        items.all()
    )
    online = phone.remote(remote.items)
    assert list(IDS) == [(online.get(id) or {})["id"] for id in IDS]
    laptop.pull(remote.items, reconcile=True)
    assert len(IDS) == laptop[remote.items].count()


@pytest.mark.parametrize("id", [".", ".."])
def test_ids_that_are_steps_of_a_path_are_refused(remote: Remote, id: str) -> None:
    """They cannot stand in an address: the operation fails, the others arrive, nothing is sent. A batch takes them."""
    device = remote.device()
    device[remote.items].insert({"id": id, "text": "x"})
    device[remote.items].insert({"id": "good", "text": "good"})
    if remote.way.batched:
        device.push()
        assert {id: "x", "good": "good"} == remote.alive(remote.items, "text")
        return
    with pytest.raises(PushFailed) as caught:
        device.push()

    assert [(id, "rejected")] == [(error.record_id, error.status) for error in caught.value.errors]
    assert {"good": "good"} == remote.alive(remote.items, "text")


@pytest.mark.parametrize("id", ["a\0b", "\x1f", "x" * 256, "\ud800", 7])
def test_ids_that_no_server_could_hold_are_refused_at_once(remote: Remote, id: Any) -> None:
    """At the insert, with nothing queued."""
    device = remote.device()
    with pytest.raises((InvalidId, InvalidRecord)):
        device[remote.items].insert({"id": id, "text": "x"})

    assert 0 == device.pending_operations


def test_texts_go_there_and_back(remote: Remote) -> None:
    """Every character, NUL included; the server holds what was typed."""
    phone, laptop = remote.device(), remote.device()
    phone[remote.items].insert_many([{"id": name, "text": text} for name, text in TEXTS.items()])
    phone.push()
    laptop.pull(remote.items)

    assert TEXTS == remote.alive(remote.items, "text")
    assert TEXTS == texts(laptop[remote.items].all()) == texts(phone[remote.items].all())
    for name, text in TEXTS.items():
        found = phone.remote(remote.items).where(remote.items.c.text == text)
        assert [name] == [row["id"] for row in found], name


def test_a_lone_surrogate_is_refused_at_once(remote: Remote) -> None:
    """The server would turn it into U+FFFD: it is not text."""
    device = remote.device()
    with pytest.raises(InvalidRecord):
        device[remote.items].insert({"id": "a", "text": "x\ud800"})


def test_a_large_text_goes_there_and_back(remote: Remote) -> None:
    """Up to what the server takes: 30,000 characters of three bytes, less than 100 KB."""
    phone, laptop = remote.device(), remote.device()
    text = "本" * 30_000
    phone[remote.items].insert({"id": "a", "text": text})
    phone.push()
    laptop.pull(remote.items)

    assert text == (laptop[remote.items].get("a") or {})["text"]


def test_numbers_go_there_and_back(remote: Remote) -> None:
    """Whole ones up to what the server keeps, fractions bit for bit; only the sign of zero is lost on the way."""
    safe = min(remote.deviations.safe_integer, 2**63 - 1)
    wholes = [0, 1, -1, 2**31, -(2**31), 2**53 - 1, safe, -safe]
    fractions = [0.1, -2.5, 1e300, 5e-324, 1.7976931348623157e308, 3.0, 2.0**60, 1 / 3, -0.0]
    phone, laptop = remote.device(), remote.device()
    items = phone[remote.items]
    items.insert_many([{"id": f"i{place}", "priority": number} for place, number in enumerate(wholes)])
    items.insert_many([{"id": f"f{place}", "score": number} for place, number in enumerate(fractions)])
    phone.push()
    laptop.pull(remote.items)

    for device in (phone, laptop):
        got = {row["id"]: row for row in device[remote.items]}
        assert wholes == [got[f"i{place}"]["priority"] for place in range(len(wholes))]
        assert fractions == [got[f"f{place}"]["score"] for place in range(len(fractions))]
        assert {int} == {type(got[f"i{place}"]["priority"]) for place in range(len(wholes))}
        assert {float} == {type(got[f"f{place}"]["score"]) for place in range(len(fractions))}


def test_integers_that_the_server_would_change_are_refused(remote: Remote) -> None:
    """Better a failed operation than other digits; it is mended by another value."""
    limit = remote.deviations.safe_integer
    if limit == 2**63 - 1:
        pytest.skip("this server keeps every integer")
    device = remote.device()
    device[remote.items].insert({"id": "a", "priority": limit + 1})
    with pytest.raises(PushFailed) as caught:
        device.push()
    assert [("rejected", "integer-precision")] == [
        (error.status, error.code) for error in caught.value.errors
    ]

    device[remote.items].update("a", priority=limit)
    device.push()

    assert {"a": limit} == remote.alive(remote.items, "priority")


def test_booleans_and_nulls_go_there_and_back(remote: Remote) -> None:
    """False, null and absent are three things here, and two at the server."""
    phone, laptop = remote.device(), remote.device()
    values = {"yes": True, "no": False, "null": None}
    phone[remote.items].insert_many([{"id": id, "complete": value} for id, value in values.items()])
    phone[remote.items].insert({"id": "absent"})
    phone.push()
    phone[remote.items].update("yes", complete=None)
    phone.push()
    laptop.pull(remote.items)

    assert {"yes": None, "no": False, "null": None, "absent": None} == remote.alive(remote.items, "complete")
    got = {row["id"]: row.get("complete") for row in laptop[remote.items]}
    assert {"yes": None, "no": False, "null": None, "absent": None} == got


def test_points_in_time_go_there_and_back(remote: Remote) -> None:
    """From any offset, far from now, as finely as the server keeps them: then the device that wrote them too."""
    moments = [
        datetime(2026, 3, 29, 1, 30, tzinfo=timezone(timedelta(hours=2))),
        datetime(1969, 12, 31, 23, 59, 59, 999_000, UTC),
        datetime(2026, 1, 1, 0, 0, 0, 123_456, UTC),
        datetime(1, 1, 1, tzinfo=UTC),
        datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC),
    ]
    phone, laptop = remote.device(), remote.device()
    phone[remote.items].insert_many([{"id": f"{place}", "due": due} for place, due in enumerate(moments)])
    phone.push()
    assert moments == [row["due"] for row in phone[remote.items]]
    laptop.pull(remote.items)
    phone.pull(remote.items)

    unit = 10 ** (6 - remote.deviations.second_decimals)
    kept = [due.replace(microsecond=due.microsecond // unit * unit) for due in moments]
    assert kept == [row["due"] for row in laptop[remote.items]] == [row["due"] for row in phone[remote.items]]


def test_lists_go_there_and_back(remote: Remote) -> None:
    """As JSON text in a text column: the server itself would store "[object Object]"."""
    tags = {"none": [], "some": ["a", "b"], "odd": ['"', "😀", "", "\\", "null"]}
    phone, laptop = remote.device(), remote.device()
    phone[remote.items].insert_many([{"id": id, "tags": value} for id, value in tags.items()])
    phone.push()
    phone[remote.items].update("some", tags=["c"])
    phone.push()
    laptop.pull(remote.items)

    got = {row["id"]: row["tags"] for row in laptop[remote.items]}
    assert {**tags, "some": ["c"]} == got == {row["id"]: row["tags"] for row in phone[remote.items]}


class Level(enum.Enum):
    LOW = "low"
    HIGH = "high"


@attrs.define
class Place:
    street: str
    numbers: list[int]


@attrs.define
class Visit:
    id: str
    made_on: date
    at: time
    price: Decimal
    token: uuid.UUID
    level: Level
    picture: bytes
    place: Place
    notes: dict[str, Any] = attrs.field(factory=dict)
    version: str | None = None
    updated_at: datetime | None = None


def test_objects_of_a_class_go_there_and_back(remote: Remote) -> None:
    """Every type, nested ones too, under camel case names in columns that the server adds by itself."""
    visits = table(Visit, name=remote.name("item"), references={}, rename="camel")
    made = [
        Visit(
            f"v{number}", date(2026, 2, 28), time(3, 4, 5, 678_000), Decimal("12.50") * number, uuid.UUID(int=number),
            Level.HIGH, bytes(range(number * 10)), Place("Høy", [1, 2, number]),
            {"deep": {"x": [None, True, 1.5]}, "é": "😀"},
        )
        for number in range(8)
    ]  # fmt: skip
    phone, laptop = remote.device(visits, concurrency=4), remote.device(visits)
    phone[visits].insert_many(made)
    phone.push()
    laptop.pull(visits, name="all")

    bare = [attrs.evolve(each, version=None, updated_at=None) for each in laptop[visits]]
    assert made == bare
    assert phone[visits].all() == laptop[visits].all()
    row = remote.row(visits, "v1")
    assert ("2026-02-28", "high") == (row["madeOn"], row["level"])

    changed = attrs.evolve(laptop[visits].all()[3], price=Decimal("0.10"), place=Place("Lav", []))
    laptop[visits].update(changed)
    laptop.push()
    phone.pull(visits, name="all")
    assert (Decimal("0.10"), Place("Lav", [])) == (phone[visits].all()[3].price, phone[visits].all()[3].place)
    found = phone.remote(visits).where(visits.c.price == Decimal("0.1"))
    assert ["v3"] == [visit.id for visit in found]


def test_fields_that_a_device_does_not_know_survive_its_edits(remote: Remote) -> None:
    """Pulled, kept, and not sent back changed: an old application does not spoil a new one's records."""
    small = table(remote.name("item"), {"text": str}, references={})
    remote.insert(remote.items, "a", text="first", priority=7, note="kept", invented="by the server")
    device = remote.device(small, page_size=10)
    device.pull(small)
    device[small].update("a", text="second")
    device.push()

    row = remote.row(remote.items, "a")
    assert ("second", 7, "kept", "by the server") == tuple(
        row[n] for n in ("text", "priority", "note", "invented")
    )
    (sent,) = remote.changes
    assert remote.way.whole or {"text"} == sent.content.keys() - {"id"}
    assert "by the server" == (device[small].get("a") or {})["invented"]


def test_columns_that_the_server_has_not_got_yet(remote: Remote) -> None:
    """Null in one is not sent; the first value makes the column, also where many devices begin at once."""
    wide = table(
        remote.name("item"), {"text": str, **{f"extra{number}": str for number in range(6)}}, references={}
    )
    devices = [remote.device(wide, concurrency=6) for _ in range(2)]
    for place, device in enumerate(devices):
        device[wide].insert({"id": f"n{place}", "text": "nulls", "extra0": None})
        device[wide].insert_many(
            [{"id": f"d{place}-{number}", f"extra{number}": f"{number}"} for number in range(6)]
        )
        device.push()
    for device in devices:
        device.pull(wide, name="all")

    for number in range(6):
        assert f"{number}" == remote.row(wide, f"d1-{number}")[f"extra{number}"]
    assert devices[0][wide].all() == devices[1][wide].all()
