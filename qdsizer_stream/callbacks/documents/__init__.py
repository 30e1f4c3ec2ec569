"""Documents: finding the frames in a run's documents and composing the documents of their sizes."""

from ._config import ROWS_KEY, RUN_KEY, Destination, LiveConfig, QueuePolicy, config_of_run
from ._derived import OBJECT_NAME, STREAM_NAME, SizeStream, estimate_data
from ._files import HDF5_DATASET
from ._frame import Announced, Frame, Unreadable
from ._hdf5 import Hdf5Rows, paths_from_uri
from ._linked import LinkedRun
from ._number_ranges import NumberRanges
from ._number_source import FrameDocuments, NumberSource, read_switches
from ._owned import array_bytes, owned, unchanged
from ._quantity import (
    AngleSource,
    ExposureSource,
    WavelengthSource,
    fixed_wavelength_angstrom,
    read_angle,
    read_exposure,
    read_wavelength,
)
from ._readings import FrameReadings
from ._rows import described_shape, rows_per_event
from ._run_index import MAX_OPEN_RUNS, RunIndex
from ._selection import Selection
from ._smoothed import (
    DERIVED_STREAMS,
    SMOOTHED_OBJECT_NAME,
    SMOOTHED_STREAM_NAME,
    estimates_alone,
    with_smoothed,
)
from ._source import FrameSource, frame_keys, two_keys
from ._stream_choice import PRIMARY
from ._track_data import (
    SIMULATION_KEY,
    SMOOTHED_KEYS,
    TARGET_KEYS,
    measurement_of,
    smoothed_data,
    smoothed_point,
    smoothed_track,
    target_of,
    track_data,
)

__all__ = [
    "DERIVED_STREAMS",
    "HDF5_DATASET",
    "MAX_OPEN_RUNS",
    "OBJECT_NAME",
    "PRIMARY",
    "ROWS_KEY",
    "RUN_KEY",
    "SIMULATION_KEY",
    "SMOOTHED_KEYS",
    "SMOOTHED_OBJECT_NAME",
    "SMOOTHED_STREAM_NAME",
    "STREAM_NAME",
    "TARGET_KEYS",
    "AngleSource",
    "Announced",
    "Destination",
    "ExposureSource",
    "Frame",
    "FrameDocuments",
    "FrameReadings",
    "FrameSource",
    "Hdf5Rows",
    "LinkedRun",
    "LiveConfig",
    "NumberRanges",
    "NumberSource",
    "QueuePolicy",
    "RunIndex",
    "Selection",
    "SizeStream",
    "Unreadable",
    "WavelengthSource",
    "array_bytes",
    "config_of_run",
    "described_shape",
    "estimate_data",
    "estimates_alone",
    "fixed_wavelength_angstrom",
    "frame_keys",
    "measurement_of",
    "owned",
    "paths_from_uri",
    "read_angle",
    "read_exposure",
    "read_switches",
    "read_wavelength",
    "rows_per_event",
    "smoothed_data",
    "smoothed_point",
    "smoothed_track",
    "target_of",
    "track_data",
    "two_keys",
    "unchanged",
    "with_smoothed",
]
