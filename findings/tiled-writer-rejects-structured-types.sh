#!/usr/bin/env bash
# bluesky-tiled-plugins 2.0.12: a structured `dtype_numpy` as event-model allows it stops the writer.
#
# Expected: event-model 1.24.0 validates `dtype_numpy` of a structured array as a list of [name, type] lists, the only form
#   that JSON can hold, so TiledWriter stores a run with such a column.
# Seen: TypeError "Field elements must be 2- or 3-tuples" on the descriptor, then KeyError on every event: no row of the
#   stream is stored, the frames beside that column included.
# Why it matters: one table in a detector's readings loses the whole run in the archive. Keep raw documents elsewhere too.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet \
    bluesky==1.15.1 bluesky-tiled-plugins==2.0.12 event-model==1.24.0 numpy==2.4.6 'tiled[client,server]==0.2.20'

cat > "$folder/structured.py" << 'PYTHON'
import sys
from pathlib import Path

from bluesky_tiled_plugins import TiledWriter
from event_model import DocumentNames, compose_run, schema_validators
from tiled.client import from_uri
from tiled.server import SimpleTiledServer

folder = Path(sys.argv[1])
server = SimpleTiledServer(folder / "archive", api_key="secret")
client = from_uri(server.uri)
writer, run = TiledWriter(client), compose_run()
table = {"dtype": "array", "dtype_numpy": [["a", "<f8"], ["b", "<i4"]], "shape": [2], "source": "detector"}
number = {"dtype": "number", "shape": [], "source": "detector"}
primary = run.compose_descriptor(name="primary", data_keys={"table": table, "number": number})
schema_validators[DocumentNames.descriptor].validate(primary.descriptor_doc)
writer("start", run.start_doc)
try:
    writer("descriptor", primary.descriptor_doc)
    seen = "stored"
except TypeError as error:
    seen = f"TypeError: {error}"
stored = list(client[run.start_doc["uid"]])
server.close()
print(seen, "- streams stored:", stored)
sys.exit(not seen.startswith("TypeError: Field elements must be 2- or 3-tuples"))
PYTHON
cd "$folder"
"$folder/venv/bin/python" structured.py "$folder" 2> "$folder/log" || { cat "$folder/log"; exit 1; }
