"""What a push says where the place fails: what is proved, and no more; and pushes that are too large."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from tests.transports.authority.support import change, insert, kinds, update
from tests.transports.files.clients import Files, applied, client, commits, damaged, held, pull, send
from tests.transports.files.dying import Memory
from tidesync.contracts.transport import (
    Applied,
    Denied,
    NotSent,
    Outcome,
    Rejected,
    Unknown,
    Untried,
)
from tidesync.errors import NotReachable, RemoteUnavailable, TransportError, Unauthorized
from tidesync.transports import FileTransport
from tidesync.transports.files import replica

ERRORS: dict[str, TransportError] = {
    "refused": NotReachable("refused", retry_after=7.0),
    "lost": RemoteUnavailable("no answer"),
    "denied": Unauthorized("who are you"),
}


class Flaky(Memory):
    """A place whose calls fail as `plan` says: by word, what happens to the next calls of commits and lists.

    "before" an error: without effect; "after": it had its effect. "twice" is a create that is sent twice, and hears
    the second answer; "late" one whose effect comes when `arrive` is called. None: it works.
    """

    at_once = 2  # each call is a request: none is made for what was read a moment ago

    def __init__(self, files: Files) -> None:
        super().__init__(files)
        self.plan: dict[str, list[str | None]] = {}
        self.late: list[tuple[str, bytes]] = []

    def _next(self, word: str) -> tuple[str, TransportError | None]:
        planned = self.plan.get(word)
        when, _, what = ((planned.pop(0) if planned else None) or "").partition(" ")
        return when, ERRORS.get(what)

    def _done(self, word: str, do: Callable[[], Any]) -> Any:
        when, error = self._next(word)
        if when == "before" and error is not None:
            raise error
        found = do()
        if when == "after" and error is not None:
            raise error
        return found

    def create(self, name: str, content: bytes) -> bool:
        if self.plan.get("create", [None])[:1] == ["twice"]:
            _ = self.plan["create"].pop(0), super().create(name, content)
        if self.plan.get("create", [None])[:1] == ["late"]:
            _ = self.plan["create"].pop(0)
            self.late.append((name, content))
            raise ERRORS["lost"]
        return self._done("create", lambda: super(Flaky, self).create(name, content))

    def read(self, name: str) -> bytes | None:
        return self._done("read", lambda: super(Flaky, self).read(name))

    def names(self, folder: str, after: str = "") -> list[str]:
        return self._done(folder or "root", lambda: super(Flaky, self).names(folder, after))

    def arrive(self) -> None:
        for name, content in self.late:
            _ = super().create(name, content)


def flaky(files: Files) -> tuple[Flaky, FileTransport]:
    """A client that has read the remote, and its place, which works until it is told otherwise."""
    place = Flaky(files)
    transport = client(place)
    _ = pull(transport)
    return place, transport


DOUBTS: list[tuple[dict[str, list[str | None]], type[Outcome], bool]] = [
    ({"log": ["before refused"]}, NotSent, False),
    ({"log": ["before lost"]}, NotSent, False),
    ({"log": ["before denied"]}, Denied, False),
    ({"create": ["before refused"]}, NotSent, False),
    ({"create": ["before denied"]}, Denied, False),
    ({"create": ["before lost"]}, Unknown, False),
    ({"create": ["before lost"], "read": ["before refused"]}, Unknown, False),
    ({"create": ["after lost"]}, Applied, True),
    ({"create": ["after lost"], "read": ["before refused"]}, Unknown, True),
    ({"create": ["after lost"], "read": ["before lost"]}, Unknown, True),
    ({"create": ["after lost"], "read": ["before denied"]}, Unknown, True),
    ({"create": ["twice"]}, Applied, True),
    ({"create": ["twice"], "read": ["before refused"]}, Unknown, True),
    ({"create": ["twice after lost"]}, Applied, True),
    ({"fences": ["before refused"]}, Unknown, True),
    ({"fences": ["before lost"]}, Unknown, True),
    ({"fences": ["before denied"]}, Unknown, True),
]


@pytest.mark.parametrize(("plan", "expected", "there"), DOUBTS, ids=[str(plan) for plan, _, _ in DOUBTS])
def test_what_is_said_is_what_is_proved(
    plan: dict[str, list[str | None]], expected: type[Outcome], there: bool
) -> None:
    """Not sent only if it certainly is not there, applied only if it is; sent again, it has its effect once."""
    files: Files = {}
    _ = applied(client(files), insert("a"))
    place, transport = flaky(files)
    place.plan = {word: list(steps) for word, steps in plan.items()}
    changes = [insert("b", text="mine"), change("insert", "c", table="nowhere"), update("a", text="mine")]

    outcomes = send(transport, *changes)

    assert [expected, Rejected, expected] == list(map(type, outcomes))
    assert there == ("b" in held(client(files)))
    place.plan = {}
    assert ["Applied", "Rejected", "Applied"] == kinds(send(transport, *changes))
    assert 2 == len(commits(files))
    assert held(transport) == held(client(files))
    assert {"a": "mine", "b": "mine"} == {id: row["text"] for id, row in held(transport).items()}


def test_a_foreign_file_among_the_fences_leaves_no_doubt() -> None:
    """It says nothing of a commit; who begins anew names it."""
    files: Files = {}
    _, transport = flaky(files)
    files["fences/notes.txt"] = b"something else"

    assert ["Applied"] == kinds(send(transport, insert("a")))
    with damaged("fences/notes.txt", "does not belong"):
        _ = pull(client(files))


def test_what_arrives_late_is_found() -> None:
    """A commit that was on its way when its writer gave up has its effect once."""
    files: Files = {}
    place, transport = flaky(files)
    place.plan = {"create": ["late"]}
    lost = insert("a", text="late")

    assert ["Unknown"] == kinds(send(transport, lost))
    place.arrive()
    assert ["Applied", "Applied"] == kinds(send(transport, lost, insert("b")))
    assert [1, 2] == [int(name[4:24]) for name in commits(files)]
    assert ["late", None] == [row.get("text") for row in held(client(files)).values()]


def test_what_arrives_too_late_has_no_effect() -> None:
    """Once the operation was sent again, the number is taken."""
    files: Files = {}
    place, transport = flaky(files)
    place.plan = {"create": ["late"]}
    lost = insert("a", text="late")

    assert ["Unknown"] == kinds(send(transport, lost))
    assert ["Applied"] == kinds(send(transport, lost))
    before = dict(files)
    place.arrive()
    assert before == files


def test_in_doubt_somebody_else_s_commit_settles_it() -> None:
    """If another commit has the number, ours cannot have: it is decided again."""
    files: Files = {}
    other = client(files)
    place, transport = flaky(files)
    place.plan = {"create": ["after lost"]}
    sent: list[Sequence[Outcome]] = []
    first = place.create

    def overtaking(name: str, content: bytes) -> bool:
        place.create = first  # type: ignore[method-assign]
        _ = applied(other, insert("theirs"))
        return first(name, content)

    place.create = overtaking  # type: ignore[method-assign]
    sent.append(applied(transport, insert("mine")))

    assert ["theirs", "mine"] == list(held(other))
    assert 2 == len(commits(files))


@pytest.mark.parametrize("kind", ["before refused", "before lost", "before denied"])
def test_reads_raise_what_the_place_raises(kind: str) -> None:
    """Opening, pulling and getting go on once it works again."""
    files: Files = {}
    _ = applied(client(files), insert("a"))
    place, transport = flaky(files)
    error = type(ERRORS[kind.partition(" ")[2]])
    asked: list[tuple[str, Callable[[], object]]] = [
        ("log", lambda: pull(transport)),
        ("log", lambda: transport.get("item", "a")),
        ("read", lambda: client(place)),
        ("root", lambda: client(place)),
    ]

    for word, ask in asked:
        place.plan = {word: [kind]}
        with pytest.raises(error):
            _ = ask()
        assert ask() is not None


# ---- sizes


def test_a_push_that_is_too_large_for_one_commit_is_several(monkeypatch: pytest.MonkeyPatch) -> None:
    """In the same order; a record that is too large by itself is refused, and the others are not."""
    monkeypatch.setattr(replica, "COMMIT_SIZE", 3_000)
    files: Files = {}
    changes = [insert(f"a{number}", text="x" * (500 if number != 3 else 4_000)) for number in range(8)]

    outcomes = send(client(files), *changes)

    assert ["Applied"] * 3 + ["Rejected"] + ["Applied"] * 4 == kinds(outcomes)
    assert 1 < len(commits(files)) < 8
    assert [f"a{number}" for number in range(8) if number != 3] == list(held(client(files)))


def test_what_follows_a_part_that_was_not_sent_was_not_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    """The parts before it are applied, and said to be."""
    monkeypatch.setattr(replica, "COMMIT_SIZE", 1_500)
    files: Files = {}
    place, transport = flaky(files)
    place.plan = {"create": [None, "before refused"]}

    outcomes = send(transport, *(insert(f"a{number}", text="x" * 500) for number in range(4)))

    assert ["Applied", "NotSent", "Untried", "Untried"] == kinds(outcomes)
    assert ["a0"] == list(held(client(files)))


def test_changes_past_the_limit_are_not_tried() -> None:
    """They come with the next push."""
    outcomes = send(client({}), *(insert(f"a{number}") for number in range(1001)))

    assert [Applied] * 1000 + [Untried] == list(map(type, outcomes))
