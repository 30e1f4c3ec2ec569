"""Write the table of measured speeds in docs/explanation/measured.md from the results of `speed_ratios`.

python -m benchmarks.speed_table
"""

import json
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]

RESULTS = ROOT / "benchmarks" / "results" / "speed_ratios.json"
"""Written by ``python -m benchmarks.speed_ratios ../before --json benchmarks/results/speed_ratios.json``."""

PAGE = ROOT / "docs" / "explanation" / "measured.md"

BEGIN, END = "<!-- speed table: begin -->", "<!-- speed table: end -->"


def table(results: dict[str, Any]) -> str:
    """Format the results of `speed_ratios` as a table in Markdown.

    Parameters
    ----------
    results
        Content of its JSON file.

    Returns
    -------
    The table, a row for each ratio, and a line that states machine and versions.
    """
    by_name = {one["name"]: one for one in results["measurements"]}
    rows = ["| what | before | now | ratio | wanted |", "|---|---|---|---|---|"]
    for name, now in by_name.items():
        ratio, before = by_name.get(f"{name}: ratio"), by_name.get(f"{name}: the other")
        if before is None:
            continue
        # A value that is a ratio itself has its own target, and is not divided by that of the other.
        aimed = now if ratio is None else ratio
        wanted = f"≥ {aimed['at_least']:.2g}" if "at_least" in aimed else f"≤ {aimed['at_most']:.2g}"
        values = [f"{one['value']:.4g} {one['unit'].removeprefix('1')}".rstrip() for one in (before, now)]
        shown = "–" if ratio is None else f"{ratio['value']:.2f}"
        rows.append(f"| {name} | {values[0]} | {values[1]} | {shown} | {wanted} |")
    versions = results["versions"]
    found = ", ".join(f"{name} {versions[name]}" for name in ("python", "numpy", "scipy", "onnxruntime"))
    return "\n".join([*rows, "", f"{results['cpu']['model']}, one thread; {found}; {results['date'][:10]}."])


def page(text: str, results: dict[str, Any]) -> str:
    """Put the table into the text of the page.

    Parameters
    ----------
    text
        Text of the page, which holds `BEGIN` and `END`.
    results
        Content of the JSON file.

    Returns
    -------
    The new text.
    """
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n\n{table(results)}\n\n{END}{after}"


def main() -> None:
    """Write the table into the page."""
    results = json.loads(RESULTS.read_text(encoding="utf-8"))
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8"), results), encoding="utf-8")


if __name__ == "__main__":
    main()
