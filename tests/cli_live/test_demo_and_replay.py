"""The demo from detector to archive and back, and replay of what it leaves."""

import csv
import json
import re
from pathlib import Path

import pytest
from bluesky import RunEngine
from bluesky.plans import count
from ophyd.sim import det
from PIL import Image
from typer.testing import CliRunner, Result

from qdsizer_stream.archive import SpooledWriter
from qdsizer_stream.cli import app
from qdsizer_stream.errors import ArchiveError

pytestmark = pytest.mark.integration

FRAMES = 4


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("demo") / "out"


@pytest.fixture(scope="module")
def demo(folder: Path) -> dict:
    result = run("demo", "--frames", str(FRAMES), "--out", str(folder), "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_the_demo_sizes_and_replays(demo: dict) -> None:
    assert demo["frames"] == demo["sized"] == demo["replayed_equal"] == FRAMES
    # The first two minutes of the synthesis are dots of 2.5 to 3 nm; half a nanometre would be no sizing.
    assert 0 < demo["root_mean_square_error_nm"] <= demo["largest_error_nm"] < 0.5
    assert demo["run"] != demo["replayed_run"]


def test_the_demo_leaves_a_picture_and_nothing_half_written(demo: dict, folder: Path) -> None:
    with Image.open(demo["picture"]) as picture:
        assert picture.size == (1920, 1080)
        assert len(picture.convert("RGB").getcolors(1 << 20)) > 100  # it is not blank
    assert not list(folder.glob("*.part"))
    assert (folder / "archive" / "catalog.db").exists()


def test_replay_into_the_archive_and_into_a_table(demo: dict, folder: Path, tmp_path: Path) -> None:
    work = ("--work", str(tmp_path / "work"))
    found = run("replay", demo["archive"], demo["run"], "--json", *work)
    assert found.exit_code == 0, found.output
    assert json.loads(found.stdout)["found"]  # the demo has replayed it
    assert json.loads(found.stdout)["written"] == demo["replayed_run"]
    linked = run("replay", demo["archive"], demo["run"], "--again", "--workers", "1", "--json", *work)
    outcome = json.loads(linked.stdout)
    assert (outcome["frames"], outcome["statuses"]) == (FRAMES, {"sized": FRAMES})
    assert outcome["written"] not in (demo["run"], demo["replayed_run"])
    table = tmp_path / "sizes.csv"
    written = run("replay", demo["archive"], demo["run"], "--out", str(table), *work)
    assert written.exit_code == 0, written.output
    assert f"{FRAMES} frames with model pbs: {FRAMES} sized" in written.stdout
    with table.open() as file:
        rows = list(csv.DictReader(file))
    assert [row["frame_seq_num"] for row in rows] == ["1", "2", "3", "4"]
    assert all(2 < float(row["size"]) < 4 for row in rows)
    assert {row["latency"] for row in rows} == {""}


@pytest.mark.slow
def test_replay_on_a_cluster(demo: dict, tmp_path: Path, dask_scheduler: str) -> None:
    on_it = ("--cluster", dask_scheduler, "--work", str(tmp_path), "--model", "pbs-paper")
    first = run("replay", demo["archive"], "--since", "2020-01-01", *on_it, "--json")
    assert first.exit_code == 0, first.output
    (outcome,) = json.loads(first.stdout)
    assert (outcome["run"], outcome["frames"], outcome["model"]) == (demo["run"], FRAMES, "pbs-paper")
    assert outcome["written"] not in (demo["run"], demo["replayed_run"])
    again = run("replay", demo["archive"], demo["run"], *on_it)
    assert f"already sized with model pbs-paper, in {outcome['written']}" in again.stdout
    assert "sizing on the cluster: 1 of 1" in again.stderr
    nowhere = run(
        "replay", demo["archive"], demo["run"], "--cluster", "nonsense://x", "--work", str(tmp_path)
    )
    assert isinstance(nowhere.exception, ArchiveError)
    assert "no Dask scheduler answers at nonsense://x" in f"{nowhere.exception}"


def test_the_report_of_a_run_is_one_file_that_needs_no_network(demo: dict, tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    result = run("report", demo["archive"], demo["run"], "--out", str(path))
    assert result.exit_code == 0, result.output
    text = path.read_text(encoding="utf-8")
    assert text.count("<svg") == 2  # the track, and the fits
    for words in (
        "Track (smoothed)",
        "PbS in toluene",
        demo["run"],
        "qdsizer_model_sha256",
        "frame 1: ",
        "frame 4: ",
    ):
        assert words in text
    # Nothing is loaded: references point into the page, and the one link is the citation.
    assert "<script" not in text
    assert set(re.findall(r'href="(http[^"]*)"', text)) == {"https://doi.org/10.1038/s41524-024-01241-6"}
    assert not re.findall(r'(?:src|xlink:href)="(?!#)', text)
    missing = run("report", demo["archive"], "no-such-run", "--out", str(path))
    assert isinstance(missing.exception, ArchiveError)


def test_runs_are_compared(demo: dict, tmp_path: Path) -> None:
    picture = tmp_path / "runs.png"
    both = (demo["archive"], demo["run"], demo["replayed_run"])
    result = run("compare", *both, "--picture", str(picture), "--json")
    assert result.exit_code == 0, result.output
    first, second = map(json.loads, result.stdout.splitlines())
    assert (first["run"], second["run"]) == (demo["run"], demo["replayed_run"])
    # Sized with the same model: the same track, to the last bit.
    assert first["size_nm"] == second["size_nm"]
    assert first["growth_nm_per_min"] == second["growth_nm_per_min"]
    assert first["size_low_nm"] < first["size_nm"] < first["size_high_nm"]
    assert first["sized"] == FRAMES
    assert first["minutes"] == pytest.approx(1.5)  # of the synthesis
    with Image.open(picture) as drawn:
        assert len(drawn.convert("RGB").getcolors(1 << 20)) > 20


def test_the_newest_run_is_named_by_its_place(demo: dict) -> None:
    def named(*names: str) -> list[str]:
        said = run("compare", demo["archive"], *names, "--json").stdout
        return [json.loads(line)["run"] for line in said.splitlines()]

    newest, before = named("--newest", "-2")
    assert named("-1", "-2") == [newest, before]
    assert newest != before


def test_runs_are_compared_in_a_table(demo: dict) -> None:
    both = (demo["archive"], demo["run"], demo["replayed_run"])
    table = run("compare", *both).stdout
    assert table.count("4 of 4") == 2
    assert max(map(len, table.splitlines())) <= 80


def test_choose_runs_look_before_and_compare(demo: dict, tmp_path: Path) -> None:
    work = ("--work", str(tmp_path / "work"))
    planned = run("replay", demo["archive"], "--since", "2020-01-01", "--dry-run", *work)
    assert planned.exit_code == 0, planned.output
    assert f"{demo['run']}: success, " in planned.stdout
    assert f"would find the sizes in {demo['replayed_run']}" in planned.stdout
    compared = run("replay", demo["archive"], demo["run"], "--compare", demo["replayed_run"], *work)
    assert compared.exit_code == 0, compared.output
    assert "largest nm" in compared.stdout
    said = run("replay", demo["archive"], demo["run"], "--compare", demo["run"], "--json", *work)
    differences = json.loads(said.stdout)["differences"]
    assert (differences["equal"], differences["largest_nm"]) == (FRAMES, 0.0)
    assert not list((tmp_path / "work").iterdir())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["{archive}", "no-such-run"], "no run no-such-run among the "),
        (["{folder}", "any"], "is not an archive: give the folder that holds catalog.db"),
        (["{archive}", "{run}", "--model", "no-such-model"], "no-such-model"),
        (["{archive}", "{run}", "--config", "{folder}/no.toml"], "cannot read configuration"),
        (["{archive}"], "give either the identifier of a run, or --scan-id"),
        (["{archive}", "{run}", "--scan-id", "1"], "give either the identifier of a run, or --scan-id"),
        (["{archive}", "--query", "sample=none"], "runs of this archive matches: give other conditions"),
        (["{archive}", "{run}", "--write-back"], "exclude each other"),
        (["{archive}", "{run}", "--replace"], "--replace has no effect without --write-back"),
        (["http://127.0.0.1:9", "{run}"], "the server does not answer"),
        (
            ["{archive}", "{run}", "--cluster", "tcp://x:1", "--workers", "1"],
            "leave out --workers, --out and --compare",
        ),
    ],
)
def test_bad_replays_say_why_and_leave_nothing(
    demo: dict,
    folder: Path,
    tmp_path: Path,
    arguments: list[str],
    message: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("tiled.client.utils.TILED_RETRY_ATTEMPTS", 1)
    filled = [
        argument.format(archive=demo["archive"], folder=folder, run=demo["run"]) for argument in arguments
    ]
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
    result = run("replay", *filled, "--out", str(tmp_path / "sizes.csv"))
    assert result.exit_code != 0
    assert message in str(result.exception)
    assert not list(tmp_path.iterdir())


def test_a_spooled_run_is_listed_and_uploaded(demo: dict, tmp_path: Path) -> None:
    def refuse(name: str, doc: object) -> None:
        raise ConnectionError("the archive is away")

    engine = RunEngine({})
    writer = SpooledWriter(refuse, tmp_path)
    engine.subscribe(writer)
    (uid,) = engine(count([det], 3))
    assert writer.close(30)

    listed = run("spool", "list", str(tmp_path))
    assert listed.exit_code == 0
    assert uid in listed.stdout.replace("\n", "")
    uploaded = run("spool", "upload", str(tmp_path), demo["archive"])
    assert uploaded.exit_code == 0, uploaded.output
    assert f"run {uid}: 3 of 3 in primary" in uploaded.stdout
    assert "no runs waiting" in run("spool", "list", str(tmp_path)).stdout
    assert "no runs waiting" in run("spool", "upload", str(tmp_path), demo["archive"]).stdout


def test_a_spool_that_is_none(tmp_path: Path) -> None:
    result = run("spool", "list", str(tmp_path / "none"))
    assert isinstance(result.exception, ArchiveError)
    assert "there is no spool" in str(result.exception)
