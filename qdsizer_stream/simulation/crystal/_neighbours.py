"""Shortest interatomic distances of a crystal."""

from dataclasses import dataclass

import numpy as np

from ._material import OVERLAP_ANGSTROM, Material

__all__ = ["Neighbours", "neighbours"]

SAME_SHELL_ANGSTROM = 0.01
"""Distances closer than this are one shell: the precision with which bond lengths are quoted."""


@dataclass(frozen=True)
class Neighbours:
    """One shell of neighbours."""

    elements: tuple[str, str]
    """Element at the centre and element of the neighbours."""
    distance_angstrom: float
    """Mean distance, Å."""
    count: float
    """Mean number of neighbours of a fully occupied central atom; vacancies of the neighbours lower it."""


def neighbours(material: Material, n_shells: int = 6, reach_angstrom: float = 6.0) -> list[Neighbours]:
    """List the shortest distances between atoms.

    Parameters
    ----------
    material
        Crystal.
    n_shells
        Largest number of shells.
    reach_angstrom
        Longest distance, Å.

    Returns
    -------
    Shells in order of distance, for each pair of elements in alphabetical order.
    """
    inverse = np.linalg.inv(material.cell_angstrom)
    reach = np.ceil(reach_angstrom * np.linalg.norm(inverse, axis=0)).astype(int)
    cells = np.array(list(np.ndindex(*(2 * reach + 1)))) - reach
    found: dict[tuple[str, str], list[tuple[float, float]]] = {}
    centres: dict[str, float] = {}
    for site, centre in zip(material.sites, material.positions_angstrom, strict=True):
        centres[site.element] = centres.get(site.element, 0.0) + site.occupancy
        for other, position in zip(material.sites, material.positions_angstrom, strict=True):
            offset = (position - centre) @ inverse
            vectors = (cells + offset - np.rint(offset)) @ material.cell_angstrom
            distances = np.linalg.norm(vectors, axis=1)
            for d in distances[(distances > OVERLAP_ANGSTROM) & (distances <= reach_angstrom)]:
                if site.element <= other.element:
                    pair = found.setdefault((site.element, other.element), [])
                    pair.append((float(d), site.occupancy * other.occupancy))
    shells = []
    for elements, pairs in found.items():
        pairs.sort()
        gaps = np.diff([d for d, _ in pairs])
        starts = [0, *(np.flatnonzero(gaps > SAME_SHELL_ANGSTROM) + 1).tolist()]
        for start, end in zip(starts, [*starts[1:], len(pairs)], strict=True):
            weight = sum(w for _, w in pairs[start:end])
            mean = sum(d * w for d, w in pairs[start:end]) / weight
            shells.append(Neighbours(elements, mean, weight / centres[elements[0]]))
    return sorted(shells, key=lambda shell: (shell.distance_angstrom, shell.elements))[:n_shells]
