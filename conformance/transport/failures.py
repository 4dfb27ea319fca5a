"""Rules about what goes wrong on the wire, and how it is told."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import attrs

from tidesync.conformance.expect import RuleBroken, fail, true
from tidesync.conformance.rules import rule
from tidesync.conformance.transport.bench import TransportBench
from tidesync.conformance.transport.copies import (
    again,
    check_content,
    check_copy,
    check_gone,
    check_settled,
    push,
    push_all,
)
from tidesync.conformance.transport.tables import TABLES, THING
from tidesync.contracts.transport import (
    Applied,
    Change,
    Denied,
    NotSent,
    Outcome,
    PullRequest,
    Rejected,
    Transport,
    Unknown,
    Untried,
    Version,
)
from tidesync.errors import (
    NotReachable,
    ProtocolError,
    RemoteUnavailable,
    TransportError,
    Unauthorized,
)
from tidesync.query import Query
from tidesync.records import Copy, Record

_SIZES = (1_000, 10_000, 100_000, 1_000_000, 4_000_000)


class Failures:
    """Rules about what goes wrong on the wire, and how it is told."""

    @rule("TRANSPORT-50", "It certainly did not arrive", requires=("wire",))
    def test_a_refused_connection_is_not_sent(self, bench: TransportBench) -> None:
        """Where connections are refused, every change is `NotSent` or `Untried`, and goes through once they are not.

        Why: most pushes that fail are made without a network; taken for sent, no edit could be merged with the next.
        Look at: one class for all errors of the network: "could not connect" proves more than "no reply".
        """
        story = _Story(bench)
        story.push(bench.wire.refuse, NotSent)
        story.check_without_effect()
        story.check_sent_again(first=True)

    @rule("TRANSPORT-51", "it may be in effect, or may yet come into effect", requires=("wire",))
    def test_a_lost_request_is_a_doubt(self, bench: TransportBench) -> None:
        """Where nothing comes back, a change is `Unknown`, not refused and not done; sent again it is applied.

        Why: the client cannot know whether it was the request or the reply that was lost.
        Look at: a time-out or a broken connection told as `NotSent` or `Rejected`.
        """
        story = _Story(bench)
        story.push(bench.wire.lose_request, Unknown)
        story.check_without_effect()
        story.check_sent_again()

    @rule("TRANSPORT-52", "it may be in effect, or may yet come into effect", requires=("wire",))
    def test_a_lost_reply_is_a_doubt(self, bench: TransportBench) -> None:
        """Where a change takes effect and its reply is lost, it is `Unknown`; sent again it has no second effect.

        Why: the edit is at the remote; told as not sent, it would be made twice, or be a conflict with itself.
        Look at: requests that are sent again by the HTTP library; a broken connection told as `NotSent`.
        """
        story = _Story(bench)
        story.push(bench.wire.lose_reply, Unknown)
        story.check_sent_again()

    @rule("TRANSPORT-53", "Timeout, 5xx or an unreadable reply", requires=("wire",))
    def test_an_unreadable_reply_to_a_push_is_a_doubt(self, bench: TransportBench) -> None:
        """Where a reply ends in the middle or cannot be read, a change is `Unknown`: only what it says whole counts.

        Why: a proxy answers with its own page, a phone leaves the cell: what was done must not be guessed.
        Look at: a status that is believed without its body; lines after the one that is broken; a parser's exception.
        """
        for fault in (bench.wire.garble_reply, bench.wire.truncate_reply):
            story = _Story(bench)
            story.push(fault, Unknown)
            story.check_sent_again()

    @rule("TRANSPORT-54", "Timeout, 5xx or an unreadable reply", requires=("wire",))
    def test_a_failure_inside_the_remote_is_a_doubt(self, bench: TransportBench) -> None:
        """Where the remote answers that it failed inside, a change is `Unknown`, never `Rejected`.

        Why: a refusal is final: the user's edit would be set aside because a server was restarted.
        Look at: every status from 400 on taken for a refusal.
        """
        story = _Story(bench)
        story.push(bench.wire.fail, Unknown)
        story.check_without_effect()
        story.check_sent_again()

    @rule("TRANSPORT-55", "Credentials were refused, also after one refresh", requires=("wire",))
    def test_refused_credentials_are_denied(self, bench: TransportBench) -> None:
        """Where credentials are refused, every change is `Denied` or `Untried`, and goes through once they are taken.

        Why: the user must log in again, and lose nothing; a refusal would set every edit aside.
        Look at: 401 among the other refusals; a client that goes on with the next change, and the next.
        """
        story = _Story(bench)
        story.push(bench.wire.deny, Denied)
        story.check_without_effect()
        story.check_sent_again(first=True)

    @rule("TRANSPORT-56", "raise `NotReachable`, `RemoteUnavailable`", requires=("wire",))
    def test_reads_say_that_the_remote_is_not_there(self, bench: TransportBench) -> None:
        """Where nothing arrives or nothing comes back, reads raise `NotReachable` or `RemoteUnavailable`.

        Why: "offline" is shown to the user by these errors; an empty page would say that everything is gone.
        Look at: exceptions of the HTTP library that come through; None or an empty page for what failed.
        """
        _reads(bench, bench.wire.refuse, NotReachable)
        _reads(bench, bench.wire.lose_request, RemoteUnavailable)
        _reads(bench, bench.wire.lose_reply, RemoteUnavailable)

    @rule("TRANSPORT-57", "`RequestRefused` or `ProtocolError`", requires=("wire",))
    def test_reads_say_that_a_reply_is_unreadable(self, bench: TransportBench) -> None:
        """Where a reply cannot be read, or ends in the middle, reads raise `ProtocolError` or `RemoteUnavailable`.

        Why: half of a page that is taken for all of it, with its cursor, loses the other half for good.
        Look at: a page that is put together from the lines that could be read.
        """
        _reads(bench, bench.wire.garble_reply, ProtocolError, RemoteUnavailable)
        _reads(bench, bench.wire.truncate_reply, ProtocolError, RemoteUnavailable)

    @rule("TRANSPORT-58", "raise `NotReachable`, `RemoteUnavailable`, `Unauthorized`", requires=("wire",))
    def test_reads_say_why_the_remote_does_not_answer(self, bench: TransportBench) -> None:
        """Reads raise `RemoteUnavailable` where the remote failed inside, `Unauthorized` where credentials are refused.

        Why: the one is to be tried again later, for the other the user must log in.
        Look at: one error for every status that is not 200.
        """
        _reads(bench, bench.wire.fail, RemoteUnavailable)
        _reads(bench, bench.wire.deny, Unauthorized)

    @rule("TRANSPORT-59", "will not take this content: too large, say, or unfit")
    def test_a_large_record_arrives_whole_or_is_rejected(self, bench: TransportBench) -> None:
        """A record of any size is `Applied` and read back whole, or `Rejected` and not there; 10 kB are taken.

        Why: `Unknown` would be sent again for ever, and hold up all that comes after it; a cut text is lost.
        Look at: what a server, and what stands before it, answers to a large body; columns of a fixed width.
        """
        one, other = bench.pair()
        for letter in ("a", "\u00e9", "\U0001f3a3"):
            for size in _SIZES:
                record: Record = {"id": bench.id("large"), "text": letter * (size // len(letter.encode()))}
                if not bench.domain.legal(record):
                    continue
                what = f"an insert with {size} bytes of {letter!a}"
                outcome = _judged(bench, one, bench.change("insert", str(record["id"]), record), what)
                held = other.get(THING.name, str(record["id"]))
                if isinstance(outcome, Applied):
                    check_content(record, held, f"{what}: Applied, and get()")
                else:
                    check_gone(held, f"{what}: Rejected, and get()")
                    true(size > 10_000, f"{what} is {outcome!a:.200}: narrow the domain if that is so")
                    break

    @rule(
        "TRANSPORT-60", "will not take this content: too large, say, or unfit", requires=("batch", "ordered")
    )
    def test_a_record_that_is_too_large_does_not_stop_the_rest(self, bench: TransportBench) -> None:
        """A change that is too large is judged by itself: the others of its push are `Applied`.

        Why: one photograph would keep a whole day of edits on the device.
        Look at: a request that is too large as a whole, and refused as a whole.
        """
        one, other = bench.pair()
        size = min(3, bench.capabilities.max_changes)
        large = "a" * _SIZES[-1]
        for place in range(size):
            ids = [bench.id("beside") for _ in range(size)]
            contents: list[Record] = [{"text": large if n == place else "small"} for n in range(size)]
            changes = [bench.change("insert", id, content) for id, content in zip(ids, contents, strict=True)]
            for n, (change, outcome) in enumerate(zip(changes, push(one, changes), strict=True)):
                what = f"place {n} of {size}, where place {place} has {len(large)} letters"
                if n == place and isinstance(outcome, Rejected):
                    check_gone(other.get(THING.name, change.record_id), f"{what}: Rejected, and get()")
                    continue
                true(isinstance(outcome, Applied), f"{what}: expected Applied, found {outcome!a:.200}")
                check_content(change.record or {}, other.get(THING.name, change.record_id), what)

    @rule("TRANSPORT-61", "`max_changes` and `max_bytes` bound one push", requires=("size_limit",))
    def test_changes_up_to_max_bytes_are_taken(self, bench: TransportBench) -> None:
        """Changes of `max_bytes` together are taken in one push; one that has more is `Applied` whole or `Rejected`.

        Why: the engine fills pushes up to this; one that is refused whole is sent again whole, for ever.
        Look at: what the wire adds to the records: names, escapes, base64; a limit of the request that is lower.
        """
        one, other = bench.pair()
        limit = bench.capabilities.max_bytes or 0
        count = min(8, bench.capabilities.max_changes)
        each = max(0, min(limit // count - 250, 500_000))
        changes = [bench.change("insert", bench.id("full"), {"text": "a" * each}) for _ in range(count)]
        for place, outcome in enumerate(push(one, changes)):
            true(
                isinstance(outcome, Applied),
                f"place {place} of {count}: expected Applied, found {outcome!a:.200}",
            )
        record: Record = {"id": bench.id("over"), "text": "a" * min(limit + 1, 8_000_000)}
        change = bench.change("insert", str(record["id"]), record)
        outcome = _judged(bench, one, change, "a change that has more than max_bytes")
        held = other.get(THING.name, change.record_id)
        if isinstance(outcome, Applied):
            check_content(record, held, "Applied, and get()")
        else:
            check_gone(held, "Rejected, and get()")


@attrs.define
class _Story:
    """An insert, an update and a delete that are pushed over a wire that fails, and once more when it is whole."""

    bench: TransportBench
    one: Transport = attrs.field(init=False)
    other: Transport = attrs.field(init=False)
    changes: list[Change] = attrs.field(init=False)
    before: dict[str, Copy] = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        bench = self.bench
        self.one, self.other = bench.pair()
        updated, deleted = bench.id("updated"), bench.id("deleted")
        version = bench.insert(self.other, updated, text="a", number=1)
        self.changes = [
            bench.change("insert", bench.id("inserted"), {"text": "new"}),
            bench.change("update", updated, {"text": "b", "number": 1}, Version(version), fields=["text"]),
            bench.change("delete", deleted, None, Version(bench.insert(self.other, deleted, text="a"))),
        ]
        self.before = {change.record_id: self.held(change) for change in self.changes}

    def held(self, change: Change) -> Copy:
        """What another client reads."""
        return self.other.get(THING.name, change.record_id)

    def push(self, fault: Callable[[], None], wanted: type[Outcome]) -> None:
        """Push over the failing wire: the outcomes are of the wanted class, or `Untried` because of one that is."""
        name = getattr(fault, "__name__", "")
        size = max(1, self.bench.capabilities.max_changes)
        for start in range(0, len(self.changes), size):
            part = self.changes[start : start + size]
            outcomes = _over(self.bench, fault, self.one, part)
            true(
                any(not isinstance(outcome, Untried) for outcome in outcomes),
                f"over a wire that does {name}: every outcome is Untried, and none says why",
            )
            for change, outcome in zip(part, outcomes, strict=True):
                what = f"{change.kind} over a wire that does {name}"
                if isinstance(outcome, Applied) and name == "truncate_reply":
                    # What is whole of a reply may count.
                    self.check_in_effect(change, what)
                elif not isinstance(outcome, wanted | Untried):
                    fail(f"{what}: expected {wanted.__name__}, found {outcome!a:.300}")

    def check_without_effect(self) -> None:
        """Nothing has happened."""
        for change in self.changes:
            check_copy(
                self.before[change.record_id], self.held(change), f"get() of what no {change.kind} reached"
            )

    def check_in_effect(self, change: Change, what: str) -> None:
        """The change has had its effect."""
        if change.record is None:
            check_gone(self.held(change), f"get() after {what}")
        else:
            check_content(change.record, self.held(change), f"get() after {what}")

    def check_sent_again(self, *, first: bool = False) -> None:
        """Everything goes through now, and what was in effect has no second one. `first`: it was never in doubt."""
        before = [self.held(change) for change in self.changes]
        sent = self.changes if first else list(map(again, self.changes))
        outcomes = push_all(self.bench, self.one, sent)
        for change, was, outcome in zip(sent, before, outcomes, strict=True):
            what = f"{change.kind}, sent again over a wire that is whole"
            check_settled(outcome, change, what)
            self.check_in_effect(change, what)
            if change.record is not None and was != self.before[change.record_id]:
                check_copy(was, self.held(change), f"{what}: it was in effect already, and get()")


def _over(
    bench: TransportBench, fault: Callable[[], None], client: Transport, changes: Sequence[Change]
) -> list[Outcome]:
    """Push over a failing wire, which is whole afterwards; a push that raises breaks the contract."""
    fault()
    try:
        return push(client, changes)
    except RuleBroken:
        raise
    except Exception as error:  # noqa: BLE001  # it is told
        fail(f"push() raised {type(error).__name__}: {error}: what goes wrong on the wire is an outcome")
    finally:
        bench.wire.heal()


def _reads(bench: TransportBench, fault: Callable[[], None], *kinds: type[TransportError]) -> None:
    """`get` and `pull` raise one of these, `open` that or nothing; once the wire is whole, they are as before."""
    one, other = bench.pair()
    id = bench.id()
    _ = bench.insert(other, id, text="a")
    wanted = " or ".join(kind.__name__ for kind in kinds)
    page = PullRequest(query=Query(THING.name))
    asked: list[tuple[str, Callable[[], object]]] = [
        ("get()", lambda: one.get(THING.name, id)),
        ("pull()", lambda: one.pull(page)),
        ("open()", lambda: one.open(list(TABLES))),
    ]
    for call, ask in asked:
        if call == "open()":
            one.close()
        fault()
        found: object = None
        try:
            found = ask()
        except kinds:
            continue
        except Exception as error:  # noqa: BLE001  # it is told
            found = error
        finally:
            bench.wire.heal()
        if call != "open()" or isinstance(found, Exception):
            name = getattr(fault, "__name__", "")
            fail(f"{call} over a wire that does {name}: expected {wanted}, found {found!a:.300}")
    _ = one.open(list(TABLES))
    check_content({"id": id, "text": "a"}, one.get(THING.name, id), "get() over a wire that is whole")
    true(id in bench.drain(one).records, "the record is missing in a pull over a wire that is whole")


def _judged(bench: TransportBench, client: Transport, change: Change, what: str) -> Applied | Rejected:
    """The outcome of a change that the remote may take or not."""
    try:
        outcome = bench.send(client, change)
    except RuleBroken:
        raise
    except Exception as error:  # noqa: BLE001  # it is told
        fail(
            f"{what}: push() raised {type(error).__name__}: {error!s:.200}: Rejected says that it is not taken"
        )
    if not isinstance(outcome, Applied | Rejected):
        fail(f"{what}: expected Applied or Rejected, found {outcome!a:.300}")
    return outcome
