"""Plans that act on the size, and leave the beamline safe however they end."""

from ._expose import count_until_precise
from ._follow import choose_exposure, follow_synthesis
from ._frames import SteeringFrame
from ._monitor import monitor_synthesis
from ._outcome import Ending, PlanOutcome
from ._safety import Shutter
from ._size_until import size_until

__all__ = [
    "Ending",
    "PlanOutcome",
    "Shutter",
    "SteeringFrame",
    "choose_exposure",
    "count_until_precise",
    "follow_synthesis",
    "monitor_synthesis",
    "size_until",
]
