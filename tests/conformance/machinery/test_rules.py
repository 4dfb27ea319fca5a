"""What every rule of both suites must say of itself, and what an adapter may not do to it."""

import inspect
import re
from collections import Counter

import pytest

from tidesync.conformance import SUITE_VERSION, StoreConformance, TransportConformance
from tidesync.conformance.rules import PLATFORM, Rule, rule, rules_of, standing, version_key
from tidesync.conformance.store.bench import offered_by as store_offers
from tidesync.conformance.transport.bench import offered_by as transport_offers
from tidesync.contracts import store as store_contract
from tidesync.contracts import transport as transport_contract
from tidesync.contracts.store import StoreCapabilities
from tidesync.contracts.transport import CursorGuarantee, TransportCapabilities
from tidesync.errors import ConfigurationError

SUITES = (StoreConformance, TransportConformance)
RULES = [pytest.param(each, id=each.id) for suite in SUITES for each, _ in rules_of(suite)]
EVERYTHING = {
    "STORE": store_offers(StoreCapabilities(durable=True, multiprocess=True, encrypted=True, indexed=True)),
    "TRANSPORT": transport_offers(
        TransportCapabilities(
            identity="x", cursor=CursorGuarantee.COMMIT_ORDERED, max_changes=9, max_bytes=9, ordered=True, total=True,
            filters=True, tombstones=frozenset(["t"]), departures=frozenset(["t"]), remembers=None,
        ),
        wire=True,
    )
    | transport_offers(
        TransportCapabilities(identity="x", cursor=CursorGuarantee.TIMESTAMP, overlap=1.0), wire=False
    ),
}  # fmt: skip


def words(text: str) -> str:
    """The text without line breaks."""
    return re.sub(r"\s+", " ", text)


CONTRACT = {
    "STORE": words(inspect.getsource(store_contract)),
    "TRANSPORT": words(inspect.getsource(transport_contract)),
}


@pytest.mark.parametrize("each", RULES)
def test_a_rule_says_what_why_and_where(each: Rule) -> None:
    """Every rule has a promise, says why it matters, and where to look; its id is tied to the contract's text."""
    kind, _, number = each.id.partition("-")
    assert re.fullmatch(r"\d\d+", number), each.id
    assert each.promise.endswith(".")
    assert len(each.why) > 20, f"{each.id} does not say why it matters"
    assert len(each.look) > 20, f"{each.id} does not say what to look at"
    assert words(each.clause) in CONTRACT[kind], f"{each.id}: the contract does not say {each.clause!r}"
    assert version_key(each.since) <= version_key(SUITE_VERSION)
    assert set(each.requires) <= EVERYTHING[kind] | set(PLATFORM), each.requires
    assert each.shows is None or each.shows in each.requires


def test_ids_are_unique() -> None:
    """No two rules have one id or one name."""
    for suite in SUITES:
        found = [each for each, _ in rules_of(suite)]
        assert [id for id, count in Counter(each.id for each in found).items() if count > 1] == []
        assert [name for name, count in Counter(each.name for each in found).items() if count > 1] == []


def test_every_test_of_a_suite_is_a_rule() -> None:
    """No test hides in a suite without an id."""
    for suite in SUITES:
        tests = {name for name in dir(suite) if name.startswith("test_")}
        assert tests == {each.name for each, _ in rules_of(suite)}


def some_rule(**given: object) -> Rule:
    """A rule for trying `standing`."""
    return Rule(**{  # type: ignore[arg-type]  # the rest is given
        "id": "STORE-01", "clause": "", "since": "2026.11", "requires": (), "shows": None, "name": "", "promise": "",
        "why": "", "look": "", **given,
    })  # fmt: skip


def test_what_is_tried() -> None:
    """Rules of undeclared capabilities are not tried, but for the one that shows it; newer ones neither."""
    nothing: frozenset[str] = frozenset()
    assert standing(some_rule(), nothing) == "run"
    assert standing(some_rule(requires=("durable",)), nothing) == "undeclared"
    assert standing(some_rule(requires=("durable",)), frozenset({"durable"})) == "run"
    assert standing(some_rule(requires=("durable",), shows="durable"), nothing) == "probe"
    assert standing(some_rule(requires=("durable", "x"), shows="durable"), nothing) == "undeclared"
    assert standing(some_rule(), nothing, "2026.10") == "newer"
    assert standing(some_rule(since="2026.2"), nothing, "2026.10") == "run"


def test_a_new_version_of_the_suite_leaves_old_rules_as_old_as_they_are() -> None:
    """A rule that does not say since when it is there was in the first version, whatever the newest is."""

    @rule("STORE-01", "x")
    def test_it() -> None: ...

    (mark,) = test_it.pytestmark  # type: ignore[attr-defined]  # what pytest adds
    assert mark.kwargs["since"] == "2026.11"


def test_a_rule_that_shows_a_capability_requires_it() -> None:
    """`shows` implies `requires`, in the one marker."""

    @rule("STORE-01", "x", shows="durable")
    def test_it() -> None: ...

    (mark,) = test_it.pytestmark  # type: ignore[attr-defined]  # what pytest adds
    assert mark.kwargs["requires"] == ("durable",)


def test_a_rule_can_be_neither_overridden_nor_deleted() -> None:
    """Whoever overrides or deletes a rule is told so when the class is made, also through a mixin."""

    class Quiet:
        def test_capabilities_are_as_declared(self) -> None: ...

    with pytest.raises(ConfigurationError, match=r"STORE-01: .* overridden .* known_deviations"):
        type("Mine", (StoreConformance,), {"test_capabilities_are_as_declared": lambda self: None})
    with pytest.raises(ConfigurationError, match=r"STORE-01: .* deleted"):
        type("Mine", (StoreConformance,), {"test_capabilities_are_as_declared": None})
    with pytest.raises(ConfigurationError, match=r"STORE-01: .* overridden"):
        type("Mine", (Quiet, StoreConformance), {})


def test_the_bench_is_the_suites() -> None:
    """Whoever overrides what all rules work with is told so: with it they would pass, or not be tried."""
    with pytest.raises(ConfigurationError, match="Mine has a bench of its own"):
        _ = type("Mine", (StoreConformance,), {"bench": None})


def test_a_deviation_names_a_rule_and_a_reason() -> None:
    """A deviation of no rule, or without a reason, is refused."""
    with pytest.raises(ConfigurationError, match="'STORE-999', which is no rule"):
        type("Mine", (StoreConformance,), {"known_deviations": {"STORE-999": "x"}})
    with pytest.raises(ConfigurationError, match="no reason for STORE-01"):
        type("Mine", (StoreConformance,), {"known_deviations": {"STORE-01": ""}})


def test_a_version_is_a_date() -> None:
    """Versions are compared as numbers, and anything else is refused."""
    assert version_key("2026.2") < version_key("2026.11")
    with pytest.raises(ConfigurationError, match=r"like 2026\.11"):
        version_key("new")
