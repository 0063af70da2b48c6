"""An object with voxels of half the size: interpolation, sums along rays, and a fit that starts there."""

import numpy as np
import pytest
from phantoms import spots
from scipy.ndimage import gaussian_filter1d

from tsg_core.microscope import ABERRATED
from tsg_core.reconstruction import blocks
from tsg_core.reconstruction.blocks import fitted_in_blocks
from tsg_core.reconstruction.finer import doubled, halved
from tsg_core.reconstruction.probe_blur import ProbeBlur, project_with_probe
from tsg_core.reconstruction.projection import project
from tsg_core.tilt_series import TiltSeries

TILT_deg = np.linspace(-75, 75, 31)


def smooth_spots(n_y, n=24):
    return gaussian_filter1d(spots(n_y=n_y, n=n), 1.5, axis=0)


def test_planes_stay_planes():
    z, x, y = np.meshgrid(np.arange(6.0), np.arange(7.0), np.arange(5.0), indexing="ij")
    finer = doubled((z + 10 * x + 100 * y).astype(np.float32))
    assert finer.shape == (12, 14, 6) and finer.dtype == np.float32
    of_z, of_x, of_y = (np.arange(n) / 2 - 0.25 for n in (12, 14, 10))
    expected = of_z[:, None, None] + 10 * of_x[:, None] + 100 * of_y[2:-2]
    np.testing.assert_allclose(finer[1:-1, 1:-1], expected[1:-1, 1:-1] / 2, rtol=1e-5)


def test_frames_stay_those_of_the_coarse_object():
    coarse = smooth_spots(24)
    rows = np.arange(-1, 25).clip(0, 23)
    finer = doubled(coarse.transpose(1, 2, 0)[:, :, rows]).transpose(2, 0, 1)
    series = halved(TiltSeries(project(finer, tilt_deg=TILT_deg[::10]), TILT_deg[::10], 0.2))
    frames = project(coarse, tilt_deg=TILT_deg[::10])
    assert series.pixel_size_A == 0.4
    assert np.abs(series.frames - frames).max() < 0.12 * frames.max()  # interpolation smooths
    np.testing.assert_allclose(series.frames.sum(axis=(1, 2)), frames.sum(axis=(1, 2)), rtol=1e-3)


def test_a_fit_that_starts_at_half_the_resolution_is_as_near_to_the_truth(monkeypatch):
    truth, options = smooth_spots(40, 48), {"pixel_size_A": 0.5, "microscope": ABERRATED}
    frames = project_with_probe(truth, tilt_deg=TILT_deg, **options)
    measured, between = TiltSeries(frames[::2], TILT_deg[::2], 0.5), frames[1::2]
    blur, fits, error = ProbeBlur(shape=frames.shape[1:], **options), [], {}
    whole = blocks.halved
    monkeypatch.setattr(blocks, "halved", lambda series: fits.append(series) or whole(series))
    for coarsest in (48, 24):
        monkeypatch.setattr(blocks, "COARSE_PX", coarsest)
        fitted = fitted_in_blocks(measured, n_iterations=3, n_rounds=5, blur=blur, regularisation=2e-3)
        error[coarsest] = np.linalg.norm(fitted.frames(TILT_deg[1::2]) - between) / np.linalg.norm(between)
    assert len(fits) == 1 and error[24] < 1.1 * error[48] < 0.2


@pytest.mark.parametrize("shape", [(40, 47), (41, 48), (40, 40)])
def test_odd_and_narrow_frames_are_fitted_at_once(monkeypatch, shape):
    monkeypatch.setattr(blocks, "COARSE_PX", 24)
    assert not blocks._can_be_halved(np.zeros((3, *shape)))
    assert blocks._can_be_halved(np.zeros((3, 40, 48)))
