"""Bright field, a tilt axis along x, empty frames, filled borders: decided, asked or refused, beside the truth."""

# ruff: noqa: F811  (a fixture that is imported)

from dataclasses import replace

import numpy as np
import pytest
from misaligned import counted, drift
from test_vacuum import moved
from tsg_command import one_line, tsg  # noqa: F401

from tsg_core.errors import TsgError
from tsg_core.preparation.alignment import AlignmentSettings, align
from tsg_core.preparation.checks import warnings_of
from tsg_core.preparation.contrast import invert
from tsg_core.preparation.orientation import Orientation, orientation
from tsg_core.preparation.selection import leave_out_empty
from tsg_core.preparation.steps import PreparationSettings, prepare
from tsg_core.preparation.transformation import shift_error_px
from tsg_core.samples.experiment import recorded_balls
from tsg_core.tilt_series import TiltSeries

TILT_deg = np.arange(-60.0, 61.0, 8.0)
SHIFT_px = drift(len(TILT_deg), step_px=0.8)
STILL = 0 * SHIFT_px
UNALIGNED = PreparationSettings(alignment=None)


def recorded(*, shift_px=SHIFT_px, seed=0, shape=32):
    return recorded_balls(tilt_deg=TILT_deg, shift_px=shift_px, axis_deg=0.0, shape=shape, seed=seed)


def haadf(*, vacuum=60, **options):
    """Counts of the object and of a vacuum that is not empty."""
    series = recorded(**options)
    return replace(series, frames=np.random.default_rng(1).poisson(300 * series.frames + vacuum))


def bright_field(seed=0):
    series = recorded()
    counts = np.random.default_rng(seed).poisson(800 * np.exp(-0.5 * series.frames))
    return replace(series, frames=counts)


def turned(series, quarters=-1):
    return replace(series, frames=np.rot90(series.frames, quarters, axes=(1, 2)).copy())


def test_bright_field_is_refused_with_the_option_that_helps(tsg, tmp_path):
    path = bright_field().write(tmp_path / "in.npz")
    status, _, error = tsg("prepare", path, "-o", tmp_path / "out.npz")
    assert status == 2 and one_line(error) and "as in bright field: say --invert, or --no-invert" in error
    assert not (tmp_path / "out.npz").exists()
    status, said, _ = tsg("prepare", path, "-o", tmp_path / "out.npz", "--invert", "--align", "none")
    assert status == 0 and "Turned the contrast" in said
    found, clean = TiltSeries.read(tmp_path / "out.npz").frames, recorded().frames
    assert np.corrcoef(found.ravel(), clean.ravel())[0, 1] > 0.85 and abs(np.median(found[:, :4])) < 15
    status, said, _ = tsg("prepare", path, "-o", tmp_path / "as_is.npz", "--no-invert", "--align", "none")
    assert status == 0 and "bright field" in said


@pytest.mark.parametrize("command", ["show", "densify", "reconstruct"])
def test_every_command_says_that_the_object_is_dark(tsg, tmp_path, command):
    path = bright_field().write(tmp_path / "in.npz")
    options = {"densify": ("--method", "linear"), "reconstruct": ("--iterations", 2), "show": ()}[command]
    status, said, _ = tsg(command, path, "-o", tmp_path / ("out.png" if command == "show" else "out.npz"), *options)
    assert status == 0 and "as in bright field" in said and "tsg prepare IN --invert" in said


def test_inverted_frames_are_aligned_as_well_as_dark_field():
    series, _ = invert(bright_field())
    found = align(series, settings=AlignmentSettings(axis_reach_deg=0.0))
    assert shift_error_px(found.shift_px, SHIFT_px, tilt_deg=TILT_deg, axis_deg=0.0) < 0.3


def test_an_axis_along_x_is_turned_and_said():
    said, series = [], haadf()
    prepared = prepare(turned(series), say=said.append)
    assert "The tilt axis lies along x" in said[0] and said[1].startswith("Turned by 90 degrees")
    assert shift_error_px(prepared.alignment.shift_px, SHIFT_px, tilt_deg=TILT_deg, axis_deg=0.0) < 0.3
    left = prepare(turned(series), settings=PreparationSettings(turn=False, alignment=None))
    assert "turn" not in [step.name for step in left.steps]


@pytest.mark.parametrize("seed", range(2))
def test_frames_with_the_axis_along_y_are_not_turned(seed):
    for series in (haadf(seed=seed), counted(recorded(seed=seed), peak_electrons=15)):
        assert (found := orientation(series)) is None or not found.along_x
        assert (found := orientation(turned(series))) is not None and found.turned < found.as_recorded


def test_what_the_frames_do_not_tell_is_asked(monkeypatch):
    said, settings = [], PreparationSettings(alignment=AlignmentSettings(method="correlation"))
    unclear = Orientation(as_recorded=0.192, turned=0.189)  # as of a needle in frames of 64 px
    monkeypatch.setattr("tsg_core.preparation.steps.orientation", lambda series: unclear)
    prepared = prepare(haadf(), settings=settings, say=said.append)
    assert "may lie along x" in said[0] and "compare the volumes of --rotate and --no-rotate" in said[0]
    assert "turn" not in [step.name for step in prepared.steps]
    monkeypatch.setattr("tsg_core.preparation.steps.orientation", lambda series: None)
    said.clear()
    prepare(haadf(), settings=settings, say=said.append)
    assert said[0].startswith("Subtracted")


def test_a_frame_without_a_beam_is_left_out_and_said():
    series = haadf()
    series.frames[5] = np.random.default_rng(0).poisson(60, series.frames[5].shape)
    series.frames[9] = 0
    left, report = leave_out_empty(series)
    np.testing.assert_array_equal(left.tilt_deg, np.delete(TILT_deg, [5, 9]))
    assert "Left out 2 frames that show nothing, at -20, 12 degrees" in str(report)
    assert leave_out_empty(haadf())[1] is None
    said = []
    prepared = prepare(series, settings=UNALIGNED, say=said.append)
    assert len(prepared.series) == len(TILT_deg) - 2 and said[0] == str(report)


def test_frames_that_nothing_betters_are_left_as_recorded():
    series = recorded(shift_px=STILL)
    found = align(series)
    assert found.report.residual_after <= found.report.residual_before
    if found.report.kept:
        np.testing.assert_array_equal(found.series.frames, series.frames)
        assert "left as recorded" in str(found.report)
    apart = replace(found.report, kept=False, field=(slice(30, 30), slice(0, 9)))
    assert "No pixel was recorded at every tilt" in str(apart) and "--align none" in str(apart)
    worse = align(series, settings=AlignmentSettings(method="correlation"))
    assert ("made them worse" in str(worse.report)) == (worse.report.residual_after > worse.report.residual_before)


def test_zero_borders_of_aligned_frames_are_no_background():
    series = haadf(shift_px=STILL, shape=48, vacuum=300)
    series = replace(series, frames=moved(series.frames, "whole pixels"))
    prepared = prepare(series, settings=UNALIGNED)
    report = prepared.steps[-1].report
    assert report.level[0] == pytest.approx(300, abs=2) and report.filled > 10
    assert "Borders of" in str(report) and "were not recorded" in str(report)
    assert prepared.series.frames.min() > -100


def test_what_reading_remarked_and_what_show_notes_is_printed_by_prepare(tsg, tmp_path):
    series = haadf()
    series.frames[4] *= 2
    path = series.noted("Angles were turned by somebody.").write(tmp_path / "in.npz")
    status, said, _ = tsg("prepare", path, "-o", tmp_path / "out.npz", "--align", "none")
    assert status == 0 and "Angles were turned by somebody." in said
    for warning in warnings_of(series):
        assert f"note: {warning}" in said
    assert "much brighter or darker" in said


@pytest.mark.parametrize("first_deg", [0.0, -180.0])
def test_a_full_turn_is_aligned(first_deg):
    tilt_deg = first_deg + np.arange(0.0, 355.0, 15.0)
    shift_px = drift(len(tilt_deg), step_px=0.6)
    series = recorded_balls(tilt_deg=tilt_deg, shift_px=shift_px, axis_deg=0.0, shape=32)
    found = align(counted(series, peak_electrons=300), settings=AlignmentSettings(axis_reach_deg=0.0))
    assert shift_error_px(found.shift_px, shift_px, tilt_deg=tilt_deg, axis_deg=0.0) < 0.2


def test_a_contrast_that_is_given_is_not_judged():
    with pytest.raises(TsgError, match="bright field"):
        prepare(bright_field(), settings=UNALIGNED)
    prepared = prepare(bright_field(), settings=replace(UNALIGNED, invert=True))
    assert prepared.steps[0].name == "invert"
