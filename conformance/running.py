"""The same rules without pytest: `check_store` and `check_transport`."""

from __future__ import annotations

import tempfile
import time
import traceback
from collections.abc import Callable, Collection, Generator, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, Final, TypeVar

from tidesync.conformance.domain import Domain
from tidesync.conformance.expect import RuleBroken
from tidesync.conformance.loading import in_folder, name_of, takes_folder
from tidesync.conformance.profiles import Profile, profile_of
from tidesync.conformance.report import Report, Result, Verdict
from tidesync.conformance.rules import (
    SUITE_VERSION,
    Rule,
    Standing,
    Suite,
    check_deviations,
    rules_of,
    standing,
    told,
    version_key,
)
from tidesync.conformance.store.bench import StoreBench
from tidesync.conformance.store.bench import offered_by as store_offers
from tidesync.conformance.store.suite import StoreConformance
from tidesync.conformance.transport.bench import TransportBench, Wire, offered_by
from tidesync.conformance.transport.suite import TransportConformance
from tidesync.contracts.store import Store, StoreCapabilities
from tidesync.contracts.transport import Transport, TransportCapabilities
from tidesync.errors import ConfigurationError

T = TypeVar("T")
_HERE: Final = str(Path(__file__).parent)
_PLACES: Final = 3
SKIPPED: Mapping[Standing, Verdict] = {
    "undeclared": Verdict.UNDECLARED,
    "unavailable": Verdict.UNAVAILABLE,
    "newer": Verdict.NEWER,
}


def check_store(  # noqa: PLR0913  # each is a declaration of its own, by keyword
    make_store: Callable[..., Store],
    *,
    capabilities: StoreCapabilities | None = None,
    domain: Domain | None = None,
    known_deviations: Mapping[str, str] | None = None,
    make_locked: Callable[..., Store] | None = None,
    count_steps: Callable[[], int] | None = None,
    profile: str | Profile | None = None,
    only: Collection[str] = (),
    version: str = SUITE_VERSION,
) -> Report:
    """Try every rule for stores (or `only` those), and report; `report.check()` raises if one failed.

    `make_store(folder)` makes a store, not open yet, in a folder that is new for each rule: stores of one folder
    share what they hold. A `make_store` without parameters makes a new and empty store at each call, which is enough
    for a store that is neither durable nor for several processes. `make_locked` is the same with another key, for
    an encrypted store. `count_steps()` tells how many steps all stores took so far (see `StoreConformance`). Raises
    `ConfigurationError` for what is declared wrongly, nothing for a rule that fails.
    """
    declared = capabilities or StoreCapabilities()
    offered = store_offers(declared)
    shared = sorted(offered - {"indexed"})
    if shared and not takes_folder(make_store):
        raise ConfigurationError(
            f"the store is declared {', '.join(shared)}: make_store must take a folder to make it in"
        )
    sizes = profile_of(profile)

    @contextmanager
    def bench() -> Generator[StoreBench]:
        with (
            tempfile.TemporaryDirectory(prefix="tidesync-") as name,
            StoreBench(
                in_folder(make_store, Path(name)),
                folder=Path(name),
                profile=sizes,
                capabilities=declared,
                domain=domain,
                make_locked=in_folder(make_locked, Path(name)) if make_locked else None,
                count_steps=count_steps,
            ) as made,
        ):
            yield made

    return _report(
        StoreConformance, bench, _title(make_store), offered, domain,
        known_deviations or {}, only, version,
    )  # fmt: skip


def check_transport(
    make_clients: Callable[..., Sequence[Transport]],
    *,
    capabilities: TransportCapabilities | None = None,
    domain: Domain | None = None,
    known_deviations: Mapping[str, str] | None = None,
    make_wire: Callable[[Sequence[Transport]], Wire] | None = None,
    profile: str | Profile | None = None,
    only: Collection[str] = (),
    version: str = SUITE_VERSION,
) -> Report:
    """Try every rule for transports (or `only` those), and report; `report.check()` raises if one failed.

    `make_clients(folder)` gives two or more clients, not open yet, of one remote that is new and empty at each call
    (the folder is for whatever it keeps). `capabilities` are what `open` must tell; its identity is not compared.
    `make_wire(clients)` gives what makes the wire of the first client fail. Raises as `check_store`.
    """
    declared = capabilities or TransportCapabilities(identity="")
    sizes = profile_of(profile)

    @contextmanager
    def bench() -> Generator[TransportBench]:
        with tempfile.TemporaryDirectory(prefix="tidesync-") as name:
            clients = in_folder(make_clients, Path(name))()
            wire = make_wire(clients) if make_wire else None
            with TransportBench(
                clients, profile=sizes, capabilities=declared, domain=domain, wire=wire, made_by=make_clients
            ) as made:
                yield made

    return _report(
        TransportConformance, bench, _title(make_clients),
        offered_by(declared, wire=make_wire is not None), domain, known_deviations or {}, only, version,
    )  # fmt: skip


def _report(
    suite: type[Suite],
    bench: Callable[[], AbstractContextManager[Any]],
    adapter: str,
    offered: frozenset[str],
    domain: Domain | None,
    known: Mapping[str, str],
    only: Collection[str],
    version: str,
) -> Report:
    check_deviations(suite, known)
    _ = version_key(version)
    unknown = sorted(set(only) - {each.id for each, _ in rules_of(suite)})
    if unknown:
        raise ConfigurationError(f"no rule of this suite has the id {unknown[0]!r:.60}")
    results = [
        _tried(each, function, suite(), bench, standing(each, offered, version), known.get(each.id))
        for each, function in rules_of(suite)
        if not only or each.id in only
    ]
    return Report(
        adapter=adapter,
        declares=told(offered),
        results=results,
        narrowing=domain.says if domain else "",
        version=version,
    )


def _tried(
    each: Rule,
    function: Callable[[Any, Any], None],
    suite: Suite,
    bench: Callable[[], AbstractContextManager[Any]],
    how: Standing,
    deviation: str | None,
) -> Result:
    if how in SKIPPED:
        return Result(rule=each, verdict=SKIPPED[how], detail=" ".join(each.requires))
    begun = time.perf_counter()
    error: BaseException | None = None
    try:
        with bench() as made:
            function(suite, made)
    except (Exception, SystemExit) as raised:  # noqa: BLE001  # whatever a stranger's adapter raises is a result
        error = raised
    except BaseException as raised:
        raised.add_note(f"while {each.id} was tried: {each.name}")
        raise
    verdict, detail = judged(error, how, deviation)
    return Result(rule=each, verdict=verdict, detail=detail, seconds=time.perf_counter() - begun, error=error)


def judged(error: BaseException | None, how: Standing, deviation: str | None) -> tuple[Verdict, str]:
    """What a rule that was tried came to, and why."""
    if error is None:
        if how == "probe":
            return Verdict.WORKS, "declare it, and its other rules are tried"
        if deviation is not None:
            return Verdict.HOLDS, f"take it out of known_deviations: {deviation}"
        return Verdict.PASSED, ""
    if how == "probe":
        return Verdict.UNDECLARED, ""
    if deviation is not None:
        return Verdict.DEVIATES, deviation
    lines = [f"{type(error).__name__}: {error}", *raised_at(error), *getattr(error, "__notes__", ())]
    text = "\n".join(lines)
    return (Verdict.BROKEN if isinstance(error, RuleBroken) else Verdict.ERROR), text


def raised_at(error: BaseException) -> Iterator[str]:
    """The last places in the adapter from which an error came that no rule expects."""
    if isinstance(error, RuleBroken):
        if error.__cause__ is not None:
            yield from raised_at(error.__cause__)
        return
    frames = traceback.extract_tb(error.__traceback__)
    beyond = [place for place, frame in enumerate(frames) if frame.filename.startswith(_HERE)]
    for frame in frames[max(beyond, default=-1) + 1 :][-_PLACES:]:
        yield f"  in {Path(frame.filename).name}, line {frame.lineno}, {frame.name}: {frame.line}"


def _title(make: Callable[..., object]) -> str:
    return name_of(make) or getattr(make, "__qualname__", type(make).__name__)
