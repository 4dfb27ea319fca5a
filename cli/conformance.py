"""`tidesync conformance MODULE:FACTORY`: the suite, from the command line."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, cast

from tidesync.conformance import (
    TABLES,
    Report,
    StoreConformance,
    TransportConformance,
    check_store,
    check_transport,
)
from tidesync.conformance.loading import in_folder, load
from tidesync.conformance.report import write_matrix
from tidesync.conformance.rules import SUITE_VERSION, rules_of
from tidesync.contracts.store import Store, StoreCapabilities
from tidesync.contracts.transport import Transport, TransportCapabilities
from tidesync.errors import ConfigurationError


def list_rules() -> int:
    """Print the rules of both suites, each on a line; 0."""
    for suite in (StoreConformance, TransportConformance):
        for each, _ in rules_of(suite):
            needs = f" (needs {', '.join(each.requires)})" if each.requires else ""
            print(f"{each.id} {each.promise}{needs}")
    return 0


def conformance(
    target: str,
    *,
    profile: str | None,
    only: Sequence[str],
    deviates: Sequence[str],
    file: Path | None,
    version: str | None,
) -> int:
    """Try the rules on what the factory makes, and print the report; 0, or 1 if a rule is broken."""
    if file is not None and file.suffix not in (".md", ".json"):
        raise ConfigurationError(f"--report is a file that ends in .md or .json, not {file.name!r}")
    make = load(target)
    known = dict(map(_deviation, deviates))
    declared = _declared(target, make)
    report: Report
    if isinstance(declared, StoreCapabilities):
        report = check_store(
            make, capabilities=declared, known_deviations=known, profile=profile, only=only,
            version=version or SUITE_VERSION,
        )  # fmt: skip
    else:
        report = check_transport(
            make, capabilities=declared, known_deviations=known, profile=profile, only=only,
            version=version or SUITE_VERSION,
        )  # fmt: skip
    for line in report.told():
        print(line)
    if file is not None:
        write_matrix(file, [report])
    return 1 if report.failures else 0


def _declared(target: str, make: Callable[..., Any]) -> StoreCapabilities | TransportCapabilities:
    """What the first thing that the factory makes says of itself."""
    with tempfile.TemporaryDirectory(prefix="tidesync-") as folder:
        made: object = in_folder(make, Path(folder))()
        if hasattr(made, "transaction"):
            return cast("Store", made).capabilities
        clients = cast("Sequence[object]", made if isinstance(made, list | tuple) else ())
        if clients and hasattr(clients[0], "push"):
            client = cast("Transport", clients[0])
            found = client.open(list(TABLES))
            client.close()
            return found
    kind = type(made).__name__  # pyright: ignore[reportUnknownArgumentType]  # narrowed to a list of nobody knows what
    raise ConfigurationError(
        f"{target} makes {kind}: it must make a store, or a list of two or more clients of one remote"
    )


def _deviation(text: str) -> tuple[str, str]:
    id, _, reason = text.partition("=")
    if not reason:
        raise ConfigurationError(f"--deviates is ID=REASON, not {text!r:.80}")
    return id, reason
