"""`tsg reconstruct`: every method, the tilt axis, larger voxels, pictures; `tsg evaluate` of volumes and of series."""

# ruff: noqa: F811  (a fixture that is imported)

import json

import matplotlib.image
import numpy as np
import pytest
from phantoms import correlation, film, series_of, spots
from tsg_command import one_line, series, tsg  # noqa: F401

from tsg_core.formats import read_volume, write_volume
from tsg_core.reconstruction import sirt
from tsg_core.reconstruction.linear_system import needed_bytes
from tsg_core.tilt_series import TiltSeries

VOLUME = spots(n_y=12, n=24)
SPOTS = series_of(VOLUME)


def test_reconstruct_writes_a_volume(tsg, tmp_path):
    path = SPOTS.write(tmp_path / "spots.mrc")
    status, said, error = tsg("reconstruct", path, "-o", tmp_path / "volume.mrc", "--iterations", 5)
    assert (status, error) == (0, "") and "24 x 12 x 24 voxels" in said
    volume, voxel_size_A = read_volume(tmp_path / "volume.mrc")
    assert voxel_size_A == pytest.approx(0.5)
    np.testing.assert_allclose(volume, sirt(SPOTS, n_iterations=5), atol=1e-6)


@pytest.mark.parametrize("method", ["fbp", "os_sart", "cgls", "tv", "os_em"])
def test_every_method_finds_the_spots(tsg, tmp_path, method):
    path = SPOTS.write(tmp_path / "spots.npz")
    status, said, error = tsg("reconstruct", path, "-o", tmp_path / "volume.npz", "--method", method)
    assert (status, error) == (0, "") and f"by {method}" in said
    assert correlation(read_volume(tmp_path / "volume.npz")[0], VOLUME) > 0.9


def test_rows_done_one_after_another_give_the_same_volume(tsg, tmp_path):
    path = SPOTS.write(tmp_path / "spots.npz")
    options = ("--iterations", 5, "--method", "sirt")
    for_four_rows_GB = needed_bytes(len(SPOTS), 4, 24) / 1e9
    for name, memory in (("whole", ()), ("parts", ("--memory", for_four_rows_GB))):
        status, _, error = tsg("reconstruct", path, "-o", tmp_path / f"{name}.npz", *options, *memory)
        assert (status, error) == (0, "")
    whole, parts = (read_volume(tmp_path / f"{name}.npz")[0] for name in ("whole", "parts"))
    np.testing.assert_allclose(parts, whole, atol=1e-5)


def test_the_tilt_axis_is_found_and_used(tsg, tmp_path):
    moved = series_of(VOLUME, axis_shift_px=1.6).write(tmp_path / "moved.npz")
    volumes = {}
    for centre in ("auto", "0"):
        status, said, error = tsg("reconstruct", moved, "-o", tmp_path / f"{centre}.npz", "--centre", centre)
        assert (status, error) == (0, "") and ("tilt axis: +1.6" in said) == (centre == "auto")
        volumes[centre] = read_volume(tmp_path / f"{centre}.npz")[0]
    assert correlation(volumes["auto"], VOLUME) > 0.95 > correlation(volumes["0"], VOLUME) + 0.1


def test_larger_voxels_are_means_and_keep_the_axis(tsg, tmp_path):
    wide = spots(n_y=12, n=49, sigma=4.0)
    path = series_of(wide, axis_shift_px=2.0).write(tmp_path / "wide.npz")
    options = ("--voxel-size", 1.5, "--centre", 2, "--png")
    status, said, error = tsg("reconstruct", path, "-o", tmp_path / "volume.npz", *options)
    assert (status, error) == (0, "") and "16 x 4 x 16 voxels (x, y, z) of 1.5 A" in said
    volume, voxel_size_A = read_volume(tmp_path / "volume.npz")
    binned = wide[:, :48, :48].reshape(4, 3, 16, 3, 16, 3).mean(axis=(1, 3, 5))
    assert voxel_size_A == 1.5 and correlation(volume, binned) > 0.95
    picture = matplotlib.image.imread(tmp_path / "volume_slices.png")
    assert picture.shape[0] > 300 and picture[..., :3].std() > 0.05


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--method", "fbp", "--iterations", 3), "fbp has none"),
        (("--method", "tv", "--engine", "astra"), "is for sirt"),
        (("--method", "tv", "--memory", 1), "joins rows"),
        (("--memory", 1e-9), "is too little"),
        (("--centre", "left"), "must be auto or a number"),
        (("--centre", 300), "outside the frame"),
        (("--voxel-size", 0.1), "must be the pixel size"),
    ],
)
def test_wrong_options_of_reconstruct(tsg, tmp_path, options, message):
    path = SPOTS.write(tmp_path / "spots.npz")
    status, _, error = tsg("reconstruct", path, "-o", tmp_path / "out.npz", *options)
    assert status == 2 and message in error and one_line(error) and not (tmp_path / "out.npz").exists()


def test_evaluate_compares_predicted_frames_alone(tsg, tmp_path):
    reference = SPOTS.write(tmp_path / "reference.npz")
    frames = SPOTS.frames.copy()
    frames[::2] = 0  # measured, and wrong: not to be looked at
    measured = np.arange(len(SPOTS)) % 2 == 0
    frames[~measured] += 0.1 * SPOTS.intensity_scale
    dense = TiltSeries(frames, SPOTS.tilt_deg, 0.5, measured).write(tmp_path / "dense.npz")
    status, said, error = tsg("evaluate", dense, reference, "--json")
    found = json.loads(said)
    assert (status, error) == (0, "") and found["compared"] == f"{(~measured).sum()} predicted frames"
    assert found["psnr_dB"] == pytest.approx(20, abs=1e-3)
    assert [row["tilt_deg"] for row in found["frames"]] == SPOTS.tilt_deg[~measured].tolist()
    assert "psnr_dB" in tsg("evaluate", dense, reference)[1]


def test_evaluate_of_volumes_gives_resolutions_and_distances(tsg, tmp_path):
    rng = np.random.default_rng(0)
    a = write_volume(VOLUME, tmp_path / "a.mrc", voxel_size_A=0.5)
    near = write_volume(VOLUME + 1e-3 * rng.standard_normal(VOLUME.shape), tmp_path / "b.npz", voxel_size_A=0.5)
    far = write_volume(VOLUME + 0.01 * rng.standard_normal(VOLUME.shape), tmp_path / "c.npz", voxel_size_A=0.5)
    found = {path: json.loads(tsg("evaluate", path, a, "--json")[1]) for path in (near, far)}
    assert 1 <= found[near]["resolution_0.5_A"] < found[far]["resolution_0.5_A"]
    assert found[near]["chamfer_A"] < found[far]["chamfer_A"] and found[near]["dice"] > 0.95


def test_evaluate_refuses_what_does_not_fit_together(tsg, tmp_path):
    a = SPOTS.write(tmp_path / "a.npz")
    volume = write_volume(VOLUME, tmp_path / "v.npz", voxel_size_A=0.5)
    smaller = SPOTS.frames[:, :11]
    others = {
        "only two of one kind": volume,
        "cannot be compared": TiltSeries(smaller, SPOTS.tilt_deg, 0.5).write(tmp_path / "small.npz"),
        "bin the finer": TiltSeries(SPOTS.frames, SPOTS.tilt_deg, 1.0).write(tmp_path / "coarse.npz"),
        "no angle in common": TiltSeries(SPOTS.frames, SPOTS.tilt_deg + 1, 0.5).write(tmp_path / "turned.npz"),
    }
    for message, other in others.items():
        status, _, error = tsg("evaluate", other, a)
        assert status == 2 and message in error and one_line(error)


def test_a_film_gets_a_box_of_its_own(tsg, tmp_path):
    series = film(np.arange(-66.0, 67.0, 6.0), n_y=4)
    path, width = series.write(tmp_path / "film.npz"), ("--object-width", 60)
    status, said, error = tsg("reconstruct", path, "-o", tmp_path / "found.npz", "--iterations", 5)
    assert (status, error) == (0, "") and "the object goes on outside the frames: taken for" in said
    assert read_volume(tmp_path / "found.npz")[0].shape[2] == 40 > read_volume(tmp_path / "found.npz")[0].shape[1]
    given = ("-o", tmp_path / "given.npz", "--thickness", 13, "--iterations", 5)
    status, said, _ = tsg("reconstruct", path, *given, *width, "--memory", 1)
    assert status == 0 and "taken for 13 A thick and 60 A wide" in said and "40 x 4 x 26 voxels" in said
    for wrong, why in (
        (("--method", "fbp"), "fbp knows no object wider than the frame; take sirt"),
        (("--thickness", 0.1), "less than a pixel"),
        (("--object-width", 5), "narrower than the frames"),
    ):
        status, _, error = tsg("reconstruct", path, "-o", tmp_path / "no.npz", *width, *wrong)
        assert status == 2 and why in error and one_line(error) and not (tmp_path / "no.npz").exists()
