"""What outcomes, pulled copies and resolutions do to a head: each outcome against each state."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count, product
from typing import Any

import pytest

from tidesync.conflicts import Defer, Drop, KeepLocal, KeepRemote, Merge, MergeFields, Resolution
from tidesync.contracts.transport import Absent, Expected, Version
from tidesync.operations import Refusal
from tidesync.records import Copy, Record, Tombstone, alive
from tidesync.rules import settle
from tidesync.rules.chain import Entry, Head

BASE: Record = {"id": "A", "a": 0, "b": 0, "version": "v1"}
OURS: Record = {"id": "A", "a": 1, "b": 0}
THEIRS: Record = {"id": "A", "a": 0, "b": 2, "version": "v2"}
ECHO: Record = {"id": "A", "a": 1, "b": 2, "version": "v2"}
GRAVE = Tombstone("v2")


def sent(
    kind: Any, *, attempts: int = 1, generated: bool = False, expected: Expected | None = None
) -> tuple[Head, Entry]:
    """A head whose only operation was marked for sending."""
    content = None if kind == "delete" else dict(OURS)
    fields = {"insert": ("a", "b"), "update": ("a",), "delete": ()}[kind]
    expected = expected or (Absent() if kind == "insert" else Version("v1"))
    base: Copy = None if expected == Absent() else expected if isinstance(expected, Tombstone) else dict(BASE)
    entry = Entry(
        "k", 1, "o", "items", "A", content, generated, "attempted", attempts, None, fields, expected, kind
    )
    return Head("items", "A", base, entries=[entry]), entry


def new_id() -> Callable[[], str]:
    numbers = count(1)
    return lambda: f"new{next(numbers)}"


def marks(entry: Entry) -> tuple[Any, ...]:
    return entry.id, entry.state, entry.attempts, entry.fields, entry.expected, entry.sent_kind


FRESH = ("new1", "pending", 0, None, None, None)


# ---- applied


@pytest.mark.parametrize("kind", ["insert", "update", "delete"])
def test_a_copy_becomes_the_base_and_outdates_waiting_news(kind: str) -> None:
    """`copy` is the remote's as it is now: nothing that waited is newer."""
    head, entry = sent(kind)
    head.remote = {**BASE, "version": "v0"}
    copy: Record | Tombstone = GRAVE if kind == "delete" else dict(THEIRS)
    settle.applied(head, entry, "v2", copy)
    assert (copy, None, []) == (head.base, head.remote, head.entries)


@pytest.mark.parametrize("kind", ["insert", "update"])
def test_news_of_the_version_that_is_told_is_the_copy(kind: str) -> None:
    """A remote that amends what it is sent, and then only remembers it: what was pulled meanwhile is what is there."""
    head, entry = sent(kind)
    head.remote = {"id": "A", "a": "as the remote made it", "b": 0, "version": "v2"}
    amended = dict(head.remote)
    settle.applied(head, entry, "v2", None)
    assert (amended, None, []) == (head.base, head.remote, head.entries)


@pytest.mark.parametrize(
    ("kind", "base"),
    [
        ("insert", {"id": "A", "a": 1, "b": 0, "version": "v2"}),
        ("update", {"id": "A", "a": 1, "b": 0, "version": "v2"}),
        ("delete", Tombstone("v2")),
    ],
)
def test_a_version_alone_makes_what_was_sent_the_base(kind: str, base: Copy) -> None:
    """The fields that were sent over the base they were sent on."""
    head, entry = sent(kind)
    settle.applied(head, entry, "v2", None)
    assert (base, None) == (head.base, head.remote)


@pytest.mark.parametrize(("version", "remote"), [("v3", THEIRS), ("v2", None)])
def test_news_of_another_version_outlives_a_version_alone(version: str, remote: Copy) -> None:
    """It is newer than what a remembered answer tells; of the same version it is no news."""
    head, entry = sent("update")
    head.remote = dict(THEIRS)
    head.entries.append(Entry("k2", 2, "o2", "items", "A", {**OURS, "b": 5}))
    settle.applied(head, entry, version, None)
    assert remote == head.remote


@pytest.mark.parametrize(
    ("later", "copy", "rebased"),
    [
        ({**OURS, "b": 5}, {**ECHO, "b": 2}, {"id": "A", "a": 1, "b": 5}),
        ({**OURS, "a": 7}, {**ECHO, "b": 2}, {"id": "A", "a": 7, "b": 2}),
        ({**OURS, "a": 7}, {**ECHO, "new": 1}, {"id": "A", "a": 7, "b": 2, "new": 1}),
        (None, ECHO, None),
    ],
)
def test_newer_edits_are_rebased_onto_the_copy(
    later: Record | None, copy: Record, rebased: Record | None
) -> None:
    """What they changed stays, what they did not change follows the remote."""
    head, entry = sent("update")
    head.entries.append(Entry("k2", 2, "o2", "items", "A", later))
    settle.applied(head, entry, "v2", dict(copy))
    assert rebased == head.entries[0].content


# ---- conflicted: every row


def expected_verdict(kind: str, doubt: bool, generated: bool, on_grave: bool, found: Copy) -> str:
    """The echo rule in words of its own: what an answer of the remote means for an operation."""
    there = "grave" if not alive(found) else "echo" if found.get("a") == 1 else "other"
    match kind, there:
        case "delete", "grave":
            return "applied"
        case "insert", "grave":
            revivable = not on_grave or found is not None  # of no tombstone at all nothing can have arrived
            return "conflict" if doubt and generated and revivable else "again"
        case "insert", "echo":
            echo = doubt and found == ECHO | {"b": 0}
            if echo or (doubt and generated):
                return "applied"
            return "again" if doubt and on_grave else "conflict"
        case "insert", "other":
            if doubt and generated:
                return "applied"
            return "again" if doubt and on_grave else "conflict"
        case "update", "echo":
            return "applied" if doubt else "conflict"
        case _:
            return "conflict"


FOUND: list[Copy] = [None, GRAVE, THEIRS, ECHO, {**ECHO, "b": 0}]
ROWS = [
    (kind, attempts, generated, grave, found)
    for kind, attempts, generated, grave, found in product(
        ("insert", "update", "delete"), (1, 2), (False, True), (False, True), FOUND
    )
    if kind == "insert" or not grave
]


@pytest.mark.parametrize(("kind", "attempts", "generated", "grave", "found"), ROWS)
def test_every_conflict_is_an_echo_a_way_on_or_a_conflict(
    kind: str, attempts: int, generated: bool, grave: bool, found: Copy
) -> None:
    """Each kind, first send or resend, made or chosen id, on a grave or on nothing, against each copy."""
    head, entry = sent(
        kind, attempts=attempts, generated=generated, expected=Tombstone("v0") if grave else None
    )
    before = head.base
    verdict = settle.conflicted(head, entry, found, new_id())
    assert expected_verdict(kind, attempts > 1, generated, grave, found) == verdict
    nothing_left = kind == "insert" and grave and found is None
    grave_or_found = found if found is not None or nothing_left else Tombstone()
    if verdict == "applied":
        assert (grave_or_found, None, []) == (head.base, head.remote, head.entries)
    elif verdict == "again":
        assert (grave_or_found, None, [entry], FRESH) == (head.base, head.remote, head.entries, marks(entry))
    else:
        arrived = kind == "insert" and not alive(found)
        assert ({**OURS, "version": None} if arrived else before, grave_or_found) == (head.base, head.remote)
        assert ([entry], FRESH) == (head.entries, marks(entry))


def test_undeleted_goes_on_from_what_came_back() -> None:
    """The revived record is the base; the operation is a new one."""
    head, entry = sent("insert", expected=Tombstone("v1"))
    settle.undeleted(head, entry, dict(THEIRS), new_id())
    assert (THEIRS, None, FRESH) == (head.base, head.remote, marks(entry))


# ---- news


@pytest.mark.parametrize(
    ("base", "copy", "news"),
    [
        (BASE, BASE, False), (BASE, {**BASE, "a": 9}, False), (BASE, THEIRS, True), (BASE, GRAVE, True),
        (None, THEIRS, True), (None, GRAVE, True),
        (GRAVE, GRAVE, False), (GRAVE, Tombstone("v3"), True), (GRAVE, THEIRS, True), (BASE, Tombstone("v1"), True),
        ({"id": "A", "a": 0}, {"id": "A", "a": 0}, False), ({"id": "A", "a": 0}, {"id": "A", "a": 1}, True),
        ({"id": "A"}, {"id": "A", "version": "v1"}, True),
        (Tombstone(), Tombstone(), False),
    ],
)  # fmt: skip
def test_a_copy_of_the_bases_version_is_no_news(base: Copy, copy: Any, news: bool) -> None:
    """Without versions, content decides; alive or not always does."""
    assert news == settle.is_news(Head("items", "A", base), copy)


STATES: list[tuple[Any, Copy, Record | None]] = [
    (state, base, content)
    for state, base, content in product(("pending", "attempted", "failed"), (None, GRAVE, BASE), (OURS, None))
    if base == BASE or content
]


@pytest.mark.parametrize(("state", "base", "content"), STATES)
@pytest.mark.parametrize("copy", [THEIRS, Tombstone("v3")], ids=["record", "tombstone"])
def test_news_meets_every_state(state: Any, base: Copy, content: Record | None, copy: Any) -> None:
    """Attempted: only kept. Nobody alive: the new base, nobody is asked. Else: in conflict."""
    head = Head("items", "A", base, entries=[Entry("k", 1, "o", "items", "A", content, state=state)])
    asked = settle.arrives(head, copy)
    nobody = not alive(copy) and (content is None or not alive(base))
    if state == "attempted":
        assert (False, copy, base, False) == (asked, head.remote, head.base, head.in_conflict)
    elif nobody:
        assert (False, None, copy, False) == (asked, head.remote, head.base, head.in_conflict)
    else:
        assert (True, copy, base, True) == (asked, head.remote, head.base, head.in_conflict)


def test_nothing_but_news_before_an_unsent_operation_marks_a_conflict() -> None:
    """A head without news, without operations, or whose first operation was sent is in no conflict."""
    unsent, marked = (
        Entry("k", 1, "o", "items", "A", OURS),
        Entry("k", 1, "o", "items", "A", OURS, state="attempted"),
    )
    assert [False, False, False, True] == [
        Head("items", "A", BASE, None, entries=[unsent]).in_conflict,
        Head("items", "A", BASE, THEIRS).in_conflict,
        Head("items", "A", BASE, THEIRS, entries=[marked]).in_conflict,
        Head("items", "A", BASE, THEIRS, entries=[unsent]).in_conflict,
    ]


# ---- resolve

ANSWERS: list[Resolution] = [
    Defer(),
    KeepLocal(),
    KeepRemote(),
    Drop(),
    MergeFields("local"),
    MergeFields("remote"),
    Merge({"id": "A", "a": 8}),
]


def expected_content(answer: Resolution, here: Record | None, there: Copy) -> Any:
    """What is left to send after an answer; "nothing" where the remote's copy wins."""
    here_b = None if here is None else {**here}
    match answer:
        case KeepRemote() | Drop():
            return "nothing"
        case KeepLocal():
            return "nothing" if here is None and not alive(there) else here_b
        case MergeFields(prefer):
            if (here is None) != (not alive(there)):
                return here_b if prefer == "local" else "nothing"
            if here is None:
                return "nothing"
            return {"id": "A", "a": 1, "b": 2}
        case Merge():
            if here is None and not alive(there):
                return "nothing"
            return {"id": "A", "a": 8, "b": None} if alive(there) else {"id": "A", "a": 8}
        case _:
            raise AssertionError(answer)


@pytest.mark.parametrize("there", [THEIRS, GRAVE], ids=["changed there", "deleted there"])
@pytest.mark.parametrize("here", [OURS, None], ids=["edited here", "deleted here"])
@pytest.mark.parametrize("state", ["pending", "failed"])
@pytest.mark.parametrize("answer", ANSWERS, ids=str)
def test_every_answer_to_every_conflict(
    answer: Resolution, state: Any, here: Record | None, there: Any
) -> None:
    """The copy becomes the base, operations are rewritten under new ids; defer changes nothing. [G30] [G32]"""
    error = Refusal("x", "y") if state == "failed" else None
    entry = Entry("k", 1, "o", "items", "A", None if here is None else dict(here), state=state, error=error)
    head = Head("items", "A", dict(BASE), there, entries=[entry])
    done = settle.resolve(head, answer, new_id())
    if isinstance(answer, Defer):
        assert (False, BASE, there, "o", state) == (done, head.base, head.remote, entry.id, entry.state)
        return
    left = expected_content(answer, here, there)
    assert done
    if left == "nothing":
        assert [] == head.entries
        assert there == (head.remote if head.remote is not None else head.base)
    else:
        assert (there, None, left) == (head.base, head.remote, entry.content)
        assert (*FRESH, None) == (*marks(entry), entry.error)


def test_an_answer_without_news_does_nothing() -> None:
    """There is no conflict to settle."""
    head = Head("items", "A", dict(BASE), entries=[Entry("k", 1, "o", "items", "A", dict(OURS))])
    assert (False, "o") == (settle.resolve(head, KeepRemote(), new_id()), head.entries[0].id)


def test_every_queued_operation_is_merged() -> None:
    """Each of several operations of the record is rewritten over the news."""
    entries = [
        Entry("k1", 1, "o1", "items", "A", dict(OURS)),
        Entry("k2", 2, "o2", "items", "A", {**OURS, "a": 5}),
    ]
    head = Head("items", "A", dict(BASE), dict(THEIRS), entries=entries)
    assert settle.resolve(head, MergeFields(), new_id())
    assert [{"id": "A", "a": 1, "b": 2}, {"id": "A", "a": 5, "b": 2}] == [
        entry.content for entry in head.entries
    ]
    assert ["new1", "new2"] == [entry.id for entry in head.entries]
