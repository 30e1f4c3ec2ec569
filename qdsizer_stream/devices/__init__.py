"""Ophyd devices."""

from ._sim_mythen import Scene, SimMythen
from ._unit_signal import UnitSignal

__all__ = ["Scene", "SimMythen", "UnitSignal"]
