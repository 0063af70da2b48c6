"""An alignment from a file moves frames to where the truth has them; one found here is told to other programs."""

# ruff: noqa: F811  (a fixture that is imported)

import numpy as np
import pytest
import tifffile
from misaligned import blobs_series, drift, irregular_tilts
from tsg_command import one_line, tsg  # noqa: F401

from tsg_core.errors import TsgError
from tsg_core.formats import read_alignment, read_series
from tsg_core.pictures.preparation import step_figures
from tsg_core.preparation.alignment import AlignmentSettings, align
from tsg_core.preparation.common_lines import centre_of_mass_shifts
from tsg_core.preparation.framing import bin_pixels, turn
from tsg_core.preparation.known_alignment import KnownAlignment, align_as_known, as_recorded
from tsg_core.preparation.steps import PreparationSettings, prepare
from tsg_core.preparation.transformation import axis_rotation, recorded_field
from tsg_core.samples.experiment import recorded_balls
from tsg_core.tilt_series import TiltSeries

N = 9
TILT_deg, DRIFT_px = irregular_tilts(N), drift(N, step_px=1.5)
FILE_ORDER = np.argsort(np.abs(np.arange(N) - 4) - 0.1 * np.arange(N), kind="stable")  # from 0 degrees to both sides
STRAIGHT = blobs_series(TILT_deg, 0 * DRIFT_px, 0.0)


def stack(folder, axis_deg):
    """A TIFF stack as a microscope writes it: not in the order of the angles, which lie beside it."""
    frames = blobs_series(TILT_deg, DRIFT_px, axis_deg).frames[FILE_ORDER]
    tifffile.imwrite(folder / "in.tif", frames, photometric="minisblack")
    (folder / "in.rawtlt").write_text("".join(f"{tilt!r}\n" for tilt in TILT_deg[FILE_ORDER].tolist()))
    return folder / "in.tif"


def imod(axis_deg):
    """The lines of an .xf: x' = cos (x - x0) - sin (y - y0), y' = sin (x - x0) + cos (y - y0)."""
    cos, sin = np.cos(np.deg2rad(axis_deg)), np.sin(np.deg2rad(axis_deg))
    return [
        f"{cos:.7f} {-sin:.7f} {sin:.7f} {cos:.7f} {-cos * x0 + sin * y0:.5f} {-sin * x0 - cos * y0:.5f}\n"
        for y0, x0 in DRIFT_px[FILE_ORDER]
    ]


def aretomo(axis_deg, dark=()):
    rows = [
        f"{i} {-axis_deg:.4f} 1.00000 {x0:.3f} {y0:.3f} 1.00 1.00 1.00 0.00 {TILT_deg[of]:.2f}\n"
        for i, (of, (y0, x0)) in enumerate(zip(FILE_ORDER, DRIFT_px[FILE_ORDER], strict=True))
    ]
    heading = ["# RawSize = 48 48 9\n", *(f"# DarkFrame = 0 {i} {TILT_deg[FILE_ORDER[i]]:.2f}\n" for i in dark)]
    return [*heading, *(rows[i] for i in np.argsort(TILT_deg[FILE_ORDER]) if i not in dark)]


def check_against_truth(series, axis_deg, frames=slice(None)):
    matrix = axis_rotation(axis_deg)
    rows, columns = recorded_field((48, 48), matrix=matrix, shift_px=DRIFT_px[frames])
    assert rows.stop - rows.start > 30 and columns.stop - columns.start > 30
    found, true = series.frames[:, rows, columns], STRAIGHT.frames[frames][:, rows, columns]
    scale = (found * true).sum() / (true**2).sum()  # a series has its own brightest pixel at 1
    assert scale == pytest.approx(1, abs=0.05) and np.abs(found / scale - true).max() < 4e-3


@pytest.mark.parametrize("axis_deg", [4.0, -85.5])
@pytest.mark.parametrize(("name", "lines"), [("a.xf", imod), ("a.aln", aretomo)])
def test_a_file_puts_the_frames_where_the_truth_has_them(tsg, tmp_path, name, lines, axis_deg):
    path, out = stack(tmp_path, axis_deg), tmp_path / "out.npz"
    assert np.abs(read_series(path, pixel_size_A=5).frames - STRAIGHT.frames).max() > 0.3
    (tmp_path / name).write_text("".join(lines(axis_deg)))
    options = ("--pixel-size", 5, "--background", "none", "-o", out)
    status, said, error = tsg("prepare", path, "--alignment", tmp_path / name, *options)
    assert (status, error) == (0, "") and "risen" not in said
    assert f"Aligned as {name} says" in said and f"inclined by {axis_deg:.2f} degrees" in said
    check_against_truth(read_series(out), axis_deg)


def test_frames_that_aretomo_left_out_are_left_out(tsg, tmp_path):
    (tmp_path / "a.aln").write_text("".join(aretomo(4.0, dark=(2, 7))))
    outputs = ("--write-alignment", tmp_path / "b.xf", "-o", tmp_path / "o.npz")
    options = ("--pixel-size", 5, "--background", "none", *outputs)
    status, said, error = tsg("prepare", stack(tmp_path, 4.0), "--alignment", tmp_path / "a.aln", *options)
    assert (status, error) == (0, "") and "It leaves out the frames at" in said
    assert "wrote " in said and "left out, by number from 0: 2, 7" in said
    left = np.setdiff1d(np.arange(N), FILE_ORDER[[2, 7]])
    series = read_series(tmp_path / "o.npz")
    assert series.tilt_deg.tolist() == TILT_deg[left].tolist()
    check_against_truth(series, 4.0, left)
    written = read_alignment(tmp_path / "b.xf", n_frames=N)
    assert np.flatnonzero(np.isnan(written.shift_px[:, 0])).tolist() == [2, 7]


def test_what_was_found_is_written_for_the_stack_as_it_was_recorded(tsg, tmp_path):
    path, written, out = stack(tmp_path, 88.0), tmp_path / "found.xf", tmp_path / "{}.npz"
    common = ("--pixel-size", 5, "--background", "none", "--exclude", 3, "--bin", 2)
    turned = ("--rotate", "--align", "centre-of-mass", "--write-alignment", written)
    status, said, error = tsg("prepare", path, *common, *turned, "-o", str(out).format("turned"))
    assert (status, error) == (0, "") and "left out, by number from 0: 3" in said
    status, said, error = tsg("prepare", path, *common, "--alignment", written, "-o", str(out).format("again"))
    assert (status, error) == (0, "") and "inclined by -90.00 degrees" in said
    first, again = (read_series(str(out).format(name)) for name in ("turned", "again"))
    assert np.abs(again.frames - first.frames)[:, 4:-4, 4:-4].max() < 1e-3


def known_of(series, axis_deg, shift_px):
    matrix = np.tile(axis_rotation(axis_deg), (len(series), 1, 1))
    return KnownAlignment(
        tilt_deg=series.tilt_deg, matrix=matrix, shift_px=shift_px, shape=series.frames.shape[1:],
        pixel_size_A=series.pixel_size_A, source="the truth",
    )  # fmt: skip


@pytest.mark.parametrize("n", [48, 49])
def test_binned_frames_have_the_axis_in_their_own_middle(n):
    recorded = recorded_balls(tilt_deg=TILT_deg, shift_px=DRIFT_px, axis_deg=4.0, shape=n)
    known = known_of(recorded, 4.0, DRIFT_px)
    whole, _ = align_as_known(recorded, known)
    binned, _ = align_as_known(bin_pixels(recorded, factor=2)[0], known)
    np.testing.assert_allclose(2 * centre_of_mass_shifts(binned.frames), centre_of_mass_shifts(whole.frames), atol=0.05)


def test_an_alignment_of_turned_binned_frames_of_odd_size_is_told_of_the_recording():
    recorded = recorded_balls(tilt_deg=TILT_deg, shift_px=DRIFT_px, axis_deg=93.0, shape=49)
    turned, _ = bin_pixels(turn(recorded)[0], factor=2)
    flipped = TiltSeries(turned.frames[::-1], -turned.tilt_deg[::-1], turned.pixel_size_A)
    alignment = align(flipped, settings=AlignmentSettings(method="centre-of-mass", axis_deg=3.0, axis_reach_deg=0.0))
    known = as_recorded(alignment, recording=recorded, binning=2, is_turned=True, are_angles_flipped=True)
    again, _ = align_as_known(bin_pixels(recorded, factor=2)[0], known)
    np.testing.assert_allclose(again.frames[:, 4:-4, 4:-4], alignment.series.frames[::-1, 4:-4, 4:-4], atol=0.03)


def test_steps_take_a_known_alignment_with_flipped_angles():
    recorded = blobs_series(TILT_deg, DRIFT_px, 4.0)
    settings = PreparationSettings(
        background=None, flip_angles=True, alignment=known_of(recorded, 4.0, DRIFT_px), gain=True
    )
    prepared = prepare(recorded, settings=settings)
    assert [step.name for step in prepared.steps] == ["flip angles", "known alignment", "gain"]
    assert set(step_figures(prepared)) == {"alignment", "gain"}
    check_against_truth(TiltSeries(prepared.steps[1].after.frames[::-1], TILT_deg, 5.0), 4.0)


def test_a_stretch_is_undone_and_told():
    recorded = blobs_series(TILT_deg, DRIFT_px, 4.0)
    known = known_of(recorded, 4.0, DRIFT_px)
    known.matrix[3] *= 1.05
    after, report = align_as_known(recorded, known)
    assert "lengths changed by up to 5.00%" in str(report)
    straight, _ = align_as_known(recorded, known_of(recorded, 4.0, DRIFT_px))
    ratio = np.std(np.indices((48, 48))[1] - 23.5, where=straight.frames[3] > 0.3) / np.std(
        np.indices((48, 48))[1] - 23.5, where=after.frames[3] > 0.3
    )
    assert ratio == pytest.approx(1.05, abs=0.02)


def test_the_alignment_of_another_stack_is_noticed(tsg, tmp_path):
    path, out = stack(tmp_path, 4.0), tmp_path / "out.npz"
    files = {"a.xf": imod(4.0), "other.xf": imod(4.0)[::-1], "short.xf": imod(4.0)[1:]}
    heading, *rows = aretomo(4.0)
    angles = [row.split()[-1] for row in rows][::-1]
    rows = [" ".join([*row.split()[:-1], angle]) + "\n" for row, angle in zip(rows, angles, strict=True)]
    for name, lines in (files | {"other.aln": [heading, *rows]}).items():
        (tmp_path / name).write_text("".join(lines))
    common = ("prepare", path, "--pixel-size", 5, "-o", out)
    for options, message in (
        (("--alignment", tmp_path / "short.xf"), "aligns 8 frames, the recording has 9"),
        (("--alignment", tmp_path / "other.aln"), "is not of these frames in this order: of frame"),
        (("--alignment", tmp_path / "a.xf", "--rotate"), "give one of them"),
        (("--alignment", tmp_path / "a.xf", "--axis", 3), "give one of them"),
        (("--alignment", tmp_path / "none.xf"), "does not exist"),
        (("--align", "none", "--write-alignment", tmp_path / "b.xf"), "finds no alignment"),
        (("--write-alignment", tmp_path / "b.txt"), "alignments are .xf"),
    ):
        status, _, error = tsg(*common, *options)
        assert status == 2 and message in error and one_line(error) and not out.exists()
    status, said, _ = tsg(*common, "--alignment", tmp_path / "other.xf")
    assert status == 0 and "residual has risen" in said


def test_what_does_not_fit_together_is_one_line():
    recorded = blobs_series(TILT_deg, DRIFT_px, 4.0)
    known = known_of(recorded, 4.0, DRIFT_px)
    other = TiltSeries(recorded.frames[:, :40], TILT_deg, 5.0)
    with pytest.raises(TsgError, match="aligns frames of 48 x 48 pixels, these have 40 x 48"):
        align_as_known(other, known)
    with pytest.raises(TsgError, match="has no frame at"):
        align_as_known(TiltSeries(recorded.frames, TILT_deg + 1, 5.0), known)
    with pytest.raises(TsgError, match="leave out --rotate"):
        prepare(recorded, settings=PreparationSettings(alignment=known, turn=True))
    known.matrix[:8] = np.nan
    with pytest.raises(TsgError, match="fewer than two"):
        align_as_known(recorded, known)
