#!/usr/bin/env bash
# tiled 0.2.20 (with distributed 2026.8.0): an array that a task of a Dask cluster reads is read by another task of that
# cluster.
#
# Expected: `client["image"].read()` is a request to the Tiled server, wherever it is called; a task on a worker of a Dask
#   cluster that calls it is one task, and its worker makes the request.
# Seen: the client builds a Dask array and computes it. Within a task that computation goes to the cluster: the scheduler has
#   two more kinds of tasks, which another worker may run while the first waits for them. With
#   `dask.config.set(scheduler="threads")` around the call there is one task.
# Why it matters: where every worker runs such a task, each waits for a free one, and none ever is. `replay --cluster` reads
#   in a thread that is not in a task: `dask.config.set` holds for all threads of a worker, which may run several tasks.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet dask==2026.8.0 distributed==2026.8.0 numpy==2.4.6 'tiled[client,server]==0.2.20'

cat > "$folder/read.py" << 'PYTHON'
import sys

import dask
import numpy as np
from distributed import Client, LocalCluster
from tiled.client import from_uri
from tiled.server import SimpleTiledServer

server = SimpleTiledServer(sys.argv[1] + "/archive", api_key="secret")
client = from_uri(server.uri)
client.write_array(np.arange(12.0).reshape(3, 4), key="image")


def plain():
    return float(client["image"].read().sum())


def with_threads():
    with dask.config.set(scheduler="threads"):
        return plain()


def tasks_of(function):
    """Sum of the array, and the tasks that the scheduler had."""
    with (
        LocalCluster(n_workers=2, threads_per_worker=1, processes=False, dashboard_address="127.0.0.1:0") as cluster,
        Client(cluster) as cluster_client,
    ):
        total = cluster_client.submit(function).result()
        seen = sorted(cluster.scheduler.task_prefixes)
    return total, seen


one, other = tasks_of(plain), tasks_of(with_threads)
server.close()
print("read in a task:           sum", one[0], "tasks", one[1])
print("with scheduler='threads': sum", other[0], "tasks", other[1])
sys.exit(not (one[0] == other[0] == 66.0 and len(one[1]) == 3 and other[1] == ["with_threads"]))
PYTHON
cd "$folder"
timeout 300 "$folder/venv/bin/python" read.py "$folder" 2> "$folder/log" || { cat "$folder/log"; exit 1; }
