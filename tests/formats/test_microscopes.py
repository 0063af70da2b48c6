"""Stacks of Digital Micrograph, Velox, the Berkeley layout, HyperSpy, ImageJ and OME: angles, pixel size, values."""

import importlib.util

import h5py
import numpy as np
import pytest
import tifffile
from microscope_files import write_dm, write_velox
from rsciio.hspy import file_writer as write_hspy

from tsg_core.errors import TsgError
from tsg_core.formats import open_series, read_series
from tsg_core.formats.signals import signal_dict
from tsg_core.tilt_series import TiltSeries

FRAMES = np.arange(3 * 4 * 5, dtype=np.uint16).reshape(3, 4, 5) * 1000
NM = (0.0, 0.25, "nm")


def refused(words, path, **options):
    with pytest.raises(TsgError, match=words) as error:
        read_series(path, **options)
    assert "\n" not in str(error.value)


def check(path, tilt_deg, pixel_size_A=2.5):
    series = read_series(path)
    np.testing.assert_array_equal(series.frames, FRAMES)
    np.testing.assert_allclose(series.tilt_deg, tilt_deg, atol=1e-12)
    assert series.pixel_size_A == pytest.approx(pixel_size_A) and series.measured.all()
    assert series.metadata["source_file"] == getattr(path, "name", "a.emd")
    return series


@pytest.mark.parametrize("suffix", [".dm3", ".dm4"])
def test_digital_micrograph_with_an_axis_of_degrees(tmp_path, suffix):
    path = write_dm(tmp_path / f"a{suffix}", FRAMES, axes=[NM, NM, (20.0, 2.0, "deg")])
    series = check(path, [-40, -38, -36])
    kind = suffix[1:].upper()
    assert series.history == (
        f"Read 3 frames of uint16 from the {kind} file a{suffix}; tilt angles from the axis of tilts of a{suffix}.",
    )


@pytest.mark.parametrize("dtype", [np.int16, np.int32, np.float32, np.float64])
def test_digital_micrograph_with_the_range_of_its_plug_in(tmp_path, dtype):
    angles = {"Minimum tilt angle (deg)": -3.0, "Maximum tilt angle (deg)": 3.0, "Tilt angle step (deg)": 3.0}
    tags = {"Tomography": {"Tomography setup": {"Tilt angles": angles}}}
    index = (0.0, 1.0, "")
    path = write_dm(tmp_path / "a.dm4", (FRAMES // 2).astype(dtype), axes=[NM, NM, index], tags=tags)
    series = read_series(path)
    assert series.tilt_deg.tolist() == [-3, 0, 3] and series.metadata["source_dtype"] == np.dtype(dtype).name
    np.testing.assert_array_equal(series.frames, FRAMES // 2)
    angles["Tilt angle step (deg)"] = 2.0  # the plan was not carried out
    refused("comes without tilt angles", write_dm(path, FRAMES, axes=[NM, NM, index], tags=tags))
    (tmp_path / "a.rawtlt").write_text("-3\n-1\n3\n")
    assert read_series(path).tilt_deg.tolist() == [-3, -1, 3]


@pytest.mark.parametrize(
    ("unit", "scale", "pixel_size_A"), [("\u00b5m", 0.001, 10), ("m", 1e-10, 1), ("A", 3, 3), ("pm", 50, 0.5)]
)
def test_units_of_length(tmp_path, unit, scale, pixel_size_A):
    axes = [(0.0, float(scale), unit)] * 2 + [(0.0, 1.0, "deg")]
    assert read_series(write_dm(tmp_path / "a.dm3", FRAMES, axes=axes)).pixel_size_A == pytest.approx(pixel_size_A)


def test_pixel_sizes_that_cannot_be_used(tmp_path):
    path, degrees = tmp_path / "a.dm3", (0.0, 1.0, "deg")
    write_dm(path, FRAMES, axes=[(0.0, 2.0, "furlong"), (0.0, 2.0, "furlong"), degrees])
    refused("a.dm3 states its pixel size in the unknown unit 'furlong'; give it by --pixel-size", path)
    assert "The pixel size was given as 3.5 A." in read_series(path, pixel_size_A=3.5).history
    write_dm(path, FRAMES, axes=[(0.0, 1.0, ""), (0.0, 1.0, ""), degrees])
    refused("a.dm3 states its pixel size in no unit of length; give it", path)
    write_dm(path, FRAMES, axes=[NM, (0.0, 0.5, "nm"), degrees])
    refused("a.dm3: its pixels are 2.5 x 5 A; only square ones", path)


def test_velox_notes_the_stage_with_every_frame(tmp_path):
    path = write_velox(tmp_path / "a.emd", {"HAADF": FRAMES}, tilt_deg=[-60, -30.5, 1], pixel_size_m=2.5e-10)
    check(path, [-60, -30.5, 1])


def test_one_of_several_datasets_is_chosen(tmp_path):
    images = {"HAADF": FRAMES, "BF": FRAMES + 1, "Ceta": FRAMES[:1]}
    path = write_velox(tmp_path / "a.emd", images, tilt_deg=[-60, -30, 1], pixel_size_m=2.5e-10)
    refused("a.emd holds 2 stacks; choose one by --image N of: 0 HAADF 3 x 4 x 5; 1 BF 3 x 4 x 5; 2 Ceta 4 x 5", path)
    check(f"{path}::HAADF", [-60, -30, 1])
    np.testing.assert_array_equal(read_series(f"{path}::1").frames, FRAMES + 1)
    refused("holds no stack 'EDS'; choose a number by --image N of: 0 HAADF", f"{path}::EDS")
    TiltSeries(FRAMES, [0, 1, 2], 1).write(tmp_path / "a.npz")
    refused("a.npz holds one stack, 0; there is no", f"{tmp_path / 'a.npz'}::1")


def test_spectra_beside_the_images_need_another_package(tmp_path, monkeypatch):
    path = write_velox(tmp_path / "a.emd", {"HAADF": FRAMES}, tilt_deg=[-60, -30, 1], pixel_size_m=2.5e-10)
    with h5py.File(path, "a") as file:
        file.create_group("Data/SpectrumImage")
        file.create_group("Displays/ImageDisplay")
    find = importlib.util.find_spec
    monkeypatch.setattr("importlib.util.find_spec", lambda name: find(name) if name != "sparse" else None)
    refused("a.emd holds spectra beside its images; to read it, pip install sparse", path)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: find(name) or name == "sparse")
    check(path, [-60, -30, 1])


def test_a_file_without_a_stack_says_what_it_holds(tmp_path):
    path = write_velox(tmp_path / "a.emd", {"HAADF": FRAMES[:1]}, tilt_deg=3, pixel_size_m=1e-10)
    refused("a.emd holds no stack of frames, but: 0 HAADF 4 x 5", path)


@pytest.mark.parametrize("tilt_is_last", [True, False])
def test_berkeley_layout_in_either_order_with_uneven_angles(tmp_path, tilt_is_last):
    vectors = [("angles", "[deg]", [-50.0, 0, 10]), ("y", "[n_m]", [0, 0.25]), ("x", "[n_m]", [0, 0.25])]
    with h5py.File(tmp_path / "a.emd", "w") as file:
        file.attrs["version_major"], file.attrs["version_minor"] = 0, 2
        group = file.create_group("data/tomography")
        group.attrs["emd_group_type"] = 1
        group["data"] = FRAMES.transpose(2, 1, 0) if tilt_is_last else FRAMES
        for i, (name, unit, values) in enumerate(vectors[::-1] if tilt_is_last else vectors, start=1):
            group[f"dim{i}"] = np.array(values, np.float32)
            group[f"dim{i}"].attrs.update({"name": np.bytes_(name), "units": np.bytes_(unit)})
    series = check(tmp_path / "a.emd", [-50, 0, 10])
    assert "the vector of angles" in series.history[0]


def test_etspy_keeps_tilts_as_a_signal_in_the_metadata(tmp_path):
    signal = signal_dict(TiltSeries(FRAMES, [-9, 1, 2], 2.5))
    axis = {"name": "", "offset": 0.0, "scale": 1.0, "size": 3, "units": "", "navigate": True}
    tilts = {"data": np.array([[-9], [1], [2]]), "axis-0": axis, "axis-1": axis | {"size": 1, "navigate": False}}
    tilts |= {"metadata": {}, "original_metadata": {}}
    signal["metadata"] = {"General": {"title": ""}, "Tomography": {"_sig_tilts": tilts, "cropped": False}}
    write_hspy(str(tmp_path / "a.hspy"), signal)
    check(tmp_path / "a.hspy", [-9, 1, 2])


def test_frames_that_were_left_out_since_keep_the_flags_of_the_others(tmp_path):
    signal = signal_dict(TiltSeries(FRAMES, [-10, 0, 10], 2.5, [True, True, False]))
    signal["data"], signal["axes"][0]["size"], signal["axes"][0]["offset"] = FRAMES[1:], 2, 0.0
    write_hspy(str(tmp_path / "a.hspy"), signal)
    series = read_series(tmp_path / "a.hspy")
    assert series.tilt_deg.tolist() == [0, 10] and series.measured.tolist() == [True, False]


def test_metadata_beyond_an_attribute_of_hdf5(tmp_path):
    series = TiltSeries(FRAMES, [0, 1, 2], 1, metadata={"long": "x" * 100_000})
    assert read_series(series.write(tmp_path / "a.hspy")).metadata["long"] == "x" * 100_000


def test_ome_and_plain_tiff_state_their_pixel_size(tmp_path):
    physical = {"axes": "ZYX", "PhysicalSizeX": 0.25, "PhysicalSizeXUnit": "nm", "PhysicalSizeY": 0.25}
    tifffile.imwrite(tmp_path / "a.ome.tif", FRAMES, metadata=physical | {"PhysicalSizeYUnit": "nm"}, ome=True)
    assert read_series(tmp_path / "a.ome.tif", tilts=[0, 1, 2]).pixel_size_A == pytest.approx(2.5)
    for per_cm, answer in ((4e7, 2.5), (118, None)):  # IMOD writes the former, a program for printing the latter
        tifffile.imwrite(
            tmp_path / "a.tif",
            FRAMES,
            resolution=(per_cm, per_cm),
            resolutionunit="CENTIMETER",
            photometric="minisblack",
        )
        if answer:
            assert read_series(tmp_path / "a.tif", tilts=[0, 1, 2]).pixel_size_A == pytest.approx(answer)
        else:
            refused("does not state its pixel size", tmp_path / "a.tif", tilts=[0, 1, 2])


def test_tiff_of_digital_micrograph(tmp_path):
    tags = [(65003, "s", 0, "nm", True), (65004, "s", 0, "nm", True), (65009, "d", 1, 0.25, True)]
    tags.append((65010, "d", 1, 0.25, True))
    tifffile.imwrite(tmp_path / "a.tif", FRAMES, photometric="minisblack", metadata=None, extratags=tags)
    assert read_series(tmp_path / "a.tif", tilts=[0, 1, 2]).pixel_size_A == pytest.approx(2.5)


def test_compressed_tiff_is_read_page_by_page(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", FRAMES, compression="zlib", photometric="minisblack")
    stored = open_series(tmp_path / "a.tif", tilts=[2, 1, 0], pixel_size_A=1)
    np.testing.assert_array_equal(stored.load(indices=[0], rows=slice(1, 3)).frames, FRAMES[2:, 1:3])
    tifffile.imwrite(tmp_path / "rgb.tif", np.zeros((2, 4, 5, 3), np.uint8), photometric="rgb")
    refused("rgb.tif holds .*grey-level pages", tmp_path / "rgb.tif", tilts=[0, 1])


def test_numpy_files_need_angles_and_pixel_size(tmp_path):
    for order in "CF":
        np.save(tmp_path / "a.npy", np.asarray(FRAMES, order=order))
        (tmp_path / "a.tlt").write_text("0\n1\n2\n")
        refused("a.npy does not state its pixel size", tmp_path / "a.npy")
        np.testing.assert_array_equal(read_series(tmp_path / "a.npy", pixel_size_A=1).frames, FRAMES)
    np.savez_compressed(tmp_path / "b.npz", frames=FRAMES, tilt_deg=[0, 1, 2], pixel_size_A=2.5)
    check(tmp_path / "b.npz", [0, 1, 2])
    np.savez(tmp_path / "c.npz", images=FRAMES)
    refused(r"c.npz has no array named frames; it holds images \(3, 4, 5\)", tmp_path / "c.npz")


@pytest.mark.parametrize("suffix", [".dm4", ".h5", ".npy"])
def test_formats_that_are_only_read_say_what_to_write(tmp_path, suffix):
    with pytest.raises(TsgError, match=f"the format {suffix} can only be read; write .mrc or .hspy instead"):
        TiltSeries(FRAMES, [0, 1, 2], 1).write(tmp_path / f"a{suffix}")


@pytest.mark.parametrize("suffix", [".dm3", ".dm4"])
def test_one_of_several_images_of_digital_micrograph_is_chosen(tmp_path, suffix):
    axes = [(0.0, 0.25, "nm"), (0.0, 0.25, "nm"), (1.0, 10.0, "deg")]
    path = write_dm(tmp_path / f"a{suffix}", FRAMES, FRAMES[:, ::-1], axes=axes)
    refused(f"a{suffix} holds 2 stacks; choose one by --image N of: 0 a 3 x 4 x 5; 1 a 3 x 4 x 5", path)
    np.testing.assert_array_equal(read_series(path, image=0).frames, FRAMES)
    np.testing.assert_array_equal(read_series(path, image=1).frames, FRAMES[:, ::-1])


def test_one_of_several_signals_of_hyperspy_is_chosen(tmp_path):
    path = TiltSeries(FRAMES, [-10, 0, 10], 2.5).write(tmp_path / "a.hspy")
    with h5py.File(path, "a") as file:
        file.copy("Experiments/tilt series", file["Experiments"], "upside down")
        file["Experiments/upside down/data"][...] = FRAMES[:, ::-1]
    refused("a.hspy holds 2 stacks; choose one by --image N of: 0 tilt series 3 x 4 x 5; 1 tilt", path)
    np.testing.assert_array_equal(read_series(path, image=0).frames, FRAMES)
    np.testing.assert_array_equal(read_series(path, image=1).frames, FRAMES[:, ::-1])


def test_one_of_several_groups_of_a_berkeley_file_is_chosen(tmp_path):
    path = tmp_path / "a.emd"
    with h5py.File(path, "w") as file:
        for name, frames in (("first", FRAMES), ("second", FRAMES[:, ::-1])):
            group = file.create_group(f"data/{name}")
            group.attrs["emd_group_type"] = 1
            group["data"] = frames
            for i, (values, unit) in enumerate(
                (([-10.0, 0, 12], "[deg]"), (np.arange(4), "[n_m]"), (np.arange(5), "[n_m]"))
            ):
                group[f"dim{i + 1}"] = values
                group[f"dim{i + 1}"].attrs.update(name=str(i), units=unit)
        file.attrs.update(version_major=0, version_minor=2)
    refused("a.emd holds 2 stacks; choose one by --image N of: 0 first .*; 1 second", path)
    chosen = read_series(path, image="second")
    np.testing.assert_array_equal(chosen.frames, FRAMES[:, ::-1])
    assert chosen.tilt_deg.tolist() == [-10, 0, 12]


def test_a_stack_beside_single_pictures_is_told(tmp_path):
    path = write_velox(
        tmp_path / "a.emd", {"HAADF": FRAMES, "BF": FRAMES[:1]}, tilt_deg=[-10, 0, 10], pixel_size_m=2.5e-10
    )
    series = read_series(path)
    np.testing.assert_array_equal(series.frames, FRAMES)
    assert "Of 2 pictures in the file the only stack was read, HAADF." in series.history


def test_frames_of_one_angle_are_no_tilt_series(tmp_path):
    path = write_velox(tmp_path / "a.emd", {"HAADF": FRAMES}, tilt_deg=[12.0], pixel_size_m=2.5e-10)
    refused(
        "the record of the stage of .*a.emd: 12 deg for every frame; name a file with the angle of each frame", path
    )


def test_angles_of_hyperspy_that_no_longer_fit(tmp_path):
    path = TiltSeries(FRAMES, [-10, 0, 10], 2.5).write(tmp_path / "a.hspy")
    with h5py.File(path, "a") as file:
        kept = file["Experiments/tilt series/metadata"]
        del kept["TSG"]
        for tilts, told in (
            ([-10.0, 0, 10], None),
            ([0.0, 0, 0], "Tomography.tilts was not used: 0 deg for every frame."),
            ([-10.0, 0, 10, 20], "Tomography.tilts was not used: 4 tilt angles for 3 frames."),
            ([5.0, 10, 30], "The axis of tilts gives angles that differ by up to 20 deg from Tomography.tilts and"),
        ):
            del kept["Tomography/tilts"]
            kept["Tomography/tilts"] = tilts
            file.flush()
            series = read_series(path)
            assert series.tilt_deg.tolist() == ([5, 10, 30] if tilts[0] == 5 else [-10, 0, 10])
            assert told is None or told in " ".join(series.history)
