"""Identity of a sizer: another process loads one that gives the same numbers."""

from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256

from ...errors import ModelError
from .. import Sizer, SizingConfig

__all__ = ["SizerIdentity", "identity", "sizer_of"]

SIZERS_KEPT = 4
"""Sizers kept loaded: one for each open run that overrides settings, of which there are few."""


@dataclass(frozen=True)
class SizerIdentity:
    """Settings of a sizer and the content of the files it was made from; much smaller than the sizer."""

    settings: str
    """Its `SizingConfig`, as JSON."""
    sha256: tuple[str, ...]
    """Hashes of the model, the files of the reduction, the solvent and the width of the instrument."""


@lru_cache(SIZERS_KEPT)
def identity(sizer: Sizer) -> SizerIdentity:
    """Compute the identity of a sizer.

    Parameters
    ----------
    sizer
        The sizer.

    Returns
    -------
    Its identity.

    Raises
    ------
    OSError
        The file of its solvent is gone.
    """
    hashes = [sizer.model.sha256]
    if sizer.reducer is not None:
        hashes += sizer.reducer.provenance()["sha256"].values()  # in the order of the settings
    if sizer.config.solvent is not None:
        hashes.append(sha256(sizer.config.solvent.read_bytes()).hexdigest())
    if sizer.instrument is not None:  # as it was read: its file may have changed since
        hashes.append(sha256(sizer.instrument.model_dump_json().encode()).hexdigest())
    return SizerIdentity(sizer.config.model_dump_json(), tuple(hashes))


@lru_cache(SIZERS_KEPT)
def sizer_of(wanted: SizerIdentity) -> Sizer:
    """Load a sizer.

    Parameters
    ----------
    wanted
        Identity of a sizer of another process.

    Returns
    -------
    One that gives the same numbers.

    Raises
    ------
    ModelError
        A file has changed since the other process read it.
    QdsizerError
        As the constructor of `Sizer`.
    """
    sizer = Sizer(SizingConfig.model_validate_json(wanted.settings))
    if identity(sizer).sha256 != wanted.sha256:
        raise ModelError(
            f"model {sizer.config.model!r}, a file of the reduction, the solvent or the instrument has "
            "changed on disk since the session began: make a new live sizer, so that the sizes state "
            "what they were made with"
        )
    return sizer
