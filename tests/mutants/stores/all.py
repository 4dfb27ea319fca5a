"""All broken stores, by name."""

from tests.mutants.stores import (
    calls,
    computing,
    conditions,
    costs,
    durability,
    encryption,
    histories,
    processes,
    queries,
    schemas,
    transactions,
    turns,
    values,
)
from tests.mutants.stores.bases import MUTANTS

__all__ = [
    "MUTANTS",
    "calls",
    "computing",
    "conditions",
    "costs",
    "durability",
    "encryption",
    "histories",
    "processes",
    "queries",
    "schemas",
    "transactions",
    "turns",
    "values",
]
