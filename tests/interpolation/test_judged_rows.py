"""The band of rows by which methods are judged, and what counts as a large series."""

import numpy as np
import pytest

from tsg_core.interpolation import large_series
from tsg_core.interpolation.large_series import N_JUDGED, is_large, judged_part, judged_rows
from tsg_core.tilt_series import TiltSeries


def series_with_change(*, first, n_y=200, n_x=130):
    """Still noise, but for 20 rows from `first` on that are others in every frame."""
    rng = np.random.default_rng(0)
    frames = np.repeat(rng.random((1, n_y, n_x), dtype=np.float32), 6, axis=0)
    frames[:, first : first + 20] = rng.random((6, 20, n_x))
    return TiltSeries(frames, np.arange(6.0), 1.0)


@pytest.mark.parametrize("first", [0, 70, 180])
def test_the_band_holds_the_rows_that_change(monkeypatch, first):
    monkeypatch.setattr(large_series, "LARGE_px", 1000)
    series = series_with_change(first=first)
    rows = judged_rows(series)
    assert rows.start <= first and rows.stop >= first + 20 and rows.stop - rows.start == N_JUDGED
    assert 0 <= rows.start and rows.stop <= 200
    np.testing.assert_array_equal(judged_part(series).frames, series.frames[:, rows])


def test_small_series_and_low_frames_are_judged_whole(monkeypatch):
    series = series_with_change(first=9)
    assert judged_rows(series) is None and judged_part(series) is series
    monkeypatch.setattr(large_series, "LARGE_px", 1000)
    assert judged_rows(series_with_change(first=9, n_y=2 * N_JUDGED - 1)) is None


def test_frames_of_the_width_of_the_book_never_count_as_large():
    assert not is_large(np.broadcast_to(np.float32(0), (400, 128, 128)))
    assert not is_large(np.broadcast_to(np.float32(0), (60, 200, 200)))
    assert is_large(np.broadcast_to(np.float32(0), (90, 256, 256)))
