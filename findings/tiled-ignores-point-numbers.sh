#!/usr/bin/env bash
# bluesky-tiled-plugins 2.0.12 (with tiled 0.2.20): events get the frames of others where datums name rows in another order.
#
# Expected: a datum names the row of a file by `point_number`, as areaDetector's HDF5 handlers read it. Three events name
#   the rows 2, 0 and 1, so the first event of the run in Tiled has the frame of row 2.
# Seen: Tiled has the rows in the order of the file, 0, 1, 2, beside the events in theirs, without an error or a mark. The
#   number is in none of the stored documents either: nobody can put the frames right afterwards.
# Why it matters: a detector that skips or repeats points gives events the frames of others, and sizes of other times.
#   Note such a run while its documents go by, and do not assign frames to events from the archive.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet \
    bluesky==1.15.1 bluesky-tiled-plugins==2.0.12 event-model==1.24.0 h5py==3.16.0 numpy==2.4.6 'tiled[client,server]==0.2.20'

cat > "$folder/points.py" << 'PYTHON'
import sys
from pathlib import Path

import h5py
import numpy as np
from bluesky_tiled_plugins import TiledWriter
from event_model import compose_run
from tiled.client import from_uri
from tiled.server import SimpleTiledServer

POINTS = [2, 0, 1]

folder = Path(sys.argv[1])
(folder / "frames").mkdir()
path = folder / "frames" / "frames.h5"
with h5py.File(path, "w") as file:
    file["entry/data/data"] = np.repeat(np.arange(3, dtype="u4"), 8).reshape(3, 1, 8)

server = SimpleTiledServer(folder / "archive", api_key="secret", readable_storage=[folder / "frames"])
client = from_uri(server.uri)
writer, run = TiledWriter(client), compose_run()
keys = {
    "image": {
        "dtype": "array",
        "dtype_numpy": "<u4",
        "shape": [1, 8],
        "source": "detector",
        "external": "FILESTORE:",
    },
    "row": {"dtype": "integer", "shape": [], "source": "motor"},
}
primary = run.compose_descriptor(name="primary", data_keys=keys)
resource = run.compose_resource(
    spec="AD_HDF5", root="/", resource_path=str(path).lstrip("/"), resource_kwargs={"frame_per_point": 1}
)
documents = [
    ("start", run.start_doc),
    ("descriptor", primary.descriptor_doc),
    ("resource", resource.resource_doc),
]
for point in POINTS:
    datum = resource.compose_datum(datum_kwargs={"point_number": point})
    event = primary.compose_event(
        data={"image": datum["datum_id"], "row": point},
        timestamps={"image": 0.0, "row": 0.0},
        filled={"image": False},
    )
    documents += [("datum", datum), ("event", event)]
for name, doc in [*documents, ("stop", run.compose_stop())]:
    writer(name, doc)
stream = client[run.start_doc["uid"]]["primary"]
named = stream["row"].read().tolist()
read = stream["image"].read().reshape(3, -1)[:, 0].tolist()
server.close()
for event, (wanted, found) in enumerate(zip(named, read, strict=True), 1):
    print(f"event {event} names row {wanted}; the archive gives it row {found}")
sys.exit((named, read) != (POINTS, [0, 1, 2]))
PYTHON
cd "$folder"
"$folder/venv/bin/python" points.py "$folder" 2> "$folder/log" || { cat "$folder/log"; exit 1; }
