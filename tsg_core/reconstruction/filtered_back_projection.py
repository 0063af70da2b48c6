"""Filtered back-projection."""

import numpy as np
from scipy import fft

from ..tilt_series import TiltSeries
from ..tools.threads import in_threads
from .linear_system import check_memory, checked_series, projector_of, volume_of
from .projection import Box, frame_columns, row_blocks


def fbp(series: TiltSeries, *, axis_shift_px: float = 0.0, allow_negative: bool = False) -> np.ndarray:
    """Volume (n_y, n_z, n_x) float32 by filtered back-projection with the Ram-Lak filter, for every row separately.

    Kak and Slaney, Principles of Computerized Tomographic Imaging, equation 3.61. The weight of a frame is the range of
    angles (modulo 180 degrees) closer to it than to other frames, but no frame makes up for a missing wedge.
    Raises TsgError as `sirt` does.
    """
    series = checked_series(series, allow_negative=allow_negative, axis_shift_px=axis_shift_px)
    check_memory(series, n_volumes=2)
    A = projector_of(series, axis_shift_px=axis_shift_px)
    _, n_y, n_x = series.frames.shape
    lag = np.arange(-n_x, n_x)
    kernel = np.zeros(2 * n_x)
    kernel[lag % 2 == 1] = -1 / (np.pi * lag[lag % 2 == 1]) ** 2
    kernel[n_x] = 1 / 4
    ramp = fft.rfft(np.fft.ifftshift(kernel)).real.astype(np.float32)
    around_rad = np.deg2rad(_angles_around_deg(series.tilt_deg)).astype(np.float32)[:, None, None]

    def back_project(rows: slice) -> np.ndarray:
        filtered = fft.irfft(fft.rfft(series.frames[:, rows], n=2 * n_x) * ramp)[..., :n_x]
        return A.T(frame_columns(filtered * around_rad))

    rows = row_blocks(n_y)
    return volume_of(in_threads(back_project, rows), rows, Box(n_x, n_x))


def _angles_around_deg(tilt_deg: np.ndarray) -> np.ndarray:
    """Half the angle between the two neighbours of each tilt, modulo 180 degrees; a wide gap counts as a usual one."""
    order = np.argsort(tilt_deg % 180)
    gaps = np.diff(tilt_deg[order] % 180, append=tilt_deg[order[0]] % 180 + 180)
    gaps = np.minimum(gaps, 2 * np.median(gaps))
    around = np.empty_like(gaps)
    around[order] = (gaps + np.roll(gaps, 1)) / 2
    return around
