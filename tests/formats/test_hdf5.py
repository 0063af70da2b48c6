"""HDF5 files of no particular layout: one stack of several is chosen, angles are found or asked for."""

import h5py
import numpy as np
import pytest

from tsg_core.errors import TsgError
from tsg_core.formats import open_series, read_series

FRAMES = np.random.default_rng(0).integers(0, 999, (4, 6, 5)).astype(np.uint16)
ANGLES = np.array([-10.0, 20, 0, 10])


def refused(words, path, **options):
    with pytest.raises(TsgError, match=words) as error:
        read_series(path, **options)
    assert "\n" not in str(error.value)


def written(path, units="degrees", name="exchange/theta", **datasets):
    with h5py.File(path, "w") as file:
        for key, data in (datasets or {"exchange/data": FRAMES}).items():
            file.create_dataset(key, data=data, chunks=(1, *data.shape[1:]), compression="gzip")
        if name:
            file[name] = ANGLES if units != "radian" else np.radians(ANGLES)
            if units:
                file[name].attrs["units"] = units
    return path


@pytest.mark.parametrize("suffix", [".h5", ".hdf5"])
@pytest.mark.parametrize(
    ("units", "name"), [("degrees", "exchange/theta"), ("", "tilts"), (b"deg", "a"), ("radian", "b")]
)
def test_a_stack_and_its_angles(tmp_path, suffix, units, name):
    path = written(tmp_path / f"a{suffix}", units, name)
    series = read_series(path, pixel_size_A=3)
    np.testing.assert_allclose(series.tilt_deg, np.sort(ANGLES), atol=1e-12)
    np.testing.assert_array_equal(series.frames, FRAMES[np.argsort(ANGLES)])
    assert series.metadata["sources"]["angles"] == f"the vector {name} of a{suffix}"
    refused("does not state its pixel size", path)
    part = open_series(path, pixel_size_A=3).load(indices=[1], rows=slice(2, 4))
    np.testing.assert_array_equal(part.frames[0], FRAMES[2, 2:4])


def test_several_stacks_are_listed(tmp_path):
    path = written(tmp_path / "a.h5", **{"exchange/data": FRAMES, "exchange/data_white": FRAMES[:2] + 1})
    words = (
        "a.h5 holds 2 pictures; choose one by --image N of: 0 exchange/data 4 x 6 x 5 uint16; 1 exchange/data_white 2"
    )
    refused(words, path, pixel_size_A=3)
    for image in (0, "exchange/data"):
        np.testing.assert_array_equal(read_series(path, pixel_size_A=3, image=image).frames[0], FRAMES[0])
    white = read_series(path, pixel_size_A=3, image=1, tilts=[0, 1])
    np.testing.assert_array_equal(white.frames, FRAMES[:2] + 1)


def test_angles_that_are_not_certain(tmp_path):
    path = written(tmp_path / "a.h5", name="")
    refused("comes without tilt angles", path, pixel_size_A=3)
    path.with_suffix(".rawtlt").write_text("1\n2\n3\n4\n")
    assert read_series(path, pixel_size_A=3).tilt_deg.tolist() == [1, 2, 3, 4]
    path = written(tmp_path / "b.h5")
    with h5py.File(path, "a") as file:
        file["more/angles"] = ANGLES + 1
        file["more/current"] = ANGLES
    refused("the vectors exchange/theta and more/angles state different ones; name a file", path, pixel_size_A=3)
    with h5py.File(tmp_path / "c.h5", "w") as file:
        file["picture"] = FRAMES[0]
    refused("holds no stack of frames, but: picture 6 x 5", tmp_path / "c.h5", pixel_size_A=3)
    (tmp_path / "d.h5").write_bytes(b"no HDF5")
    refused("d.h5 is truncated or not a .h5 file", tmp_path / "d.h5", pixel_size_A=3)
