"""Frames that lie in another order than their angles are noticed; those that lie right never are."""

import numpy as np
import pytest
from microscope_files import serialem_records, write_mrc

from tsg_core.errors import TsgError
from tsg_core.formats import read_series
from tsg_core.formats.order import order_fault


def particle(tilt_deg, *, noise: float = 0.0, drift_px: int = 0, seed: int = 0, is_flat: bool = False):
    """Frames (n_tilt, 64, 64) of twelve blobs; flat ones look alike at opposite angles."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:64, :64] - 32.0
    places = rng.uniform(-18, 18, (12, 3))
    if is_flat:
        places[:, 2] = 0
    frames = []
    for angle in np.radians(tilt_deg):
        columns = places[:, 0] * np.cos(angle) + places[:, 2] * np.sin(angle)
        frame = sum(np.exp(-((x - c) ** 2 + (y - row) ** 2) / 18) for c, row in zip(columns, places[:, 1], strict=True))
        frame = np.roll(frame, rng.integers(-drift_px, drift_px + 1, 2), (0, 1))
        frames.append(frame + rng.normal(0, noise, frame.shape))
    return np.array(frames, np.float32)


def dose_symmetric(n: int) -> np.ndarray:
    """0, 1, -1, 2, -2, ... as indices of ascending angles."""
    return np.array(sorted(range(n), key=lambda i: (abs(i - n // 2), -i)))


def bidirectional(n: int) -> np.ndarray:
    return np.array([*range(n // 2, n), *range(n // 2 - 1, -1, -1)])


SCHEMES = [dose_symmetric, bidirectional, np.arange, lambda n: np.arange(n)[::-1]]


@pytest.mark.parametrize("n", [7, 25])
@pytest.mark.parametrize("options", [
    {}, {"noise": 0.3}, {"noise": 2.0}, {"drift_px": 6}, {"is_flat": True},
    {"is_flat": True, "noise": 0.1},
], ids=str)  # fmt: skip
def test_the_right_order_is_never_refused(n, options):
    angles = np.linspace(-60, 60, n)
    for seed in range(2):
        frames = particle(angles, seed=seed, **options)
        for scheme in SCHEMES:
            assert order_fault(frames, angles, np.argsort(scheme(n))) == ""


def test_frames_that_say_nothing():
    rng = np.random.default_rng(0)
    for shape in ((9, 8, 8), (9, 33, 12), (9, 8, 300), (5, 64, 64), (9, 1, 1), (181, 16, 16)):
        noise = rng.random(shape, dtype=np.float32)
        assert order_fault(noise, np.arange(shape[0]), rng.permutation(shape[0])) == ""
        assert order_fault(np.ones_like(noise), np.arange(shape[0]), rng.permutation(shape[0])) == ""


@pytest.mark.parametrize("n", [7, 13])
def test_a_bad_frame_among_right_ones_is_no_other_order(n):
    angles, rng = np.linspace(-60, 60, n), np.random.default_rng(0)
    for is_flat in (False, True):
        frames = particle(angles, noise=0.1, is_flat=is_flat)
        for i in range(n):
            for bad in (np.zeros((64, 64)), rng.normal(0, 1, (64, 64)), frames[(i + n // 2) % n, ::-1]):
                spoilt = frames.copy()
                spoilt[i] = bad
                for scheme in SCHEMES:
                    assert order_fault(spoilt, angles, np.argsort(scheme(n))) == ""


@pytest.mark.parametrize("noise", [0.0, 0.2])
@pytest.mark.parametrize("scheme", [dose_symmetric, bidirectional])
def test_a_stack_that_was_sorted_after_its_angles_were_noted(tmp_path, scheme, noise):
    angles = np.linspace(-60, 60, 25)
    frames = particle(angles, noise=noise)
    recorded_deg = angles[scheme(25)]
    extended, layout = serialem_records(recorded_deg)
    path = write_mrc(tmp_path / "sorted.st", frames, extended=extended, layout=layout, kind=b"SERI")
    with pytest.raises(
        TsgError, match="frames next to each other in the file are .* times more alike .* by --tilts"
    ) as error:
        read_series(path)
    assert "the extended header of sorted.st" in str(error.value) and "\n" not in str(error.value)
    np.testing.assert_array_equal(read_series(path, tilts=angles).frames, frames)
    told = read_series(path, tilts=recorded_deg).history  # as it was asked for
    assert "The frames do not seem to fit their angles, from the list of tilts, as given: " in " ".join(told)
    path = write_mrc(tmp_path / "right.st", frames[scheme(25)], extended=extended, layout=layout, kind=b"SERI")
    np.testing.assert_array_equal(read_series(path).frames, frames)


def test_angles_that_were_sorted_and_frames_that_were_not(tmp_path):
    angles = np.linspace(-60, 60, 25)
    path = write_mrc(tmp_path / "a.mrc", particle(angles, noise=0.2)[dose_symmetric(25)])
    (tmp_path / "a.rawtlt").write_text("".join(f"{angle}\n" for angle in angles))
    with pytest.raises(TsgError, match="from a.rawtlt: every second frame is .* times more alike"):
        read_series(path)
    assert len(read_series(path, tilts=angles[dose_symmetric(25)]).history) == 2
