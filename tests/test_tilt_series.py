"""The tilt series and what it refuses."""

import numpy as np
import pytest

from tsg_core.errors import TsgError
from tsg_core.tilt_series import TiltSeries

FRAMES = np.arange(3 * 4 * 5, dtype=np.float64).reshape(3, 4, 5)


def series(**changes):
    return TiltSeries(**{"frames": FRAMES, "tilt_deg": [-10, 0, 10], "pixel_size_A": 0.3, **changes})


def test_types_and_defaults():
    s = series()
    assert s.frames.dtype == np.float32 and s.tilt_deg.dtype == np.float64 and s.measured.all() and len(s) == 3


def test_a_subset_keeps_frames_angles_and_flags_together():
    part = series(measured=[True, False, True], metadata={"engine": "x"}).subset([1, 2])
    np.testing.assert_array_equal(part.frames, FRAMES[1:])
    assert part.tilt_deg.tolist() == [0, 10] and part.measured.tolist() == [False, True]
    assert part.metadata == {"engine": "x"} and part.pixel_size_A == 0.3


def test_the_scale_comes_from_measured_frames_alone():
    assert series(measured=[True, True, False]).intensity_scale == FRAMES[1].max()


def test_a_step_is_noted_beside_what_it_changed():
    first = series(metadata={"engine": "x"})
    second = first.noted("Twice as bright.", frames=2 * FRAMES).noted("Renamed.", metadata={"engine": "y"})
    assert first.history == () and second.history == ("Twice as bright.", "Renamed.")
    assert second.metadata == {"engine": "y", "history": second.history}
    np.testing.assert_array_equal(second.frames, 2 * FRAMES)
    assert second.subset([0]).history == second.history


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"frames": FRAMES[0]}, r"\(4, 5\)"),
        ({"frames": np.empty((3, 0, 5))}, "n_y"),
        ({"tilt_deg": [0, 1]}, "3 frames come with 2"),
        ({"tilt_deg": [0, 0, 1]}, "0 is followed by 0"),
        ({"tilt_deg": [0, 2, 1]}, "2 is followed by 1"),
        ({"tilt_deg": [0, np.nan, 1]}, "finite"),
        ({"frames": np.where(FRAMES == 25, np.nan, FRAMES)}, r"frame 1 \(tilt 0 deg\)"),
        ({"pixel_size_A": 0}, "pixel_size_A=0"),
        ({"measured": [True]}, "1 flags"),
    ],
)
def test_what_is_no_tilt_series(changes, message):
    with pytest.raises(TsgError, match=message):
        series(**changes)
