"""Frames out of the documents of one run, in whichever layout they come."""

import logging
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from event_model import unpack_datum_page, unpack_event_page

from ...errors import ArchiveError, ConfigurationError
from ...reduction import AppliedCorrections, frame_layouts
from ...sizing import RawFrame
from ._config import LiveConfig
from ._frame import Frame
from ._hdf5 import Hdf5Rows, path_from_uri
from ._number_source import FrameDocuments, read_switches
from ._quantity import read_angle, read_exposure, read_peak, read_wavelength

__all__ = ["FrameSource", "frame_keys"]

logger = logging.getLogger(__name__)

HDF5_DATASET = "/entry/data/data"
"""Where areaDetector writes frames, unless the resource says otherwise."""


def frame_keys(config: LiveConfig, descriptor: Mapping[str, Any]) -> list[str]:
    """Find the data keys of a descriptor that may hold frames.

    Parameters
    ----------
    config
        Settings of the run.
    descriptor
        Descriptor of a stream.

    Returns
    -------
    The configured key, or all that fit the detector.
    """
    keys = descriptor["data_keys"]
    if config.data_key is not None:
        return [key for key in keys if key == config.data_key]
    layouts = _layouts(config)
    n_strips = layouts[1][0]
    # By shape, never by dtype: external data may be declared as anything. Strips with more counters than
    # the settings know are frames too: the reduction says what is wrong with them.
    return [
        key
        for key in keys
        if n_strips in (shape := tuple(keys[key].get("shape", ()))) or _layout(shape, layouts) is not None
    ]


def _layouts(config: LiveConfig) -> list[tuple[int, ...]]:
    """Shapes of one frame of the detector."""
    assert config.sizing.reduction is not None  # LiveConfig refuses to be made without
    return frame_layouts(config.sizing.reduction.load_detector().n_strips, config.sizing.reduction.n_counters)


def _layout(shape: tuple[int, ...], layouts: list[tuple[int, ...]]) -> tuple[int, ...] | None:
    """How one frame lies in an array of one or several; None where it is of another detector."""
    return next((layout for layout in layouts if shape[-len(layout) :] == layout), None)


class FrameSource:
    """Gathers the documents of one run and gives the frames that each completes.

    Inline arrays come with their event, files announced by resource and datum likewise; files
    announced by stream_resource come with their stream_datum, for a fly scan may have no events.

    Parameters
    ----------
    config
        Settings of the run.
    start
        Start document.
    """

    def __init__(self, config: LiveConfig, start: Mapping[str, Any]) -> None:
        self._config = config
        self._start = start
        self._layouts = _layouts(config)
        self._descriptors: dict[str, Mapping[str, Any]] = {}
        self._files: dict[tuple[Path, str], Hdf5Rows] = {}
        self._resources: dict[str, Mapping[str, Any]] = {}
        self._datums: dict[str, Mapping[str, Any]] = {}
        self._seen_keys: dict[str, list[str]] = {}
        self.stream: str | None = config.stream
        """Stream of the frames, once known."""
        self.data_key: str | None = config.data_key
        """Data key of the frames, once known."""
        self._ambiguous: list[str] = []
        self._told_no_peak = False

    def frames(self, name: str, doc: Any, received: float) -> Iterator[Frame]:
        """Take one document.

        Parameters
        ----------
        name
            Kind of the document.
        doc
            The document; never changed.
        received
            When it came, s since the epoch: the time of frames that have no event.

        Returns
        -------
        The frames that it completes, in order; each is read as it is asked for.
        """
        if name == "descriptor":
            self._descriptor(doc)
        elif name == "event":
            yield from self._event(doc, received)
        elif name == "event_page":
            for event in unpack_event_page(doc):
                yield from self._event(event, received)
        elif name in ("resource", "stream_resource"):
            self._resources[doc["uid"]] = doc
        elif name == "datum":
            self._datums[doc["datum_id"]] = doc
        elif name == "datum_page":
            for datum in unpack_datum_page(doc):
                self._datums[datum["datum_id"]] = datum
        elif name == "stream_datum":
            yield from self._stream_datum(doc, received)

    def holds_frames(self, name: str, doc: Any) -> bool:
        """Whether a document is an event with its frames inline, so that no file has to be waited for.

        Parameters
        ----------
        name
            Kind of the document.
        doc
            The document.
        """
        if name != "event" or doc["descriptor"] not in self._descriptors:
            return False
        return not self._described(doc).get("external")

    def explain_no_frames(self) -> str:
        """Say why a run gave no frame.

        Returns
        -------
        One line with what was looked for, what was found and what to set.
        """
        found = "; ".join(f"{stream}: {', '.join(keys)}" for stream, keys in self._seen_keys.items())
        sought = self._config.data_key or f"an array of {self._layouts[1][0]} strips"
        return (
            f"no frames: looked for {sought} in "
            f"stream {self._config.stream or '(any)'}, found {found or 'no streams'}; set data_key and stream"
        )

    def close(self) -> None:
        """Close the files."""
        for rows in self._files.values():
            rows.close()
        self._files.clear()

    def _descriptor(self, doc: Mapping[str, Any]) -> None:
        stream = doc.get("name", "primary")
        keys = doc["data_keys"]
        self._seen_keys[stream] = [f"{key} {tuple(keys[key].get('shape', ()))}" for key in keys]
        if self.stream is not None and stream != self.stream:
            return
        fitting = frame_keys(self._config, doc)
        if not fitting and self._descriptors and self.data_key is not None:
            fitting = [self.data_key]  # changed in mid-run: its events are frames still, or say why not
        if not fitting:
            return
        self.stream = stream
        self.data_key = fitting[0]
        self._ambiguous = fitting if len(fitting) > 1 else []
        self._descriptors[doc["uid"]] = doc

    def _event(self, event: Mapping[str, Any], received: float) -> Iterator[Frame]:
        descriptor = self._descriptors.get(event["descriptor"])
        if descriptor is None or self.data_key is None:
            return
        described = self._described(event)
        if described.get("external", "").startswith("STREAM"):
            return  # these come with their stream_datum
        seq_num, time = _seq_num(event.get("seq_num")), _time(event.get("time"), received)
        data = event.get("data", {})
        try:
            counts = data.get(self.data_key)
            if counts is None:
                found = ", ".join(data) or "nothing"
                raise ArchiveError(f"the event has no {self.data_key!r}: found {found}")
            # Where someone has filled the event, the array itself stands in place of the datum.
            if isinstance(counts, str) and described.get("external"):
                counts = self._datum_rows(counts)
        except Exception as error:
            yield Frame(seq_num=seq_num, time=time, reason=_one_line(error))
            return
        yield from self._with_readings(descriptor, data, counts, seq_num, time)

    def _described(self, event: Mapping[str, Any]) -> Mapping[str, Any]:
        """What the descriptor of an event says of the frames."""
        described: Mapping[str, Any] = self._descriptors[event["descriptor"]]["data_keys"].get(
            self.data_key, {}
        )
        return described

    def _stream_datum(self, doc: Mapping[str, Any], received: float) -> Iterator[Frame]:
        descriptor = self._descriptors.get(doc["descriptor"])
        resource = self._resources.get(doc["stream_resource"])
        if descriptor is None or resource is None or resource["data_key"] != self.data_key:
            return
        shape = tuple(descriptor["data_keys"].get(self.data_key, {}).get("shape", ()))
        # An index covers as many rows as the key's shape has before the strips: (k, N) is k rows.
        layout = _layout(shape, self._layouts)
        rows_each = shape[0] if layout is not None and len(shape) > len(layout) and shape[0] else 1
        parameters = resource["parameters"]
        dataset = parameters.get("dataset") or parameters.get("path") or HDF5_DATASET
        first, last = doc["indices"]["start"], doc["indices"]["stop"]
        numbered = doc["seq_nums"]["stop"] - doc["seq_nums"]["start"]
        if numbered != last - first:
            reason = f"a stream_datum has rows {first} to {last - 1} for {numbered} events: one is wrong"
            yield Frame(seq_num=doc["seq_nums"]["start"], time=received, reason=reason)
            return
        for offset, index in enumerate(range(first, last)):
            seq_num = doc["seq_nums"]["start"] + offset
            try:
                if resource["mimetype"] != "application/x-hdf5":
                    raise ArchiveError(
                        f"frames of type {resource['mimetype']} cannot be read: only application/x-hdf5 can"
                    )
                counts = self._rows(
                    path_from_uri(resource["uri"]), dataset, index * rows_each, (index + 1) * rows_each
                )
            except Exception as error:
                yield Frame(seq_num=seq_num, time=received, reason=_one_line(error))
                continue
            yield from self._with_readings(descriptor, {}, counts, seq_num, received)

    def _datum_rows(self, datum_id: str) -> Any:
        """Rows that a datum points at."""
        datum = self._datums.get(datum_id)
        resource = self._resources.get(datum["resource"]) if datum is not None else None
        if datum is None or resource is None:
            raise ArchiveError(f"datum {datum_id} was never announced: the frame cannot be found")
        if "HDF5" not in resource["spec"].upper():
            raise ArchiveError(f"frames of spec {resource['spec']} cannot be read: only HDF5 ones can")
        kwargs = resource.get("resource_kwargs", {})
        # Documents write the path below the root with a leading slash or without.
        below = resource["resource_path"]
        path = Path(resource["root"]) / below.lstrip("/") if resource.get("root") else Path(below)
        dataset = kwargs.get("dataset") or kwargs.get("path") or kwargs.get("key") or HDF5_DATASET
        rows_each = int(kwargs.get("frame_per_point", 1))
        point = int(datum["datum_kwargs"].get("point_number", 0))
        return self._rows(path, dataset, point * rows_each, (point + 1) * rows_each)

    def _rows(self, path: Path, dataset: str, first: int, last: int) -> Any:
        place = (path, dataset)
        if place not in self._files:
            self._files[place] = Hdf5Rows(path, dataset, self._config.file_timeout_s)
        return self._files[place].read(first, last)

    def _with_readings(
        self, descriptor: Mapping[str, Any], data: Mapping[str, Any], counts: Any, seq_num: int, time: float
    ) -> Iterator[Frame]:
        """Frames of one event, each with what sizing it needs."""
        config, documents = self._config, FrameDocuments(self._start, descriptor, data)
        try:
            if self._ambiguous:
                raise ConfigurationError(
                    f"{len(self._ambiguous)} data keys fit the detector, {', '.join(self._ambiguous)}: "
                    "set data_key to the one that holds the frames"
                )
            readings: dict[str, Any] = {
                "wavelength_angstrom": read_wavelength(config.wavelength, documents),
                "arm_deg": None if config.arm_angle is None else read_angle(config.arm_angle, documents),
                "exposure_s": None if config.exposure is None else read_exposure(config.exposure, documents),
                "monitor": None if config.monitor is None else config.monitor.read("monitor", documents)[0],
                "applied": AppliedCorrections.from_readings(read_switches(config.applied, documents)),
            }
            rows = self._split(counts)
        except Exception as error:
            yield Frame(seq_num=seq_num, time=time, reason=_one_line(error))
            return
        for row in rows:
            raw = RawFrame(counts=row, **readings)
            yield Frame(seq_num=seq_num, time=time, raw=raw, peak_ev=self._peak(documents))

    def _peak(self, documents: FrameDocuments) -> float:
        """Absorption peak of an event; a frame is sized as well without one."""
        optics = self._config.optics
        if optics is None or optics.peak is None:
            return float("nan")
        try:
            return read_peak(optics.peak, documents)
        except ConfigurationError as error:
            if not self._told_no_peak:
                logger.warning("no absorption peak to compare with: %s", error)
            self._told_no_peak = True
            return float("nan")

    def _split(self, counts: Any) -> list[Any]:
        """Frames of one event, which may hold one or, along the first axes, several."""
        frames = np.asarray(counts)
        layout = _layout(frames.shape, self._layouts)
        if layout is None:
            return [frames]  # of another length: the reduction says so in its own words
        return list(frames.reshape(-1, *layout))


def _seq_num(value: Any) -> int:
    """Number of an event; 0, which no event has, where it says none."""
    return int(value) if isinstance(value, int | np.integer) else 0


def _time(value: Any, received: float) -> float:
    """Time of an event, s since the epoch; when it came where it says none."""
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else received


def _one_line(error: Exception) -> str:
    """Reason of a frame from whatever went wrong with it."""
    return " ".join(f"{error}".split()) or type(error).__name__
