import numpy as np
import pytest
import torch

from tsg_core.interpolation.informed.views import ATOMS, ATOMS_AROUND, N_CHANNELS, atoms_of, views
from tsg_core.tilt_series import TiltSeries
from tsgbook.networks.informed_training import _backwards


def test_the_views_do_not_depend_on_the_unit(sparse):
    wanted_deg = np.array([1.0, -77.0])
    plain = views(sparse, wanted_deg)
    scaled = views(TiltSeries(256 * sparse.frames, sparse.tilt_deg, 0.5, metadata=sparse.metadata), wanted_deg)
    assert plain.channels.shape == (2, N_CHANNELS, 34, 37)
    np.testing.assert_allclose(scaled.scale, 256 * plain.scale, rtol=1e-2)


def test_the_atoms_channels_are_their_frame_and_how_much_less_they_miss(sparse):
    wanted_deg = np.array([1.0, -77.0])
    seen, model = views(sparse, wanted_deg), sparse.atoms
    difference, there, log_ratio, below, above = seen.channels[:, ATOMS].swapaxes(0, 1)
    scale = seen.scale[:, None, None]
    np.testing.assert_allclose(seen.prior + scale * difference, model.predict(wanted_deg), atol=1e-6)
    assert (there == 1).all() and log_ratio.max() < -0.2
    np.testing.assert_allclose(scale * 10**log_ratio * below, model.residual[[9, 1]], atol=1e-6)
    np.testing.assert_allclose(scale * 10**log_ratio * above, model.residual[[10, 2]], atol=1e-6)


def test_where_atoms_do_not_apply_or_are_not_asked_for_their_channels_are_zero(sparse):
    wanted_deg = np.array([1.0])
    assert not views(sparse, wanted_deg, atoms=False).channels[:, ATOMS].any()
    assert not views(sparse.subset([2, 9, 16]), wanted_deg).channels[:, ATOMS].any()


def test_atoms_are_not_fitted_to_series_for_which_they_take_long(sparse, monkeypatch):
    monkeypatch.setattr("tsg_core.interpolation.informed.views.AFFORDABLE_px", sparse.frames.size - 1)
    assert atoms_of(TiltSeries(sparse.frames, sparse.tilt_deg, sparse.pixel_size_A)) is None


def test_mirrored_views_are_those_of_the_mirrored_series(sparse):
    flipped = TiltSeries(
        sparse.frames[::-1, :, ::-1].copy(), -sparse.tilt_deg[::-1], sparse.pixel_size_A, metadata=sparse.metadata
    )
    here, there = views(sparse, np.array([2.0])), views(flipped, np.array([-2.0]))
    mirrored = _backwards(torch.from_numpy(here.channels).flip(3))
    for k, (channel, expected) in enumerate(zip(mirrored[0].numpy(), there.channels[0], strict=True)):
        if np.ptp(expected) == 0:
            assert channel == pytest.approx(expected, abs=0.05)
        elif not ATOMS_AROUND.start <= k < ATOMS_AROUND.stop:  # what is next to nothing here
            # the object's subsets of frames are others, and so is what it misses, a little
            assert np.corrcoef(channel.ravel(), expected.ravel())[0, 1] > 0.7
