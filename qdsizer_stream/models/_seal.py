"""The seal of a model file: a hash over graph, card, templates and references, kept in the file itself."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import ModelError

__all__ = ["BLANK_SEAL", "SEAL_KEY", "check_seal", "read_model_file", "seal_of_arrays", "sealed"]

SEAL_KEY = "qdsizer_stream.seal"
"""Metadata key of the seal."""

PREFIX = "sha256:"

BLANK_SEAL = PREFIX + 64 * "0"
"""Value of `SEAL_KEY` in a file that is about to be sealed. The seal is the hash of the file with this in its
place."""


def sealed(content: bytes) -> bytes:
    """Seal a model file.

    Parameters
    ----------
    content
        File whose metadata holds `BLANK_SEAL`, once.

    Returns
    -------
    The file with its seal.

    Raises
    ------
    ModelError
        The blank seal is missing, or is there more than once.
    """
    blank = BLANK_SEAL.encode()
    if (found := content.count(blank)) != 1:
        raise ModelError(
            f"the file holds {found} blank seals: set the metadata {SEAL_KEY} once to BLANK_SEAL"
        )
    return content.replace(blank, (PREFIX + hashlib.sha256(content).hexdigest()).encode())


def check_seal(content: bytes, seal: str | None, name: str) -> None:
    """Compare a model file with its seal.

    Parameters
    ----------
    content
        The file.
    seal
        Its metadata `SEAL_KEY`; None where it has none.
    name
        Name of the file, for the message.

    Raises
    ------
    ModelError
        The file has no seal, or has changed since it was sealed.
    """
    if seal is None:
        raise ModelError(
            f"model file {name} has no seal: an earlier version wrote it, or it is damaged. If you trust it, "
            f"seal it with: qdsizer-stream models seal {name}"
        )
    blank = content.replace(seal.encode(), BLANK_SEAL.encode())
    found = PREFIX + hashlib.sha256(blank).hexdigest()
    if found != seal:
        raise ModelError(
            f"model file {name} is damaged: graph, card, templates or references have changed since it was "
            f"sealed ({found[: len(PREFIX) + 12]}… instead of {seal[: len(PREFIX) + 12]}…). Copy it again"
        )


def seal_of_arrays(arrays: Mapping[str, NDArray[Any]]) -> str:
    """Seal of a model file that holds arrays alone, whose own checksums do not allow one to be replaced.

    Parameters
    ----------
    arrays
        All arrays of the file by name, but the seal.

    Returns
    -------
    Hash of names, types, shapes and values.
    """
    hashed = hashlib.sha256()
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        hashed.update(f"{name} {array.dtype.str} {array.shape} ".encode())
        hashed.update(array.tobytes())
    return PREFIX + hashed.hexdigest()


def read_model_file(path: Path) -> tuple[bytes, str]:
    """Read a model file.

    Parameters
    ----------
    path
        File.

    Returns
    -------
    Its bytes and their hash, hexadecimal.

    Raises
    ------
    ModelError
        The file cannot be read.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ModelError(f"cannot read model file {path}: {error.strerror}") from error
    return content, hashlib.sha256(content).hexdigest()
