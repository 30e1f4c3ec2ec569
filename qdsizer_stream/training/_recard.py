"""New templates and limits for a model file, without training it again."""

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

__all__ = ["packed_templates", "recard"]


def packed_templates(templates: Templates) -> str:
    """Pack templates for the metadata of a model file.

    Parameters
    ----------
    templates
        Curves of the physics check.

    Returns
    -------
    Text, the curves in single precision: they are granted errors of per cents.
    """
    return pack_arrays(**templates.to_arrays())


def recard(
    path: Path,
    *,
    templates: Templates | None = None,
    thresholds: AcceptanceThresholds | None = None,
    evaluation: dict[str, float] | None = None,
    **fields: Any,
) -> SizingModel:
    """Put new templates and card fields into a model file, which may be too old to be loaded.

    The network and its reference answers stay; the file appears whole and verified, or not at all.

    Parameters
    ----------
    path
        Model file, replaced.
    templates
        Curves of the physics check; None keeps those of the file.
    thresholds
        Thresholds of the acceptance checks; None keeps those of the file.
    evaluation
        Results that join those on the card, in place of any of the same name.
    **fields
        Other fields of the card.

    Returns
    -------
    The model as loaded from the new file.

    Raises
    ------
    ModelError
        The file has no card, or what would come out cannot be loaded.
    """
    proto = onnx.load(path)
    metadata = {entry.key: entry for entry in proto.metadata_props}
    if CARD_KEY not in metadata:
        raise ModelError(f"model file {path} has no card: it was not made by 'qdsizer-stream train'")
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
