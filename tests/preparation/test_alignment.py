"""Shifts and tilt axis are found again, and undone once."""

from dataclasses import replace

import numpy as np
import pytest
from ase import Atoms
from misaligned import atoms_series, blobs_series, counted, drift, irregular_tilts

from tsg_core.errors import TsgError
from tsg_core.preparation.alignment import AlignmentSettings, align
from tsg_core.preparation.checks import warnings_of
from tsg_core.preparation.common_lines import centre_of_mass_shifts, change_of_sums, common_line_shifts
from tsg_core.preparation.correlation import correlation_shifts, shift_between
from tsg_core.preparation.framing import bin_pixels
from tsg_core.preparation.refinement import best_offset_px
from tsg_core.preparation.transformation import (
    axis_offset_px,
    axis_rotation,
    common_field,
    moved_back,
    shift_error_px,
    translation_of,
    without_gauge,
)
from tsg_core.samples.experiment import recorded_balls
from tsg_core.tilt_series import TiltSeries

TILT_deg = irregular_tilts()
DRIFT_px = drift(29)
AXIS_deg = 1.5


def recorded(kind, *, axis_deg=AXIS_deg, peak_electrons=300):
    return counted(kind(TILT_deg, DRIFT_px, axis_deg), peak_electrons=peak_electrons)


@pytest.fixture(scope="module")
def atoms():
    series = recorded(atoms_series)
    return series, align(series)


@pytest.fixture(scope="module")
def blobs():
    series = recorded(blobs_series)
    return series, align(series)


@pytest.mark.parametrize("kind", ["atoms", "blobs"])
def test_shifts_and_axis_are_found_with_noise_and_a_missing_wedge(kind, request):
    _, alignment = request.getfixturevalue(kind)
    assert shift_error_px(0 * DRIFT_px, DRIFT_px, tilt_deg=TILT_deg, axis_deg=AXIS_deg) > 1
    assert shift_error_px(alignment.shift_px, DRIFT_px, tilt_deg=TILT_deg, axis_deg=AXIS_deg) < 0.15
    assert abs(alignment.axis_deg - AXIS_deg) < 0.2
    assert alignment.report.residual_after < 0.6 * alignment.report.residual_before


def test_an_axis_beyond_the_first_search_is_found():
    some = slice(None, None, 2)
    series = recorded(blobs_series, axis_deg=-14.0, peak_electrons=1000).subset(some)
    alignment = align(series)
    assert abs(alignment.axis_deg + 14.0) < 0.2
    assert shift_error_px(alignment.shift_px, DRIFT_px[some], tilt_deg=series.tilt_deg, axis_deg=-14.0) < 0.15


@pytest.mark.parametrize("kind", [atoms_series, blobs_series])
def test_an_axis_along_x_is_noticed(kind):
    series = recorded(kind, axis_deg=0.0)
    turned = replace(series, frames=np.rot90(series.frames, axes=(1, 2)))
    assert change_of_sums(series.frames, axis=2) < 0.5 * change_of_sums(series.frames, axis=1)
    assert not [said for said in warnings_of(series) if "along x" in said]
    assert [said for said in warnings_of(turned) if "along x" in said and "--rotate" in said]


def test_the_object_ends_about_the_middle_and_the_history_says_how(atoms):
    series, alignment = atoms
    centre_px = centre_of_mass_shifts(alignment.series.frames)
    np.testing.assert_allclose(centre_px.mean(axis=0), 0, atol=0.15)
    assert alignment.series.history == (str(alignment.report),)
    assert "inclined by 1." in str(alignment.report)
    assert not np.array_equal(alignment.series.frames, series.frames) and series.history == ()


def test_what_was_found_on_binned_frames_aligns_the_raw_ones(blobs):
    series, _ = blobs
    binned, _ = bin_pixels(series, factor=2)
    from_binned = align(binned, settings=AlignmentSettings(axis_deg=AXIS_deg, axis_reach_deg=0.0))
    aligned = from_binned.apply(series)
    assert aligned.frames.shape == series.frames.shape and aligned.history == (str(from_binned.report),)
    error_px = shift_error_px(2 * from_binned.shift_px, DRIFT_px, tilt_deg=TILT_deg, axis_deg=AXIS_deg)
    assert error_px < 0.2
    with pytest.raises(TsgError, match="same angles"):
        from_binned.apply(series.subset(np.arange(5)))


def test_the_same_series_is_aligned_the_same_way_again(blobs):
    series, _ = blobs
    settings = AlignmentSettings(axis_reach_deg=0.0, axis_deg=AXIS_deg)
    few = series.subset(np.arange(0, 29, 4))
    first, second = align(few, settings=settings), align(few, settings=settings)
    np.testing.assert_array_equal(first.series.frames, second.series.frames)
    assert first.axis_deg == AXIS_deg


@pytest.mark.parametrize(("method", "at_most_px"), [("correlation", 0.6), ("centre-of-mass", 0.2)])
def test_coarse_methods(method, at_most_px):
    alignment = align(recorded(atoms_series, axis_deg=0.0), settings=AlignmentSettings(method=method))
    assert shift_error_px(alignment.shift_px, DRIFT_px, tilt_deg=TILT_deg, axis_deg=0.0) < at_most_px
    assert alignment.report.start == method and alignment.axis_deg == 0


def test_common_lines_find_the_shifts_along_the_axis():
    series = recorded(blobs_series, axis_deg=0.0)
    along = common_line_shifts(series.frames)
    assert np.std(along - DRIFT_px[:, 0]) < 0.06


def test_correlation_of_a_flat_object_needs_stretching():
    tilt_deg = np.arange(-60.0, 61.0, 6.0)
    flat = Atoms("Au60", positions=np.random.default_rng(0).uniform([-9, -9, -0.2], [9, 9, 0.2], (60, 3)))
    shift_px = drift(21, step_px=0.5)
    series = atoms_series(tilt_deg, shift_px, 0.0, atoms=flat)

    def error_px(stretch):
        found_px = correlation_shifts(series.frames, tilt_deg=tilt_deg, stretch=stretch)
        return np.std(found_px - shift_px, axis=0).max()

    assert error_px(True) < 0.12 < error_px(False)


def test_the_offset_of_the_axis_is_found_by_reprojection():
    offset_px = np.tile([0.0, 2.0], (29, 1))
    series = counted(blobs_series(TILT_deg, offset_px, 0.0), peak_electrons=300)
    found, misfits = best_offset_px(
        series.frames, tilt_deg=TILT_deg, shift_px=0 * offset_px, axis_deg=0.0, trial_px=np.arange(-4.0, 5.0)
    )
    assert abs(found - 2) < 0.3 and misfits.argmin() == 6


def test_a_translation_of_the_object_is_no_misalignment():
    tilt = np.deg2rad(TILT_deg)
    across = 3 * np.cos(tilt) - 2 * np.sin(tilt)
    shift_px = np.column_stack([np.full(29, 1.5), across]) @ axis_rotation(AXIS_deg).T
    np.testing.assert_allclose(without_gauge(shift_px, tilt_deg=TILT_deg, axis_deg=AXIS_deg), 0, atol=1e-12)
    moved = shift_px + 4 * axis_rotation(AXIS_deg)[:, 1]
    assert axis_offset_px(moved, tilt_deg=TILT_deg, axis_deg=AXIS_deg) == pytest.approx(4)
    at_deg = np.array([0.0, 90.0])
    translation = translation_of(np.column_stack([np.full(29, 1.5), across]), tilt_deg=TILT_deg, at_deg=at_deg)
    np.testing.assert_allclose(translation, [[1.5, 3], [1.5, -2]], atol=1e-12)


def test_shifts_of_whole_pixels_keep_every_value():
    frames = np.random.default_rng(0).random((2, 9, 8), dtype=np.float32)
    moved = moved_back(frames, shift_px=[[2, -1], [0, 0]])
    np.testing.assert_array_equal(moved[0, :7, 1:], frames[0, 2:, :7])
    np.testing.assert_array_equal(moved[1], frames[1])
    border = np.median(np.concatenate([frames[0, [0, -1]].ravel(), frames[0, 1:-1, [0, -1]].ravel()]))
    np.testing.assert_array_equal(moved[0, 7:], border)
    far = moved_back(frames, shift_px=[[20, 0], [0, -20]])
    assert np.ptp(far[0]) == 0


def test_one_resampling_undoes_shift_and_rotation():
    straight = blobs_series(TILT_deg, 0 * DRIFT_px, 0.0).frames
    displaced = blobs_series(TILT_deg, DRIFT_px, 4.0).frames
    undone = moved_back(displaced, shift_px=DRIFT_px, axis_deg=4.0)
    rows, columns = common_field((48, 48), shift_px=DRIFT_px, axis_deg=4.0)
    assert rows.stop - rows.start > 30 and columns.stop - columns.start > 30
    difference = np.abs(undone - straight)
    assert difference[:, rows, columns].max() < 4e-3
    assert np.abs(displaced - straight).max() > 0.1


def test_atoms_sampled_finely_stay_sharp():
    fine = {"n": 96, "pixel_size_A": 0.22}
    atoms = atoms_series(TILT_deg[:3], 0 * DRIFT_px[:3], 0.0, **fine).frames
    recorded = atoms_series(TILT_deg[:3], DRIFT_px[:3], 2.0, **fine).frames
    undone = moved_back(recorded, shift_px=DRIFT_px[:3], axis_deg=2.0)
    assert np.abs(undone * atoms.sum() / undone.sum() - atoms).max() < 0.02


def test_the_common_field_holds_recorded_pixels_alone():
    shift_px = np.array([[3.0, 0.0], [-2.0, 1.5]])
    rows, columns = common_field((20, 24), shift_px=shift_px, axis_deg=0.0)
    assert (rows, columns) == (slice(2, 17), slice(0, 22))
    ones = moved_back(np.pad(np.ones((2, 20, 24)), ((0, 0), (1, 1), (1, 1))), shift_px=shift_px, order=1)
    assert ones[:, 1:-1, 1:-1][:, rows, columns].min() > 0.99


def test_displacements_have_the_sign_of_the_displacement():
    frame = blobs_series([0.0, 1.0], np.zeros((2, 2)), 0.0).frames[0]
    np.testing.assert_allclose(shift_between(frame, np.roll(frame, (2, -3), axis=(0, 1))), [2, -3], atol=0.021)


def test_what_cannot_be_aligned_is_one_line():
    two = TiltSeries(np.ones((2, 8, 8)), [0, 10], 1.0)
    with pytest.raises(TsgError, match="2 frames cannot be aligned"):
        align(two)
    with pytest.raises(TsgError, match="'fiducial' is not known"):
        AlignmentSettings(method="fiducial")
    with pytest.raises(TsgError, match="finest_px"):
        AlignmentSettings(finest_px=3)


def test_the_report_doubts_an_object_that_leaves_the_frames(blobs):
    assert "less certain" not in str(blobs[1].report) and blobs[1].report.at_sides < 0.05
    settings = AlignmentSettings(method="centre-of-mass")
    beyond = recorded_balls(tilt_deg=TILT_deg, shift_px=DRIFT_px, axis_deg=0.0, shape=48, reach=0.7)
    assert "makes shifts and axis less certain" in str(align(beyond, settings=settings).report)


def test_empty_frames_stay_where_they_are():
    empty = TiltSeries(np.zeros((5, 16, 16)), np.arange(5.0), 1.0)
    alignment = align(empty)
    assert np.isfinite(alignment.shift_px).all() and not alignment.series.frames.any()
