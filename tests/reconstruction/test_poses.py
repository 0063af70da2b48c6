"""Poses: undone and applied again, free of what the object takes up, and left alone where frames are few."""

import numpy as np
import pytest
from phantoms import film

from tsg_core.reconstruction.poses import FEWEST, Poses, _without_gauge, fit_poses

TILT_deg = np.arange(-66.0, 67.0, 3.0)
SHAPE = {"n_y": 24, "n_x": 40, "thickness_px": 20}


def test_frames_return_from_their_poses():
    series = film(TILT_deg[::8], **SHAPE)
    values = np.array([[0.3, -0.4, 0.5, 0.2, 0.1, 3.0]] * len(series))
    values[:, 3] -= values[:, 3].mean()
    poses = Poses(values=values)
    back = poses.redone(poses.undone(series).frames)
    inner = np.s_[:, 6:-6, 6:-6]
    np.testing.assert_allclose(back[inner], series.frames[inner], atol=0.05 * series.frames.std())


def test_few_frames_are_left_as_they_are():
    found = fit_poses(film(TILT_deg[: FEWEST - 1], **SHAPE))
    assert found.poses is None and "too few" in found.remark


@pytest.mark.parametrize("column", [0, 3, 4, 5])
def test_what_the_object_takes_up_counts_for_nothing(column):
    values = np.zeros((len(TILT_deg), 6))
    values[:, column] = 0.7
    assert np.abs(_without_gauge(values, TILT_deg)).max() < 1e-12
