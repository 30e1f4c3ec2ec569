"""Models without a network: each frame is fitted with templates of its material."""

import io
import json
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from .._notebook import html_table
from ..configuration import validated
from ..errors import ModelError, PatternError
from ..patterns import Pattern, bin_pattern
from ._answer import Answer, upper_widening, with_widening
from ._card import BinnedInput, Card, FitOutput, IntervalCalibration
from ._file import SizingModel
from ._interval import TWO_SIDED_95, log_size_sd
from ._seal import read_model_file, seal_of_arrays
from ._templates import Templates
from .fit import FitOptions, FitResult, FitTemplates, FrameFit, Prior

__all__ = ["FitModel", "write_fit_model"]

REFERENCE_TOLERANCE = 1e-3
"""Largest relative difference of the size of the reference frame from the one in the file."""

MAX_LOG_SD = 1.0
"""Largest standard deviation of ln size or dispersion: a frame that shows no dots determines neither."""

ERROR_ROUNDS = 1
"""Rounds in which a misfit widens the weights: a live frame has time for one."""

ZERO_SD_DEG = 0.03
"""Standard deviation of a 2θ zero before the fit, degrees: that of a calibrated detector."""

B_SD_ANGSTROM2 = 1.5
"""Standard deviation of the displacement parameter about the material's before the fit."""

CORRELATED_OF_B = (0.7, 0.4)
"""Amplitude of correlated motion over the smallest B, and its standard deviation, before the fit."""

DISPERSION_PRIOR = Prior(math.log(0.12), 0.6)
"""Logarithm of the dispersion before the fit."""

STRAIN_SD = 0.01
"""Standard deviation of the strain before the fit."""


class FitModel(SizingModel):
    """Templates of a material with a card, ready to fit frames; make it with `load_model`.

    Parameters
    ----------
    path
        Model file.

    Raises
    ------
    ModelError
        The file is missing, damaged, not made by this package, of another format version, or its fit does not
        give the reference size on this machine.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        path = Path(path)
        content, self.sha256 = read_model_file(path)
        self.path = path
        try:
            with np.load(io.BytesIO(content), allow_pickle=False) as archive:
                arrays = {name: archive[name] for name in archive.files}
            card = str(arrays["card"])
            seal = str(arrays.pop("seal"))
            if seal != (found := seal_of_arrays(arrays)):
                raise ModelError(
                    f"model file {path} is damaged: card, templates or reference have changed since it was "
                    f"written ({found[:19]}… instead of {seal[:19]}…). Build it again, or copy it again"
                )
            self.card = validated(Card, json.loads(card), "its card")
            self.templates = Templates.from_arrays(_part(arrays, "check"))
            fit_templates = FitTemplates.from_arrays(_part(arrays, "fit"))
            reference = _part(arrays, "reference")
            if not isinstance(self.card.output, FitOutput) or not isinstance(self.card.input, BinnedInput):
                raise ModelError(f"its card is that of a network ({self.card.output.kind})")
        except (KeyError, TypeError, ValueError, OSError, EOFError, BadZipFile) as error:
            raise ModelError(
                f"model file {path} is damaged, of another version or not one of this package: {error}"
            ) from error
        self._output, self._grid = self.card.output, self.card.input.grid
        self._fit = FrameFit(fit_templates, _options(fit_templates, self._output))
        self.n_references = 1
        self.answers_blocks = False  # one fit after another
        self.reference_error = self._compare(reference)

    def __repr__(self) -> str:
        low, high = self.card.size_range_nm
        return (
            f"<FitModel {self.name}: {self.card.material}, {low:g}–{high:g} nm, fits templates, "
            f"sha256 {self.sha256[:12]}>"
        )

    def _repr_html_(self) -> str:
        card = self.card
        low, high = card.size_range_nm
        return html_table(
            f"{card.name}: {card.description}",
            {
                "material": f"{card.material}, lattice parameter {card.lattice_parameter_angstrom:g} Å",
                "sizes": f"{low:g}–{high:g} nm",
                "output": card.output.kind,
                "file": str(self.path),
                "sha256": self.sha256,
            },
        )

    def answer(self, pattern: Pattern, resolution_inv_angstrom: NDArray[np.float64] | None = None) -> Answer:
        """Fit one pattern.

        Parameters
        ----------
        pattern
            Pattern with any spacing.
        resolution_inv_angstrom
            As in `answer_binned`.

        Returns
        -------
        The answer, before any acceptance check.

        Raises
        ------
        PatternError
            The pattern cannot be fitted.
        """
        return self.answer_binned(bin_pattern(pattern, self._grid), resolution_inv_angstrom)

    def answer_binned(
        self, binned: Pattern, resolution_inv_angstrom: NDArray[np.float64] | None = None
    ) -> Answer:
        """Fit one pattern that is already on the bins of the model.

        Parameters
        ----------
        binned
            Pattern on the bins of the card.
        resolution_inv_angstrom
            Full width at half maximum of the instrument at each bin, Å⁻¹, shape (n_bins,); None for a perfect
            one.

        Returns
        -------
        The answer, before any acceptance check.

        Raises
        ------
        PatternError
            The pattern cannot be fitted.
        """
        return self._with_intervals(self.fit_binned(binned, resolution_inv_angstrom))

    def answers_binned(
        self, binned: Pattern, resolutions_inv_angstrom: Sequence[NDArray[np.float64] | None]
    ) -> list[Answer]:
        """Fit one pattern for several widths of the instrument, one after another.

        Parameters
        ----------
        binned, resolutions_inv_angstrom
            As in `SizingModel.answers_binned`.

        Returns
        -------
        Answers in the order of the widths.

        Raises
        ------
        PatternError
            The pattern cannot be fitted.
        """
        return [self.answer_binned(binned, one) for one in resolutions_inv_angstrom]

    def fit_binned(
        self, binned: Pattern, resolution_inv_angstrom: NDArray[np.float64] | None = None
    ) -> FitResult:
        """Fit one pattern and keep all parameters.

        Parameters
        ----------
        binned, resolution_inv_angstrom
            As in `answer_binned`.

        Returns
        -------
        The fit.

        Raises
        ------
        PatternError
            The pattern cannot be fitted.
        """
        usable = binned.usable
        fwhm = None
        if resolution_inv_angstrom is not None and np.any(resolution_inv_angstrom > 0):
            q = self._fit.templates.q_inv_angstrom
            fwhm = np.interp(q, self._grid.centres, resolution_inv_angstrom)
        try:
            return self._fit.fit(
                binned.q_inv_angstrom[usable],
                binned.intensity[usable],
                binned.sigma[usable],
                fwhm_inv_angstrom=fwhm,
            )
        except (np.linalg.LinAlgError, ValueError, RuntimeError) as error:
            raise PatternError(f"the frame cannot be fitted: {error}") from error

    def allow_for_channels(self, answer: Answer, binned: Pattern) -> Answer:
        """Raise the upper ends of the intervals by what wide detector channels may hide.

        Parameters
        ----------
        answer
            Answer of this model for the pattern.
        binned
            The pattern on the bins of the model.

        Returns
        -------
        The answer, its intervals no narrower.
        """
        filled = np.flatnonzero(~binned.mask)
        apart = float(np.median(np.diff(filled))) if filled.size > 1 else 1.0
        step = self._grid.q_step_inv_angstrom
        return with_widening(answer, upper_widening(answer.size_nm, apart * step, step))

    def _with_intervals(self, fit: FitResult) -> Answer:
        size, mass = fit.number_mean_nm, fit.mass_mean_nm
        size_sd = min(fit.number_mean_sd_nm / size, MAX_LOG_SD)
        mass_sd = min(fit.mass_mean_sd_nm / mass, MAX_LOG_SD)
        dispersion_sd = min(fit.dispersion_sd, MAX_LOG_SD)
        output = self._output

        def ends(
            value: float, sd: float, calibration: IntervalCalibration
        ) -> tuple[float, float, float, float]:
            settings = calibration.floors(fit.dispersion)
            whole = log_size_sd(sd, value, **settings)
            return (
                value * math.exp(-TWO_SIDED_95 * whole),
                value * math.exp(TWO_SIDED_95 * whole),
                value * calibration.scale * sd,
                value * log_size_sd(0.0, value, **settings),
            )

        low, high, frame_sd, shared_sd = ends(size, size_sd, output.size_interval)
        mass_low, mass_high, mass_frame_sd, mass_shared_sd = ends(mass, mass_sd, output.mass_interval)
        spread = math.hypot(
            output.dispersion_interval.scale * dispersion_sd, output.dispersion_interval.floor
        )
        return Answer(
            size_nm=size,
            size_low_nm=low,
            size_high_nm=high,
            size_frame_sd_nm=frame_sd,
            size_shared_sd_nm=shared_sd,
            mass_mean_nm=mass,
            mass_mean_low_nm=mass_low,
            mass_mean_high_nm=mass_high,
            mass_mean_frame_sd_nm=mass_frame_sd,
            mass_mean_shared_sd_nm=mass_shared_sd,
            dispersion=fit.dispersion,
            dispersion_low=max(fit.dispersion - TWO_SIDED_95 * spread, 0.0),
            dispersion_high=fit.dispersion + TWO_SIDED_95 * spread,
            strain=fit.strain,
        )

    def _compare(self, reference: Mapping[str, NDArray[Any]]) -> float:
        """Fit the reference frame of the file."""
        q = reference["q_inv_angstrom"]
        frame = Pattern(q, reference["intensity"], reference["sigma"], reference["mask"])
        found, expected = self.fit_binned(frame).number_mean_nm, float(reference["number_mean_nm"])
        error = abs(found / expected - 1)
        if not error <= REFERENCE_TOLERANCE:
            raise ModelError(
                f"model file {self.path} gives {found:.4f} nm for its reference frame, its author found "
                f"{expected:.4f} nm: the file is damaged, or the package differs: build it again"
            )
        return error


def write_fit_model(
    path: str | os.PathLike[str], card: Card, check: Templates, templates: FitTemplates, reference: Pattern
) -> FitModel:
    """Write a model file and load it.

    Parameters
    ----------
    path
        File to write, ending in .npz.
    card
        Its card, with an output of kind "fit".
    check
        Curves of the physics check.
    templates
        Templates of the fit, of one group.
    reference
        Frame on the bins of the card whose size is stored, and compared at every load.

    Returns
    -------
    The model.

    Raises
    ------
    ModelError
        The file cannot be written or read.
    """
    path = Path(path)
    assert isinstance(card.output, FitOutput)
    usable = reference.usable
    size = FrameFit(templates, _options(templates, card.output)).fit(
        reference.q_inv_angstrom[usable], reference.intensity[usable], reference.sigma[usable]
    )
    arrays: dict[str, NDArray[Any]] = {"card": np.asarray(card.model_dump_json())}
    arrays |= {f"check/{name}": value for name, value in check.to_arrays().items()}
    arrays |= {f"fit/{name}": value for name, value in templates.to_arrays().items()}
    arrays |= {
        "reference/q_inv_angstrom": reference.q_inv_angstrom,
        "reference/intensity": reference.intensity,
        "reference/sigma": reference.sigma,
        "reference/mask": reference.mask,
        "reference/number_mean_nm": np.asarray(size.number_mean_nm),
    }
    arrays["seal"] = np.asarray(seal_of_arrays(arrays))
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **arrays)
    try:
        path.write_bytes(buffer.getvalue())
    except OSError as error:
        raise ModelError(f"cannot write model file {path}: {error.strerror}") from error
    return FitModel(path)


def _part(arrays: Mapping[str, NDArray[Any]], name: str) -> dict[str, NDArray[Any]]:
    """Arrays of one part of a file, without its name in front."""
    return {
        key.removeprefix(f"{name}/"): value for key, value in arrays.items() if key.startswith(f"{name}/")
    }


def _options(templates: FitTemplates, output: FitOutput) -> FitOptions:
    """What a model refines, and what it knows before."""
    b = max(float(templates.b_angstrom2.min()), 0.5)
    return FitOptions(
        common_b=True,
        model_error=output.model_error,
        error_rounds=ERROR_ROUNDS,
        priors={
            "log_dispersion": DISPERSION_PRIOR,
            "zero_rad": Prior(0.0, math.radians(ZERO_SD_DEG)),
            "strain": Prior(0.0, STRAIN_SD),
            "correlated": Prior(CORRELATED_OF_B[0] * b, CORRELATED_OF_B[1] * b),
            "b": Prior(0.0, B_SD_ANGSTROM2),
        },
    )
