"""The tilt axis is found to a quarter of a pixel, and its uncertainty is honest."""

import numpy as np
import pytest
from phantoms import series_of, spots

from tsg_core.errors import TsgError
from tsg_core.preparation.tilt_axis import find_axis
from tsg_core.tilt_series import TiltSeries

VOLUME = np.pad(spots(n_y=6, n=36, seed=2), ((0, 0), (16, 12), (17, 11)))  # it stays in the frame at all tilts
WEDGE_deg = np.arange(-60.0, 61.0, 4.0)


@pytest.mark.parametrize("shift_px", [0.0, 1.3, -4.6])
@pytest.mark.parametrize("tilt_deg", [WEDGE_deg, np.cumsum(np.linspace(2, 9, 20)) - 60])
def test_a_known_offset_is_found(shift_px, tilt_deg):
    found = find_axis(series_of(VOLUME, tilt_deg, axis_shift_px=shift_px))
    assert found.shift_px == pytest.approx(shift_px, abs=0.1)


def test_noise_and_background_leave_it_within_a_quarter_pixel_and_the_uncertainty_says_so():
    clean = series_of(VOLUME, WEDGE_deg, axis_shift_px=1.3)
    errors, uncertainties = [], []
    for seed in range(10):
        rng = np.random.default_rng(seed)
        noise = 0.03 * clean.intensity_scale * rng.standard_normal(clean.frames.shape)
        background = 0.3 * clean.intensity_scale * rng.uniform(0.9, 1.1, (len(clean), 1, 1))
        found = find_axis(TiltSeries(clean.frames + background + noise, WEDGE_deg, 0.5))
        errors.append(found.shift_px - 1.3)
        uncertainties.append(found.uncertainty_px)
    assert np.sqrt(np.mean(np.square(errors))) < 0.25
    assert 0.4 < np.std(errors) / np.mean(uncertainties) < 2.5


def test_a_frame_out_of_line_hardly_matters():
    series = series_of(VOLUME, WEDGE_deg, axis_shift_px=1.3)
    series.frames[5] = np.roll(series.frames[5], 6, axis=-1)
    assert find_axis(series).shift_px == pytest.approx(1.3, abs=0.25)


def test_what_tells_nothing_of_an_axis_is_refused():
    series = series_of(VOLUME, WEDGE_deg)
    for some, message in ((series.subset([0, 5, 9]), "five frames"), (series.subset(np.arange(5)), "over 16 deg")):
        with pytest.raises(TsgError, match=message):
            find_axis(some)
    with pytest.raises(TsgError, match="no brighter inside"):
        find_axis(TiltSeries(np.ones((9, 8, 16)), np.arange(0, 90, 10), 1.0))
