"""Frames in files whose names the Tiled server does not find."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from bluesky import RunEngine
from bluesky.plans import count
from bluesky_tiled_plugins import TiledWriter
from ophyd_async.core import PathInfo

from qdsizer_stream.archive import FrameFile, replay, undecoded_uris
from qdsizer_stream.callbacks import LiveConfig, LiveSizer
from qdsizer_stream.callbacks.documents import Hdf5Rows
from qdsizer_stream.devices import SimMythen, SimMythenHdf5
from qdsizer_stream.errors import ArchiveError
from qdsizer_stream.sizing import Sizer
from qdsizer_stream.testing import ResourceDatumMythen

Documents = list[tuple[str, Any]]
Replayed = Callable[[Any], tuple[list[Any], list[Any], Any]]


@pytest.fixture
def replayed(archive: Any, config: LiveConfig, sizer: Sizer) -> Replayed:
    """Sizes of two frames of a detector, live and replayed, and its run."""

    def measure(detector: Any) -> tuple[list[Any], list[Any], Any]:
        live = LiveSizer(config, sizer)
        out: Documents = []
        live.subscribe(lambda name, doc: out.append((name, doc)))
        live.subscribe(TiledWriter(archive))
        engine = RunEngine({})
        engine.subscribe(live)
        (uid,) = engine(count([detector], 2))
        assert live.close(60)
        assert live.counters.contained == 0
        return sizes(out), sizes(list(replay(archive[uid], config, sizer))), archive[uid]

    return measure


def sizes(documents: Documents) -> list[Any]:
    return [
        (doc["data"]["qdsizer_status"], doc["data"]["qdsizer_size"])
        for name, doc in documents
        if name == "event" and "qdsizer_size" in doc["data"]
    ]


def named(style: str) -> type[SimMythenHdf5]:
    """A detector that writes the URI of its file in one of the styles of producers."""

    class Named(SimMythenHdf5):
        def collect_asset_docs(self, index: int | None = None) -> Iterator[tuple[str, Any]]:
            for name, doc in super().collect_asset_docs(index):
                if name == "stream_resource":
                    path = Path(self._file.filename)
                    if style == "quoted":
                        doc["uri"] = path.as_uri()
                    elif style == "ophyd-async":
                        info = PathInfo(directory_path=path.parent, filename=path.stem)
                        doc["uri"] = f"{info.directory_uri}{info.filename}.h5"
                yield name, doc

    return Named


@pytest.mark.integration
@pytest.mark.parametrize("style", ["quoted", "ophyd-async"])
@pytest.mark.parametrize("folder", ["PbS 50% toluene", "sample#3", "why?", "r%41x", "plain"])
def test_frames_are_replayed_whatever_their_folder_is_called(
    folder: str, style: str, replayed: Replayed, mythen: Callable[..., SimMythen], files: Path
) -> None:
    live, again, run = replayed(mythen(kind=named(style), directory=files / style / folder))
    assert [status for status, _ in live] == ["sized"] * 2
    assert again == live
    array = run["primary"]["mythen_image"]
    # The server is asked wherever it can find the file.
    from_file = FrameFile.of(array, 0.0) if undecoded_uris(array) else None
    expected = folder != "plain" and (style == "quoted" or folder not in ("plain", "PbS 50% toluene"))
    assert (from_file is not None) == expected


@pytest.mark.integration
def test_a_classic_resource_in_such_a_folder_is_replayed(
    replayed: Replayed, mythen: Callable[..., SimMythen], files: Path
) -> None:
    folder = files / "classic#1"
    folder.mkdir()
    live, again, _ = replayed(mythen(kind=ResourceDatumMythen, directory=folder))
    assert [status for status, _ in live] == ["sized"] * 2
    assert again == live


@pytest.mark.integration
def test_a_file_on_another_machine_says_what_can_be_done(
    replayed: Replayed,
    mythen: Callable[..., SimMythen],
    config: LiveConfig,
    sizer: Sizer,
    files: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("tiled.client.utils.TILED_RETRY_ATTEMPTS", 1)  # its patience is not what is tested
    _, _, run = replayed(mythen(kind=named("quoted"), directory=files / "far#away"))
    (files / "far#away").rename(files / "moved")
    with pytest.raises(
        ArchiveError, match=r"Tiled does not decode the URI file://\S+/far%23away/\S+: replay on a machine"
    ):
        list(replay(run, config, sizer))


class Served:
    """What a server states of an array."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.shape, self.dtype, self.chunks = shape, np.dtype("u4"), tuple((length,) for length in shape)
        self.metadata: dict[str, Any] = {}


@pytest.mark.parametrize(
    ("served", "lengths", "row"),
    [
        ((12, 7), [12], (7,)),
        ((4, 3, 7), [12], (7,)),  # three rows of the file for each of the server
        ((4, 3, 7), [4], (3, 7)),
        ((12, 7), [4], (3, 7)),  # a third of a row
        ((12, 7), [5, 4, 3], (7,)),  # a file for each flight
        ((4, 3, 7), [5, 7], (7,)),  # a row of the server in two files
    ],
)
def test_rows_of_files_are_those_that_the_server_would_give(
    served: tuple[int, ...], lengths: list[int], row: tuple[int, ...], tmp_path: Path
) -> None:
    numbers = np.arange(84, dtype="u4").reshape(-1, *row)
    parts, begin = [], 0
    for index, length in enumerate(lengths):
        with h5py.File(tmp_path / f"{index}.h5", "w") as file:
            file["frames"] = numbers[begin : begin + length]
        parts.append(Hdf5Rows([tmp_path / f"{index}.h5"], "frames", 0.0))
        begin += length
    array = FrameFile(Served(served), parts)
    whole = numbers.reshape(served)
    for first in range(served[0]):
        for last in range(first + 1, served[0] + 1):
            np.testing.assert_array_equal(array[first:last], whole[first:last])
    with pytest.raises(ArchiveError, match=r"did not appear within 0 s \(it has"):
        array[0 : served[0] + 1]
    array.close()
