#!/usr/bin/env bash
# xraydb 4.5.8: the attenuation of carbon monoxide is that of cobalt, without a warning.
#
# Expected: material_mu takes a chemical formula, so "CO" is one carbon and one oxygen, as chemparse reads it.
# Seen: names of known materials are compared without case before a formula is read, and some element symbols are among them.
#   "CO" is then cobalt, 39 times as absorbing at 22 keV. "OS", "SN" and "SI" are osmium, tin and silicon as well, but "NO",
#   "HF" and "CS" are read as formulas: trying a few shows no rule.
# Why it matters: the beam path of an in-situ cell may hold carbon monoxide. Formulas are parsed by chemparse here, and the
#   elements are summed.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet xraydb==4.5.8 numpy==2.4.6 scipy==1.17.1

cat > "$folder/co.py" << 'PYTHON'
import sys

import xraydb

ENERGY_EV, DENSITY = 22_000.0, 1.145e-3  # g/cm³, carbon monoxide at room temperature
as_formula = sum(
    n * xraydb.atomic_mass(e) * xraydb.mu_elam(e, ENERGY_EV) for e, n in xraydb.chemparse("CO").items()
) / sum(n * xraydb.atomic_mass(e) for e, n in xraydb.chemparse("CO").items())
asked = xraydb.material_mu("CO", ENERGY_EV, density=DENSITY) / DENSITY
cobalt = xraydb.mu_elam("Co", ENERGY_EV)
oxide = xraydb.material_mu("NO", ENERGY_EV, density=DENSITY) / DENSITY
print(f'chemparse("CO") summed:  {as_formula:7.3f} cm²/g')
print(f'material_mu("CO"):       {asked:7.3f} cm²/g')
print(f"cobalt:                  {cobalt:7.3f} cm²/g")
print(f'material_mu("NO"):       {oxide:7.3f} cm²/g')
sys.exit(not (abs(asked / cobalt - 1) < 1e-3 and as_formula < 1 and oxide < 1))
PYTHON
"$folder/venv/bin/python" "$folder/co.py"
