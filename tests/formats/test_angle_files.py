"""Files of tilt angles: every encoding and every way to write a number gives the same angles, or one clear line."""

import codecs
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tsg_core.errors import TsgError
from tsg_core.formats import read_angles, read_series
from tsg_core.formats.mdoc import read_mdoc

ENCODINGS = {
    "utf-8": b"",
    "utf-8-sig": b"",
    "utf-16": b"",  # Python writes the mark itself
    "utf-16-le": codecs.BOM_UTF16_LE,
    "utf-16-be": codecs.BOM_UTF16_BE,
    "utf-32": b"",
    "latin-1": b"",
    "cp1252": b"",
}
MINUS = {"latin-1": "-", "cp1252": "-\u2013"}  # what an encoding holds; the others hold all of these
ALL_MINUS = "-\u2212\u2013\u2010\uff0d"


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_angles_return_from_any_encoding(tmp_path_factory, data):
    hundredths = data.draw(st.lists(st.integers(-9000, 9000), min_size=2, max_size=8, unique=True))
    encoding = data.draw(st.sampled_from(sorted(ENCODINGS)))
    minus = data.draw(st.sampled_from(MINUS.get(encoding, ALL_MINUS)))
    unit = data.draw(st.sampled_from(["", " ", "\u00b0", " deg"]))
    mark, end = data.draw(st.sampled_from(".,")), data.draw(st.sampled_from(["\n", "\r\n", "\r"]))
    comment = data.draw(st.sampled_from(["", "# Winkel in \u00b0, M\u00fcller" + end]))
    steps = {after // 100 - before // 100 for before, after in pairwise(hundredths)}
    assume(mark == "." or steps != {1})  # `0,15`, `1,30`: a counter and an angle, or an angle?
    lines = [f"{n / 100:.2f}".replace("-", minus).replace(".", mark) + unit for n in hundredths]
    text = comment + end.join(lines) + data.draw(st.sampled_from(["", end, end + end]))
    path = tmp_path_factory.mktemp("angles") / "a.rawtlt"
    path.write_bytes(ENCODINGS[encoding] + text.encode(encoding))
    assert read_angles(path).tolist() == pytest.approx([n / 100 for n in hundredths], abs=1e-12)


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_utf16_without_a_mark(tmp_path, encoding):
    (tmp_path / "a.tlt").write_bytes("-60.0\r\n0\r\n60.0\r\n".encode(encoding))
    assert read_angles(tmp_path / "a.tlt").tolist() == [-60, 0, 60]


@pytest.mark.parametrize(
    ("content", "angles"),
    [
        (b"Tilt angle (\xb0)\n-3\n0\n3\n", [-3, 0, 3]),  # a heading, in Latin-1
        (b"\xef\xbb\xbf-60.00\n-57.00\n", [-60, -57]),  # a mark
        (b"; made by hand\n-3,\n0,\n3\n\x1a", [-3, 0, 3]),
        (b"  -3.0 \n\n +3.0\n1e1\n.5\n", [-3, 3, 10, 0.5]),
        (b"-60 # first\n", [-60]),
        (b"0,00\n1,00\n2,00\n", [0, 1, 2]),  # a decimal comma: the decimals are all alike
        (b"-1,5\n0,0\n1,5\n", [-1.5, 0, 1.5]),
    ],
)
def test_ways_to_write_angles(tmp_path, content, angles):
    (tmp_path / "a.tlt").write_bytes(content)
    assert read_angles(tmp_path / "a.tlt").tolist() == angles


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"0,0\n1,3\n2,6\n", "'1,3' may be one number or two"),
        (b"12,60\n13,57\n14,54\n", "'13,57' may be one number or two"),
        (b"frame,tilt\n12,60\n13,57\n", "line 1: 'frame,tilt' heads several columns; keep the angles alone"),
        (b"0 -60.0\n1 -57.0\n", "line 1: '0 -60.0' is not a tilt angle in degrees: it holds 2 numbers"),
        (b"0;-60.0\n1;-57.0\n", "it holds 2 numbers, where one angle a line is read"),
        (b"-60\nforty\n", "line 2: 'forty' is not a tilt angle"),
        (b"tilt (rad)\n-1.0\n0\n1.0\n", "are no degrees; multiply them by 180/pi"),
        (b"1_0\n2_0\n", "'1_0' is not a tilt angle"),
        (bytes(range(256)), "is not a text file"),
        (b"name\n-60\n0\n", "line 1: 'name' is not"),
    ],
)
def test_what_is_no_list_of_angles(tmp_path, content, words):
    (tmp_path / "a.tlt").write_bytes(content)
    with pytest.raises(TsgError, match=words) as error:
        read_angles(tmp_path / "a.tlt")
    assert "\n" not in str(error.value) and "a.tlt" in str(error.value)


def stack(folder, n=3):
    np.save(folder / "a.npy", np.arange(n * 20, dtype=np.float32).reshape(n, 4, 5))
    return folder / "a.npy"


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "latin-1"])
def test_mdoc_of_any_encoding(tmp_path, encoding):
    text = "PixelSpacing = 2,5\n[T = \u00b5-probe]\n" + "".join(
        f"[ZValue = {i}]\nTiltAngle = {angle}\n" for i, angle in ((1, "0,5"), (0, "-3"), (2, "3.0"))
    )
    (tmp_path / "a.npy.mdoc").write_bytes(text.encode(encoding))
    assert read_mdoc(tmp_path / "a.npy.mdoc").pixel_size_A == 2.5
    series = read_series(stack(tmp_path), tilts=tmp_path / "a.npy.mdoc", pixel_size_A=1)
    assert series.tilt_deg.tolist() == [-3, 0.5, 3] and series.frames[:, 0, 0].tolist() == [0, 20, 40]


def test_mdoc_of_montages_and_of_two_series(tmp_path):
    pieces = "".join(
        f"[ZValue = {i}]\nTiltAngle = {i // 2}\nPieceCoordinates = {i % 2 * 900} 0 {i // 2}\n" for i in range(4)
    )
    (tmp_path / "a.mdoc").write_text(pieces)
    with pytest.raises(TsgError, match=r"pieces of montages \(2 PieceCoordinates\); assemble each frame first"):
        read_angles(tmp_path / "a.mdoc")
    (tmp_path / "a.mdoc").write_text("[ZValue = 0]\nTiltAngle = 0\n[ZValue = 0]\nTiltAngle = 3\n")
    with pytest.raises(TsgError, match="has the section 0 more than once"):
        read_angles(tmp_path / "a.mdoc")


@pytest.mark.parametrize(
    ("angles", "words"),
    [
        ([0, 6, 354], None),  # needles turn all the way round
        ([-180, 0, 174], None),
        ([0, 186, 361], "the tilt angle 361 does not lie within a full turn, 360 degrees"),
        ([-200, 0, 200], "angles from -200 to 200 are more than a full turn"),
    ],
)
def test_a_full_turn_is_the_most(tmp_path, angles, words):
    if words is None:
        assert read_series(stack(tmp_path), tilts=angles, pixel_size_A=1).tilt_deg.tolist() == angles
        return
    with pytest.raises(TsgError, match=words):
        read_series(stack(tmp_path), tilts=angles, pixel_size_A=1)
