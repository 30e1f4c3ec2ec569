"""Runs in a real Tiled archive, sized again: the same numbers to the last bit."""

import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bluesky import RunEngine
from bluesky.plans import count
from bluesky_tiled_plugins import TiledWriter
from event_model import DocumentNames, schema_validators

from qdsizer_stream.archive import archived_config, embedded_tiled, find_run, replay, run_documents
from qdsizer_stream.callbacks import LiveConfig, LiveSizer, WavelengthSource
from qdsizer_stream.devices import SimMythen, SimMythenHdf5
from qdsizer_stream.errors import ArchiveError
from qdsizer_stream.reduction import AccumulationConfig, nominal_detector
from qdsizer_stream.simulation import GrowingDots
from qdsizer_stream.sizing import Sizer

pytestmark = pytest.mark.integration

Documents = list[tuple[str, Any]]

DETECTOR = nominal_detector(24, 0.0)
ONE_FRAME = 4 * 30_720
"""Bytes of a frame."""


def measure(
    archive: Any,
    device: SimMythen,
    frames: int,
    config: LiveConfig,
    sizer: Sizer,
    batch: int = 4,
    **metadata: Any,
) -> tuple[Any, list[dict[str, Any]]]:
    """Run in the archive, and the estimates that were live."""
    live = LiveSizer(config, sizer)
    sizes: list[dict[str, Any]] = []
    live.subscribe(
        lambda name, doc: sizes.append(doc["data"]) if "qdsizer_size" in doc["data"] else None, "event"
    )
    live.subscribe(TiledWriter(archive, batch_size=batch))
    engine = RunEngine({})
    engine.subscribe(live)
    engine(count([device], frames), **metadata)
    assert live.close(60)
    assert live.counters.contained == 0
    return archive.values().last(), sizes


def assert_same(live: list[dict[str, Any]], again: Documents) -> None:
    replayed = [doc["data"] for name, doc in again if name == "event"]
    assert len(live) == len(replayed) > 0
    for one, other in zip(live, replayed, strict=True):
        assert one.keys() == other.keys()
        for key in one.keys() - {"qdsizer_latency"}:
            assert one[key] == other[key] or (np.isnan(one[key]) and np.isnan(other[key])), key
        assert np.isnan(other["qdsizer_latency"])  # an archived frame has none


@pytest.fixture(scope="module")
def measured(
    archive: Any, mythen: Callable[..., SimMythen], config: LiveConfig, sizer: Sizer
) -> tuple[Any, list[dict[str, Any]]]:
    return measure(archive, mythen(), 7, config, sizer, sample="PbS")


def test_replayed_sizes_are_the_live_ones(measured: Any, sizer: Sizer, frame_requests: Any) -> None:
    run, live = measured
    again = list(replay(run, archived_config(run), sizer, request_bytes=3 * ONE_FRAME))
    assert frame_requests.first == [0, 2, 4, 6]  # halves of the four that the writer put together
    assert_same(live, again)
    assert {data["qdsizer_status"] for data in live} == {"sized"}


def test_the_derived_run_is_linked_and_valid(measured: Any, config: LiveConfig, sizer: Sizer) -> None:
    run, _ = measured
    again = list(replay(run, archived_config(run), sizer))
    for name, doc in again:
        schema_validators[DocumentNames[name]].validate(doc)
    assert [name for name, _ in again] == ["start", "descriptor", *["event"] * 7, "stop"]
    start, stop = again[0][1], again[-1][1]
    assert start["original_run_uid"] == run.metadata["start"]["uid"] != start["uid"]
    assert start["sample"] == "PbS"
    assert start["qdsizer_model_sha256"] == sizer.model.sha256
    assert LiveConfig.model_validate(start["qdsizer"]) == config
    assert (stop["exit_status"], stop["num_events"]) == ("success", {"qd_size": 7})


def test_a_derived_run_can_be_written_and_read(archive: Any, measured: Any, sizer: Sizer) -> None:
    run, live = measured
    writer = TiledWriter(archive)
    for name, doc in replay(run, archived_config(run), sizer):
        writer(name, doc)
    derived = archive.values().last()
    assert derived.metadata["start"]["original_run_uid"] == run.metadata["start"]["uid"]
    stored = derived["qd_size"].read()
    np.testing.assert_array_equal(stored["qdsizer_size"], [data["qdsizer_size"] for data in live])
    assert list(stored["qdsizer_status"].values) == ["sized"] * 7
    assert derived["qd_size"].descriptors[0]["configuration"]["qdsizer"]["data"]["qdsizer_model"] == "pbs"


def test_the_archived_run_gives_its_documents_back(measured: Any) -> None:
    run, _ = measured
    names = [name for name, _ in run.documents()]
    assert names.count("event") == 14
    assert run.metadata["stop"]["num_events"] == {"primary": 7, "qd_size": 7}


def test_frames_in_files_are_replayed(
    archive: Any, files: Path, dots: GrowingDots, config: LiveConfig, sizer: Sizer
) -> None:
    settings = {"scene": dots, "detector": DETECTOR, "wavelength_angstrom": 0.5637}
    device = SimMythenHdf5(
        directory=files,
        name="mythen",
        counts_per_second=1.0,
        exposure_s=30.0,
        speed=np.inf,
        seed=5,
        **settings,
    )
    run, live = measure(archive, device, 5, config, sizer)
    assert {data["qdsizer_status"] for data in live} == {"sized"}
    assert_same(live, list(replay(run, archived_config(run), sizer)))


def test_refusals_are_replayed(
    archive: Any, mythen: Callable[..., SimMythen], config: LiveConfig, sizer: Sizer
) -> None:
    blind = config.model_copy(
        update={"wavelength": WavelengthSource(configuration_key="mono_energy", unit="keV")}
    )
    run, live = measure(archive, mythen(), 2, blind, sizer)
    assert {data["qdsizer_status"] for data in live} == {"bad_frame"}
    assert_same(live, list(replay(run, archived_config(run), sizer)))


def test_what_the_run_overrode_is_in_its_settings(
    archive: Any, mythen: Callable[..., SimMythen], config: LiveConfig, sizer: Sizer
) -> None:
    run, live = measure(
        archive, mythen(), 2, config, sizer, qdsizer={"wavelength": {"value": 0.565, "unit": "angstrom"}}
    )
    settings = archived_config(run)
    assert settings.wavelength == WavelengthSource(value=0.565, unit="angstrom")
    assert_same(live, list(replay(run, settings, sizer)))


def test_a_run_that_was_never_sized(
    archive: Any, mythen: Callable[..., SimMythen], config: LiveConfig, sizer: Sizer
) -> None:
    engine = RunEngine({})
    engine.subscribe(TiledWriter(archive))
    engine(count([mythen()], 2))
    run = archive.values().last()
    with pytest.raises(ArchiveError, match="holds no stream qd_size, only primary: it was never sized"):
        archived_config(run)
    assert sum(name == "event" for name, _ in replay(run, config, sizer)) == 2
    with pytest.raises(ArchiveError, match=r"no frames of this detector: its streams are primary"):
        list(run_documents(run, config.model_copy(update={"data_key": "pilatus_image"})))


def test_a_run_that_is_not_there(archive: Any) -> None:
    with pytest.raises(ArchiveError, match=r"no run 123 among the \d+ of this archive, newest: "):
        find_run(archive, "123")


def test_a_replay_that_fails_says_so_in_its_stop(
    measured: Any, config: LiveConfig, sizer: Sizer, frame_requests: Any
) -> None:
    run, _ = measured
    frame_requests.gone_from = 3
    documents: Documents = []
    with pytest.raises(ArchiveError) as error:
        documents.extend(replay(run, config, sizer, request_bytes=ONE_FRAME))
    assert [name for name, _ in documents] == ["start", "descriptor", *["event"] * 3, "stop"]
    stop = documents[-1][1]
    schema_validators[DocumentNames.stop].validate(stop)
    assert (stop["exit_status"], stop["reason"]) == ("fail", f"{error.value}")
    assert "frames 4 to 4: the server does not answer (the archive is gone)" in stop["reason"]
    assert stop["num_events"] == {"qd_size": 3}


def test_a_replay_without_frames_begins_nothing(measured: Any, config: LiveConfig, sizer: Sizer) -> None:
    run, _ = measured
    with pytest.raises(ArchiveError, match="no frames of this detector"):
        next(replay(run, config.model_copy(update={"data_key": "nothing"}), sizer))


def test_the_key_is_for_its_owner_alone(archive: Any, tmp_path_factory: pytest.TempPathFactory) -> None:
    key = next(tmp_path_factory.getbasetemp().glob("archive*/api_key"))
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert len(key.read_text()) == 64
    assert archive.context.api_uri.host == "127.0.0.1"


def test_a_process_serves_one_archive_at_a_time(archive: Any, tmp_path: Path) -> None:
    with (
        pytest.raises(ArchiveError, match="this process already serves an archive"),
        embedded_tiled(tmp_path),
    ):
        pass
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("mode", ["reset", "rolling"])
@pytest.mark.parametrize("stored_in", ["events", "files"])
def test_sums_of_frames_are_replayed(
    archive: Any,
    files: Path,
    mythen: Callable[..., SimMythen],
    config: LiveConfig,
    sizer: Sizer,
    mode: Any,
    stored_in: str,
) -> None:
    # About 1.2 million photons a frame: two frames make a sum, the fifth is left over.
    adding = config.model_copy(
        update={"accumulation": AccumulationConfig(mode=mode, min_counts=1.5e6, max_seconds=1e6)}
    )
    device = mythen() if stored_in == "events" else mythen(kind=SimMythenHdf5, directory=files)
    run, live = measure(archive, device, 5, adding, sizer)
    assert max(data["qdsizer_n_frames"] for data in live) > 1
    assert_same(live, list(replay(run, archived_config(run), sizer)))
