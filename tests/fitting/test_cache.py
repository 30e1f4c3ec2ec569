"""Files that appear whole or not at all."""

from pathlib import Path

import pytest

from qdsizer_stream.fitting import replace_file


def test_a_new_file_has_the_usual_permissions(tmp_path: Path) -> None:
    usual = tmp_path / "usual"
    usual.write_text("")
    with replace_file(tmp_path / "new.npz") as temporary:
        temporary.write_text("whole")
    assert (tmp_path / "new.npz").read_text() == "whole"
    assert (tmp_path / "new.npz").stat().st_mode == usual.stat().st_mode
    assert len(list(tmp_path.iterdir())) == 2


def test_an_interrupted_file_leaves_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "old.npz"
    path.write_text("old")

    def write_half() -> None:
        with replace_file(path) as temporary:
            temporary.write_text("ne")
            raise OSError("full")

    with pytest.raises(OSError, match="full"):
        write_half()
    assert [one.name for one in tmp_path.iterdir()] == ["old.npz"]
    assert path.read_text() == "old"
