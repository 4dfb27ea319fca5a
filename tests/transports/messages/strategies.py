"""Messages of every kind."""

from hypothesis import strategies as st

from tidesync.conformance import strategies
from tidesync.conformance.store.tables import THING
from tidesync.contracts.transport import (
    Absent,
    Anything,
    Applied,
    Change,
    Conflicted,
    CursorGuarantee,
    Outcome,
    Page,
    PullRequest,
    Rejected,
    TransportCapabilities,
    Undeleted,
    Unknown,
    Untried,
    Version,
)
from tidesync.query import (
    ARITY,
    And,
    Arithmetic,
    Call,
    Compare,
    Expr,
    Field,
    In,
    Negate,
    Not,
    Or,
    Order,
    Query,
    Value,
)
from tidesync.records import Tombstone
from tidesync.transports.welcome import Welcome
from tidesync.values import ColumnType

texts = st.text(max_size=8)
ids = st.text(min_size=1, max_size=8)
types = st.sampled_from(ColumnType)
records = strategies.records()
_FIELDS = ("id", *THING.by_name, "version", *strategies.NAMES)
_SCALARS = strategies.json_values().filter(lambda value: not isinstance(value, list | dict))
versions = st.none() | texts
copies = st.none() | records | st.builds(Tombstone, versions)
parameters = st.dictionaries(texts, texts, max_size=2)
counts = st.integers(0, 2**63 - 1)

_leaves: st.SearchStrategy[Expr] = st.builds(Field, texts | st.sampled_from(_FIELDS), types) | st.builds(
    Value, _SCALARS, types
)


def _nested(inner: st.SearchStrategy[Expr]) -> st.SearchStrategy[Expr]:
    several = st.lists(inner, max_size=3).map(tuple)
    calls = st.sampled_from(sorted(ARITY)).flatmap(
        lambda name: st.tuples(*[inner] * ARITY[name]).map(lambda arguments: Call(name, arguments))
    )
    return (
        st.builds(Compare, st.sampled_from(("eq", "ne", "lt", "le", "gt", "ge")), inner, inner)
        | st.builds(In, inner, st.lists(_SCALARS, max_size=4).map(tuple))
        | st.builds(And, several)
        | st.builds(Or, several)
        | st.builds(Not, inner)
        | st.builds(Arithmetic, st.sampled_from(("add", "sub", "mul", "div", "mod")), inner, inner)
        | st.builds(Negate, inner)
        | calls
    )


expressions: st.SearchStrategy[Expr] = st.recursive(_leaves, _nested, max_leaves=8)
queries = st.builds(
    Query,
    texts,
    where=st.none() | expressions,
    order=st.lists(st.builds(Order, expressions, st.booleans()), max_size=2).map(tuple),
    skip=counts,
    take=st.none() | counts,
    fields=st.none() | st.lists(texts, max_size=3).map(tuple),
    total=st.booleans(),
)
requests = st.builds(
    PullRequest,
    query=queries,
    cursor=strategies.json_values(),
    limit=st.integers(1, 2**63 - 1),
    overlap=st.floats(0, 1e9),
    fields=st.none() | st.lists(texts, max_size=3).map(tuple),
    ids=st.none() | st.lists(ids, max_size=3).map(tuple),
    total=st.booleans(),
    deleted=st.booleans(),
    departures=st.booleans(),
    incremental=st.booleans(),
    parameters=parameters,
)


@st.composite
def _changes(draw: st.DrawFn) -> Change:
    record = draw(st.none() | records)
    own = () if record is None else tuple(name for name in record if name != "id")
    return Change(
        id=draw(ids),
        table=draw(texts),
        record_id=draw(ids) if record is None else str(record["id"]),
        kind=draw(st.sampled_from(("insert", "update", "delete", "undelete"))),
        record=record,
        fields=draw(st.just(own) | st.lists(texts, max_size=3).map(tuple)),
        expected=draw(
            st.sampled_from((Absent(), Anything()))
            | st.builds(Version, texts)
            | st.builds(Tombstone, versions)
        ),
        attempts=draw(st.integers(1, 2**63 - 1)),
        parameters=draw(parameters),
    )


changes = _changes()


@st.composite
def _answered(draw: st.DrawFn) -> tuple[Change, Outcome]:
    change = draw(changes)

    def about(strategy: st.SearchStrategy[object]) -> object:
        copy = draw(strategy)
        return {**copy, "id": change.record_id} if isinstance(copy, dict) else copy

    version = draw(versions)
    stamped = {"version": version, "created_at": draw(texts), "updated_at": draw(texts)}
    as_sent = None if change.record is None else {**change.record, **stamped}
    return change, draw(
        st.sampled_from(
            (
                Applied(version, about(copies)),  # type: ignore[arg-type]
                Applied(version, as_sent),
                Conflicted(about(copies)),  # type: ignore[arg-type]
                Rejected(draw(texts), draw(texts)),
                Undeleted(about(records)),  # type: ignore[arg-type]
                Unknown(draw(texts)),
                Untried(),
            )
        )
    )


answered = _answered()
pages = st.builds(
    Page,
    records=st.lists(records, max_size=3),
    tombstones=st.dictionaries(ids, st.builds(Tombstone, versions), max_size=2),
    departed=st.lists(ids, max_size=2),
    cursor=strategies.json_values(),
    more=st.booleans(),
    total=st.none() | counts,
    exact=st.booleans(),
    clock=st.none() | texts,
    junk=st.just([]),
)
welcomes = st.builds(
    Welcome,
    capabilities=st.builds(
        TransportCapabilities,
        identity=texts,
        cursor=st.sampled_from(CursorGuarantee),
        max_changes=st.integers(1, 10**6),
        max_bytes=st.none() | st.integers(1, 10**9),
        ordered=st.booleans(),
        total=st.booleans(),
        filters=st.booleans(),
        tombstones=st.frozensets(texts, max_size=3),
        departures=st.frozensets(texts, max_size=3),
        remembers=st.none() | st.floats(0, 1e9),
        overlap=st.floats(0, 1e9),
        page_limit=st.integers(1, 10**6),
    ),
    line=st.integers(1, 10**9),
)
