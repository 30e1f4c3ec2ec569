from pathlib import Path

import numpy as np
import pytest

from qdsizer_stream.errors import PatternError, PatternFileError
from qdsizer_stream.patterns import Axis, Pattern, read_curve, read_pattern, write_pattern


@pytest.mark.parametrize(
    "text",
    [
        "1 10\n2 20\n3 30\n",
        "# comment\n1,10\n2,20  # remark\n\n3,30\n",
        "two_theta;counts\n1;10\n2;20\n3;30\n",
        "\ufeff1\t10\r\n2\t20\r\n3\t30\r\n",
        "  1.0   1e1\n  2.0   2e1\n  3.0   3e1",
        "PbS in toluene\n2-Theta Angle (Degrees)\nIntensity\n    3\n1 10\n2 20\n3 30\n",
    ],
)
def test_two_columns_in_every_dress(tmp_path: Path, text: str) -> None:
    path = tmp_path / "a.xy"
    path.write_text(text, encoding="utf-8")
    x, y, sigma = read_curve(path)
    np.testing.assert_array_equal(x, [1, 2, 3])
    np.testing.assert_array_equal(y, [10, 20, 30])
    assert sigma is None


def test_columns_past_the_third_are_not_read(tmp_path: Path) -> None:
    path = tmp_path / "a.dat"
    path.write_text("10.08 2415 49 0\n10.09 2416 50 1\n")
    _, _, sigma = read_curve(path)
    np.testing.assert_array_equal(sigma, [49, 50])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"bad\.xy is empty: is it still being written"),
        ("# nothing but a comment\n", "contains no numbers"),
        ("1\n2\n", "line 1: 1 column, there must be at least 2: angle"),
        ("once upon a time\nthere was a dot\n", "contains no numbers"),
        ("1 2\n3\n", "line 2: 1 column after rows of 2: every row"),
        ("1 2\n3 four\n", "line 2: '3 four' is not a row of numbers: start comments with '#'"),
        ("1 2\n3 4 5\n", "line 2: 3 columns after rows of 2"),
    ],
)
def test_files_that_are_no_curve(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "bad.xy"
    path.write_text(text)
    with pytest.raises(PatternFileError, match=message):
        read_curve(path)


@pytest.mark.parametrize(
    ("names", "axis", "message"),
    [
        (
            "q_inv_angstrom,intensity",
            Axis.TWO_THETA,
            r"'q_inv_angstrom', but two-theta is expected: .*--axis q",
        ),
        ("# Q(1/A) I sigma", Axis.TWO_THETA, r"named 'Q\(1/A\)', but"),
        ("Q", Axis.TWO_THETA, "named 'Q', but"),
        (
            "# scanned twice\n#     2th_deg    I",
            Axis.Q,
            r"'2th_deg', but q is expected: .*--axis two-theta",
        ),
        ('"2-Theta","counts"', Axis.Q, "named '2-Theta', but"),
        ("two_theta;counts", Axis.Q, "named 'two_theta', but"),
    ],
)
def test_a_column_that_is_called_something_else_is_refused(
    tmp_path: Path, names: str, axis: Axis, message: str
) -> None:
    path = tmp_path / "a.csv"
    path.write_text(f"{names}\n1,10\n2,20\n", encoding="utf-8")
    with pytest.raises(PatternFileError, match=message):
        read_pattern(path, 0.56, axis)
    read_curve(path)  # who does not say what it ought to be gets the numbers


@pytest.mark.parametrize(
    "title",
    [
        "# quantum dots in toluene",
        "# q range of the scan: 1 to 15, third attempt",
        "angstrom,counts",
        "# q was binned\n# x y",
        "Q counts\n# from here on 2θ",
    ],
)
def test_titles_are_not_taken_for_names(tmp_path: Path, title: str) -> None:
    path = tmp_path / "a.csv"
    path.write_text(f"{title}\n1,10\n2,20\n", encoding="utf-8")
    for axis in Axis:
        assert read_pattern(path, 0.56, axis).intensity.tolist() == [10, 20]


def test_a_binary_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "frame.xy"
    path.write_bytes(bytes(range(256)))
    with pytest.raises(PatternFileError, match="is not a text file"):
        read_curve(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(PatternFileError, match=r"none\.xy: cannot read this file: No such file"):
        read_curve(tmp_path / "none.xy")


def test_angles_in_any_order(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    two_theta = np.linspace(-1, 60, 500)
    order = rng.permutation(500)
    counts = rng.poisson(100, 500).astype(float)
    path = tmp_path / "a.xy"
    np.savetxt(path, np.column_stack([two_theta, counts])[order])
    pattern = read_pattern(path, 0.56)
    positive = two_theta > 0
    np.testing.assert_allclose(pattern.intensity, counts[positive])
    assert pattern.sigma[0] == pytest.approx(np.sqrt(counts[positive][0]), rel=0.3)


def test_sigma_column_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "a.xye"
    np.savetxt(path, np.column_stack([[2.0, 1.0], [5.0, 4.0], [0.5, 0.25]]))
    np.testing.assert_array_equal(read_pattern(path, 0.56, Axis.Q).sigma, [0.25, 0.5])


@pytest.mark.parametrize(
    ("axis", "last", "message"),
    [
        (Axis.TWO_THETA, 181.0, r"angle 181° is past 180°: is the first column 2θ in degrees\?"),
        (Axis.Q, 23.0, r"Q = 23 Å⁻¹ cannot be measured at 0\.56 Å .*22\.44 Å⁻¹\): check the wavelength"),
        (Axis.Q, 143.0, r"Q = 143 Å⁻¹ cannot .* is the column in nm⁻¹ \(divide it by 10\)"),
        (Axis.TWO_THETA, 12000.0, r"angle 12000° is past 180°: is it in hundredths of a degree"),
    ],
)
def test_axis_that_cannot_be(tmp_path: Path, axis: Axis, last: float, message: str) -> None:
    path = tmp_path / "a.xy"
    np.savetxt(path, np.column_stack([[1.0, 2.0, last], [1.0, 1.0, 1.0]]))
    with pytest.raises(PatternError, match=message):
        read_pattern(path, 0.56, axis)


def test_written_pattern_comes_back(tmp_path: Path) -> None:
    pattern = Pattern.from_arrays([1.0, 2.0, 3.0], [4.0, 5.0, 6.0], [0.1, 0.2, 0.3], [False, True, False])
    write_pattern(tmp_path / "a.xye", pattern)
    back = read_pattern(tmp_path / "a.xye", 0.56, Axis.Q)
    np.testing.assert_array_equal(back.q_inv_angstrom, [1, 3])
    np.testing.assert_array_equal(back.sigma, [0.1, 0.3])
    assert [file.name for file in tmp_path.iterdir()] == ["a.xye"]
