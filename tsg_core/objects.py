"""Atoms found in a volume, and their match with the true ones: the truth that no threshold of intensity can flatter."""

from dataclasses import dataclass

import numpy as np
from scipy.optimize import least_squares, linear_sum_assignment
from scipy.spatial.distance import cdist
from skimage.feature import peak_local_max
from skimage.morphology import ball

from .errors import TsgError
from .evaluation import otsu_threshold
from .geometry import pixel_centres_A

REFINEMENTS = 3  # rounds of fits; from the second on they know what the neighbours' fits were


@dataclass(frozen=True, kw_only=True)
class FoundAtoms:
    """positions_A (n, 3) as x, y, z from the middle of the volume; height and sigma_A (n,) of each fitted Gaussian."""

    positions_A: np.ndarray
    height: np.ndarray
    sigma_A: np.ndarray


@dataclass(frozen=True, kw_only=True)
class AtomMatch:
    """Found atoms against true ones: matched pairs, missing (true, not found), invented (found, not true).

    precision  matched / found, NaN where nothing was found
    recall     matched / true
    rmsd_pm    root mean square distance of the matched pairs in picometres, NaN without any
    pairs      (matched, 2) indices of found and true atoms
    """

    matched: int
    missing: int
    invented: int
    rmsd_pm: float
    pairs: np.ndarray

    @property
    def precision(self) -> float:
        found = self.matched + self.invented
        return self.matched / found if found else float("nan")

    @property
    def recall(self) -> float:
        return self.matched / (self.matched + self.missing)


def find_atoms(
    volume: np.ndarray, *, voxel_size_A: float, min_distance_A: float = 1.5, threshold: float | None = None
) -> FoundAtoms:
    """Atoms of a volume (n_y, n_z, n_x): local maxima above the threshold (Otsu's unless given), refined by Gaussians.

    Maxima are at least `min_distance_A` apart. Each is fitted by least squares with an isotropic Gaussian on a constant
    within that distance, first as it is, then with the other atoms' Gaussians taken away. A fit that leaves its
    neighbourhood keeps the place of the maximum.
    Raises TsgError for a volume that is not finite, has no contrast or another number of axes.
    """
    volume = np.asarray(volume, np.float32)
    if volume.ndim != 3:
        raise TsgError(f"a volume of shape {volume.shape} must have the axes (n_y, n_z, n_x)")
    if not min_distance_A >= voxel_size_A > 0:
        raise TsgError(f"min_distance_A={min_distance_A} must be at least the voxel, voxel_size_A={voxel_size_A}")
    reach = max(1, round(min_distance_A / voxel_size_A))
    level = otsu_threshold(volume) if threshold is None else threshold
    peaks = peak_local_max(
        volume, min_distance=reach, threshold_abs=level, exclude_border=False, footprint=ball(reach), p_norm=2
    )
    start = np.column_stack([volume[tuple(peaks.T)], peaks, np.full(len(peaks), reach / 2)]).astype(float)
    fits = start
    for _ in range(REFINEMENTS):
        fits = _refined(volume, start, fits, reach)
    centres = np.stack([pixel_centres_A(n, pixel_size_A=voxel_size_A)[0] for n in volume.shape])
    positions_A = fits[:, 1:4] * voxel_size_A + centres
    return FoundAtoms(positions_A=positions_A[:, [2, 0, 1]], height=fits[:, 0], sigma_A=fits[:, 4] * voxel_size_A)


def match_atoms(found_A: np.ndarray, true_A: np.ndarray, *, within_A: float = 1.0) -> AtomMatch:
    """Pairs of found (n, 3) and true (m, 3) positions, one to one, no further apart than `within_A`.

    The Hungarian method minimises the sum of the distances, where an unmatched atom costs `within_A`.
    Raises TsgError for positions of another shape, no true atom, or within_A that is not positive.
    """
    found_A, true_A = np.asarray(found_A, float), np.asarray(true_A, float)
    for positions in (found_A, true_A):
        if positions.ndim != 2 or positions.shape[1] != 3 or not np.isfinite(positions).all():
            raise TsgError(f"positions of shape {positions.shape} must be (n, 3) and finite")
    if len(true_A) == 0 or not within_A > 0:
        raise TsgError(f"{len(true_A)} true atoms and within_A={within_A} must both be positive")
    distance_A = cdist(found_A, true_A)
    pairs = np.column_stack(linear_sum_assignment(np.minimum(distance_A, within_A)))
    apart_A = distance_A[pairs[:, 0], pairs[:, 1]]
    pairs, apart_A = pairs[apart_A < within_A], apart_A[apart_A < within_A]
    return AtomMatch(
        matched=len(pairs),
        missing=len(true_A) - len(pairs),
        invented=len(found_A) - len(pairs),
        rmsd_pm=100 * float(np.sqrt(np.mean(apart_A**2))) if len(pairs) else float("nan"),
        pairs=pairs,
    )


def _refined(volume: np.ndarray, start: np.ndarray, fits: np.ndarray, reach: int) -> np.ndarray:
    """Fits (n, 5) of height, place (3 axes of the volume, in voxels) and sigma, the others' former fits taken away."""
    places = fits[:, 1:4]
    refined = fits.copy()
    known = fits is not start
    for i, (peak, fit) in enumerate(zip(start[:, 1:4].astype(int), fits, strict=True)):
        low = np.maximum(peak - reach, 0)
        window = tuple(slice(a, p + reach + 1) for a, p in zip(low, peak, strict=True))
        values = volume[window]
        voxels = np.indices(values.shape).reshape(3, -1).T + low
        inside = np.sum((voxels - peak) ** 2, axis=1) <= reach**2
        voxels, values = voxels[inside], values.ravel()[inside].astype(float)
        if known:
            near = np.flatnonzero(np.linalg.norm(places - places[i], axis=1) < 4 * reach)
            values = values - sum(_gaussian(fits[k], voxels) for k in near if k != i)
        result = least_squares(
            lambda p, v=voxels, y=values: _gaussian(p, v) + p[5] - y,
            np.append(fit, 0.0),
            jac=lambda p, v=voxels, y=values: _gaussian_slopes(p, v),
            method="lm",
            x_scale=[max(abs(fit[0]), 1e-30), 1, 1, 1, 1, max(abs(fit[0]), 1e-30)],
        )
        if result.x[0] > 0 and np.linalg.norm(result.x[1:4] - peak) <= reach:
            refined[i] = np.append(result.x[:4], abs(result.x[4]))
    return refined


def _gaussian(p: np.ndarray, voxels: np.ndarray) -> np.ndarray:
    return p[0] * np.exp(-np.sum((voxels - p[1:4]) ** 2, axis=1) / (2 * p[4] ** 2))


def _gaussian_slopes(p: np.ndarray, voxels: np.ndarray) -> np.ndarray:
    """Derivatives (n, 6) of a Gaussian on a constant by height, place, sigma and constant."""
    away = voxels - p[1:4]
    value = _gaussian(p, voxels)
    squared = np.sum(away**2, axis=1)
    return np.column_stack(
        [value / p[0], value[:, None] * away / p[4] ** 2, value * squared / p[4] ** 3, np.ones(len(voxels))]
    )
