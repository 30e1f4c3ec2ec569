#!/usr/bin/env bash
# NumPy 2.4.6: a sum over one item of a batch has other bits than the same item alone, if its columns were picked by an index array.
#
# Expected: a[:, :, index] is a new array in C order, so that what is summed for item 0 does not depend on how many items follow.
# Seen: the result has the axis of the index outermost in memory, so the values of item 0 lie between those of the others, and
#   sum(axis=(1, 2)) adds them in an order that depends on the number of items: the last bits differ. a.take(index, axis=2)
#   gives the same values in C order, and item 0 has the same bits in any batch.
# Why it matters: frames that are sized in blocks must get the bits that they get alone, or a replay differs from the live run.
#   Columns are picked with take.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet numpy==2.4.6

cat > "$folder/order.py" << 'PYTHON'
import sys

import numpy as np

rng = np.random.default_rng(0)
batch = rng.standard_normal((8, 5, 400))
columns = np.flatnonzero(rng.random(400) < 0.7)


def same(pick):
    together, alone = pick(batch), pick(batch[:1])
    print(f"strides of 8 items {together.strides}, of one {alone.strides}", end="; ")
    return np.array_equal(together.sum(axis=(1, 2))[0], alone.sum(axis=(1, 2))[0])


seen = []
for name, pick in {
    "a[:, :, index]": lambda a: a[:, :, columns],
    "a.take(index, axis=2)": lambda a: a.take(columns, axis=2),
}.items():
    print(f"{name}: ", end="")
    seen.append(same(pick))
    print("same bits alone and in a batch" if seen[-1] else "other bits in a batch")
sys.exit(seen != [False, True])
PYTHON
"$folder/venv/bin/python" "$folder/order.py"
