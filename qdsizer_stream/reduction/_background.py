"""Subtraction of air, capillary and solvent scattering."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from ..configuration import Config, SettingsPath, toml_table, validated
from ..errors import ConfigurationError, PatternError
from ..patterns import Axis, Pattern, energy_ev_from_wavelength, read_pattern, two_theta_from_q
from ._absorption import Capillary, paalman_pings, straight_transmission
from ._reduced_files import read_reduced

__all__ = [
    "BackgroundConfig",
    "BackgroundSubtractor",
    "Compton",
    "PatternFile",
    "Subtracted",
    "compton_electron_units",
    "load_background",
]

SAME_Q = 1e-6
"""Points closer than this fraction of Q are the same point: files have ten digits."""

MIN_FIT_POINTS = 20
"""Minimum for fitting four parameters: the scale of the solvent and a parabola."""


class Compton(Config):
    """Compton scattering of the dots; that of solvent and wall is subtracted with them."""

    composition: dict[str, float] = Field(min_length=1)
    """Atoms by chemical symbol, such as {Pb = 1, S = 1}."""
    intensity_per_electron_unit: float = Field(gt=0)
    """Intensity of the pattern per electron unit of this composition."""


class PatternFile(Config):
    """A measured pattern in a file."""

    path: SettingsPath
    """Reduced with the same bins as the frames: NXcanSAS of this package (.h5), or text with Q in Å⁻¹."""


class BackgroundConfig(Config):
    """Settings of the background subtraction."""

    air: PatternFile | None = None
    """Pattern of the beam path without capillary."""
    empty_capillary: PatternFile | None = None
    """Pattern of the empty capillary."""
    solvent: PatternFile | None = None
    """Pattern of the capillary filled with pure solvent."""

    capillary: Capillary | None = None
    """Capillary, for the absorption correction; None for no absorption."""
    sample_attenuation_per_cm: float = Field(default=0.0, ge=0)
    """Linear attenuation coefficient of the sample, cm⁻¹."""
    solvent_attenuation_per_cm: float = Field(default=0.0, ge=0)
    """Linear attenuation coefficient of the solvent, cm⁻¹."""
    air_upstream: float = Field(default=0.5, ge=0, le=1)
    """Fraction of the air scattering that arises upstream of the capillary. The capillary attenuates the
    downstream part by its transmission, and the upstream part not at all. One half for a beam path centred on
    the sample."""
    solvent_scale: float | Literal["fit"] = "fit"
    """Volume fraction of the solvent, 1 - φ with φ that of the dots; "fit" to fit it."""
    solvent_scale_sigma: float = Field(default=0.005, ge=0, lt=1)
    """Standard deviation of a given scale. For a fitted scale, it is added (in quadrature) to that of the
    fit, because the tail of the dots is not exactly a parabola: an exponential with a decay of 6 Å⁻¹ changes
    the scale by 0.005."""
    fit_q_min_inv_angstrom: float = Field(default=8.0, gt=0)
    """Lower limit of the fit, Å⁻¹: at high Q the dots give a smooth curve under the oscillations of the
    solvent."""
    fit_q_max_inv_angstrom: float = Field(default=30.0, gt=0)
    """Upper limit of the fit, Å⁻¹."""
    compton: Compton | None = None
    """Compton scattering of the dots; None to leave it in the pattern."""


@dataclass(frozen=True, eq=False)
class Subtracted:
    """A pattern after subtraction of its backgrounds.

    Parameters
    ----------
    pattern
        Scattering of the dots, with the statistical error of the frame only.
    systematic
        Errors common to all frames that share these backgrounds, by source, each of shape (n,):
        ``background``, the statistics of the backgrounds, independent from point to point, and
        ``solvent_scale``, fully correlated over all points.
    solvent_scale
        Scale of the solvent; NaN without solvent.
    solvent_scale_sigma
        Its standard deviation.
    """

    pattern: Pattern
    systematic: dict[str, NDArray[np.float64]]
    solvent_scale: float
    solvent_scale_sigma: float


@dataclass(frozen=True, eq=False)
class _Curve:
    """A background at the Q points of the sample; NaN where it has none."""

    intensity: NDArray[np.float64]
    variance: NDArray[np.float64]


class BackgroundSubtractor:
    """Subtracts air, capillary and solvent from the patterns of one run.

    I_dots = [I_m - a - r_s (I_cap - a)] / A_s,sc - (1-φ) [I_v - a - r_v (I_cap - a)] / A_v,sc with
    r = A_c,sc / A_c,c (Paalman & Pings, J. Appl. Phys. 33, 2635, 1962). An absorbing sample
    attenuates the scattering of the wall: 1 vol% of PbS by a fifth, by which plain subtraction would subtract
    too much.

    Parameters
    ----------
    config
        Settings.
    q_inv_angstrom
        Q points of the patterns, Å⁻¹, shape (n,).
    wavelength_angstrom
        Wavelength, Å.
    air, capillary, solvent
        Measured patterns, normalised like those of the sample, at the same Q points: beam path without
        capillary; empty capillary; capillary with pure solvent. None for backgrounds that are not subtracted.

    Raises
    ------
    ConfigurationError
        The range of the fit is empty, or the wall is thicker than the capillary's radius.
    PatternError
        A background has no Q point in common with the patterns, or Q is beyond 4π/λ.
    """

    def __init__(
        self,
        config: BackgroundConfig,
        q_inv_angstrom: NDArray[np.float64],
        wavelength_angstrom: float,
        *,
        air: Pattern | None = None,
        capillary: Pattern | None = None,
        solvent: Pattern | None = None,
    ) -> None:
        self.config = config
        self.q_inv_angstrom = q = q_inv_angstrom
        self._given = {
            "air": air is not None,
            "capillary": capillary is not None,
            "solvent": solvent is not None,
        }
        one = np.ones(q.size)
        self._sample_factor, shadow, solvent_factor, solvent_shadow = one, one, one, one
        transmissions = {"sample": 1.0, "solvent": 1.0, "empty": 1.0}
        if config.capillary is not None:
            angles = two_theta_from_q(q, wavelength_angstrom)
            filled = paalman_pings(config.capillary, config.sample_attenuation_per_cm, angles)
            pure = paalman_pings(config.capillary, config.solvent_attenuation_per_cm, angles)
            self._sample_factor, shadow = filled.sample_in_both, filled.wall_in_both / filled.wall_in_wall
            solvent_factor, solvent_shadow = pure.sample_in_both, pure.wall_in_both / pure.wall_in_wall
            transmissions = {
                "sample": straight_transmission(config.capillary, config.sample_attenuation_per_cm),
                "solvent": straight_transmission(config.capillary, config.solvent_attenuation_per_cm),
                "empty": straight_transmission(config.capillary, 0.0),
            }
        air_fraction = {
            name: config.air_upstream + (1 - config.air_upstream) * transmission
            for name, transmission in transmissions.items()
        }
        self._air = _aligned(air, q, "air")
        self._wall = _aligned(capillary, q, "capillary")
        # Without a pattern of the empty capillary there is no air in it to subtract.
        air_in_wall = air_fraction["empty"] if capillary is not None else 0.0
        self._solvent = None if solvent is None else _aligned(solvent, q, "solvent")
        # Coefficients of each background, without and with the scale of the solvent.
        self._of_air = (air_fraction["sample"] - shadow * air_in_wall) / self._sample_factor
        self._of_wall = shadow / self._sample_factor
        self._of_solvent = 1 / solvent_factor
        self._of_air_in_solvent = (air_fraction["solvent"] - solvent_shadow * air_in_wall) / solvent_factor
        self._of_wall_in_solvent = solvent_shadow / solvent_factor
        self._compton = np.zeros(q.size)
        if config.compton is not None:
            self._compton = config.compton.intensity_per_electron_unit * compton_electron_units(
                config.compton.composition, q, wavelength_angstrom
            )
        self._fit = (q >= config.fit_q_min_inv_angstrom) & (q <= config.fit_q_max_inv_angstrom)
        if solvent is not None and config.solvent_scale == "fit" and self._fit.sum() < MIN_FIT_POINTS:
            raise ConfigurationError(
                f"{self._fit.sum()} points between {config.fit_q_min_inv_angstrom:g} and "
                f"{config.fit_q_max_inv_angstrom:g} Å⁻¹ to fit the scale of the solvent, there must "
                f"be at least {MIN_FIT_POINTS}: widen the range, or give solvent_scale"
            )

    @classmethod
    def from_files(
        cls, config: BackgroundConfig, q_inv_angstrom: NDArray[np.float64], wavelength_angstrom: float
    ) -> Self:
        """Create a subtractor from the pattern files in the settings.

        Parameters
        ----------
        config, q_inv_angstrom, wavelength_angstrom
            As for the class.

        Returns
        -------
        The subtractor.

        Raises
        ------
        PatternFileError
            A file cannot be read.
        ConfigurationError, PatternError
            As for the class.
        """

        def read(file: PatternFile | None) -> Pattern | None:
            if file is None:
                return None
            if file.path.suffix == ".h5":
                return read_reduced(file.path)[0]
            return read_pattern(file.path, wavelength_angstrom, Axis.Q)

        return cls(
            config,
            q_inv_angstrom,
            wavelength_angstrom,
            air=read(config.air),
            capillary=read(config.empty_capillary),
            solvent=read(config.solvent),
        )

    def __repr__(self) -> str:
        given = [name for name in ("air", "capillary", "solvent") if self._given[name]]
        absorption = "with" if self.config.capillary is not None else "without"
        return (
            f"<BackgroundSubtractor: {', '.join(given) or 'nothing'} at {self.q_inv_angstrom.size} points, "
            f"{absorption} absorption correction>"
        )

    def subtract(self, pattern: Pattern) -> Subtracted:
        """Subtract the backgrounds from a pattern.

        Parameters
        ----------
        pattern
            Pattern at the Q points of this subtractor.

        Returns
        -------
        The difference, also masked where a background is masked.

        Raises
        ------
        PatternError
            The pattern has other Q points; or there are too few points, or the solvent is too noisy, to fit
            the scale.
        """
        q = self.q_inv_angstrom
        if not np.array_equal(pattern.q_inv_angstrom, q):
            raise PatternError(
                f"the {len(pattern)} Q points of the pattern differ from the {q.size} of its backgrounds: "
                "reduce all of them with the same bins"
            )
        sigma = pattern.sigma / self._sample_factor
        intensity = (
            pattern.intensity / self._sample_factor
            - self._of_air * self._air.intensity
            - self._of_wall * self._wall.intensity
        )
        scale = scale_sigma = float("nan")
        of_air, of_wall, of_solvent = self._of_air, self._of_wall, np.zeros(q.size)
        systematic: dict[str, NDArray[np.float64]] = {}
        if self._solvent is not None:
            pure = (
                self._of_solvent * self._solvent.intensity
                - self._of_air_in_solvent * self._air.intensity
                - self._of_wall_in_solvent * self._wall.intensity
            )
            scale, scale_sigma = self._scale(intensity, sigma, pure, pattern.usable)
            intensity = intensity - scale * pure
            systematic["solvent_scale"] = np.abs(pure) * scale_sigma
            # Air and wall are subtracted from the solvent too, with the opposite sign: most of their error
            # cancels.
            of_air = of_air - scale * self._of_air_in_solvent
            of_wall = of_wall - scale * self._of_wall_in_solvent
            of_solvent = scale * self._of_solvent
        variance = of_air**2 * self._air.variance + of_wall**2 * self._wall.variance
        if self._solvent is not None:
            variance += of_solvent**2 * self._solvent.variance
        systematic["background"] = np.sqrt(variance)
        return Subtracted(
            Pattern.from_arrays(q, intensity - self._compton, sigma, pattern.mask),
            systematic,
            scale,
            scale_sigma,
        )

    def _scale(
        self,
        intensity: NDArray[np.float64],
        sigma: NDArray[np.float64],
        pure: NDArray[np.float64],
        usable: NDArray[np.bool_],
    ) -> tuple[float, float]:
        """Return the given or fitted scale of the solvent and its standard deviation."""
        config = self.config
        if config.solvent_scale != "fit":
            return config.solvent_scale, config.solvent_scale_sigma
        assert self._solvent is not None
        use = self._fit & usable & np.isfinite(intensity) & np.isfinite(pure)
        if np.count_nonzero(use) < MIN_FIT_POINTS:
            raise PatternError(
                f"{np.count_nonzero(use)} usable points to fit the scale of the solvent, there must be at "
                f"least {MIN_FIT_POINTS}: give solvent_scale"
            )
        # Variance of the solvent curve, and its covariance with the sample curve through air and wall.
        noise = (
            self._of_solvent**2 * self._solvent.variance
            + self._of_air_in_solvent**2 * self._air.variance
            + self._of_wall_in_solvent**2 * self._wall.variance
        )[use]
        covariance = (
            self._of_air * self._of_air_in_solvent * self._air.variance
            + self._of_wall * self._of_wall_in_solvent * self._wall.variance
        )[use]
        # The weights assume a scale of one, which is right to a few percent.
        weight = 1 / (sigma[use] ** 2 + noise)
        q = self.q_inv_angstrom[use]
        x = (q - q.mean()) / np.ptp(q)
        columns = np.stack([pure[use], np.ones(q.size), x, x**2], axis=1)
        normal = columns.T @ (weight[:, None] * columns)
        moments = columns.T @ (weight * intensity[use])
        # Noise of the solvent curve acts like oscillations that the sample does not have, and would bias the
        # scale towards zero: its expected contribution is subtracted from the sums.
        noise_power = float(np.sum(weight * noise))
        normal[0, 0] -= noise_power
        moments[0] -= np.sum(weight * covariance)
        inverse = np.linalg.inv(normal)
        # What the parabola leaves of the solvent curve must exceed the noise of that curve.
        if not inverse[0, 0] > 0 or 1 / inverse[0, 0] < noise_power:
            raise PatternError(
                "the oscillations of the solvent in the range of the fit are weaker than its noise: measure "
                "the solvent longer, or give solvent_scale"
            )
        solution = inverse @ moments
        score = columns * (weight * (intensity[use] - columns @ solution))[:, None]
        fit_variance = (inverse @ (score.T @ score) @ inverse)[0, 0]
        return float(solution[0]), float(np.sqrt(fit_variance + config.solvent_scale_sigma**2))


def load_background(path: str | os.PathLike[str]) -> BackgroundConfig | None:
    """Read the table ``[background]`` of a beamline's TOML file.

    Parameters
    ----------
    path
        TOML file; paths in the table are relative to its folder.

    Returns
    -------
    The validated settings; None if the file has no such table, and nothing is subtracted.

    Raises
    ------
    ConfigurationError
        The file is missing or not TOML, or a setting in it is wrong.
    """
    path = Path(path)
    values = toml_table(path, "background")
    if values is None:
        return None
    return validated(BackgroundConfig, values, f"{path} [background]", path.parent)


def _aligned(pattern: Pattern | None, q_inv_angstrom: NDArray[np.float64], what: str) -> _Curve:
    """Look a background up at the given points: NaN where it has no point, zero without background."""
    if pattern is None:
        return _Curve(np.zeros(q_inv_angstrom.size), np.zeros(q_inv_angstrom.size))
    nearest = np.searchsorted(pattern.q_inv_angstrom, q_inv_angstrom * (1 - SAME_Q))
    nearest = np.minimum(nearest, len(pattern) - 1)
    same = (
        np.abs(pattern.q_inv_angstrom[nearest] - q_inv_angstrom) <= SAME_Q * q_inv_angstrom
    ) & pattern.usable[nearest]
    if not np.any(same):
        raise PatternError(
            f"the {what} pattern has no Q point in common with the patterns: reduce it with the same bins "
            f"({q_inv_angstrom[0]:.6g}, {q_inv_angstrom[1]:.6g}, … Å⁻¹)"
        )
    return _Curve(
        np.where(same, pattern.intensity[nearest], np.nan),
        np.where(same, pattern.sigma[nearest] ** 2, np.nan),
    )


def compton_electron_units(
    composition: dict[str, float], q_inv_angstrom: NDArray[np.float64], wavelength_angstrom: float
) -> NDArray[np.float64]:
    """Compton scattering of free atoms in photon counts (xraylib, extra `simulate`).

    Parameters
    ----------
    composition
        Atoms by chemical symbol.
    q_inv_angstrom
        Momentum transfers, Å⁻¹, shape (n,).
    wavelength_angstrom
        Wavelength, Å.

    Returns
    -------
    Scattering relative to a classical electron, summed over the atoms, shape (n,).

    Raises
    ------
    ConfigurationError
        A chemical symbol is not valid.
    PatternError
        Q is beyond 4π/λ.
    """
    import xraylib  # not part of the live installation

    energy_kev = energy_ev_from_wavelength(wavelength_angstrom) / 1000
    angles = np.radians(two_theta_from_q(q_inv_angstrom, wavelength_angstrom))
    total = np.zeros(angles.size)
    for symbol, count in composition.items():
        try:
            atomic_number = xraylib.SymbolToAtomicNumber(symbol)
        except ValueError as error:
            raise ConfigurationError(f"{symbol!r} is not a chemical symbol: give one such as Pb") from error
        total += count * np.array(
            [xraylib.DCSb_Compt(atomic_number, energy_kev, a) / xraylib.DCS_Thoms(a) for a in angles]
        )
    return total
