"""The table of speeds is made from the results of its benchmark."""

import json

import pytest

from benchmarks.speed_table import BEGIN, END, PAGE, RESULTS, page, table

MEASURED = {
    "measurements": [
        {"name": "import", "value": 0.3, "unit": "s"},
        {"name": "import: the other", "value": 0.75, "unit": "s"},
        {"name": "import: ratio", "value": 0.4, "unit": "1", "at_most": 0.6, "met": True},
        {"name": "rate", "value": 1234.0, "unit": "frames/s"},
        {"name": "rate: the other", "value": 823.0, "unit": "frames/s"},
        {"name": "rate: ratio", "value": 1.5, "unit": "1", "at_least": 3.0, "met": False},
        {"name": "with over without", "value": 1.15, "unit": "1", "at_most": 1.2, "met": True},
        {"name": "with over without: the other", "value": 1.1, "unit": "1"},
    ],
    "cpu": {"model": "a processor"},
    "versions": {"python": "3.11.7", "numpy": "2.4.0", "scipy": "1.17.0", "onnxruntime": "1.32.0"},
    "date": "2026-11-28T16:00:00+0000",
}


def test_each_ratio_is_a_row_beside_what_is_wanted() -> None:
    rows = table(MEASURED).splitlines()
    assert rows[2:5] == [
        "| import | 0.75 s | 0.3 s | 0.40 | ≤ 0.6 |",
        "| rate | 823 frames/s | 1234 frames/s | 1.50 | ≥ 3 |",
        "| with over without | 1.1 | 1.15 | – | ≤ 1.2 |",
    ]
    assert "a processor" in rows[-1]
    assert "2026-11-28" in rows[-1]


def test_nothing_but_the_table_of_the_page_changes() -> None:
    changed = page(f"before {BEGIN} old {END} after", MEASURED)
    assert changed.startswith(f"before {BEGIN}")
    assert changed.endswith(f"{END} after")
    assert "old" not in changed


@pytest.mark.skipif(not RESULTS.exists(), reason="no speeds were measured")
def test_the_page_holds_the_results() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert page(text, json.loads(RESULTS.read_text(encoding="utf-8"))) == text
