"""Documents of the stream `qd_size`."""

import json
import math
import time
from collections.abc import Iterator, Mapping
from typing import Any

from event_model import ComposeDescriptor, ComposeDescriptorBundle

from ... import __version__
from ...models import Answer
from ...sizing import Examination, RawFrame, SizeEstimate, Sizer, Status
from ...tracking import Track
from ._config import LiveConfig
from ._frame import Frame
from ._optics import OPTICS_KEYS, optics_data
from ._track_data import TARGET_KEYS, TRACK_KEYS, evidence_data, measurement_of, target_of, track_data

__all__ = ["OBJECT_NAME", "STREAM_NAME", "SizeStream", "estimate_data"]

STREAM_NAME = "qd_size"
"""Stream of the estimates."""

OBJECT_NAME = "qdsizer"
"""Device name of the estimates in the descriptor."""


def _number(units: str | None, precision: int, low: float | None, high: float | None) -> dict[str, Any]:
    return {
        "dtype": "number",
        "dtype_numpy": "<f8",
        "shape": [],
        "units": units,
        "precision": precision,
        "limits": {"control": {"low": low, "high": high}},
    }


_TEXT = {"dtype": "string", "shape": []}
_INTEGER = {"dtype": "integer", "dtype_numpy": "<i8", "shape": []}

# Scalars only: archives return small array columns as strings.
DATA_KEYS: dict[str, dict[str, Any]] = {
    "qdsizer_size": _number("nm", 2, 0.0, None),
    "qdsizer_size_low": _number("nm", 2, 0.0, None),
    "qdsizer_size_high": _number("nm", 2, 0.0, None),
    "qdsizer_size_frame_sd": _number("nm", 3, 0.0, None),
    "qdsizer_size_shared_sd": _number("nm", 3, 0.0, None),
    "qdsizer_mass_mean": _number("nm", 2, 0.0, None),
    "qdsizer_mass_mean_low": _number("nm", 2, 0.0, None),
    "qdsizer_mass_mean_high": _number("nm", 2, 0.0, None),
    "qdsizer_mass_mean_frame_sd": _number("nm", 3, 0.0, None),
    "qdsizer_mass_mean_shared_sd": _number("nm", 3, 0.0, None),
    "qdsizer_dispersion": _number(None, 3, 0.0, None),
    "qdsizer_dispersion_low": _number(None, 3, 0.0, None),
    "qdsizer_dispersion_high": _number(None, 3, 0.0, None),
    "qdsizer_population": dict(_TEXT),
    "qdsizer_lattice_parameter": _number("angstrom", 4, 0.0, None),
    "qdsizer_two_theta_shift": _number("deg", 3, None, None),
    "qdsizer_class": _number("nm", 2, 0.0, None),
    "qdsizer_class_probability": _number(None, 3, 0.0, 1.0),
    "qdsizer_residual": _number(None, 4, 0.0, None),
    "qdsizer_phases": dict(_TEXT),
    "qdsizer_material": dict(_TEXT),
    "qdsizer_counts": _number("counts", 0, 0.0, None),
    "qdsizer_resolution": _number("angstrom^-1", 4, 0.0, None),
    "qdsizer_status": {**_TEXT, "choices": [status.value for status in Status]},
    "qdsizer_reason": dict(_TEXT),
    "qdsizer_warnings": dict(_TEXT),
    "qdsizer_n_frames": dict(_INTEGER),
    "qdsizer_frame_seq_num": dict(_INTEGER),
    "qdsizer_latency": _number("s", 4, 0.0, None),
}
"""Data keys of an estimate, without their source."""


def estimate_data(estimate: SizeEstimate) -> dict[str, Any]:
    """Data of an estimate by data key, without those of its frame.

    Parameters
    ----------
    estimate
        The estimate.

    Returns
    -------
    Values and strings.
    """
    return {
        "qdsizer_size": estimate.size_nm,
        "qdsizer_size_low": estimate.size_low_nm,
        "qdsizer_size_high": estimate.size_high_nm,
        "qdsizer_size_frame_sd": estimate.size_frame_sd_nm,
        "qdsizer_size_shared_sd": estimate.size_shared_sd_nm,
        "qdsizer_mass_mean": estimate.mass_mean_nm,
        "qdsizer_mass_mean_low": estimate.mass_mean_low_nm,
        "qdsizer_mass_mean_high": estimate.mass_mean_high_nm,
        "qdsizer_mass_mean_frame_sd": estimate.mass_mean_frame_sd_nm,
        "qdsizer_mass_mean_shared_sd": estimate.mass_mean_shared_sd_nm,
        "qdsizer_dispersion": estimate.dispersion,
        "qdsizer_dispersion_low": estimate.dispersion_low,
        "qdsizer_dispersion_high": estimate.dispersion_high,
        "qdsizer_population": estimate.population,
        "qdsizer_lattice_parameter": estimate.lattice_parameter_angstrom,
        "qdsizer_two_theta_shift": estimate.two_theta_shift_deg,
        "qdsizer_class": estimate.class_nm,
        "qdsizer_class_probability": estimate.class_probability,
        "qdsizer_residual": estimate.residual,
        "qdsizer_phases": estimate.phases,
        "qdsizer_material": estimate.material,
        "qdsizer_counts": estimate.counts,
        "qdsizer_resolution": estimate.resolution_inv_angstrom,
        "qdsizer_status": estimate.status.value,
        "qdsizer_reason": estimate.reason,
    }


class SizeStream:
    """Composes the documents of the estimates of one run.

    Parameters
    ----------
    start
        Start document of the run that the stream belongs to.
    config
        Settings of the run.
    sizer
        The sizer; None where the settings of the run are invalid.
    """

    def __init__(self, start: Any, config: LiveConfig, sizer: Sizer | None) -> None:
        self._config = config
        self._sizer = sizer
        self._next_seq_num: dict[str, int] = {}
        self._compose = ComposeDescriptor(start=start, streams={}, event_counters=self._next_seq_num)
        # By stream and data key of the frames:
        self._bundles: dict[tuple[str, str], ComposeDescriptorBundle] = {}
        self._described: dict[tuple[str, str], tuple[Any, ...]] = {}
        self._target_nm = target_of(start)
        self._tracks: dict[str, Track] = {}  # by stream

    @property
    def n_events(self) -> int:
        """Events composed so far."""
        return self._next_seq_num.get(STREAM_NAME, 1) - 1

    def continue_track(self, stream: str, data: Mapping[str, Any]) -> None:
        """Take the data of an event of an earlier session into the track.

        Parameters
        ----------
        stream
            Stream of its frame.
        data
            Data of the event.
        """
        self._track(stream).update(data["qdsizer_track_time"], measurement_of(data))

    def documents(
        self,
        frame: Frame,
        examination: Examination,
        live: bool = True,
        evidence: tuple[Answer, float] | None = None,
    ) -> Iterator[tuple[str, Any]]:
        """Compose the documents of one estimate.

        Parameters
        ----------
        frame
            The frame; the last one of a sum of frames.
        examination
            Its estimate and the values that it is based on.
        live
            Whether to record the latency, which has no meaning for a frame from an archive.
        evidence
            Answer for a sum of faint frames that ends with this one, and the mean time of its frames on the
            clock of the run, s; None for the evidence of the examination.

        Returns
        -------
        Name and document: a descriptor before the first event and wherever the wavelength or the
        angle has changed, and the event.
        """
        now = time.time()
        source = frame.stream, frame.data_key
        described = *self._constants(frame), *source
        if source not in self._bundles or described != self._described[source]:
            self._bundles[source] = self._descriptor(*described, now)
            self._described[source] = described
            yield "descriptor", self._bundles[source].descriptor_doc
        # Where the clock was set back, an estimate must not be dated before its frame.
        estimated = max(now, frame.time)
        data = estimate_data(examination.estimate) | {
            "qdsizer_warnings": "; ".join(examination.warnings),
            "qdsizer_n_frames": examination.n_frames,
            "qdsizer_frame_seq_num": frame.seq_num,
            "qdsizer_latency": estimated - frame.time if live else math.nan,
        }
        data |= self._track_data(frame, examination, evidence)
        if self._config.optics is not None:
            data |= optics_data(self._config.optics, examination.estimate, frame.peak_ev)
        # Checking a document against its schema takes thirty times as long as making it, in the interpreter
        # that runs the plan; the keys are those of the descriptor by construction, and tests check both.
        yield (
            "event",
            self._bundles[source].compose_event(
                data=data, timestamps=dict.fromkeys(data, estimated), time=frame.time, validate=False
            ),
        )

    def _track(self, stream: str) -> Track:
        if stream not in self._tracks:
            self._tracks[stream] = Track(self._target_nm)
        return self._tracks[stream]

    def _track_data(
        self, frame: Frame, examination: Examination, evidence: tuple[Answer, float] | None
    ) -> dict[str, Any]:
        """Data of the track with this frame."""
        clock_s = frame.time if frame.clock_s is None else frame.clock_s
        sums = self._config.accumulation
        # Sums that share frames: each photon counts once.
        n_shared = examination.n_frames if sums is not None and sums.mode != "reset" else 1
        answer, at_s = (examination.evidence, clock_s) if evidence is None else evidence
        data = evidence_data(answer, clock_s - at_s, n_shared) | {"qdsizer_track_time": clock_s}
        point = self._track(frame.stream).update(clock_s, measurement_of(data))
        return data | track_data(point, not math.isnan(self._target_nm))

    def _constants(self, frame: Frame) -> tuple[float | None, float | None]:
        """Wavelength and angle, where they hold for more than one frame."""
        if frame.raw is None:
            # Keep the values of the descriptor: one bad frame is not a change of the set-up.
            return self._described.get((frame.stream, frame.data_key), (None, None))[:2]
        source = self._config.wavelength
        per_frame = source is not None and source.data_key is not None
        return (
            None if per_frame else frame.raw.wavelength_angstrom,
            self._arm_deg(frame.raw),
        )

    def _arm_deg(self, raw: RawFrame) -> float | None:
        """Angle of the arm where it holds for more than one frame."""
        source, reducer = self._config.arm_angle, self._sizer.reducer if self._sizer is not None else None
        if source is None:
            return None if reducer is None else reducer.config.arm_deg
        return None if source.data_key is not None else raw.arm_deg

    def _descriptor(
        self,
        wavelength_angstrom: float | None,
        arm_deg: float | None,
        stream: str,
        data_key: str,
        now: float,
    ) -> ComposeDescriptorBundle:
        """Compose the descriptor, which holds everything required to size the frames again."""
        config = self._config
        sizer = self._sizer
        model, reducer = (None, None) if sizer is None else (sizer.model, sizer.reducer)
        instrument = None if sizer is None else sizer.instrument
        configuration: dict[str, tuple[Any, dict[str, Any]]] = {
            "qdsizer_model": (model.name if model else "", _TEXT),
            "qdsizer_model_sha256": (model.sha256 if model else "", _TEXT),
            "qdsizer_material": (model.card.material if model else "", _TEXT),
            "qdsizer_version": (__version__, _TEXT),
            "qdsizer_config": (json.dumps(config.model_dump(mode="json"), sort_keys=True), _TEXT),
            "qdsizer_wavelength": (
                math.nan if wavelength_angstrom is None else wavelength_angstrom,
                _number("angstrom", 6, 0.0, None),
            ),
            "qdsizer_wavelength_source": (
                config.wavelength.describe() if config.wavelength else "nowhere",
                _TEXT,
            ),
            "qdsizer_arm_angle": (math.nan if arm_deg is None else arm_deg, _number("deg", 4, None, None)),
            "qdsizer_arm_angle_source": (
                config.arm_angle.describe() if config.arm_angle else "arm_deg in [sizing.reduction]",
                _TEXT,
            ),
            "qdsizer_instrument": (
                json.dumps(instrument.model_dump(mode="json", exclude_none=True) if instrument else {}),
                _TEXT,
            ),
            "qdsizer_reduction": (json.dumps(reducer.provenance() if reducer else {}, sort_keys=True), _TEXT),
            "qdsizer_frame_stream": (stream, _TEXT),
            "qdsizer_frame_data_key": (data_key, _TEXT),
        }
        source = f"qdsizer_stream:{model.name if model else 'none'}"
        keys = DATA_KEYS | TRACK_KEYS
        if not math.isnan(self._target_nm):
            keys = keys | TARGET_KEYS
        if config.optics is not None:
            keys = keys | OPTICS_KEYS
        return self._compose(
            name=STREAM_NAME,
            data_keys={
                key: {**value, "source": source, "object_name": OBJECT_NAME} for key, value in keys.items()
            },
            object_keys={OBJECT_NAME: list(keys)},
            configuration={
                OBJECT_NAME: {
                    "data": {key: value for key, (value, _) in configuration.items()},
                    "timestamps": dict.fromkeys(configuration, now),
                    "data_keys": {
                        key: {**kind, "source": source} for key, (_, kind) in configuration.items()
                    },
                }
            },
            hints={OBJECT_NAME: {"fields": ["qdsizer_size"]}},
            time=now,
            validate=False,
        )
