"""Data keys and units of a beamline, found in a measured run."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ..errors import ConfigurationError
from ..reduction import MODULE_STRIPS

__all__ = ["Discovery", "FoundKey", "discover"]


@dataclass(frozen=True)
class FoundKey:
    """Key under which a run holds a number."""

    source: str
    """`configuration_key` or `data_key`."""
    key: str
    """The key."""
    unit: str
    """Unit, as named in the settings; empty for the monitor."""


@dataclass(frozen=True)
class Discovery:
    """Keys of the frames and readings of a run."""

    stream: str
    """Stream of the frames."""
    data_key: str
    """Data key of the frames."""
    n_strips: int
    """Strips in a frame."""
    wavelength: FoundKey | None
    """Wavelength or photon energy."""
    arm_angle: FoundKey | None
    """Angle of the detector arm."""
    exposure: FoundKey | None
    """Exposure."""
    monitor: FoundKey | None
    """Monitor (I0)."""


ANGSTROMS = ("angstrom", "angstroms", "a", "å")
QUANTITIES: dict[str, tuple[tuple[str, ...], dict[str, str]]] = {
    "wavelength": (
        ("wavelength", "energy", "lambda"),
        {**dict.fromkeys(ANGSTROMS, "angstrom"), "nm": "nm", "kev": "keV", "ev": "eV"},
    ),
    "arm_angle": (
        ("arm", "arm_angle", "arm_readback", "two_theta", "tth", "delta"),
        {"deg": "deg", "degree": "deg", "degrees": "deg", "rad": "rad"},
    ),
    "exposure": (
        ("exposure", "exposure_s", "exposure_time", "acquire_time", "count_time"),
        {"s": "s", "sec": "s", "seconds": "s", "ms": "ms", "us": "us"},
    ),
}
"""Endings of device names per quantity, and its units in lower case with their names in the settings."""

MONITOR_ENDINGS = ("monitor", "i0", "izero", "ion_chamber")
"""Endings of the names of a monitor; any unit is allowed."""

NOT_THE_BEAM = ("threshold", "trim", "gain")
"""Parts of names that mark an energy as a setting of the detector."""


def discover(start: Mapping[str, Any], descriptors: Mapping[str, Mapping[str, Any]]) -> Discovery:
    """Find the keys of frames and readings in the descriptors of a run.

    Parameters
    ----------
    start
        Start document.
    descriptors
        Descriptor of each stream.

    Returns
    -------
    The keys; the settings made from them name every key, so that a user can correct it.

    Raises
    ------
    ConfigurationError
        No array has the shape of strip-detector frames, or several have.
    """
    frames = [
        (stream, key, shape[-1])
        for stream, descriptor in descriptors.items()
        for key, one in descriptor["data_keys"].items()
        if (shape := tuple(one.get("shape") or ())) and shape[-1] and shape[-1] % MODULE_STRIPS == 0
    ]
    if len(frames) != 1:
        arrays = [
            f"{key} {one.get('shape')} in {stream}"
            for stream, descriptor in descriptors.items()
            for key, one in descriptor["data_keys"].items()
            if one.get("shape")
        ]
        raise ConfigurationError(
            f"run {start['uid']} has {len(frames)} arrays of whole modules of {MODULE_STRIPS} strips, "
            f"expected one: found {', '.join(arrays) or 'none'}; give another run, or set data_key "
            "and stream by hand"
        )
    stream, data_key, n_strips = frames[0]
    scalars = list(_numbers(descriptors[stream]))
    return Discovery(
        stream=stream,
        data_key=data_key,
        n_strips=n_strips,
        monitor=next((_found(one, "") for one in scalars if one[1].lower().endswith(MONITOR_ENDINGS)), None),
        **{quantity: _quantity(scalars, *names) for quantity, names in QUANTITIES.items()},
    )


def _numbers(descriptor: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Source, key and unit of every scalar: configuration first, then data keys of the events."""
    for device in descriptor.get("configuration", {}).values():
        for key, one in device.get("data_keys", {}).items():
            if not one.get("shape"):
                yield "configuration_key", key, f"{one.get('units') or ''}"
    for key, one in descriptor["data_keys"].items():
        if not one.get("shape"):
            yield "data_key", key, f"{one.get('units') or ''}"


def _quantity(
    scalars: list[tuple[str, str, str]], endings: tuple[str, ...], units: Mapping[str, str]
) -> FoundKey | None:
    """Scalar whose name ends as expected and whose unit fits the quantity."""
    for ending in endings:
        for one in scalars:
            name = one[1].lower()
            unit = units.get(one[2].strip().lower())
            if unit and (name == ending or name.endswith(f"_{ending}")):
                if any(part in name for part in NOT_THE_BEAM):
                    continue
                return _found(one, unit)
    return None


def _found(one: tuple[str, str, str], unit: str) -> FoundKey:
    return FoundKey(one[0], one[1], unit)
