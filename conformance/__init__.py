"""The suite with which authors of stores and transports show that theirs keep the contracts.

Subclass `StoreConformance` or `TransportConformance` in a test module, or call `check_store` or `check_transport`.
It needs the extra `tidesync[conformance]`; a name that does is `MissingExtra` without it.

GUIDE.md, beside this file, begins at the beginning; docs/conformance.md has every name, and docs/rules.md every rule.
For tests of your own: `faults` (stores and wires that fail on purpose), `strategies` and `histories` (what to try them
with), `oracle` (what queries mean), `simulation` (whole devices with a part of yours).
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from tidesync.errors import MissingExtra

if TYPE_CHECKING:
    from tidesync.conformance.bridge import Bridged
    from tidesync.conformance.domain import Domain
    from tidesync.conformance.expect import RuleBroken
    from tidesync.conformance.loading import load_clients, load_store
    from tidesync.conformance.report import NotConforming, Report, Result, Verdict
    from tidesync.conformance.rules import SUITE_VERSION, Rule
    from tidesync.conformance.running import check_store, check_transport
    from tidesync.conformance.store.suite import StoreConformance
    from tidesync.conformance.transport.bench import Wire
    from tidesync.conformance.transport.suite import TransportConformance
    from tidesync.conformance.transport.tables import TABLES

__all__ = [
    "SUITE_VERSION",
    "TABLES",
    "Bridged",
    "Domain",
    "NotConforming",
    "Report",
    "Result",
    "Rule",
    "RuleBroken",
    "StoreConformance",
    "TransportConformance",
    "Verdict",
    "Wire",
    "check_store",
    "check_transport",
    "load_clients",
    "load_store",
]

_HOMES: Final = {
    "SUITE_VERSION": "rules",
    "TABLES": "transport.tables",
    "Bridged": "bridge",
    "Domain": "domain",
    "NotConforming": "report",
    "Report": "report",
    "Result": "report",
    "Rule": "rules",
    "RuleBroken": "expect",
    "StoreConformance": "store.suite",
    "TransportConformance": "transport.suite",
    "Verdict": "report",
    "Wire": "transport.bench",
    "check_store": "running",
    "check_transport": "running",
    "load_clients": "loading",
    "load_store": "loading",
}


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        return getattr(import_module(f"tidesync.conformance.{home}"), name)
    except ModuleNotFoundError as error:
        if error.name in ("hypothesis", "pytest"):
            raise MissingExtra(error.name, "conformance") from error
        raise
