"""Recipe of endless frames: the ranges that structure, sample and beamline are drawn from."""

from pathlib import Path

from pydantic import Field, field_validator, model_validator

from ...configuration import Config
from ...patterns import Axis, BinGrid
from ..crystal import MaterialSource
from ._distributions import DistributionRanges
from ._draws import PositiveRange, Range
from ._instrument import SpectralLine
from ._resolution import ResolutionRanges
from ._structures import StructureRanges

__all__ = ["SolventFile", "Source", "StreamRecipe"]

MAX_CORRELATED = 1.1
"""Correlated motion over B: the physical limit is 1, and fits of measured patterns reach 1.1."""


class Source(Config):
    """X-ray source: a beamline or a tube."""

    lines: tuple[SpectralLine, ...] = Field(min_length=1)
    """Lines, fractions adding up to 1; the first one converts angles to Q."""
    perpendicular_share: Range = (1.0, 1.0)
    """Fraction of the intensity that is polarised normal to the scattering plane, uniform."""
    zero_shift_deg: Range | None = None
    """Apparent minus true scattering angle with this source, uniform, degrees; the recipe's where left
    out."""
    displacement_deg: Range | None = None
    """Shift by a displaced sample with this source, uniform, degrees; the recipe's where left out."""


class SolventFile(Config):
    """A measured solvent."""

    path: Path
    """Text file of two or three columns."""
    wavelength_angstrom: float = Field(ge=0.05, le=5)
    """Wavelength it was measured at, Å."""
    axis: Axis = Axis.TWO_THETA
    """Quantity in the first column."""


class StreamRecipe(Config):
    """Ranges that frames are drawn from."""

    structures: StructureRanges
    """Structures of the dots."""
    n_structures: int = Field(ge=1, le=1000)
    """Structures drawn when a stream begins; frames choose among these."""
    grid: BinGrid
    """Bins of the frames."""
    sources: tuple[Source, ...] = Field(min_length=1)
    """Sources, all equally likely."""
    mean_diameter_nm: Range
    """Number-weighted mean diameter, uniform, nm."""
    dispersion: Range
    """Relative standard deviation, uniform."""
    distributions: DistributionRanges | None = None
    """Shapes of the size distributions; log-normal alone where left out."""
    strain: Range = (0.0, 0.0)
    """Isotropic strain, uniform."""
    b_angstrom2: PositiveRange
    """Displacement parameter of the first element, log-uniform, Å²."""
    b_ratio: PositiveRange = (1.0, 1.0)
    """Displacement parameters of the other elements over that of the first, log-uniform."""
    correlated_motion: Range | None = Field(default=None)
    """Amplitude of the motion that neighbours share over the smallest B, uniform: 0.6 to 1.1 in PbS dots; one
    amplitude for each structure. Atoms move independently where left out or (0, 0)."""
    disordered_nm: Range | None = None
    """Atoms in a disordered part over those in the ordered core, times the diameter of the core, uniform, nm:
    0 to 0.45 for PbS; sizes stay those of the core. None where left out or (0, 0)."""
    ideal: float | None = Field(default=None, ge=0, le=1)
    """Fraction of structures without correlated motion and without a disordered part; none where left out."""
    microstrain: Range | None = None
    """Standard deviation of the lattice parameter over its mean, uniform: peaks are broadened in proportion
    to Q. None where left out or (0, 0)."""
    area_fraction: PositiveRange
    """Fraction of the dots in the area of dots and solvent, log-uniform."""
    pure: float = Field(default=0.0, ge=0, le=1)
    """Fraction of frames without solvent."""
    no_dots: float = Field(default=0.0, ge=0, lt=1)
    """Fraction of frames without dots."""
    known_solvents: tuple[str, ...] = ()
    """Solvents of the package; mixtures of these and the measured ones are half of all solvents, the others
    are random."""
    measured_solvents: tuple[SolventFile, ...] = ()
    """Measured solvents; their curves must cover the stretched grid."""
    solvent_stretch: float = Field(default=0.0, ge=0, lt=0.2)
    """Largest relative stretch of a solvent's Q axis: temperature, and errors of the computed curves."""
    solvent_distortion: float = Field(default=0.0, ge=0, lt=1)
    """Standard deviation of the smooth relative distortion of a solvent."""
    ligands_per_nm2: Range = (0.0, 0.0)
    """Oleate on the dots, uniform, nm⁻²."""
    halo_inv_angstrom: Range = (1.3, 1.5)
    """Centre of its halo, uniform, Å⁻¹."""
    by_products: Range | None = None
    """Mean intensity of the lines of another crystal over the mean of dots and solvent, uniform, for the
    fraction `with_by_products` of the frames. None where left out or (0, 0)."""
    with_by_products: float | None = Field(default=None, ge=0, le=1)
    """Fraction of frames with such lines."""
    by_product_materials: tuple[MaterialSource, ...] | None = None
    """Materials of which nanocrystals are half of these by-products; random lines alone where left out."""
    fluorescence: float = Field(default=0.0, ge=0)
    """Largest level of the fluorescence over the mean of dots and solvent, uniform."""
    background: float = Field(default=0.0, ge=0)
    """Largest falling and humped background over the mean of dots and solvent."""
    absorption_mu_r: Range = (0.0, 0.0)
    """Attenuation times radius of the capillary, uniform."""
    distortion: float = Field(default=0.0, ge=0, lt=1)
    """Standard deviation of the smooth relative distortion of the whole frame: flat field, unknown errors."""
    zero_shift_deg: Range = (0.0, 0.0)
    """Apparent minus true scattering angle, uniform, degrees."""
    displacement_deg: Range = (0.0, 0.0)
    """Shift by a displaced sample at 2θ = 0, proportional to cos 2θ, uniform, degrees."""
    resolution_fwhm_deg: PositiveRange | None = None
    """Full width at half maximum of the resolution in 2θ, log-uniform, degrees; None for a perfect one."""
    resolution: ResolutionRanges | None = None
    """Width of the instrument, over a wide range, instead of `resolution_fwhm_deg`."""
    counts_per_bin: PositiveRange
    """Mean photons of a usable bin, log-uniform."""
    q_low_inv_angstrom: Range
    """First usable Q, uniform for half of the frames, Å⁻¹; the others begin at the lower limit."""
    q_high_inv_angstrom: Range
    """Last usable Q, uniform for half of the frames, Å⁻¹; the others run to the upper limit."""
    q_high_logarithmic: bool | None = None
    """Whether it is drawn by its logarithm instead: half an Å⁻¹ matters near 3, not near 14."""
    gaps: float = Field(default=0.0, ge=0, le=1)
    """Fraction of frames with gaps between modules."""
    gap_pitch_deg: Range = (3.0, 6.0)
    """Pitch of the modules, uniform, degrees."""
    gap_width_deg: Range = (0.1, 0.4)
    """Width of the gaps, uniform, degrees."""
    module_gain_step: Range | None = None
    """Largest difference of gain between two modules of the detector, uniform, relative. None where left out
    or (0, 0)."""
    coarse: float = Field(default=0.0, ge=0, le=1)
    """Fraction of frames that are scans in coarse steps: only bins that contain a step hold data."""
    coarse_step_inv_angstrom: Range = (0.015, 0.056)
    """Step of these scans, uniform, Å⁻¹."""
    coarse_averaged: float | None = Field(default=None, ge=0, le=1)
    """Fraction of these scans whose points are averages over a step, as of wide channels; the points of the
    others are samples."""
    missing: float = Field(default=0.0, ge=0, le=1)
    """Fraction of frames with a dead region, such as a module."""
    missing_inv_angstrom: Range = (0.1, 1.2)
    """Width of that region, uniform, Å⁻¹."""

    @model_validator(mode="after")
    def _check_resolution(self) -> "StreamRecipe":
        if self.resolution is not None and self.resolution_fwhm_deg is not None:
            raise ValueError(
                "resolution and resolution_fwhm_deg are both given: give resolution.fwhm_deg instead"
            )
        return self

    @field_validator("disordered_nm", "microstrain", "module_gain_step", "by_products")
    @classmethod
    def _check_amount(cls, limits: Range | None) -> Range | None:
        if limits is not None and limits[0] < 0:
            raise ValueError(f"a range of {limits[0]:g} to {limits[1]:g} begins below 0: give limits ≥ 0")
        return limits

    @field_validator("correlated_motion")
    @classmethod
    def _check_motion(cls, limits: Range | None) -> Range | None:
        if limits is not None and limits != (0, 0) and not 0 < limits[0] <= limits[1] <= MAX_CORRELATED:
            raise ValueError(
                f"correlated motion of {limits[0]:g} to {limits[1]:g} times B: give limits above 0 and up to "
                f"{MAX_CORRELATED:g}, or leave it out"
            )
        return limits
