"""The page of broken parts says what there is."""

from tests.mutants.engines.all import MUTANTS
from tests.mutants.table import PAGE, rendered


def test_the_page_is_up_to_date() -> None:
    """Run `python -m tests.mutants.table` after a broken part came, went or changed its words."""
    assert rendered() == PAGE.read_text("utf-8")


def test_every_broken_engine_is_on_the_page() -> None:
    """Each has its mistake, and the worlds in which it is noticed."""
    page = PAGE.read_text("utf-8")
    assert [] == [each.name for each in MUTANTS.values() if f"| {each.mistake} |" not in page]
    assert [] == [each.name for each in MUTANTS.values() if f"`{each.profile}` {each.seed}" not in page]
