"""What rules are said with: equality by JSON type, exceptions by kind and text."""

import pytest

from tidesync.conformance.domain import Domain
from tidesync.conformance.expect import RuleBroken, equal, fail, raises, true
from tidesync.errors import ConfigurationError


@pytest.mark.parametrize(
    ("expected", "actual"),
    [
        (True, 1), (1, 1.0), (0.0, -0.0), ([1], [True]), ({"a": 1}, {"a": 1.0}), ({"a": None}, {}),
        ("é", "e\u0301"), ([], ()),
    ],
)  # fmt: skip
def test_what_is_not_equal(expected: object, actual: object) -> None:
    """Values of another type or other bits are not equal, at any depth."""
    with pytest.raises(RuleBroken):
        equal(expected, actual)
    with pytest.raises(RuleBroken):
        equal({"x": [expected]}, {"x": [actual]})


def test_equality_says_where() -> None:
    """The message names the path, what was expected and what was found, and stays short."""
    with pytest.raises(RuleBroken, match=r"rows: expected 1, found True at \[1\]\['n'\]"):
        equal([{"n": 0}, {"n": 1}], [{"n": 0}, {"n": True}], "rows")
    with pytest.raises(RuleBroken) as caught:
        equal("a" * 10**6, "")
    assert len(str(caught.value)) < 2_000
    equal({"a": [0.0, None, "x"]}, {"a": [0.0, None, "x"]})


def test_raises_wants_one_kind_and_its_text() -> None:
    """Nothing raised, another kind, or a text that does not name the thing: the rule is broken."""
    with pytest.raises(RuleBroken, match="nothing was raised"), raises(ValueError):
        pass
    with pytest.raises(RuleBroken, match="expected ValueError, and KeyError was raised"), raises(ValueError):
        raise KeyError
    with pytest.raises(RuleBroken, match="should name 'field'"), raises(ValueError, naming="field"):
        raise ValueError
    with raises(ValueError, KeyError, naming="field") as caught:
        raise ValueError("field x")
    assert str(caught.error) == "field x"


def test_the_rest() -> None:
    """`true` and `fail` say what they are given."""
    true(1, "")
    with pytest.raises(RuleBroken, match="no"):
        true([], "no")
    with pytest.raises(RuleBroken, match="so"):
        fail("so")


def test_a_domain_must_be_put_in_words() -> None:
    """Narrowing without words is refused; with them it filters ids, values and records."""
    with pytest.raises(ConfigurationError, match="says="):
        Domain(ids=str.isascii)
    narrow = Domain(
        ids=str.isascii, values=lambda field, value: field != "tree" and value != 1, says="ASCII ids"
    )
    assert narrow.legal_ids(["a", "é"]) == ["a"]
    assert narrow.legal_values("n", [1, 2]) == [2]
    assert narrow.trimmed({"id": "a", "tree": 0, "n": 1, "m": 2}) == {"id": "a", "m": 2}
    assert (narrow.legal({"id": "a", "m": 2}), narrow.legal({"id": "é"})) == (True, False)
    assert not Domain().is_narrow
