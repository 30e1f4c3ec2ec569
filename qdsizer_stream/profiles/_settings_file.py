"""Template of the settings file of a beamline, with comments."""

import json

from ..callbacks import LiveConfig
from ._discover import Discovery, FoundKey

__all__ = ["ASK", "SCHEMA_FILE", "settings_schema", "settings_text"]

TEXT = """\
#:schema ./{schema}
# Settings of qdsizer_stream for this beamline. Relative paths start at the folder of this file.
# Lines that start with # have no effect; `qdsizer-stream profile check` lists what is missing.
# {ask} marks values that only you can know: check each, correct it, then delete its comment.

{frames}[sizing]
model = "{model}"                       # qdsizer-stream models list
# texture = false                   # dots in a solvent: other crystals are then recognised more surely
# solvent = "toluene_measured.xy"   # measured pattern of the pure solvent: Q, intensity

# [sizing.instrument]               # width of the instrument's lines, without which large dots are uncertain
# file = "width.toml"               # qdsizer-stream calibrate width; or fwhm_deg = 0.03, or fwhm_inv_angstrom

[sizing.reduction]                  # detector and corrections, see "From counts to a pattern"
{arm_deg}
# bad_strips = {{ path = "bad.chans" }}
{normalise_exposure}normalise_exposure = true
{normalise_monitor}normalise_monitor = true

[sizing.reduction.detector]         # angle calibration{strips}
path = "{calibration}"
convention = "psi"                  # {ask}: reference of its offsets, psi or gda
strip_origin = "centre"             # {ask}: position of an integer strip number in the strip, centre or edge
global_offset_deg = 0.0             # {ask}: angle of strip 0 with the arm at zero

{wavelength}
{arm_angle}
{exposure}
{monitor}
# [applied]                         # corrections that the control system has applied, never applied twice
# UseFlatField_RBV = "mythen_use_flat_field"

# [accumulation]                    # sum short frames until they hold enough photons
# mode = "reset"
# min_counts = 1e5
# max_seconds = 60
"""

ASK = "ASK"
"""Mark of a value that is the template's, not the beamline's."""

SCHEMA_FILE = "qdsizer.schema.json"
"""JSON schema beside the settings, with which editors complete and check keys (taplo, Even Better TOML)."""

SOURCES = {
    "wavelength": (
        "There is no default: a wrong wavelength is a wrong size.",
        FoundKey("configuration_key", "mono_energy", "keV"),
    ),
    "arm_angle": (
        "Angle of the detector arm, if it moves; then delete arm_deg above.",
        FoundKey("data_key", "arm_readback", "deg"),
    ),
    "exposure": (
        "Exposure of a frame: for dead time and normalise_exposure.",
        FoundKey("configuration_key", "mythen_acquire_time", "s"),
    ),
    "monitor": ("Monitor (I0), in any unit: for normalise_monitor.", FoundKey("data_key", "izero", "")),
}
"""Comment and example of each table."""


def settings_text(
    found: Discovery | None = None,
    *,
    model: str = "pbs",
    calibration: str = "ang.off",
    wavelength: tuple[float, str] | None = None,
) -> str:
    """Format a settings file with comments.

    Parameters
    ----------
    found
        Keys found in a run; None without a run.
    model
        Name or path of the model.
    calibration
        Path of the angle calibration.
    wavelength
        Fixed wavelength or energy, and its unit; None where it is read from the run.

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
        schema=SCHEMA_FILE,
        model=model,
        calibration=calibration,
        frames="" if found is None else f'data_key = "{found.data_key}"\nstream = "{found.stream}"\n\n',
        strips="" if found is None else f" of the {found.n_strips} strips of {found.data_key}",
        arm_deg="# arm_deg = 0.0                     # for a fixed arm, in place of [arm_angle]"
        if moves
        else f"arm_deg = 0.0                       # {ASK}: angle of the arm, degrees",
        ask=ASK,
        normalise_exposure="" if found is not None and found.exposure is not None else "# ",
        normalise_monitor="" if found is not None and found.monitor is not None else "# ",
        **tables,
    )


def settings_schema() -> str:
    """Format the JSON schema of the settings file.

    Returns
    -------
    JSON schema (draft 2020-12) with types, defaults, limits and the description of every setting.
    """
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **LiveConfig.model_json_schema(),
        "title": "qdsizer.toml",
    }
    return json.dumps(schema, indent=2, ensure_ascii=False, sort_keys=True) + "\n"


def _table(name: str, found: FoundKey | None, why: str, example: FoundKey) -> str:
    """One table, commented out where nothing was found."""
    source = found or example
    lines = [f"[{name}]", f'{source.source} = "{source.key}"']
    if source.unit:
        lines.append(f'unit = "{source.unit}"')
    if found is None:
        lines = [f"# {line}" for line in lines]
    return "\n".join([f"# {why}", *lines, ""])
