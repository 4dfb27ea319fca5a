"""Broken rules of the queue and of a push."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from tests.mutants.engines.mutant import mutant
from tidesync import lease, queue, sending, settling
from tidesync.conformance.simulation.calls import Lost
from tidesync.conformance.simulation.plain import PlainLink
from tidesync.contracts.transport import Applied, Undeleted, Unknown
from tidesync.lease import Lease
from tidesync.ledger import Ledger
from tidesync.queue import Queue
from tidesync.records import alive, version_of
from tidesync.rules import settle
from tidesync.transports.work import Work

# ---- heads


@mutant("heads per record", {"plain-resolve": 19})
def remote_of_an_operation():
    """The news goes with the operation that it was noted at."""
    fold = Queue._fold

    def mutated(self, head, old, new):
        folded = fold(self, head, old, new)
        if folded:
            head.remote = None
        return folded

    return [(Queue, "_fold", mutated)]


@mutant("heads per record", {"authority-single": 0})
def base_of_an_operation():
    """Each operation keeps the base that it began from."""
    applied = settle.applied

    def mutated(head, entry, version, copy):
        base = head.base
        applied(head, entry, version, copy)
        if head.entries and alive(base):
            head.base = base

    return [(settle, "applied", mutated)]


@mutant("revision never reused", {"authority-discard": 0, "authority-mixed": 0})
def revision_of_the_head():
    """The revision starts again with each new head."""

    def mutated(self, head):
        head.revision += 1
        self.save(head)

    return [(Ledger, "touch", mutated)]


# ---- collapse


@mutant("attempted frozen", {"authority-merge": 0, "plain-merge": 0})
def attempted_collapses():
    """A new edit changes what may be at the remote."""
    return [(queue, "may_collapse", lambda state: True)]


@mutant("attempted frozen", {"authority-merge": 12, "plain-merge": 6})
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


@mutant("leaving without being applied", {"authority-discard": 12})
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


@mutant("after a refusal", {"authority-merge": 0})
def refused_stays():
    """What was edited behind a refused operation waits behind it for ever."""
    return [(Queue, "finish", _no_recollapse)]


@mutant("after a refusal", {"authority-merge": 0})
def failed_is_frozen():
    """A local edit does not mend a failed operation."""
    return [(queue, "may_collapse", lambda state: state == "pending")]


def _place(answer):
    def mutated(old_state, content, *, old_depends, new_depends):
        return answer(old_state, content, old_depends, new_depends)

    return [(queue, "place", mutated)]


@mutant(
    "collapse never breaks order",
    {"authority-single": 1, "plain-fk-nodel": 0},
)
def always_the_old_place():
    """The result of a collapse stands where the older one stood."""
    return _place(lambda state, content, old, new: "old")


@mutant(
    "collapse never breaks order", {"authority-single": 0, "plain-single": 0, "plain-single-undeclared": 0}
)
def always_the_new_place():
    """The result of a collapse stands where the newer one stood."""
    return _place(lambda state, content, old, new: "new")


@mutant("failed always collapses", {"authority-del-local": 40, "plain-del-local": 24})
def failed_may_stay_apart():
    """A failed operation that may not move does not collapse."""
    return _place(lambda state, content, old, new: "old" if not new else "new" if not old else "both")


@mutant("moved operations are looked at again", {"authority-del-local": 7})
def moved_in_silence():
    """Nobody hears that the operation which they wait for stands elsewhere now."""
    return [(Ledger, "moved", lambda self, head, entry: False)]


# ---- push


@mutant("one lease per store", {"authority-shared": 8})
def lease_for_everyone():
    """Whoever asks has the lease."""

    def take(transaction, now, holder):
        return 1

    return [(lease, "_take", take), (Lease, "check", lambda self, transaction, now: None)]


@mutant("one lease per store", {"authority-shared": 108})
def lease_without_fencing():
    """One that was held up for too long goes on."""
    return [(Lease, "check", lambda self, transaction, now: None)]


@mutant("applied copy as it is now", {"plain-merge3": 0})
def edits_are_not_rebased():
    """What was edited during a send keeps the fields of then."""

    def mutated(head, entry, version, copy):
        later = [(each, each.content) for each in head.entries[1:]]
        applied(head, entry, version, copy)
        for each, content in later:
            each.content = content

    applied = settle.applied
    return [(settle, "applied", mutated)]


@mutant("applied copy as it is now", {"authority-merge3": 16})
def news_outlives_nothing():
    """News that waited is forgotten when only a version is told."""

    def mutated(head, entry, version, copy):
        head.remote = None
        applied(head, entry, version, copy)

    applied = settle.applied
    return [(settle, "applied", mutated)]


@mutant("applied copy as it is now", {"plain-merge3": 1, "plain-crowd": 28})
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


@mutant("a reply remembered carries no record", {"authority-merge3": 16})
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


@mutant("undeleted alone", {"plain-revive": 133})
def undelete_and_update_at_once():
    """Reviving goes on with the content in the same exchange."""
    send = PlainLink.send

    def mutated(self, change) -> Generator[Any, Any, Any]:
        key = (change.table, change.record_id)
        outcome = yield from send(self, change)
        if not isinstance(outcome, Undeleted):
            return outcome
        body = {field: (change.record or {}).get(field) for field in change.fields}
        version = str(outcome.record["version"])
        reply = yield from self.call_of(change, key, body, version)
        if isinstance(reply, Lost):
            return Unknown("undeleted, and not known whether it was written")
        return (yield from self.meaning(change, key, reply))

    return [(PlainLink, "send", mutated)]


@mutant("unknown stays attempted", {"authority-merge": 12, "plain-merge": 2})
def unknown_is_not_sent():
    """What is in doubt counts as never sent."""

    def mutated(entry, sent, reason, run):
        entry.renew(entry.id)
        doubt(entry, sent, reason, run)

    doubt = settling._doubt
    return [(settling, "_doubt", mutated)]


@mutant("not sent: back to its state", {"plain-merge": 6, "authority-merge": 12})
def not_sent_is_pending():
    """A send that never left takes the doubt of the one before it away."""
    unmark = settling._unmark

    def mutated(queue, head, entry, sent):
        sent.was = "pending"
        unmark(queue, head, entry, sent)

    return [(settling, "_unmark", mutated)]
