"""The vacuum of made frames beside its truth: level, noise, borders that were not recorded, and bright field."""

import numpy as np
import pytest
from scipy.ndimage import rotate, shift

from tsg_core.samples.experiment import recorded_balls
from tsg_core.tilt_series import TiltSeries
from tsg_core.vacuum import _border_pieces, _levels, is_bright_field, less_offset, offset_of, recorded_in, vacuum_of

TILT_deg = np.arange(-60.0, 61.0, 12.0)
CLEAN = recorded_balls(tilt_deg=TILT_deg, shift_px=np.zeros((11, 2)), axis_deg=0.0, shape=48).frames


def counted(*, contrast=400.0, vacuum=60.0, seed=0):
    return np.random.default_rng(seed).poisson(CLEAN * contrast + vacuum).astype(np.float32)


def foreign(frames):
    return TiltSeries(frames, TILT_deg, 5.0, metadata={"source_dtype": "uint16"})


@pytest.mark.parametrize(("contrast", "vacuum"), [(400, 60), (40, 10), (3000, 200), (60, 2), (400, 0.3)])
def test_mean_and_noise_of_the_vacuum(contrast, vacuum):
    found = vacuum_of(counted(contrast=contrast, vacuum=vacuum))
    assert np.median(found.level) == pytest.approx(vacuum, abs=0.02 * contrast)
    assert found.sigma == pytest.approx(np.sqrt(vacuum), rel=0.15)
    assert found.contrast == pytest.approx(contrast, rel=0.35) and found.evident
    assert np.abs(found.level - vacuum).std() < 3 * found.error.mean()


def test_frames_at_once_and_one_by_one_have_the_same_levels():
    """A dead pixel on each side, or a frame that is not recorded everywhere: the others stay as they are."""
    frames = counted()
    dead, filled = frames.copy(), frames.copy()
    dead[0, [0, -1, 20, 20], [20, 20, 0, -1]] = np.nan
    filled[0, :8] = 0
    for changed in (dead, filled):
        np.testing.assert_allclose(_levels(changed)[1:], _levels(frames)[1:], rtol=1e-9)
    assert np.isnan(_levels(np.ones((3, 2, 2)))[..., 0]).any()  # pieces without pixels


@pytest.mark.parametrize("offset", [-32768, -400, -31, -8, 0, 8, 300, 5000])
def test_an_offset_is_found_where_the_file_has_one(offset):
    """Less than a twentieth of the contrast is none."""
    frames = counted(vacuum=0.01) + np.random.default_rng(1).normal(0, 8, CLEAN.shape) + offset
    found = offset_of(foreign(frames))
    assert (found is None) == (abs(offset) < 20)
    if found is not None:
        assert found.offsets == pytest.approx(np.full(11, offset), abs=2)
        left = less_offset(foreign(frames), found)
        assert abs(np.median(vacuum_of(left.frames).level)) < 2 and "this offset was subtracted" in left.history[0]
        np.testing.assert_allclose(left.frames, frames - found.offsets[0], atol=1e-2)


def test_noise_about_zero_is_no_offset_however_dark_single_pixels_are():
    frames = CLEAN * 30 + np.random.default_rng(0).normal(0, 10, CLEAN.shape)
    frames[3, 5, 5] = -500
    assert frames.min() < -10 * np.quantile(frames, 0.99) and offset_of(foreign(frames)) is None


def test_only_what_a_detector_wrote_has_an_offset_above_zero():
    """Simulated frames may have a halo everywhere."""
    assert offset_of(TiltSeries(CLEAN + 0.2, TILT_deg, 5.0)) is None
    assert offset_of(foreign(CLEAN + 0.2)) is not None
    assert offset_of(TiltSeries(CLEAN - 0.2, TILT_deg, 5.0)) is not None
    film = 0.3 / np.cos(np.deg2rad(TILT_deg))[:, None, None]
    assert offset_of(foreign(CLEAN + film)) is None


def moved(frames, kind, seed=0):
    """Frames as another program aligns them, filled with zero: by whole pixels, by fractions, turned."""
    rng = np.random.default_rng(seed)
    steps = rng.integers(-6, 7, (len(frames), 2))
    if kind == "whole pixels":
        return np.array([shift(f, s, order=0) for f, s in zip(frames, steps, strict=True)])
    turned = frames if kind == "fractions" else [rotate(f, 5, reshape=False, order=1) for f in frames]
    return np.array([shift(f, s + 0.4, order=1) for f, s in zip(turned, steps, strict=True)])


@pytest.mark.parametrize("kind", ["whole pixels", "fractions", "turned"])
@pytest.mark.parametrize("vacuum", [300, 60, 20])
def test_borders_that_were_not_recorded_are_no_vacuum(kind, vacuum):
    frames = moved(counted(vacuum=vacuum), kind)
    found = vacuum_of(frames)
    assert np.median(found.level) == pytest.approx(vacuum, rel=0.03)
    filled = moved(np.ones_like(CLEAN), kind) < 0.01
    for frame, fill in zip(frames, filled, strict=True):
        recorded = recorded_in(frame)
        if fill.sum() > 48:
            assert recorded is not None and recorded[fill].sum() < 24 and recorded.mean() > 0.5
    left = less_offset(foreign(frames), found)
    assert all(
        (f[r == 0] == 0).all() for f, r in zip(left.frames, map(recorded_in, frames), strict=True) if r is not None
    )


def filled(side, width, fill, *, vacuum=60):
    """A frame of counts whose pixels on one side are all one number."""
    frame = np.random.default_rng(0).poisson(vacuum, (40, 48)).astype(np.float32)
    {"top": frame, "bottom": frame[::-1], "left": frame.T, "right": frame.T[::-1]}[side][:width] = fill
    return frame


@pytest.mark.parametrize("fill", [0, 500])
@pytest.mark.parametrize("side", ["top", "bottom", "left", "right"])
def test_a_fill_on_any_side_is_found_with_the_pixels_that_it_blurs(side, fill):
    with_blurred = filled(side, 5, fill) == fill
    np.testing.assert_array_equal(recorded_in(filled(side, 3, fill)), ~with_blurred)


@pytest.mark.parametrize(("shape", "width"), [((12, 12), 2), ((16, 20), 2), ((36, 48), 2), ((100, 90), 5)])
def test_the_border_is_the_outermost_ring(shape, width):
    """In sixteen pieces of at least six pixels."""
    frame = 1.0 + np.arange(np.prod(shape)).reshape(shape)
    pieces = list(_border_pieces(frame))
    assert len(pieces) == 16 and min(piece.size for piece in pieces) >= 6
    inner = frame[width:-width, width:-width]
    np.testing.assert_array_equal(np.unique(np.concatenate([p.ravel() for p in pieces])), np.setdiff1d(frame, inner))


def test_the_border_lies_inside_of_fills():
    """And of the two pixels that they blur."""
    frame = np.random.default_rng(0).normal(60, 3, (48, 60))
    recorded = frame[6:-5, 4:-7]
    expected = list(_border_pieces(recorded))
    frame[:4] = frame[-3:] = frame[:, :2] = frame[:, -5:] = 0.0
    for piece, expected_piece in zip(_border_pieces(frame), expected, strict=True):
        np.testing.assert_array_equal(piece, expected_piece)


def test_what_is_no_fill():
    """Vacuum about a small object, a bay in what is recorded, a few pixels."""
    small, bay, few = np.zeros((40, 48)), filled("top", 4, 0), filled("top", 4, 0)
    small[12:28, 16:32] = 300
    bay[:20, 18:30] = 0
    few[:4, 6:] = 60
    for frame in (small, bay, few):
        assert recorded_in(frame) is None


def test_vacuum_is_the_darkest_part_of_the_border_not_the_quietest():
    rng = np.random.default_rng(0)
    lamella = rng.normal(20, 6, CLEAN.shape)
    lamella[:, 12:] = rng.normal(300, 1, lamella[:, 12:].shape)
    found = vacuum_of(lamella)
    assert np.median(found.level) == pytest.approx(20, abs=1) and found.sigma == pytest.approx(6, rel=0.1)


def test_a_vacuum_of_few_counts_is_recorded():
    for vacuum in (0.05, 0.5, 2, 10):
        frames = counted(vacuum=vacuum)
        assert sum(recorded_in(frame) is not None for frame in frames) == 0, vacuum


def test_bright_field_is_told_from_dark_field():
    frames = counted(vacuum=100, contrast=60)
    assert not is_bright_field(frames) and is_bright_field(500 - frames)
    assert is_bright_field(counted(contrast=-50, vacuum=60))
    weak = 100 - CLEAN * 15 + np.random.default_rng(0).normal(0, 5, CLEAN.shape)
    assert is_bright_field(weak)
    needle = np.random.default_rng(0).normal(100, 4, CLEAN.shape)
    needle[:, :, 18:30] -= 60
    assert is_bright_field(needle) and is_bright_field(needle.transpose(0, 2, 1)) and not is_bright_field(-needle)


def test_bright_field_is_darker_by_more_than_it_is_brighter_and_on_more_than_dead_pixels():
    rng = np.random.default_rng(0)
    both = 100 + 40 * CLEAN - 40 * np.roll(CLEAN, 8, axis=2) + rng.normal(0, 2, CLEAN.shape)
    dead = rng.normal(100, 4, CLEAN.shape)
    dead[:, 20, 20:24] = 0
    not_recorded = moved(counted(contrast=60, vacuum=300), "whole pixels")
    for frames in (both, dead, not_recorded):
        assert not is_bright_field(frames)
    assert not is_bright_field(-CLEAN[:, :11])  # too small to tell


def test_films_and_needles_are_no_bright_field():
    rng = np.random.default_rng(0)
    film = 100 + counted(vacuum=20)
    needle = rng.normal(20, 3, CLEAN.shape)
    needle[:, :, 18:30] += 300
    lamella = rng.normal(20, 3, CLEAN.shape)
    lamella[:, 10:, :] += 300
    strip = rng.normal(320, 3, CLEAN.shape)
    strip[:, :4] -= 300
    noise = rng.normal(100, 10, CLEAN.shape)
    for frames in (film, needle, lamella, strip, noise):
        assert not is_bright_field(frames)
