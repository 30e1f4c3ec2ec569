"""An acceptance check: a value of a frame beside its threshold."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from ._estimate import Status
from ._evidence import FitEvidence, FrameEvidence

__all__ = ["MIN_POSITIVE", "Check", "CheckResult", "first_failed"]

MIN_POSITIVE = math.ulp(0.0)
"""Minimum of a value that must be above zero."""


@dataclass(frozen=True, kw_only=True)
class CheckResult:
    """Value of one acceptance check of one frame beside its threshold."""

    name: str
    """Name of the check."""
    value: float
    """Value of the frame, in `unit`."""
    minimum: float = -math.inf
    """Smallest accepted value."""
    maximum: float = math.inf
    """Largest accepted value."""
    unit: str = ""
    """Unit of value and thresholds; empty for counts and ratios."""
    status: Status
    """Status of the frame if this is the first check that it fails."""
    message: str = ""
    """Why the frame fails the check, one line; empty where it passes."""

    @property
    def passed(self) -> bool:
        """Whether the value is within the thresholds; NaN is not."""
        return self.minimum <= self.value <= self.maximum

    @property
    def margin(self) -> float:
        """Distance of the value from the nearer threshold, in `unit`; negative where the check fails."""
        return min(self.value - self.minimum, self.maximum - self.value)

    @property
    def threshold(self) -> str:
        """The thresholds in words, such as ``≥ 60`` or ``1.8 to 11 nm``."""
        if self.minimum == MIN_POSITIVE:
            text = "> 0"
        elif math.isinf(self.minimum):
            text = f"≤ {self.maximum:.4g}"
        elif math.isinf(self.maximum):
            text = f"≥ {self.minimum:.4g}"
        else:
            text = f"{self.minimum:.4g} to {self.maximum:.4g}"
        return f"{text} {self.unit}".rstrip()

    def __str__(self) -> str:
        state = "passed" if self.passed else "failed"
        return f"{self.name}: {f'{self.value:.4g} {self.unit}'.rstrip()} ({self.threshold}) {state}"

    def to_dict(self) -> dict[str, Any]:
        """Fields by name, for JSON.

        Returns
        -------
        Name, value, unit, thresholds (infinite ones as None) and the same in words, whether the check
        passed, and the message.
        """
        return {
            "name": self.name,
            "value": self.value,
            "unit": self.unit,
            "minimum": None if math.isinf(self.minimum) else self.minimum,
            "maximum": None if math.isinf(self.maximum) else self.maximum,
            "threshold": self.threshold,
            "passed": self.passed,
            "message": self.message,
        }


Evidence = TypeVar("Evidence", bound=FrameEvidence | FitEvidence)


@dataclass(frozen=True, kw_only=True)
class Check(Generic[Evidence]):
    """One acceptance check."""

    name: str
    """Name of the check."""
    needs: type[Evidence]
    """Evidence that it looks at."""
    value: Callable[[Evidence], float]
    """Value of a frame."""
    minimum: Callable[[Evidence], float] | None = None
    """Smallest accepted value; None where any is small enough."""
    maximum: Callable[[Evidence], float] | None = None
    """Largest accepted value; None where none is too large."""
    unit: str = ""
    """Unit of value and thresholds."""
    applies: Callable[[Evidence], bool] | None = None
    """Whether the model has what the check looks at; None where every model has."""
    status: Callable[[Evidence], Status]
    """Status of a frame that fails."""
    message: Callable[[Evidence, float], str]
    """Why a frame fails, from the evidence and the value."""

    def result(self, evidence: FrameEvidence | FitEvidence) -> CheckResult | None:
        """Check a frame.

        Parameters
        ----------
        evidence
            Evidence on the frame.

        Returns
        -------
        The result; None where the check needs other evidence or does not apply to the model.
        """
        if not isinstance(evidence, self.needs):
            return None
        if self.applies is not None and not self.applies(evidence):
            return None
        value = self.value(evidence)
        minimum = -math.inf if self.minimum is None else self.minimum(evidence)
        maximum = math.inf if self.maximum is None else self.maximum(evidence)
        return CheckResult(
            name=self.name,
            value=value,
            minimum=minimum,
            maximum=maximum,
            unit=self.unit,
            status=self.status(evidence),
            message="" if minimum <= value <= maximum else self.message(evidence, value),
        )


def first_failed(checks: tuple[CheckResult, ...]) -> CheckResult | None:
    """Find the check that rejects a frame.

    Parameters
    ----------
    checks
        Results, in order.

    Returns
    -------
    The first that failed, or None.
    """
    return next((check for check in checks if not check.passed), None)
