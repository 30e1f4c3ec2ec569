"""The seal of a model file: a hash over graph, card, templates and references, kept in the file itself."""

import hashlib

from ..errors import ModelError

__all__ = ["BLANK_SEAL", "SEAL_KEY", "check_seal", "sealed"]

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
