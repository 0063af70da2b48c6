"""Series and volumes as images of OME-Zarr: by the rules of version 0.5, and as other packages read and write them."""

# ruff: noqa: F811  (a fixture that is imported)

import json

import numpy as np
import pytest
import zarr
from tsg_command import one_line, tsg  # noqa: F401

from tsg_core.errors import TsgError
from tsg_core.formats import read_series, read_volume, write_volume
from tsg_core.geometry import pixel_centres_A, tilted_positions
from tsg_core.reconstruction import sirt
from tsg_core.tilt_series import TiltSeries

EVEN_deg, UNEVEN_deg = np.array([-60.0, -30, 0, 30]), np.array([-60.1, -30, 0.1 + 0.2, 31])
RNG = np.random.default_rng(2)
VOLUME = RNG.random((5, 6, 7), dtype=np.float32)
UNITS = {"angstrom", "nanometer", "micrometer", "picometer", "millimeter", "meter"}  # of those that the format names


def series(tilt_deg=UNEVEN_deg):
    frames = RNG.random((4, 6, 5), dtype=np.float32)
    return TiltSeries(frames, tilt_deg, 0.1 + 0.2, [True, False, True, True], {"engine": "prism"}).noted("Made.")


def check_rules(path):
    """What the text of OME-Zarr 0.5 demands of an image ("multiscales" metadata); gives the array and its scale."""
    group = zarr.open_group(path, mode="r", zarr_format=3)
    ome = group.attrs["ome"]
    assert ome["version"] == "0.5" and len(ome["multiscales"]) == 1
    (multiscale,) = ome["multiscales"]
    axes, datasets = multiscale["axes"], multiscale["datasets"]
    assert 2 <= len(axes) <= 5 and len({axis["name"] for axis in axes}) == len(axes)
    types = [axis["type"] for axis in axes]
    spatial = [axis for axis in axes if axis["type"] == "space"]
    assert len(spatial) in (2, 3) and types[-len(spatial) :] == ["space"] * len(spatial)
    assert [axis["name"] for axis in spatial] == list("zyx"[-len(spatial) :])
    assert all(axis["unit"] in UNITS for axis in spatial)
    assert len([kind for kind in types if kind not in ("space", "time")]) <= 1
    for dataset in datasets:
        array = group[dataset["path"]]
        assert array.ndim == len(axes) and list(array.metadata.dimension_names) == [axis["name"] for axis in axes]
        first, *others = dataset["coordinateTransformations"]
        assert first["type"] == "scale" and [other["type"] for other in others] in ([], ["translation"])
        assert all(len(t[t["type"]]) == len(axes) for t in (first, *others))
    return array, first["scale"]


@pytest.mark.parametrize("tilt_deg", [EVEN_deg, UNEVEN_deg])
def test_a_series_follows_the_rules_and_returns_bit_for_bit(tmp_path, tilt_deg):
    first = series(tilt_deg)
    path = first.write(tmp_path / "a.ome.zarr")
    array, scale = check_rules(path)
    np.testing.assert_array_equal(array[...], first.frames)
    assert scale[1:] == [first.pixel_size_A] * 2
    again = read_series(path)
    np.testing.assert_array_equal(again.frames, first.frames)
    np.testing.assert_array_equal(again.tilt_deg, first.tilt_deg)
    assert again.pixel_size_A == first.pixel_size_A and again.measured.tolist() == first.measured.tolist()
    assert again.history == first.history and again.metadata["engine"] == "prism"


def test_a_volume_follows_the_rules_and_returns_bit_for_bit(tmp_path):
    path = write_volume(VOLUME, tmp_path / "v.ome.zarr", voxel_size_A=0.1 + 0.2)
    array, scale = check_rules(path)
    np.testing.assert_array_equal(array[...], VOLUME.transpose(1, 0, 2))
    again, voxel_size_A = read_volume(path)
    np.testing.assert_array_equal(again, VOLUME)
    assert voxel_size_A == 0.1 + 0.2 and scale == [voxel_size_A] * 3


def test_large_arrays_are_cut_into_chunks(tmp_path):
    path = write_volume(np.zeros((130, 3, 260), np.float32), tmp_path / "v.zarr", voxel_size_A=1)
    assert zarr.open_group(path)["0"].chunks == (3, 128, 128)
    assert not read_volume(path)[0].any()


def test_series_of_the_layout_before_are_read(tmp_path):
    first = series()
    group = zarr.create_group(tmp_path / "old.zarr", attributes={"metadata": '{"engine": "prism"}'})
    for name in ("frames", "tilt_deg", "measured", "pixel_size_A"):
        group.create_array(name, data=np.asarray(getattr(first, name)))
    again = read_series(tmp_path / "old.zarr")
    np.testing.assert_array_equal(again.frames, first.frames)
    assert again.pixel_size_A == first.pixel_size_A and again.tilt_deg.tolist() == first.tilt_deg.tolist()


def foreign(path, data, axes, scale, *, zarr_format=2, translation=None):
    """An image as other programs write it: two resolutions, in version 0.4 or 0.5."""
    datasets = []
    group = zarr.create_group(path, zarr_format=zarr_format)
    for level in (0, 1):
        step = (slice(None),) * (data.ndim - 2) + (slice(None, None, 2**level),) * 2
        group.create_array(f"s{level}", data=data[step])
        placed = [{"type": "scale", "scale": scale}]
        placed += [{"type": "translation", "translation": translation}] if translation else []
        datasets.append({"path": f"s{level}", "coordinateTransformations": placed})
    image = [{"axes": axes, "datasets": datasets, "version": "0.4"}]
    group.attrs.update(
        {"multiscales": image} if zarr_format == 2 else {"ome": {"version": "0.5", "multiscales": image}}
    )
    return path


def space(names, unit):
    return [{"name": name, "type": "space", "unit": unit} for name in names]


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_a_series_of_another_program_gets_its_angles_from_the_axis_or_from_beside(tmp_path, zarr_format):
    data = RNG.integers(0, 900, (4, 6, 8)).astype("u2")
    degrees = [{"name": "tilt", "type": "angle", "unit": "degree"}, *space("yx", "nanometer")]
    placed = {"zarr_format": zarr_format, "translation": [-60, 0, 0]}
    of_axis = read_series(foreign(tmp_path / "a.zarr", data, degrees, [30, 0.2, 0.2], **placed))
    path = foreign(tmp_path / "b.zarr", data, space("zyx", "angstrom"), [2.0, 2.0, 2.0], zarr_format=zarr_format)
    with pytest.raises(TsgError, match="looks like a volume, not a tilt series: its axes are z, y, x"):
        read_series(path)
    (tmp_path / "b.tlt").write_text("-60\n-30\n0\n30\n")
    for found in (of_axis, read_series(path), read_series(path, tilts=EVEN_deg)):
        np.testing.assert_array_equal(found.frames, data)
        assert found.tilt_deg.tolist() == EVEN_deg.tolist() and found.pixel_size_A == pytest.approx(2)


def test_axes_of_time_and_channel_are_left_out_or_chosen(tmp_path):
    volume = RNG.random((1, 2, 4, 6, 8))
    axes = [{"name": "t", "type": "time"}, {"name": "c", "type": "channel"}, *space("zyx", "nanometer")]
    path = foreign(tmp_path / "a.zarr", volume, axes, [1, 1, 0.5, 0.5, 0.5])
    found = read_series(path, tilts=EVEN_deg, image=1)
    np.testing.assert_array_equal(found.frames, volume[0, 1].astype("f4"))
    with pytest.raises(TsgError, match="has the axes t, c, z, y, x, a volume has z, y, x"):
        read_volume(path)
    one = foreign(tmp_path / "b.zarr", volume[:, :1], axes, [1, 1, 0.5, 0.5, 0.5])
    again, voxel_size_A = read_volume(one)
    np.testing.assert_array_equal(again, volume[0, 0].astype("f4").transpose(1, 0, 2))
    assert voxel_size_A == 5


def test_what_is_no_volume_is_one_line(tmp_path):
    zarr.create_group(tmp_path / "empty.zarr")
    cases = {
        "states no image of OME-Zarr": tmp_path / "empty.zarr",
        "has the axes tilt, y, x, a volume has": series().write(tmp_path / "s.zarr"),
        "only cubic": foreign(tmp_path / "flat.zarr", VOLUME, space("zyx", "angstrom"), [2.0, 1.0, 1.0]),
        "no known unit of length, but in parsec": foreign(
            tmp_path / "p.zarr", VOLUME, space("zyx", "parsec"), [1, 1, 1]
        ),
    }
    for message, path in cases.items():
        with pytest.raises(TsgError, match=message) as caught:
            read_volume(path)
        assert "\n" not in str(caught.value)


def test_commands_write_and_compare_volumes(tsg, tmp_path):
    cube = np.pad(np.ones((2, 3, 4)), ((5, 5), (5, 4), (4, 4)))
    a, b = (write_volume(cube, tmp_path / name, voxel_size_A=2) for name in ("a.zarr", "b.mrc"))
    status, said, error = tsg("evaluate", a, b, "--json")
    assert (status, error) == (0, "") and json.loads(said)["dice"] == 1
    frames = np.zeros((4, 8, 8), np.float32)
    frames[:, 3:5, 3:5] = 1
    path = TiltSeries(frames, EVEN_deg, 2.0).write(tmp_path / "s.zarr")
    status, _, error = tsg("reconstruct", path, "-o", tmp_path / "v.ome.zarr", "--iterations", 2)
    assert (status, error) == (0, "") and read_volume(tmp_path / "v.ome.zarr")[1] == 2
    status, _, error = tsg("reconstruct", a, "-o", tmp_path / "w.zarr")
    assert status == 2 and "looks like a volume" in error and one_line(error)


def placed_volume(folder):
    """A volume reconstructed from one ball, the (z, y, x) of the ball in A, and the group with scale and start."""
    tilt_deg, position_A = np.arange(-80.0, 81, 10), np.array([[9.0, -6.0, 5.0]])  # x, y, z, at the middle of a voxel
    x_A, y_A = (pixel_centres_A(n, pixel_size_A=2.0) for n in (24, 17))
    column_A, row_A, _ = tilted_positions(position_A, tilt_deg=tilt_deg)[:, 0].T
    frames = np.exp(-((y_A[:, None] - row_A[:, None, None]) ** 2 + (x_A - column_A[:, None, None]) ** 2) / 18)
    volume = sirt(TiltSeries(frames, tilt_deg, 2.0), n_iterations=20)
    group = zarr.open_group(write_volume(volume, folder / "v.zarr", voxel_size_A=2.0), mode="r")
    placed = group.attrs["ome"]["multiscales"][0]["datasets"][0]["coordinateTransformations"]
    return position_A[0, ::-1], group["0"], *(step[step["type"]] for step in placed)


def test_a_volume_lies_where_its_atoms_lie(tmp_path):
    true_A, stored, scale, start = placed_volume(tmp_path)
    weights = stored[...] ** 2
    found_A = [(weights * i).sum() / weights.sum() for i in np.indices(stored.shape)] * np.array(scale) + start
    np.testing.assert_allclose(found_A, true_A, atol=0.3)


def test_napari_shows_a_volume_and_its_atoms_in_one_place(tmp_path):
    layers = pytest.importorskip("napari.layers")
    true_A, stored, scale, start = placed_volume(tmp_path)
    axes = {"units": "angstrom", "axis_labels": ("z", "y", "x")}
    image = layers.Image(stored, scale=scale, translate=start, **axes)
    points = layers.Points(true_A[None], size=2, **axes)
    voxel = np.array(image.world_to_data(points.data_to_world(points.data[0])))
    np.testing.assert_allclose(voxel, np.unravel_index(stored[...].argmax(), stored.shape), atol=1e-6)


def test_another_package_finds_the_images_valid(tmp_path):
    """ome-zarr-models checks all that the text of the format demands."""
    images = pytest.importorskip("ome_zarr_models.v05")
    volume = write_volume(VOLUME, tmp_path / "v.zarr", voxel_size_A=2)
    for path in (series().write(tmp_path / "a.zarr"), series(EVEN_deg).write(tmp_path / "b.zarr"), volume):
        image = images.Image.from_zarr(zarr.open_group(path, mode="r"))
        assert image.attributes.ome.multiscales[0].ndim == 3
