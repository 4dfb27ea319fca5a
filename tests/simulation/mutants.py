"""All mutants, by name."""

from tests.simulation import mutants_of_sending, mutants_of_settling
from tests.simulation.mutant import MUTANTS, RULES, Mutant

__all__ = ["MUTANTS", "RULES", "Mutant", "mutants_of_sending", "mutants_of_settling"]
