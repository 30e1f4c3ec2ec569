"""Rows of frame files: names, and datasets that are made of others."""

from pathlib import Path

import h5py
import numpy as np
import pytest

from qdsizer_stream.callbacks.documents import Hdf5Rows, paths_from_uri
from qdsizer_stream.errors import ArchiveError


@pytest.mark.parametrize(
    ("uri", "paths"),
    [
        ("file://localhost/data/a.h5", ["/data/a.h5"]),
        ("file:///data/a.h5", ["/data/a.h5"]),
        ("file:/data/a.h5", ["/data/a.h5"]),
        ("FILE://beamline.example/data/a.h5", ["/data/a.h5"]),  # shared files have one path everywhere
        ("/data/a.h5", ["/data/a.h5"]),  # no URI, as some producers write it
        ("/data/12:30/a.h5", ["/data/12:30/a.h5"]),
        ("file:///data/a%20b.h5", ["/data/a b.h5", "/data/a%20b.h5"]),
        ("file:///data/a.h5?swmr=1", ["/data/a.h5?swmr=1", "/data/a.h5"]),
    ],
)
def test_paths_of_uris(uri: str, paths: list[str]) -> None:
    assert paths_from_uri(uri) == [Path(path) for path in paths]


@pytest.mark.parametrize(
    "uri", ["s3://bucket/a.h5", "file://localhost", "file://localhost/", "data/a.h5", "file:a.h5"]
)
def test_what_names_no_local_file(uri: str) -> None:
    with pytest.raises(ArchiveError, match="cannot be read: only file:// URIs can"):
        paths_from_uri(uri)


def test_rows_of_a_virtual_dataset_wait_for_their_own_file_alone(tmp_path: Path) -> None:
    """A file for each stretch of rows: those whose file is there can be read, from either end."""
    counts = np.arange(24, dtype=np.uint32).reshape(6, 4)
    layout = h5py.VirtualLayout(counts.shape, np.uint32)
    for index in range(3):
        rows = slice(2 * index, 2 * index + 2)
        layout[rows] = h5py.VirtualSource(f"part{index}.h5", "data", shape=(2, 4))
        if index != 1:
            with h5py.File(tmp_path / f"part{index}.h5", "w") as file:
                file.create_dataset("data", data=counts[rows], chunks=(1, 4))
    with h5py.File(tmp_path / "whole.h5", "w", libver="latest") as file:
        file.create_virtual_dataset("frames", layout)
    whole = Hdf5Rows([tmp_path / "whole.h5"], "frames", 0.0)
    np.testing.assert_array_equal(whole.read(0, 2), counts[:2])
    np.testing.assert_array_equal(whole.read(4, 6), counts[4:])
    for first, last in ((1, 3), (2, 3), (3, 5), (0, 6)):
        with pytest.raises(ArchiveError, match=r"part1\.h5"):
            whole.read(first, last)
    whole.close()


def test_a_file_whose_filter_is_missing_is_not_kept_open(tmp_path: Path) -> None:
    """Its writer may write it again with another filter."""
    path, counts = tmp_path / "f.h5", np.arange(8, dtype=np.uint32).reshape(2, 4)
    with h5py.File(path, "w") as file:
        properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        properties.set_chunk((1, 4))
        properties.set_filter(32099, h5py.h5z.FLAG_OPTIONAL, (1,))
        space = h5py.h5s.create_simple(counts.shape)
        dataset = h5py.h5d.create(file.id, b"frames", h5py.h5t.NATIVE_UINT32, space, properties)
        for index, row in enumerate(counts):
            dataset.write_direct_chunk((index, 0), row.tobytes(), 0)
    rows = Hdf5Rows([path], "frames", 60.0)
    with pytest.raises(ArchiveError, match="is compressed with HDF5 filter 32099"):
        rows.read(0, 2)
    with h5py.File(path, "a") as file:
        del file["frames"]
        file["frames"] = counts
    np.testing.assert_array_equal(rows.read(0, 2), counts)
    rows.close()
