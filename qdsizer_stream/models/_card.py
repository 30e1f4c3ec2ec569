"""The card of a model: metadata that its file holds."""

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field

from ..configuration import Config
from ..patterns import BinGrid, PaperGrid
from ._interval import relative_floor

__all__ = [
    "AcceptanceThresholds",
    "BinnedInput",
    "Card",
    "ClassOutput",
    "FitOutput",
    "GaussianOutput",
    "IntervalCalibration",
    "PaperInput",
    "SizeOutput",
]


class PaperInput(Config):
    """The model takes the paper's standardized vector."""

    kind: Literal["paper"] = "paper"
    """Discriminator."""
    grid: PaperGrid
    """Points of the vector."""


class BinnedInput(Config):
    """The model takes a binned pattern with its mask and noise."""

    kind: Literal["binned"] = "binned"
    """Discriminator."""
    grid: BinGrid
    """Bins of the vector."""
    resolution: bool = False
    """Whether the network also takes the width of the instrument at each bin."""


class ClassOutput(Config):
    """The model answers with logits of size classes."""

    kind: Literal["classes"] = "classes"
    """Discriminator."""
    classes_nm: tuple[float, ...] = Field(min_length=2)
    """Number-weighted mean diameter of each class, nm, evenly spaced."""

    @property
    def step_nm(self) -> float:
        """Distance of neighbouring classes, nm."""
        return self.classes_nm[1] - self.classes_nm[0]


class SizeOutput(Config):
    """The model answers with a single value, the scaled size."""

    kind: Literal["size"] = "size"
    """Discriminator."""
    offset_nm: float
    """Size at output zero, nm."""
    scale_nm: float = Field(gt=0)
    """Nanometres per unit of output."""
    half_width_nm: float = Field(gt=0)
    """Error that 95 % of the frames held out of the fit do not exceed, nm: the same for every frame."""


class IntervalCalibration(Config):
    """How the standard deviation of a network becomes that of a 95 % interval, for one target."""

    scale: float = Field(ge=1)
    """Factor on the predicted standard deviation with which the intervals cover 95 % of fresh frames."""
    floor: float = Field(ge=0, lt=1)
    """Standard deviation added in quadrature: relative for sizes, absolute for the dispersion."""
    floor_nm: float = Field(default=0.0, ge=0, lt=1)
    """Standard deviation of the size added in quadrature, nm; not for the dispersion."""
    floor_dispersion: float = Field(default=0.0, ge=0)
    """Times the squared dispersion: relative sd added in quadrature; not for the dispersion itself."""

    def floors(self, dispersion: float) -> dict[str, float]:
        """Arguments of `log_size_sd` for a population.

        Parameters
        ----------
        dispersion
            Dispersion that the network predicts.

        Returns
        -------
        Scale and floors.
        """
        return _floors(self.scale, self.floor, self.floor_nm, self.floor_dispersion, dispersion)


def _floors(
    scale: float, floor: float, floor_nm: float, floor_dispersion: float, dispersion: float
) -> dict[str, float]:
    """Arguments of `log_size_sd` for a population."""
    floor = relative_floor(floor, floor_dispersion, dispersion)
    return {"scale": scale, "floor": floor, "floor_nm": floor_nm}


class GaussianOutput(Config):
    """The model answers with means and log standard deviations of size, dispersion and strain.

    Targets: ln number mean (nm), ln mass mean (nm), dispersion, strain of the lattice.
    """

    kind: Literal["gaussian"] = "gaussian"
    """Discriminator."""
    target_offset: tuple[float, float, float, float]
    """Added to the scaled targets."""
    target_scale: tuple[float, float, float, float]
    """Multiplies the network's targets."""
    interval_scale: float = Field(ge=1)
    """Factor on the predicted standard deviation with which the intervals cover 95 % of fresh frames."""
    interval_floor: float = Field(ge=0, lt=1)
    """Relative standard deviation added in quadrature: for what the training does not contain, shapes above
    all."""
    interval_floor_nm: float = Field(ge=0, lt=1)
    """Standard deviation of the size added in quadrature, nm: the surfaces of dots differ by fractions of a
    layer of atoms at every size."""
    interval_floor_dispersion: float = Field(default=0.0, ge=0)
    """Times the squared dispersion, relative standard deviation added in quadrature: broad populations look
    like other shapes."""
    mass_interval: IntervalCalibration | None = None
    """Calibration for the mass mean; that of the number mean where left out."""
    dispersion_interval: IntervalCalibration | None = None
    """Calibration for the dispersion, which has no interval where it is left out."""

    @property
    def number_interval(self) -> IntervalCalibration:
        """Calibration for the number mean."""
        return IntervalCalibration(
            scale=self.interval_scale,
            floor=self.interval_floor,
            floor_nm=self.interval_floor_nm,
            floor_dispersion=self.interval_floor_dispersion,
        )

    def number_floors(self, dispersion: float) -> dict[str, float]:
        """Floors of `number_interval` for a population, without making that calibration for each frame.

        Parameters
        ----------
        dispersion
            As in `IntervalCalibration.floors`.

        Returns
        -------
        Scale and floors.
        """
        return _floors(
            self.interval_scale,
            self.interval_floor,
            self.interval_floor_nm,
            self.interval_floor_dispersion,
            dispersion,
        )


class FitOutput(Config):
    """The model fits each frame with its templates: there is no network."""

    kind: Literal["fit"] = "fit"
    """Discriminator."""
    model_error: float = Field(ge=0, lt=0.5)
    """Smallest relative error of the templates in the weights of a fit."""
    size_interval: IntervalCalibration
    """Calibration of the standard deviation of ln number mean."""
    mass_interval: IntervalCalibration
    """Calibration of that of ln mass mean."""
    dispersion_interval: IntervalCalibration
    """Calibration of that of the dispersion."""


class AcceptanceThresholds(Config):
    """Thresholds of the acceptance checks; the evaluation on the card states their error rates.

    Files keep the keys of earlier versions where a name has changed.
    """

    model_config = ConfigDict(populate_by_name=True, serialize_by_alias=True)

    min_counts: float = Field(ge=0)
    """Photons, Σ (I/σ)², below which a frame is rejected."""
    min_bins: int = Field(ge=1)
    """Usable bins of the physics check below which a frame is rejected."""
    max_q_low_inv_angstrom: float = Field(default=2.0, gt=0)
    """First usable Q above which a frame is rejected, Å⁻¹: the training had none that begin there."""
    min_q_high_inv_angstrom: float = Field(default=2.5, gt=0)
    """Last usable Q below which a frame is rejected, Å⁻¹, for the same reason."""
    min_significance: float = Field(ge=0)
    """Smallest fall of χ² by adding dots to solvents and background that counts as a signal."""
    min_explained: float = Field(ge=0, le=1)
    """Smallest fraction of the χ² left by solvents and background that the dots must explain."""
    max_residual: float = Field(gt=0)
    """Largest relative residual of the full fit."""
    max_misfit: float = Field(default=8.0, gt=0)
    """Largest χ² per bin of the full fit, with an error of 2 % allowed for the templates."""
    max_ratio_misfit: float = Field(default=11.0, gt=0)
    """Largest χ² of the heights of the peaks below 4.4 Å⁻¹ where the dots have no preferred orientation."""
    max_ratio_misfit_textured: float = Field(default=5.5, gt=0)
    """The same where a texture of one axis is fitted as well."""
    max_shift_inv_angstrom: float = Field(default=0.006, gt=0)
    """Largest shift of all peaks, as a wrong 2θ zero causes, with which a lattice parameter is given, Å⁻¹."""
    max_two_theta_shift_deg: float = Field(default=0.3, gt=0)
    """Largest shift of 2θ with which a frame is sized, at the wavelength of copper and longer ones, degrees;
    at shorter ones in proportion to the wavelength, the same in Q."""
    max_delta_chi2_better_size: float = Field(default=10.8, ge=0, alias="max_lost")
    """Largest further fall of χ² by dots of another size than the predicted one, for few photons."""
    max_delta_chi2_fraction: float = Field(default=0.001, ge=0, le=1, alias="max_lost_share")
    """Fraction of the fall of χ² by the dots that is allowed in addition."""
    min_presence: float = Field(ge=0, le=1)
    """Smallest probability of dots, where the network gives one."""
    max_relative_interval: float = Field(gt=0)
    """Largest width of the 95 % interval over the size."""


class Card(Config):
    """Metadata of a model file."""

    model_config = ConfigDict(populate_by_name=True, serialize_by_alias=True)

    format_version: Literal[1] = 1
    """Version of the file format."""
    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")
    """Name of the model."""
    description: str
    """Purpose of the model, one or two sentences."""
    material: str
    """Material of the dots."""
    lattice_parameter_angstrom: float = Field(gt=0)
    """Lattice parameter at strain zero, Å."""
    input: Annotated[PaperInput | BinnedInput, Field(discriminator="kind")]
    """Input of the network."""
    output: Annotated[ClassOutput | SizeOutput | GaussianOutput | FitOutput, Field(discriminator="kind")]
    """Output of the network."""
    size_range_nm: tuple[float, float]
    """Range of number-weighted mean diameters of the model, nm."""
    strain_range: tuple[float, float]
    """Range of lattice strains that the model was trained on."""
    thresholds: AcceptanceThresholds = Field(alias="guard")
    """Thresholds of the acceptance checks; the key in files is `guard`."""
    package_version: str
    """Version of this package that made the file."""
    opset: int
    """ONNX operator set; 0 for a model without a network."""
    recipe: dict[str, Any]
    """Settings that reproduce the training."""
    recipe_sha256: str
    """Hash of the recipe."""
    training: dict[str, float | int | str]
    """Device, duration in seconds and number of patterns of the training."""
    evaluation: dict[str, float]
    """Results on patterns that were not used in training."""
