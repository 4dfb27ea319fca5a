"""The remote's own rule: what it is asked, what it may answer, and what comes of each answer."""

import logging
from typing import Any

import pytest

from tests.transports.authority.support import (
    ITEMS,
    LISTS,
    MakeAuthority,
    applied,
    change,
    delete,
    held,
    insert,
    kinds,
    live,
    update,
)
from tidesync.contracts.transport import (
    Absent,
    Applied,
    Change,
    Conflicted,
    Outcome,
    Rejected,
    Unknown,
    Version,
)
from tidesync.errors import ConfigurationError
from tidesync.query import Compare, Field, Value
from tidesync.records import Record, Tombstone, alive, content_of, version_of
from tidesync.stores.memory import MemoryStore
from tidesync.transports.authority import Authority
from tidesync.transports.commits import Write
from tidesync.transports.principal import ANYBODY, Principal, conflicts

ANN = Principal("ann", {"item": Compare("eq", Field("text"), Value("ann"))})
ANN_ALL = Principal("ann", {"item": None})


class Rule:
    """Answers what it is told to, and notes what it was asked."""

    def __init__(self) -> None:
        self.answer: Any = None
        self.asked: list[tuple[Record | None, Record | None, Principal]] = []

    def __call__(self, old: Record | None, new: Record | None, principal: Principal) -> Any:
        self.asked.append((old, new, principal))
        return self.answer(old, new) if callable(self.answer) else self.answer


@pytest.fixture
def rule() -> Rule:
    return Rule()


@pytest.fixture
def ruled(make: MakeAuthority, rule: Rule) -> Authority:
    """An authority with the rule, and one live record that it was not asked about."""
    _ = applied(make(), insert("a", text="x", size=1))
    return make(before_write=rule)


def test_what_a_rule_is_asked(ruled: Authority, rule: Rule) -> None:
    """Old is the live record, new the whole record there would be, with the version that it was made from."""
    first = held(ruled, "a")
    _ = ruled.push([update("a", size=2)], ANN_ALL)
    second = held(ruled, "a")
    _ = applied(ruled, delete("a"), delete("a"), delete("none"))
    gone = ruled.get("item", "a")
    _ = applied(ruled, change("undelete", "a", Tombstone(version_of(gone))))
    _ = applied(ruled, change("insert", "b", Absent(), text="new"))
    content = {"id": "a", "text": "x", "size": 2}
    assert [
        (first, {**content, "version": first["version"]}, ANN_ALL),
        (second, None, ANYBODY),
        (None, {**content, "version": version_of(gone)}, ANYBODY),
        (None, {"id": "b", "text": "new"}, ANYBODY),
    ] == rule.asked


def test_a_rule_may_refuse(ruled: Authority, rule: Rule) -> None:
    """Its refusal is the outcome, changes nothing and is not remembered; the others go on."""
    rule.answer = lambda old, new: Rejected("bad_text", "no") if new and new.get("text") == "bad" else None
    again = change("insert", "b", text="bad", operation="o")
    outcomes = ruled.push([update("a", text="bad"), again, update("a", text="better"), delete("a")])
    no = Rejected("bad_text", "no")
    assert ([no, no], ["Rejected", "Rejected", "Applied", "Applied"]) == (outcomes[:2], kinds(outcomes))
    rule.answer = None
    assert ["Applied"] == kinds(ruled.push([again]))


def test_a_rule_may_amend(ruled: Authority, rule: Rule) -> None:
    """The record that it answers is written whole; its system fields are ignored; the outcome has the copy."""
    rule.answer = lambda old, new: {"text": "amended", "version": "mine", "created_at": "then"}
    [outcome] = applied(ruled, update("a", size=7))
    assert {"id": "a", "text": "amended"} == content_of(held(ruled, "a"))
    assert held(ruled, "a") == outcome.copy
    assert outcome.version == held(ruled, "a")["version"] != "mine"
    [outcome] = applied(ruled, delete("a"))
    assert alive(outcome.copy)


def test_an_amended_operation_is_the_one_that_was_sent(ruled: Authority, rule: Rule) -> None:
    """Sent again it is known, and nobody is asked; with other content its id is taken."""
    rule.answer = lambda old, new: {**new, "text": "amended"}
    sent = change("insert", "b", text="sent", operation="o")
    [first] = applied(ruled, sent)
    count = len(rule.asked)
    assert [Applied(first.version)] == ruled.push([sent])
    [other] = ruled.push([change("insert", "b", text="amended", operation="o")])
    assert (True, count) == (isinstance(other, Rejected), len(rule.asked))


def stale(kind: Any = "update", **content: Any) -> Change:
    return change(kind, "a", Version("other"), **content)


@pytest.mark.parametrize("wanted", [stale(text="y"), insert("a", text="y"), change("insert", "a", text="y")])
def test_a_rule_may_settle_a_conflict(ruled: Authority, rule: Rule, wanted: Change) -> None:
    """Asked where both are alive: None leaves the conflict, a record settles it, a refusal refuses."""
    before = held(ruled, "a")
    assert [Conflicted(before)] == ruled.push([wanted])
    [(old, new, _)] = rule.asked
    assert (before, True) == (old, conflicts(old, new))
    rule.answer = Rejected("no", "no")
    assert [rule.answer] == ruled.push([wanted])
    rule.answer = lambda old, new: {**old, "text": old["text"] + new["text"]}
    [outcome] = applied(ruled, wanted)
    assert {"id": "a", "text": "xy", "size": 1} == content_of(held(ruled, "a"))
    assert Applied(version_of(held(ruled, "a")), held(ruled, "a")) == outcome
    assert before["created_at"] == held(ruled, "a")["created_at"]


def test_a_condition_that_does_not_hold_is_a_conflict(ruled: Authority, rule: Rule) -> None:
    """A rule sees that it conflicts, also where the expectation alone would have held."""
    version = str(held(ruled, "a")["version"])
    wanted = change("update", "a", Version(version), text="y")
    assert [Conflicted(held(ruled, "a"))] == ruled.commit([Write(wanted, condition=lambda copy: False)])
    [(old, new, _)] = rule.asked
    assert conflicts(old, new)


def test_a_rule_is_not_asked_where_one_is_not_alive(ruled: Authority, rule: Rule) -> None:
    """A conflict with nothing, with a tombstone or of a delete stays one."""
    conflicts_ = [stale("delete"), update("none"), change("undelete", "a")]
    assert ["Conflicted"] * 3 == kinds(ruled.push(conflicts_))
    assert [] == rule.asked


def test_a_rule_sees_what_the_principal_sees(ruled: Authority, rule: Rule) -> None:
    """It is not asked about hidden records, and what it answers is confined to the view."""
    hidden = [update("a", text="ann"), insert("a", text="ann"), delete("a")]
    assert ["Conflicted", "Rejected", "Applied"] == kinds(ruled.push(hidden, ANN))
    assert [] == rule.asked
    rule.answer = lambda old, new: {**new, "text": "ben"}
    [outcome] = ruled.push([insert("b", text="ann")], ANN)
    rule.answer = lambda old, new: {**new, "text": "ann"}
    [mended] = ruled.push([insert("b", text="ben")], ANN)
    assert (Rejected, "forbidden", Applied) == (type(outcome), getattr(outcome, "code", ""), type(mended))


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        ({"text": float("nan")}, "invalid_record"),
        ({1: 2}, "invalid_record"),
        ({"_sequence": 1}, "invalid_record"),
        ({"text": "x" * 2000}, "too_large"),
        ({"id": "other"}, "invalid_id"),
        ({"parent": "none"}, "foreign_key"),
        ({"size": "text"}, "invalid_value"),
        ({"other": 1}, "unknown_field"),
    ],
)
def test_what_a_rule_answers_is_checked_as_what_is_sent(
    make: MakeAuthority, rule: Rule, answer: Record, code: str
) -> None:
    """JSON, size, id, references and a closed schema hold for amended content too."""
    rule.answer = answer
    authority = make(before_write={"item": rule}, foreign_keys=True, schema="closed", record_limit=1000)
    outcomes = authority.push([insert("a", text="x"), change("insert", "l", table="list")])
    assert ["Rejected", "Applied"] == kinds(outcomes)
    assert [code] == [outcome.code for outcome in outcomes if isinstance(outcome, Rejected)]
    assert {} == live(authority)


def test_amended_content_may_keep_what_never_fitted(make: MakeAuthority, rule: Rule) -> None:
    """What a record held before the schema was closed stays as it was, unless it is written."""
    _ = applied(make(), insert("a", text=1, odd=2, parent="none"))
    authority = make(before_write=rule, schema="closed", foreign_keys=True)
    rule.answer = lambda old, new: {**new, "size": 5}
    _ = applied(authority, update("a", size=4))
    assert {"id": "a", "text": 1, "odd": 2, "parent": "none", "size": 5} == content_of(held(authority, "a"))


def failing(old: Any, new: Any) -> Any:
    raise RuntimeError(f"it holds {new['text']}")


@pytest.mark.parametrize("answer", [failing, True, "text"])
def test_a_rule_that_fails_is_an_outcome(
    ruled: Authority, rule: Rule, answer: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """That write is unknown, and the others go on; the log has the error's place, and not its text."""
    rule.answer = lambda old, new: rule_of(answer, old, new)
    before = held(ruled, "a")
    with caplog.at_level(logging.ERROR):
        outcomes: list[Outcome] = ruled.push([update("a", text="secret"), insert("b", text="fine")])
    assert ["Unknown", "Applied"] == kinds(outcomes)
    assert isinstance(outcomes[0], Unknown)
    assert [] == [text for text in (outcomes[0].reason, caplog.text) if "secret" in text]
    assert (before, 1) == (held(ruled, "a"), len(caplog.records))
    assert "in ask" in caplog.text


def rule_of(answer: Any, old: Any, new: Any) -> Any:
    if new["text"] == "fine":
        return None
    return answer(old, new) if callable(answer) else answer


def test_a_rule_gets_copies(ruled: Authority, rule: Rule) -> None:
    """What it does to them does nothing."""

    def spoil(old: Any, new: Any) -> None:
        for record in (old, new):
            if record is not None:
                record["tags"].append("spoilt")
                record.clear()

    _ = applied(ruled, update("a", tags=["x"]))
    rule.answer = spoil
    _ = applied(ruled, update("a", size=3), insert("b", tags=[]))
    assert (["x"], []) == (held(ruled, "a")["tags"], held(ruled, "b")["tags"])


def test_rules_are_by_table() -> None:
    """A mapping has rules for some tables, and names none that there is not."""
    seen: list[str] = []

    def note(old: Record | None, new: Record | None, principal: Principal) -> None:
        seen.append(str(new and new["id"]))

    authority = Authority(MemoryStore(), [LISTS, ITEMS], before_write={"list": note}).open()
    _ = applied(authority, insert("a"), change("insert", "l", table="list"))
    assert ["l"] == seen
    bad: list[Any] = [{"nowhere": note}, {"list": 7}, 7]
    for given in bad:
        with pytest.raises(ConfigurationError, match="before_write"):
            _ = Authority(MemoryStore(), [LISTS, ITEMS], before_write=given)


async def waiting(old: Record | None, new: Record | None, principal: Principal) -> Record | None:
    """A rule that would have to be awaited."""
    del old, principal
    return new


class Waiting:
    """The same as an object."""

    async def __call__(self, old: Record | None, new: Record | None, principal: Principal) -> Record | None:
        return await waiting(old, new, principal)


@pytest.mark.parametrize("rule", [waiting, Waiting(), {"item": waiting}])
def test_a_rule_that_would_have_to_wait_is_refused_at_once(rule: Any) -> None:
    """`authorize` may be a coroutine function; a rule is asked inside a transaction, and may not."""
    with pytest.raises(ConfigurationError, match="make it a plain one"):
        _ = Authority(MemoryStore(), [LISTS, ITEMS], before_write=rule)
