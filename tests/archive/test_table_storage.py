"""An embedded server uses its tables for one request at a time, so that none discards rows of another."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from threading import Event
from typing import Any

import pyarrow as pa
import pytest
from tiled.storage import EmbeddedSQLStorage, acquire_storage, parse_storage, release_storage

from qdsizer_stream.archive import embedded_tiled
from qdsizer_stream.archive._table_storage import serialize_requests, table_storage_uri
from qdsizer_stream.errors import ArchiveError

ROWS = pa.table({"x": [1, 2, 3]})


@pytest.fixture
def storage(tmp_path: Path) -> Iterator[EmbeddedSQLStorage]:
    made = acquire_storage(parse_storage(table_storage_uri(tmp_path)))
    assert isinstance(made, EmbeddedSQLStorage)
    yield made
    release_storage(made)


def append(connection: Any) -> None:
    with connection.cursor() as cursor:
        cursor.adbc_ingest("rows", ROWS, mode="create_append")


def n_rows(storage: EmbeddedSQLStorage) -> int:
    with closing(storage.connect()) as connection, connection.cursor() as cursor:
        cursor.execute("select count(*) from rows")
        return int(cursor.fetchone()[0])


def test_a_read_during_an_append_waits_and_discards_nothing(storage: EmbeddedSQLStorage) -> None:
    serialize_requests(storage.uri)
    begun = Event()

    def read() -> int:
        begun.set()
        return n_rows(storage)

    with ThreadPoolExecutor(1) as pool:
        with closing(storage.connect()) as connection:
            append(connection)
            reading = pool.submit(read)
            assert begun.wait(10)
            with pytest.raises(TimeoutError):
                reading.result(0.2)
            connection.commit()
        assert reading.result(10) == len(ROWS)
    assert n_rows(storage) == len(ROWS)


def test_a_server_that_did_not_start_leaves_the_tables_to_the_next(storage: EmbeddedSQLStorage) -> None:
    serialize_requests(storage.uri)
    serialize_requests(storage.uri)
    with closing(storage.connect()) as connection:
        append(connection)
        connection.commit()
    assert n_rows(storage) == len(ROWS)


def test_tables_in_use_by_another_server_are_left_alone(storage: EmbeddedSQLStorage) -> None:
    with (
        closing(storage.connect()),
        pytest.raises(ArchiveError, match=r"duckdb are used by another server in this process: close"),
    ):
        serialize_requests(storage.uri)


@pytest.mark.integration
def test_the_embedded_server_answers_while_nothing_else_uses_its_tables(tmp_path: Path) -> None:
    with embedded_tiled(tmp_path) as archive, ThreadPoolExecutor(1) as pool:
        table = archive.create_appendable_table(schema=ROWS.schema, key="busy")
        table.append_partition(0, ROWS)
        assert len(table.read()) == len(ROWS)
        storage = parse_storage(table_storage_uri(tmp_path))
        assert isinstance(storage, EmbeddedSQLStorage)
        with closing(storage.connect()):
            reading = pool.submit(table.read)
            with pytest.raises(TimeoutError):
                reading.result(1.0)
        assert len(reading.result(60)) == len(ROWS)
