"""What a measured run says about its beamline."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ..errors import ConfigurationError
from ..reduction import MODULE_STRIPS

__all__ = ["Discovery", "Found", "discover"]


@dataclass(frozen=True)
class Found:
    """Where a number stands."""

    place: str
    """`configuration_key` or `data_key`."""
    key: str
    """The key."""
    unit: str
    """Its unit as the settings name it; empty for the monitor."""


@dataclass(frozen=True)
class Discovery:
    """Frames and numbers of a run."""

    stream: str
    """Stream of the frames."""
    data_key: str
    """Data key of the frames."""
    n_strips: int
    """Strips in a frame."""
    wavelength: Found | None
    """Wavelength or photon energy."""
    arm_angle: Found | None
    """Angle of the detector arm."""
    exposure: Found | None
    """Exposure."""
    monitor: Found | None
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
"""Endings of the names that devices give a quantity, and its units in lower case with the settings' name."""

MONITOR_ENDINGS = ("monitor", "i0", "izero", "ion_chamber")
"""Endings of the names of a monitor; it may have any unit."""

NOT_THE_BEAM = ("threshold", "trim", "gain")
"""Parts of the names of energies that are settings of the detector."""


def discover(start: Mapping[str, Any], descriptors: Mapping[str, Mapping[str, Any]]) -> Discovery:
    """Find frames and numbers in the descriptors of a run.

    Parameters
    ----------
    start
        Start document.
    descriptors
        Descriptor of each stream.

    Returns
    -------
    What was found; the settings that are made of it name every key, so that a person can correct it.

    Raises
    ------
    ConfigurationError
        No array looks like frames of a strip detector, or several do.
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
            f"run {start['uid']} has {len(frames)} arrays of whole modules of {MODULE_STRIPS} strips, one is "
            f"needed: found {', '.join(arrays) or 'none'}; give another run, or write data_key and stream"
        )
    stream, data_key, n_strips = frames[0]
    known = list(_numbers(descriptors[stream]))
    return Discovery(
        stream=stream,
        data_key=data_key,
        n_strips=n_strips,
        monitor=next((_found(one, "") for one in known if one[1].lower().endswith(MONITOR_ENDINGS)), None),
        **{quantity: _quantity(known, *names) for quantity, names in QUANTITIES.items()},
    )


def _numbers(descriptor: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Place, key and unit of every single number: what holds for the run before what each event brings."""
    for device in descriptor.get("configuration", {}).values():
        for key, one in device.get("data_keys", {}).items():
            if not one.get("shape"):
                yield "configuration_key", key, f"{one.get('units') or ''}"
    for key, one in descriptor["data_keys"].items():
        if not one.get("shape"):
            yield "data_key", key, f"{one.get('units') or ''}"


def _quantity(
    known: list[tuple[str, str, str]], endings: tuple[str, ...], units: Mapping[str, str]
) -> Found | None:
    """The number whose name ends as wanted and whose unit is one of the quantity."""
    for ending in endings:
        for one in known:
            name = one[1].lower()
            unit = units.get(one[2].strip().lower())
            if unit and (name == ending or name.endswith(f"_{ending}")):
                if any(part in name for part in NOT_THE_BEAM):
                    continue
                return _found(one, unit)
    return None


def _found(one: tuple[str, str, str], unit: str) -> Found:
    return Found(one[0], one[1], unit)
