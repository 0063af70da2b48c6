"""Objects fitted in blocks of rows are those of one go, and lie in a file that goes with them."""

import os
import shutil
import tempfile
from collections import namedtuple
from dataclasses import replace

import numpy as np
import pytest
from phantoms import spots

from tsg_core.errors import TsgError
from tsg_core.interpolation.fitted_object import ReprojectionSettings, fitted_object
from tsg_core.microscope import ABERRATED
from tsg_core.reconstruction import os_em, sirt
from tsg_core.reconstruction.blocks import StoredObject, fitted_in_blocks, sirt_in_blocks
from tsg_core.reconstruction.probe_blur import ProbeBlur, project_with_probe
from tsg_core.reconstruction.projection import project
from tsg_core.reconstruction.ray_sums import N_ROWS
from tsg_core.tilt_series import TiltSeries

TILT_deg = np.linspace(-70, 70, 13)
MIDDLES_deg = (TILT_deg[1:] + TILT_deg[:-1]) / 2
VOLUME = spots(n_y=N_ROWS + 9)  # a block, and part of another
SERIES = TiltSeries(project(VOLUME, tilt_deg=TILT_deg) + 0.01, TILT_deg, 0.5)


def test_blocks_give_the_object_of_one_go():
    stored, whole = fitted_in_blocks(SERIES, n_iterations=8), os_em(SERIES, n_iterations=8, microscope=None)
    np.testing.assert_allclose(stored.volume, whole, atol=1e-4 * whole.max())
    np.testing.assert_allclose(stored.frames(MIDDLES_deg), project(whole, tilt_deg=MIDDLES_deg), atol=1e-3)


def test_negative_pixels_count_as_nothing():
    negative = SERIES.frames.copy()
    negative[:, 3] = -1
    clipped = replace(SERIES, frames=negative.clip(0))
    found, expected = (fitted_in_blocks(s, n_iterations=4).volume for s in (replace(SERIES, frames=negative), clipped))
    np.testing.assert_array_equal(found, expected)
    assert np.isfinite(fitted_in_blocks(replace(SERIES, frames=0 * negative), n_iterations=2).volume).all()


def test_the_blur_of_a_wide_probe_crosses_blocks(monkeypatch):
    frames = project_with_probe(VOLUME, tilt_deg=TILT_deg, pixel_size_A=0.5, microscope=ABERRATED)
    series = TiltSeries(frames.clip(0), TILT_deg, 0.5, metadata={"microscope": ABERRATED})
    settings = ReprojectionSettings(oversampling=1, wide_px=0.5)
    found = {}
    for width in (8, 128):  # above which blocks are taken
        monkeypatch.setattr("tsg_core.interpolation.fitted_object.FINE_PX", width)
        fitted = fitted_object(series, settings)
        assert isinstance(fitted, StoredObject) == (width == 8) and isinstance(fitted.blur, ProbeBlur)
        found[width] = fitted.frames(MIDDLES_deg)
    np.testing.assert_allclose(found[8], found[128], atol=2e-3 * found[128].max())


def test_sirt_in_blocks_is_sirt():
    noisy = replace(SERIES, frames=SERIES.frames - 0.05)
    whole = sirt(noisy, n_iterations=20, non_negative=True, allow_negative=True)
    np.testing.assert_allclose(sirt_in_blocks(noisy, n_iterations=20).volume, whole, atol=1e-4 * whole.max())


def test_nothing_is_left_of_the_object(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    stored = StoredObject((3, 40, 8))
    first, second = np.random.default_rng(0).random((2, 64, N_ROWS), np.float32)
    stored.blocks[1] = second
    stored.blocks[0] = first
    np.testing.assert_array_equal(stored.blocks[0], first)
    np.testing.assert_array_equal(stored.blocks[1], second)
    if os.name == "posix":  # nor of a process that is killed: the file has no name
        assert not list(tmp_path.iterdir())
    file = stored.blocks.file
    del stored
    assert file.closed and not list(tmp_path.iterdir())


def test_a_full_disk_is_said_before_the_fit(monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(10**9, 10**9, 10**3))
    with pytest.raises(TsgError, match=r"33 x 500 px takes .* GB in .* are free; set TMPDIR"):
        StoredObject((3, 500, 33))
