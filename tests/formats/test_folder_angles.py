"""Which angle each frame of a folder gets: from its name, its metadata or a list, or a refusal that says what to do."""

import mrcfile
import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from microscope_files import write_dm

from tsg_core.errors import TsgError
from tsg_core.formats import read_series

ANGLES = [-20.0, -10.0, 0.0, 10.0, 20.0]


def frame_at(angle, detector=0):
    """A frame that says its own angle: the first pixel, in tenths of a degree above -90, and the detector."""
    frame = np.zeros((3, 4), np.uint16)
    frame[0, :2] = round(10 * (angle + 90)), detector
    return frame


def write(folder, names, angles=ANGLES, detectors=None):
    for i, (name, angle) in enumerate(zip(names, angles, strict=True)):
        detector = 0 if detectors is None else detectors[i]
        tifffile.imwrite(folder / f"{name}.tif", frame_at(angle, detector), photometric="minisblack")


def check(path, angles=ANGLES, detector=0, **options):
    """The angles, and that each frame came with its own."""
    series = read_series(path, pixel_size_A=1, **options)
    assert series.tilt_deg.tolist() == pytest.approx(sorted(angles), abs=1e-9)
    assert series.frames[:, 0, 0].tolist() == [round(10 * (angle + 90)) for angle in sorted(angles)]
    assert (series.frames[:, 0, 1] == detector).all()
    return series


def refused(words, path, **options):
    with pytest.raises(TsgError, match=words) as error:
        read_series(path, pixel_size_A=1, **options)
    assert "\n" not in str(error.value)


@settings(max_examples=40, deadline=None)
@given(
    st.permutations(ANGLES),
    st.sampled_from(["{a:+.1f}_{i}", "{i:03d}_{a:.1f}deg", "f{i}_{s}{p:04.1f}", "{p:.0f}{s}_x{i}"]),
)
def test_frames_come_with_their_own_angles_in_any_order(tmp_path_factory, order, pattern):
    folder = tmp_path_factory.mktemp("frames")
    names = [pattern.format(i=i, a=angle, p=abs(angle), s="m" if angle < 0 else "p") for i, angle in enumerate(order)]
    write(folder, names, order)
    series = check(folder)
    assert "tilt angles from the names of the files ('" in series.history[0] and "is -20 deg)" in series.history[0]


def test_a_repeated_angle_names_its_files_and_exclude_helps(tmp_path):
    angles = [*ANGLES, 0.0]
    write(tmp_path, [f"TS_{i:03d}_{angle:.1f}_Jul31_09.{i:02d}.00" for i, angle in enumerate(angles)], angles)
    refused(
        r"the tilt angle 0 deg more than once, at TS_002_0.0_Jul31_09.02.00.tif \(frame 2\) and "
        r"TS_005_0.0_Jul31_09.05.00.tif \(frame 5\); leave out all but one \(--exclude 5\)",
        tmp_path,
    )
    check(tmp_path, exclude=[5])
    check(tmp_path, exclude=[2])


def test_several_detectors_are_chosen_by_a_pattern(tmp_path):
    names = [f"{detector}_{angle:.0f}" for detector in ("HAADF", "BF") for angle in ANGLES]
    write(tmp_path, names, ANGLES * 2, [0] * 5 + [1] * 5)
    refused(r"named in 2 ways, BF_\*.tif \(5\), HAADF_\*.tif \(5\): choose one of these, or", tmp_path)
    check(tmp_path / "HAADF_*.tif")
    check(tmp_path / "BF_*.tif", detector=1)


def test_montages_and_numbered_detectors_are_chosen_by_a_pattern(tmp_path):
    names = [f"ts_{angle:.1f}_x{x}_y{y}" for angle in ANGLES for x in (0, 1) for y in (0, 1)]
    write(tmp_path, names, np.repeat(ANGLES, 4), [0, 1, 2, 3] * 5)
    refused(r"so do 4 other angles; the files are named in 4 ways, ts_\*_x0_y0.tif \(5\), .*: choose one", tmp_path)
    check(tmp_path / "ts_*_x1_y0.tif", detector=2)


def test_names_and_metadata_that_disagree_are_refused(tmp_path):
    def folder(name, named, stated):
        (tmp_path / name).mkdir()
        for i, (angle, alpha) in enumerate(zip(named, stated, strict=True)):
            tags = {"Microscope Info": {"Stage Position": {"Stage Alpha": alpha}}}
            write_dm(tmp_path / name / f"{i}_{angle:+.1f}.dm3", frame_at(alpha), axes=[(0.0, 0.1, "nm")] * 2, tags=tags)
        return tmp_path / name

    stage = [angle + 0.03 for angle in ANGLES]
    series = read_series(folder("near", ANGLES, stage))
    assert series.tilt_deg.tolist() == pytest.approx(stage) and "metadata of the frames" in series.history[0]
    late = [-30.0, *ANGLES[:-1]]  # the stage's reading came one frame too late
    words = r"the metadata of the frames and the names of the files .* disagree, of frame 0 they say -30 and -20 deg"
    refused(words, folder("late", ANGLES, late))
    refused("disagree", folder("turned", ANGLES, [-angle for angle in ANGLES]))


def test_a_list_in_the_folder_is_used_where_names_say_nothing(tmp_path):
    write(tmp_path, [f"f_{i}" for i in range(5)])
    (tmp_path / "tomo.rawtlt").write_text("".join(f"{angle}\n" for angle in ANGLES))
    assert "tomo.rawtlt (in the order of the names, f_0.tif first)" in check(tmp_path).history[0]
    (tmp_path / "tomo.rawtlt").write_text("1\n2\n")
    refused("names of the files hold no number that is spelt as an angle", tmp_path)
    (tmp_path / "tomo.rawtlt").unlink()
    beside = tmp_path.with_name(f"{tmp_path.name}.tlt")
    beside.write_text("".join(f"{angle}\n" for angle in ANGLES))
    check(tmp_path)


def test_a_list_that_contradicts_the_names_is_refused(tmp_path):
    write(tmp_path, [f"f_{i}_{angle:+.0f}" for i, angle in enumerate(ANGLES)])
    (tmp_path / "tomo.rawtlt").write_text("".join(f"{angle}\n" for angle in ANGLES))
    check(tmp_path)
    (tmp_path / "tomo.rawtlt").write_text("".join(f"{angle}\n" for angle in ANGLES[::-1]))
    refused(r"names of the files .* and tomo.rawtlt .* disagree, of frame 0 they say -20 and 20 deg", tmp_path)
    check(tmp_path, tilts=ANGLES)


def test_a_given_list_in_another_order_than_the_names_is_refused(tmp_path):
    write(tmp_path, [f"f_{angle:+.0f}" for angle in ANGLES])  # in natural order f_+0, f_+10, f_+20, f_-10, f_-20
    given = tmp_path / "angles.txt"
    given.write_text("".join(f"{angle}\n" for angle in ANGLES))
    words = "has the angles of the frames in another order: 20 deg for f_-20.tif, which is -20 deg by the names of the"
    refused(f"angles.txt {words}", tmp_path, tilts=given)
    refused(f"the list of tilts {words}", tmp_path, tilts=ANGLES)
    given.write_text("0.1\n10.1\n20.1\n-9.9\n-19.9\n")
    series = read_series(tmp_path, tilts=given, pixel_size_A=1)
    assert series.frames[:, 0, 0].tolist() == [700, 800, 900, 1000, 1100] and series.tilt_deg[0] == -19.9
    assert "angles.txt (in the order of the names, f_+0.tif first)" in series.history[0]
    given.write_text("1\n2\n3\n4\n5\n")  # other angles are the user's to give
    assert read_series(tmp_path, tilts=given, pixel_size_A=1).frames[:, 0, 0].tolist() == [900, 1000, 1100, 800, 700]


def test_a_list_of_another_stack_and_a_broken_one_are_passed_over(tmp_path):
    write(tmp_path, [f"f_{i}_{angle:+.0f}" for i, angle in enumerate(ANGLES)])
    with mrcfile.new(tmp_path / "out.mrc") as file:
        file.set_data(np.zeros((5, 3, 4), np.int16))
    (tmp_path / "out.rawtlt").write_text("".join(f"{angle}\n" for angle in ANGLES[::-1]))
    (tmp_path / "out.mrc.mdoc").write_text("".join(f"[ZValue = {i}]\nTiltAngle = {i}\n" for i in range(5)))
    check(tmp_path / "*.tif")
    (tmp_path / "notes.tlt").write_text("none\n")
    assert any("notes.tlt, line 1: 'none' is not" in said for said in check(tmp_path / "*.tif").history)


def test_a_mdoc_in_the_folder_goes_by_the_names_of_the_frames(tmp_path):
    order = [2, 3, 1, 4, 0]  # of recording; the files are named by time
    write(tmp_path, ["c", "b", "a", "e", "d"], [ANGLES[i] for i in order])
    sections = "".join(
        f"[ZValue = {n}]\nTiltAngle = {ANGLES[i]}\nSubFramePath = D:\\day\\{name}.mrc\n"
        for n, (i, name) in enumerate(zip(order, "cbaed", strict=True))
    )
    (tmp_path / "tomo.mdoc").write_text(sections)
    assert "tomo.mdoc (by the frames' names)" in check(tmp_path).history[0]
    check(tmp_path / "tomo.mdoc")  # its sections name movies; what was made of them has the same name
    (tmp_path / "tomo.mdoc").write_text(sections.replace("e.mrc", "a.mrc"))
    refused("names a.tif in 2 sections; a frame has one angle", tmp_path / "tomo.mdoc")


def test_a_folder_with_one_stack_says_what_to_do(tmp_path):
    with mrcfile.new(tmp_path / "tomo.mrc") as file:
        file.set_data(np.zeros((5, 3, 4), np.int16))
    refused("tomo.mrc holds 5 frames: name this file alone if it is a series", tmp_path)
