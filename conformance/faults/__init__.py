"""Stores and transports that fail on purpose, at named calls or by chance from a seed.

What they do is what the contracts allow to happen: an application, a policy or a plug-in that is right stays right
behind them. They need no extra.
"""

from tidesync.conformance.faults.plan import Chance, Fault, Faults, Nth
from tidesync.conformance.faults.stores import FaultyStore, Killed, StoreFault
from tidesync.conformance.faults.transports import FaultyTransport, TransportFault

__all__ = [
    "Chance",
    "Fault",
    "Faults",
    "FaultyStore",
    "FaultyTransport",
    "Killed",
    "Nth",
    "StoreFault",
    "TransportFault",
]
