"""Headers that no longer fit their data: what is believed, what is named, and what is refused."""

import mrcfile
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from microscope_files import fei_records, float_records, serialem_records, write_mrc

from tsg_core.errors import TsgError
from tsg_core.formats import read_series
from tsg_core.tilt_series import TiltSeries

N = 5
FRAMES = np.random.default_rng(1).integers(100, 900, (N, 12, 10)).astype(np.int16)
ANGLES = [-20.5, -10, 0, 12, 20]


def refused(words, path, **options):
    with pytest.raises(TsgError, match=words) as error:
        read_series(path, **options)
    assert "\n" not in str(error.value)


def beside(path, tilt_deg, *, suffix=".rawtlt"):
    path.with_suffix(suffix).write_text("".join(f"{angle}\n" for angle in tilt_deg))


def mdoc(path, tilt_deg, *, pixel_size_A=2.0):
    sections = "".join(f"[ZValue = {i}]\nTiltAngle = {angle}\n\n" for i, angle in enumerate(tilt_deg))
    path.with_name(path.name + ".mdoc").write_text(f"PixelSpacing = {pixel_size_A}\n\n{sections}")


def records(layout: str, tilt_deg, order="<", **options) -> dict:
    """The extended header of a layout, as arguments of write_mrc."""
    if layout in ("FEI1", "FEI2"):
        kind = layout.encode()
        return {"extended": fei_records(tilt_deg, kind=kind, order=order, **options), "kind": kind}
    if layout == "SERI":
        extended, numbers = serialem_records(tilt_deg, order=order)
        return {"extended": extended + bytes(500), "layout": numbers, "kind": b"SERI"}
    n_records = 1024 if layout == "old FEI" else len(tilt_deg)
    sizes = {"old FEI": (0, 32), "AGAR": (3, 16)}[layout]
    extended, numbers = float_records(
        tilt_deg, order=order, n_integers=sizes[0], n_floats=sizes[1], n_records=n_records, **options
    )
    return {"extended": extended, "layout": numbers, "kind": b"AGAR" if layout == "AGAR" else b""}


LAYOUTS = ["FEI1", "FEI2", "SERI", "old FEI", "AGAR"]


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_gives_the_angles(tmp_path, layout, order):
    path = write_mrc(tmp_path / "a.mrc", FRAMES, order=order, **records(layout, ANGLES, order))
    series = read_series(path)
    np.testing.assert_allclose(series.tilt_deg, ANGLES)
    np.testing.assert_array_equal(series.frames, FRAMES)
    assert series.metadata["sources"]["angles"] == "the extended header of a.mrc"


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("n_noted", [N + 3, N - 2])
def test_notes_of_more_or_fewer_frames(tmp_path, layout, n_noted):
    noted = np.linspace(-33, 40, n_noted)
    path = write_mrc(tmp_path / "a.mrc", FRAMES, **records(layout, noted))
    fault = f"the extended header of .*a.mrc: {n_noted} tilt angles for {N} frames; name a file with the angle of each"
    refused(fault if layout == "old FEI" or n_noted > N else "tilt angles", path)
    assert read_series(path, tilts=ANGLES).tilt_deg.tolist() == ANGLES
    beside(path, ANGLES)
    series = read_series(path)
    assert series.tilt_deg.tolist() == ANGLES and "a.rawtlt" in series.metadata["sources"]["angles"]
    if layout == "old FEI" or n_noted > N:
        assert f"The extended header was not used: {n_noted} tilt angles for {N} frames." in series.history


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("angle", [0.0, 7.0])
def test_angles_that_were_never_set(tmp_path, layout, angle):
    path = write_mrc(tmp_path / "a.mrc", FRAMES, **records(layout, [angle] * N))
    refused(f"a.mrc: {angle:g} deg for every frame; name a file with the angle of each frame by --tilts", path)
    beside(path, ANGLES)
    series = read_series(path)
    assert series.tilt_deg.tolist() == ANGLES
    assert f"The extended header was not used: {angle:g} deg for every frame." in series.history
    beside(path, [0.0] * N)
    refused("a.rawtlt: 0 deg for every frame", path)


def test_angles_that_cannot_be(tmp_path):
    path = write_mrc(tmp_path / "a.mrc", FRAMES, **records("old FEI", [1e30, 1, 2, 3, 4]))
    refused("1e[+]30 is no angle in degrees", path)
    beside(path, ANGLES)
    assert read_series(path).tilt_deg.tolist() == ANGLES


def test_sources_that_disagree(tmp_path):
    path = write_mrc(tmp_path / "a.mrc", FRAMES, **records("SERI", ANGLES))
    for other in (ANGLES[::-1], sorted(ANGLES, key=abs), [0, 1, 2, 3, 40]):
        beside(path, other)
        refused(
            "the extended header of a.mrc and a.rawtlt disagree, of frame . they say .* by --tilts, a.mrc itself", path
        )
        series = read_series(path, tilts=tmp_path / "a.rawtlt")
        np.testing.assert_array_equal(series.frames, FRAMES[np.argsort(other)])
        np.testing.assert_array_equal(read_series(path, tilts=path).frames, FRAMES)
    beside(path, np.add(ANGLES, 0.1))
    mdoc(path, ANGLES[::-1])
    refused("the extended header of a.mrc and a.mrc.mdoc disagree", path)
    (tmp_path / "a.mrc.mdoc").unlink()
    beside(path, ANGLES[:-1])
    assert f"a.rawtlt was not used: 4 tilt angles for {N} frames." in read_series(path).history
    (tmp_path / "a.rawtlt").write_text("no angle\n")
    assert "a.rawtlt was not used: a.rawtlt, line 1: 'no angle'" in " ".join(read_series(path).history)


def test_two_files_beside_a_stack(tmp_path):
    path = write_mrc(tmp_path / "a.mrc", FRAMES)
    beside(path, ANGLES)
    beside(path, ANGLES[::-1], suffix=".tlt")
    refused("a.rawtlt and a.tlt disagree", path)
    aligned = path.rename(tmp_path / "a.ali")
    beside(aligned, np.add(ANGLES, 1.3), suffix=".tlt")
    series = read_series(aligned)
    np.testing.assert_allclose(series.tilt_deg, np.add(ANGLES, 1.3))
    assert "a.rawtlt gives angles that differ by up to 1.3 deg and was not used" in " ".join(series.history)


@pytest.mark.parametrize("stated_A, noted_m, mdoc_A, taken_A, source, told", [
    (2.5, 2.5e-10, 2.5, 2.5, "the header", ""),
    (1.0, 0, 36.49, 36.49, "the .mdoc", "The header states pixels of 1 A, the .mdoc 36.49 A, which was taken"),
    (0.0, 0, 36.49, 36.49, "the .mdoc", ""),
    (1.0, 3.36e-9, None, 33.6, "the extended header", "The header states pixels of 1 A, the extended header 33.6 A"),
    (3.649, 0, 36.49, 36.49, "the .mdoc", "states pixels of 3.649 A, as if it were in nm, the .mdoc 36.49 A"),
    (4.0, 0, 2.0, 4.0, "the header", "The .mdoc states pixels of 2 A, the header 4 A, which was taken; give another"),
    (4e-9, 4e-9, None, 40.0, "the extended header", "The header states pixels of 4e-09 A, which cannot be."),
    (1.0, 0, None, 1.0, "the header", "exactly 1 A, which software writes that knows no size"),
])  # fmt: skip
def test_pixel_sizes_that_disagree(tmp_path, stated_A, noted_m, mdoc_A, taken_A, source, told):
    path = write_mrc(
        tmp_path / "a.mrc", FRAMES, pixel_size_A=stated_A, **records("old FEI", ANGLES, pixel_size_m=noted_m)
    )
    if mdoc_A is not None:
        mdoc(path, ANGLES, pixel_size_A=mdoc_A)
    series = read_series(path)
    assert series.pixel_size_A == pytest.approx(taken_A, rel=1e-6)
    assert series.metadata["sources"]["pixel_size"] == source
    assert told in " ".join(series.history)
    assert ("pixels of" in " ".join(series.history)) == bool(told)
    assert read_series(path, pixel_size_A=7).metadata["sources"]["pixel_size"] == "the one given"


@pytest.mark.parametrize("stated_A", [3e-10, 0.009, 51000])
def test_a_pixel_size_that_cannot_be_is_refused(tmp_path, stated_A):
    path = write_mrc(tmp_path / "a.mrc", FRAMES, pixel_size_A=stated_A, **records("SERI", ANGLES))
    refused(f"states pixels of {stated_A:g} A in the header, which cannot be; give it by --pixel-size", path)
    assert read_series(path, pixel_size_A=3).pixel_size_A == 3


@pytest.mark.parametrize("axes", [(1, 2, 3), (2, 1, 3), (1, 3, 2), (3, 1, 2), (2, 3, 1), (3, 2, 1), (0, 0, 0)])
@pytest.mark.parametrize("order", "<>")
def test_axis_maps(tmp_path, axes, order):
    """`axes` says which of x, y, z columns, rows and sections of the file lie along."""
    map_or_usual = axes if any(axes) else (1, 2, 3)
    lying = FRAMES.transpose([3 - axis for axis in map_or_usual[::-1]])
    path = write_mrc(tmp_path / "a.mrc", lying, order=order, axes=map_or_usual)
    if not any(axes):
        content = bytearray(path.read_bytes())
        content[64:76] = bytes(12)
        path.write_bytes(content)
    series = read_series(path, tilts=ANGLES)
    np.testing.assert_array_equal(series.frames, FRAMES)
    assert series.pixel_size_A == 2
    assert ("by the axis map; they were turned." in " ".join(series.history)) == (map_or_usual != (1, 2, 3))
    part = read_series(path, tilts=ANGLES, exclude=[1])
    np.testing.assert_array_equal(part.frames, np.delete(FRAMES, 1, axis=0))


def test_frames_that_the_header_does_not_know_of(tmp_path):
    path = write_mrc(tmp_path / "a.mrc", FRAMES)
    content = bytearray(path.read_bytes())
    content[8:12] = np.array(N - 2, "<i4").tobytes()
    path.write_bytes(content)
    refused("5 tilt angles for 3 frames", path, tilts=ANGLES)
    series = read_series(path, tilts=ANGLES[:3])
    np.testing.assert_array_equal(series.frames, FRAMES[:3])
    assert "The file holds 2 more frames than its header says, which were not read." in series.history
    path.write_bytes(content + bytes(100))
    told = f"The file holds {2 * FRAMES[0].nbytes + 100} more bytes than its header says"
    assert told in " ".join(read_series(path, tilts=ANGLES[:3]).history)


def test_an_axis_map_that_makes_no_sense(tmp_path):
    path = write_mrc(tmp_path / "a.mrc", FRAMES)
    content = bytearray(path.read_bytes())
    content[64:76] = np.array([1, 1, 3], "<i4").tobytes()
    path.write_bytes(content)
    assert "The axis map [1, 1, 3] of the header makes no sense" in " ".join(read_series(path, tilts=ANGLES).history)


@pytest.mark.parametrize("layout", ["FEI1", "old FEI"])
def test_the_axis_that_an_extended_header_states(tmp_path, layout):
    path = write_mrc(tmp_path / "a.mrc", FRAMES, **records(layout, ANGLES, axis_deg=88.0))
    series = read_series(path)
    said = "The extended header states a tilt axis at 88 deg from the vertical; the frames were not turned."
    assert said in series.history
    assert series.metadata["sources"]["axis"].endswith("where the extended header states 88 deg from the vertical")


@pytest.mark.parametrize(
    "mode, words", [(3, "complex integers"), (16, "colours"), (101, "half-bytes"), (4, "complex64")]
)
def test_modes_that_no_series_has(tmp_path, mode, words):
    content = np.zeros((N, 12, 80), np.int8)
    path = write_mrc(tmp_path / "a.mrc", content, mode=mode)
    header = bytearray(path.read_bytes())
    header[0:4] = np.array(10, "<i4").tobytes()
    path.write_bytes(header)
    refused(words, path, tilts=ANGLES)


def test_sources_travel_with_the_series(tmp_path):
    path = write_mrc(tmp_path / "a.mrc", FRAMES, **records("SERI", ANGLES))
    first = read_series(path)
    for suffix in (".npz", ".zarr", ".hspy", ".tif"):
        again = read_series(first.write(tmp_path / f"own{suffix[1:]}{suffix}"))
        assert again.metadata["sources"] == first.metadata["sources"]
    given = read_series(tmp_path / "ownnpz.npz", pixel_size_A=3).metadata["sources"]
    assert given == first.metadata["sources"] | {"pixel_size": "the one given"}
    own = read_series(first.write(tmp_path / "own.mrc")).metadata["sources"]
    assert own["angles"] == "own.rawtlt" and own["pixel_size"] == "the header"


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    dtype=st.sampled_from(["i1", "i2", "u2", "f4", "f2"]),
    order=st.sampled_from("<>"),
    layout=st.sampled_from([*LAYOUTS, "beside", "mdoc"]),
    axes=st.sampled_from([(1, 2, 3), (2, 1, 3), (1, 3, 2), (3, 2, 1)]),
    is_stamped=st.booleans(),
    has_limits=st.booleans(),
    pixel_size_A=st.floats(0.05, 900).filter(lambda size: abs(size - 1) > 1e-3),
    hundredths=st.lists(st.integers(-7500, 7500), min_size=3, max_size=9, unique=True),
    seed=st.integers(0, 99),
)
def test_mrc_files_of_any_kind_return_what_was_recorded(
    tmp_path_factory, dtype, order, layout, axes, is_stamped, has_limits, pixel_size_A, hundredths, seed
):
    """Angles, order, signs, pixel size, orientation and numbers, exactly."""
    tilt_deg = np.array(hundredths) / 100
    if np.ptp(tilt_deg) <= 3.2 and np.ptp(tilt_deg) > 0.5:
        tilt_deg = tilt_deg * 20  # that would look like radians
    truth = np.random.default_rng(seed).integers(0, 120, (len(tilt_deg), 6, 7)).astype(dtype)
    path = tmp_path_factory.mktemp("mrc") / "a.mrc"
    header = {} if layout in ("beside", "mdoc") else records(layout, tilt_deg, order)
    lying = truth.transpose([3 - axis for axis in axes[::-1]])
    limits = (truth.min(), truth.max()) if has_limits else (0, -1)
    if axes[2] != 3 and header:  # the records are those of sections
        axes, lying = (1, 2, 3), truth
    write_mrc(
        path, lying, order=order, axes=axes, stated=limits, is_stamped=is_stamped, pixel_size_A=pixel_size_A, **header
    )
    if layout == "beside":
        beside(path, tilt_deg.tolist())
    if layout == "mdoc":
        mdoc(path, tilt_deg.tolist(), pixel_size_A=pixel_size_A)
    series = read_series(path)
    np.testing.assert_allclose(series.tilt_deg, np.sort(tilt_deg), atol=0.0051 if layout == "SERI" else 1e-5)
    np.testing.assert_array_equal(series.frames, truth[np.argsort(tilt_deg)].astype(np.float32))
    assert series.pixel_size_A == pytest.approx(pixel_size_A, rel=1e-6)


def test_written_stacks_state_their_angles_for_other_programs(tmp_path):
    """IMOD and ETSpy read them; here the angles beside the stack, which are not rounded, are those that count."""
    frames = np.ones((4, 6, 5), np.float32)
    path = TiltSeries(frames, [-20.126, 0, 1 / 3, 70], 2.0).write(tmp_path / "a.mrc")
    with mrcfile.open(path) as file:
        noted = np.frombuffer(file.extended_header.tobytes(), "<i2").reshape(4, 7)[:, 0]
        assert file.header.exttyp == b"SERI" and noted.tolist() == [-2013, 0, 33, 7000]
    assert mrcfile.validate(path)
    assert read_series(path).tilt_deg[2] == 1 / 3
    (tmp_path / "a.rawtlt").unlink(), (tmp_path / "a.mrc.mdoc").unlink()
    refused("comes without tilt angles", path)
    path = TiltSeries(frames, [0, 120, 240, 350], 2.0).write(tmp_path / "b.mrc")  # too large for hundredths
    with mrcfile.open(path) as file:
        assert file.header.nsymbt == 0
    assert read_series(path).tilt_deg.tolist() == [0, 120, 240, 350]
