"""Print pip constraints that pin every dependency to the lowest version that pyproject.toml allows.

    python .ci/lower_bounds.py > lowest.txt

Dependencies without a lower bound, and those of dependencies, stay free. torch is pinned to one version:
on the default index its older releases need gigabytes of libraries for graphics processors.
"""

import re
import tomllib
from itertools import chain
from pathlib import Path

PINNED = {"torch": "2.13.0"}


def main() -> None:
    """Print the constraints."""
    project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())["project"]
    lowest: dict[str, str] = {}
    for requirement in chain(project["dependencies"], *project["optional-dependencies"].values()):
        found = re.fullmatch(r"([\w.-]+)(?:\[[\w,]+\])?>=([\w.]+)", requirement)
        if found:
            lowest[found[1]] = found[2]
    for name, version in sorted({**lowest, **PINNED}.items()):
        print(f"{name}=={version}")


if __name__ == "__main__":
    main()
