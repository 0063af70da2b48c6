"""What a real recording adds to clean frames: functions of a tilt series and a seed that return a new series.

The clean series stays as it was. Random numbers of a frame come from the seed and the frame's tilt angle, so that a
frame is the same in any split of the series.
"""

import math
from dataclasses import replace

import numpy as np

from .errors import TsgError
from .tilt_series import TiltSeries


def with_dose(series: TiltSeries, *, dose_per_A2: float, seed: int) -> TiltSeries:
    """Poisson noise of `dose_per_A2` incident electrons per square angstrom in every frame.

    A pixel expects dose x area x intensity electrons; what is counted is returned as an intensity again.
    """
    if not (math.isfinite(dose_per_A2) and dose_per_A2 > 0):
        raise TsgError(f"dose_per_A2={dose_per_A2} must be a positive number of electrons")
    per_pixel = dose_per_A2 * series.pixel_size_A**2

    def count(frame, rng):
        return rng.poisson(per_pixel * frame.clip(0)) / per_pixel

    return _each_frame(series, count, seed=seed, dose_per_A2=dose_per_A2, dose_seed=seed)


def _each_frame(series: TiltSeries, change, *, seed: int, **metadata) -> TiltSeries:
    """A series of the frames `change(frame, rng)`, with what was done added to its metadata."""
    frames = np.empty_like(series.frames)
    for i, tilt in enumerate(series.tilt_deg):
        frames[i] = change(series.frames[i].astype(np.float64), _generator(seed, tilt))
    return replace(series, frames=frames, metadata={**series.metadata, **metadata})


def _generator(seed: int, tilt_deg: float) -> np.random.Generator:
    return np.random.default_rng([seed, round((tilt_deg + 3600) * 1e6)])
