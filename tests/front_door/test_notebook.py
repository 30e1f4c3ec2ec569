"""What a notebook shows: the estimate of a file, and the sizes of an archived run."""

import base64
import io
import math
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bluesky_tiled_plugins import TiledWriter
from PIL import Image

import qdsizer_stream as qd
from qdsizer_stream.archive import embedded_tiled, find_run, sized_run
from qdsizer_stream.callbacks import LiveSizer
from qdsizer_stream.errors import EXTRAS, MissingExtraError, missing_extra
from qdsizer_stream.patterns import write_pattern
from qdsizer_stream.sizing import SizeEstimate

Documents = list[tuple[str, Any]]


@pytest.fixture(scope="module")
def estimate(dots: Any, tmp_path_factory: pytest.TempPathFactory) -> qd.PatternEstimate:
    """A file of 1 million photons, named with what HTML would take for a tag."""
    q = np.linspace(1.0, 15.0, 3000)
    counts = np.random.default_rng(4).poisson(400 * dots(q, 60.0))
    path = tmp_path_factory.mktemp("notebook") / "frame<b>.xye"
    write_pattern(path, qd.Pattern.from_arrays(q, counts))
    return qd.size(path, resolution="0.006/A")


def test_an_estimate_is_one_line_with_both_means(estimate: qd.PatternEstimate) -> None:
    line = str(estimate)
    assert "\n" not in line
    assert line.startswith(f"mass-weighted mean {estimate.mass_mean_nm:.2f} nm [")
    assert f"number-weighted mean {estimate.size_nm:.2f} nm [" in line
    assert line.endswith(", sized")


@pytest.mark.slow
def test_in_a_notebook_it_shows_both_means_the_status_and_a_picture(estimate: qd.PatternEstimate) -> None:
    html = estimate._repr_html_()
    assert "<caption>sized, model pbs</caption>" in html
    for value in (estimate.mass_mean_nm, estimate.size_nm):
        assert f"{value:.2f} nm [" in html
    encoded = re.search(r'src="data:image/png;base64,([^"]+)"', html)
    assert encoded is not None
    png = base64.b64decode(encoded[1])
    assert len(png) < 120_000  # a notebook may hold many
    picture = Image.open(io.BytesIO(png)).convert("RGB")
    assert picture.size == (800, 520)
    colours = {colour for _, colour in picture.getcolors(1 << 24) or []}
    assert (0xD5, 0x5E, 0x00) in colours  # the fit


def test_the_picture_names_the_file_and_the_size(estimate: qd.PatternEstimate) -> None:
    figure = estimate.plot()
    words = " ".join(text.get_text() for text in figure.texts)
    assert f"mass-weighted mean diameter {estimate.mass_mean_nm:.2f} nm" in words
    assert "frame<b>.xye" in words
    assert estimate.plot(figure) is figure
    # A notebook shows the figure itself, too, without pyplot and without a cell magic.
    shown = figure._repr_png_()
    assert Image.open(io.BytesIO(shown)).size == (800, 520)


def test_its_values_are_those_of_an_estimate(estimate: qd.PatternEstimate) -> None:
    assert list(estimate.to_dict()) == [field.name for field in fields(SizeEstimate)]
    assert estimate.examination.estimate.size_nm == estimate.size_nm


def test_a_library_that_is_missing_is_named_with_its_extra(
    estimate: qd.PatternEstimate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    for name in ("_notebook_figure", "_examination"):  # imported when first used
        monkeypatch.delitem(sys.modules, f"qdsizer_stream.callbacks.display.{name}", raising=False)
    with pytest.raises(
        MissingExtraError, match=r'library matplotlib, .*: pip install "qdsizer-stream\[plot\]"'
    ):
        estimate.plot()
    html = estimate._repr_html_()  # the numbers without the picture
    assert "<img" not in html
    assert f"{estimate.size_nm:.2f} nm [" in html


def test_only_optional_libraries_are_explained() -> None:
    other = ModuleNotFoundError("No module named 'numpyy'", name="numpyy")
    assert missing_extra(other) is other
    import tomllib

    declared = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    assert set(EXTRAS.values()) <= set(declared["optional-dependencies"])


@pytest.fixture(scope="module")
def archived(
    raw: Documents, config: Any, sizer: Any, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Any]:
    """The shared run in an archive, its third frame empty."""
    with embedded_tiled(tmp_path_factory.mktemp("archive")) as client:
        live = LiveSizer(config, sizer)
        live.subscribe(TiledWriter(client, batch_size=1))
        for name, doc in raw:
            if name == "start":
                doc = {**doc, "sample": {"name": "PbS 7"}}
            if name == "event" and doc["seq_num"] == 3:
                doc = {**doc, "data": {**doc["data"], "mythen_image": 0 * doc["data"]["mythen_image"]}}
            live(name, doc)
        assert live.close(60)
        yield client


@pytest.fixture
def run(archived: Any, raw: Documents) -> Any:
    return find_run(archived, raw[0][1]["uid"])


@pytest.mark.integration
def test_the_sizes_of_a_run_are_a_table(run: Any, raw: Documents, through: Callable[..., Documents]) -> None:
    table = qd.sizes(run)
    live = [doc for name, doc in through(raw) if name == "event" and "qdsizer_size" in doc["data"]]
    assert list(table.index) == [1, 2, 3, 4, 5, 6]
    assert list(table["status"] == "sized") == [True, True, False, True, True, True]
    assert math.isnan(table.loc[3, "size_nm"])
    for frame in (1, 2):  # before the frame that differs, which the track remembers
        data = live[frame - 1]["data"]
        assert table.loc[frame, "size_nm"] == data["qdsizer_size"]
        assert table.loc[frame, "mass_mean_high_nm"] == data["qdsizer_mass_mean_high"]
        assert table.loc[frame, "counts"] == data["qdsizer_counts"]
        assert table.loc[frame, "time"].timestamp() == pytest.approx(live[frame - 1]["time"], abs=1e-6)
    # The names are those of an estimate, so that a table of files and one of a run can be put together.
    shared = {field.name for field in fields(SizeEstimate)} - {"model", "q_min", "q_max"}
    assert shared <= set(table.columns)
    assert table["minutes"].iloc[0] == 0
    span_s = live[-1]["data"]["qdsizer_track_time"] - live[0]["data"]["qdsizer_track_time"]
    assert table["minutes"].iloc[-1] == pytest.approx(span_s / 60)
    units = table.attrs["units"]
    assert set(units) <= set(table.columns)
    assert (units["size_nm"], units["growth_nm_per_minute"], units["lattice_parameter_angstrom"]) == (
        "nm",
        "nm/min",
        "angstrom",
    )
    assert units["minutes"] == "min"
    assert (table.attrs["run"], table.attrs["sample"]) == (raw[0][1]["uid"], "PbS 7")
    assert len(table.attrs["model_sha256"]) == 64
    assert sized_run(run).sizes().equals(table)


@pytest.mark.integration
def test_the_sizes_of_a_run_are_a_data_set_with_units(run: Any) -> None:
    table, dataset = qd.sizes(run), qd.sizes_dataset(run)
    assert dict(dataset.sizes) == {"frame": 6}
    np.testing.assert_array_equal(dataset["mass_mean_nm"], table["mass_mean_nm"])
    assert dataset["mass_mean_nm"].attrs["units"] == "nm"
    assert dataset["growth_nm_per_minute"].attrs["units"] == "nm/min"
    assert dataset["time"].dtype.kind == "M"
    assert dataset["time"].attrs == {"time_zone": "UTC"}
    assert dataset.attrs == {key: value for key, value in table.attrs.items() if key != "units"}


@pytest.mark.integration
def test_a_run_is_drawn_as_the_window_shows_it(run: Any) -> None:
    figure = qd.plot_run(run)
    words = " ".join(text.get_text() for axes in figure.axes for text in axes.texts)
    last = qd.sizes(run).loc[6]
    assert f"{last['mass_mean_nm']:.2f} nm" in words
    assert "6 frames: 5 sized, 1 rejected" in words
    assert [image for axes in figure.axes for image in axes.images]  # the waterfall has its patterns
