#!/usr/bin/env bash
# bluesky-tiled-plugins 2.0.12 (with tiled 0.2.20): a file of frames gets one axis more than it has.
#
# Expected: a detector collects 3 frames of 1280 strips per event into an HDF5 dataset, 4 events, so the dataset has the
#   shape (12, 1280). The descriptor says shape [3, 1280] per event. Read back from Tiled, the array has the shape of the
#   dataset, since the rows of the file follow one another ("concat", the default in bluesky.consolidators).
# Seen: shape (4, 3, 1280). Without a `join_method` in the stream_resource, the default of TiledWriter is "stack"; one frame
#   of 1280 strips per event, dataset (4, 1280), is shown as (4, 1, 1280).
# Why it matters: code that takes the first axis for frames averages three of them, or finds "one row"
#   of the wrong length. Go by the last axis, and count frames as the product of all the others.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet \
    bluesky==1.15.1 bluesky-tiled-plugins==2.0.12 event-model==1.24.0 h5py==3.16.0 numpy==2.4.6 'tiled[client,server]==0.2.20'

cat > "$folder/stacks.py" << 'PYTHON'
import sys
from pathlib import Path

import h5py
import numpy as np
from bluesky_tiled_plugins import TiledWriter
from event_model import compose_run
from tiled.client import from_uri
from tiled.server import SimpleTiledServer

folder = Path(sys.argv[1])
(folder / "frames").mkdir()


def stored(client, frames_per_event, n_events):
    """Write a run of frames in a file, and give the shapes of the dataset and of the array in Tiled."""
    path = folder / "frames" / f"{frames_per_event}.h5"
    rows = np.arange(frames_per_event * n_events * 1280, dtype="u4").reshape(-1, 1280)
    with h5py.File(path, "w") as file:
        file["entry/data"] = rows
    writer, run = TiledWriter(client), compose_run()
    key = {
        "dtype": "array",
        "dtype_numpy": "<u4",
        "shape": [frames_per_event, 1280],
        "source": "detector",
        "external": "STREAM:",
    }
    primary = run.compose_descriptor(name="primary", data_keys={"image": key})
    resource = run.compose_stream_resource(
        mimetype="application/x-hdf5",
        uri=f"file://localhost{path}",
        data_key="image",
        parameters={"dataset": "entry/data", "chunk_shape": (1, 1280)},
    )
    datum = resource.compose_stream_datum(
        indices={"start": 0, "stop": n_events},
        seq_nums={"start": 1, "stop": n_events + 1},
        descriptor=primary.descriptor_doc,
    )
    for name, doc in (
        ("start", run.start_doc),
        ("descriptor", primary.descriptor_doc),
        ("stream_resource", resource.stream_resource_doc),
        ("stream_datum", datum),
        ("stop", run.compose_stop()),
    ):
        writer(name, doc)
    array = client[run.start_doc["uid"]]["primary"]["image"]
    assert (array.read().reshape(rows.shape) == rows).all()
    return rows.shape, array.shape


server = SimpleTiledServer(folder / "archive", api_key="secret", readable_storage=[folder / "frames"])
client = from_uri(server.uri)
seen = [stored(client, 3, 4), stored(client, 1, 4)]
server.close()
for in_file, in_tiled in seen:
    print(f"dataset in the file {in_file}, array in Tiled {in_tiled}")
sys.exit(seen != [((12, 1280), (4, 3, 1280)), ((4, 1280), (4, 1, 1280))])
PYTHON
cd "$folder"
"$folder/venv/bin/python" stacks.py "$folder" 2> "$folder/log" || { cat "$folder/log"; exit 1; }
