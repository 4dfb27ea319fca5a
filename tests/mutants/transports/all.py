"""All broken transports, by name."""

from tests.mutants.transports import (
    conditions,
    departures,
    places,
    pulls,
    pushes,
    remotes,
    resends,
    values,
    wires,
)
from tests.mutants.transports.bases import MUTANTS

__all__ = [
    "MUTANTS",
    "conditions",
    "departures",
    "places",
    "pulls",
    "pushes",
    "remotes",
    "resends",
    "values",
    "wires",
]
