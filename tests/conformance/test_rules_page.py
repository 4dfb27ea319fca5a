"""The page of rules says what there is."""

import re

from tests.conformance.rules_page import PAGE, SUITES, rendered
from tests.docs.pages import PAGES, name
from tidesync.conformance.rules import rules_of

IDS = {each.id for suite in SUITES.values() for each, _ in rules_of(suite)}


def test_the_page_is_up_to_date() -> None:
    """Run `python -m tests.conformance.rules_page` after a rule came, or changed its words."""
    assert rendered() == PAGE.read_text("utf-8")


def test_every_rule_is_on_the_page() -> None:
    """Each has one row, in whichever part."""
    listed = re.findall(r"^\| ([A-Z]+-\d+) \|", PAGE.read_text("utf-8"), re.MULTILINE)

    assert sorted(IDS) == sorted(listed)


def test_rules_that_pages_name_exist() -> None:
    """An id in the documentation is that of a rule."""
    named = {
        (name(page), id)
        for page in PAGES
        for id in re.findall(r"\b(?:STORE|TRANSPORT)-\d+\b", page.read_text("utf-8"))
    }

    assert {(page, id) for page, id in named if id not in IDS} == set()
