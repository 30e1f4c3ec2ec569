"""Identification of materials: frames of every quantum dot of the package, compared with all materials.

    python -m benchmarks.identify_material [--frames 200] [--seed 20] [--json FILE]

Frames hold physics that the comparison does not model: correlated motion, a disordered part, microstrain,
other surfaces, size distributions of any shape, unknown solvents of up to 90 % of the area, backgrounds and
smooth distortions. Half of them end at 4.5 Å⁻¹. A frame is wrong where another material is named with 95 % or
more.
"""

from collections import Counter

import numpy as np
from rich import box
from rich.console import Console
from rich.table import Table

from benchmarks._report import BenchmarkReport, argument_parser
from qdsizer_stream.fitting import held_out_recipe, identify
from qdsizer_stream.patterns import Pattern
from qdsizer_stream.simulation import FrameStream, load_material, material_names
from qdsizer_stream.sizing import Identity

BY_PRODUCTS = ("Pb", "PbO-litharge", "PbSO4", "ice")
"""Materials that are compared but are not quantum dots."""

MAX_SIZES_NM = (1.5, 10.0)
"""Range of sizes, within that of the material."""

SHORT_INV_ANGSTROM = 4.5
WAVELENGTH_ANGSTROM = 0.56


def main() -> None:
    parser = argument_parser(__doc__)
    parser.add_argument("--frames", type=int, default=200, help="frames of each material")
    parser.add_argument("--seed", type=int, default=20)
    parser.add_argument("--materials", nargs="*", help="some of the materials")
    arguments = parser.parse_args()
    report = BenchmarkReport("identify_material", arguments.json)
    names = arguments.materials or [name for name in material_names() if name not in BY_PRODUCTS]
    table = Table(box=box.SIMPLE, padding=0, collapse_padding=True)
    for heading in ("material", "frames", "named", "cannot tell", "none of these", "no signal", "wrong"):
        table.add_column(heading, justify="left" if heading == "material" else "right")
    totals: Counter[str] = Counter()
    for name in names:
        found = _identities(name, arguments.frames, arguments.seed)
        totals += found
        table.add_row(name, *map(str, _row(found)))
    table.add_row("all", *map(str, _row(totals)))
    Console().print(table)
    n = totals.total()
    right = (totals["named"] + totals[Identity.CANNOT_TELL] + totals[Identity.NO_SIGNAL]) / n
    report.add("frames", n, "1")
    report.add("named", 100 * totals["named"] / n, "%")
    report.add("right, cannot tell or no signal", 100 * right, "%", at_least=99)
    report.add("wrong", 100 * totals["wrong"] / n, "%", at_most=0.3)
    report.write()


def _row(found: Counter[str]) -> tuple[int, ...]:
    kinds = ("named", Identity.CANNOT_TELL, Identity.NONE_OF_THESE, Identity.NO_SIGNAL, "wrong")
    return found.total(), *(found[kind] for kind in kinds)


def _identities(name: str, n_frames: int, seed: int) -> Counter[str]:
    material = load_material(name)
    (smallest, largest), (low, high) = material.diameter_range_nm, MAX_SIZES_NM
    recipe = held_out_recipe(name, material, (max(smallest, low), min(largest, high)), WAVELENGTH_ANGSTROM)
    structures = recipe.structures.model_copy(update={"max_cluster_nm": 14.0})
    recipe = recipe.model_copy(
        update={"n_structures": 3, "structures": structures, "area_fraction": (0.1, 1.0)}
    )
    stream = FrameStream(recipe, seed)
    found: Counter[str] = Counter()
    n_drawn = -(-n_frames // 32) * 32
    batch = stream.batch(n_drawn)
    for i in np.random.default_rng(seed).permutation(n_drawn)[:n_frames]:
        mask = batch.mask[i].copy()
        if i % 2:
            mask |= recipe.grid.centres > SHORT_INV_ANGSTROM
        pattern = Pattern(recipe.grid.centres, batch.intensity[i], batch.sigma[i], mask)
        result = identify(pattern, wavelength_angstrom=WAVELENGTH_ANGSTROM)
        if result.identity is not Identity.IDENTIFIED:
            found[result.identity] += 1
        else:
            found["named" if result.material == name else "wrong"] += 1
    return found


if __name__ == "__main__":
    main()
