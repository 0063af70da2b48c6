"""Shifts by cross-correlation of successive frames, from the least tilted frame outwards."""

import numpy as np
from scipy.ndimage import affine_transform, gaussian_filter
from skimage.registration import phase_cross_correlation

from .transformation import border_level, moved_back

UPSAMPLING = 50  # of the cross-correlation: shifts come in steps of 0.02 pixels
SMOOTH_px = 1.0
STRONGEST = 2.0  # largest stretch of a frame, since cosines vanish towards 90 degrees


def shift_between(reference: np.ndarray, frame: np.ndarray) -> np.ndarray:
    """Displacement of `frame` from `reference` (images or profiles), in steps of a fiftieth of a pixel.

    The maximum of the cross-correlation, refined by an upsampled Fourier transform (Guizar-Sicairos, Thurman and
    Fienup, Opt. Lett. 33, 156, 2008). Amplitudes are not whitened, since noise fills the high frequencies. The
    displacement from an empty image is zero.
    """
    if not (reference.any() and frame.any()):
        return np.zeros(frame.ndim)
    return -phase_cross_correlation(reference, frame, upsample_factor=UPSAMPLING, normalization=None)[0]


def correlation_shifts(frames: np.ndarray, *, tilt_deg: np.ndarray, stretch: bool = True) -> np.ndarray:
    """Shifts (n_tilt, 2) of frames relative to the least tilted one, each found from its less tilted neighbour.

    `stretch` foreshortens the neighbour by the ratio of the cosines, as for a flat object; leave it off for round
    particles. Each frame is first moved back by the shift of its neighbour, so that a long drift stays within reach of
    the correlation. Errors add up, too: they grow as the root of the number of frames. The constant part must come from
    elsewhere, because correlation does not know where the tilt axis is.
    """
    level = border_level(frames)
    smooth = gaussian_filter(frames - level[:, None, None], (0, SMOOTH_px, SMOOTH_px))
    shifts = np.zeros((len(frames), 2))
    first = int(np.abs(tilt_deg).argmin())
    for order in (range(first + 1, len(frames)), range(first - 1, -1, -1)):
        before, reference = first, smooth[first]
        for i in order:
            ratio = _foreshortening(tilt_deg[i], tilt_deg[before]) if stretch else 1.0
            moved = moved_back(smooth[i : i + 1], shift_px=shifts[before : before + 1], order=3)[0]
            shifts[i] = shifts[before] + shift_between(_foreshortened(reference, ratio), moved)
            before, reference = i, moved_back(smooth[i : i + 1], shift_px=shifts[i : i + 1], order=3)[0]
    return shifts


def _foreshortening(tilt_deg: float, from_deg: float) -> float:
    ratio = np.cos(np.deg2rad(tilt_deg)) / max(np.cos(np.deg2rad(from_deg)), 1e-3)
    return float(np.clip(ratio, 1 / STRONGEST, STRONGEST))


def _foreshortened(frame: np.ndarray, ratio: float) -> np.ndarray:
    middle = (frame.shape[1] - 1) / 2
    return affine_transform(frame, np.array([1, 1 / ratio]), (0, middle - middle / ratio), order=1)
