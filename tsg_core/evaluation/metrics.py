"""How close predicted frames are to true frames, and volumes to reference volumes."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.spatial import KDTree
from skimage.filters import threshold_otsu
from skimage.measure import marching_cubes
from skimage.metrics import structural_similarity

from ..errors import TsgError
from ..geometry import pixel_centres_A

SSIM_WINDOW_px = 11  # of the Gaussian with sigma 1.5 px, cut at 3.5 sigma (Wang et al., IEEE TIP 13, 600, 2004)


@dataclass(frozen=True, kw_only=True)
class ImageMetrics:
    """Per frame, each (n,): mean squared error, peak signal-to-noise ratio, structural similarity."""

    mse: np.ndarray
    psnr_dB: np.ndarray
    ssim: np.ndarray


@dataclass(frozen=True, kw_only=True)
class VolumeMetrics:
    """A volume compared with a reference: distances between their Otsu objects, overlap, differences of intensity.

    chamfer_A, rms_A   see `chamfer_distance` and `rms_error`
    dice               2 |V and R| / (|V| + |R|) of the voxels of the two objects
    nrmse              |v - r| / |r|
    psnr_dB            10 log10(max(r)^2 / mean((v - r)^2))
    ssim               mean structural similarity, as for frames, in three dimensions
    """

    chamfer_A: float
    rms_A: float
    dice: float
    nrmse: float
    psnr_dB: float
    ssim: float


@dataclass(frozen=True, eq=False, kw_only=True)
class PreparedVolume:
    """A volume (n_y, n_z, n_x), the voxels that belong to its object, and a KD-tree of points drawn from the object."""

    volume: np.ndarray
    inside: np.ndarray
    points: KDTree


def psnr_dB(mse: ArrayLike, peak: ArrayLike) -> np.ndarray:
    """10 log10(peak^2 / mse), the peak signal-to-noise ratio in decibels; infinite where nothing differs."""
    with np.errstate(divide="ignore"):
        return 10 * np.log10(np.asarray(peak) ** 2 / np.asarray(mse))


def image_metrics(prediction: np.ndarray, truth: np.ndarray, *, peak: float) -> ImageMetrics:
    """MSE, PSNR and SSIM of each frame of two stacks (n, n_y, n_x).

    PSNR = 10 log10(peak^2 / MSE), infinite for equal frames. `peak` is the brightest pixel of the particle's full clean
    series, the same for all methods and rates. SSIM is scikit-image's, with the data range `peak` and the Gaussian
    window of Wang et al. (2004), sigma 1.5 px.
    Raises TsgError for shapes that differ, frames smaller than 11 px, values that are not finite, and a peak that is
    not positive.
    """
    prediction, truth = np.asarray(prediction, np.float32), np.asarray(truth, np.float32)
    if prediction.shape != truth.shape or truth.ndim != 3 or len(truth) == 0:
        raise TsgError(f"frames of shapes {prediction.shape} and {truth.shape} must both be (n, n_y, n_x)")
    if not (np.isfinite(peak) and peak > 0):
        raise TsgError(f"peak={peak} must be positive: the brightest pixel of the full series")
    _check_finite(prediction, truth)
    mse = np.array([np.mean((p - t) ** 2, dtype=np.float64) for p, t in zip(prediction, truth, strict=True)])
    ssim = np.array([_ssim(p, t, peak=peak) for p, t in zip(prediction, truth, strict=True)])
    return ImageMetrics(mse=mse, psnr_dB=psnr_dB(mse, peak), ssim=ssim)


def otsu_threshold(volume: np.ndarray) -> float:
    """Otsu's threshold (IEEE Trans. SMC 9, 62, 1979). Raises TsgError for a volume without contrast."""
    volume = np.asarray(volume)
    _check_finite(volume)
    if volume.size == 0 or volume.min() == volume.max():
        raise TsgError("a volume without contrast has no object: all its voxels are equal")
    return float(threshold_otsu(volume))


def object_points(
    volume: np.ndarray,
    *,
    n_points: int = 1_000_000,
    voxel_size_A: float,
    seed: int,
    threshold: float | None = None,
    surface: bool = False,
) -> np.ndarray:
    """Points (n_points, 3), float32 (x, y, z) in A, drawn uniformly from the object of a volume (n_y, n_z, n_x).

    The object consists of the voxels above the threshold, Otsu's unless given. Points are uniform inside each voxel,
    too, so that the cloud shows no grid. With `surface` they are uniform on the surface of the object, which marching
    cubes find at the threshold; it is closed at the edge of the volume. The origin is the middle of the volume, as for
    atoms.
    Raises TsgError for a volume that is not finite, has no contrast or no voxel above the threshold, for fewer than one
    point, and for a voxel size that is not positive.
    """
    volume = np.asarray(volume, np.float32)
    draw = _surface_points if surface else _points
    level = otsu_threshold(volume) if threshold is None else threshold
    return draw(volume, level, n_points=n_points, voxel_size_A=voxel_size_A, seed=seed)


def chamfer_distance(a: np.ndarray | KDTree, b: np.ndarray | KDTree) -> float:
    """Chamfer distance in A of two point clouds (n, 3) and (m, 3), or of their KD-trees.

    CD(a, b) = 1/2 [ 1/n sum_i min_j |a_i - b_j| + 1/m sum_j min_i |b_j - a_i| ]

    Two clouds drawn independently from one object also have a distance, about 0.55 (volume / points)^(1/3). Smaller
    differences cannot be resolved; comparing a volume with itself by `compare_volumes` measures this floor.
    """
    forth, back = _distances_A(a, b)
    return float((forth.mean() + back.mean()) / 2)


def rms_error(a: np.ndarray | KDTree, b: np.ndarray | KDTree) -> float:
    """Root mean square distance in A between nearest points of two clouds (n, 3) and (m, 3), or of their KD-trees.

    RMS(a, b) = sqrt( 1/2 [ 1/n sum_i min_j |a_i - b_j|^2 + 1/m sum_j min_i |b_j - a_i|^2 ] )
    """
    forth, back = _distances_A(a, b)
    return _rms(forth, back)


def compare_volumes(
    volume: np.ndarray, reference: np.ndarray, *, voxel_size_A: float, n_points: int = 1_000_000, seed: int = 0
) -> VolumeMetrics:
    """All metrics of a volume against a reference volume, both (n_y, n_z, n_x) on the same scale.

    The two clouds of `n_points` are drawn independently. Raises TsgError for shapes that differ, and for volumes that
    are not finite or have no contrast.
    """
    seeds = np.random.SeedSequence(seed).spawn(2)
    return compare_prepared(
        *(
            prepare_volume(v, voxel_size_A=voxel_size_A, n_points=n_points, seed=s)
            for v, s in zip((volume, reference), seeds, strict=True)
        )
    )


def prepare_volume(
    volume: np.ndarray, *, voxel_size_A: float, n_points: int = 1_000_000, seed: int | np.random.SeedSequence
) -> PreparedVolume:
    """Prepare a volume (n_y, n_z, n_x) once for comparisons with several others.

    `seed`, a number or a NumPy SeedSequence, draws the points. Raises TsgError as `object_points` does.
    """
    volume = np.asarray(volume, np.float32)
    if volume.ndim != 3:
        raise TsgError(f"a volume of shape {volume.shape} must have the axes (n_y, n_z, n_x)")
    level = otsu_threshold(volume)
    points = _points(volume, level, n_points=n_points, voxel_size_A=voxel_size_A, seed=seed)
    return PreparedVolume(volume=volume, inside=volume > level, points=_tree(points))


def compare_prepared(volume: PreparedVolume, reference: PreparedVolume) -> VolumeMetrics:
    """`compare_volumes` for prepared volumes, whose points must come from different seeds."""
    v, r = volume.volume, reference.volume
    if v.shape != r.shape:
        raise TsgError(f"volumes of shapes {v.shape} and {r.shape} must be equal")
    forth, back = _distances_A(volume.points, reference.points)
    mse = float(np.mean((v - r) ** 2, dtype=np.float64))
    peak = float(r.max())
    overlap = np.sum(volume.inside & reference.inside)
    return VolumeMetrics(
        chamfer_A=float((forth.mean() + back.mean()) / 2),
        rms_A=_rms(forth, back),
        dice=float(2 * overlap / (volume.inside.sum() + reference.inside.sum())),
        nrmse=float(np.sqrt(mse / np.mean(r**2, dtype=np.float64))),
        psnr_dB=float(psnr_dB(mse, peak)),
        ssim=_ssim(v, r, peak=peak),
    )


def _points(
    volume: np.ndarray, level: float, *, n_points: int, voxel_size_A: float, seed: int | np.random.SeedSequence
) -> np.ndarray:
    _check_drawing(n_points, voxel_size_A)
    voxels = np.flatnonzero(volume > level)
    if len(voxels) == 0:
        raise TsgError("no voxel lies above the threshold; there is no object to draw points from")
    rng = np.random.default_rng(seed)
    drawn = np.sort(voxels[rng.integers(len(voxels), size=n_points)])  # sorted: neighbours in space are close in memory
    index = np.unravel_index(drawn, volume.shape)
    points = np.empty((n_points, 3), np.float32)
    for axis, k in ((0, 2), (1, 0), (2, 1)):  # x, y, z from the volume's axes (y, z, x)
        centres = pixel_centres_A(volume.shape[k], pixel_size_A=voxel_size_A)
        points[:, axis] = centres[index[k]] + voxel_size_A * (rng.random(n_points, np.float32) - 0.5)
    return points


def _surface_points(
    volume: np.ndarray, level: float, *, n_points: int, voxel_size_A: float, seed: int | np.random.SeedSequence
) -> np.ndarray:
    _check_drawing(n_points, voxel_size_A)
    if not volume.min() <= level < volume.max():
        raise TsgError(f"threshold={level} lies outside the volume's values; there is no surface to draw points from")
    closed = np.pad(volume, 1, constant_values=np.float32(level - (volume.max() - level)))
    vertices, faces, *_ = marching_cubes(closed, level)
    corners = vertices[faces] - 1
    sides = corners[:, 1:] - corners[:, :1]
    areas = np.linalg.norm(np.cross(sides[:, 0], sides[:, 1]), axis=1)
    rng = np.random.default_rng(seed)
    below = np.cumsum(areas, dtype=np.float64)
    drawn = np.searchsorted(below, np.sort(rng.random(n_points)) * below[-1], side="right").clip(max=len(areas) - 1)
    share = rng.random((n_points, 2, 1), np.float32)
    share = np.where(share.sum(axis=1, keepdims=True) > 1, 1 - share, share)  # the other half of a parallelogram
    places = corners[drawn, 0] + (share * sides[drawn]).sum(axis=1)
    first = np.array([pixel_centres_A(n, pixel_size_A=voxel_size_A)[0] for n in volume.shape])
    return (places * voxel_size_A + first)[:, [2, 0, 1]].astype(np.float32)


def _distances_A(a: np.ndarray | KDTree, b: np.ndarray | KDTree) -> tuple[np.ndarray, np.ndarray]:
    """Distances from each point of a to the nearest of b, and from each point of b to the nearest of a."""
    a, b = _tree(a), _tree(b)
    return b.query(a.data, workers=-1)[0], a.query(b.data, workers=-1)[0]


def _tree(cloud: np.ndarray | KDTree) -> KDTree:
    if isinstance(cloud, KDTree):
        return cloud
    cloud = np.asarray(cloud, np.float32)
    if cloud.ndim != 2 or cloud.shape[1] != 3 or len(cloud) == 0:
        raise TsgError(f"a point cloud of shape {cloud.shape} must be (n, 3) with at least one point")
    _check_finite(cloud)
    return KDTree(cloud, balanced_tree=False)


def _rms(forth: np.ndarray, back: np.ndarray) -> float:
    return float(np.sqrt((np.mean(forth**2) + np.mean(back**2)) / 2))


def _ssim(prediction: np.ndarray, truth: np.ndarray, *, peak: float) -> float:
    if min(truth.shape) < SSIM_WINDOW_px:
        raise TsgError(f"SSIM needs at least {SSIM_WINDOW_px} px along every axis; the shape is {truth.shape}")
    return float(
        structural_similarity(
            truth, prediction, data_range=peak, gaussian_weights=True, sigma=1.5, use_sample_covariance=False
        )
    )


def _check_drawing(n_points: int, voxel_size_A: float) -> None:
    if n_points < 1:
        raise TsgError(f"n_points={n_points} must be at least 1")
    if not (np.isfinite(voxel_size_A) and voxel_size_A > 0):
        raise TsgError(f"voxel_size_A={voxel_size_A} must be a positive number")


def _check_finite(*arrays: np.ndarray) -> None:
    for array in arrays:
        bad = int(np.size(array) - np.isfinite(array).sum())
        if bad:
            raise TsgError(f"{bad} of {np.size(array)} values are not finite")
