"""Sizes from files as people have them: no layout changes the answer, and what is wrong is said."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from qdsizer_stream.cli import main
from qdsizer_stream.patterns import q_from_two_theta
from qdsizer_stream.simulation import GrowingDots, SynthesisRecipe

pytestmark = pytest.mark.slow

WAVELENGTH = 0.5637
ANGLES = np.round(np.arange(5, 80, 0.0125), 4)
Q = q_from_two_theta(ANGLES, WAVELENGTH)

GIVEN = ("--wavelength", str(WAVELENGTH))

Predict = Callable[..., tuple[list[dict[str, Any]], str]]


@pytest.fixture(scope="module")
def mean_counts() -> NDArray[np.float64]:
    """Dots of about 3.8 nm in toluene, 7 million photons."""
    dots = GrowingDots(SynthesisRecipe(wavelength_angstrom=WAVELENGTH, growth_time_s=1000.0), 16.0)
    curve = dots(Q, 330.0)
    return curve * 6.9e6 / curve.sum()


@pytest.fixture(scope="module")
def counts(mean_counts: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.random.default_rng(0).poisson(mean_counts).astype(float)


@pytest.fixture
def predict(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Predict:
    """Sizes texts as `qdsizer-stream predict --json` does."""

    def call(
        *texts: str, options: tuple[str, ...] = ("--wavelength", "0.5637")
    ) -> tuple[list[dict[str, Any]], str]:
        paths = [tmp_path / f"file_{index}.dat" for index in range(len(texts))]
        for path, text in zip(paths, texts, strict=True):
            path.write_text(text, encoding="utf-8")
        monkeypatch.setattr(sys, "argv", ["qdsizer-stream", "predict", *map(str, paths), *options, "--json"])
        with pytest.raises(SystemExit):
            main()
        captured = capsys.readouterr()
        return [json.loads(line) for line in captured.out.splitlines()], captured.err

    return call


def of_the_file(answer: dict[str, Any]) -> list[str]:
    """Warnings, without that on the undeclared width of the instrument."""
    return [text for text in answer["warnings"] if "lines is not declared" not in text]


def rows(*columns: NDArray[np.float64], names: str = "") -> str:
    body = "".join(" ".join(f"{v:.10g}" for v in row) + "\n" for row in zip(*columns, strict=True))
    return (f"# {names}\n" if names else "") + body


def test_a_column_that_is_not_sigma_changes_no_size(
    predict: Predict, counts: NDArray[np.float64], mean_counts: NDArray[np.float64]
) -> None:
    error = np.sqrt(counts + 1)
    other = np.random.default_rng(1).poisson(mean_counts).astype(float)
    texts = [
        rows(ANGLES, counts, error),
        rows(ANGLES, counts),
        rows(ANGLES, counts, np.ones(counts.size)),
        rows(ANGLES, counts, 100 * error / np.maximum(counts, 1), names="tth I err%"),
        rows(ANGLES, counts, mean_counts, counts - mean_counts, names="2theta Iobs Icalc diff"),
        rows(ANGLES, counts, other),
        rows(ANGLES, counts, error**2),
        rows(ANGLES, counts, 0.5 * np.minimum.accumulate(mean_counts), names="2theta Iobs Ibkg"),
        rows(ANGLES, Q, counts, error, names="tth q I sigma"),
        rows(ANGLES, counts, 0 * counts),
        rows(ANGLES, counts / 30, error),
        rows(ANGLES, counts * 1e-9),
    ]
    answers, errors = predict(*texts)
    assert errors == ""
    base = answers[0]
    assert base["status"] == "sized"
    assert base["size_nm"] == pytest.approx(3.8, abs=0.25)
    for answer in answers:
        assert answer["status"] == "sized"
        assert answer["size_nm"] == pytest.approx(base["size_nm"], abs=0.01)
        assert answer["size_high_nm"] - answer["size_low_nm"] == pytest.approx(
            base["size_high_nm"] - base["size_low_nm"], rel=0.03
        )
    # Photons are counted where the file has counts, and unknown otherwise: never made up.
    photons = [answer["counts"] for answer in answers]
    assert photons[-2:] == [None, None]
    assert photons[:-2] == pytest.approx([counts.sum()] * 10, rel=0.08)
    assert of_the_file(answers[2]) == [
        "the third column is not used as sigma (it is 1 everywhere): "
        "the noise is estimated from the scatter of points"
    ]
    assert of_the_file(answers[-1]) == ["the intensities are not counts: the number of photons is unknown"]


def test_a_gap_is_masked_and_a_removed_background_is_named(
    predict: Predict, counts: NDArray[np.float64]
) -> None:
    gap = (ANGLES > 20) & (ANGLES < 22)
    lowest = np.array([counts[max(i - 60, 0) : i + 61].min() for i in range(counts.size)])
    whole, holed, removed = predict(
        rows(ANGLES, counts), rows(ANGLES, np.where(gap, -1, counts)), rows(ANGLES, counts - lowest)
    )[0]
    assert holed["status"] == "sized"
    assert holed["size_nm"] == pytest.approx(whole["size_nm"], abs=0.1)
    assert of_the_file(holed) == ["159 points at -1: taken as a gap and masked"]
    assert removed["status"] != "sized"
    assert "give the file without that subtraction" in removed["reason"]


def test_q_needs_no_wavelength_and_any_gives_the_same(predict: Predict, counts: NDArray[np.float64]) -> None:
    text = rows(Q, counts, names="q_A^-1 I")
    answers = [
        predict(text, options=options)[0][0] for options in ((), ("--energy", "22keV"), ("--axis", "q"))
    ]
    assert answers[0]["status"] == "sized"
    # A shift of 2θ is one in degrees only where there are degrees.
    assert [answer.pop("two_theta_shift_deg") is None for answer in answers] == [True, False, True]
    assert answers[0] == answers[1] == answers[2]


def test_one_bad_file_never_ends_a_batch_and_is_named(predict: Predict, counts: NDArray[np.float64]) -> None:
    good = rows(ANGLES, counts)
    answers, errors = predict(
        good, "words\n", rows(10 * Q, counts, names="Q (nm-1) I"), rows(100 * ANGLES, counts), good
    )
    assert [Path(answer["file"]).name for answer in answers] == ["file_0.dat", "file_2.dat", "file_4.dat"]
    assert {answer["status"] for answer in answers} == {"sized"}
    lines = errors.splitlines()
    assert [line.split("/")[-1].split(":")[0].split(" ")[0] for line in lines] == ["file_1.dat", "file_3.dat"]
    assert all(line.startswith("error: /") for line in lines)
    assert "is it in hundredths of a degree?" in lines[1]


def test_the_width_of_the_instrument_is_declared_with_its_unit(
    predict: Predict, counts: NDArray[np.float64]
) -> None:
    text = rows(ANGLES, counts, names="2theta I")
    (row,), _ = predict(text, options=(*GIVEN, "--resolution", "0.02/A"))
    assert row["resolution_inv_angstrom"] == pytest.approx(0.02, rel=1e-12)
    (row,), _ = predict(text, options=(*GIVEN, "--resolution", "0.05deg"))
    per_degree = np.radians(2 * np.pi / WAVELENGTH)  # times cos θ, 0.93 on average from 1 to 15 Å⁻¹
    assert row["resolution_inv_angstrom"] == pytest.approx(0.05 * per_degree * 0.93, rel=0.03)
    (row,), _ = predict(text)
    assert row["resolution_inv_angstrom"] is None
    no_rows, error = predict(text, options=(*GIVEN, "--resolution", "0.05nm"))
    assert no_rows == []
    assert "resolution '0.05nm' is not a width: give a number with its unit" in error
