"""Checkpoints: the saved state of a training, identified by the hash of its recipe."""

import os
import pickle
from pathlib import Path
from typing import Any, Self

import torch

from ..errors import ModelError

__all__ = ["Checkpoint"]

FORMAT = "qdsizer_stream checkpoint 1"
"""Format identifier in every checkpoint; its number increases when the layout changes."""


class Checkpoint:
    """File with the complete state of a training; it does not exist before the first save.

    A state consists of tensors, numbers, strings, lists and dictionaries. Reading it never executes code
    from the file.

    Parameters
    ----------
    path
        File of the checkpoint.
    recipe_sha256
        Hash of the recipe, and of everything else on which the result depends.
    """

    def __init__(self, path: str | os.PathLike[str], recipe_sha256: str) -> None:
        self.path = Path(path)
        """File of the checkpoint."""
        self._recipe_sha256 = recipe_sha256

    @classmethod
    def beside(cls, model: str | os.PathLike[str], recipe_sha256: str) -> Self:
        """Checkpoint of the training of a model file.

        Parameters
        ----------
        model
            Model file that the training will write.
        recipe_sha256
            Hash of the recipe.

        Returns
        -------
        The checkpoint, in the folder of the model file.
        """
        model = Path(model)
        return cls(model.with_name(model.name + ".checkpoint"), recipe_sha256)

    def load(self) -> dict[str, Any] | None:
        """Read the state.

        Returns
        -------
        The saved state; None if nothing has been saved yet.

        Raises
        ------
        ModelError
            The file is damaged, not a checkpoint, or belongs to another recipe.
        """
        if not self.path.exists():
            return None
        try:
            content = torch.load(self.path, map_location="cpu", weights_only=True)
        except (OSError, EOFError, RuntimeError, ValueError, pickle.UnpicklingError) as error:
            raise ModelError(
                f"checkpoint {self.path} is damaged or not a checkpoint: delete it, or train with --no-resume"
            ) from error
        if not isinstance(content, dict) or content.get("format") != FORMAT:
            raise ModelError(
                f"{self.path} is not a {FORMAT!r}: delete it, or train with --no-resume to start again"
            )
        found = content["recipe_sha256"]
        if found != self._recipe_sha256:
            raise ModelError(
                f"checkpoint {self.path} belongs to recipe {found[:12]}…, this recipe is "
                f"{self._recipe_sha256[:12]}…: resume with the recipe of the checkpoint, "
                "give another --out, or train with --no-resume"
            )
        state: dict[str, Any] = content["state"]
        return state

    def save(self, state: dict[str, Any]) -> None:
        """Replace the saved state; the file is written completely or not at all.

        Parameters
        ----------
        state
            Tensors, numbers, strings, lists and dictionaries; NumPy arrays are not allowed.
        """
        part = self.path.with_name(self.path.name + ".part")
        content = {"format": FORMAT, "recipe_sha256": self._recipe_sha256, "state": state}
        try:
            with part.open("wb") as file:
                torch.save(content, file)
                file.flush()
                os.fsync(file.fileno())
            os.replace(part, self.path)
        finally:
            part.unlink(missing_ok=True)

    def discard(self) -> None:
        """Delete the file if it exists."""
        self.path.unlink(missing_ok=True)
