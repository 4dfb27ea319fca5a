"""Rules about what a push answers: one outcome for each change, in order."""

from __future__ import annotations

from tidesync.conformance.expect import equal
from tidesync.conformance.rules import rule
from tidesync.conformance.transport.bench import TransportBench
from tidesync.conformance.transport.tables import THING


class Outcomes:
    """What a push answers."""

    @rule("TRANSPORT-01", "what happened is one outcome per change, in order")
    def test_an_empty_push_is_no_error(self, bench: TransportBench) -> None:
        """A push of no changes gives no outcomes.

        Why: the engine may have nothing left to send once it looked again.
        Look at: an empty request that the remote refuses.
        """
        equal([], list(bench.open().push([])))

    @rule("TRANSPORT-02", "Read one record as it is now")
    def test_another_client_reads_what_one_inserted(self, bench: TransportBench) -> None:
        """What one client inserts, another gets, with the version that the outcome told.

        Why: this is what sync is for.
        Look at: `get`, and the mapping of versions on the wire.
        """
        one, other = bench.pair()
        id = bench.id()
        version = bench.insert(one, id, text="a", number=1)
        found = other.get(THING.name, id)
        equal(
            {"id": id, "text": "a", "number": 1, "version": version},
            {name: value for name, value in found.items() if name in ("id", "text", "number", "version")}
            if isinstance(found, dict)
            else found,
        )
