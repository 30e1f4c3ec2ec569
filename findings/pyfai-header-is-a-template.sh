#!/usr/bin/env bash
# pyFAI 2026.9.0: a file with errors has an unfilled template for its column names, and its unit is nowhere.
#
# Expected: `integrate1d(..., filename=..., unit="q_A^-1", error_model="poisson")` writes a header that ends with the names of
#   the columns: q_A^-1, I, sigma. Without errors it does: `#q_A^-1  I`.
# Seen: the last line of the header is literally `#{str(dim1_unit):14s}  {'I':14s}  {'sigma':14s}`. No other line of the file
#   names the unit of the first column.
# Why it matters: whether the first column is Q in 1/Å, Q in 1/nm or 2θ cannot be determined from the file. A reader has to
#   ask, or guess from the range of the numbers; this package asks.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet numpy==2.4.6 pyFAI==2026.9.0

cat > "$folder/header.py" << 'PYTHON'
import sys
from pathlib import Path

import numpy as np
from pyFAI.detectors import Detector
from pyFAI.integrator.azimuthal import AzimuthalIntegrator

integrator = AzimuthalIntegrator(
    dist=0.1,
    poni1=0.01,
    poni2=0.01,
    detector=Detector(1e-4, 1e-4, max_shape=(200, 200)),
    wavelength=0.5637e-10,
)
image = np.random.default_rng(0).poisson(100, (200, 200)).astype(float)


def header(error_model):
    """Lines of the header of a file written with this error model."""
    path = Path(sys.argv[1]) / f"{error_model}.dat"
    integrator.integrate1d(image, 50, filename=str(path), unit="q_A^-1", error_model=error_model)
    return [line for line in path.read_text().splitlines() if line.startswith("#")]


without, with_errors = header(None), header("poisson")
print("without errors:", without[-1])
print("with errors:   ", with_errors[-1])
print("lines with the unit:", sum("q_A" in line for line in without), "and", sum("q_A" in line for line in with_errors))
sys.exit(not ("q_A^-1" in without[-1] and "{str(" in with_errors[-1] and not any("q_A" in x for x in with_errors)))
PYTHON
"$folder/venv/bin/python" "$folder/header.py" "$folder" 2> "$folder/log" || { cat "$folder/log"; exit 1; }
