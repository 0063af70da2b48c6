"""The series of the page *Live*, and the script in which the page reads it."""

import base64
import gzip
import json
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np

from tsg_core.microscope import NON_ABERRATED
from tsg_core.simulation import simulate_tilt_series
from tsg_core.structures import random_rotation, test_particles
from tsg_core.tilt_series import TiltSeries

TILT_STEP_deg, LARGEST_TILT_deg = 2, 60
N_PIXELS, FIELD_OF_VIEW_A = 56, 14.0
LEVELS = 255  # a byte a pixel: errors below 59 dB are not those of rounding


@cache
def live_series() -> TiltSeries:
    """A small particle of iridium seen by the non-aberrated microscope, rounded to `LEVELS` as the page has it."""
    (particle,) = test_particles(1, seed=1, elements=["Ir"], diameter_A=(10.0, 12.0))
    series = simulate_tilt_series(
        random_rotation(particle, seed=2),
        microscope=NON_ABERRATED,
        tilt_deg=np.arange(-LARGEST_TILT_deg, LARGEST_TILT_deg + 1, TILT_STEP_deg),
        shape=N_PIXELS,
        field_of_view_A=FIELD_OF_VIEW_A,
    )
    unit = series.frames.max() / LEVELS
    return replace(series, frames=np.round(series.frames / unit) * unit)


def write_live_data(path: Path) -> None:
    """Write the series as a script, since a page that is opened from a folder may load nothing else."""
    series = live_series()
    brightest = float(series.frames.max())
    levels = np.round(series.frames / brightest * LEVELS).astype(np.uint8)
    data = {
        "tilt_deg": series.tilt_deg.tolist(),
        "n_pixels": N_PIXELS,
        "pixel_size_A": series.pixel_size_A,
        "brightest": brightest,
        "levels": base64.b64encode(gzip.compress(levels.tobytes(), mtime=0)).decode(),
    }
    path.write_text(f"window.tsgLiveData = {json.dumps(data)};\n", encoding="ascii")
