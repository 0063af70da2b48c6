"""Objects that go on outside the frames: noticed, their thickness found, and predicted as no object inside them is."""

from dataclasses import replace

import numpy as np
import pytest
from phantoms import film, series_of, spots

from tsg_core.errors import TsgError
from tsg_core.interpolation.angles import cubic, linear
from tsg_core.interpolation.methods import predict
from tsg_core.reconstruction import cgls, os_em, os_sart, sirt, tv
from tsg_core.reconstruction.extent import bright_sides, cropped, extent_of, find_extent, with_extent
from tsg_core.reconstruction.projection import Box, project
from tsg_core.tilt_series import TiltSeries

TILT_deg = np.arange(-66.0, 67.0, 3.0)
FILM = film(TILT_deg, n_y=6)
MEASURED, BETWEEN = FILM.subset(np.arange(0, 45, 2)), FILM.subset(np.arange(1, 45, 2))
THICKNESS_A = 13.6  # of the layer of spots, and a sigma of theirs on either side


def psnr_dB(frames, truth):
    return float(-10 * np.log10(((frames - truth) ** 2).mean() / truth.max() ** 2))


def test_an_object_alone_is_left_as_it_is():
    alone = series_of(spots())
    assert not bright_sides(alone) and with_extent(alone) is alone and extent_of(alone) is None


def test_a_background_makes_no_film_of_an_object_inside_the_frames():
    alone = series_of(spots(n_y=8))
    lit = replace(alone, frames=alone.frames + 0.3 * alone.frames.max())
    assert bright_sides(lit)
    extent = extent_of(lit)
    if extent is not None:  # an even film does explain an even background; it must then predict better
        plain = replace(lit, metadata={"extent": None})
        out = np.arange(1, 30, 2)
        kept = np.setdiff1d(np.arange(31), out)
        errors = [
            ((predict("reprojection", s.subset(kept), s.tilt_deg[out]) - s.frames[out]) ** 2).mean()
            for s in (replace(lit, metadata={"extent": extent}), plain)
        ]
        assert errors[0] < errors[1]


@pytest.mark.parametrize("noise", [0.0, 0.1])
def test_the_thickness_of_a_film_is_found(noise):
    extent = extent_of(film(TILT_deg, noise=noise))
    assert extent.thickness_A == pytest.approx(THICKNESS_A, rel=0.2)
    assert str(extent).startswith("the object goes on outside the frames: taken for")
    assert extent.noise >= noise


def test_a_film_is_predicted_far_better_than_over_the_angle_alone():
    truth, inside = BETWEEN.frames, replace(MEASURED, metadata={"extent": None})
    over_angle = max(psnr_dB(f(MEASURED, BETWEEN.tilt_deg), truth) for f in (linear, cubic))
    wide = {m: psnr_dB(predict(m, MEASURED, BETWEEN.tilt_deg), truth) for m in ("reprojection", "kriging")}
    cube = psnr_dB(predict("reprojection", inside, BETWEEN.tilt_deg), truth)
    assert min(wide.values()) > over_angle + 6 and min(wide.values()) > cube + 6
    assert psnr_dB(predict("sirt_reprojection", MEASURED, BETWEEN.tilt_deg), truth) > over_angle


def test_wide_frames_are_fitted_in_blocks_alike(monkeypatch):
    found = {}
    for fine_px in (128, 16):
        monkeypatch.setattr("tsg_core.interpolation.fitted_object.FINE_PX", fine_px)
        found[fine_px] = predict("reprojection", MEASURED, BETWEEN.tilt_deg)
    np.testing.assert_allclose(found[16], found[128], atol=2e-3 * MEASURED.intensity_scale)


@pytest.mark.parametrize("method", [sirt, os_sart, os_em, tv, cgls])
def test_every_method_finds_more_of_a_film_in_a_box_that_holds_it(method):
    """The middle of the volume, which most frames see, projects to what other frames show."""
    options = {tv: {"weight": 0.01, "n_iterations": 60}, cgls: {"n_iterations": 15}}.get(method, {})
    box = extent_of(MEASURED).box(MEASURED)
    errors = {}
    for b in (box, Box(40, 40)):
        volume = method(MEASURED, box=b, **options)
        assert volume.shape == (6, b.n_z, b.n_x)
        drawn = project(volume, tilt_deg=BETWEEN.tilt_deg, n_pixels=40)
        errors[b] = psnr_dB(drawn, BETWEEN.frames)
    assert errors[box] > errors[Box(40, 40)] + 6


def test_a_volume_is_cropped_to_what_was_seen_without_the_bright_rim():
    dense = film(MEASURED.tilt_deg, n_y=40, per_px3=0.02)
    box = extent_of(dense).box(dense)
    seen = cropped(sirt(dense, box=box, n_iterations=60), n_x=40)
    assert seen.shape == (40, box.n_z, 40)

    def rim(volume):
        column = volume.mean(axis=(0, 1))
        return (column[0] + column[-1]) / (column[2] + column[-3])

    assert rim(seen) < 1.08 and rim(sirt(dense, n_iterations=60)) > 1.15


def test_what_is_given_is_kept_and_spoken_against_where_frames_do():
    given = find_extent(MEASURED, thickness_A=THICKNESS_A, width_A=50.0)
    assert (given.thickness_A, given.width_A, given.remark) == (THICKNESS_A, 50.0, "")
    assert given.box(MEASURED) == Box(27, 100)
    assert "speak against a thickness of 3 A" in find_extent(MEASURED, thickness_A=3.0).remark


@pytest.mark.parametrize(
    "options, message",
    [
        ({"thickness_A": 0.2}, "less than a pixel, 0.5 A"),
        ({"width_A": 12.0}, "narrower than the frames, which show 20 A"),
    ],
)
def test_sizes_that_contradict_the_frames_are_refused(options, message):
    with pytest.raises(TsgError, match=message):
        with_extent(MEASURED, **options)


def test_the_extent_outlives_a_file(tmp_path):
    told = with_extent(MEASURED)
    told.write(tmp_path / "film.npz")
    assert extent_of(TiltSeries.read(tmp_path / "film.npz")) == extent_of(told)
