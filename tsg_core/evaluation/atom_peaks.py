"""Atoms found in a volume, matched with the true ones: a comparison that no intensity threshold can flatter."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist
from skimage.feature import peak_local_max
from skimage.morphology import ball

from ..errors import TsgError
from ..geometry import pixel_centres_A
from .metrics import otsu_threshold

REFINEMENTS = 3  # rounds of fits; from the second on, each fit knows its neighbours' last fits
MAX_STEPS = 40  # for each fit; most need about ten
BATCH_VALUES = 2_000_000  # voxels fitted at a time; limits the memory


@dataclass(frozen=True, kw_only=True)
class FoundAtoms:
    """positions_A (n, 3): x, y, z from the middle of the volume; height and sigma_A (n,): those of the fits."""

    positions_A: np.ndarray
    height: np.ndarray
    sigma_A: np.ndarray


@dataclass(frozen=True, kw_only=True)
class AtomMatch:
    """Found atoms compared with true ones: matched pairs, missing (true but not found), invented (found but not true).

    precision  matched / found; NaN if nothing was found
    recall     matched / true
    rmsd_pm    root mean square distance of the matched pairs in picometres; NaN if there are none
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

    A maximum is brighter than all voxels within `min_distance_A`. A least-squares fit within that distance refines each
    maximum by an isotropic Gaussian on a constant background. Later rounds first subtract the Gaussians of the other
    atoms. A fit that leaves its neighbourhood, or finds no maximum there, is dropped in favour of the previous one.
    Raises TsgError for a volume that is not finite, has no contrast, or does not have three axes.
    """
    volume = np.asarray(volume, np.float32)
    if volume.ndim != 3:
        raise TsgError(f"a volume of shape {volume.shape} must have the axes (n_y, n_z, n_x)")
    if not min_distance_A >= voxel_size_A > 0:
        raise TsgError(f"min_distance_A={min_distance_A} must be at least the voxel, voxel_size_A={voxel_size_A}")
    reach = max(1, round(min_distance_A / voxel_size_A))
    level = otsu_threshold(volume) if threshold is None else threshold
    peaks = _maxima(volume, level=level, reach=reach)
    fits = np.column_stack([volume[tuple(peaks.T)], peaks, np.full(len(peaks), reach / 2)]).astype(float)
    for i in range(REFINEMENTS if len(peaks) else 0):
        fits = _refined(volume, peaks, fits, reach=reach, others=_rendered(fits, volume.shape, reach) if i else None)
    centres = np.stack([pixel_centres_A(n, pixel_size_A=voxel_size_A)[0] for n in volume.shape])
    positions_A = fits[:, 1:4] * voxel_size_A + centres
    return FoundAtoms(positions_A=positions_A[:, [2, 0, 1]], height=fits[:, 0], sigma_A=fits[:, 4] * voxel_size_A)


def match_atoms(found_A: np.ndarray, true_A: np.ndarray, *, within_A: float = 1.0) -> AtomMatch:
    """Match found (n, 3) and true (m, 3) positions one to one, at most `within_A` apart.

    The Hungarian method minimises the sum of the distances; each unmatched atom costs `within_A`.
    Raises TsgError for positions of another shape, no true atom, or a `within_A` that is not positive.
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


def _maxima(volume: np.ndarray, *, level: float, reach: int) -> np.ndarray:
    """Voxels (n, 3) above the level that no voxel within `reach` outshines, brightest first.

    The wide search is limited to voxels that none of their direct neighbours outshines, because a filter as wide as the
    reach would be slow. Of several equal voxels close together, one is kept.
    """
    peaks = peak_local_max(
        volume, min_distance=reach, threshold_abs=level, exclude_border=False, footprint=np.ones((3, 3, 3)), p_norm=2
    )
    offsets = np.argwhere(ball(reach)) - reach
    highest = np.zeros(len(peaks), np.float32)
    for some in _batches(len(peaks), len(offsets)):
        highest[some] = volume[_index(peaks[some, None] + offsets, volume.shape)].max(axis=1)
    return peaks[volume[tuple(peaks.T)] >= highest]


def _batches(n: int, n_values: int) -> Iterator[slice]:
    batch = max(1, BATCH_VALUES // n_values)
    return (slice(first, first + batch) for first in range(0, n, batch))


def _index(voxels: np.ndarray, shape: tuple[int, ...]) -> tuple[np.ndarray, ...]:
    """Index of the voxels (..., 3); voxels outside the volume are moved to its edge."""
    return tuple(np.moveaxis(voxels.clip(0, np.array(shape) - 1), -1, 0))


def _refined(
    volume: np.ndarray, peaks: np.ndarray, fits: np.ndarray, *, reach: int, others: np.ndarray | None
) -> np.ndarray:
    """Fits (n, 5) of height, place (3 axes, in voxels) and sigma; `others` is the sum of all previous Gaussians.

    Each fit sees the voxels within `reach` of its peak, minus the Gaussians of all other atoms.
    """
    offsets = np.argwhere(ball(reach)) - reach
    refined = fits.copy()
    for some in _batches(len(fits), len(offsets)):
        voxels = peaks[some, None] + offsets
        weight = ((voxels >= 0) & (voxels < volume.shape)).all(axis=2).astype(float)
        index = _index(voxels, volume.shape)
        start = np.column_stack([fits[some], np.zeros(len(voxels))])
        values = volume[index].astype(float)
        if others is not None:
            values -= others[index] - _gaussians(start, voxels)
        found = _fitted(values, weight, voxels, start)
        moved = np.linalg.norm(found[:, 1:4] - peaks[some], axis=1)
        kept = (found[:, 0] > 0) & (moved <= reach)
        refined[some][kept] = found[kept, :5]
    return refined


def _fitted(values: np.ndarray, weight: np.ndarray, voxels: np.ndarray, start: np.ndarray) -> np.ndarray:
    """Least-squares fits (n, 6) of Gaussians on constants to values (n, voxels), all n at once.

    The Levenberg-Marquardt method (Marquardt, J. SIAM 11, 431, 1963), with a separate damping for each fit.
    """
    scale = np.abs(start[:, :1]).clip(1e-30)
    values, p = values / scale, start / np.column_stack([scale, np.ones((len(start), 4)), scale])
    damping = np.full(len(p), 1e-3)
    model = _gaussians(p, voxels) + p[:, 5:]
    cost = _costs(values - model, weight)
    for _ in range(MAX_STEPS):
        slopes = _slopes(p, voxels)
        weighted = np.swapaxes(slopes * weight[..., None], 1, 2)
        normal, pull = weighted @ slopes, weighted @ (values - model)[..., None]
        diagonal = np.einsum("nii->ni", normal)
        diagonal *= 1 + damping[:, None]
        diagonal += 1e-12
        step = np.linalg.solve(normal, pull)[..., 0]
        step[:, 1:5] = step[:, 1:5].clip(-p[:, 4:5] / 3, p[:, 4:5] / 3)  # beyond that the slopes mean little
        trial = p + step
        trial[:, 4] = trial[:, 4].clip(0.2)  # a Gaussian much narrower than a voxel would fit any single voxel
        new_model = _gaussians(trial, voxels) + trial[:, 5:]
        new_cost = _costs(values - new_model, weight)
        better = new_cost < cost
        settled = np.abs(step).max(axis=1) < 1e-4
        p[better], model[better], cost[better] = trial[better], new_model[better], new_cost[better]
        damping = np.where(better, damping / 5, damping * 5)
        if (settled | (damping > 1e6)).all():
            break
    return p * np.column_stack([scale, np.ones((len(start), 4)), scale])


def _costs(residual: np.ndarray, weight: np.ndarray) -> np.ndarray:
    return np.einsum("nv,nv,nv->n", weight, residual, residual)


def _gaussians(p: np.ndarray, voxels: np.ndarray) -> np.ndarray:
    """Values (n, voxels) of n Gaussians, each at its own voxels (n, voxels, 3)."""
    squared = np.sum((voxels - p[:, None, 1:4]) ** 2, axis=2)
    return p[:, :1] * np.exp(-squared / (2 * p[:, 4:5] ** 2))


def _slopes(p: np.ndarray, voxels: np.ndarray) -> np.ndarray:
    """Derivatives (n, voxels, 6) of Gaussians on constants with respect to height, place, sigma and constant."""
    away = voxels - p[:, None, 1:4]
    sigma = p[:, None, 4]
    squared = np.sum(away**2, axis=2)
    shape = np.exp(-squared / (2 * sigma**2))
    value = p[:, :1] * shape
    by_place = value[..., None] * away / sigma[..., None] ** 2
    return np.concatenate(
        [shape[..., None], by_place, (value * squared / sigma**3)[..., None], np.ones((*shape.shape, 1))], axis=2
    )


def _rendered(fits: np.ndarray, shape: tuple[int, ...], reach: int) -> np.ndarray:
    """The sum of all Gaussians, each drawn as far as it can touch the neighbourhood of another."""
    total = np.zeros(shape)
    for height, *place, sigma in fits:
        low = [max(0, round(c) - 3 * reach) for c in place]
        window = tuple(slice(a, round(c) + 3 * reach + 1) for a, c in zip(low, place, strict=True))
        along = [
            np.exp(-((np.arange(n)[w] - c) ** 2) / (2 * sigma**2)) for n, w, c in zip(shape, window, place, strict=True)
        ]
        total[window] += height * np.einsum("i,j,k->ijk", *along)
    return total
