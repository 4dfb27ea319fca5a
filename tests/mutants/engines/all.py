"""All mutants, by name."""

from tests.mutants.engines import more, sending, settling
from tests.mutants.engines.mutant import MUTANTS, RULES, Mutant

__all__ = ["MUTANTS", "RULES", "Mutant", "more", "sending", "settling"]
