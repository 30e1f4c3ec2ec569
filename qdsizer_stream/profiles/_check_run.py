"""Check of settings on a measured run: what can be read live, and what in replay."""

from collections.abc import Iterator, Mapping
from typing import Any

from ..callbacks import RUN_KEY, LiveConfig, config_of_run, frame_keys
from ..callbacks.documents import FrameReadings, Unreadable
from ..errors import ConfigurationError, QdsizerError
from ._check import Finding
from ._check_zero import check_zero

__all__ = ["check_run"]


def check_run(settings: LiveConfig, run: Any) -> Iterator[Finding]:
    """Read every setting from the first frame of a run, as a replay does and as it was possible live.

    Parameters
    ----------
    settings
        Settings of the beamline; what the start document of the run overrides is applied to them.
    run
        A run, as of `run_documents`.

    Yields
    ------
    One finding for the frames and one per setting: right where live and replay can read it, wrong where
    neither can, neutral where only one of them can. Then one for the zero of 2θ, by the peaks in the frames.
    """
    start = dict(run.metadata["start"])
    uid = start["uid"]
    try:
        settings = config_of_run(settings, start)
        descriptor, event = _first_frame(run, settings)
    except QdsizerError as error:
        yield Finding("run", False, f"{error}")
        return
    (key, *_) = frame_keys(settings, descriptor)
    frames = event["data"].get(key)
    lost = frames.reason if isinstance(frames, Unreadable) else ""
    where = f"{key} in {descriptor.get('name', 'primary')}, run {uid}"
    yield Finding("frames", None if lost else True, f"{where}: {f'live only, {lost}' if lost else 'found'}")
    # Overrides are applied already.
    readings = FrameReadings(settings, {name: value for name, value in start.items() if name != RUN_KEY})
    readable = not lost
    for name, source in readings.sources.items():
        try:
            value = readings.read_one(name, descriptor, event["data"])
        except ConfigurationError as error:
            absent = source.data_key is not None and source.data_key not in event["data"]
            readable = False
            reason = (_missing(source.data_key, descriptor) if absent else "") or f"{error}"
            yield Finding(name, False, f"neither live nor in replay: {reason}")
            continue
        found = f"{value:.6g} from {source.describe()}"
        if lost and source.configuration_key is not None:
            yield Finding(name, None, f"{found}, live only: {lost}")
        else:
            yield Finding(name, True, f"{found}, live and in replay")
    if readable and "wavelength" in readings.sources:
        yield check_zero(settings, run)


def _first_frame(run: Any, settings: LiveConfig) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """Descriptor and event of the first frame."""
    from ..archive import run_documents  # a session that only sizes needs no client of Tiled

    descriptors: dict[str, Mapping[str, Any]] = {}
    for name, doc in run_documents(run, settings, patience_s=0.0):
        if name == "descriptor":
            descriptors[doc["uid"]] = doc
        elif name == "event" and frame_keys(settings, descriptors[doc["descriptor"]]):
            return descriptors[doc["descriptor"]], doc
    raise ConfigurationError(
        f"run {run.metadata['start']['uid']} holds no frames: give a run in which the detector was read"
    )


def _missing(key: str | None, descriptor: Mapping[str, Any]) -> str:
    """Why a key that the descriptor announces is in no event; empty where it is not announced."""
    announced = None if key is None else descriptor["data_keys"].get(key)
    if announced is None:
        return ""
    stream = descriptor.get("name", "primary")
    if announced.get("external"):
        return f"{key} is in a file, not in the events of {stream}: give a key of the events"
    return (
        f"{key} is announced in {stream}, but no event came with the frames: in flown streams give "
        "configuration_key, start_key or value instead"
    )
