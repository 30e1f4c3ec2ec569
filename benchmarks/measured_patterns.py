"""What models say of measured patterns of other laboratories: the right material, and PbS, which none is.

    python -m benchmarks.measured_patterns FOLDER [--model PATH] [--json FILE]

FOLDER contains measured data: pair distribution functions (.gr), which are transformed back to intensities,
I(Q) = <f²> + <f>² F(Q)/Q with F(Q) = ∫ G(r) sin(Qr) dr, and integrated patterns (.chi, .xy). The photons and
the scale of a pair distribution function are not in its file: 10⁵ photons per point are drawn, its scale is
taken as it is. Each pattern is given to `pbs` whole and cut at several Q, with and without a preferred
orientation; no such frame may be sized. Pair distribution functions of CdSe are given to `cdse` and to a fit
without a network too, those of CdS and Pt to fits.
"""

import re
import tempfile
import warnings
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich import box
from rich.console import Console
from rich.table import Table

from benchmarks._report import BenchmarkReport, argument_parser
from qdsizer_stream.errors import PatternFileWarning, QdsizerError
from qdsizer_stream.fitting import cached_fit_model
from qdsizer_stream.patterns import Pattern, read_pattern
from qdsizer_stream.simulation import Material, form_factors, load_material
from qdsizer_stream.sizing import SizeEstimate, Sizer, Status

PHOTONS = 1e5
"""Per point, drawn where the file does not hold them."""

STEP_INV_ANGSTROM = 0.01
FIRST_Q, LAST_Q = 1.05, 15.0
CUTS = (2.6, 3.5, 4.5, 7.0, LAST_Q)
"""Ends of the range of Q, Å⁻¹."""

WAVELENGTHS_ANGSTROM = {"zro2_mo": 0.7107, "CeO2": 0.1836, "Ni": 0.1836, "kapton": 0.1836}
"""Of files in 2θ, and of those whose header does not state it; for Q it only matters to form factors."""

PLATINUM = """data_Pt
_symmetry_space_group_name_H-M 'F m -3 m'
_cell_length_a 3.924
_cell_length_b 3.924
_cell_length_c 3.924
_cell_angle_alpha 90
_cell_angle_beta 90
_cell_angle_gamma 90
loop_
_atom_site_label
_atom_site_type_symbol
_atom_site_fract_x
_atom_site_fract_y
_atom_site_fract_z
Pt1 Pt 0 0 0
"""
"""Powder diffraction file 4-802."""

SEED = 11


def main() -> None:
    parser = argument_parser(__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--model", default="cdse", help="model for CdSe")
    arguments = parser.parse_args()
    report = BenchmarkReport("measured_patterns", arguments.json)
    paths = sorted(p for p in arguments.folder.iterdir() if p.suffix in (".gr", ".chi", ".xy"))
    if not paths:
        parser.error(f"{arguments.folder} contains no .gr, .chi or .xy file: give the folder of the data")
    as_pbs = [Sizer(model="pbs", texture=texture) for texture in (False, True)]
    table = Table(box=box.SIMPLE, padding=0, collapse_padding=True)
    for heading in (
        "file",
        "as PbS: sized",
        "model",
        "status",
        "mass mean, nm",
        "number mean, nm",
    ):
        table.add_column(heading, no_wrap=True)
    n_frames, n_sized = 0, 0
    with tempfile.TemporaryDirectory() as folder:
        cif = Path(folder, "Pt.cif")
        cif.write_text(PLATINUM)
        fits = {m: str(cached_fit_model(m)[0]) for m in ("CdSe-zincblende", "CdS-zincblende", str(cif))}
        own = {
            "CdSe": [arguments.model, fits["CdSe-zincblende"]],
            "CdS_": [fits["CdS-zincblende"]],
            "Pt": [fits[str(cif)]],
        }
        sizers = {model: Sizer(model=model, texture=False) for models in own.values() for model in models}
        for path in paths:
            try:
                pattern = _pattern(path, str(cif))
            except QdsizerError as error:
                table.add_row(path.name, "not read", str(error)[:60])
                continue
            cuts = [_up_to(pattern, end) for end in CUTS if pattern.q_inv_angstrom[-1] > end - 1e-6]
            found = [s.size(cut, resolution_inv_angstrom=0.0) for cut in cuts or [pattern] for s in as_pbs]
            n_frames += len(found)
            sized = sum(one.status is Status.SIZED for one in found)
            n_sized += sized
            row = [path.name, f"{sized} of {len(found)}"]
            models = next((own[prefix] for prefix in own if path.name.startswith(prefix)), [])
            if path.suffix == ".gr" and models:
                for model in models:
                    estimate = sizers[model].size(pattern, resolution_inv_angstrom=0.0)
                    table.add_row(*row, *_cells(sizers[model], estimate))
                    row = ["", ""]
            else:
                table.add_row(*row)
    Console(width=110).print(table)
    report.add("measured patterns sized as PbS, all cuts", n_sized, "1", at_most=0)
    report.add("frames of these", n_frames, "1")
    report.write()


def _pattern(path: Path, platinum: str) -> Pattern:
    """Pattern of a file; intensities of a pair distribution function are computed."""
    if path.suffix != ".gr":
        wavelength = next((w for name, w in WAVELENGTHS_ANGSTROM.items() if path.name.startswith(name)), None)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", PatternFileWarning)
            return read_pattern(path, wavelength)
    composition = {"CdSe": "CdSe-zincblende", "CdS_": "CdS-zincblende", "Pt": platinum}
    material = load_material(next(m for name, m in composition.items() if path.name.startswith(name)))
    r, g = _pair_distribution(path)
    q = np.arange(FIRST_Q, LAST_Q, STEP_INV_ANGSTROM)
    # The last third is tapered: cut off, it would add ripples.
    taper = 0.5 * (1 + np.cos(np.pi * np.clip(3 * r / r[-1] - 2, 0, 1)))
    reduced = np.trapezoid(g * taper * np.sin(np.outer(q, r)), r, axis=1)
    return _counted(q, _intensity(material, q, reduced), path.name)


def _pair_distribution(path: Path) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Distances, Å, and G(r), Å⁻²: the rows of two or more numbers after the header."""
    rows = []
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        if re.match(r"^\s*[-+]?[\d.]+(e[-+]?\d+)?\s", line, re.IGNORECASE):
            rows.append([float(word) for word in line.split()[:2]])
    r, g = np.array(rows).T
    return r, g


def _intensity(
    material: Material, q: NDArray[np.float64], reduced: NDArray[np.float64]
) -> NDArray[np.float64]:
    """I(Q) per atom from F(Q)."""
    factors = np.abs(np.array(form_factors(material, q, 0.5)))
    occupancy = np.array([site.occupancy for site in material.sites])[:, None]
    mean = (occupancy * factors).sum(axis=0) / occupancy.sum()
    squared = (occupancy * factors**2).sum(axis=0) / occupancy.sum()
    return np.asarray(np.maximum(squared + mean**2 * reduced / q, 0.0))


def _counted(q: NDArray[np.float64], intensity: NDArray[np.float64], name: str) -> Pattern:
    expected = PHOTONS * intensity / intensity.mean()
    rng = np.random.default_rng([SEED, *name.encode()])
    counts = rng.poisson(expected).astype(np.float64)
    return Pattern(q, counts, np.sqrt(np.maximum(counts, 1.0)), np.zeros(q.size, bool))


def _up_to(pattern: Pattern, end: float) -> Pattern:
    kept = pattern.q_inv_angstrom <= end
    return Pattern(
        pattern.q_inv_angstrom[kept], pattern.intensity[kept], pattern.sigma[kept], pattern.mask[kept]
    )


def _cells(sizer: Sizer, estimate: SizeEstimate) -> list[str]:
    name = f"{sizer.model.name}"
    if estimate.status is not Status.SIZED:
        return [name, estimate.status.value]
    return [
        name,
        "sized",
        f"{estimate.mass_mean_nm:.2f} ({estimate.mass_mean_low_nm:.2f}–{estimate.mass_mean_high_nm:.2f})",
        f"{estimate.size_nm:.2f} ({estimate.size_low_nm:.2f}–{estimate.size_high_nm:.2f})",
    ]


if __name__ == "__main__":
    main()
