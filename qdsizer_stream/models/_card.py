"""The card of a model: what its file says of itself."""

from typing import Annotated, Any, Literal

from pydantic import Field

from ..configuration import Config
from ..patterns import BinGrid, PaperGrid

__all__ = ["BinnedInput", "Card", "ClassOutput", "GaussianOutput", "GuardLimits", "PaperInput", "SizeOutput"]


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


class ClassOutput(Config):
    """The model answers with logits of size classes."""

    kind: Literal["classes"] = "classes"
    """Discriminator."""
    classes_nm: tuple[float, ...] = Field(min_length=2)
    """Number-weighted mean diameter of each class, nm, evenly spaced."""

    @property
    def step_nm(self) -> float:
        """From one class to the next, nm."""
        return self.classes_nm[1] - self.classes_nm[0]


class SizeOutput(Config):
    """The model answers with one number, the scaled size."""

    kind: Literal["size"] = "size"
    """Discriminator."""
    offset_nm: float
    """Size at output zero, nm."""
    scale_nm: float = Field(gt=0)
    """Nanometres per unit of output."""
    half_width_nm: float = Field(gt=0)
    """Error that 95 % of the frames kept out of the fit stay within, nm: the same for every frame."""


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
    """Factor on the predicted standard deviation that makes the intervals honest on held-out physics."""
    interval_floor: float = Field(ge=0, lt=1)
    """Relative standard deviation added in quadrature: what no simulation contains, shapes above all."""
    interval_floor_nm: float = Field(ge=0, lt=1)
    """Standard deviation of the size added in quadrature, nm: surfaces, and where one lets a dot end, differ
    by parts of a layer of atoms whatever the size."""


class GuardLimits(Config):
    """Limits past which a frame is refused; the evaluation on the card tells the error rates."""

    min_counts: float = Field(ge=0)
    """Photons, Σ (I/σ)², below which no frame is sized."""
    min_bins: int = Field(ge=1)
    """Usable bins of the physics check below which no frame is sized."""
    max_q_low_inv_angstrom: float = Field(default=2.0, gt=0)
    """First usable Q past which no frame is sized: the training saw none that begin there, Å⁻¹."""
    min_q_high_inv_angstrom: float = Field(default=2.5, gt=0)
    """Last usable Q below which no frame is sized, for the same reason, Å⁻¹."""
    min_significance: float = Field(ge=0)
    """Fall of χ² that the dots' patterns must bring to count as seen."""
    min_explained: float = Field(ge=0, le=1)
    """Share of χ² left by liquids and background that the dots' patterns must explain."""
    max_residual: float = Field(gt=0)
    """Largest relative residual of the full fit."""
    max_misfit: float = Field(default=8.0, gt=0)
    """Largest χ² a bin of the full fit, 2 % of error granted to the templates."""
    max_shift_inv_angstrom: float = Field(default=0.006, gt=0)
    """Largest shift of all peaks, as a wrong 2θ zero makes, Å⁻¹."""
    max_lost: float = Field(default=10.8, ge=0)
    """Fall of χ² that dots of another size than the answer's may bring, however few the photons."""
    max_lost_share: float = Field(default=0.001, ge=0, le=1)
    """The same as a share of what the dots bring: allowed on top."""
    min_presence: float = Field(ge=0, le=1)
    """Smallest probability of dots, where the network gives one."""
    max_relative_interval: float = Field(gt=0)
    """Largest width of the 95 % interval over the size: wider is no answer."""


class Card(Config):
    """What a model file says of itself."""

    format_version: Literal[1] = 1
    """Version of the file format."""
    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")
    """Name of the model."""
    description: str
    """What the model is for, one or two sentences."""
    material: str
    """Material of the dots."""
    lattice_parameter_angstrom: float = Field(gt=0)
    """Lattice parameter at strain zero, Å."""
    input: Annotated[PaperInput | BinnedInput, Field(discriminator="kind")]
    """What the network takes."""
    output: Annotated[ClassOutput | SizeOutput | GaussianOutput, Field(discriminator="kind")]
    """What the network answers."""
    size_range_nm: tuple[float, float]
    """Number-weighted mean diameters that the model answers for, nm."""
    strain_range: tuple[float, float]
    """Strains that the model was trained on."""
    guard: GuardLimits
    """When to refuse."""
    package_version: str
    """Version of this package that made the file."""
    opset: int
    """ONNX operator set."""
    recipe: dict[str, Any]
    """Settings that reproduce the training."""
    recipe_sha256: str
    """Hash of the recipe."""
    training: dict[str, float | int | str]
    """How the training went: device, seconds, patterns seen."""
    evaluation: dict[str, float]
    """Results on patterns that took no part in training."""
