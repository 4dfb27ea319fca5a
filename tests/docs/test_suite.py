"""docs/conformance.md has every name that an author of a store or a transport may use."""

import re
from importlib import import_module
from types import FunctionType
from typing import get_args

import attrs
import pytest

from tests.packaging.tree import ROOT
from tidesync import conformance
from tidesync.conformance import StoreConformance, TransportConformance, Verdict, Wire, faults, simulation
from tidesync.conformance.faults import StoreFault, TransportFault
from tidesync.conformance.profiles import PROFILES
from tidesync.conformance.rules import rules_of
from tidesync.conformance.transport.bench import offered_by
from tidesync.contracts.transport import TransportCapabilities

TEXT = (ROOT / "docs" / "conformance.md").read_text("utf-8")
IN_CODE = {word for code in re.findall(r"`([^`\n]+)`", TEXT) for word in re.findall(r"[\w-]+", code)}


def _defined(name: str) -> list[str]:
    """The functions and classes of a module of the suite."""
    module = import_module(f"tidesync.conformance.{name}")
    found = vars(module).items()
    return [
        each
        for each, value in found
        if isinstance(value, type | FunctionType)
        and value.__module__ == module.__name__
        and not each.startswith("_")
    ]


@pytest.mark.parametrize(
    "names",
    [
        conformance.__all__,
        faults.__all__,
        simulation.__all__,
        _defined("strategies"),
        _defined("histories"),
        _defined("oracle"),
        [name for name in vars(Wire) if not name.startswith("_")],
    ],
    ids=["conformance", "faults", "simulation", "strategies", "histories", "oracle", "wire"],
)
def test_every_name_is_documented(names: list[str]) -> None:
    """Each public name stands in code font."""
    assert names
    assert [] == [name for name in names if name not in IN_CODE]


def test_every_declaration_and_fixture_is_documented() -> None:
    """What a class of an author may have."""
    made = {
        name
        for suite in (StoreConformance, TransportConformance)
        for name, value in vars(suite).items()
        if not name.startswith("_") and not isinstance(value, classmethod)
    }

    assert made - {"bench"} | {"known_deviations", "domain", "make_store", "clients"} <= IN_CODE


def test_what_rules_need_is_explained() -> None:
    """Each name in the marker of a rule, and each that a transport may offer."""
    needed = {
        need
        for suite in (StoreConformance, TransportConformance)
        for each, _ in rules_of(suite)
        for need in each.requires
    }
    declared = TransportCapabilities(
        identity="", max_changes=2, ordered=True, total=True, filters=True, remembers=None
    )

    section = TEXT.partition("## What a rule may need")[2].partition("\n## ")[0]
    listed = set(re.findall(r"`(\w+)`", "\n".join(re.findall(r"^\| (`[^|]+) \|", section, re.MULTILINE))))
    assert needed | offered_by(declared, wire=True) <= listed
    assert listed <= needed | offered_by(declared, wire=True)


def test_every_verdict_is_explained() -> None:
    """One row each."""
    assert [] == [each.value for each in Verdict if f"\n| {each.value} | " not in TEXT]


def test_the_profiles_are_as_they_are() -> None:
    """Sizes, in the order of the table's columns."""
    order = ("examples", "machines", "steps", "runs", "kills", "many")
    for profile in PROFILES.values():
        sizes = attrs.asdict(profile)
        row = " | ".join(f"{sizes[size]:,}" for size in order)
        assert f"| `{profile.name}` | {row} |" in TEXT


def test_every_fault_and_option_is_documented() -> None:
    """Kinds of faults as they are written; options of pytest and of the command."""
    kinds = (*get_args(StoreFault), *get_args(TransportFault))
    plugin = (ROOT / "conformance" / "plugin.py").read_text("utf-8")
    command = (
        (ROOT / "cli" / "arguments.py")
        .read_text("utf-8")
        .partition("def add_conformance")[2]
        .partition("\ndef ")[0]
    )
    options = re.findall(r'"(--[\w-]+)"', plugin + command)

    assert [] == [kind for kind in kinds if f'`"{kind}"`' not in TEXT]
    assert len(options) > 5
    assert [] == [option for option in options if option not in TEXT]
