"""Check of the settings of a beamline."""

import os
import re
import shutil
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..callbacks import LiveConfig, WavelengthSource
from ..callbacks.documents import fixed_wavelength_angstrom
from ..configuration import load_toml
from ..errors import ConfigurationError, QdsizerError
from ..patterns import energy_ev_from_wavelength
from ..sizing import Sizer
from ._settings_file import ASK
from ._startup import installed_in

__all__ = ["Finding", "check"]

TIMED_FRAMES = 20
"""Frames that are timed; the median is reported."""

TRIAL_WAVELENGTH_ANGSTROM = 0.5637
"""Wavelength of the timed frames: 22 keV; affects the speed only."""

TRIAL_COUNTS = 100
"""Photons per strip in the timed frames."""

MIN_FREE_BYTES = 2**30
"""Free space below which a folder is reported: one hour of frames of 30 720 strips at 3 Hz."""


ASK_LINE = re.compile(rf"\s*(\w+)\s*=\s*(\S+)\s+# {ASK}:(.*)")
"""Line of the settings with a value that nobody has confirmed."""


@dataclass(frozen=True)
class Finding:
    """Result of one check."""

    what: str
    """Subject of the check."""
    good: bool | None
    """Whether it is as required; None for information only."""
    found: str
    """What was found and, if it is wrong, how to fix it."""
    ask: bool = False
    """Whether it is a value of the template that nobody has confirmed yet."""


def check(
    path: str | os.PathLike[str],
    archive: str | os.PathLike[str] | None = None,
    spool: str | os.PathLike[str] | None = None,
) -> Iterator[Finding]:
    """Check everything that sizing at a beamline needs.

    Parameters
    ----------
    path
        TOML file of the beamline.
    archive, spool
        As of `install`.

    Yields
    ------
    Findings, in the order of the checks.
    """
    settings: LiveConfig | None = None
    sizer: Sizer | None = None
    try:
        settings = load_toml(LiveConfig, Path(path))
        yield Finding("settings", True, f"{path}")
        begin = time.perf_counter()
        sizer = Sizer(settings.sizing)
        spent = time.perf_counter() - begin
        yield Finding(
            "model", True, f"{sizer.model.name} {sizer.model.sha256[:8]}, loaded and checked in {spent:.1f} s"
        )
    except QdsizerError as error:
        yield Finding("settings" if settings is None else "model and detector", False, f"{error}")
    if settings is not None:
        yield from _sources(settings)
        yield from _unconfirmed(Path(path))
    if settings is not None and sizer is not None:
        yield from _detector(settings, sizer)
    yield from _destinations(
        None if archive is None else os.fspath(archive), None if spool is None else Path(spool)
    )
    files = installed_in()
    yield Finding(
        "IPython profiles",
        None,
        ", ".join(f"{name} ({file.name})" for name, file in files.items())
        or "none has the start-up file; write it with `qdsizer-stream profile install --profile NAME`",
    )


def _sources(settings: LiveConfig) -> Iterator[Finding]:
    """Sources of wavelength, arm angle, exposure and monitor."""
    yield _wavelength(settings.wavelength)
    reduction = settings.sizing.reduction
    assert reduction is not None  # LiveConfig requires it
    moves = settings.arm_angle is not None
    found = (
        f"from {settings.arm_angle.describe()}" if settings.arm_angle else f"fixed at {reduction.arm_deg}°"
    )
    known = moves or reduction.arm_deg is not None
    yield Finding("detector arm", known, found if known else "unknown: set [arm_angle], or arm_deg")
    for name, needed, source in (
        ("exposure", reduction.normalise_exposure or reduction.dead_time is not None, settings.exposure),
        ("monitor", reduction.normalise_monitor, settings.monitor),
    ):
        if source is not None:
            yield Finding(name, True, f"from {source.describe()}")
        elif needed:
            yield Finding(name, False, f"required by the corrections, but has no source: set [{name}]")
    yield Finding(
        "solvent",
        None,
        f"{settings.sizing.solvent}"
        if settings.sizing.solvent
        else "none measured: computed solvents are used",
    )
    yield Finding(
        "instrument",
        None,
        f"width {settings.sizing.instrument}"
        if settings.sizing.instrument
        else "width not declared: intervals allow for what is plausible; set [sizing.instrument]",
    )


def _wavelength(source: WavelengthSource | None) -> Finding:
    """Source of the wavelength and, where it is fixed, its value in both units."""
    if source is None:
        found = "no source, so no frame will be sized: set [wavelength], there is no default"
        return Finding("wavelength", False, found)
    try:
        fixed = fixed_wavelength_angstrom(source)
    except ConfigurationError as error:
        return Finding("wavelength", False, f"{error}")
    value = "" if fixed is None else f"{source.value:g} {source.unit} = {_other_unit(source, fixed)}, "
    return Finding("wavelength", True, f"{value}from {source.describe()}")


def _other_unit(source: WavelengthSource, wavelength_angstrom: float) -> str:
    if source.unit in ("keV", "eV"):
        return f"{wavelength_angstrom:.4f} Å"
    return f"{energy_ev_from_wavelength(wavelength_angstrom) / 1000:.3f} keV"


def _unconfirmed(path: Path) -> Iterator[Finding]:
    """Values of the template that somebody who knows the beamline has to confirm."""
    for line in path.read_text(encoding="utf-8").splitlines():
        if match := ASK_LINE.match(line):
            key, value, question = match.groups()
            found = f"{value} is the template's: {question.strip()}; correct it, then delete the comment"
            yield Finding(key, None, found, ask=True)


def _detector(settings: LiveConfig, sizer: Sizer) -> Iterator[Finding]:
    """Angles of the detector, and speed of sizing."""
    assert sizer.reducer is not None  # LiveConfig requires it
    n_strips = sizer.reducer.detector.n_strips
    arm_deg = sizer.reducer.config.arm_deg or 0.0
    angles = sizer.reducer.detector.two_theta(arm_deg)
    yield Finding(
        "detector", True, f"{n_strips} strips, {angles.min():.3f}° to {angles.max():.3f}° at arm {arm_deg:g}°"
    )
    random = np.random.default_rng(0)
    shape = (n_strips, settings.sizing.reduction.n_counters) if settings.sizing.reduction else (n_strips,)
    counts = random.poisson(TRIAL_COUNTS, shape).astype(np.uint32)
    counts = counts[:, 0] if counts.shape[-1] == 1 else counts
    spent = []
    for _ in range(TIMED_FRAMES):
        begin = time.perf_counter()
        sizer.size_frame(counts, TRIAL_WAVELENGTH_ANGSTROM, arm_deg, exposure_s=1.0, monitor=1.0)
        spent.append(1000 * (time.perf_counter() - begin))
    yield Finding("speed", None, f"{statistics.median(spent):.1f} ms per frame, median of {TIMED_FRAMES}")


def _destinations(archive: str | None, spool: Path | None) -> Iterator[Finding]:
    """Archive and spool."""
    if archive is not None:
        yield from _attempt("archive", lambda: _archive(archive))
    if spool is not None:
        yield from _attempt("spool", lambda: _spool(spool))


def _attempt(what: str, inspect: Callable[[], str]) -> Iterator[Finding]:
    try:
        yield Finding(what, True, inspect())
    except (QdsizerError, OSError, ImportError) as error:
        yield Finding(what, False, f"{error}")


def _archive(archive: str) -> str:
    if not archive.startswith(("http://", "https://")) and Path(archive).is_dir():
        # Starting its server takes too long for a check; the usual fault is a full disk.
        free = shutil.disk_usage(archive).free
        if free < MIN_FREE_BYTES:
            raise OSError(f"{archive} has only {free / 1e9:.1f} GB free: delete or move files")
        return f"{archive}, {free / 1e9:.0f} GB free"
    from ..archive import open_archive

    with open_archive(archive) as catalog:
        return f"{archive}, {len(catalog)} runs"


def _spool(spool: Path) -> str:
    from ..archive import spooled_runs

    waiting = len(spooled_runs(spool, unfinished=False)) if spool.is_dir() else 0
    if waiting:
        raise OSError(
            f"{waiting} runs are waiting in {spool}: upload them with "
            f"`qdsizer-stream spool upload {spool} ARCHIVE`"
        )
    return f"{spool}, empty" if spool.is_dir() else f"{spool}, created when needed"
