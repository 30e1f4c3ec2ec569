"""Evaluation: a model against the paper's table, against what a beamline does, against what is no dot."""

from ._evaluate import EvaluationSettings, Suite, evaluate
from ._report import Report, Section

__all__ = ["EvaluationSettings", "Report", "Section", "Suite", "evaluate"]
