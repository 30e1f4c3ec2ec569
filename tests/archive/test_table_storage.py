"""An embedded server uses its tables for one request at a time, so that none discards rows of another."""

import shutil
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
from qdsizer_stream.errors import ArchiveError

pytestmark = pytest.mark.integration

ROWS = pa.table({"x": [1, 2, 3]})


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An archive, made once: that takes seconds."""
    folder = tmp_path_factory.mktemp("empty")
    with embedded_tiled(folder):
        pass
    return folder


@pytest.fixture
def folder(empty: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    return Path(shutil.copytree(empty, tmp_path / "archive"))


@pytest.fixture
def storage(folder: Path) -> Iterator[EmbeddedSQLStorage]:
    """Tables of the archive in this folder, which this test uses beside the server."""
    made = acquire_storage(parse_storage(f"duckdb:///{folder / 'storage.duckdb'}"))
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


def test_a_read_during_an_append_waits_and_discards_nothing(
    storage: EmbeddedSQLStorage, folder: Path
) -> None:
    begun = Event()

    def read() -> int:
        begun.set()
        return n_rows(storage)

    with embedded_tiled(folder), ThreadPoolExecutor(1) as pool:
        with closing(storage.connect()) as connection:
            append(connection)
            reading = pool.submit(read)
            assert begun.wait(10)
            with pytest.raises(TimeoutError):
                reading.result(0.2)
            connection.commit()
        assert reading.result(10) == len(ROWS)
        assert n_rows(storage) == len(ROWS)


def test_the_server_answers_while_nothing_else_uses_its_tables(
    storage: EmbeddedSQLStorage, folder: Path
) -> None:
    with embedded_tiled(folder) as archive, ThreadPoolExecutor(1) as pool:
        table = archive.create_appendable_table(schema=ROWS.schema, key="busy")
        table.append_partition(0, ROWS)
        assert len(table.read()) == len(ROWS)
        with closing(storage.connect()):
            reading = pool.submit(table.read)
            with pytest.raises(TimeoutError):
                reading.result(1.0)
        assert len(reading.result(60)) == len(ROWS)


def test_tables_that_a_server_has_left_are_taken_by_the_next(
    storage: EmbeddedSQLStorage, folder: Path
) -> None:
    for number in (1, 2):
        with embedded_tiled(folder) as archive:
            table = archive.create_appendable_table(schema=ROWS.schema, key=f"table_{number}")
            table.append_partition(0, ROWS)
            assert len(table.read()) == len(ROWS)
    with embedded_tiled(folder) as archive:
        assert [len(archive[f"table_{number}"].read()) for number in (1, 2)] == [len(ROWS)] * 2


def test_tables_in_use_by_another_server_are_left_alone(storage: EmbeddedSQLStorage, folder: Path) -> None:
    with (
        closing(storage.connect()),
        pytest.raises(ArchiveError, match=r"duckdb are used by another server in this process: close"),
        embedded_tiled(folder),
    ):
        pass
