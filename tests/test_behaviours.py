"""The list of behaviours is complete, and says the truth about the tests."""

import importlib

from tests.behaviours import COUNTS, PAGE, deviations, open_ids, rendered, shown, statements
from tests.conformance.behaviours import SHOWN
from tidesync.conformance.rules import SUITE_VERSION, rules_of


def test_no_behaviour_was_lost_from_the_list() -> None:
    """Each group has as many behaviours as it was agreed to have."""
    found = dict.fromkeys(COUNTS, 0)
    for id in statements(_page()):
        found[id.removeprefix("R-")[0]] += 1
    assert COUNTS == found


def test_every_behaviour_is_shown_or_explained() -> None:
    """A behaviour without a test is a deviation, or it is missing."""
    assert [] == open_ids(_page(), shown())


def test_tests_name_only_behaviours_of_the_list() -> None:
    """An id in a docstring that the list does not have is a slip."""
    known = statements(_page())
    assert {} == {id: tests for id, tests in shown().items() if id not in known}


def test_what_rules_show_is_shown() -> None:
    """Each rule to which behaviours are ascribed is one that the class runs."""
    for place, rules in SHOWN.items():
        path, _, name = place.partition("::")
        suite = getattr(importlib.import_module(f"tests.{path.removesuffix('.py').replace('/', '.')}"), name)
        run = {rule.name for rule, _ in rules_of(suite) if suite.standing(rule, SUITE_VERSION) == "run"}
        assert set() == rules.keys() - run


def test_deviations_are_few_and_cite_a_rule() -> None:
    """At most 15 behaviours differ, each for a rule of the design or because the references disagree (x)."""
    found = deviations(_page())
    assert len(found) <= 15
    assert set() == set(found) - set(statements(_page()))
    assert [] == [id for id, rule in found.items() if not rule.startswith(("DESIGN ", "(x)"))]


def test_the_list_is_up_to_date() -> None:
    """Run `python -m tests.behaviours` after a test began, or ceased, to show a behaviour."""
    assert rendered(_page(), shown()) == _page()


def _page() -> str:
    return PAGE.read_text(encoding="utf-8")
