"""Width of an instrument's lines as a function of Q, from the pattern of a standard."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..configuration import choice
from ..errors import CalibrationError
from ..patterns import InstrumentResolution, Pattern, check_wavelength
from ._calibrate import LATTICE_ANGSTROM, Standard, line_spacings
from ._line_width import line_profile

__all__ = ["CRYSTALLITE_NM", "InstrumentWidthFit", "StandardLine", "fit_instrument_width"]

CRYSTALLITE_NM = 500.0
"""Diameter of the crystallites of a standard, nm, unless another is given: certified powders have domains of
0.3 to 1 µm, whose lines are 0.0008 to 0.0023 Å⁻¹ wide."""

K_ALPHA_2 = ((1.540593, 1.544427), (0.709319, 0.713607))
"""Kα1 and Kα2 of copper and molybdenum, Å (Hölzer et al., Phys. Rev. A 56, 4554, 1997; Deslattes et al., Rev.
Mod. Phys. 75, 35, 2003). Tubes of silver are left out: 0.56 Å is a usual wavelength of synchrotrons."""

K_ALPHA_2_FRACTION = 1 / 3
"""Fraction of the doublet's photons in Kα2."""

SHIFTS_INV_ANGSTROM = np.arange(-0.06, 0.0601, 0.002)
"""Shifts of all lines that are tried: a 2θ zero that is wrong by 0.3° at 0.56 Å."""

SCALES = np.arange(0.985, 1.0151, 0.0005)
"""Factors on the positions of all lines that are tried: distances and wavelengths wrong by 1.5 %."""

REACH_WIDTHS = 4.0
"""Widths on either side of a line within which it is fitted: the background must be seen beside its tails."""

NEIGHBOUR_REACH_WIDTHS = 4.0
"""Widths beyond the fitted points up to which another line has tails that matter."""

NEIGHBOUR_WIDTHS = 1.2
"""Widths between two lines below which their widths cannot be separated."""

MIN_POINTS = 7
"""Points on one line: centre, width, height and background leave three."""

MIN_POINTS_ACROSS = 2.0
"""Points across the width of a line: with fewer, the width depends on where they lie on it."""

SIGNIFICANCE = 12.0
"""Area over its standard deviation of a line that is used: below, its width is not known to 10 %."""

SEEN = 6.0
"""Height over its standard deviation above which the highest point about an expected position is a line."""

MIN_LINES = 3
"""A line more than the parameters of a width with a bandwidth."""

MIN_LORENTZIAN = 0.08
"""Lorentzian part that can be distinguished from none: of Gaussian lines noise makes 0.05, since it cannot be
negative."""

PROFILE_ERROR = 0.005
"""Relative error of a width for lines that are not exactly Voigt functions."""

FIRST_LINES, MIN_SEEN = 10, 0.6
"""Lines of which at least this fraction must be seen: with a wrong wavelength or material a third of them lie
on other lines by chance, and of a standard all are strong at low Q."""

FIT_TOLERANCE, MAX_EVALUATIONS = 1e-5, 30
"""Relative tolerance of the fit of a line, far below its errors, and steps after which it is given up."""

MAX_RELATIVE_ERROR = 0.25
"""Relative error of a width above which a line is not used."""

OUTLIER = 5.0
"""Deviation from the law, in errors, beyond which a line is left out: another substance, or a spike."""

Widths = Callable[[NDArray[np.float64], NDArray[np.float64]], NDArray[np.float64]]


@dataclass(frozen=True, kw_only=True)
class StandardLine:
    """One fitted line of a standard."""

    square_sum: int
    """h² + k² + l²."""
    q_inv_angstrom: float
    """Measured position, Å⁻¹."""
    fwhm_inv_angstrom: float
    """Width of the instrument there, FWHM, that of the crystallites taken off, Å⁻¹."""
    sigma_inv_angstrom: float
    """Its standard deviation, Å⁻¹."""
    used: bool
    """Whether the width as a function of Q was fitted to this line; not where it is an outlier."""


@dataclass(frozen=True, eq=False, kw_only=True)
class InstrumentWidthFit:
    """Width of an instrument from a standard."""

    resolution: InstrumentResolution
    """The width as a function of Q, as the settings take it."""
    law: str
    """Its form, in words."""
    lines: tuple[StandardLine, ...]
    """Lines, in the order of Q."""
    lorentzian: float
    """Lorentzian part of the lines' width, 0 for Gaussian lines."""
    wavelength_angstrom: float | None
    """Wavelength, Å; None where it is not known."""
    k_alpha_2: bool
    """Whether Kα2 was fitted beside Kα1."""
    crystallite_nm: float
    """Diameter of the crystallites whose broadening was taken off, nm."""
    scatter: float
    """Scatter of the lines about the law over their errors: above 1, the errors are raised by it."""
    q_inv_angstrom: NDArray[np.float64]
    """Measured points between which lines were fitted, Å⁻¹, shape (n,)."""
    intensity: NDArray[np.float64]
    """Their intensity, shape (n,)."""
    fitted: NDArray[np.float64]
    """Fitted intensity, shape (n,); NaN where no line was fitted."""
    _fits: "tuple[_FittedForm, ...]"

    def fwhm_inv_angstrom(self, q_inv_angstrom: NDArray[np.float64]) -> NDArray[np.float64]:
        """Width at momentum transfers.

        Parameters
        ----------
        q_inv_angstrom
            Momentum transfers, Å⁻¹, shape (n,).

        Returns
        -------
        FWHM, Å⁻¹, shape (n,).
        """
        return self.resolution.fwhm_inv_angstrom_at(q_inv_angstrom, self.wavelength_angstrom)

    def sigma_inv_angstrom(self, q_inv_angstrom: NDArray[np.float64]) -> NDArray[np.float64]:
        """Standard deviation of the width at momentum transfers.

        Parameters
        ----------
        q_inv_angstrom
            Momentum transfers, Å⁻¹, shape (n,).

        Returns
        -------
        Standard deviation, Å⁻¹, shape (n,): errors of the parameters and, where another law describes the
        lines as well, its distance (Buckland, Burnham and Augustin, Biometrics 53, 603, 1997).
        """
        best = self.fwhm_inv_angstrom(q_inv_angstrom)
        variance = np.zeros(q_inv_angstrom.shape)
        for fit in self._fits:
            slopes = _slopes(fit.widths, fit.parameters, q_inv_angstrom)
            of_parameters = np.einsum("ni,ij,nj->n", slopes, fit.covariance, slopes)
            of_law = (fit.widths(fit.parameters, q_inv_angstrom) - best) ** 2
            variance += fit.probability * (of_parameters + of_law)
        return np.asarray(np.sqrt(variance))


def fit_instrument_width(
    pattern: Pattern,
    standard: Standard | str,
    *,
    wavelength_angstrom: float | None = None,
    crystallite_nm: float = CRYSTALLITE_NM,
    lattice_parameter_angstrom: float | None = None,
    k_alpha_2: bool | None = None,
) -> InstrumentWidthFit:
    """Fit the width of an instrument's lines to the pattern of a standard.

    Each line is fitted by the Voigt function of the instrument over the size broadening of the crystallites,
    with Kα2 beside it for a tube, on a sloping background; the width as a function of Q is then fitted to the
    widths of the lines. Of the laws that describe them within their errors, the one with the fewest
    parameters is taken: constant in Q, constant in 2θ, either with a bandwidth, or Caglioti's.

    Parameters
    ----------
    pattern
        Pattern of the standard.
    standard
        Powder in the beam: "Si", "LaB6", "CeO2" or "Ni".
    wavelength_angstrom
        Wavelength, Å; None where it is not known, and the width is given in Q alone.
    crystallite_nm
        Diameter of its crystallites, nm.
    lattice_parameter_angstrom
        Its lattice parameter, Å; None for the known one. An error of 1 % does not matter.
    k_alpha_2
        Whether the beam has the Kα2 line of a tube; None for yes at the wavelengths of copper and molybdenum.

    Returns
    -------
    The width, its errors and the lines.

    Raises
    ------
    CalibrationError
        Fewer than three lines of the standard are seen, their widths cannot be measured with this step, or
        the size of the crystallites is not above zero.
    ConfigurationError
        The standard is not known.
    PatternError
        The wavelength is not that of X-rays.
    """
    standard = choice(Standard, standard, "standard")
    if not crystallite_nm > 0:
        raise CalibrationError(
            f"the crystallites of the standard are {crystallite_nm:g} nm: the diameter must be above zero"
        )
    if wavelength_angstrom is not None:
        check_wavelength(wavelength_angstrom)
    doublet = _doublet(wavelength_angstrom)
    if k_alpha_2 is None:
        k_alpha_2 = doublet is not None
    elif k_alpha_2 and doublet is None:
        raise CalibrationError(
            f"Kα2 is known for copper and molybdenum, and the wavelength is {wavelength_angstrom} Å: give "
            "that of the tube, 1.5406 or 0.7093 Å"
        )
    usable = pattern.usable
    data = _Data(pattern.q_inv_angstrom[usable], pattern.intensity[usable], pattern.sigma[usable])
    if data.q.size < 4 * MIN_POINTS:
        raise CalibrationError(f"the pattern of the standard has {data.q.size} usable points: too few")
    lattice = lattice_parameter_angstrom or LATTICE_ANGSTROM[standard]
    spacings = line_spacings(standard, lattice, max(wavelength_angstrom or 0.0, 4 * np.pi / data.q[-1]))
    expected, square_sums = 2 * np.pi / spacings, np.rint((lattice / spacings) ** 2).astype(int)
    positions = _matched(data, expected)
    width = _rough_width(data, positions)
    ratio = doublet[1] / doublet[0] if k_alpha_2 and doublet is not None else None
    size_angstrom = 10 * crystallite_nm
    first, seen = _fit_lines(data, positions, square_sums, width, ratio, size_angstrom, lorentzian=None)
    _require_lines(first, seen, standard, data, width)
    weights = np.array([(line.fwhm / line.sigma) ** 2 for line in first])
    lorentzian = float(np.average([line.lorentzian for line in first], weights=weights))
    if lorentzian < MIN_LORENTZIAN:
        lorentzian = 0.0
    width = float(np.average([line.fwhm for line in first], weights=weights))
    second, seen = _fit_lines(
        data, positions, square_sums, width, ratio, size_angstrom, lorentzian=lorentzian
    )
    _require_lines(second, seen, standard, data, width)
    return _law(
        data,
        second,
        wavelength_angstrom=wavelength_angstrom,
        k_alpha_2=ratio is not None,
        crystallite_nm=crystallite_nm,
        lorentzian=lorentzian,
    )


@dataclass(frozen=True, eq=False)
class _Data:
    q: NDArray[np.float64]
    intensity: NDArray[np.float64]
    sigma: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class _Line:
    square_sum: int
    centre: float
    fwhm: float
    sigma: float
    lorentzian: float
    points: NDArray[np.intp]
    fitted: NDArray[np.float64]


def _doublet(wavelength_angstrom: float | None) -> tuple[float, float] | None:
    """Kα1 and Kα2 of the tube that has this wavelength, or whose doublet it lies in."""
    if wavelength_angstrom is None:
        return None
    tubes = (pair for pair in K_ALPHA_2 if 0.999 * pair[0] <= wavelength_angstrom <= pair[1])
    return next(tubes, None)


def _matched(data: _Data, expected: NDArray[np.float64]) -> NDArray[np.float64]:
    """Positions of the lines in the pattern: shift and scale at which they have the largest intensity."""
    # Above the background about them, and its root, so that one strong line does not outweigh all others.
    height = np.sqrt(np.maximum(data.intensity - _background(data), 0.0))
    inside = (expected > data.q[0] + SHIFTS_INV_ANGSTROM[-1]) & (expected < data.q[-1] * 0.98)
    # The first lines are strongest and farthest apart: of many lines at high Q any would match.
    lines = expected[inside][:20]
    if lines.size == 0:
        return expected
    best, at = -np.inf, expected
    for scale in SCALES:
        for shift in SHIFTS_INV_ANGSTROM:
            total = float(np.interp(scale * lines + shift, data.q, height).sum())
            # Of equal sums the one nearest to the expected positions.
            total -= 1e-9 * (abs(shift) + abs(scale - 1))
            if total > best:
                best, at = total, scale * expected + shift
    return at


def _background(data: _Data) -> NDArray[np.float64]:
    """Intensity between the lines: the lower quartile of stretches of 0.4 Å⁻¹."""
    edges = np.arange(data.q[0], data.q[-1] + 0.4, 0.4)
    part = np.searchsorted(edges, data.q, side="right") - 1
    values = [
        np.quantile(data.intensity[part == k], 0.25) if np.any(part == k) else np.nan
        for k in range(edges.size)
    ]
    known = np.isfinite(values)
    return np.asarray(np.interp(data.q, (edges + 0.2)[known], np.array(values)[known]))


def _rough_width(data: _Data, positions: NDArray[np.float64]) -> float:
    """Width at half height of the strongest lines, Å⁻¹."""
    above = data.intensity - _background(data)
    reach = 0.5 * float(np.min(np.diff(positions, append=positions[-1] + 1)[:6], initial=0.5))
    found: list[tuple[float, float]] = []
    for position in positions:
        near = np.flatnonzero(np.abs(data.q - position) < reach)
        if near.size < 3:
            continue
        top = near[int(np.argmax(above[near]))]
        if above[top] < SEEN * data.sigma[top]:
            continue
        low = high = top
        while low > 0 and above[low] > above[top] / 2:
            low -= 1
        while high < data.q.size - 1 and above[high] > above[top] / 2:
            high += 1
        # Straight lines between the points on either side of half height.
        ends = []
        for inner, outer in ((low + 1, low), (high - 1, high)):
            fraction = (above[inner] - above[top] / 2) / max(above[inner] - above[outer], 1e-300)
            ends.append(data.q[inner] + min(max(fraction, 0.0), 1.0) * (data.q[outer] - data.q[inner]))
        found.append((float(above[top]), ends[1] - ends[0]))
    if not found:
        raise CalibrationError(
            f"no line of the standard is seen between {data.q[0]:.3g} and {data.q[-1]:.3g} Å⁻¹: check the "
            "material and the wavelength"
        )
    strongest = sorted(found, reverse=True)[:5]
    return float(np.median([width for _, width in strongest]))


def _fit_lines(
    data: _Data,
    positions: NDArray[np.float64],
    square_sums: NDArray[np.intp],
    width: float,
    ratio: float | None,
    size_angstrom: float,
    lorentzian: float | None,
) -> tuple[list[_Line], float]:
    """Fit every line that is separate from its neighbours; also the fraction of the first that are seen."""
    lines: list[_Line] = []
    seen: list[bool] = []
    for index, position in enumerate(positions):
        others = np.delete(positions, index)
        distance = np.abs(others - position)
        if others.size and distance.min() < NEIGHBOUR_WIDTHS * width:
            continue
        below, above = others[others < position], others[others > position]
        # Kα2 lies above its line, and belongs to it.
        reach = REACH_WIDTHS * width
        low = max(position - reach, (below.max(initial=-np.inf) * (ratio or 1.0) + position) / 2)
        high = min(
            position * (ratio or 1.0) + reach, (above.min(initial=np.inf) + position * (ratio or 1.0)) / 2
        )
        points = np.flatnonzero((data.q >= low) & (data.q <= high))
        if points.size < MIN_POINTS or (high - low) / points.size > width / MIN_POINTS_ACROSS:
            continue
        near = others[distance < reach + NEIGHBOUR_REACH_WIDTHS * width]
        line = _fit_line(
            data, points, position, near, int(square_sums[index]), width, ratio, size_angstrom, lorentzian
        )
        seen.append(line is not None)
        if line is not None:
            lines.append(line)
    return lines, float(np.mean(seen[:FIRST_LINES])) if seen else 0.0


def _fit_line(
    data: _Data,
    points: NDArray[np.intp],
    position: float,
    others: NDArray[np.float64],
    square_sum: int,
    width: float,
    ratio: float | None,
    size_angstrom: float,
    lorentzian: float | None,
) -> _Line | None:
    """Fit one line beside the tails of its neighbours; None where it is not seen."""
    q, y = data.q[points], data.intensity[points]
    weight = 1 / data.sigma[points]
    span = q[-1] - q[0]
    # The background may slope, and is no less than zero: two straight lines from nothing to all.
    ground = np.stack([(q - q[0]) / span, (q[-1] - q) / span])
    mixing = [0.3] if lorentzian is None else []
    start = np.array([0.0, 0.0, *mixing])

    def columns(p: NDArray[np.float64]) -> NDArray[np.float64]:
        centre, fwhm = position + p[0] * width, width * math.exp(p[1])
        mix = p[2] if lorentzian is None else lorentzian

        shape = line_profile(fwhm, mix, size_angstrom)

        def profile(at: float) -> NDArray[np.float64]:
            one = shape(np.abs(q - at))
            if ratio is None:
                return one
            two = shape(np.abs(q - at * ratio))
            return (1 - K_ALPHA_2_FRACTION) * one + K_ALPHA_2_FRACTION * two

        shifted = centre - position
        return np.vstack([profile(centre), *(profile(other + shifted) for other in others), ground]) * weight

    from scipy.optimize import least_squares, nnls

    target = y * weight

    def residual(p: NDArray[np.float64]) -> NDArray[np.float64]:
        matrix = columns(p)
        amounts, _ = nnls(matrix.T, target)
        return np.asarray(amounts @ matrix - target)

    bounds = ([-1.5, -2.0, *([0.0] if mixing else [])], [1.5, 1.2, *([1.0] if mixing else [])])
    fit = least_squares(
        residual,
        start,
        bounds=bounds,
        x_scale=[0.1, 0.1, *([0.3] if mixing else [])],
        xtol=FIT_TOLERANCE,
        ftol=FIT_TOLERANCE,
        max_nfev=MAX_EVALUATIONS,
    )
    matrix = columns(fit.x)
    amounts, _ = nnls(matrix.T, target)
    used = amounts > 0
    # The whole problem, linear and not, about its solution; a line of no amount is not significant below.
    jacobian = np.hstack([fit.jac, matrix[used].T])
    information = jacobian.T @ jacobian
    free = max(points.size - jacobian.shape[1], 1)
    try:
        covariance = np.linalg.inv(information) * max(float(fit.fun @ fit.fun) / free, 1.0)
    except np.linalg.LinAlgError:
        return None
    variances = np.diag(covariance)
    fwhm = width * math.exp(fit.x[1])
    at_bound = not (-1.4 < fit.x[0] < 1.4 and -1.9 < fit.x[1] < 1.1)
    if at_bound or not np.all(variances > 0):
        return None
    sigma = fwhm * math.hypot(math.sqrt(variances[1]), PROFILE_ERROR)
    if amounts[0] < SIGNIFICANCE * math.sqrt(variances[fit.x.size]) or sigma > MAX_RELATIVE_ERROR * fwhm:
        return None
    return _Line(
        square_sum,
        position + float(fit.x[0]) * width,
        fwhm,
        sigma,
        float(fit.x[2]) if lorentzian is None else lorentzian,
        points,
        (amounts @ matrix) / weight,
    )


def _require_lines(lines: list[_Line], seen: float, standard: Standard, data: _Data, width: float) -> None:
    if len(lines) >= MIN_LINES and seen >= MIN_SEEN:
        return
    step = float(np.median(np.diff(data.q)))
    if step > width / MIN_POINTS_ACROSS:
        raise CalibrationError(
            f"the lines of {standard.value} are {width:.4f} Å⁻¹ wide and the points {step:.4f} Å⁻¹ apart: "
            f"there must be at least {MIN_POINTS_ACROSS:g} points across a line; measure with a smaller step"
        )
    raise CalibrationError(
        f"{len(lines)} separate lines of {standard.value} found between {data.q[0]:.3g} and "
        f"{data.q[-1]:.3g} Å⁻¹, and {seen:.0%} of the first {FIRST_LINES}: there must be at least "
        f"{MIN_LINES} and {MIN_SEEN:.0%}; check the material and the wavelength"
    )


@dataclass(frozen=True, eq=False)
class _FittedForm:
    """One law with its parameters."""

    probability: float
    """How probable it is beside the other laws."""
    parameters: NDArray[np.float64]
    covariance: NDArray[np.float64]
    widths: Widths


@dataclass(frozen=True)
class _Form:
    """One law of the width: from parameters to settings."""

    name: str
    settings: Callable[[NDArray[np.float64]], dict[str, float | tuple[float, float, float]]]
    start: Callable[[float, float], list[float]]
    """From the typical width in Å⁻¹ and the same in degrees."""
    low: tuple[float, ...]
    high: tuple[float, ...]
    angles: bool = False


def _caglioti(p: NDArray[np.float64]) -> dict[str, float | tuple[float, float, float]]:
    """U, V, W from √U, V/2√(UW) and √W, so that no width vanishes."""
    root_u, mix, root_w = map(float, p)
    return {"caglioti_deg2": (root_u**2, 2 * root_u * root_w * mix, root_w**2)}


MAX_MIX = 0.98
"""Largest -V/2√(UW): at 1 the width vanishes at some angle."""

FORMS = (
    _Form(
        "constant in Q",
        lambda p: {"fwhm_inv_angstrom": float(p[0])},
        lambda q, _: [q],
        (1e-5,),
        (0.5,),
    ),
    _Form(
        "constant in 2θ",
        lambda p: {"fwhm_deg": float(p[0])},
        lambda _, deg: [deg],
        (1e-4,),
        (5.0,),
        angles=True,
    ),
    _Form(
        "constant in Q with a bandwidth",
        lambda p: {"fwhm_inv_angstrom": float(p[0]), "bandwidth": float(p[1])},
        lambda q, _: [0.8 * q, 0.1 * q],
        (1e-5, 1e-6),
        (0.5, 0.2),
    ),
    _Form(
        "constant in 2θ with a bandwidth",
        lambda p: {"fwhm_deg": float(p[0]), "bandwidth": float(p[1])},
        lambda q, deg: [0.8 * deg, 0.1 * q],
        (1e-4, 1e-6),
        (5.0, 0.2),
        angles=True,
    ),
    _Form(
        "Caglioti's",
        _caglioti,
        lambda _, deg: [deg, -0.3, deg],
        (1e-5, -MAX_MIX, 1e-4),
        (10.0, MAX_MIX, 5.0),
        angles=True,
    ),
)
"""Laws, from the simplest to the most general."""


def _law(
    data: _Data,
    lines: list[_Line],
    *,
    wavelength_angstrom: float | None,
    k_alpha_2: bool,
    crystallite_nm: float,
    lorentzian: float,
) -> InstrumentWidthFit:
    """Fit every law to the widths of the lines and take the simplest that describes them."""
    q = np.array([line.centre for line in lines])
    fwhm = np.array([line.fwhm for line in lines])
    sigma = np.array([line.sigma for line in lines])
    forms = [
        form
        for form in FORMS
        if (wavelength_angstrom is not None or not form.angles) and len(form.low) < q.size
    ]
    used = np.ones(q.size, bool)
    for _ in range(2):  # the second time without outliers
        fits = [_fitted(form, q[used], fwhm[used], sigma[used], wavelength_angstrom) for form in forms]
        n_free = [max(int(used.sum()) - len(form.low), 1) for form in forms]
        smallest = min(chi2 / free for (_, chi2, _), free in zip(fits, n_free, strict=True))
        scatter = math.sqrt(max(smallest, 1.0))
        # Bayesian information: χ² in units of the scatter, and ln n for each parameter.
        criteria = [
            chi2 / scatter**2 + len(form.low) * math.log(used.sum())
            for form, (_, chi2, _) in zip(forms, fits, strict=True)
        ]
        best = int(np.argmin(criteria))
        form, (parameters, _, widths) = forms[best], fits[best]
        inside = np.abs(fwhm - widths(parameters, q)) < OUTLIER * scatter * sigma
        if np.array_equal(inside, used) or inside.sum() < MIN_LINES:
            break
        used = inside
    likely = np.exp(-0.5 * (np.array(criteria) - criteria[best]))
    kept_fits = []
    for (found, _, of_form), weight in zip(fits, likely / likely.sum(), strict=True):
        slopes = _slopes(of_form, found, q[used]) / sigma[used, None]
        covariance = np.linalg.pinv(slopes.T @ slopes) * scatter**2
        kept_fits.append(_FittedForm(float(weight), found, covariance, of_form))
    fitted = np.full(data.q.size, np.nan)
    for line in lines:
        fitted[line.points] = line.fitted
    return InstrumentWidthFit(
        resolution=InstrumentResolution(**form.settings(parameters)),
        law=form.name,
        lines=tuple(
            StandardLine(
                square_sum=line.square_sum,
                q_inv_angstrom=line.centre,
                fwhm_inv_angstrom=line.fwhm,
                sigma_inv_angstrom=line.sigma,
                used=bool(kept),
            )
            for line, kept in zip(lines, used, strict=True)
        ),
        lorentzian=lorentzian,
        wavelength_angstrom=wavelength_angstrom,
        k_alpha_2=k_alpha_2,
        crystallite_nm=crystallite_nm,
        scatter=scatter,
        q_inv_angstrom=data.q,
        intensity=data.intensity,
        fitted=fitted,
        _fits=tuple(kept_fits),
    )


def _fitted(
    form: _Form,
    q: NDArray[np.float64],
    fwhm: NDArray[np.float64],
    sigma: NDArray[np.float64],
    wavelength_angstrom: float | None,
) -> tuple[NDArray[np.float64], float, Widths]:
    """Parameters of one law, its χ², and the widths that it gives."""

    def widths(p: NDArray[np.float64], at: NDArray[np.float64]) -> NDArray[np.float64]:
        return InstrumentResolution(**form.settings(p)).fwhm_inv_angstrom_at(at, wavelength_angstrom)

    from scipy.optimize import least_squares

    typical = float(np.average(fwhm, weights=sigma**-2))
    typical_deg = 0.0
    if wavelength_angstrom is not None:
        one = InstrumentResolution(fwhm_deg=1.0).fwhm_inv_angstrom_at(q, wavelength_angstrom)
        typical_deg = float(np.average(fwhm / one, weights=sigma**-2))
    start = np.clip(form.start(typical, typical_deg), np.array(form.low) * 1.001, np.array(form.high) * 0.999)
    found = least_squares(
        lambda p: (widths(p, q) - fwhm) / sigma,
        start,
        bounds=(form.low, form.high),
        loss="soft_l1",
        x_scale=np.maximum(np.abs(start), 1e-3),
    )
    left = (widths(found.x, q) - fwhm) / sigma
    # Lines far off, which the robust fit has passed by, are left out afterwards.
    chi2 = float(np.sum(np.minimum(left**2, OUTLIER**2)))
    return np.asarray(found.x), chi2, widths


def _slopes(widths: Widths, parameters: NDArray[np.float64], q: NDArray[np.float64]) -> NDArray[np.float64]:
    """Derivatives of the widths by the parameters, shape (n, n_parameters)."""
    columns = []
    for index, value in enumerate(parameters):
        step = max(1e-4 * abs(value), 1e-7)
        up = parameters.copy()
        up[index] += step
        columns.append((widths(up, q) - widths(parameters, q)) / step)
    return np.stack(columns, axis=1)
