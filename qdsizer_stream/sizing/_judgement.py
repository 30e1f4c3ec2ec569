"""Why a frame must not be sized, whatever the network says."""

from ..models import Answer, Card, ClassOutput, PhysicsFit
from ._estimate import Status

__all__ = ["refusal"]

SCARCE_COUNTS = 2e4
"""Photons below which dots that were not seen may merely be too faint: 30 for each 0.02 Å⁻¹."""

ZERO_STRAIN = 0.002
"""Strain that a 2θ zero 0.02° off looks like at the first peaks: no reason to suspect the wavelength."""

CLASS_MISREAD = 0.05
"""Relative distance, past half a class, of the size that fits best from a classifier's. Softmax is no
confidence, and on physics unlike its training the check reads sizes twice as well: this refuses 1 right
answer in 200 on the paper's physics and halves the wrong ones on other physics."""


def refusal(card: Card, answer: Answer, fit: PhysicsFit, counts: float) -> tuple[Status, str] | None:
    """Judge an answer by the physics of the frame.

    Parameters
    ----------
    card
        Card of the model, with its limits.
    answer
        What the network says.
    fit
        What the frame is made of.
    counts
        Photons of the frame.

    Returns
    -------
    Status and reason of the first limit that is passed, or None where the answer may be shown.
    """
    guard, material = card.guard, card.material
    low, high = card.size_range_nm
    unseen = Status.LOW_COUNTS if counts < SCARCE_COUNTS else Status.NO_CRYSTAL
    if fit.significance < guard.min_significance:
        return unseen, (
            f"{material} improves the fit by χ² {fit.significance:.0f}, "
            f"{guard.min_significance:.0f} are needed"
        )
    if answer.presence < guard.min_presence:
        return unseen, f"the network sees dots with probability {answer.presence:.2f}"
    strain_low, strain_high = card.strain_range[0] - ZERO_STRAIN, card.strain_range[1] + ZERO_STRAIN
    for strain, sd in ((fit.strain, fit.strain_sd), (answer.strain, 0.0)):
        if strain < strain_low - 2 * sd or strain > strain_high + 2 * sd:
            return Status.OUT_OF_DOMAIN, (
                f"the peaks lie as if the lattice of {material} were strained by {strain:+.2%}, the model "
                f"knows {strain_low:+.2%} … {strain_high:+.2%}: check wavelength, 2θ zero and material"
            )
    if abs(fit.shift_inv_angstrom) > guard.max_shift_inv_angstrom:
        return Status.OUT_OF_DOMAIN, (
            f"all peaks lie {fit.shift_inv_angstrom:+.3f} Å⁻¹ off what any lattice gives, "
            f"{guard.max_shift_inv_angstrom:.3f} is allowed: check the 2θ zero"
        )
    if fit.residual > guard.max_residual:
        return Status.OUT_OF_DOMAIN, (
            f"dots, liquids and background leave {fit.residual:.0%} unexplained, "
            f"{guard.max_residual:.0%} is allowed"
        )
    if fit.misfit > guard.max_misfit:
        return Status.OUT_OF_DOMAIN, (
            f"dots, liquids and background miss the frame by χ² {fit.misfit:.1f} a bin, "
            f"{guard.max_misfit:.1f} is allowed: other crystals, spikes or a wrong axis?"
        )
    if fit.explained < guard.min_explained:
        return Status.OUT_OF_DOMAIN, (
            f"{material} explains {fit.explained:.0%} of what liquids and background leave, "
            f"{guard.min_explained:.0%} is needed"
        )
    if not low <= answer.size_nm <= high:
        return Status.OUT_OF_RANGE, (
            f"the size reads {answer.size_nm:.2f} nm, the model answers for {low:g} … {high:g} nm"
        )
    allowed = guard.max_lost + guard.max_lost_share * fit.significance
    if fit.lost > allowed:
        reason = (
            f"the network reads {answer.size_low_nm:.1f} … {answer.size_high_nm:.1f} nm, but dots of about "
            f"{fit.best_nm:.1f} nm fit the frame better (by χ² {fit.lost:.0f}, {allowed:.0f} is allowed)"
        )
        if not low <= fit.best_nm <= high:
            return Status.OUT_OF_RANGE, f"{reason}; the model answers for {low:g} … {high:g} nm"
        return Status.OUT_OF_DOMAIN, f"{reason}: something in it is new to the model"
    if isinstance(card.output, ClassOutput):
        misread = abs(fit.best_nm - answer.size_nm) - 0.5 * card.output.step_nm
        if misread > CLASS_MISREAD * answer.size_nm:
            return Status.OUT_OF_DOMAIN, (
                f"the network reads {answer.class_nm:.1f} nm, but dots of about {fit.best_nm:.1f} nm fit the "
                "frame best: something in it is new to the model"
            )
    # What wide channels may hide is shown, but no fault of the frame.
    width = (answer.size_high_nm / answer.raised - answer.size_low_nm) / answer.size_nm
    if width > guard.max_relative_interval:
        return Status.LOW_COUNTS, (
            f"the interval is {width:.0%} of the size, {guard.max_relative_interval:.0%} is allowed"
        )
    return None
