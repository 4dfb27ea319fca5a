"""The engine under a seeded scheduler, a faulty network and users who do not wait, with any part of it your own.

`simulate(Scenario(policy=...), runs=200).raise_for_failures()`: see docs/simulation.md for what is checked.
"""

from tidesync.conformance.simulation.scenario import Scenario
from tidesync.conformance.simulation.simulate import Failure, Report, SimulationFailed, replay, simulate

__all__ = ["Failure", "Report", "Scenario", "SimulationFailed", "replay", "simulate"]
