"""The engine with one rule broken, for each rule that DESIGN marks as found by running its opposite.

A mutant replaces a few functions while a run lasts. `rule` names it as `RULES` does; a rule may have several.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest.mock import patch

import attrs

from tests.simulation.plain import PlainLink, in_doubt
from tidesync import arriving, lease, queue, sending, settling
from tidesync.contracts.transport import Anything, Applied, Unknown
from tidesync.lease import Lease
from tidesync.ledger import Ledger
from tidesync.plans import settle as asking
from tidesync.queue import Queue
from tidesync.records import alive, version_of
from tidesync.rules import settle
from tidesync.transports.commits import Work

RULES: dict[str, str | None] = {
    "a field named later moves to its column": "test_a_new_column_takes_over_what_was_unknown",
    "an object from an older copy is stale": "test_an_object_from_an_older_copy_is_stale",
    "heads per record": None,
    "revision never reused": None,
    "attempted frozen": None,
    "leaving without being applied": None,
    "after a refusal": None,
    "collapse never breaks order": None,
    "failed always collapses": None,
    "one lease per store": None,
    "applied copy as it is now": None,
    "undeleted alone": None,
    "unknown stays attempted": None,
    "not sent: back to its state": None,
    "echo": None,
    "settling a conflict": None,
    "last write wins with a version": None,
    "news while in doubt is only kept": None,
    "quarantine in the page's transaction": "test_what_cannot_be_stored_goes_to_quarantine_and_the_cursor_moves",
    "overlap from where the pull began": None,
    "the window decides": "test_what_was_delivered_inside_the_window_is_known_by_id_and_version",
    "a pending delete belongs by its base": "test_a_pending_delete_belongs_to_the_query_by_its_base",
    "a reply remembered carries no record": None,
    # Found by this simulation:
    "moved operations are looked at again": None,
    "a departure is remembered until it is dealt with": None,
}
"""The rules that DESIGN marks, in its order. None: mutants here break it. Else: the test that shows it, because it is
about one device and one moment, and no schedule would add to it."""


@attrs.frozen
class Mutant:
    """A broken rule, and a profile in which it shows; `replaces` gives what to put where."""

    name: str
    rule: str
    profile: str
    replaces: Callable[[], Sequence[tuple[object, str, object]]]
    start: int = 0

    @contextmanager
    def __call__(self) -> Iterator[None]:
        """The rule is broken inside."""
        with ExitStack() as stack:
            for where, name, instead in self.replaces():
                stack.enter_context(patch.object(where, name, instead))
            yield


MUTANTS: dict[str, Mutant] = {}
_Replaces = Callable[[], Sequence[tuple[object, str, object]]]


def mutant(rule: str, *profiles: str, start: int = 0) -> Callable[[_Replaces], _Replaces]:
    """Register a mutant under its function's name."""

    def register(replaces: _Replaces) -> _Replaces:
        for profile in profiles:
            name = replaces.__name__.replace("_", "-")
            key = name if len(profiles) == 1 else f"{name} ({profile})"
            MUTANTS[key] = Mutant(key, rule, profile, replaces, start)
        return replaces

    return register


# ---- heads


@mutant("heads per record", "authority-keepremote", "plain-resolve")
def remote_of_an_operation():
    """The news goes with the operation that it was noted at."""
    fold = Queue._fold

    def mutated(self, head, old, new):
        folded = fold(self, head, old, new)
        if folded:
            head.remote = None
        return folded

    return [(Queue, "_fold", mutated)]


@mutant("heads per record", "authority-single")
def base_of_an_operation():
    """Each operation keeps the base that it began from."""
    applied = settle.applied

    def mutated(head, entry, version, copy):
        base = head.base
        applied(head, entry, version, copy)
        if head.entries and alive(base):
            head.base = base

    return [(settle, "applied", mutated)]


@mutant("revision never reused", "authority-discard", "authority-mixed")
def revision_of_the_head():
    """The revision starts again with each new head."""

    def mutated(self, head):
        head.revision += 1
        self.save(head)

    return [(Ledger, "touch", mutated)]


# ---- collapse


@mutant("attempted frozen", "authority-merge", "plain-merge")
def attempted_collapses():
    """A new edit changes what may be at the remote."""
    return [(queue, "may_collapse", lambda state: True)]


@mutant("attempted frozen", "authority-merge", "plain-merge")
def resend_is_another():
    """What was in doubt is sent again as another operation."""
    mark_one = sending._mark_one

    def mutated(queue, head):
        entry = head.entries[0]
        if entry.state == "attempted":
            attempts = entry.attempts
            entry.renew(queue.ledger.new_id())
            entry.attempts = attempts
        return mark_one(queue, head)

    return [(sending, "_mark_one", mutated)]


@mutant("leaving without being applied", "authority-discard")
def leaving_for_base():
    """A record whose operations went becomes the base, whatever news there is."""
    show = Queue._show

    def mutated(self, head):
        if not head.entries:
            head.remote = None
        show(self, head)

    return [(Queue, "_show", mutated)]


def _no_recollapse(self, head):
    for entry in list(head.entries):
        if entry.state != "attempted" and queue.vanishes(queue.before(head, entry), entry.content):
            self._remove(head, entry)
    self.ledger.touch(head)
    for entry in head.entries:
        if entry.state != "attempted":
            self._reblock(head, entry)
    self._show(head)


@mutant("after a refusal", "authority-merge")
def refused_stays():
    """What was edited behind a refused operation waits behind it for ever."""
    return [(Queue, "finish", _no_recollapse)]


@mutant("after a refusal", "authority-merge")
def failed_is_frozen():
    """A local edit does not mend a failed operation."""
    return [(queue, "may_collapse", lambda state: state == "pending")]


def _place(answer):
    def mutated(old_state, content, *, old_depends, new_depends):
        return answer(old_state, content, old_depends, new_depends)

    return [(queue, "place", mutated)]


@mutant(
    "collapse never breaks order",
    "authority-single",
    "plain-single",
    "authority-single-undeclared",
    "plain-fk-nodel",
)
def always_the_old_place():
    """The result of a collapse stands where the older one stood."""
    return _place(lambda state, content, old, new: "old")


@mutant("collapse never breaks order", "authority-single", "plain-single", "plain-single-undeclared")
def always_the_new_place():
    """The result of a collapse stands where the newer one stood."""
    return _place(lambda state, content, old, new: "new")


@mutant("failed always collapses", "authority-del-local", "plain-del-local")
def failed_may_stay_apart():
    """A failed operation that may not move does not collapse."""
    return _place(lambda state, content, old, new: "old" if not new else "new" if not old else "both")


@mutant("moved operations are looked at again", "authority-del-local")
def moved_in_silence():
    """Nobody hears that the operation which they wait for stands elsewhere now."""
    return [(Ledger, "moved", lambda self, head, entry: False)]


# ---- push


@mutant("one lease per store", "authority-shared", "plain-shared")
def lease_for_everyone():
    """Whoever asks has the lease."""

    def take(transaction, now, holder):
        return 1

    return [(lease, "_take", take), (Lease, "check", lambda self, transaction, now: None)]


@mutant("one lease per store", "authority-shared")
def lease_without_fencing():
    """One that was held up for too long goes on."""
    return [(Lease, "check", lambda self, transaction, now: None)]


@mutant("applied copy as it is now", "plain-merge3")
def edits_are_not_rebased():
    """What was edited during a send keeps the fields of then."""

    def mutated(head, entry, version, copy):
        later = [(each, each.content) for each in head.entries[1:]]
        applied(head, entry, version, copy)
        for each, content in later:
            each.content = content

    applied = settle.applied
    return [(settle, "applied", mutated)]


@mutant("applied copy as it is now", "authority-crowd", "authority-merge3")
def news_outlives_nothing():
    """News that waited is forgotten when only a version is told."""

    def mutated(head, entry, version, copy):
        head.remote = None
        applied(head, entry, version, copy)

    applied = settle.applied
    return [(settle, "applied", mutated)]


@mutant("applied copy as it is now", "plain-crowd", "plain-merge3")
def news_outlives_the_copy():
    """News that waited counts as newer than the copy that the remote answers with."""

    def mutated(head, entry, version, copy):
        news = head.remote
        applied(head, entry, version, copy)
        if news is not None and version_of(news) != version:
            if head.entries:
                _ = settle.arrives(head, news)
            else:
                head.remote = news

    applied = settle.applied
    return [(settle, "applied", mutated)]


@mutant("a reply remembered carries no record", "authority-crowd", "authority-merge3")
def reply_of_then():
    """The authority answers a resend with the record as it was then."""
    kept: dict[str, Any] = {}
    apply = Work.apply

    def mutated(self, effect):
        outcome = apply(self, effect)
        key = (id(self.transaction._store), effect.change.id)  # type: ignore[attr-defined]
        if isinstance(outcome, Applied) and outcome.copy is not None:
            kept[key] = outcome.copy
        elif isinstance(outcome, Applied) and alive(kept.get(key)):
            return Applied(outcome.version, dict(kept[key]))
        return outcome

    return [(Work, "apply", mutated)]


@mutant("undeleted alone", "plain-revive")
def undelete_and_update_at_once():
    """Reviving goes on with the content in the same exchange."""
    revive = PlainLink.revive

    def mutated(self, key, etag, change) -> Generator[Any, Any, Any]:
        outcome = yield from revive(self, key, etag, change)
        if type(outcome).__name__ != "Undeleted":
            return outcome
        body = {field: (change.record or {}).get(field) for field in change.fields}
        version = str(outcome.record["version"])
        reply = yield self.call_of(change, key, body, version)
        if in_doubt(reply) is not None:
            return Unknown("undeleted, and not known whether it was written")
        return (yield from self.meaning(change, key, reply))

    return [(PlainLink, "revive", mutated)]


@mutant("unknown stays attempted", "authority-merge", "plain-merge")
def unknown_is_not_sent():
    """What is in doubt counts as never sent."""

    def mutated(entry, sent, reason, run):
        entry.renew(entry.id)
        doubt(entry, sent, reason, run)

    doubt = settling._doubt
    return [(settling, "_doubt", mutated)]


@mutant("not sent: back to its state", "plain-merge", "authority-merge")
def not_sent_is_pending():
    """A send that never left takes the doubt of the one before it away."""
    unmark = settling._unmark

    def mutated(queue, head, entry, sent):
        sent.was = "pending"
        unmark(queue, head, entry, sent)

    return [(settling, "_unmark", mutated)]


# ---- echo and conflicts


@mutant("echo", "plain-merge")
def no_echo():
    """Our own earlier success is a conflict."""
    return [(settle, "echoes", lambda sent, fields, found: False)]


@mutant("echo", "authority-keeplocal", "plain-keeplocal")
def echo_without_doubt():
    """What happens to be equal counts as our own, also on the first send."""

    def mutated(head, entry, found, new_id):
        entry.attempts += 1
        return conflicted(head, entry, found, new_id)

    conflicted = settle.conflicted
    return [(settle, "conflicted", mutated)]


@mutant("echo", "plain-merge")
def generated_is_nothing_special():
    """An insert under an id of our own that comes back changed is a conflict."""

    def mutated(head, entry, found, new_id):
        entry.generated = False
        return conflicted(head, entry, found, new_id)

    conflicted = settle.conflicted
    return [(settle, "conflicted", mutated)]


@mutant("settling a conflict", "authority-del-local", "plain-del-local")
def nobody_alive_is_a_conflict():
    """A tombstone that meets an insert is news to be decided on."""

    def mutated(head, copy):
        if head.entries and head.entries[0].state == "attempted":
            head.remote = copy
            return False
        head.remote = copy
        return True

    return [(settle, "arrives", mutated)]


@mutant("settling a conflict", "authority-merge")
def answer_keeps_the_base():
    """A decided conflict goes on from the base of before."""

    def mutated(head, answer, new_id):
        base = head.base
        done = resolve(head, answer, new_id)
        if done and head.entries:
            head.base = base
        return done

    resolve = settle.resolve
    return [(settle, "resolve", mutated)]


@mutant("settling a conflict", "authority-custom", "plain-custom")
def answer_to_another_question():
    """An answer applies although the record changed since it was asked for."""
    apply = asking._apply

    def mutated(session, lease, transaction, now, conflict, answer):
        head = session.queue(transaction, now).ledger.head(conflict.table, conflict.record_id)
        if head is not None:
            conflict = attrs.evolve(conflict, revision=head.revision)
        return apply(session, lease, transaction, now, conflict, answer)

    return [(asking, "_apply", mutated)]


@mutant("last write wins with a version", "plain-lastwrite-single")
def last_write_wins_blindly():
    """Unconditional updates where the last write wins."""
    freeze = sending._freeze

    def mutated(head, entry):
        freeze(head, entry)
        if alive(head.base):
            entry.expected = Anything()

    return [(sending, "_freeze", mutated)]


# ---- pull


@mutant("news while in doubt is only kept", "authority-crowd", "authority-merge3")
def news_is_dropped():
    """What is pulled while an answer is awaited is forgotten."""

    def mutated(head, copy):
        return False if head.entries[0].state == "attempted" else arrives(head, copy)

    arrives = settle.arrives
    return [(settle, "arrives", mutated)]


@mutant("news while in doubt is only kept", "authority-crowd", "authority-merge3")
def news_is_the_base():
    """What is pulled while an answer is awaited becomes the base."""

    def mutated(head, copy):
        if head.entries[0].state == "attempted":
            head.base = copy
            return False
        return arrives(head, copy)

    arrives = settle.arrives
    return [(settle, "arrives", mutated)]


@mutant("overlap from where the pull began", "plain-cursor")
def overlap_from_the_last_row():
    """The next pull rewinds from the last row that came."""
    return [(PlainLink, "rewound", lambda self, cursor, overlap: cursor["tick"] - overlap)]


@mutant("overlap from where the pull began", "plain-cursor")
def no_overlap():
    """The engine asks for no overlap."""
    from tidesync.plans import pull

    return [(pull, "overlap_needed", lambda capabilities: 0.0)]


@mutant("not sent: back to its state", "authority-handler", "plain-handler")
def a_second_send_takes_the_doubt_away():
    """A handler's second send that never left says that the first one did not either."""
    unmark = settling._unmark

    def mutated(queue, head, entry, sent):
        if entry.attempts == sent.sends:
            sent.was = "pending"
        unmark(queue, head, entry, sent)

    return [(settling, "_unmark", mutated)]


@mutant("a departure is remembered until it is dealt with", "authority-subset")
def departures_are_forgotten():
    """A record that left the query and was not dropped, because it was edited, is forgotten."""

    def mutated(transaction, arrival, ids):
        _ = transaction.delete(arriving.SEEN, arriving._departure_keys(arrival, ids))

    return [(arriving, "forget_departed", mutated)]


@mutant("a departure is remembered until it is dealt with", "authority-subset")
def departures_are_final():
    """A record that left the query is dropped even if it came back before the pull ended."""

    def note(transaction, arrival, ids):
        note_departed(transaction, arrival, ids)
        arrival.departures_noted = False

    def read(transaction, arrival):
        bookmark = read_bookmark(transaction, arrival)
        arrival.departures_noted = False
        return bookmark

    note_departed, read_bookmark = arriving._note_departed, arriving.read_bookmark
    return [(arriving, "_note_departed", note), (arriving, "read_bookmark", read)]
