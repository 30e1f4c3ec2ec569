"""Update of the model card and templates in a model file, without training."""

import json
import os
from pathlib import Path
from typing import Any

import onnx

from ..errors import ModelError
from ..models import (
    CARD_KEY,
    TEMPLATES_KEY,
    AcceptanceThresholds,
    SizingModel,
    Templates,
    load_model,
    pack_arrays,
)

__all__ = ["packed_templates", "update_model_card"]


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
    part = path.with_name(path.name + ".part.onnx")
    try:
        part.write_bytes(proto.SerializeToString())
        load_model(str(part))
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)
    return load_model(str(path))
