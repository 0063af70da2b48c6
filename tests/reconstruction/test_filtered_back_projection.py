"""Filtered back-projection."""

import numpy as np
import pytest
from phantoms import correlation, series_of, spots

from tsg_core.reconstruction import fbp
from tsg_core.reconstruction.filtered_back_projection import _angles_around_deg


@pytest.mark.parametrize("tilt_deg", [np.arange(-90.0, 91.0, 3), np.arange(-90.0, 90.0, 3), np.arange(0.0, 180.0, 3)])
def test_fbp_gives_densities_in_the_right_place(tilt_deg):
    truth = spots()
    volume = fbp(series_of(truth, tilt_deg, axis_shift_px=1.5), axis_shift_px=1.5)
    assert correlation(volume, truth) > 0.98
    assert volume.sum() == pytest.approx(truth.sum(), rel=0.1)
    assert np.polyfit(truth.ravel(), volume.ravel(), 1)[0] == pytest.approx(1, abs=0.1)


def test_angles_around_frames_sum_to_half_a_turn_but_fill_no_wedge():
    assert _angles_around_deg(np.arange(-90.0, 91.0)).sum() == pytest.approx(180)
    assert _angles_around_deg(np.array([-80.0, -20.0, 15.0, 60.0])).sum() == pytest.approx(180)
    np.testing.assert_allclose(_angles_around_deg(np.arange(-60.0, 61.0, 2))[1:-1], 2)
    assert _angles_around_deg(np.arange(-60.0, 61.0, 2)).sum() < 125
