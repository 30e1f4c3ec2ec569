"""Reduction: strip detector counts to patterns."""

from ._geometry import MODULE_STRIPS, StripDetector, StripModule, nominal_detector, two_theta
from ._reduce import Reducer

__all__ = ["MODULE_STRIPS", "Reducer", "StripDetector", "StripModule", "nominal_detector", "two_theta"]
