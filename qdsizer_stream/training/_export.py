"""Export of trained networks to model files."""

import logging
import os
import warnings

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from torch import nn

from ..models import (
    CARD_KEY,
    REFERENCES_KEY,
    TEMPLATES_KEY,
    Card,
    SizingModel,
    Templates,
    pack_arrays,
)
from ._update_model_card import packed_templates, write_model

__all__ = ["OPSET", "export_model"]

OPSET = 18
"""ONNX operator set: of 2022, so that older runtimes on beamlines can read it."""


def export_model(
    path: str | os.PathLike[str],
    network: nn.Module,
    card: Card,
    templates: Templates,
    references: NDArray[np.float32],
) -> SizingModel:
    """Write a model file, verify it by loading, and move it into place only if it is valid.

    Parameters
    ----------
    path
        File to write (.onnx); an existing file is replaced.
    network
        Trained network.
    card
        Model card.
    templates
        Curves of the physics check.
    references
        Inputs whose outputs are stored and compared at every load, shape (n, …).

    Returns
    -------
    The model as loaded from the new file.

    Raises
    ------
    ModelError
        The exported graph does not reproduce the outputs of the network.
    """
    network.eval()
    inputs = torch.from_numpy(references)
    with torch.no_grad():
        outputs = network(inputs)
    outputs = outputs if isinstance(outputs, tuple) else (outputs,)
    proto = _graph(network, inputs, len(outputs))
    for key, value in {
        CARD_KEY: card.model_dump_json(),
        TEMPLATES_KEY: packed_templates(templates),
        REFERENCES_KEY: pack_arrays(
            inputs=references, **{f"output_{i}": output.numpy() for i, output in enumerate(outputs)}
        ),
    }.items():
        proto.metadata_props.add(key=key, value=value)
    return write_model(proto, path)


def _graph(network: nn.Module, inputs: torch.Tensor, n_outputs: int) -> onnx.ModelProto:
    with warnings.catch_warnings():
        # The exporter warns about its internals; the reference outputs verify its result.
        warnings.simplefilter("ignore")
        logging.getLogger("torch.onnx").setLevel(logging.ERROR)
        program = torch.onnx.export(
            network,
            (inputs[:2],),
            dynamo=True,
            verbose=False,
            opset_version=OPSET,
            input_names=["vectors"],
            output_names=[f"output_{i}" for i in range(n_outputs)],
            dynamic_shapes=({0: torch.export.Dim("n")},),
        )
    assert program is not None
    proto = program.model_proto
    for node in proto.graph.node:  # removes stack traces with paths of this machine
        del node.metadata_props[:]
    for info in proto.graph.value_info:
        del info.metadata_props[:]
    del proto.graph.metadata_props[:]
    return proto
