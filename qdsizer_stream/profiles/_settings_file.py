"""A commented file of settings for one beamline."""

from ._discover import Discovery, Found

__all__ = ["settings_text"]

TEXT = """\
# Settings of qdsizer_stream for this beamline. Relative paths start at the folder of this file.
# What stands behind a single # is not in force; `qdsizer-stream profile check` says what is missing.

{frames}[sizing]
model = "{model}"                       # qdsizer-stream models list
# solvent = "toluene_measured.xy"   # the pure solvent, if you have measured it: Q, intensity

[sizing.reduction]                  # the detector and its corrections, see "From counts to a pattern"
{arm_deg}
# bad_strips = {{ path = "bad.chans" }}
{normalise_exposure}normalise_exposure = true
{normalise_monitor}normalise_monitor = true

[sizing.reduction.detector]         # angle calibration{strips}
path = "{calibration}"
convention = "psi"                  # what its offsets are relative to: psi or gda
strip_origin = "centre"             # what an integer strip meant to the code that fitted it: centre or edge
global_offset_deg = 0.0             # angle of strip 0 with the arm at zero

{wavelength}
{arm_angle}
{exposure}
{monitor}
# [applied]                         # what the control system does to the counts itself, never done twice
# UseFlatField_RBV = "mythen_use_flat_field"

# [accumulation]                    # add short frames up until they hold enough photons
# mode = "reset"
# min_counts = 1e5
# max_seconds = 60
"""

SOURCES = {
    "wavelength": (
        "There is no default: a wrong wavelength is a wrong size.",
        Found("configuration_key", "mono_energy", "keV"),
    ),
    "arm_angle": (
        "Angle of the detector arm, where it moves; then delete arm_deg above.",
        Found("data_key", "arm_readback", "deg"),
    ),
    "exposure": (
        "Exposure of a frame: for dead time and normalise_exposure.",
        Found("configuration_key", "mythen_acquire_time", "s"),
    ),
    "monitor": ("Monitor (I0), in any unit: for normalise_monitor.", Found("data_key", "izero", "")),
}
"""What each table is for, and an example of it."""


def settings_text(
    found: Discovery | None = None,
    *,
    model: str = "pbs",
    calibration: str = "ang.off",
    wavelength: tuple[float, str] | None = None,
) -> str:
    """Write settings with comments.

    Parameters
    ----------
    found
        What a run says of the beamline; None where there is no run.
    model
        The model.
    calibration
        Path of the angle calibration.
    wavelength
        Wavelength or energy that never changes, and its unit; None for where the run says it.

    Returns
    -------
    Text of a TOML file; valid settings once the calibration file exists and the wavelength is known.
    """
    tables = {
        name: _table(name, getattr(found, name, None), why, example)
        for name, (why, example) in SOURCES.items()
    }
    if wavelength is not None:
        tables["wavelength"] = f'[wavelength]\nvalue = {wavelength[0]!r}\nunit = "{wavelength[1]}"\n'
    moves = found is not None and found.arm_angle is not None
    return TEXT.format(
        model=model,
        calibration=calibration,
        frames="" if found is None else f'data_key = "{found.data_key}"\nstream = "{found.stream}"\n\n',
        strips="" if found is None else f" of the {found.n_strips} strips of {found.data_key}",
        arm_deg="# arm_deg = 0.0                     # for an arm that never moves, in place of [arm_angle]"
        if moves
        else "arm_deg = 0.0                       # angle of the arm, degrees",
        normalise_exposure="" if found is not None and found.exposure is not None else "# ",
        normalise_monitor="" if found is not None and found.monitor is not None else "# ",
        **tables,
    )


def _table(name: str, found: Found | None, why: str, example: Found) -> str:
    """One table, commented out where nothing is known."""
    source = found or example
    lines = [f"[{name}]", f'{source.place} = "{source.key}"']
    if source.unit:
        lines.append(f'unit = "{source.unit}"')
    if found is None:
        lines = [f"# {line}" for line in lines]
    return "\n".join([f"# {why}", *lines, ""])
