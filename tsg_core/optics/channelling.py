"""Channelling: atoms that lie along the beam change how strongly their neighbours scatter.

In multislice calculations the first atoms of a column focus the electrons onto the next ones, and scatter them away
before they reach the last. The image of a long column is also wider than the images of its atoms. Here the scattering
of an atom is multiplied by the exponential of a sum over its neighbours along the beam; each neighbour adds a lateral
Gaussian times a decay in depth. Part of the scattering, which grows with the atoms above, is spread laterally. A few
coefficients, fitted once to multislice frames, serve all elements and orientations: this corrects the incoherent image,
it is not a theory of diffraction.
"""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import yaml
from scipy.spatial import cKDTree

from ..microscope import Microscope
from .scattering import haadf_cross_section_A2

COEFFICIENTS_FILE = Path(__file__).parent / "channelling.yaml"
LARGEST_EXPONENT = 3.0
_REACH = 3.0  # widths of the widest lateral Gaussian
_SAME_DEPTH_A = 0.1  # atoms closer than this along the beam count as level: neither is above the other


@dataclass(frozen=True, kw_only=True)
class Channelling:
    """The terms of the sum. Electrons meet neighbours `above` first and neighbours `below` later; (n_lateral, n_depth).

    A neighbour at the lateral distance d and the distance |dz| along the beam adds, for each lateral width w and depth
    D, coefficient * strength * exp(-d^2 / (2 w^2) - |dz| / D). Its strength is the square root of the ratio of its
    cross-section to gold's, about the ratio of the phase shifts that the two atoms cause. `spread` (n_lateral,) holds
    the coefficients of the part that is blurred by a Gaussian of sigma `spread_A`: neighbours above, last depth.
    """

    lateral_A: tuple[float, ...]
    depth_A: tuple[float, ...]
    above: tuple[tuple[float, ...], ...]
    below: tuple[tuple[float, ...], ...]
    spread: tuple[float, ...]
    spread_A: float

    def factors(self, positions_A: np.ndarray, strengths: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Factors, (n_atoms,) each, that multiply the sharp and the spread part of each atom's scattering.

        Positions (n_atoms, 3) are along x, y and depth.
        """
        coefficients = np.concatenate([np.ravel(self.above), np.ravel(self.below), self.spread])
        return self.factors_of(self.features(positions_A, strengths), coefficients)

    def factors_of(self, features: np.ndarray, coefficients: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The same from `features` and one array of coefficients: those above, those below, those of the spread."""
        n = features.shape[1]
        sharp = np.exp(np.clip(features @ coefficients[:n], -LARGEST_EXPONENT, LARGEST_EXPONENT))
        return sharp, sharp * np.clip(features[:, self.spread_terms] @ coefficients[n:], 0, None)

    @property
    def spread_terms(self) -> slice:
        """The features that spread the image: those of atoms above, at the last depth."""
        return slice(len(self.depth_A) - 1, len(self.lateral_A) * len(self.depth_A), len(self.depth_A))

    def features(self, positions_A: np.ndarray, strengths: np.ndarray) -> np.ndarray:
        """The terms without their coefficients, (n_atoms, 2 n_lateral n_depth): first those above, then those below."""
        tree = cKDTree(positions_A[:, :2])
        first, second = tree.query_pairs(_REACH * max(self.lateral_A), output_type="ndarray").T
        difference = positions_A[first] - positions_A[second]
        apart = np.abs(difference[:, 2]) > _SAME_DEPTH_A
        first, second, difference = first[apart], second[apart], difference[apart]
        # the beam runs along -z: the upper atom of a pair has the greater depth coordinate
        upper, lower = np.where(difference[:, 2] > 0, (first, second), (second, first))
        lateral2 = (difference[:, :2] ** 2).sum(axis=1)
        lateral = [np.exp(-0.5 * lateral2 / width_A**2) for width_A in self.lateral_A]
        depth = [np.exp(-np.abs(difference[:, 2]) / depth_A) for depth_A in self.depth_A]
        n = len(positions_A)
        columns = [
            np.bincount(onto, strengths[of] * near * close, minlength=n)
            for onto, of in ((lower, upper), (upper, lower))
            for near in lateral
            for close in depth
        ]
        return np.stack(columns, axis=1)


def strengths_of(symbols: np.ndarray, microscope: Microscope) -> np.ndarray:
    """Strength (n_atoms,) of each atom as a neighbour: square root of the ratio of its cross-section to gold's."""
    gold_A2 = haadf_cross_section_A2("Au", microscope)
    elements, of = np.unique(symbols, return_inverse=True)
    return np.sqrt([haadf_cross_section_A2(str(e), microscope) / gold_A2 for e in elements])[of]


@lru_cache(maxsize=1)
def shipped_coefficients() -> Channelling:
    """The coefficients shipped with the package; the file says what they were fitted to, and how well."""
    content = yaml.safe_load(COEFFICIENTS_FILE.read_text(encoding="utf-8"))
    return Channelling(
        lateral_A=tuple(content["lateral_A"]),
        depth_A=tuple(content["depth_A"]),
        above=tuple(map(tuple, content["above"])),
        below=tuple(map(tuple, content["below"])),
        spread=tuple(content["spread"]),
        spread_A=content["spread_A"],
    )
