"""Evaluation of models: the paper's table, robustness, negative controls, intervals and held-out families."""

from ._adversarial_suite import AdversarialFamily, load_adversarial_families
from ._benchmark import Benchmark, Condition, Sample, patterns_of, within_class
from ._evaluate import EvaluationSettings, Suite, evaluate
from ._families import Family, frames_of, load_families, recipe_without
from ._families_suite import needed_widening
from ._information_limit import most_probable_class_nm
from ._intervals_suite import STRATUM_AXES, StratumAxis, coverage_by_stratum
from ._negative_controls_suite import confidently_wrong, evaluate_look_alikes
from ._paper_suite import PAPER_AREA_RATIO, PAPER_PERCENT
from ._photon_limit import min_half_width_nm
from ._report import Report, Section
from ._robustness_suite import RobustnessRow, load_robustness_rows, robustness_cells, robustness_stream
from ._sized_frames import SizedFrames

__all__ = [
    "PAPER_AREA_RATIO",
    "PAPER_PERCENT",
    "STRATUM_AXES",
    "AdversarialFamily",
    "Benchmark",
    "Condition",
    "EvaluationSettings",
    "Family",
    "Report",
    "RobustnessRow",
    "Sample",
    "Section",
    "SizedFrames",
    "StratumAxis",
    "Suite",
    "confidently_wrong",
    "coverage_by_stratum",
    "evaluate",
    "evaluate_look_alikes",
    "frames_of",
    "load_adversarial_families",
    "load_families",
    "load_robustness_rows",
    "min_half_width_nm",
    "most_probable_class_nm",
    "needed_widening",
    "patterns_of",
    "recipe_without",
    "robustness_cells",
    "robustness_stream",
    "within_class",
]
