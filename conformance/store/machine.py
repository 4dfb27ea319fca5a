"""The rule that any sequence of calls leaves a store with what a model holds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, run_state_machine_as_test
from hypothesis.stateful import rule as action

from tidesync.conformance.domain import Domain
from tidesync.conformance.rules import rule
from tidesync.conformance.store.bench import StoreBench
from tidesync.conformance.store.life import (
    COLUMNS,
    IDS,
    READS,
    SHAPES,
    VALUES,
    WRITES,
    Call,
    End,
    Kind,
    Life,
    Step,
)
from tidesync.conformance.store.shorter import Shorter
from tidesync.query import And, Compare, CompareOp, Expr, Field, In, Not, Order, Query, Value

_OPS: Final[tuple[CompareOp, ...]] = ("eq", "ne", "lt", "le", "gt", "ge")


def calls(domain: Domain, kinds: tuple[str, ...]) -> st.SearchStrategy[list[Call]]:
    """Calls of a transaction, most of all such as meet the same few records."""
    id = st.sampled_from(domain.legal_ids(IDS))
    records = st.fixed_dictionaries(
        {"id": id},
        optional={
            name: st.sampled_from(domain.legal_values(name, values))
            for name, values in VALUES.items()
            if domain.legal_values(name, values)
        },
    )
    some = st.lists(records, min_size=1, max_size=4).map(tuple)
    several, query = st.lists(id, max_size=3).map(tuple), _queries()
    drawn: dict[str, dict[str, st.SearchStrategy[Any]]] = {
        "put": {"records": some}, "refused": {"records": some, "ids": several},
        "get": {"ids": several}, "delete": {"ids": several},
    }  # fmt: skip
    ready = {
        kind: st.builds(Call, st.just(kind), st.booleans(), **drawn.get(kind, {"query": query}))
        for kind in kinds
    }
    return st.lists(st.sampled_from(kinds).flatmap(ready.__getitem__), min_size=1, max_size=8)


def _queries() -> st.SearchStrategy[Query]:
    """Queries of what these records hold: simple ones, since what queries mean has rules of its own."""
    fields = st.sampled_from(
        [*(Field(each.name, each.type) for each in COLUMNS.values()), Field("extra"), Field("id")]
    )
    constants = st.sampled_from(
        [each for values in VALUES.values() for each in values if not isinstance(each, list | dict)]
    )
    compared: st.SearchStrategy[Expr] = st.builds(
        Compare, st.sampled_from(_OPS), fields, st.builds(Value, constants)
    ) | st.builds(In, fields, st.lists(constants, max_size=3).map(tuple))
    several = st.lists(compared, min_size=2, max_size=2).map(lambda items: And(tuple(items)))
    return st.builds(
        Query,
        st.just(""),
        where=st.none() | compared | compared | several | st.builds(Not, compared),
        order=st.just(()) | st.lists(st.builds(Order, fields, st.booleans()), max_size=2).map(tuple),
        skip=st.sampled_from((0, 0, 0, 1, 2)),
        take=st.sampled_from((None, None, None, 0, 1, 3)),
        fields=st.none() | st.none() | st.just(("name", "extra")),
    )


def _always() -> Iterator[Call]:
    rank, name, late = (
        Field(each.name, each.type) for each in map(COLUMNS.__getitem__, ("rank", "name", "late"))
    )
    for second in (False, True):
        yield Call("count", second)
        yield Call("get", second, ids=IDS)
        yield Call("select", second, query=Query("", order=(Order(rank, descending=True),)))
        yield Call(
            "select", second, query=Query("", where=Compare("eq", name, Value("a")), order=(Order(rank),))
        )
        for where in (Compare("ge", late, Value(1)), Compare("eq", rank, Value(1))):
            yield Call("select", second, query=Query("", where=where))
            yield Call("count", second, query=Query("", where=where))


ALWAYS: Final = tuple(_always())
"""What is asked at the end of every transaction: by each index, with and without ties."""
REFUSED: Final = (Call("delete_where"), Call("delete", ids=IDS))
"""What is tried at the end of every transaction that only reads."""


def machine_of(bench: StoreBench, begun: Callable[[], Life]) -> type[RuleBasedStateMachine]:
    """A state machine that does anything to stores of the bench; each run begins anew."""
    ends: tuple[End, ...] = (
        "commit",
        "commit",
        "commit",
        "commit",
        "raise",
        "raise while iterating",
        "close",
    )
    restarts: tuple[Kind, ...] = ("open again", "close and open")
    if bench.capabilities.durable:
        restarts = (*restarts, "another store", "another store")
    shapes = st.integers(0, len(SHAPES) - 1)

    class StoreMachine(RuleBasedStateMachine):
        def __init__(self) -> None:
            super().__init__()
            self.life = begun()

        @action(calls=calls(bench.domain, (*READS, *WRITES)))
        def write(self, calls: list[Call]) -> None:
            self.life.do(Step("write", (*calls, *ALWAYS)))

        @action(calls=calls(bench.domain, (*READS, *WRITES)), end=st.sampled_from(ends), shape=shapes)
        def write_and_fail(self, calls: list[Call], end: End, shape: int) -> None:
            self.life.do(Step("write", (*calls, *ALWAYS), end, shape))

        @action(calls=calls(bench.domain, (*READS, *READS, "put", "delete_where")))
        def read(self, calls: list[Call]) -> None:
            self.life.do(Step("read", (*calls, *ALWAYS, *REFUSED)))

        @action(how=st.sampled_from(restarts), shape=shapes)
        def restart(self, how: Kind, shape: int) -> None:
            self.life.do(Step(how, shape=shape))

        @invariant()
        def holds_what_the_model_holds(self) -> None:
            self.life.check()

        def teardown(self) -> None:
            self.life.close()

    return StoreMachine


class Machine:
    """The rule that any sequence of calls leaves a store with what a model holds."""

    @rule("STORE-146", "A transaction is atomic and isolated, and is rolled back on any exception")
    def test_any_calls_leave_what_a_model_holds(self, bench: StoreBench) -> None:
        """Whatever is called, in whatever order, a store holds and answers what a model does, a few dicts.

        Two tables are read, written, rolled back, closed and opened again with other columns and indexes; an example
        that fails is made as short as can be, and printed as a program.

        Why: mistakes hide where two features meet, and an application finds all such places.
        Look at: the last call of the program; what it has in common with the one before it.
        """
        last: list[Life] = []

        def begun() -> Life:
            last[:] = [Life(bench)]
            return last[0]

        sizes = settings(bench.profile.settings(bench.profile.machines), phases=(Phase.generate,))
        try:
            run_state_machine_as_test(machine_of(bench, begun), settings=sizes)
        except Exception as error:  # noqa: BLE001  # whatever a stranger's store raises
            kind = type(error)
            shorter = Shorter[Step](lambda steps: type(failure(bench, steps)) is kind, Step.simpler)
            shortest = failure(bench, shorter.shortest(last[0].steps))
            raise shortest or error from None


def failure(bench: StoreBench, steps: list[Step]) -> Exception | None:
    """What these steps raise, or what is found after them."""
    try:
        life = Life(bench)
        for each in steps:
            life.do(each)
        life.check()
        life.close()
    except Exception as error:  # noqa: BLE001  # whatever a stranger's store raises
        return error
    return None
