"""Ophyd devices."""

from ._sim_mythen import Scene, SimMythen
from ._sim_mythen_hdf5 import SimMythenHdf5
from ._unit_signal import UnitSignal

__all__ = ["Scene", "SimMythen", "SimMythenHdf5", "UnitSignal"]
