"""Which frames each arm holds."""

import numpy as np
import pytest

from tsg_core.errors import TsgError
from tsg_core.tilt_series import TiltSeries
from tsgbook.experiments import arms


def full_series(n=13):
    tilt_deg = np.arange(n) * 2.0 - 12
    frames = np.random.default_rng(0).random((n, 6, 6), np.float32) + np.arange(n)[:, None, None]
    return TiltSeries(frames, tilt_deg, 0.5)


FULL = full_series()


def test_reference_and_sparse():
    assert len(arms.reference(FULL)) == 13 and arms.reference(FULL).measured.all()
    part = arms.sparse(FULL, gap=3, offset=1)
    np.testing.assert_array_equal(part.tilt_deg, FULL.tilt_deg[[1, 4, 7, 10]])


@pytest.mark.parametrize("gap", range(2, 7))
def test_mix_predicts_every_missing_angle_inside_the_measured_range(gap):
    for offset in range(gap):
        mix = arms.mix(FULL, gap=gap, offset=offset, fill="all")
        last = offset + (12 - offset) // gap * gap
        np.testing.assert_array_equal(mix.tilt_deg, FULL.tilt_deg[offset : last + 1])
        np.testing.assert_array_equal(mix.measured, np.arange(last + 1 - offset) % gap == 0)
        np.testing.assert_array_equal(mix.frames[mix.measured], FULL.frames[offset : last + 1 : gap])


@pytest.mark.parametrize("gap", [2, 3, 4, 5])
def test_mix_midpoint_predicts_one_frame_between_each_pair(gap):
    known = arms.sparse(FULL, gap=gap, offset=1)
    mix = arms.mix(FULL, gap=gap, offset=1, fill="midpoint")
    np.testing.assert_array_equal(mix.tilt_deg[::2], known.tilt_deg)
    np.testing.assert_allclose(mix.tilt_deg[1::2], known.tilt_deg[:-1] + gap)  # frames are 2 degrees apart
    np.testing.assert_array_equal(mix.measured, np.arange(len(mix)) % 2 == 0)
    np.testing.assert_allclose(mix.frames[1], (known.frames[0] + known.frames[1]) / 2, rtol=1e-6)


@pytest.mark.parametrize(("gap", "offset"), [(2, 0), (2, 1), (4, 3), (6, 0)])
def test_the_rival_at_equal_count_has_the_same_angles(gap, offset):
    rival = arms.twice_as_dense(FULL, gap=gap, offset=offset)
    mix = arms.mix(FULL, gap=gap, offset=offset, fill="midpoint")
    np.testing.assert_array_equal(rival.tilt_deg, mix.tilt_deg)
    assert rival.measured.all()
    np.testing.assert_array_equal(rival.frames[::2], mix.frames[::2])


def test_frames_in_between_are_never_looked_at():
    spoilt = FULL.frames.copy()
    spoilt[np.arange(13) % 4 != 0] = 1e6
    spoilt = TiltSeries(spoilt, FULL.tilt_deg, 0.5)
    for fill in arms.FILLS:
        np.testing.assert_array_equal(
            arms.mix(spoilt, gap=4, fill=fill, method="cubic").frames,
            arms.mix(FULL, gap=4, fill=fill, method="cubic").frames,
        )


def test_gap_one_is_the_full_series_in_every_arm():
    np.testing.assert_array_equal(arms.sparse(FULL, gap=1).frames, FULL.frames)
    np.testing.assert_array_equal(arms.mix(FULL, gap=1, fill="all").frames, FULL.frames)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: arms.mix(FULL, gap=2, fill="some"), "midpoint, all"),
        (lambda: arms.mix(FULL, gap=13), "gap=13"),
        (lambda: arms.sparse(FULL, gap=3, offset=3), "offset=3"),
        (lambda: arms.twice_as_dense(FULL, gap=3), "gap=3 must be even"),
    ],
)
def test_bad_input(call, words):
    with pytest.raises(TsgError, match=words):
        call()
