#!/usr/bin/env bash
# tiled 0.2.20: rows appended to a DuckDB table are discarded when another request ends before they are committed.
#
# Expected: a Tiled server answers requests in several threads, each with its own transaction. Rows whose append was
#   acknowledged are in the table, whatever is read meanwhile. With PostgreSQL or SQLite as storage this is so.
# Seen: with DuckDB, the default of SimpleTiledServer, `SQLStorage.connect` gives every thread the same connection
#   (SQLAlchemy's StaticPool). A connection that is returned to the pool is rolled back. So one request appends three rows,
#   a second reads and ends, the first commits without an error: the table is empty.
# Why it matters: a run that is written while a page or a follower reads it lacks rows, with status 200 for each of
#   them. Count rows against the stop document; give DuckDB a pool that hands out its connection to one thread at a time.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet 'tiled[server]==0.2.20' duckdb==1.5.6 adbc-driver-manager==1.13.0 pyarrow==26.0.1 \
    SQLAlchemy==2.0.58

cat > "$folder/rows.py" << 'PYTHON'
import sys
from contextlib import closing

import pyarrow
from tiled.storage import parse_storage

rows = pyarrow.table({"x": [1, 2, 3]})


def count(storage):
    with closing(storage.connect()) as connection, connection.cursor() as cursor:
        cursor.execute("select count(*) from numbers")
        return cursor.fetchone()[0]


def appended_while_read(uri):
    """Append three rows, let another request read before they are committed, and count what is left."""
    storage = parse_storage(uri)
    with closing(storage.connect()) as connection, connection.cursor() as cursor:
        cursor.execute("create table numbers (x bigint)")
        connection.commit()
    with closing(storage.connect()) as writer:
        with writer.cursor() as cursor:
            cursor.adbc_ingest("numbers", rows, mode="append")
        count(storage)
        writer.commit()
    left = count(storage)
    storage.dispose()
    return left


seen = {kind: appended_while_read(f"{kind}:///{sys.argv[1]}/numbers.{kind}") for kind in ("duckdb", "sqlite")}
print(f"rows in the table after a commit of 3: {seen}")
sys.exit(seen != {"duckdb": 0, "sqlite": 3})
PYTHON
"$folder/venv/bin/python" "$folder/rows.py" "$folder"
