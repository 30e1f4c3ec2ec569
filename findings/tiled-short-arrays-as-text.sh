#!/usr/bin/env bash
# bluesky-tiled-plugins 2.0.12 (with tiled 0.2.20): short arrays in events come back as text.
#
# Expected: a data key of three float64 per event, described with dtype "array", shape [3] and dtype_numpy "<f8". Reading the
#   stream gives a variable of shape (events, 3) of float64.
# Seen: the dataset that `stream.read()` gives holds strings such as '[0. 1. 2.]'. Reading the key alone,
#   `stream["peaks"].read()`, gives float64. Arrays of up to 16 numbers (`max_array_size`) are kept in a column of the table
#   of events, and the conversion of the whole table to xarray turns that column into text.
# Why it matters: the numbers are still there, but arithmetic on them fails, or they sort as text. Therefore every data key
#   of `qd_size` is a scalar.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet \
    bluesky==1.15.1 bluesky-tiled-plugins==2.0.12 event-model==1.24.0 numpy==2.4.6 'tiled[client,server]==0.2.20'

cat > "$folder/short.py" << 'PYTHON'
import sys

import numpy as np
from bluesky_tiled_plugins import TiledWriter
from event_model import compose_run
from tiled.client import from_uri
from tiled.server import SimpleTiledServer

server = SimpleTiledServer(sys.argv[1] + "/archive", api_key="secret")
client = from_uri(server.uri)
writer, run = TiledWriter(client), compose_run()
key = {"dtype": "array", "dtype_numpy": "<f8", "shape": [3], "source": "detector"}
primary = run.compose_descriptor(name="primary", data_keys={"peaks": key})
writer("start", run.start_doc)
writer("descriptor", primary.descriptor_doc)
for _ in range(4):
    writer("event", primary.compose_event(data={"peaks": np.arange(3.0)}, timestamps={"peaks": 0.0}))
writer("stop", run.compose_stop())
stream = client[run.start_doc["uid"]]["primary"]
alone, together = stream["peaks"].read(), stream.read()["peaks"].values
server.close()
print(f"stream['peaks'].read(): {alone.dtype}, shape {alone.shape}")
print(f"stream.read()['peaks']: {together.dtype}, shape {together.shape}, first {together[0]!r}")
sys.exit(not (alone.dtype == float and together.dtype.kind == "U"))
PYTHON
cd "$folder"
"$folder/venv/bin/python" short.py "$folder" 2> "$folder/log" || { cat "$folder/log"; exit 1; }
