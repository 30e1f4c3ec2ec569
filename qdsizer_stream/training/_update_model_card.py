"""Update of the model card and templates in a model file, without training."""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from ..configuration import validated
from ..errors import ModelError
from ..models import (
    BLANK_SEAL,
    CARD_KEY,
    REFERENCES_KEY,
    SEAL_KEY,
    TEMPLATES_KEY,
    AcceptanceThresholds,
    Card,
    SizingModel,
    Templates,
    interpreted,
    load_model,
    pack_arrays,
    sealed,
    size_with_interval,
    unpack_arrays,
)

__all__ = ["packed_templates", "seal_model", "update_model_card", "write_model"]


def packed_templates(templates: Templates) -> str:
    """Pack templates for the metadata of a model file.

    Parameters
    ----------
    templates
        Curves of the physics check.

    Returns
    -------
    Text, with the curves in single precision: the physics check allows errors of per cents.
    """
    return pack_arrays(**templates.to_arrays())


def update_model_card(
    path: str | os.PathLike[str],
    *,
    templates: Templates | None = None,
    thresholds: AcceptanceThresholds | None = None,
    evaluation: dict[str, float] | None = None,
    **fields: Any,
) -> SizingModel:
    """Replace templates and card fields of a model file, which may be too old to be loaded.

    The network and its reference outputs stay. The file is verified, and replaced only if it is valid.

    Parameters
    ----------
    path
        Model file to update.
    templates
        Curves of the physics check; None keeps those of the file.
    thresholds
        Thresholds of the acceptance checks; None keeps those of the file.
    evaluation
        Results to add to those on the card; results of the same name are replaced.
    **fields
        Other fields of the card, by their name in the file.

    Returns
    -------
    The model as loaded from the new file.

    Raises
    ------
    ModelError
        The file has no card, or the updated file is not valid.
    """
    path = Path(path)
    proto = onnx.load(path)
    metadata = {entry.key: entry for entry in proto.metadata_props}
    if CARD_KEY not in metadata:
        raise ModelError(f"model file {path} has no card: give a file from 'qdsizer-stream train'")
    card = json.loads(metadata[CARD_KEY].value)
    if thresholds is not None:
        card["guard"] = thresholds.model_dump(mode="json")
    card["evaluation"] |= evaluation or {}
    card |= fields
    metadata[CARD_KEY].value = json.dumps(card, ensure_ascii=False)
    if templates is not None:
        metadata[TEMPLATES_KEY].value = packed_templates(templates)
    return write_model(proto, path)


def seal_model(path: str | os.PathLike[str]) -> SizingModel:
    """Seal a model file of an earlier version, whose contents are trusted as they are.

    Parameters
    ----------
    path
        Model file, updated in place.

    Returns
    -------
    The model as loaded from the sealed file.

    Raises
    ------
    ModelError
        The file cannot be read, is not a model file, or does not give its reference answers.
    """
    return update_model_card(path)


def write_model(proto: onnx.ModelProto, path: str | os.PathLike[str]) -> SizingModel:
    """Seal a graph with its metadata, verify it by loading, and move it into place only if it is valid.

    Parameters
    ----------
    proto
        Graph with card, templates and references in its metadata; the sizes of the references and the seal
        are set here.
    path
        File to write; an existing one is replaced.

    Returns
    -------
    The model as loaded from the file.

    Raises
    ------
    ModelError
        The card is invalid, or the graph does not reproduce its references.
    """
    path = Path(path)
    metadata = {entry.key: entry.value for entry in proto.metadata_props}
    try:
        card = validated(Card, json.loads(metadata[CARD_KEY]), "its card")
    except ValueError as error:
        raise ModelError(f"model file {path} cannot be written: {error}") from error
    references = unpack_arrays(metadata[REFERENCES_KEY])
    n = len(references["inputs"])
    outputs = [references[f"output_{k}"] for k in range(sum(key.startswith("output_") for key in references))]
    references["sizes_nm"] = np.array(
        [
            size_with_interval(interpreted(card.output, [output[row] for output in outputs]))
            for row in range(n)
        ]
    )
    _set(proto, REFERENCES_KEY, pack_arrays(**references))
    _set(proto, SEAL_KEY, BLANK_SEAL)
    part = path.with_name(path.name + ".part.onnx")
    try:
        part.write_bytes(sealed(proto.SerializeToString()))
        load_model(str(part))
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)
    return load_model(str(path))


def _set(proto: onnx.ModelProto, key: str, value: str) -> None:
    for entry in proto.metadata_props:
        if entry.key == key:
            entry.value = value
            return
    proto.metadata_props.add(key=key, value=value)
