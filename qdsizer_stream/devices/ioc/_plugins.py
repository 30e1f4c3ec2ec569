"""Plugins of areaDetector: the waveform of the newest array, and the HDF5 writer."""

from pathlib import Path
from typing import Any

import h5py
import numpy as np
from caproto import ChannelType  # type: ignore[import-untyped]
from caproto.server import PVGroup, pvproperty  # type: ignore[import-untyped]
from numpy.typing import NDArray

from ._records import number, on_off, one_of, read_only, text

__all__ = ["ArrayRecords", "Hdf5Plugin", "ImagePlugin", "Plugin"]

MAX_VALUES = 3 * 48 * 1280
"""Room for three counters of 48 modules, the largest MYTHEN there is."""

DATASET = "/entry/data/data"
"""Path of the frames in the files of areaDetector."""


class ArrayRecords(PVGroup):  # type: ignore[misc]  # caproto states no types
    """Records of drivers and plugins about the newest array."""

    port = read_only("PortName_RBV", "MYTHEN")
    unique_id = read_only("UniqueId_RBV", 0)
    attributes_file = text("NDAttributesFile")
    size_x = read_only("ArraySizeX_RBV", 0)
    size_y = read_only("ArraySizeY_RBV", 0)
    size_z = read_only("ArraySizeZ_RBV", 0)
    size_0 = read_only("ArraySize0_RBV", 0)
    size_1 = read_only("ArraySize1_RBV", 0)
    size_2 = read_only("ArraySize2_RBV", 0)
    color_mode = one_of("ColorMode", "Mono", "Bayer", "RGB1", "RGB2", "RGB3", "YUV444", "YUV422", "YUV421")
    data_type = one_of(
        "DataType",
        "Int8", "UInt8", "Int16", "UInt16", "Int32", "UInt32", "Int64", "UInt64", "Float32", "Float64",
        value="UInt32",
    )  # fmt: skip
    counter = number("ArrayCounter", 0)
    core_version = read_only("ADCoreVersion_RBV", "3.13.0")
    driver_version = read_only("DriverVersion_RBV", "simulated")

    async def size(self, shape: tuple[int, ...]) -> None:
        """Publish the shape of the arrays.

        Parameters
        ----------
        shape
            Shape, fastest axis first.
        """
        sizes = (*shape, 0, 0)
        for record, size in zip((self.size_0, self.size_1, self.size_2), sizes, strict=False):
            await record.write(size)
        for record, size in zip((self.size_x, self.size_y, self.size_z), sizes, strict=False):
            await record.write(size)

    async def count(self, unique_id: int, shape: tuple[int, ...]) -> None:
        """Count a new array and publish its shape.

        Parameters
        ----------
        unique_id
            Number that the driver gave it.
        shape
            Its shape, fastest axis first.
        """
        await self.size(shape)
        await self.unique_id.write(unique_id)
        await self.counter.readback.write(self.counter.readback.value + 1)


class Plugin(ArrayRecords):
    """Records of every plugin."""

    source = one_of("NDArrayPort", "MYTHEN")
    address = number("NDArrayAddress", 0)
    enabled = on_off("EnableCallbacks")
    blocking = one_of("BlockingCallbacks", "No", "Yes")
    queue_size = number("QueueSize", 20)
    dropped = number("DroppedArrays", 0)

    async def process(self, frame: NDArray[np.uint32], unique_id: int) -> None:
        """Process an array if the plugin is on.

        Parameters
        ----------
        frame
            The array.
        unique_id
            Number that the driver gave it.
        """
        if self.enabled.readback.value == "Enable":
            await self.take(frame)
            await self.count(unique_id, frame.shape[::-1])

    async def take(self, frame: NDArray[np.uint32]) -> None:
        """Handle an array.

        Parameters
        ----------
        frame
            The array.
        """
        raise NotImplementedError


class ImagePlugin(Plugin):
    """NDStdArrays: the newest array as a waveform."""

    # Doubles, as in the templates of both drivers.
    data = pvproperty(
        name="ArrayData",
        value=[0.0],
        dtype=ChannelType.DOUBLE,
        max_length=MAX_VALUES,
        read_only=True,
        max_subscription_backlog=8,  # a slow client misses frames instead of filling the memory
    )

    async def take(self, frame: NDArray[np.uint32]) -> None:
        """Publish an array.

        Parameters
        ----------
        frame
            The array.
        """
        await self.data.write(frame.ravel().astype(np.float64))


async def _set_path(pair: Any, _: Any, value: str) -> None:
    await pair.readback.write(value)
    await pair.parent.path_exists.write("Yes" if Path(value).is_dir() else "No")


async def _set_capture(pair: Any, _: Any, value: str) -> None:
    if value == "Capture":
        await pair.parent.open()
    else:
        pair.parent.close()
    await pair.readback.write(value)


class Hdf5Plugin(Plugin):
    """NDFileHDF5: writes arrays to a file that can be read meanwhile (SWMR)."""

    path = text("FilePath", put=_set_path)
    name_ = text("FileName")
    template = text("FileTemplate", "%s%s.h5")
    path_exists = read_only("FilePathExists_RBV", "No", dtype=ChannelType.ENUM, enum_strings=["No", "Yes"])
    full_name = read_only(
        "FullFileName_RBV", "", dtype=ChannelType.CHAR, string_encoding="utf-8", max_length=512
    )
    file_number = number("FileNumber", 0)
    auto_increment = on_off("AutoIncrement")
    write_mode = one_of("FileWriteMode", "Single", "Capture", "Stream")
    n_capture = number("NumCapture", 0)
    n_captured = read_only("NumCaptured_RBV", 0)
    capture = one_of("Capture", "Done", "Capture", put=_set_capture)
    array_size_0 = pvproperty(name="ArraySize0", value=0, dtype=int)
    array_size_1 = pvproperty(name="ArraySize1", value=0, dtype=int)
    create_directory = pvproperty(name="CreateDirectory", value=0, dtype=int)
    position_mode = on_off("PositionMode")
    compression = one_of("Compression", "None", "N-bit", "szip", "zlib", "Blosc", "BSLZ4", "LZ4", "JPEG")
    n_extra_dims = number("NumExtraDims", 0)
    swmr = on_off("SWMRMode")
    flush = pvproperty(name="FlushNow", value="Done", dtype=ChannelType.ENUM, enum_strings=["Done", "Flush"])
    layout = text("XMLFileName")
    frames_per_chunk = number("NumFramesChunks", 1)
    chunk_size_auto = on_off("ChunkSizeAuto")
    lazy_open = on_off("LazyOpen")

    def __init__(self, *args: Any, **arguments: Any) -> None:
        super().__init__(*args, **arguments)
        self._file: Any = None

    async def open(self) -> None:
        """Open a new file with the configured name."""
        self.close()
        name = self.template.readback.value % (self.path.readback.value, self.name_.readback.value)
        self._file = h5py.File(name, "w", libver="latest")
        await self.full_name.write(name)
        await self.n_captured.write(0)

    async def take(self, frame: NDArray[np.uint32]) -> None:
        """Append an array to the file, if one is open.

        Parameters
        ----------
        frame
            The array.
        """
        if self._file is None:
            return
        if DATASET not in self._file:
            self._file.create_dataset(
                DATASET,
                (0, *frame.shape),
                frame.dtype,
                maxshape=(None, *frame.shape),
                chunks=(1, *frame.shape),
            )
            self._file.swmr_mode = True
        dataset = self._file[DATASET]
        dataset.resize(len(dataset) + 1, axis=0)
        dataset[-1] = frame
        dataset.flush()
        await self.n_captured.write(len(dataset))

    def close(self) -> None:
        """Close the file, if one is open."""
        if self._file is not None:
            self._file.close()
            self._file = None
