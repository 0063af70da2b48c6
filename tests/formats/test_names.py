"""Angles in the names of files: whatever the scheme, they come back exactly, or not at all and with a reason."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tsg_core.formats.names import angles_in_names

SYMMETRIC = [float(angle) for angle in range(-60, 61, 10)]
DOSE_SYMMETRIC = sorted(SYMMETRIC, key=lambda angle: (abs(angle), angle))

SIGNS = {  # how a negative and a positive number of so many digits are written
    "minus": ("-{}", "{}"),
    "plus": ("-{}", "+{}"),
    "typographic": ("\u2212{}", "{}"),
    "en dash": ("\u2013{}", "+{}"),
    "full width": ("\uff0d{}", "\uff0b{}"),
    "m and p": ("m{}", "p{}"),
    "M and P": ("M{}", "P{}"),
    "n and p": ("n{}", "p{}"),
    "m alone": ("m{}", "{}"),
    "neg": ("neg{}", "pos{}"),
    "neg_": ("neg_{}", "pos_{}"),
    "words": ("minus{}", "plus{}"),
    "behind": ("{}-", "{}+"),
    "minus behind": ("{}-", "{}"),
    "letters behind": ("{}m", "{}p"),
    "words behind": ("{}neg", "{}pos"),
}
BEHIND = {"behind", "minus behind", "letters behind", "words behind"}
WORDS = ("", "tilt_", "tilt", "alpha=", "a", "T", "img_", "tilt_(", "Frame[")
UNITS = ("", "deg", "\u00b0", " deg", "_degrees")
BESIDE = {  # what else stands in names, of the frame with this number
    "count": "{0:03d}",
    "count from 1": "f{1}",
    "dose": "dose{2:.1f}",
    "dose with a unit": "{2:.2f}e",
    "defocus": "df-{3:.2f}um",
    "defocus with a unit": "-{3:.2f}um",
    "defocus alone": "-{3:.2f}",
    "clock": "{4:02d}.{5:02d}.{6:02d}",
    "clock with hyphens": "{4:02d}-{5:02d}-{6:02d}",
    "SerialEM's clock": "Jul31_{4:02d}.{5:02d}.{6:02d}",
    "date and clock": "20240731_{4:02d}{5:02d}{6:02d}",
    "date": "2024-07-31",
    "German date": "31.07.2024",
    "magnification": "320kx",
    "exposure": "{7}s",
    "detector": "HAADF",
    "sample": "s12",
}


def beside(what, i):
    """The part of a name that says `what` of frame i."""
    return BESIDE[what].format(
        i, i + 1, 3.1 * (i + 1), 2.5 + i * 7 % 5 / 10, 9 + i // 60, i % 60, i * 17 % 60, 1 + i % 3
    )


@st.composite
def schemes(draw):
    """Angles in the order of recording, and the names that a scheme gives to their files."""
    step, n = draw(st.sampled_from([1, 1.5, 2, 2.5, 3, 5, 10])), draw(st.sampled_from([5, 9, 13, 21]))
    first = draw(st.sampled_from([n // 2, n // 2, n // 3]))
    angles = [step * (i - first) for i in range(n) if abs(step * (i - first)) <= 90]
    angles = draw(st.sampled_from([angles, angles[::-1], sorted(angles, key=lambda a: (abs(a), a))]))
    n_decimals = draw(st.integers(1 if step % 1 else 0, 2))
    width = draw(st.sampled_from([0, 2, 3]))
    style = draw(st.sampled_from(sorted(SIGNS)))
    unit = "" if style in BEHIND else draw(st.sampled_from(UNITS))
    word, mark = draw(st.sampled_from(WORDS)), draw(st.sampled_from(".,"))
    others = draw(st.lists(st.sampled_from(sorted(BESIDE)), max_size=3, unique=True))
    at, prefix = draw(st.integers(0, len(others))), draw(st.sampled_from(["", "TS_", "TS_01_", "Au "]))
    names = []
    for i, angle in enumerate(angles):
        digits = f"{abs(angle):.{n_decimals}f}".zfill(width + (n_decimals + 1 if n_decimals else 0))
        spelt = SIGNS[style][angle >= 0].format(digits.replace(".", mark))
        closed = {"(": ")", "[": "]"}.get(word[-1:], "")
        parts = [beside(what, i) for what in others]
        parts.insert(at, f"{word}{spelt}{unit}{closed}")
        names.append(prefix + "_".join(parts))
    return angles, names


@settings(max_examples=600, deadline=None)
@given(schemes())
def test_whatever_the_scheme_no_angle_is_wrong(scheme):
    angles, names = scheme
    found = angles_in_names(names)
    assert (found.tilt_deg is None) == bool(found.reason)
    if found.tilt_deg is not None:
        assert found.tilt_deg.tolist() == pytest.approx(angles, abs=1e-9), names


@pytest.mark.parametrize("style", sorted(SIGNS))
@pytest.mark.parametrize("angles", [SYMMETRIC, DOSE_SYMMETRIC, SYMMETRIC[::-1]])
@pytest.mark.parametrize("name", ["tilt_{}", "{0:}_{1:03d}_Jul31_09.{1:02d}.00", "TS_{1}_dose{1}.5_{0}"])
def test_every_spelling_of_a_sign_is_read(style, angles, name):
    for pattern in ("{:.0f}", "{:04.1f}", "{:05.2f}"):
        spelt = [SIGNS[style][angle >= 0].format(pattern.format(abs(angle))) for angle in angles]
        found = angles_in_names([name.format(text, i) for i, text in enumerate(spelt)])
        assert found.tilt_deg is not None, (found.reason, name.format(spelt[0], 0))
        assert found.tilt_deg.tolist() == angles and found.is_plain


@given(st.lists(st.integers(-900, 900), min_size=2, max_size=9, unique=True))
def test_uneven_angles_with_a_unit_return(tenths):
    angles = [tenth / 10 for tenth in tenths]
    for name in ("img {:.1f}deg run {:d}", "{0:+.1f}\u00b0_{1}"):
        assert angles_in_names([name.format(angle, i) for i, angle in enumerate(angles)]).tilt_deg.tolist() == angles


@pytest.mark.parametrize(
    ("pattern", "angles"),
    [
        ("TS_{i:03d}_{a:.1f}_Jul31_09.{i:02d}.00", [*SYMMETRIC, 0.0]),  # the clock never repeats, the angle does
        ("Position_1_{i:03d}_{a:.2f}_20210916_1245{i:02d}_Fractions", DOSE_SYMMETRIC),
        ("Tomo_{i:03d}[{a:.2f}]-12345{i}", SYMMETRIC),
        ("2024-01-05 14{i:02d}12 {a:.0f} 5.00 Mx", SYMMETRIC),
        ("ts {a:6.1f} {i:03d}", SYMMETRIC),  # padded with spaces
        ("ts_{a:.1f}_-{d:.2f}", SYMMETRIC),  # a defocus without a unit
        ("alpha{a:.0f}_beta{i}", SYMMETRIC),
        ("img-{a:.1f}", SYMMETRIC),  # a hyphen that joins before all, a sign before some
        ("rot_{a:05.1f}", [6.0 * i for i in range(60)]),
        ("{i:03d}_{a:.1f}", [6.0 * i for i in range(30)]),
        ("{a:.0f}deg", [6.0 * i for i in range(60)]),
        ("s1_angle{a:.0f}_x", [3.0 * i for i in range(21)]),
        ("tilt_{a:.0f}", [3.0 * i for i in range(41)]),
        ("{a:.1f}deg_dose{d}", SYMMETRIC),
        ("x_{a:.1f}", [-20.0, -10.0]),
    ],
)
def test_names_as_programs_write_them(pattern, angles):
    names = [pattern.format(i=i, a=angle, d=2.5 + i * 7 % 5 / 10) for i, angle in enumerate(angles)]
    assert angles_in_names(names).tilt_deg.tolist() == angles


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (
            [f"frame_{i:03d}" for i in range(41)],
            "no number that is spelt as an angle .* number 1 from 0 to 40, a counter",
        ),
        ([f"tilt_{i:03d}" for i in range(41)], "a counter"),
        ([f"tilt_{10 * i:03d}" for i in range(1, 41)], "a counter"),
        ([f"img-{i:03d}" for i in range(41)], "sign is not certain"),
        ([f"img-{2.0 * i}" for i in range(31)], "'-0.0' first, whose sign is not certain"),
        ([f"m{2.0 * i}" for i in range(31)], "whose sign is not certain"),
        ([f"Tm{2 * i}deg" for i in range(31)], "whose sign is not certain"),
        ([f"f_{i}_{3.1 * (i + 1):.1f}" for i in range(21)], "number 2 from 3.1 to 65.1"),
        ([f"f_{i}_{3.1 * i:.1f}" for i in range(21)], "grow with the count of frames, as angles and doses do"),
        ([f"f_{2.0 * i}_{3.1 * i:.1f}" for i in range(21)], "number 1 from 0 to 40; number 2 from 0 to 62"),
        ([f"f_{6 * i}.0_{2.5 * i:.1f}" for i in range(21)], "number 1 from 0 to 120; number 2 from 0 to 50"),
        ([f"a_{a}_b_{b}" for a, b in ((-12, "+3"), (0, "+9"), (12, "+14"))], "2 numbers that can be an angle"),
        ([f"a_{a}" for a in ("-12_0", "-10_5", "-9_0", "-7_5")], "the next number of which may be their decimals"),
        (
            [f"a_{30 - 2 * i}_{s}" for i, s in enumerate(("-0.9", "+1.4", "+0.2", "-1.3"))],
            "several numbers that can be",
        ),
        (["a_-12", "a_12_1"], "named in 2 ways"),
        (["HAADF_-10", "HAADF_0", "BF_-10", "BF_0"], r"named in 2 ways, HAADF_\*.tif \(2\), BF_\*.tif \(2\): choose"),
        (["a_-10.0", "a_0.0", "overview"], r"a_\*.tif \(2\), overview.tif \(1\)"),
        (["a", "b"], "named in 2 ways"),
        (["a_1.2.3", "a_1.2.4"], "whose sign is not certain"),
        ([f"a_{2 * i}.{i + 1:03d}" for i in range(9)], "no number that is spelt"),  # a counter behind the dot
        ([f"{v:+.2f}rad" for v in (-0.5, 0, 0.5)], "'rad' no angle"),
        ([f"beta{v}" for v in (-5, 0, 5)], "'beta' no angle"),
    ],
)
def test_what_stays_ambiguous_is_refused_with_the_numbers_listed(names, words):
    found = angles_in_names(names, suffix=".tif")
    assert found.tilt_deg is None and re.search(words, found.reason), found.reason


WITHOUT_ANGLES = sorted(set(BESIDE) - {"clock with hyphens", "German date", "detector", "defocus with a unit"})


@settings(max_examples=300, deadline=None)
@given(st.lists(st.sampled_from(WITHOUT_ANGLES), min_size=1, max_size=4, unique=True), st.sampled_from([5, 21, 41]))
def test_names_without_an_angle_give_none(others, n):
    names = ["_".join(["tomo", *(beside(what, i) for what in others)]) for i in range(n)]
    assert angles_in_names(names).tilt_deg is None


def test_files_of_one_angle_are_told_apart_by_patterns():
    names = [f"ts_{a:.1f}_x{x}_y{y}" for a in SYMMETRIC for x in (0, 1) for y in (0, 1)]
    found = angles_in_names(names, suffix=".mrc")
    assert found.repeats == "4 ways, ts_*_x0_y0.mrc (13), ts_*_x0_y1.mrc (13), ts_*_x1_y0.mrc (13), ts_*_x1_y1.mrc (13)"
    assert len(found.tilt_deg) == 52
    assert (
        "ts_*_1.tif (13)" in angles_in_names([f"ts_{a}_{d}" for a in SYMMETRIC for d in (1, 2)], suffix=".tif").repeats
    )


def test_a_name_of_other_bytes_than_utf8_is_read_and_can_be_printed():
    names = [f"pr\udcf6be_{angle:.0f}\udcb0" for angle in SYMMETRIC]  # Latin-1 for ö and °
    found = angles_in_names(names, suffix=".tif")
    assert found.tilt_deg.tolist() == SYMMETRIC
    assert found.example.encode() == "'-60°' in pröbe_-60°.tif is -60 deg".encode()
