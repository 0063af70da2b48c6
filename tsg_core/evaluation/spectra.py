"""The detail up to which two volumes agree: Fourier shell correlation, over all directions or around one."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import fft

from ..errors import TsgError


@dataclass(frozen=True, kw_only=True)
class ShellCorrelation:
    """Fourier shell correlation (n_shells,) at ascending spatial frequencies (n_shells,) in 1/A."""

    frequency_per_A: np.ndarray
    correlation: np.ndarray

    def resolution_A(self, *, threshold: float = 0.143) -> float:
        """1 / frequency at which the curve first falls below the threshold, interpolated linearly between shells.

        If the curve never does, the period of the last shell; if it starts below, infinity. A threshold of 0.5 suits
        a comparison with a known volume, 0.143 one of two equally noisy volumes (Rosenthal and Henderson, J. Mol.
        Biol. 333, 721, 2003). Raises TsgError for a threshold outside 0..1.
        """
        if not 0 < threshold < 1:
            raise TsgError(f"threshold={threshold} must lie between 0 and 1")
        below = np.flatnonzero(self.correlation < threshold)
        if len(below) == 0:
            return float(1 / self.frequency_per_A[-1])
        if below[0] == 0:
            return float("inf")
        i = below[0]
        high, low = self.correlation[i - 1], self.correlation[i]
        share = (high - threshold) / (high - low)
        return float(1 / ((1 - share) * self.frequency_per_A[i - 1] + share * self.frequency_per_A[i]))


def fourier_shell_correlation(
    a: np.ndarray,
    b: np.ndarray,
    *,
    voxel_size_A: float,
    direction: ArrayLike | None = None,
    half_angle_deg: float = 20.0,
) -> ShellCorrelation:
    """Correlation of two volumes (n_y, n_z, n_x) of equal shape, shell by shell in Fourier space.

    Van Heel, Ultramicroscopy 21, 95 (1987):
    FSC(q) = Re sum F_a conj(F_b) / sqrt( sum |F_a|^2 sum |F_b|^2 ), sums over the shell around |q|

    Shells are as wide as the coarsest frequency step of the volume and end at the Nyquist frequency 1 / (2 voxels).
    With a `direction` (x, y, z), only frequencies within `half_angle_deg` of it or of its opposite count: the
    directional, or conical, correlation (Diebolder et al., Ultramicroscopy 156, 1, 2015). A frame at tilt t holds the
    frequencies along (cos t, any, sin t). Shells that contain no frequency of the cone are left out.
    Raises TsgError for shapes that differ, values that are not finite, a voxel size that is not positive, and a
    direction or angle that does not define a cone.
    """
    a, b = np.asarray(a, np.float32), np.asarray(b, np.float32)
    if a.shape != b.shape or a.ndim != 3 or min(a.shape) < 4:
        raise TsgError(f"volumes of shapes {a.shape} and {b.shape} must be equal, with three axes of at least 4 voxels")
    bad = int(a.size + b.size - np.isfinite(a).sum() - np.isfinite(b).sum())
    if bad:
        raise TsgError(f"{bad} of {a.size + b.size} voxels are not finite")
    if not (np.isfinite(voxel_size_A) and voxel_size_A > 0):
        raise TsgError(f"voxel_size_A={voxel_size_A} must be a positive number")
    frequencies = [fft.fftfreq(n) for n in a.shape[:2]] + [fft.rfftfreq(a.shape[2])]
    q = np.meshgrid(*frequencies, indexing="ij", sparse=True)
    radius = np.sqrt(sum(component**2 for component in q))
    width = 1 / min(a.shape)
    shell = np.rint(radius / width).astype(np.int32).ravel()
    n_shells = int(0.5 / width) + 1
    weights = np.ones_like(radius) if direction is None else _cone(q, radius, direction, half_angle_deg)
    weights *= _mirrored(a.shape[2])
    spectrum_a, spectrum_b = fft.rfftn(a, workers=-1), fft.rfftn(b, workers=-1)

    def shell_sums(values: np.ndarray | float) -> np.ndarray:
        return np.bincount(shell, weights=(values * weights).ravel(), minlength=n_shells)[1:n_shells]

    hit = shell_sums(1.0) > 0
    cross = shell_sums((spectrum_a * spectrum_b.conj()).real)
    power = shell_sums(np.abs(spectrum_a) ** 2) * shell_sums(np.abs(spectrum_b) ** 2)
    correlation = np.divide(cross, np.sqrt(power), out=np.zeros_like(cross), where=power > 0)
    frequency_per_A = np.arange(1, n_shells) * width / voxel_size_A
    return ShellCorrelation(frequency_per_A=frequency_per_A[hit], correlation=correlation[hit])


def _mirrored(n_x: int) -> np.ndarray:
    """How many columns of the full transform each column of rfftn represents: inner ones have a mirror image."""
    times = np.full(n_x // 2 + 1, 2.0)
    times[0] = 1
    if n_x % 2 == 0:
        times[-1] = 1
    return times


def _cone(q: tuple[np.ndarray, ...], radius: np.ndarray, direction: ArrayLike, half_angle_deg: float) -> np.ndarray:
    """1 where a frequency (y, z, x) lies within the angle around the direction (x, y, z), else 0."""
    direction = np.asarray(direction, float)
    if direction.shape != (3,) or not np.isfinite(direction).all() or not direction.any():
        raise TsgError(f"direction={direction.tolist()} must be three numbers (x, y, z), not all zero")
    if not 0 < half_angle_deg <= 90:
        raise TsgError(f"half_angle_deg={half_angle_deg} must lie between 0 and 90")
    x, y, z = direction / np.linalg.norm(direction)
    along = np.abs(q[0] * y + q[1] * z + q[2] * x)
    return (along >= np.cos(np.deg2rad(half_angle_deg)) * radius - 1e-9).astype(float)


def radial_power_spectrum(frame: np.ndarray, *, pixel_size_A: float) -> tuple[np.ndarray, np.ndarray]:
    """Spatial frequencies k (n,) in 1/angstrom and the mean power |F(k)|^2 (n,) on rings one frequency step wide.

    The mean of the frame is subtracted. The transform is orthonormal, so that the power summed over all frequencies
    equals the sum of the squared pixels. The rings end at the Nyquist frequency of the pixels.
    """
    frame = np.asarray(frame, float)
    power = np.abs(np.fft.fft2(frame - frame.mean(), norm="ortho")) ** 2
    k_y, k_x = (np.fft.fftfreq(n, pixel_size_A) for n in frame.shape)
    step = 1 / (max(frame.shape) * pixel_size_A)
    ring = np.rint(np.hypot(k_y[:, None], k_x) / step).astype(int)
    n = max(frame.shape) // 2 + 1
    total = np.bincount(ring.ravel(), weights=power.ravel())[:n]
    return np.arange(n) * step, total / np.maximum(np.bincount(ring.ravel())[:n], 1)
