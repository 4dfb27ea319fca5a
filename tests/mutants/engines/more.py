"""Broken engines of the issue's own list, and others that somebody could have written."""

from __future__ import annotations

from typing import Any

import attrs

from tests.mutants.engines.mutant import mutant
from tidesync import arriving, ledger, queue, sending, settling
from tidesync.conflicts import Defer, KeepRemote
from tidesync.contracts.transport import Anything, Rejected, Unknown, Untried
from tidesync.effects import Transact
from tidesync.lease import Lease
from tidesync.ledger import Ledger
from tidesync.plans import pull, purge, push
from tidesync.plans import settle as asking
from tidesync.queue import Queue
from tidesync.records import alive
from tidesync.rows import OPERATIONS
from tidesync.rules import settle
from tidesync.rules.chain import Entry

# ---- the queue


@mutant("leaving without being applied", {"authority-defer-del": 7, "scenario-defer": 1})
def vanishes_beside_news():
    """An insert and its delete vanish, whatever the remote was found to hold meanwhile."""
    fold = Queue._fold

    def mutated(self, head, old, new):
        news, head.remote = head.remote, None
        try:
            return fold(self, head, old, new)
        finally:
            head.remote = news

    return [(Queue, "_fold", mutated)]


@mutant("changed content has a new id", {"scenario": 4})
def id_used_again():
    """What changed after it was sent goes out under the id that it was sent with."""
    renew = Entry.renew

    def mutated(self, id):
        renew(self, self.id)

    return [(Entry, "renew", mutated)]


@mutant("a sequence is never reused", {"authority-merge": 0})
def sequence_used_again():
    """The sequence starts again when the queue is short."""

    def mutated(self):
        self.counters.sequence = self.counters.pending + 1
        return self.counters.sequence

    return [(Ledger, "new_sequence", mutated)]


@mutant("what changes nothing vanishes", {"authority-merge": 0})
def undone_edits_are_sent():
    """An edit that was undone is sent all the same."""
    return [(queue, "vanishes", lambda before, content: False)]


@mutant("leaving without being applied", {"authority-discard": 0})
def discarded_stays_on_screen():
    """What was discarded is not sent, and not taken back on the device."""
    show = Queue._show

    def mutated(self, head):
        if head.entries:
            show(self, head)
        else:
            self.ledger.save(head)

    return [(Queue, "_show", mutated)]


@mutant("dependent operations never overtake", {"authority-single": 0})
def nothing_waits():
    """Operations are sent without a look at what they depend on."""
    return [(Queue, "blocker", lambda self, head, entry: None)]


@mutant("dependent operations never overtake", {"plain-single": 0, "authority-single-self": 44})
def only_inserts_are_waited_for():
    """The delete of a record does not wait for those that still name it."""
    return [(queue, "begins_or_ends", lambda kind: kind == "insert")]


@mutant("dependent operations never overtake", {"authority-single": 0})
def only_deletes_are_waited_for():
    """An operation does not wait for the insert of the record that it names."""
    return [(queue, "begins_or_ends", lambda kind: kind == "delete")]


@mutant("dependent operations never overtake", {"authority-single": 0})
def names_of_after_only():
    """What an operation named before counts for nothing."""
    names = ledger.names

    def mutated(schema, record_id, before, content):
        return names(schema, record_id, content)

    return [(ledger, "names", mutated)]


@mutant("a blocker that leaves is noticed", {"authority-single": 0})
def released_in_silence():
    """Nobody hears that the operation which they wait for is gone."""
    return [(Queue, "release", lambda self, entry: None)]


# ---- push


@mutant("unknown stays attempted", {"authority-merge": 0, "plain-merge": 0})
def unknown_is_a_refusal():
    """A 5xx, or no answer, counts as refused."""
    settle_one = settling._settle_one

    def mutated(queue, head, entry, sent, outcome, run, lineage):
        if isinstance(outcome, Unknown):
            outcome = Rejected("500", outcome.reason)
        settle_one(queue, head, entry, sent, outcome, run, lineage)

    return [(settling, "_settle_one", mutated)]


@mutant("applied copy as it is now", {"scenario-amends": 13})
def amended_is_as_sent():
    """A version that is remembered stands for what was sent, whatever was pulled under it."""
    applied = settle.applied

    def mutated(head, entry, version, copy):
        if copy is None and head.remote is not None and settle.version_of(head.remote) == version:
            head.remote = None
        applied(head, entry, version, copy)

    return [(settle, "applied", mutated)]


@mutant("unknown stays attempted", {"authority-merge": 0})
def untried_is_applied():
    """What the transport did not try counts as done."""
    settle_one = settling._settle_one

    def mutated(queue, head, entry, sent, outcome, run, lineage):
        if isinstance(outcome, Untried):
            outcome = settling.Applied(None, None)
        settle_one(queue, head, entry, sent, outcome, run, lineage)

    return [(settling, "_settle_one", mutated)]


@mutant("attempted frozen", {"plain-merge": 0, "authority-merge": 0})
def a_restart_forgets_the_doubt():
    """A push begins by taking what was under way at the crash for unsent."""
    begin = push._begin

    def mutated(session, lease, transaction, now, run, retry_failed):
        rows = [row for row in transaction.select(pull.Query(OPERATIONS)) if row["state"] == "attempted"]
        kept = session.queue(transaction, now)
        for row in rows:
            head = kept.ledger.head(row["table"], row["record_id"])
            head.entries[0].renew(head.entries[0].id)
            kept.finish(head)
        kept.close("local")
        return begin(session, lease, transaction, now, run, retry_failed)

    return [(push, "_begin", mutated)]


@mutant("only what changed is sent", {"authority-merge": 0})
def whole_records_are_sent():
    """Every field goes out, changed or not."""
    return [(sending, "changed_fields", lambda old, new: tuple(name for name in new if name != "id"))]


@mutant("the known version is expected", {"authority-keeplocal": 4, "plain-merge": 2})
def nothing_is_expected():
    """Changes are unconditional."""
    return [(sending, "expected_of", lambda base: Anything())]


@mutant("an acknowledgement takes one operation", {"authority-merge": 0})
def applied_clears_the_record():
    """An acknowledgement takes the edits made since along."""
    applied = settle.applied

    def mutated(head, entry, version, copy):
        applied(head, entry, version, copy)
        head.entries.clear()

    return [(settle, "applied", mutated)]


@mutant("undeleted alone", {"plain-revive": 6})
def revived_and_forgotten():
    """What was revived is sent as if it were still deleted."""

    def mutated(head, entry, record, new_id):
        entry.renew(new_id())

    return [(settle, "undeleted", mutated)]


# ---- conflicts


@mutant("echo", {"plain-merge": 61})
def echo_of_the_whole_record():
    """Our own success is recognised only if no other field has changed since."""
    echoes = settle.echoes

    def mutated(sent, fields, found):
        return echoes(sent, tuple(name for name in sent if name != "id"), found)

    return [(settle, "echoes", mutated)]


@mutant("settling a conflict", {"authority-defer": 0})
def deferred_is_dropped():
    """A conflict that is not decided goes the remote's way."""
    checked = asking.checked

    def mutated(to_record, conflict, answer):
        return KeepRemote() if isinstance(answer, Defer) else checked(to_record, conflict, answer)

    return [(asking, "checked", mutated)]


@mutant("settling a conflict", {"authority-merge": 0})
def merged_without_base():
    """Two sides are merged without a look at what they began from."""
    merge = settle.merge_contents

    def mutated(base, local, remote, prefer="local"):
        return merge(None, local, remote, prefer)

    return [(settle, "merge_contents", mutated)]


@mutant("settling a conflict", {"authority-mixed": 0})
def an_answer_is_kept_in_flight():
    """A merged record is not sent again: the remote never hears of the decision."""
    resolve = settle.resolve

    def mutated(head, answer, new_id):
        done = resolve(head, answer, new_id)
        if done and alive(head.base) and head.entries and head.entries[-1].content is not None:
            head.base = {**head.base, **head.entries[-1].content}
        return done

    return [(settle, "resolve", mutated)]


# ---- pull


@mutant("one lease per store", {"authority-shared": 19})
def pull_without_the_lease():
    """A pull takes no lease: a push of another context goes on under it."""

    class Free(Lease):
        def check(self, transaction: Any, now: float) -> None:
            """Nobody is asked."""

    def mutated(holder, work):
        return (yield from work(Free(holder, 0, holder.life)))

    return [(pull, "under_lease", mutated)]


@mutant("a page and its cursor are one", {"authority-listing": 19})
def cursor_before_its_records():
    """The cursor is stored in a transaction of its own, before the records that it stands for."""
    store = pull._store

    def mutated(session, lease, arrival, page):
        ahead = attrs.evolve(arrival, bookmark=attrs.evolve(arrival.bookmark, cursor=page.cursor))
        yield from Transact(lambda transaction, now: arriving.write_bookmark(transaction, ahead))
        yield from store(session, lease, arrival, page)

    return [(pull, "_store", mutated)]


@mutant("the same page twice changes nothing", {"authority-merge": 0})
def known_pages_are_news():
    """A copy of the base's version counts as newer."""
    return [(settle, "is_news", lambda head, copy: True)]


@mutant("the window decides", {"plain-cursor": 0})
def known_by_id_alone():
    """What was delivered in the window is known, also in another version."""
    return [(arriving, "version_of", lambda copy: "any")]


@mutant("news does not touch edited records", {"authority-merge": 0})
def pulled_over_edits():
    """What is pulled is shown, whether or not there are edits of it."""
    store_copies = arriving._store_copies

    def mutated(queue, arrival, records, tombstones):
        asks = store_copies(queue, arrival, records, tombstones)
        queue.ledger.flush()
        queue.ledger.transaction.put(arrival.table, list(records.values()))
        return asks

    return [(arriving, "_store_copies", mutated)]


@mutant("tombstones are pulled", {"authority-del-local": 7})
def tombstones_are_skipped():
    """Deletions by others are left out of a page."""
    store_copies = arriving._store_copies

    def mutated(queue, arrival, records, tombstones):
        return store_copies(queue, arrival, records, {})

    return [(arriving, "_store_copies", mutated)]


@mutant("a departure is remembered until it is dealt with", {"authority-subset": 0})
def edited_records_are_dropped():
    """A record that left the query goes, with edits or without."""

    def mutated(queue, arrival, ids, wanted_by_others):
        return queue.ledger.transaction.delete(arrival.table, list(ids))

    return [(arriving, "drop", mutated)]


@mutant("a purge drops nothing unsent", {"authority-purge": 0})
def purge_of_what_waits():
    """A purge drops records whose edits were not sent."""
    remove = purge._remove

    def mutated(session, lease, transaction, now, query, name, force):
        return remove(session, lease, transaction, now, query, name, True)

    return [(purge, "_remove", mutated)]
