"""Alignments as IMOD and AreTomo write them: conventions, what is refused, and what other packages read."""

import numpy as np
import pytest

from tsg_core.errors import TsgError
from tsg_core.formats import StoredAlignment, read_alignment, read_angles, write_alignment

TILT_deg = np.array([0.0, -10, 10, -20, 20.5])
ANGLE_deg, X_px, Y_px = 7.0, np.array([3.0, -1.5, 0, 2, 1]), np.array([0.5, 4, -2, 1, 0])
ALN = """# AreTomo Alignment / Priims bprmMn
# RawSize = 64 48 4
# NumPatches = 1
# DarkFrame =     3    {dark}    30.00
# SEC     ROT         GMAG       TX          TY      SMEAN     SFIT    SCALE     BASE     TILT
    {first}    -7.0000    1.00000      3.000     -2.000     1.00     1.00     1.00     0.00    -15.00
    {third}    -7.0000    1.00000      0.500      1.000     1.00     1.00     1.00     0.00     10.00
    {second}    -7.0000    1.00000     -1.000      4.000     1.00     1.00     1.00     0.00      0.50
# Local Alignment
   0   0     1.00      2.00     0.10      0.20   1.0
"""


def aln(first):
    numbers = dict(zip(("first", "second", "dark", "third"), range(first, first + 4), strict=True))
    return ALN.format(**numbers)


def turned_and_shifted(n=5):
    """An axis that leans by 7 degrees to the right as rows go on; frames were recorded displaced by X_px and Y_px."""
    cos, sin = np.cos(np.deg2rad(ANGLE_deg)), np.sin(np.deg2rad(ANGLE_deg))
    matrix = np.broadcast_to([[cos, -sin], [sin, cos]], (n, 2, 2)).copy()
    return StoredAlignment(matrix=matrix, shift_px=np.column_stack([Y_px, X_px])[:n], tilt_deg=TILT_deg[:n])


def test_a_line_of_imod_carries_recorded_points_to_aligned_ones(tmp_path):
    """By the formula of the manual page, for a point off both axes, with a stretch."""
    path = tmp_path / "a.xf"
    path.write_text("  1.02  -0.10  0.12  0.97  3.5  -2.25\n\n")
    stored = read_alignment(path, n_frames=1)
    x, y = 11.0, -4.0  # recorded
    aligned_x, aligned_y = 1.02 * x - 0.10 * y + 3.5, 0.12 * x + 0.97 * y - 2.25
    np.testing.assert_allclose(stored.matrix[0] @ [aligned_y, aligned_x] + stored.shift_px[0], [y, x], atol=1e-12)


@pytest.mark.parametrize("first", [0, 1])
def test_a_line_of_aretomo_turns_and_shifts(tmp_path, first):
    path = tmp_path / "a.aln"
    path.write_text(aln(first))
    stored = read_alignment(path, n_frames=4)
    assert stored.tilt_deg.tolist() == [-15, 0.5, 30, 10] == read_angles(path).tolist()
    assert np.isnan(stored.matrix[2]).all() and np.isfinite(stored.matrix[[0, 1, 3]]).all()
    assert "patches" in stored.remarks[0]
    np.testing.assert_allclose(stored.shift_px[[0, 1, 3]], [[-2, 3], [4, -1], [1, 0.5]])
    along = stored.matrix[0] @ [1.0, 0.0]  # ROT = -7: the axis leans to the right where rows go on
    np.testing.assert_allclose(along, [np.cos(np.deg2rad(7)), np.sin(np.deg2rad(7))], atol=1e-12)


@pytest.mark.parametrize(("suffix", "atol"), [(".xf", 1e-4), (".aln", 1e-3)])
def test_written_alignments_return(tmp_path, suffix, atol):
    first = turned_and_shifted()
    first.matrix[3], first.shift_px[3] = np.nan, np.nan
    path = write_alignment(first, tmp_path / f"a{suffix}", shape=(48, 64))
    again = read_alignment(path, n_frames=5)
    np.testing.assert_allclose(again.matrix, first.matrix, atol=2e-6)
    np.testing.assert_allclose(again.shift_px, first.shift_px, atol=atol)
    assert again.tilt_deg is None or again.tilt_deg.tolist() == TILT_deg.tolist()
    with pytest.raises(TsgError, match="exists"):
        write_alignment(first, path, shape=(48, 64))


def test_frames_that_do_not_move_among_frames_that_are_only_shifted_stay(tmp_path):
    path = tmp_path / "a.xf"
    path.write_text("1 0 0 1 2 3\n1 0 0 1 0 0\n")
    assert np.isfinite(read_alignment(path, n_frames=2).matrix).all()


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.xf", "1 0 0 1 0 0\n", "aligns 1 frames, the recording has 2"),
        ("a.xf", "1 0 0 1 0 0\n1 0 0 1 zero 0\n", "line 2: '1 0 0 1 zero 0' are no numbers"),
        ("a.xf", "1 0 0 1 0 0\n1 0 0 nan 0 0\n", "not 6 finite numbers"),
        ("a.xf", "3\n2 64 48 1\n1 0 0 1 0 0\n", "line 1: 1 numbers, where a linear transformation has six"),
        ("a.xf", "1 0 0 1 0 0\n-1 0 0 1 0 0\n", "frame 1 would be mirrored"),
        ("a.xf", "1 0 0 1 0 0\n3 0 0 3 0 0\n", "frame 1 would be magnified by 3"),
        ("a.xg", "1 0 0 1 0 0\n", "alignments are .xf"),
        ("a.aln", aln(0).replace("    1    -7", "    0    -7"), "do not name each of the 4 frames"),
        ("a.aln", aln(0).replace("1.00000", "1.02000"), "GMAG"),
        ("a.aln", "# AreTomo Alignment\n", "holds no line of SEC"),
    ],
)
def test_what_is_no_alignment_of_the_frames_is_one_line(tmp_path, name, text, message):
    (tmp_path / name).write_text(text)
    with pytest.raises(TsgError, match=message) as caught:
        read_alignment(tmp_path / name, n_frames=2)
    assert "\n" not in str(caught.value)


def test_aretomo_keeps_no_stretch(tmp_path):
    stretched = turned_and_shifted()
    stretched.matrix[1] *= 1.02
    with pytest.raises(TsgError, match=r"write \.xf"):
        write_alignment(stretched, tmp_path / "a.aln", shape=(48, 64))
    assert read_alignment(write_alignment(stretched, tmp_path / "a.xf", shape=(48, 64)), n_frames=5) is not None


def test_other_packages_read_the_same_transformations(tmp_path):
    """Both files of one alignment, by packages that know nothing of this one."""
    etomofiles, alnfile = pytest.importorskip("etomofiles"), pytest.importorskip("alnfile")
    stored = turned_and_shifted()
    of_imod = etomofiles.df_to_xf(write_alignment(stored, tmp_path / "a.xf", shape=(48, 64)))
    lines = alnfile.read(write_alignment(stored, tmp_path / "a.aln", shape=(48, 64))).sort_values("sec")
    np.testing.assert_allclose(alnfile.df_to_xf(lines), of_imod, atol=2e-3)
    recorded = np.column_stack([stored.matrix @ [5.0, -9.0] + stored.shift_px, np.ones(5)])[:, [1, 0, 2]]
    np.testing.assert_allclose((of_imod @ recorded[..., None])[..., 0], np.tile([-9.0, 5.0], (5, 1)), atol=1e-3)
