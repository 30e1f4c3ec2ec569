"""Plans that act on the size, and leave the beamline safe however they end."""

from ._expose import count_until_precise
from ._frames import SteeringFrame
from ._growth import GrowthRate, growth_rate
from ._monitor import monitor_synthesis
from ._outcome import Ending, PlanOutcome
from ._safety import Shutter
from ._size_until import size_until

__all__ = [
    "Ending",
    "GrowthRate",
    "PlanOutcome",
    "Shutter",
    "SteeringFrame",
    "count_until_precise",
    "growth_rate",
    "monitor_synthesis",
    "size_until",
]
