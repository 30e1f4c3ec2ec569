"""Model files: one ONNX graph with its card, templates and reference answers in its metadata."""

import base64
import io
import json
import os
import zipfile
from collections.abc import Sequence
from importlib.metadata import EntryPoint, entry_points
from importlib.resources import files
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from .._notebook import html_table
from ..configuration import validated
from ..errors import ModelError
from ..patterns import Pattern, bin_pattern, paper_vector
from ._answer import Answer, interpreted, size_with_interval, upper_widening, with_widening
from ._card import BinnedInput, Card, ClassOutput, PaperInput
from ._input import N_CHANNELS, WIDTH_LIMITS_INV_ANGSTROM, binned_vector, width_channel
from ._newest import Newest
from ._seal import SEAL_KEY, check_seal, read_model_file
from ._templates import Templates

__all__ = [
    "CARD_KEY",
    "FIT_SUFFIX",
    "REFERENCES_KEY",
    "REFERENCE_TOLERANCE",
    "TEMPLATES_KEY",
    "SizingModel",
    "load_model",
    "model_names",
    "pack_arrays",
    "unpack_arrays",
]

CARD_KEY = "qdsizer_stream.card"
"""Metadata key of the card, JSON."""
TEMPLATES_KEY = "qdsizer_stream.templates"
"""Metadata key of the templates, packed arrays."""
REFERENCES_KEY = "qdsizer_stream.references"
"""Metadata key of reference inputs and outputs, packed arrays."""

FIT_SUFFIX = ".npz"
"""Ending of the files of models without a network."""

ENTRY_POINT_GROUP = "qdsizer_stream.models"
"""Entry points by which other packages offer models: each gives the path of a model file."""

SIZE_TOLERANCE = 2e-3
"""Largest relative difference of a reference size or of an end of its interval: `REFERENCE_TOLERANCE` in all
outputs of the network moves them by less."""

TRAINED_WIDTH_INV_ANGSTROM = 0.008
"""Width of the instrument in the training of models that do not take it: up to 0.04° at 0.56 Å."""

MAX_WIDTHS = 4
"""Widths of the instrument whose channel is kept: a run has its own, or none and a plausible one."""

REFERENCE_TOLERANCE = 1e-3
"""Largest difference of a reference output, in network units, at most 0.05 % of a size: two runtimes of one
graph with a Fourier transform in float32 were found 0.00015 apart, and CPUs differ as well."""


def pack_arrays(**arrays: NDArray[Any]) -> str:
    """Pack arrays into text for the metadata of a model file.

    Parameters
    ----------
    **arrays
        Arrays by name.

    Returns
    -------
    Base64 of a compressed NumPy archive without pickles.
    """
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **arrays)
    return base64.b64encode(buffer.getvalue()).decode("ascii")


def unpack_arrays(text: str) -> dict[str, NDArray[Any]]:
    """Unpack arrays from the metadata of a model file.

    Parameters
    ----------
    text
        Text from `pack_arrays`.

    Returns
    -------
    Arrays by name.
    """
    with np.load(io.BytesIO(base64.b64decode(text, validate=True)), allow_pickle=False) as archive:
        return {name: archive[name] for name in archive.files}


class SizingModel:
    """A trained network with its card, ready to answer; make it with `load_model`.

    Parameters
    ----------
    path
        Model file.

    Raises
    ------
    ModelError
        The file is missing, damaged, not made by this package, of another format version, or does not give
        its reference answers on this machine.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        path = Path(path)
        content, self.sha256 = read_model_file(path)
        self.path = path
        """Model file."""
        """Hash of the file, hexadecimal."""
        options = onnxruntime.SessionOptions()
        # A live sizer shares its cores with the plan: one thread, which also fixes the order of sums.
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        try:
            # By its path, since a session keeps the bytes that it is given; the seal shows whether the file
            # has changed since they were read.
            self._session = onnxruntime.InferenceSession(
                os.fspath(path), options, providers=["CPUExecutionProvider"]
            )
            metadata = self._session.get_modelmeta().custom_metadata_map
        except Exception as error:  # the runtime has no common class for its errors
            raise ModelError(f"model file {path} is damaged or not ONNX: {error}") from error
        if CARD_KEY not in metadata:
            raise ModelError(f"model file {path} has no card: it was not made by 'qdsizer-stream train'")
        check_seal(content, metadata.get(SEAL_KEY), str(path))
        try:
            self.card = validated(Card, json.loads(metadata[CARD_KEY]), "its card")
            """Contents of the card."""
            self.templates = Templates.from_arrays(unpack_arrays(metadata[TEMPLATES_KEY]))
            """Curves of the physics check."""
            references = unpack_arrays(metadata[REFERENCES_KEY])
        except (KeyError, TypeError, ValueError, OSError, zipfile.BadZipFile) as error:
            raise ModelError(f"model file {path} is damaged or of another version: {error}") from error
        self._input = self._session.get_inputs()[0].name
        self._width_channels: Newest[NDArray[np.float64]] = Newest(MAX_WIDTHS)
        self.n_references = len(references["inputs"])
        """Number of inputs whose answers the file holds, all of them checked."""
        self.reference_error = self._verify(references)
        """Largest difference between an answer and that in the file, in network units."""
        self.answers_blocks = isinstance(self.card.input, BinnedInput) and self._rounds_alike(
            references["inputs"]
        )
        """Whether several patterns at once give the answers of single ones, to the last bit."""

    def __repr__(self) -> str:
        low, high = self.card.size_range_nm
        return (
            f"<SizingModel {self.name}: {self.card.material}, {low:g}–{high:g} nm, answers with "
            f"{self.card.output.kind}, sha256 {self.sha256[:12]}>"
        )

    def _repr_html_(self) -> str:
        card = self.card
        (low, high), (strain_low, strain_high) = card.size_range_nm, card.strain_range
        return html_table(
            f"{card.name}: {card.description}",
            {
                "material": f"{card.material}, lattice parameter {card.lattice_parameter_angstrom:g} Å",
                "sizes": f"{low:g}–{high:g} nm",
                "strains": f"{strain_low:+.2%} to {strain_high:+.2%}",
                "input": card.input.kind,
                "output": card.output.kind,
                "file": str(self.path),
                "sha256": self.sha256,
            },
        )

    @property
    def name(self) -> str:
        """Name of the model."""
        return self.card.name

    def answer(self, pattern: Pattern, resolution_inv_angstrom: NDArray[np.float64] | None = None) -> Answer:
        """Run the network on one pattern.

        Parameters
        ----------
        pattern
            Pattern with any spacing.
        resolution_inv_angstrom
            As in `answer_binned`.

        Returns
        -------
        Answer of the network, before any acceptance check.

        Raises
        ------
        PatternError
            The pattern cannot be standardized.
        """
        match self.card.input:
            case PaperInput(grid=grid):
                return self._answer(paper_vector(pattern, grid))
            case BinnedInput(grid=grid):
                return self.answer_binned(bin_pattern(pattern, grid), resolution_inv_angstrom)

    def answer_binned(
        self, binned: Pattern, resolution_inv_angstrom: NDArray[np.float64] | None = None
    ) -> Answer:
        """Run the network on one pattern that is already on the bins of the model.

        Parameters
        ----------
        binned
            Pattern on the bins of the card.
        resolution_inv_angstrom
            Full width at half maximum of the instrument at each bin, Å⁻¹, shape (n_bins,); None for a perfect
            one. Models whose card does not require it ignore it.

        Returns
        -------
        Answer of the network, before any acceptance check.
        """
        assert isinstance(self.card.input, BinnedInput)
        grid, width = self.card.input.grid, None
        if self.card.input.resolution:
            width = np.zeros(grid.n_bins) if resolution_inv_angstrom is None else resolution_inv_angstrom
        return self._answer(binned_vector(binned, grid, width))

    def answers_binned(
        self, binned: Pattern, resolutions_inv_angstrom: Sequence[NDArray[np.float64] | None]
    ) -> list[Answer]:
        """Run the network on one pattern for several widths of the instrument, all at once.

        Parameters
        ----------
        binned
            Pattern on the bins of the card.
        resolutions_inv_angstrom
            Widths, each as in `answer_binned`; the card specifies them.

        Returns
        -------
        Answers in the order of the widths.
        """
        return self.answers_block([(binned, resolutions_inv_angstrom)])[0]

    def answers_block(
        self, frames: Sequence[tuple[Pattern, Sequence[NDArray[np.float64] | None]]]
    ) -> list[list[Answer]]:
        """Run the network on several patterns, each for several widths of the instrument, all at once.

        Parameters
        ----------
        frames
            Patterns on the bins of the card, each with widths as in `answer_binned`; more than one width only
            where the card asks for them.

        Returns
        -------
        For each pattern the answers in the order of its widths. With `answers_blocks` they are those of
        single patterns, to the last bit.
        """
        assert isinstance(self.card.input, BinnedInput)
        grid = self.card.input.grid
        n_vectors = sum(len(widths) for _, widths in frames)
        if not n_vectors:
            return []
        n_channels = N_CHANNELS + self.card.input.resolution
        vectors = np.empty((n_vectors, n_channels, grid.n_bins), np.float32)
        rows = iter(vectors)
        for binned, widths in frames:
            common = binned_vector(binned, grid)
            for width in widths:
                vector = next(rows)
                vector[:N_CHANNELS] = common
                if self.card.input.resolution:
                    vector[N_CHANNELS] = self._width_channel(width)
        outputs = self._run(vectors)
        numbers = iter(range(n_vectors))
        return [
            [
                interpreted(self.card.output, [output[row] for output in outputs])
                for row in islice(numbers, len(widths))
            ]
            for _, widths in frames
        ]

    def _width_channel(self, width_inv_angstrom: NDArray[np.float64] | None) -> NDArray[np.float64]:
        """Channel of a width; the newest ones are kept, since a run has the same one or two in each frame."""
        assert isinstance(self.card.input, BinnedInput)
        n_bins = self.card.input.grid.n_bins

        def computed() -> NDArray[np.float64]:
            return width_channel(np.zeros(n_bins) if width_inv_angstrom is None else width_inv_angstrom)

        key = None if width_inv_angstrom is None else width_inv_angstrom.tobytes()
        return self._width_channels.get(key, computed)

    def allow_for_channels(self, answer: Answer, binned: Pattern) -> Answer:
        """Raise the upper ends of the intervals by what wide detector channels may hide.

        Parameters
        ----------
        answer
            Answer of this model for the pattern.
        binned
            The pattern on the bins of the physics check.

        Returns
        -------
        The answer, its intervals no narrower; unchanged where the model takes the paper's vector.
        """
        if not isinstance(self.card.input, BinnedInput):
            return answer
        usable = binned.usable
        n_apart, n_neighbours = np.count_nonzero(usable) - 1, np.count_nonzero(usable[1:] & usable[:-1])
        if (
            n_apart < 1 or 2 * n_neighbours > n_apart
        ):  # nearly always: most are no further apart than the bins
            return answer
        apart = float(np.median(np.diff(np.flatnonzero(usable))))
        step = self.card.input.grid.q_step_inv_angstrom
        return with_widening(answer, upper_widening(answer.size_nm, apart * step, step))

    @property
    def takes_resolution(self) -> bool:
        """Whether the network takes the width of the instrument."""
        return isinstance(self.card.input, BinnedInput) and self.card.input.resolution

    @property
    def trained_width_inv_angstrom(self) -> float:
        """Width of the instrument, FWHM, that the network allows for without being given it, Å⁻¹."""
        return WIDTH_LIMITS_INV_ANGSTROM[0] if self.takes_resolution else TRAINED_WIDTH_INV_ANGSTROM

    def _answer(self, vector: NDArray[np.float32]) -> Answer:
        return self._interpreted(self._run(vector[None]))

    def _interpreted(self, outputs: list[NDArray[np.float32]]) -> Answer:
        return interpreted(self.card.output, [output[0] for output in outputs])

    def _run(self, vectors: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        return list(self._session.run(None, {self._input: vectors}))

    def _verify(self, references: dict[str, NDArray[Any]]) -> float:
        """Compare the outputs of the network, and the sizes and intervals that follow from them."""
        worst = 0.0
        for row, vector in enumerate(references["inputs"]):
            for index, found in enumerate(self._run(vector[None])):
                expected = references[f"output_{index}"][row]
                error = float(np.max(np.abs(found[0] - expected)))
                if not error <= REFERENCE_TOLERANCE:
                    raise ModelError(
                        f"model file {self.path} differs from its reference answers by {error:.3g} "
                        f"(threshold {REFERENCE_TOLERANCE:g}): the file or the ONNX Runtime here is damaged"
                    )
                worst = max(worst, error)
            size = size_with_interval(self._interpreted(self._run(vector[None])))
            expected = references["sizes_nm"][row]
            # A classifier's size and quantiles are steps: an output on the edge of one may fall either way.
            step_nm = self.card.output.step_nm if isinstance(self.card.output, ClassOutput) else 0.0
            if not np.allclose(size, expected, rtol=SIZE_TOLERANCE, atol=step_nm):
                raise ModelError(
                    f"model file {self.path} gives {_text_nm(size)} for a reference input, but its author "
                    f"found {_text_nm(expected)}: this version of the package or of ONNX Runtime differs"
                )
        return worst

    def _rounds_alike(self, vectors: NDArray[np.float32]) -> bool:
        """Whether this build of ONNX Runtime gives the same bits for inputs alone and together."""
        together = self._run(np.concatenate([vectors, vectors[::-1]]))
        return all(
            np.array_equal(many[row], alone[0])
            for row, vector in enumerate(vectors)
            for many, alone in zip(together, self._run(vector[None]), strict=True)
        )

    def to_dict(self) -> dict[str, Any]:
        """Describe the model for people and documents.

        Returns
        -------
        Name, hash, path and card, ready for JSON.
        """
        return {
            "name": self.name,
            "sha256": self.sha256,
            "path": str(self.path),
            "card": self.card.model_dump(mode="json"),
        }


def _text_nm(size: NDArray[np.float64]) -> str:
    return "{:.3f} nm [{:.3f}, {:.3f}]".format(*size)


def _shipped() -> dict[str, Path]:
    folder = Path(str(files(__package__) / "shipped"))
    return {path.stem: path for path in sorted(folder.glob("*.onnx"), key=lambda path: path.stem)}


def _offered() -> dict[str, EntryPoint]:
    """Models of other packages, which are not imported until their model is loaded."""
    return {point.name: point for point in entry_points(group=ENTRY_POINT_GROUP)}


def _offered_path(point: EntryPoint) -> Path:
    try:
        return Path(point.load())
    except Exception as error:  # the import of another package may raise anything
        owner = "its package" if point.dist is None else point.dist.name
        raise ModelError(
            f"model {point.name!r} is offered by {owner} as {point.value!r}, which is not a path: {error}"
        ) from error


def model_names() -> list[str]:
    """List the models that can be loaded by name.

    Returns
    -------
    Names, those of this package first; another package cannot replace them.
    """
    return list(dict.fromkeys([*_shipped(), *_offered()]))


def load_model(name_or_path: str | os.PathLike[str]) -> SizingModel:
    """Load a model.

    Parameters
    ----------
    name_or_path
        Name as in `model_names`, or path of a model file.

    Returns
    -------
    The model.

    Raises
    ------
    ModelError
        There is no such model, or its file fails a check.
    """
    shipped, offered = _shipped(), _offered()
    name = name_or_path if isinstance(name_or_path, str) else None
    if name in shipped:
        return SizingModel(shipped[name])
    if name in offered:
        return _from_file(_offered_path(offered[name]))
    path = Path(name_or_path)
    if path.suffix not in (".onnx", FIT_SUFFIX) and not path.exists():
        raise ModelError(
            f"model {str(name_or_path)!r} is unknown: choose "
            f"{', '.join(model_names()) or '(none is installed)'} or give the path of a model file (.onnx, "
            f"{FIT_SUFFIX})"
        )
    return _from_file(path)


def _from_file(path: Path) -> SizingModel:
    """Load a network, or templates to fit."""
    from ._fit_model import FitModel  # which is a kind of the model above

    return FitModel(path) if path.suffix == FIT_SUFFIX else SizingModel(path)
