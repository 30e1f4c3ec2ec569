"""Ophyd devices."""

from ._epics_mythen import AdMythen, SlsMythen
from ._sim_mythen import Beam, Scene, SimMythen
from ._sim_mythen_hdf5 import SimMythenHdf5
from ._size_device import LiveCounters, SizeDevice, Sizing
from ._unit_signal import PolledSignal, UnitSignal

__all__ = [
    "AdMythen",
    "Beam",
    "LiveCounters",
    "PolledSignal",
    "Scene",
    "SimMythen",
    "SimMythenHdf5",
    "SizeDevice",
    "Sizing",
    "SlsMythen",
    "UnitSignal",
]
