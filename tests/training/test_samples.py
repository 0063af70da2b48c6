"""Training samples: which frames, which time, which flips, which scale."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tsg_core.errors import TsgError
from tsg_core.geometry import tilted_positions
from tsg_core.tilt_series import TiltSeries
from tsg_core.training.samples import CACHE_GB, SampleSource, _flip

ANGLES_DEG = np.arange(-20.0, 21.0)


def brightness_is_tilt(n_y=20, n_x=24):
    """Every frame is flat, its value a straight line in the angle, so that t can be read off."""
    return TiltSeries(np.ones((41, n_y, n_x)) * (ANGLES_DEG + 21)[:, None, None], ANGLES_DEG, 0.5)


def source(series=None, **changes):
    options = {"crop_px": 16, "max_rate": 6, "midpoint": 0.5, "dose_per_A2": None, "seed": 1} | changes
    return SampleSource([series or brightness_is_tilt()], **options)


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 1000), midpoint=st.sampled_from([0.0, 0.5, 1.0]))
def test_the_target_lies_at_its_time_between_the_outer_frames(seed, midpoint):
    batch = source(seed=seed, midpoint=midpoint).batch(0, size=16)
    a, b, target = (x.mean(dim=(1, 2, 3)) for x in batch[:3])
    torch.testing.assert_close((1 - batch.t) * a + batch.t * b, target, atol=1e-6, rtol=1e-5)
    assert ((batch.t > 0) & (batch.t < 1)).all()
    if midpoint == 1:
        torch.testing.assert_close(batch.t, torch.full((16,), 0.5))


def test_all_gaps_up_to_twice_the_largest_rate_and_both_orders_occur():
    batch = source(midpoint=0.0).batch(0, size=400)
    gaps = batch.frame_b.mean(dim=(1, 2, 3)) - batch.frame_a.mean(dim=(1, 2, 3))
    assert (gaps < 0).any() and (gaps > 0).any()
    assert len(torch.unique((batch.t * 1000).round())) > 30


def test_a_model_of_one_rate_sees_that_rate_alone():
    rng = np.random.default_rng(0)
    one_rate = source(min_rate=4, max_rate=4, midpoint=1.0)
    assert {one_rate._draw_indices(brightness_is_tilt(), rng)[1:] for _ in range(20)} == {(8, 4)}
    some_rates = source(min_rate=4, max_rate=6, midpoint=0.0)
    assert {some_rates._draw_indices(brightness_is_tilt(), rng)[1] for _ in range(200)} == set(range(8, 13))
    with pytest.raises(TsgError, match="no gap of 50"):
        source(min_rate=25, max_rate=30).batch(0, size=1)


def test_the_widest_gap_holds_for_series_of_any_step():
    rng = np.random.default_rng(0)
    for step_deg, widest in ((1.0, 24), (4.0, 6), (6.0, 4)):
        series = TiltSeries(np.zeros((31, 16, 16)), step_deg * np.arange(31), 0.5)
        mixed = source(series, max_rate=12, midpoint=0.0, max_gap_deg=24.0)
        assert {mixed._draw_indices(series, rng)[1] for _ in range(300)} == set(range(2, widest + 1))
    with pytest.raises(TsgError, match="no gap of 2 within max_gap_deg=10"):
        source(series, max_gap_deg=10.0).batch(0, size=1)


def test_a_step_is_the_same_each_time_and_in_parts():
    whole, again = (source().batch(7, size=6) for _ in range(2))
    for x, y in zip(whole, again, strict=True):
        torch.testing.assert_close(x, y, rtol=0, atol=0)
    part = source().batch(7, size=6, part=slice(1, None, 2))
    torch.testing.assert_close(part.target, whole.target[1::2], rtol=0, atol=0)
    assert not torch.equal(source().batch(8, size=6).t, whole.t)


def test_frames_are_divided_by_the_brightest_frame_that_the_sparse_series_has():
    frames = np.ones((3, 16, 16))
    frames[1] = 5  # only the target: never part of the scale
    batch = source(TiltSeries(4 * frames, [0, 1, 2], 0.5)).batch(0, size=4)
    assert (batch.frame_a == 1).all() and (batch.target == 5).all()


def test_mirrored_columns_show_the_mirrored_particle_with_time_reversed():
    rng = np.random.default_rng(0)
    positions_A = rng.normal(size=(3, 3))

    def trio(positions_A, tilt_deg):
        columns = tilted_positions(positions_A, tilt_deg=tilt_deg)[:, :, 0]
        pixels = np.arange(-8, 9)
        return np.exp(-((columns[:, :, None] - pixels) ** 2)).sum(axis=1)[:, None, :] * np.ones((1, 4, 1))

    angles_deg = np.array([-6.0, 10.0, 2.0])  # a, b, target: symmetric angles after the flip are -10, 6, -2
    seen = set()
    for seed in range(20):
        frames, _ = _flip(trio(positions_A, angles_deg), 0.5, np.random.default_rng(seed))
        mirrored = trio(positions_A * [-1, 1, 1], [-10.0, 6.0, -2.0])
        reversed_ = np.allclose(frames, mirrored)
        assert reversed_ or np.allclose(frames, trio(positions_A, angles_deg))
        seen.add(reversed_)
    assert seen == {True, False}


def test_time_turns_round_with_the_columns():
    frames = np.arange(3)[:, None, None] * np.ones((3, 2, 2))
    flipped = [_flip(frames, 0.25, np.random.default_rng(seed)) for seed in range(10)]
    assert {(float(f[0, 0, 0]), t) for f, t in flipped} == {(0.0, 0.25), (1.0, 0.75)}


def test_noise_is_poisson_in_the_outer_frames_and_spares_the_target():
    series = TiltSeries(np.full((5, 48, 48), 0.2), np.arange(5), 0.5)
    batch = source(series, crop_px=48, dose_per_A2=(400.0, 400.0)).batch(0, size=16)
    assert (batch.target == 1).all()
    noisy = batch.frame_a.var(dim=(1, 2, 3)) > 0
    assert 0 < noisy.sum() < 16
    # 400 electrons times 0.25 A^2 times 0.2 expected: 20 counts
    counted = batch.frame_a[noisy]
    assert counted.var().item() == pytest.approx(1 / 20, rel=0.1)


def test_series_are_read_once_while_they_fit(monkeypatch):
    class Lazy(list):
        reads = 0

        def __getitem__(self, i):
            Lazy.reads += 1
            return super().__getitem__(i)

    lazy = Lazy([brightness_is_tilt()] * 3)
    options = {"crop_px": 16, "max_rate": 6, "midpoint": 0.5, "dose_per_A2": None, "seed": 1}
    SampleSource(lazy, **options).batch(0, size=40)
    assert Lazy.reads == 3
    monkeypatch.setattr("tsg_core.training.samples.CACHE_GB", 1e-9 * CACHE_GB)
    SampleSource(lazy, **options).batch(0, size=40)
    assert Lazy.reads > 10


def test_series_that_cannot_be_used_are_named():
    with pytest.raises(TsgError, match="crop_px=32 is larger than the 20 x 24 px"):
        source(crop_px=32).batch(0, size=1)
    with pytest.raises(TsgError, match="2 frames"):
        source(TiltSeries(np.ones((2, 16, 16)), [0, 1], 0.5)).batch(0, size=1)
    with pytest.raises(TsgError, match="no tilt series"):
        SampleSource([], crop_px=16, max_rate=6, midpoint=0.5, dose_per_A2=None, seed=1)
