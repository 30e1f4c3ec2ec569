"""Reading and writing reduced patterns."""

import json
import os
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import __version__
from ..errors import PatternError, PatternFileError
from ..patterns import Pattern, structure_checked, two_theta_from_q

__all__ = ["read_reduced", "write_reduced", "write_xye"]


def write_reduced(
    path: str | os.PathLike[str],
    pattern: Pattern,
    *,
    title: str,
    systematic: Mapping[str, NDArray[np.float64]] | None = None,
    provenance: Mapping[str, Any] | None = None,
) -> None:
    """Write a pattern as NXcanSAS with its mask, systematic errors and provenance.

    Parameters
    ----------
    path
        HDF5 file to write; it appears complete or not at all.
    pattern
        Pattern.
    title
        Title of the pattern.
    systematic
        Standard deviations common to many frames by source, each of shape (n,), as returned by
        `PooledCounts.systematic`.
    provenance
        Description of how it was made, as JSON values, such as `Reducer.provenance()`.
    """
    import h5py

    path = Path(path)
    part = path.with_name(path.name + ".part")
    with h5py.File(part, "w") as file:
        file.attrs["default"] = "entry"
        entry = file.create_group("entry")
        entry.attrs.update(
            {"NX_class": "NXentry", "canSAS_class": "SASentry", "version": "1.1", "default": "data"}
        )
        entry["definition"], entry["title"], entry["run"] = "NXcanSAS", title, path.stem
        data = entry.create_group("data")
        data.attrs.update(
            {
                "NX_class": "NXdata",
                "canSAS_class": "SASdata",
                "signal": "I",
                "axes": "Q",
                "I_axes": "Q",
                "Q_indices": 0,
                "mask": "mask",
                "Mask_indices": 0,
            }
        )
        data["Q"] = pattern.q_inv_angstrom
        data["Q"].attrs["units"] = "1/angstrom"
        data["I"], data["Idev"], data["mask"] = pattern.intensity, pattern.sigma, pattern.mask
        data["I"].attrs.update({"units": "arbitrary", "uncertainties": "Idev"})
        data["Idev"].attrs["units"] = "arbitrary"
        for source, sigma in (systematic or {}).items():
            data[f"Idev_{source}"] = sigma
            data[f"Idev_{source}"].attrs["units"] = "arbitrary"
        process = entry.create_group("process")
        process.attrs.update({"NX_class": "NXprocess", "canSAS_class": "SASprocess"})
        process["program"], process["version"] = "qdsizer_stream", __version__
        process["date"] = datetime.now(UTC).isoformat(timespec="seconds")
        note = process.create_group("note")
        note.attrs["NX_class"] = "NXnote"
        note["type"], note["data"] = "application/json", json.dumps(provenance or {}, sort_keys=True)
    os.replace(part, path)


def read_reduced(path: str | os.PathLike[str]) -> tuple[Pattern, dict[str, Any]]:
    """Read a file written by `write_reduced`.

    Parameters
    ----------
    path
        HDF5 file.

    Returns
    -------
    The pattern and its provenance.

    Raises
    ------
    PatternFileError
        The file is missing, damaged, or not a reduced pattern of this package.
    """
    import h5py

    path = Path(path)
    with structure_checked(path):
        try:
            with h5py.File(path) as file:
                data = file["entry/data"]
                q, intensity, sigma = (data[name][()] for name in ("Q", "I", "Idev"))
                mask, provenance = data["mask"][()].astype(bool), file["entry/process/note/data"][()]
            return Pattern(q, intensity, sigma, mask), json.loads(provenance)
        except OSError as error:
            raise PatternFileError(f"cannot read {path}: {error}") from error
        except KeyError as error:
            raise PatternFileError(
                f"{path} is not a reduced pattern of this package: it must contain entry/data with Q, I, "
                f"Idev and mask, and entry/process/note ({error.args[0]})"
            ) from error
        except PatternError as error:
            raise PatternFileError(f"{path}: {error}") from error


def write_xye(path: str | os.PathLike[str], pattern: Pattern, wavelength_angstrom: float) -> None:
    """Write the usable points of a pattern as 2θ in degrees, intensity, sigma.

    Parameters
    ----------
    path
        File to write; it appears complete or not at all.
    pattern
        Pattern.
    wavelength_angstrom
        Wavelength, Å.

    Raises
    ------
    PatternError
        The wavelength is not that of X-rays, or Q is beyond 4π/λ.
    """
    path = Path(path)
    use = pattern.usable
    angles = two_theta_from_q(pattern.q_inv_angstrom[use], wavelength_angstrom)
    part = path.with_name(path.name + ".part")
    np.savetxt(
        part,
        np.column_stack([angles, pattern.intensity[use], pattern.sigma[use]]),
        fmt="%.10g",
        header=f"two_theta_deg intensity sigma (wavelength {wavelength_angstrom:.10g} angstrom)",
        comments="# ",
    )
    os.replace(part, path)
