"""OS-EM: what expectation maximisation promises, and what the probe in the forward model gains."""

from dataclasses import asdict

import numpy as np
import pytest
from phantoms import TILT_deg, correlation, series_of, spots

from tsg_core.errors import TsgError
from tsg_core.microscope import ABERRATED, NON_ABERRATED
from tsg_core.reconstruction import os_em, project, sirt
from tsg_core.reconstruction.probe_blur import project_with_probe
from tsg_core.simulation import simulate_tilt_series
from tsg_core.structures import test_particles as particles
from tsg_core.tilt_series import TiltSeries

PIXEL_A = 0.25


def probe_series(microscope, n_y=12, background=0.0):
    """A volume of single bright voxels, and its frames as a probe records them, in part beyond their edge."""
    volume = (spots(n_y=n_y, sigma=0) > 0).astype(np.float32)
    frames = project_with_probe(volume, tilt_deg=TILT_deg, pixel_size_A=PIXEL_A, microscope=microscope)
    metadata = {"microscope": asdict(microscope)}
    return volume, TiltSeries(frames.clip(0) + background, TILT_deg, PIXEL_A, metadata=metadata)


def model(volume, microscope):
    return project_with_probe(volume, tilt_deg=TILT_deg, pixel_size_A=PIXEL_A, microscope=microscope)


@pytest.mark.parametrize("microscope", [NON_ABERRATED, ABERRATED])
def test_likelihood_rises_and_the_model_keeps_the_counts(microscope):
    _, series = probe_series(microscope)
    b = series.frames.astype(float)
    volume, misfits = None, []
    for _ in range(6):
        volume = os_em(series, n_iterations=1, n_subsets=1, start=volume)
        m = model(volume, microscope).astype(float).clip(1e-9)
        misfits.append((m - b * np.log(m)).sum())
        assert m.sum() == pytest.approx(b.sum(), rel=2e-3)
    assert (np.diff(misfits) < 0).all()


def test_the_probe_in_the_model_sharpens_the_volume():
    truth, series = probe_series(NON_ABERRATED)
    with_probe = os_em(series, n_iterations=20)
    blind = os_em(series, n_iterations=20, microscope=None)
    assert with_probe.shape == truth.shape and with_probe.dtype == np.float32 and with_probe.min() >= 0
    assert correlation(with_probe, truth) > correlation(blind, truth) + 0.03
    assert correlation(with_probe, truth) > correlation(sirt(series, non_negative=True), truth) + 0.03
    bare = TiltSeries(series.frames, TILT_deg, PIXEL_A)
    np.testing.assert_array_equal(os_em(bare, n_iterations=20, microscope=NON_ABERRATED), with_probe)
    np.testing.assert_array_equal(os_em(bare, n_iterations=20), blind)


def test_subsets_gain_what_as_many_iterations_do():
    _, series = probe_series(NON_ABERRATED, n_y=4)
    residual = {}
    for n_subsets, n_iterations in ((1, 4), (1, 24), (8, 4)):
        volume = os_em(series, n_subsets=n_subsets, n_iterations=n_iterations)
        residual[n_subsets, n_iterations] = np.linalg.norm(model(volume, NON_ABERRATED) - series.frames)
    assert residual[8, 4] < 1.1 * residual[1, 24] < 0.5 * residual[1, 4]


def test_relaxation_undoes_a_wide_probe_in_fewer_iterations():
    _, series = probe_series(ABERRATED, n_y=24)
    residual = {}
    for relaxation in (1.0, 1.8):
        volume = os_em(series, n_iterations=5, relaxation=relaxation)
        residual[relaxation] = np.linalg.norm(model(volume, ABERRATED) - series.frames)
    assert residual[1.8] < 0.9 * residual[1.0]


def test_simulated_frames_between_measured_ones_are_predicted_better_than_by_sirt():
    series = simulate_tilt_series(
        particles(1, seed=0)[0],
        microscope=NON_ABERRATED,
        tilt_deg=np.arange(-90.0, 91, 5),
        shape=48,
        field_of_view_A=32,
    )
    measured, true = series.subset(slice(0, None, 2)), series.subset(slice(1, None, 2))
    by_sirt = project(sirt(measured, non_negative=True), tilt_deg=true.tilt_deg)
    volume = os_em(measured)
    by_em = project_with_probe(
        volume, tilt_deg=true.tilt_deg, pixel_size_A=series.pixel_size_A, microscope=NON_ABERRATED
    )
    errors = [((frames - true.frames) ** 2).mean() for frames in (by_em, by_sirt)]
    assert errors[0] < 0.4 * errors[1]  # 4 dB


def test_a_known_background_stays_out_of_the_volume():
    truth, series = probe_series(NON_ABERRATED, n_y=4, background=0.2)
    aware = os_em(series, background=0.2, n_iterations=20)
    unaware = os_em(series, n_iterations=20)
    assert np.linalg.norm(aware - truth) < 0.7 * np.linalg.norm(unaware - truth)


def test_warm_start_callback_and_tolerance():
    _, series = probe_series(NON_ABERRATED, n_y=3)
    whole = os_em(series, n_iterations=6)
    halves = os_em(series, n_iterations=3, start=os_em(series, n_iterations=3))
    np.testing.assert_allclose(halves, whole, rtol=1e-3, atol=1e-5)
    residuals = []
    os_em(series, n_iterations=6, callback=lambda iteration, residual: residuals.append(residual))
    assert (np.diff(residuals) < 0).all()
    stopped = []
    os_em(series, tolerance=residuals[2], callback=lambda iteration, _: stopped.append(iteration))
    assert stopped == [1, 2, 3]


def test_axis_shift_and_missing_wedge():
    truth = spots()
    series = series_of(truth, np.arange(-60.0, 61, 6), axis_shift_px=1.5)
    assert correlation(os_em(series, axis_shift_px=1.5), truth) > 0.95
    assert correlation(os_em(series), truth) < 0.9


def test_empty_frames_give_an_empty_volume():
    volume = os_em(TiltSeries(np.zeros((3, 4, 8)), [0, 40, 80], 1.0), n_iterations=2)
    assert (volume == 0).all()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"microscope": "titan"}, "microscope='titan'"),
        ({"relaxation": 2.0}, "relaxation=2"),
        ({"background": -1.0}, "background=-1"),
        ({"background": np.nan}, "background=nan"),
        ({"start": np.full((4, 24, 24), -1.0)}, "down to -1"),
        ({"start": np.zeros((4, 24))}, r"\(4, 24\)"),
        ({"n_subsets": 32}, "n_subsets=32"),
        ({"sigma_A": -1.0}, "sigma_A=-1"),
        ({"n_iterations": 0}, "n_iterations=0"),
    ],
)
def test_bad_input(options, words):
    with pytest.raises(TsgError, match=words):
        os_em(series_of(spots()), **options)
