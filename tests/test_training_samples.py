"""Training samples: which frames, which time, which scale, which flips."""

import numpy as np
import pytest
import torch

from tsg_core.errors import TsgError
from tsg_core.tilt_series import TiltSeries
from tsg_core.training_samples import SampleSource, sparse_scale


def ramp_series(n=31, shape=(8, 8), **options):
    """Frame i holds i + 1 everywhere, so that a sample tells which frames it was made of."""
    frames = np.arange(1.0, n + 1)[:, None, None] * np.ones(shape)
    return TiltSeries(frames, np.linspace(-30, 30, n), 0.4, **options)


def source(series, **options):
    return SampleSource(series, **{"crop_px": 8, "max_rate": 6, "midpoint_share": 0.5, "seed": 3} | options)


def indices_of(samples):
    """Frame indices (n, 3) of a, target and b in a ramp series, up to the common scale of each sample."""
    return np.stack([f[:, 0, 0, 0].numpy() for f in (samples.frame_a, samples.target, samples.frame_b)], axis=1)


def test_shapes_and_types():
    samples = source([ramp_series()]).batch(5, step=0)
    assert all(f.shape == (5, 1, 8, 8) and f.dtype == torch.float32 for f in samples[:3])
    assert samples.t.shape == (5,) and samples.t.dtype == torch.float32


def test_time_says_where_the_target_lies_between_the_outer_frames():
    samples = source([ramp_series()], midpoint_share=0.0).batch(300, step=0)
    a, target, b = indices_of(samples).T
    np.testing.assert_allclose(samples.t, (target - a) / (b - a), atol=1e-4)
    assert (samples.t > 0).all() and (samples.t < 1).all()
    assert (a > b).any() and (a < b).any(), "columns are mirrored with exchange in some of the samples"


def test_time_follows_the_angles_of_an_uneven_series():
    series = TiltSeries(np.ones((3, 8, 8)), [0, 1, 10], 1.0)
    samples = source([series]).batch(40, step=0)
    assert set(np.round(samples.t.tolist(), 4)) == {0.1, 0.9}


@pytest.mark.parametrize(("share", "low", "high"), [(1.0, 1.0, 1.0), (0.0, 0.05, 0.35)])
def test_share_of_midpoints(share, low, high):
    t = source([ramp_series()], midpoint_share=share).batch(400, step=0).t
    assert low <= (t == 0.5).float().mean() <= high


@pytest.mark.parametrize(("n", "max_rate", "largest"), [(31, 6, 12), (31, 1, 2), (8, 12, 7), (3, 12, 2)])
def test_every_gap_up_to_twice_the_rate_is_drawn(n, max_rate, largest):
    frames = 2.0 ** np.arange(n)[:, None, None] * np.ones((n, 2, 2))  # ratios tell gaps, whatever the scale
    drawn = source([TiltSeries(frames, np.arange(n), 1.0)], max_rate=max_rate, midpoint_share=0.2).batch(900, step=0)
    gaps = (drawn.frame_b / drawn.frame_a).log2().abs()[:, 0, 0, 0]
    assert set(gaps.tolist()) == set(range(2, largest + 1))


def test_scale_is_that_of_the_sparse_series_without_the_target():
    brightest = np.array([1.0, 9.0, 2.0, 9.0, 3.0])
    assert sparse_scale(brightest, gap=2, offset=2) == 3.0
    assert sparse_scale(brightest, gap=4, offset=0) == 3.0
    assert sparse_scale(np.zeros(5), gap=2, offset=0) == 1.0

    frames = np.ones((3, 8, 8))
    frames[1] = 50.0
    samples = source([TiltSeries(frames, [0, 1, 2], 1.0)]).batch(4, step=0)
    assert (samples.frame_a == 1).all() and (samples.target == 50).all()


def test_flips_keep_the_tilt_geometry():
    """A point at depth z moves along columns by z sin(tilt): where it must appear follows from the mirrored series."""
    n, middle = 9, 15.5
    frames = np.zeros((n, 32, 32))
    frames[np.arange(n), 5, np.arange(n) + 10] = 1.0  # moves to the right as the tilt grows
    samples = source([TiltSeries(frames, np.arange(n), 1.0)], crop_px=32, max_rate=4, midpoint_share=0.0).batch(
        100, step=0
    )
    rows, columns = [], []
    for frame in (samples.frame_a, samples.target, samples.frame_b):
        _, _, y, x = torch.nonzero(frame, as_tuple=True)
        rows.append(y.numpy())
        columns.append(x.numpy())
    a, target, b = columns
    assert (b > a).all(), "mirrored columns come with exchanged outer frames"
    np.testing.assert_allclose(target, a + (b - a) * samples.t.numpy(), atol=1e-4)
    assert set(rows[0]) == {5, 26} and (rows[0] == rows[1]).all() and (rows[0] == rows[2]).all()
    assert (a < middle).any() and (a > middle).any()


def test_crops_hold_the_object():
    frames = np.zeros((5, 64, 48))
    frames[:, 50:54, 3:7] = 1.0
    samples = source([TiltSeries(frames, np.arange(5), 1.0)], crop_px=16).batch(50, step=0)
    assert samples.frame_a.shape == (50, 1, 16, 16)
    assert (samples.frame_a.amax(dim=(1, 2, 3)) == 1).all()
    assert (samples.frame_a == samples.target).all(), "all frames of a sample are cropped alike"


def test_crops_are_no_larger_than_the_smallest_frame():
    small = ramp_series(shape=(6, 20))
    assert source([small, ramp_series(shape=(12, 12))], crop_px=16).batch(4, step=0).target.shape == (4, 1, 6, 12)


def test_dark_frames_give_samples():
    assert not source([TiltSeries(np.zeros((4, 16, 16)), np.arange(4), 1.0)]).batch(4, step=0).target.any()


def test_noise_falls_on_the_outer_frames_alone_and_follows_the_dose():
    series = TiltSeries(np.full((5, 64, 64), 0.5), np.arange(5), 0.5)
    samples = source([series], crop_px=64, dose_per_A2=(400.0, 400.0)).batch(4, step=0)
    assert (samples.target == 1).all()
    expected = 1 / np.sqrt(0.5 * 400 * 0.25)  # relative spread of the electrons that a pixel counts
    assert samples.frame_a.std().item() == pytest.approx(expected, rel=0.05)
    assert not torch.equal(samples.frame_a, samples.frame_b)


def test_batches_are_decided_by_seed_step_and_rank():
    series = [ramp_series()]
    one = source(series).batch(8, step=4)
    assert all(torch.equal(x, y) for x, y in zip(one, source(series).batch(8, step=4), strict=True))
    for other in (
        source(series).batch(8, step=5),
        source(series).batch(8, step=4, rank=1),
        source(series, seed=4).batch(8, step=4),
    ):
        assert not torch.equal(one.target, other.target)


@pytest.mark.parametrize(
    ("series", "cause"),
    [
        ([], "no tilt series"),
        ([ramp_series(), ramp_series(n=2)], "tilt series 1 has 2 frames"),
        ([ramp_series(n=3, measured=[True, False, True])], "predicted frames"),
    ],
)
def test_series_that_give_no_samples(series, cause):
    with pytest.raises(TsgError, match=cause):
        source(series)
