"""`tsg densify`: what it writes, how it goes on after an interruption, what its report holds."""

# ruff: noqa: F811  (a fixture that is imported)

import hashlib
import re

import numpy as np
import pytest
from phantoms import series_of, spots
from tsg_command import one_line, series, tsg  # noqa: F401

from tsg_core.interpolation import large_series, methods
from tsg_core.interpolation.leave_out import folds
from tsg_core.tilt_series import TiltSeries


def checksum(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_densify_writes_measured_and_predicted_frames(tsg, series, tmp_path):
    path, measured = series
    before = checksum(path)
    status, said, error = tsg("densify", path, "-o", tmp_path / "dense.npz", "--step", 4)
    assert (status, error) == (0, "") and "7 measured and 12 predicted frames" in said
    assert "left-out frames" in said and "reprojection" in said
    dense = TiltSeries.read(tmp_path / "dense.npz")
    assert set(np.arange(-28, 29, 4.0)) <= set(dense.tilt_deg) and set(measured.tilt_deg) <= set(dense.tilt_deg)
    assert np.array_equal(dense.frames[dense.measured], measured.frames)
    assert "predicted by tsg densify" in dense.history[-1]
    assert checksum(path) == before


@pytest.mark.parametrize("suffix", [".npz", ".mrc", ".tif", ".zarr"])
def test_uncertainties_are_of_the_same_kind_and_zero_where_measured(tsg, series, tmp_path, suffix):
    path = series[1].write(tmp_path / f"in{suffix}")
    status, _, error = tsg("densify", path, "-o", tmp_path / f"out{suffix}", "--step", 5, "--method", "linear")
    assert (status, error) == (0, "")
    dense, sigma = (TiltSeries.read(tmp_path / f"{name}{suffix}") for name in ("out", "out_sigma"))
    np.testing.assert_array_equal(dense.measured, np.arange(13) % 2 == 0)
    np.testing.assert_array_equal(dense.frames[dense.measured], series[1].frames)
    np.testing.assert_array_equal(sigma.tilt_deg, dense.tilt_deg)
    assert (sigma.frames[dense.measured] == 0).all() and (sigma.frames[~dense.measured] > 0).all()


def test_densify_of_two_frames_says_that_nothing_could_be_tried(tsg, series, tmp_path):
    series[1].subset([2, 4]).write(tmp_path / "two.npz")
    status, said, error = tsg("densify", tmp_path / "two.npz", "-o", tmp_path / "dense.npz", "--step", 2)
    assert (status, error) == (0, "") and "untested" in said
    assert not (tmp_path / "dense_sigma.npz").exists()
    assert "none can be left out" in (tmp_path / "dense_report.html").read_text()


def test_frames_beyond_the_range_are_predicted_on_request_and_the_report_draws_the_line(tsg, series, tmp_path):
    options = ("--step", 12, "--method", "reprojection")
    status, said, error = tsg("densify", series[0], "-o", tmp_path / "dense.npz", *options, "--extrapolate")
    assert (status, error) == (0, "") and "beyond the measured range reprojection predicts best" in said
    dense, sigma = (TiltSeries.read(tmp_path / f"dense{name}.npz") for name in ("", "_sigma"))
    assert dense.tilt_deg[[0, -1]].tolist() == [-84, 84]
    np.testing.assert_array_equal(dense.frames[dense.measured], series[1].frames)
    assert sigma.frames[0].mean() > 0 and any("beyond the measured range" in line for line in dense.history)
    report = (tmp_path / "dense_report.html").read_text()
    assert "<h2>Beyond the measured range</h2>" in report and "rest on the fitted object alone" in report
    status, _, error = tsg("densify", series[0], "-o", tmp_path / "no.npz", "--method", "cubic", "--extrapolate")
    assert status == 2 and "cubic has no object" in error and one_line(error) and not (tmp_path / "no.npz").exists()


def test_densify_at_the_angles_of_a_file(tsg, series, tmp_path):
    (tmp_path / "at.txt").write_text("-25\n5.5\n10\n")
    tsg("densify", series[0], "-o", tmp_path / "dense.npz", "--at", tmp_path / "at.txt", "--method", "cubic")
    dense = TiltSeries.read(tmp_path / "dense.npz")
    assert list(dense.tilt_deg[~dense.measured]) == [-25, 5.5]
    assert dense.metadata["method"] == "cubic"


def test_an_interrupted_run_goes_on_where_it_was(tsg, series, tmp_path, monkeypatch):
    calls, stop_at = [], 4
    linear = methods.SINGLE_METHODS["linear"]

    def counted(given, tilt_deg):
        calls.append(len(tilt_deg))
        if len(calls) == stop_at:
            raise KeyboardInterrupt
        return linear(given, tilt_deg)

    monkeypatch.setitem(methods.SINGLE_METHODS, "linear", counted)
    arguments = ("densify", series[0], "-o", tmp_path / "dense.npz", "--method", "linear", "--step", 5)
    status, _, error = tsg(*arguments)
    work = tmp_path / ".dense.npz.unfinished"
    assert status == 130 and "goes on from here" in error and work.is_dir()
    assert not (tmp_path / "dense.npz").exists()
    status, said, _ = tsg(*arguments)
    assert status == 0 and "3 prediction(s) of an interrupted run were used" in said
    n_folds = len(list(folds(len(TiltSeries.read(series[0])))))
    assert len(calls) == n_folds + 2 and not work.exists()  # one was interrupted, one is that of the wanted frames
    monkeypatch.setitem(methods.SINGLE_METHODS, "linear", linear)
    tsg(*arguments[:3], tmp_path / "again.npz", *arguments[4:])
    np.testing.assert_array_equal(
        TiltSeries.read(tmp_path / "dense.npz").frames, TiltSeries.read(tmp_path / "again.npz").frames
    )


def test_what_was_kept_of_another_input_is_not_used(tsg, series, tmp_path, monkeypatch):
    def never(given, tilt_deg):
        if len(given) == 7:
            raise KeyboardInterrupt
        return methods.nearest(given, tilt_deg)

    monkeypatch.setitem(methods.SINGLE_METHODS, "cubic", never)
    arguments = ("-o", tmp_path / "dense.npz", "--method", "cubic", "--step", 5)
    assert tsg("densify", series[0], *arguments)[0] == 130
    changed = TiltSeries(series[1].frames + 1, series[1].tilt_deg, 0.5).write(tmp_path / "changed.npz")
    monkeypatch.setitem(methods.SINGLE_METHODS, "cubic", methods.cubic)
    status, said, _ = tsg("densify", changed, *arguments)
    assert status == 0 and "interrupted run" not in said


def test_a_folder_of_somebody_else_is_left_alone(tsg, series, tmp_path):
    folder = tmp_path / ".dense.npz.unfinished"
    folder.mkdir()
    (folder / "thesis.txt").write_text("mine")
    status, _, error = tsg("densify", series[0], "-o", tmp_path / "dense.npz", "--method", "linear")
    assert status == 2 and "holds something else" in error and one_line(error)
    assert (folder / "thesis.txt").read_text() == "mine"


def test_align_undoes_shifts_before_anything_is_predicted(tsg, tmp_path):
    truth = series_of(np.pad(spots(n_y=16, n=20), ((4, 4), (6, 6), (6, 6))), np.arange(-60.0, 61.0, 6.0))
    rng = np.random.default_rng(0)
    moved = [np.roll(f, s, (0, 1)) for f, s in zip(truth.frames, rng.integers(-2, 3, (len(truth), 2)), strict=True)]
    path = TiltSeries(np.array(moved), truth.tilt_deg, 0.5).write(tmp_path / "moved.npz")
    found = {}
    for name, options in (("as recorded", ()), ("aligned", ("--align",))):
        out = tmp_path / f"{name}.npz"
        status, said, _ = tsg("densify", path, "-o", out, "--method", "linear", "--step", 3, *options)
        assert status == 0 and ("Aligned by" in said) == (name == "aligned")
        found[name] = TiltSeries.read(out).metadata["choice"]["left_out"][0]["left_out_psnr_dB"]
    assert found["aligned"] > found["as recorded"] + 3


def test_the_report_is_one_file_that_asks_for_nothing(tsg, series, tmp_path):
    tsg("densify", series[0], "-o", tmp_path / "dense.npz", "--method", "linear", "--step", 5)
    text = (tmp_path / "dense_report.html").read_text()
    assert not re.search(r'(?:src|href)="(?!data:)', text) and "url(" not in text and "<script" not in text
    assert text.count("data:image/png;base64,") == 3
    assert hashlib.sha256(series[0].read_bytes()).hexdigest() in text
    for expected in ("linear is the only method tried", "Left-out frames", "careful", "tsg densify", "numpy 2"):
        assert expected.lower() in text.lower()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--step", 0), "must lie between"),
        (("--step", 1, "--at", "a.txt"), "exclude each other"),
        (("--step", 10), "every angle that was asked for is measured"),
        (("--method", "magic"), "magic"),
        (("--method", "tsgnet", "--checkpoint", "huge"), "neither a file nor a shipped network"),
        (("--tilts", "missing.txt"), "missing.txt does not exist"),
    ],
)
def test_wrong_options_of_densify(tsg, series, tmp_path, options, message):
    status, _, error = tsg("densify", series[0], "-o", tmp_path / "out.npz", *options)
    assert status == 2 and message in error and one_line(error)
    assert {path.name for path in tmp_path.iterdir()} == {"series.npz"}


def test_large_frames_are_judged_by_a_band_and_the_report_says_so(tsg, tmp_path, monkeypatch):
    monkeypatch.setattr(large_series, "LARGE_px", 100_000)
    frames, shapes = np.random.default_rng(0).random((7, 130, 132), dtype=np.float32), []
    linear = methods.SINGLE_METHODS["linear"]

    def watched(given, tilt_deg):
        shapes.append(given.frames.shape[1])
        return linear(given, tilt_deg)

    monkeypatch.setitem(methods.SINGLE_METHODS, "linear", watched)
    path = TiltSeries(frames, np.arange(-30, 31, 10.0), 0.5).write(tmp_path / "in.npz")
    status, said, error = tsg("densify", path, "-o", tmp_path / "dense.npz", "--method", "linear", "--step", 5)
    assert (status, error) == (0, "") and "only rows were left out and judged" in said
    assert shapes == len(list(folds(7))) * [64] + [130]  # the report asks for nothing anew
    assert TiltSeries.read(tmp_path / "dense.npz").frames.shape == (13, 130, 132)
    report = (tmp_path / "dense_report.html").read_text()
    first, last = re.search(r"judged by rows (\d+) to (\d+)", report).groups()
    assert int(last) - int(first) == 63
