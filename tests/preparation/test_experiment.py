"""The shipped series like an experiment's: what preparation makes of it, and the command that does it."""

import numpy as np
import pytest
from click.testing import CliRunner

from tsg_core.commands.prepare import prepare as command
from tsg_core.errors import TsgError
from tsg_core.preparation.alignment import AlignmentSettings, align
from tsg_core.preparation.steps import PreparationSettings, prepare
from tsg_core.samples.experiment import EXPERIMENT_FILE, experiment_like
from tsg_core.tilt_series import TiltSeries


@pytest.fixture(scope="module")
def experiment():
    return experiment_like()


@pytest.fixture(scope="module")
def prepared(experiment):
    return prepare(experiment[0], settings=PreparationSettings(hot_pixels=True))


def test_the_raw_series_is_raw(experiment):
    raw, truth = experiment
    assert EXPERIMENT_FILE.stat().st_size < 1.5e6
    assert (raw.frames == np.rint(raw.frames)).all() and raw.frames.min() > 0
    assert abs(raw.tilt_deg).max() <= 70 and np.ptp(np.diff(raw.tilt_deg)) > 1
    assert len(truth.shift_px) == len(truth.gain) == len(raw)
    assert np.intersect1d(truth.left_out.tilt_deg, raw.tilt_deg).size == 0


def test_preparation_brings_it_within_a_third_of_a_pixel(experiment, prepared):
    truth = experiment[1]
    hot, background = (step.report for step in prepared.steps[:2])
    true = {tuple(p) for p in truth.hot_pixels.tolist()}
    found = {tuple(p) for p in hot.replaced.tolist()}
    assert found <= true and len(found) > 0.9 * len(true)
    assert background.level[0] == pytest.approx(truth.offset, abs=1)
    assert truth.shift_error_px(prepared.alignment) < 0.1
    assert abs(prepared.alignment.axis_deg - truth.axis_deg) < 0.2


def test_the_left_out_frames_lie_where_the_alignment_put_the_object(experiment, prepared):
    truth, series = experiment[1], prepared.series
    moved = truth.left_out_beside(prepared.alignment)

    def likeness(frames):
        """Correlation with the mean of the two prepared frames on either side."""
        upper = np.searchsorted(series.tilt_deg, truth.left_out.tilt_deg)
        between = (series.frames[upper - 1] + series.frames[upper]) / 2
        return np.corrcoef(frames.ravel(), between.ravel())[0, 1]

    assert likeness(moved.frames) > 0.9
    assert likeness(moved.frames) > likeness(np.roll(moved.frames, 2, axis=1)) + 0.01
    binned = prepare(experiment[0], settings=PreparationSettings(
        binning=2, alignment=AlignmentSettings(method="centre-of-mass")
    ))  # fmt: skip
    with pytest.raises(TsgError, match="unbinned pixels"):
        truth.left_out_beside(binned.alignment)


def test_no_aligned_pixel_is_darker_than_all_recorded_ones(experiment):
    """Hot pixels that stay ring when frames are resampled; reconstruction refuses frames far below zero."""
    raw, _ = experiment
    aligned = align(raw, settings=AlignmentSettings(method="centre-of-mass"))
    assert aligned.series.frames.min() == raw.frames.min()


@pytest.fixture
def raw_file(experiment, tmp_path):
    return experiment[0].write(tmp_path / "raw.npz")


def run(*arguments):
    return CliRunner().invoke(command, [str(a) for a in arguments])


def test_the_command_writes_the_prepared_series_and_figures(raw_file, tmp_path):
    out, figures = tmp_path / "out.npz", tmp_path / "figures"
    options = ("--hot-pixels", "--exclude", "3,7", "--exclude-angles", "", "--bin", 2, "--align", "centre-of-mass")
    result = run(raw_file, "-o", out, *options, "--crop", 40, "--report", figures)
    assert result.exit_code == 0, result.output
    lines = [line for line in result.output.splitlines() if not line.startswith("note: ")]
    starts = (
        "Frames 3, 7 of the file",
        "Replaced",
        "Subtracted",
        "Binned by 2",
        "Aligned by centre-of-mass",
        "Cropped",
        "wrote",
    )
    assert all(line.startswith(start) for line, start in zip(lines, starts, strict=False))
    written = TiltSeries.read(out)
    assert written.frames.shape == (26, 40, 40) and len(written.history) == 6
    drawn = {path.stem for path in figures.glob("*.png")}
    assert drawn == {"hot_pixels", "background", "alignment", "shifts", "axis"}


def test_the_command_leaves_out_what_it_is_told_to(raw_file, tmp_path):
    out = tmp_path / "out.npz"
    assert run(raw_file, "-o", out, "--background", "none", "--align", "none").exit_code == 0
    np.testing.assert_array_equal(TiltSeries.read(out).frames, TiltSeries.read(raw_file).frames)
    assert run(raw_file, "-o", out, "--background", "400", "--align", "none", "--overwrite").exit_code == 0
    assert TiltSeries.read(out).frames.min() == TiltSeries.read(raw_file).frames.min() - 400


def test_a_second_frame_at_one_angle_is_left_out_by_its_number(experiment, tmp_path):
    raw, _ = experiment
    stack = raw.write(tmp_path / "raw.mrc")
    angles = raw.tilt_deg.tolist()
    (tmp_path / "angles.txt").write_text("\n".join(map(str, [*angles[:-1], angles[3]])))
    options = (
        "--tilts",
        tmp_path / "angles.txt",
        "-o",
        tmp_path / "out.npz",
        "--background",
        "none",
        "--align",
        "none",
    )
    refused = run(stack, *options)
    assert isinstance(refused.exception, TsgError) and "more than once" in str(refused.exception)
    accepted = run(stack, *options, "--exclude", len(raw) - 1)
    assert accepted.exit_code == 0, accepted.output
    np.testing.assert_array_equal(TiltSeries.read(tmp_path / "out.npz").tilt_deg, angles[:-1])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--exclude", "3,x"), "'3,x' must be a list of frame numbers"),
        (("--exclude", "99"), "99 cannot be left out"),
        (("--exclude-angles", "91"), "no frame was taken at 91 degrees"),
        (("--background", "dark"), "'dark' is neither auto, none nor a number"),
    ],
)
def test_mistakes_write_nothing(raw_file, tmp_path, arguments, message):
    out = tmp_path / "out.npz"
    result = run(raw_file, "-o", out, *arguments)
    assert result.exit_code != 0 and message in f"{result.output}{result.exception}"
    assert not out.exists()
