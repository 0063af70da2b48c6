"""Comparison of two files of one kind: tilt series at their common angles, volumes as a whole."""

from dataclasses import asdict

import numpy as np

from ..errors import TsgError
from ..tilt_series import TiltSeries
from .metrics import compare_volumes, image_metrics
from .spectra import fourier_shell_correlation

SAME_SIZE = 0.01  # pixel or voxel sizes with a smaller relative difference count as equal
NEAR_deg = 0.01  # angles closer than this count as equal: text files round them
N_POINTS = 200_000


def compare_series(series: TiltSeries, reference: TiltSeries) -> tuple[dict, list[dict]]:
    """Compare a series with a reference: means over the frames, and a row for each; see `evaluation.image_metrics`.

    The frames compared are those that `series` predicts at angles of the reference, or, if `series` predicts nothing,
    all frames at common angles. The peak is the brightest pixel of the reference. The PSNR of equal frames is None.
    Raises TsgError if shapes or pixel sizes differ, and if there is no common angle.
    """
    _check_same("frames", series.frames.shape[1:], reference.frames.shape[1:])
    _check_size("pixels", series.pixel_size_A, reference.pixel_size_A)
    wanted = np.arange(len(series)) if series.measured.all() else np.flatnonzero(~series.measured)
    distance_deg = np.abs(series.tilt_deg[wanted, None] - reference.tilt_deg)
    common = distance_deg.min(axis=1) <= NEAR_deg
    if not common.any():
        kind = "frames" if series.measured.all() else "predicted frames"
        raise TsgError(
            f"the series have no angle in common at which to compare: none of {len(wanted)} {kind} of A is in B"
        )
    here, there = wanted[common], distance_deg.argmin(axis=1)[common]
    found = image_metrics(series.frames[here], reference.frames[there], peak=reference.intensity_scale)
    psnr_dB = [float(v) if np.isfinite(v) else None for v in found.psnr_dB]
    rows = [
        {"tilt_deg": float(angle), "mse": float(mse), "psnr_dB": psnr, "ssim": float(ssim)}
        for angle, mse, psnr, ssim in zip(series.tilt_deg[here], found.mse, psnr_dB, found.ssim, strict=True)
    ]
    finite = [v for v in psnr_dB if v is not None]
    means = {
        "compared": f"{len(here)} {'' if series.measured.all() else 'predicted '}frames",
        "mse": float(found.mse.mean()),
        "psnr_dB": float(np.mean(finite)) if finite else None,
        "ssim": float(found.ssim.mean()),
    }
    return means, rows


def compare_volume_files(a: tuple[np.ndarray, float], b: tuple[np.ndarray, float]) -> dict:
    """Compare a volume with a reference, each with its voxel size: resolutions and distances of the objects, in A.

    See `evaluation.spectra` and `evaluation.VolumeMetrics`. An infinite resolution is None.
    Raises TsgError if shapes or voxel sizes differ.
    """
    (volume, voxel_size_A), (reference, reference_voxel_A) = a, b
    _check_same("volumes", volume.shape, reference.shape)
    _check_size("voxels", voxel_size_A, reference_voxel_A)
    shells = fourier_shell_correlation(volume, reference, voxel_size_A=reference_voxel_A)
    resolutions = {f"resolution_{t}_A": shells.resolution_A(threshold=t) for t in (0.5, 0.143)}
    objects = asdict(compare_volumes(volume, reference, voxel_size_A=reference_voxel_A, n_points=N_POINTS))
    found = {"compared": f"{' x '.join(map(str, volume.shape))} voxels (y, z, x)", **resolutions, **objects}
    return {name: None if isinstance(v, float) and not np.isfinite(v) else v for name, v in found.items()}


def _check_same(what: str, shape: tuple[int, ...], other: tuple[int, ...]) -> None:
    if shape != other:
        raise TsgError(f"{what} of {' x '.join(map(str, shape))} and {' x '.join(map(str, other))} cannot be compared")


def _check_size(what: str, size_A: float, other_A: float) -> None:
    if abs(size_A / other_A - 1) > SAME_SIZE:
        raise TsgError(f"{what} of {size_A:.4g} A and {other_A:.4g} A cannot be compared; bin the finer one first")
