#!/usr/bin/env bash
# onnx 1.23.2: the version of the file format does not follow from the operators in the file.
#
# Expected: a model that asks for operator set 13 (2020) is written in a file format of that time, so that any
#   ONNX Runtime which knows the operators can read it.
# Seen: `onnx.helper.make_model` writes format (IR) version 14 whatever the operator set, as it is that of the installed onnx
#   package. onnxruntime 1.31.0 refuses the file; 1.32.0 reads it.
# Why it matters: a model file that was written after an update of onnx cannot be read at a beamline that was not updated.
#   Give `ir_version` explicitly.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet onnx==1.23.2 onnxruntime==1.31.0 numpy==2.4.6

cat > "$folder/version.py" << 'PYTHON'
import sys

import onnxruntime
from onnx import TensorProto, helper

graph = helper.make_graph(
    [helper.make_node("Identity", ["x"], ["y"])],
    "identity",
    [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1])],
    [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1])],
)
seen = {}
for opset in (13, 17, 21):
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])
    seen[opset] = model.ir_version
    print(f"operator set {opset}: format version {model.ir_version}")


def read(**settings):
    """Whether ONNX Runtime reads the model of operator set 13."""
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], **settings)
    try:
        onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    except Exception as error:
        print(f"onnxruntime {onnxruntime.__version__}, {settings or 'default'}: {error}")
        return False
    print(f"onnxruntime {onnxruntime.__version__}, {settings or 'default'}: read")
    return True


default, explicit = read(), read(ir_version=10)
sys.exit(not (set(seen.values()) == {14} and not default and explicit))
PYTHON
"$folder/venv/bin/python" "$folder/version.py"
