"""How near predicted frames come to true ones, and volumes to reference volumes."""

from dataclasses import dataclass

import numpy as np
from scipy import fft
from scipy.spatial import KDTree
from skimage.filters import threshold_otsu
from skimage.metrics import structural_similarity

from .errors import TsgError
from .geometry import pixel_centres_A

SSIM_WINDOW_px = 11  # of the Gaussian with sigma 1.5 px, cut at 3.5 sigma (Wang et al., IEEE TIP 13, 600, 2004)


@dataclass(frozen=True, kw_only=True)
class ImageMetrics:
    """Per frame, each (n,): mean squared error, peak signal-to-noise ratio, structural similarity."""

    mse: np.ndarray
    psnr_dB: np.ndarray
    ssim: np.ndarray


@dataclass(frozen=True, kw_only=True)
class VolumeMetrics:
    """A volume against a reference: distances of their Otsu objects, overlap, and differences of intensity.

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


@dataclass(frozen=True, kw_only=True)
class ShellCorrelation:
    """Fourier shell correlation (n_shells,) at spatial frequencies (n_shells,), in 1/A, from the lowest shell up."""

    frequency_per_A: np.ndarray
    correlation: np.ndarray

    def resolution_A(self, *, threshold: float = 0.143) -> float:
        """1 / the frequency of the first crossing below the threshold, between shells by a straight line.

        The period of the last shell where the curve never crosses, infinite where it begins below.
        """
        below = np.flatnonzero(self.correlation < threshold)
        if len(below) == 0:
            return float(1 / self.frequency_per_A[-1])
        if below[0] == 0:
            return float("inf")
        i = below[0]
        high, low = self.correlation[i - 1], self.correlation[i]
        share = (high - threshold) / (high - low)
        return float(1 / ((1 - share) * self.frequency_per_A[i - 1] + share * self.frequency_per_A[i]))


def image_metrics(prediction: np.ndarray, truth: np.ndarray, *, peak: float) -> ImageMetrics:
    """MSE, PSNR and SSIM of each frame of two stacks (n, n_y, n_x).

    PSNR = 10 log10(peak^2 / MSE), infinite for equal frames. `peak` is the brightest pixel of the particle's full clean
    series, the same for all methods and rates. SSIM is scikit-image's with the Gaussian window of sigma 1.5 px of Wang
    et al. (2004) and data range `peak`.
    Raises TsgError for shapes that differ, frames below 11 px, values that are not finite, and a peak that is not
    positive.
    """
    prediction, truth = np.asarray(prediction, np.float32), np.asarray(truth, np.float32)
    if prediction.shape != truth.shape or truth.ndim != 3 or len(truth) == 0:
        raise TsgError(f"frames of shapes {prediction.shape} and {truth.shape} must both be (n, n_y, n_x)")
    if not (np.isfinite(peak) and peak > 0):
        raise TsgError(f"peak={peak} must be positive: the brightest pixel of the full series")
    _check_finite(prediction, truth)
    mse = np.array([np.mean((p - t) ** 2, dtype=np.float64) for p, t in zip(prediction, truth, strict=True)])
    ssim = np.array([_ssim(p, t, peak=peak) for p, t in zip(prediction, truth, strict=True)])
    return ImageMetrics(mse=mse, psnr_dB=_psnr_dB(mse, peak), ssim=ssim)


def otsu_threshold(volume: np.ndarray) -> float:
    """Otsu's threshold (IEEE Trans. SMC 9, 62, 1979); TsgError for a volume without contrast."""
    volume = np.asarray(volume)
    _check_finite(volume)
    if volume.size == 0 or volume.min() == volume.max():
        raise TsgError("a volume without contrast has no object: all its voxels are equal")
    return float(threshold_otsu(volume))


def object_points(
    volume: np.ndarray, *, n_points: int = 1_000_000, voxel_size_A: float, seed: int, threshold: float | None = None
) -> np.ndarray:
    """Points (n_points, 3), float32 (x, y, z) in A, uniform in the object of a volume (n_y, n_z, n_x).

    The object holds the voxels above the threshold, Otsu's unless given. Points are uniform inside each voxel too, so
    that the cloud shows no grid. The origin is the middle of the volume, as for atoms.
    Raises TsgError for a volume without contrast, not finite, or with no voxel above the threshold.
    """
    return _points(_object(volume, threshold), n_points=n_points, voxel_size_A=voxel_size_A, seed=seed)


def chamfer_distance(a: np.ndarray, b: np.ndarray) -> float:
    """Chamfer distance in A of two point clouds (n, 3) and (m, 3).

    CD(a, b) = 1/2 [ 1/n sum_i min_j |a_i - b_j| + 1/m sum_j min_i |b_j - a_i| ]

    Two clouds drawn anew from one object have a distance too, about 0.55 (volume / points)^(1/3): the floor of what can
    be told apart, which `compare_volumes` of a volume with itself measures.
    """
    forth, back = _distances_A(a, b)
    return float((forth.mean() + back.mean()) / 2)


def rms_error(a: np.ndarray, b: np.ndarray) -> float:
    """Root mean square distance in A between nearest points of two clouds (n, 3) and (m, 3).

    RMS(a, b) = sqrt( 1/2 [ 1/n sum_i min_j |a_i - b_j|^2 + 1/m sum_j min_i |b_j - a_i|^2 ] )
    """
    forth, back = _distances_A(a, b)
    return _rms(forth, back)


def compare_volumes(
    volume: np.ndarray, reference: np.ndarray, *, voxel_size_A: float, n_points: int = 1_000_000, seed: int = 0
) -> VolumeMetrics:
    """All metrics of a volume against a reference volume, both (n_y, n_z, n_x) on the same scale.

    The two clouds of `n_points` are drawn independently. Raises TsgError for shapes that differ and for volumes that
    are not finite or have no contrast.
    """
    volume, reference = np.asarray(volume, np.float32), np.asarray(reference, np.float32)
    if volume.shape != reference.shape or volume.ndim != 3:
        raise TsgError(f"volumes of shapes {volume.shape} and {reference.shape} must both be (n_y, n_z, n_x)")
    seeds = np.random.SeedSequence(seed).spawn(2)
    objects = _object(volume), _object(reference)
    forth, back = _distances_A(
        *(_points(o, n_points=n_points, voxel_size_A=voxel_size_A, seed=s) for o, s in zip(objects, seeds, strict=True))
    )
    mse = float(np.mean((volume - reference) ** 2, dtype=np.float64))
    peak = float(reference.max())
    return VolumeMetrics(
        chamfer_A=float((forth.mean() + back.mean()) / 2),
        rms_A=_rms(forth, back),
        dice=float(2 * np.sum(objects[0] & objects[1]) / (objects[0].sum() + objects[1].sum())),
        nrmse=float(np.sqrt(mse / np.mean(reference**2, dtype=np.float64))),
        psnr_dB=float(_psnr_dB(mse, peak)),
        ssim=_ssim(volume, reference, peak=peak),
    )


def fourier_shell_correlation(a: np.ndarray, b: np.ndarray, *, voxel_size_A: float) -> ShellCorrelation:
    """Correlation of two volumes of one shape, shell by shell in Fourier space.

    Van Heel, Ultramicroscopy 21, 95 (1987):
    FSC(q) = Re sum F_a conj(F_b) / sqrt( sum |F_a|^2 sum |F_b|^2 ), sums over the shell around |q|

    Shells are as wide as the coarsest frequency step of the volume and end at the Nyquist frequency 1 / (2 voxels).
    Raises TsgError for shapes that differ and values that are not finite.
    """
    a, b = np.asarray(a, np.float32), np.asarray(b, np.float32)
    if a.shape != b.shape or a.ndim != 3 or min(a.shape) < 4:
        raise TsgError(f"volumes of shapes {a.shape} and {b.shape} must be equal, three-dimensional, 4 voxels at least")
    _check_finite(a, b)
    frequencies = [fft.fftfreq(n) for n in a.shape[:2]] + [fft.rfftfreq(a.shape[2])]
    width = 1 / min(a.shape)
    squared = sum(q**2 for q in np.meshgrid(*frequencies, indexing="ij", sparse=True))
    shell = np.rint(np.sqrt(squared) / width).astype(np.int32).ravel()
    n_shells = int(0.5 / width) + 1
    # the half of Fourier space that rfftn leaves out mirrors the inner planes of the other half
    twice = np.full(a.shape[2] // 2 + 1, 2.0, np.float32)
    twice[0] = 1
    if a.shape[2] % 2 == 0:
        twice[-1] = 1
    spectrum_a, spectrum_b = fft.rfftn(a, workers=-1), fft.rfftn(b, workers=-1)

    def shell_sums(values: np.ndarray) -> np.ndarray:
        return np.bincount(shell, weights=(values * twice).ravel(), minlength=n_shells)[1:n_shells]

    cross = shell_sums((spectrum_a * spectrum_b.conj()).real)
    power = shell_sums(np.abs(spectrum_a) ** 2) * shell_sums(np.abs(spectrum_b) ** 2)
    correlation = np.divide(cross, np.sqrt(power), out=np.zeros_like(cross), where=power > 0)
    return ShellCorrelation(frequency_per_A=np.arange(1, n_shells) * width / voxel_size_A, correlation=correlation)


def _object(volume: np.ndarray, threshold: float | None = None) -> np.ndarray:
    return np.asarray(volume) > (otsu_threshold(volume) if threshold is None else threshold)


def _points(inside: np.ndarray, *, n_points: int, voxel_size_A: float, seed) -> np.ndarray:
    voxels = np.flatnonzero(inside)
    if len(voxels) == 0:
        raise TsgError("no voxel lies above the threshold; there is no object to draw points from")
    rng = np.random.default_rng(seed)
    drawn = np.sort(voxels[rng.integers(len(voxels), size=n_points)])  # sorted: neighbours in space are near in memory
    index = np.unravel_index(drawn, inside.shape)
    points = np.empty((n_points, 3), np.float32)
    for axis, k in ((0, 2), (1, 0), (2, 1)):  # x, y, z of the volume's axes (y, z, x)
        centres = pixel_centres_A(inside.shape[k], pixel_size_A=voxel_size_A)
        points[:, axis] = centres[index[k]] + voxel_size_A * (rng.random(n_points, np.float32) - 0.5)
    return points


def _distances_A(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """From each point of a to the nearest of b, and from each of b to the nearest of a."""
    clouds = [np.asarray(cloud, np.float32) for cloud in (a, b)]
    for cloud in clouds:
        if cloud.ndim != 2 or cloud.shape[1] != 3 or len(cloud) == 0:
            raise TsgError(f"a point cloud of shape {cloud.shape} must be (n, 3) with at least one point")
    _check_finite(*clouds)
    trees = [KDTree(cloud, balanced_tree=False) for cloud in clouds]
    return trees[1].query(clouds[0], workers=-1)[0], trees[0].query(clouds[1], workers=-1)[0]


def _rms(forth: np.ndarray, back: np.ndarray) -> float:
    return float(np.sqrt((np.mean(forth**2) + np.mean(back**2)) / 2))


def _ssim(prediction: np.ndarray, truth: np.ndarray, *, peak: float) -> float:
    if min(truth.shape) < SSIM_WINDOW_px:
        raise TsgError(f"SSIM needs {SSIM_WINDOW_px} px at least along every axis; the shape is {truth.shape}")
    return float(
        structural_similarity(
            truth, prediction, data_range=peak, gaussian_weights=True, sigma=1.5, use_sample_covariance=False
        )
    )


def _psnr_dB(mse, peak: float) -> np.ndarray:
    with np.errstate(divide="ignore"):
        return 10 * np.log10(peak**2 / np.asarray(mse))


def _check_finite(*arrays: np.ndarray) -> None:
    for array in arrays:
        bad = int(np.size(array) - np.isfinite(array).sum())
        if bad:
            raise TsgError(f"{bad} of {np.size(array)} values are not finite")
