"""The README's lines for one's own sample, on recordings as microscopes hand them over, end in the object's volume.

Counts of 25 balls whose density is known, misaligned without interpolation. The volume may be moved as a whole: no
series tells where the object was.
"""

# ruff: noqa: F811  (a fixture that is imported)

import re
import shlex

import mrcfile
import numpy as np
import pytest
from conftest import ROOT
from misaligned import drift
from scipy import fft
from tsg_command import tsg  # noqa: F401

from tsg_core.formats import read_volume
from tsg_core.geometry import pixel_centres_A
from tsg_core.reconstruction import sirt
from tsg_core.samples.experiment import recorded_balls
from tsg_core.tilt_series import TiltSeries

N, PIXEL_A = 32, 5.0
WIDE_deg, NARROW_deg = np.arange(-64.0, 65.0, 8.0), np.arange(-45.0, 46.0, 6.0)


def readme_lines():
    """The commands of the five lines, the installation left out, as lists of words."""
    section = (ROOT / "README.md").read_text(encoding="utf-8").partition("in five lines")[2]
    block = re.search(r"```bash\n(.*?)```", section, re.DOTALL)[1]
    return [shlex.split(line.partition("#")[0])[1:] for line in block.splitlines() if line.startswith("tsg ")]


def truth(seed=0):
    """Density (n_y, n_z, n_x) of `recorded_balls`: their places, sizes and weights are drawn as there."""
    rng, edge_A = np.random.default_rng(seed), N * PIXEL_A
    directions = rng.normal(size=(25, 3))
    radii_A = 0.3 * edge_A * rng.random((25, 1)) ** (1 / 3)
    places_A = radii_A * directions / np.linalg.norm(directions, axis=1, keepdims=True)
    weights, sigma_A = rng.uniform(0.3, 1, 25), edge_A * rng.uniform(1 / 50, 1 / 16, (25, 1))
    centres_A = pixel_centres_A(N, pixel_size_A=PIXEL_A)
    x, y, z = (np.exp(-0.5 * ((centres_A - places_A[:, k : k + 1]) / sigma_A) ** 2) for k in range(3))
    return np.einsum("a,ay,az,ax->yzx", weights / sigma_A[:, 0], y, z, x)


def likeness(volume, other):
    """The largest correlation of two volumes over all translations."""
    a, b = volume - volume.mean(), other - other.mean()
    found = fft.irfftn(fft.rfftn(a) * np.conj(fft.rfftn(b)), s=a.shape)
    return found.max() / np.sqrt((a**2).sum() * (b**2).sum())


def recording(
    *, tilt_deg=WIDE_deg, contrast=400, vacuum=60, offset=0, dtype=np.uint16, along_x=False, without_beam=None
):
    """Counts (n_tilt, n_y, n_x) of misaligned frames, and their angles."""
    shift_px = drift(len(tilt_deg), step_px=0.8, seed=3)
    frames = recorded_balls(tilt_deg=tilt_deg, shift_px=shift_px, axis_deg=2.0, shape=N, pixel_size_A=PIXEL_A).frames
    if without_beam is not None:
        frames[without_beam] = 0
    frames = np.rot90(frames, -1, axes=(1, 2)) if along_x else frames
    counts = np.random.default_rng(1).poisson(frames * contrast + vacuum) + offset
    assert np.iinfo(dtype).min <= counts.min() and counts.max() <= np.iinfo(dtype).max
    return counts.astype(dtype), tilt_deg


RECORDINGS = {  # name -> (settings, what one of the lines says, the least correlation with the truth)
    "counts over a vacuum": ({}, "Subtracted a background of 59", 0.8),
    "strong noise": ({"contrast": 60, "vacuum": 10}, "Subtracted a background of 9", 0.55),
    "int16 from -32768 on": (
        {"contrast": 3000, "vacuum": 200, "offset": -32768, "dtype": np.int16}, "background of -3256", 0.85,
    ),
    "a missing wedge of 90 degrees": ({"tilt_deg": NARROW_deg, "vacuum": 300}, "the missing wedge", 0.6),
    "the axis along x": ({"along_x": True}, "The tilt axis lies along x", 0.8),
    "a frame without a beam": ({"without_beam": 9}, "Left out 1 frame that shows nothing, at 8 degrees", 0.8),
}  # fmt: skip


def write(folder, counts, tilt_deg):
    with mrcfile.new(folder / "recorded.mrc") as file:
        file.set_data(np.ascontiguousarray(counts))
        file.voxel_size = PIXEL_A
    (folder / "recorded.rawtlt").write_text("".join(f"{t:.2f}\n" for t in tilt_deg))


def test_the_lines_are_those_of_the_readme():
    assert [line[0] for line in readme_lines()] == ["show", "prepare", "densify", "reconstruct"]


@pytest.mark.parametrize("name", RECORDINGS)
def test_the_lines_end_in_the_object(tsg, tmp_path, monkeypatch, name):
    settings, words, least = RECORDINGS[name]
    monkeypatch.chdir(tmp_path)
    counts, tilt_deg = recording(**settings)
    write(tmp_path, counts, tilt_deg)
    quick = {
        "densify": [] if name == "counts over a vacuum" else ["--method", "linear"],
        "reconstruct": ["--iterations", 60],
    }
    said = ""
    for line in readme_lines():
        status, out, error = tsg(*line, *quick.get(line[0], []))
        assert (status, error) == (0, ""), error
        said += out
    assert words in said
    volume, voxel_A = read_volume(tmp_path / "volume.mrc")
    found = likeness(volume, truth())
    print(f"{name}: {found:.3f}")
    assert voxel_A == pytest.approx(PIXEL_A) and found > least
    mirrored = likeness(volume[:, ::-1], truth())
    assert found > mirrored + 0.2


@pytest.mark.parametrize("python", [False, True])
def test_without_prepare_an_offset_is_no_obstacle(tsg, tmp_path, monkeypatch, python):
    """An aligned FEI file of signed integers, straight into densify and reconstruct."""
    monkeypatch.chdir(tmp_path)
    frames = recorded_balls(
        tilt_deg=WIDE_deg, shift_px=np.zeros((len(WIDE_deg), 2)), axis_deg=0.0, shape=N, pixel_size_A=PIXEL_A
    ).frames
    write(tmp_path, (np.random.default_rng(1).poisson(3000 * frames + 200) - 32768).astype(np.int16), WIDE_deg)
    if python:
        from tsg_core.interpolation import densify

        series = TiltSeries.read("recorded.mrc")
        denser = densify(series, tilt_deg=np.arange(-64.0, 65.0, 4.0), method="reprojection")
        assert "which lies at -3256" in denser.history[-1]
        np.testing.assert_array_equal(denser.frames[denser.measured], series.frames)
        assert np.median(denser.frames[~denser.measured][:, :3]) == pytest.approx(-32568, abs=30)
        with pytest.warns(UserWarning, match="this offset was subtracted"):
            volume = sirt(denser, n_iterations=60)
    else:
        status, said, error = tsg(
            "densify", "recorded.mrc", "-o", "denser.mrc", "--method", "reprojection", "--step", 4
        )
        assert (status, error) == (0, "") and "The vacuum of the frames lies at -3256" in said
        assert tsg("reconstruct", "denser.mrc", "-o", "volume.mrc", "--iterations", 60)[0] == 0
        volume, _ = read_volume("volume.mrc")
    assert likeness(volume, truth()) > 0.85


def test_series_with_and_without_the_offset_are_compared_about_their_vacuum(tsg, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    counts, tilt_deg = recording(contrast=3000, vacuum=200, offset=-32768, dtype=np.int16)
    write(tmp_path, counts, tilt_deg)
    noise = np.random.default_rng(2).normal(0, 30, counts.shape)
    TiltSeries(counts + 32568.0 + noise, tilt_deg, PIXEL_A).write("other.npz")
    status, said, error = tsg("evaluate", "other.npz", "recorded.mrc")
    assert (status, error) == (0, "") and "recorded.mrc: The vacuum of the frames lies at -3256" in said
    peak = counts.max() + 32568.0
    expected_dB = 20 * np.log10(peak / 30)
    assert float(re.search(r"psnr_dB +([\d.]+)", said)[1]) == pytest.approx(expected_dB, abs=0.3)
