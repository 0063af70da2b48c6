"""Files that hold several pictures: the first is never taken unasked, and `image` takes the one that is meant."""

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from microscope_files import write_velox

from tsg_core.errors import TsgError
from tsg_core.formats import read_series
from tsg_core.tilt_series import TiltSeries

TILT_deg = [-6.0, 0.0, 6.0, 12.0, 18.0]
HAADF = np.random.default_rng(0).integers(0, 60000, (5, 7, 9)).astype(np.uint16)
BF = np.random.default_rng(1).integers(0, 60000, (5, 7, 9)).astype(np.uint16)


def refused(words, path, **options):
    with pytest.raises(TsgError, match=words) as error:
        read_series(path, **{"pixel_size_A": 1} | options)
    assert "\n" not in str(error.value)


def check(frames, path, **options):
    series = TiltSeries.read(path, pixel_size_A=1, **options)
    np.testing.assert_array_equal(series.frames, frames)
    assert series.tilt_deg.tolist() == pytest.approx(TILT_deg, abs=1e-9)


@pytest.mark.parametrize(
    ("axes", "options"),
    [
        ("ZCYX", {"imagej": True}),
        ("TCYX", {"imagej": True}),
        ("TCYX", {"ome": True}),
        ("CZYX", {"ome": True}),
        ("ZCYX", {"ome": True, "compression": "zlib"}),
        ("CTYX", {"ome": True, "compression": "lzw"}),
    ],
)
def test_channels_of_a_tiff_stack(tmp_path, axes, options):
    path = tmp_path / ("a.ome.tif" if "ome" in options else "a.tif")
    frames = np.stack([HAADF, BF], axis=axes.index("C"))
    tifffile.imwrite(path, frames, metadata={"axes": axes}, photometric="minisblack", **options)
    refused("holds 2 pictures; choose one by --image N of: 0 .*channel 0 5 x 7 x 9 uint16; 1 ", path, tilts=TILT_deg)
    check(HAADF, path, tilts=TILT_deg, image=0)
    check(BF, path, tilts=TILT_deg, image="1")
    refused("holds no picture '2'; choose one by --image N of: 0", path, tilts=TILT_deg, image=2)


def test_a_stack_and_its_preview(tmp_path):
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        file.write(np.zeros((3, 4), np.uint8), photometric="minisblack", metadata=None)
        file.write(HAADF, photometric="minisblack", metadata=None)
    refused("a.tif holds 2 pictures; .* 0 3 x 4 uint8; 1 5 x 7 x 9 uint16", tmp_path / "a.tif", tilts=TILT_deg)
    check(HAADF, tmp_path / "a.tif", tilts=TILT_deg, image=1)
    check(HAADF, f"{tmp_path / 'a.tif'}::1", tilts=TILT_deg)
    refused("::1 and --image 0 choose two pictures", f"{tmp_path / 'a.tif'}::1", tilts=TILT_deg, image=0)


def test_pages_that_are_stored_in_different_ways_are_one_stack(tmp_path):
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        for i, frame in enumerate(HAADF):
            file.write(frame, photometric="minisblack", metadata=None, compression="zlib" if i % 2 else None)
    check(HAADF, tmp_path / "a.tif", tilts=TILT_deg)


def test_detectors_as_pages_of_each_frame(tmp_path):
    for angle, *frames in zip(TILT_deg, HAADF, BF, strict=True):
        tifffile.imwrite(tmp_path / f"a_{angle:+.0f}deg.tif", np.stack(frames), photometric="minisblack")
    refused("holds 2 frames: .* or choose one picture of each file by --image N", tmp_path)
    check(BF, tmp_path, image=1)
    check(HAADF, tmp_path / "a_*.tif", image=0)
    check(HAADF, f"{tmp_path}::0")
    refused("holds no picture '2'", tmp_path, image=2)


def test_detectors_in_each_file_of_velox(tmp_path):
    for angle, *frames in zip(TILT_deg, HAADF, BF, strict=True):
        pictures = {"HAADF": frames[0][None], "BF": frames[1][None]}
        write_velox(tmp_path / f"{angle}.emd", pictures, tilt_deg=angle, pixel_size_m=1e-10)
    refused("holds 2 pictures; choose one by --image N of: 0 HAADF 7 x 9; 1 BF 7 x 9", tmp_path)
    check(HAADF, tmp_path, image=0)
    check(BF, tmp_path, image="BF")


@pytest.mark.parametrize("order", ["C", "F"])
def test_an_array_of_several_stacks(tmp_path, order):
    np.save(tmp_path / "a.npy", np.asarray(np.stack([HAADF, BF]), order=order))
    refused("holds 2 pictures; choose one by --image N of: 0 5 x 7 x 9 uint16; 1", tmp_path / "a.npy", tilts=TILT_deg)
    check(BF, tmp_path / "a.npy", tilts=TILT_deg, image=1)
    np.save(tmp_path / "a.npy", HAADF)
    check(HAADF, tmp_path / "a.npy", tilts=TILT_deg, image=0)
    refused("holds one stack, 0; there is no '1'", tmp_path / "a.npy", tilts=TILT_deg, image=1)


def test_a_file_that_is_one_of_several_is_refused(tmp_path):
    names = [tmp_path / f"part{i}.ome.tif" for i in range(2)]
    uuids = [f"urn:uuid:0000000{i}-0000-0000-0000-000000000000" for i in range(2)]
    tiffdata = "".join(
        f'<TiffData FirstT="{i}" IFD="0" PlaneCount="1"><UUID FileName="{name.name}">{uuid}</UUID></TiffData>'
        for i, (name, uuid) in enumerate(zip(names, uuids, strict=True))
    )
    for i, (name, uuid) in enumerate(zip(names, uuids, strict=True)):
        text = (
            f'<?xml version="1.0"?><OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06" UUID="{uuid}">'
            '<Image ID="Image:0"><Pixels ID="Pixels:0" DimensionOrder="XYZCT" Type="uint16" SizeX="9" SizeY="7" '
            f'SizeZ="1" SizeC="1" SizeT="2"><Channel ID="Channel:0" SamplesPerPixel="1"/>{tiffdata}'
            "</Pixels></Image></OME>"
        )
        tifffile.imwrite(name, HAADF[i], photometric="minisblack", description=text, metadata=None)
    refused("is one of several files that share its frames; save them as one file", names[0], tilts=[0, 6])


PREDICTED = ["zlib", "adobe_deflate", "lzw", "lzma", "zstd"]
LOSSLESS = [*PREDICTED, "packbits", "jpeg2000", "png"]


@settings(max_examples=40, deadline=None)
@given(
    compression=st.sampled_from(LOSSLESS),
    dtype=st.sampled_from(["u1", "u2"]),
    byteorder=st.sampled_from("<>"),
    predictor=st.booleans(),
    is_tiled=st.booleans(),
)
def test_compressed_tiff_returns_bit_for_bit(tmp_path_factory, compression, dtype, byteorder, predictor, is_tiled):
    frames = HAADF.astype(dtype)
    path = tmp_path_factory.mktemp("tiff") / "a.tif"
    can_predict = predictor and compression in PREDICTED
    byteorder = "<" if compression in ("jpeg2000", "png") else byteorder
    layout = {"tile": (16, 16)} if is_tiled else {}
    tifffile.imwrite(path, frames, photometric="minisblack", compression=compression, byteorder=byteorder,
                     predictor=can_predict, metadata=None, **layout)  # fmt: skip
    check(frames, path, tilts=TILT_deg)
