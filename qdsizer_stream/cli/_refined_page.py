"""The page with the refinement of the newest frame of a run."""

import base64
import io
import math
import threading
from html import escape
from typing import TYPE_CHECKING

import numpy as np

from ..errors import PatternError
from ._refine import draw_fit, fit_values

if TYPE_CHECKING:
    from ..callbacks import SynthesisRecord
    from ..patterns import Pattern

__all__ = ["RefinedPages"]

STYLE = """
body { font-family: sans-serif; max-width: 75em; margin: 1em auto; padding: 0 1em; color: #000 }
table { border-collapse: collapse } td, th { padding: 0.2em 1em 0.2em 0; border-bottom: 1px solid #ccc }
th { text-align: left; font-weight: normal } td { text-align: right } img { max-width: 100%; height: auto }
"""


class RefinedPages:
    """Refines the newest frame of a run when a browser asks for it: one at a time, each frame once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._made: tuple[tuple[str, int], str] | None = None

    def __call__(self, record: "SynthesisRecord") -> str:
        """Make the page.

        Parameters
        ----------
        record
            State of the run, which does not change.

        Returns
        -------
        A whole HTML page with the picture in it.

        Raises
        ------
        PatternError
            No frame of the run has a pattern yet, or it cannot be fitted.
        PhysicsError
            The material of the model is not in the package.
        """
        number = next((one.seq_num for one in reversed(record.frames) if one.signal_sd.size), 0)
        asked = (record.run, number)
        with self._lock:
            if self._made is None or self._made[0] != asked:
                self._made = asked, _page(record, number)
            return self._made[1]


def _page(record: "SynthesisRecord", number: int) -> str:
    from ..fitting import refine

    examination, settings = record.newest, record.configuration
    if examination is None or examination.binned is None:
        raise PatternError("no frame of this run has a pattern yet: wait for the next one")
    pattern = examination.binned
    wavelength = float(settings.get("qdsizer_wavelength", math.nan))
    known = wavelength if wavelength > 0 else None  # NaN where each event has its own
    refined = refine(
        pattern,
        material=str(settings["qdsizer_material"]),
        wavelength=known,
        fwhm_deg=_fwhm_deg(examination.estimate.resolution_inv_angstrom, pattern, known),
        averaged_inv_angstrom=float(np.median(np.diff(pattern.q_inv_angstrom))),
    )
    title = f"{record.sample or 'run'} {record.run[:8]}, frame {number}".strip()
    picture = io.BytesIO()
    draw_fit(title, refined, picture)
    whole, literature = fit_values(refined.fit), fit_values(refined.literature)
    cells = ((name, value, literature.get(name, "–")) for name, value in whole.items())
    rows = "".join(
        f"<tr><th>{escape(name)}</th><td>{escape(value)}</td><td>{escape(other)}</td></tr>"
        for name, value, other in cells
    )
    notes = "".join(f"<li>{escape(note)}</li>" for note in refined.notes)
    encoded = base64.b64encode(picture.getvalue()).decode()
    return (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f"<style>{STYLE}</style></head><body><h1>{escape(title)}</h1><p>{escape(str(refined))}</p>"
        f'<img alt="measured and fitted intensity" src="data:image/png;base64,{encoded}">'
        "<table><tr><th>parameter</th><td>all physics</td><td>literature</td></tr>"
        f"{rows}</table><ul>{notes}</ul></body></html>\n"
    )


def _fwhm_deg(resolution: float, pattern: "Pattern", wavelength: float | None) -> float:
    """Width of the instrument in 2θ in the middle of the pattern; 0 where it was not declared."""
    if wavelength is None or not resolution > 0:
        return 0.0
    middle = float(np.median(pattern.q_inv_angstrom[pattern.usable]))
    cosine = math.sqrt(max(1 - (middle * wavelength / (4 * math.pi)) ** 2, 0.0))
    return math.degrees(resolution * wavelength / (2 * math.pi * cosine)) if cosine > 0 else 0.0
