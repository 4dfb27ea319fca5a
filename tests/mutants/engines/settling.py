"""Broken rules of conflicts and of a pull, and of what the simulation found."""

from __future__ import annotations

import attrs

from tests.mutants.engines.mutant import mutant
from tidesync import arriving, sending, settling
from tidesync.conformance.simulation.plain import PlainLink
from tidesync.contracts.transport import Anything
from tidesync.plans import settle as asking
from tidesync.records import alive
from tidesync.rules import settle

# ---- echo and conflicts


@mutant("echo", {"plain-merge": 0})
def no_echo():
    """Our own earlier success is a conflict."""
    return [(settle, "echoes", lambda sent, fields, found: False)]


@mutant("echo", {"authority-keeplocal": 6, "plain-keeplocal": 6})
def echo_without_doubt():
    """What happens to be equal counts as our own, also on the first send."""

    def mutated(head, entry, found, new_id):
        entry.attempts += 1
        return conflicted(head, entry, found, new_id)

    conflicted = settle.conflicted
    return [(settle, "conflicted", mutated)]


@mutant("echo", {"plain-merge": 10})
def generated_is_nothing_special():
    """An insert under an id of our own that comes back changed is a conflict."""

    def mutated(head, entry, found, new_id):
        entry.generated = False
        return conflicted(head, entry, found, new_id)

    conflicted = settle.conflicted
    return [(settle, "conflicted", mutated)]


@mutant("settling a conflict", {"authority-del-local": 0, "plain-del-local": 0})
def nobody_alive_is_a_conflict():
    """A tombstone that meets an insert is news to be decided on."""

    def mutated(head, copy):
        if head.entries and head.entries[0].state == "attempted":
            head.remote = copy
            return False
        head.remote = copy
        return True

    return [(settle, "arrives", mutated)]


@mutant("settling a conflict", {"authority-merge": 0})
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


@mutant("settling a conflict", {"authority-custom": 57, "plain-custom": 134})
def answer_to_another_question():
    """An answer applies although the record changed since it was asked for."""
    apply = asking._apply

    def mutated(session, lease, transaction, now, conflict, answer):
        head = session.queue(transaction, now).ledger.head(conflict.table, conflict.record_id)
        if head is not None:
            conflict = attrs.evolve(conflict, revision=head.revision)
        return apply(session, lease, transaction, now, conflict, answer)

    return [(asking, "_apply", mutated)]


@mutant("last write wins with a version", {"plain-lastwrite-single": 0})
def last_write_wins_blindly():
    """Unconditional updates where the last write wins."""
    freeze = sending._freeze

    def mutated(head, entry):
        freeze(head, entry)
        if alive(head.base):
            entry.expected = Anything()

    return [(sending, "_freeze", mutated)]


# ---- pull


@mutant("news while in doubt is only kept", {"authority-merge3": 16})
def news_is_dropped():
    """What is pulled while an answer is awaited is forgotten."""

    def mutated(head, copy):
        return False if head.entries[0].state == "attempted" else arrives(head, copy)

    arrives = settle.arrives
    return [(settle, "arrives", mutated)]


@mutant("news while in doubt is only kept", {"authority-crowd": 0, "authority-merge3": 4})
def news_is_the_base():
    """What is pulled while an answer is awaited becomes the base."""

    def mutated(head, copy):
        if head.entries[0].state == "attempted":
            head.base = copy
            return False
        return arrives(head, copy)

    arrives = settle.arrives
    return [(settle, "arrives", mutated)]


@mutant("overlap from where the pull began", {"plain-cursor": 50})
def overlap_from_the_last_row():
    """The next pull rewinds from the last row that came."""
    return [(PlainLink, "rewound", lambda self, cursor, overlap: cursor["tick"] - overlap)]


@mutant("overlap from where the pull began", {"plain-cursor": 0})
def no_overlap():
    """The engine asks for no overlap."""
    from tidesync.plans import pull

    return [(pull, "overlap_needed", lambda capabilities: 0.0)]


@mutant("not sent: back to its state", {"authority-handler": 70, "plain-handler": 46})
def a_second_send_takes_the_doubt_away():
    """A handler's second send that never left says that the first one did not either."""
    unmark = settling._unmark

    def mutated(queue, head, entry, sent):
        if entry.attempts == sent.sends:
            sent.was = "pending"
        unmark(queue, head, entry, sent)

    return [(settling, "_unmark", mutated)]


@mutant("a departure is remembered until it is dealt with", {"authority-subset": 0})
def departures_are_forgotten():
    """A record that left the query and was not dropped, because it was edited, is forgotten."""

    def mutated(transaction, arrival, ids):
        _ = transaction.delete(arriving.SEEN, arriving._departure_keys(arrival, ids))

    return [(arriving, "forget_departed", mutated)]


@mutant("a departure is remembered until it is dealt with", {"authority-subset": 89})
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
