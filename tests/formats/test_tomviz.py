"""EMD files for tomviz: the layout that its reader asks for, what RosettaSciIO finds in it, and the way back."""

import h5py
import numpy as np
import pytest
from rsciio.emd import file_reader

from tsg_core.errors import TsgError
from tsg_core.formats import read_series, read_volume, write_volume
from tsg_core.tilt_series import TiltSeries

TILT_deg = [-60.1, -30, 0.1 + 0.2, 31]
RNG = np.random.default_rng(3)
VOLUME = RNG.random((5, 6, 7), dtype=np.float32)


def series():
    frames = RNG.random((4, 6, 5), dtype=np.float32)
    return TiltSeries(frames, TILT_deg, 0.1 + 0.2, [True, False, True, True], {"engine": "prism"}).noted("Made.")


def test_a_series_returns_bit_for_bit(tmp_path):
    first = series()
    again = read_series(first.write(tmp_path / "a.emd"))
    np.testing.assert_array_equal(again.frames, first.frames)
    assert again.tilt_deg.tolist() == TILT_deg and again.pixel_size_A == first.pixel_size_A
    assert again.measured.tolist() == first.measured.tolist()
    assert again.history == first.history and again.metadata["engine"] == "prism"


def test_tomviz_finds_what_its_reader_looks_for(tmp_path):
    """EmdFormat::readNode takes a group with emd_group_type, dim1 to dim3 as they lie, and angles by the unit [deg]."""
    first = series()
    with h5py.File(first.write(tmp_path / "a.emd"), "r") as file:
        assert (file.attrs["version_major"], file.attrs["version_minor"]) == (0, 2)
        group = file["data/tomography"]
        assert group.attrs["emd_group_type"] == 1 and group["data"].shape == (4, 6, 5)
        assert group["dim1"].attrs["units"] == "[deg]" and group["dim1"][...].tolist() == TILT_deg
        assert group["dim2"][1] - group["dim2"][0] == group["dim3"][1] == pytest.approx(0.03)
    with h5py.File(write_volume(VOLUME, tmp_path / "v.emd", voxel_size_A=2), "r") as file:
        group = file["data/tomography"]
        assert [group[f"dim{i}"].attrs["name"] for i in (1, 2, 3)] == ["x", "y", "z"]
        assert group["data"][4, 3, 5] == VOLUME[3, 5, 4] and group["dim3"][1] == 0.2


def test_rosettasciio_reads_axes_and_numbers(tmp_path):
    first = series()
    (signal,) = file_reader(str(first.write(tmp_path / "a.emd")))
    np.testing.assert_array_equal(signal["data"], first.frames.transpose())  # as it takes all files of this layout
    assert [axis["name"] for axis in signal["axes"]] == ["x", "y", "angles"]
    assert signal["axes"][0]["scale"] == pytest.approx(0.03) and signal["axes"][0]["units"] == "nm"


def test_what_is_no_volume_is_one_line(tmp_path):
    def volume(name, *, names="xyz", units="[n_m]", steps=(1, 1, 1)):
        with h5py.File(tmp_path / name, "w") as file:
            group = file.create_group("data/tomography")
            group["data"] = VOLUME
            for i, (axis, step) in enumerate(zip(names, steps, strict=True)):
                group[f"dim{i + 1}"] = np.arange(VOLUME.shape[i]) * step
                group[f"dim{i + 1}"].attrs.update(name=axis, units=units)
        return tmp_path / name

    again, voxel_size_A = read_volume(volume("fine.emd"))
    np.testing.assert_array_equal(again, VOLUME.transpose(1, 2, 0))
    assert voxel_size_A == 10
    with h5py.File(tmp_path / "empty.emd", "w"):
        pass
    cases = {
        "no array of three axes": tmp_path / "empty.emd",
        "has the axes angles, y, x; a volume": series().write(tmp_path / "s.emd"),
        "no known unit of length, but in ell": volume("ell.emd", units="ell"),
        r"voxels of 10 x 10 x 20 A \(x, y, z\); only cubic": volume("flat.emd", steps=(1, 1, 2)),
    }
    for message, path in cases.items():
        with pytest.raises(TsgError, match=message) as caught:
            read_volume(path)
        assert "\n" not in str(caught.value)
