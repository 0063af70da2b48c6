"""Frames of a volume as a probe of finite size records them: projections convolved with the probe's intensity."""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from scipy import fft

from ..errors import TsgError
from ..microscope import Microscope
from ..optics.pixels import PaddedFrame
from ..optics.probe import probe_radius_A, transfer_function
from ..tools.threads import n_threads
from .projection import project

PROBE_FRACTION = 0.99  # of the probe that must not wrap round


@dataclass(frozen=True, kw_only=True)
class ProbeBlur:
    """Convolution of frames (..., n_y, n_x) with the probe. It is its own adjoint; what leaves the frame is lost.

    shape         (n_y, n_x) of a frame
    pixel_size_A  edge of a pixel
    microscope    whose probe, in the plane of the tilt axis, blurs the frames; None is a point probe
    sigma_A       standard deviation of an additional Gaussian: thermal motion, the width of atoms, drift

    The kernel is the intensity at the centres of the pixels, since voxels are already as wide as a pixel. Its sum is 1.
    It is nowhere negative, although aberrations may make its transfer function negative. Raises TsgError for a sigma
    that is negative or not finite.
    """

    shape: tuple[int, int]
    pixel_size_A: float
    microscope: Microscope | None = None
    sigma_A: float = 0.0

    def __post_init__(self):
        if not 0 <= self.sigma_A < np.inf:
            raise TsgError(f"sigma_A={self.sigma_A} must be zero or a positive number of angstrom")

    def __call__(self, frames: np.ndarray) -> np.ndarray:
        if self.microscope is None and self.sigma_A == 0:
            return frames
        return self._filtered(frames, self._transfer)

    def sharpen(self, frames: np.ndarray, *, regularisation: float) -> np.ndarray:
        """Frames (..., n_y, n_x) with the blur undone where T allows: Wiener's T / (T^2 + regularisation)."""
        return self._filtered(frames, self._transfer / (self._transfer**2 + np.float32(regularisation)))

    def binned(self, factor: int) -> "ProbeBlur":
        """The blur of frames with pixels `factor` times as large."""
        n_y, n_x = self.shape
        return replace(self, shape=(n_y // factor, n_x // factor), pixel_size_A=factor * self.pixel_size_A)

    def _filtered(self, frames: np.ndarray, transfer: np.ndarray) -> np.ndarray:
        n_y, n_x = self.shape
        spectrum = fft.rfft2(frames, s=self._box.padded, workers=n_threads())
        spectrum *= transfer
        filtered = fft.irfft2(spectrum, s=self._box.padded, workers=n_threads(), overwrite_x=True)
        return filtered[..., :n_y, :n_x]

    @cached_property
    def _box(self) -> PaddedFrame:
        """The frame with room for what the kernel carries across its edge."""
        radius_A = probe_radius_A(self.microscope, fraction=PROBE_FRACTION) if self.microscope else 0.0
        reach_A = min(radius_A + 4 * self.sigma_A, max(self.shape) * self.pixel_size_A)
        padded = PaddedFrame(shape=self.shape, pixel_size_A=self.pixel_size_A, padding_A=reach_A).padded
        return PaddedFrame(shape=padded, pixel_size_A=self.pixel_size_A, padding_A=0.0)

    @cached_property
    def _transfer(self) -> np.ndarray:
        """The transform of the symmetric kernel: real (padded_y, padded_x // 2 + 1) float32."""
        kernel = (self._gaussian() if self.microscope is None else self._probe()).clip(0)
        return (fft.rfft2(kernel).real / kernel.sum()).astype(np.float32)

    def _probe(self) -> np.ndarray:
        """The intensity of the probe, with the Gaussian, at the pixels of the box, centred at pixel (0, 0)."""
        transfer = torch.from_numpy(transfer_function(self.microscope, extent_A=self._box.extent_A))
        k_y, k_x = self._box.frequencies((transfer.shape[0] // 2, transfer.shape[1] - 1))
        gaussian = torch.exp(-2 * (np.pi * self.sigma_A) ** 2 * (k_y[:, None] ** 2 + k_x**2))
        pairs = 2.0 - (k_x == 0).to(k_x.dtype)  # for the frequencies -k, which are not stored
        return self._box.image(transfer * gaussian * pairs).numpy()

    def _gaussian(self) -> np.ndarray:
        y_px, x_px = (fft.fftfreq(n, 1 / n) for n in self._box.padded)
        return np.exp(-(y_px[:, None] ** 2 + x_px**2) * (self.pixel_size_A / self.sigma_A) ** 2 / 2)


def project_with_probe(
    volume: np.ndarray,
    *,
    tilt_deg,
    pixel_size_A: float,
    microscope: Microscope | None = None,
    sigma_A: float = 0.0,
    axis_shift_px: float = 0.0,
) -> np.ndarray:
    """Frames (n_tilt, n_y, n_x) float32 of a volume (n_y, n_z, n_x): `project`, then `ProbeBlur`.

    `reconstruction.os_em` fits these to the frames of a series. Raises TsgError as those two do.
    """
    frames = project(volume, tilt_deg=tilt_deg, axis_shift_px=axis_shift_px)
    blur = ProbeBlur(shape=frames.shape[1:], pixel_size_A=pixel_size_A, microscope=microscope, sigma_A=sigma_A)
    return blur(frames)
