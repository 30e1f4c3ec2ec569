"""Checkpoints: the state of a training that was interrupted, under the hash of its recipe."""

import os
import pickle
from pathlib import Path
from typing import Any, Self

import torch

from ..errors import ModelError

__all__ = ["Checkpoint"]

FORMAT = "qdsizer_stream checkpoint 1"
"""First words of every checkpoint; the number rises when the layout changes."""


class Checkpoint:
    """One file that holds the whole state of a training, or nothing yet.

    A state is made of tensors, numbers, strings, lists and dictionaries. It is read without running any
    code that the file may hold.

    Parameters
    ----------
    path
        File of the checkpoint.
    recipe_sha256
        Hash of the recipe that is trained, and of whatever else the result depends on.
    """

    def __init__(self, path: Path, recipe_sha256: str) -> None:
        self.path = path
        """File of the checkpoint."""
        self._recipe_sha256 = recipe_sha256

    @classmethod
    def beside(cls, model: Path, recipe_sha256: str) -> Self:
        """The checkpoint of a training that ends in a model file.

        Parameters
        ----------
        model
            Model file to be written.
        recipe_sha256
            Hash of the recipe.

        Returns
        -------
        The checkpoint, in the folder of the model.
        """
        return cls(model.with_name(model.name + ".checkpoint"), recipe_sha256)

    def load(self) -> dict[str, Any] | None:
        """Read the state.

        Returns
        -------
        The state as saved; None where nothing was saved yet.

        Raises
        ------
        ModelError
            The file is damaged, no checkpoint, or of another recipe.
        """
        if not self.path.exists():
            return None
        try:
            content = torch.load(self.path, map_location="cpu", weights_only=True)
        except (OSError, EOFError, RuntimeError, ValueError, pickle.UnpicklingError) as error:
            raise ModelError(
                f"checkpoint {self.path} is damaged or no checkpoint: delete it, or train with --no-resume"
            ) from error
        if not isinstance(content, dict) or content.get("format") != FORMAT:
            raise ModelError(
                f"{self.path} is no {FORMAT!r}: delete it, or train with --no-resume to begin anew"
            )
        found = content["recipe_sha256"]
        if found != self._recipe_sha256:
            raise ModelError(
                f"checkpoint {self.path} is of recipe {found[:12]}…, this is {self._recipe_sha256[:12]}…: "
                "resume with the recipe it was made with, give another --out, or train with --no-resume"
            )
        state: dict[str, Any] = content["state"]
        return state

    def save(self, state: dict[str, Any]) -> None:
        """Write the state, whole or not at all, in place of the one before.

        Parameters
        ----------
        state
            Tensors, numbers, strings, lists and dictionaries; no NumPy arrays.
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
        """Remove the file, if there is one."""
        self.path.unlink(missing_ok=True)
