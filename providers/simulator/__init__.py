"""A simulated upstream: a real HTTP server inside the tree that speaks both APIs.

It answers deterministically, at a set pace, and fails on demand in every way providers fail. It
serves tests, demonstrations and benchmarks; to a client it is an upstream like any other.
"""

from providers.simulator.faults import FAULTS, Fault, FaultKind, parse_fault
from providers.simulator.server import Simulator
from providers.simulator.settings import FaultRule, SimulatorSettings

__all__ = [
    "FAULTS",
    "Fault",
    "FaultKind",
    "FaultRule",
    "Simulator",
    "SimulatorSettings",
    "parse_fault",
]
