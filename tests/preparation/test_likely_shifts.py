"""The statistics of a film tell where its frames lie: covariances, slopes, information and shifts against the truth."""

from dataclasses import replace

import numpy as np
import pytest
from misaligned import drift, irregular_tilts
from phantoms import film

from tsg_core.preparation.film_poses import FilmPoses, free_steps
from tsg_core.preparation.likely_shifts import likely_shifts
from tsg_core.preparation.marginal_likelihood import MarginalLikelihood
from tsg_core.preparation.random_field import RandomField
from tsg_core.preparation.transformation import shift_error_px

N_TILT = 17
TILT_deg = irregular_tilts(N_TILT, wedge_deg=60.0)
DRIFT_px = drift(N_TILT, step_px=0.6)
SIGMA_px, THICKNESS_px = 1.6, 12
DENSE = {"n_y": 16, "n_x": 28, "thickness_px": THICKNESS_px, "per_px3": 0.03, "sigma_px": SIGMA_px}
UNKNOWNS = {"along": slice(0, N_TILT), "across": slice(N_TILT, -2), "thickness": slice(-1, None)}


@pytest.fixture(scope="module")
def dense():
    return film(TILT_deg, **DENSE, shift_px=DRIFT_px, noise=0.1)


def likelihood_about(series, poses):
    frames = series.frames / series.frames.std()
    field = RandomField.of(frames, tilt_deg=TILT_deg, thickness_px=poses.thickness_px)
    return MarginalLikelihood(frames, tilt_deg=TILT_deg, field=field, about=poses, softened=0.05)


def error_px(shift_px, *, axis_deg=0.0):
    return shift_error_px(shift_px, DRIFT_px, tilt_deg=TILT_deg, axis_deg=axis_deg)


def test_rows_of_two_tilts_have_the_covariance_of_spots_between_two_planes():
    tilt_deg, x_px = np.array([-20.0, 35.0]), np.array([[-6.0, 0.0, 3.0], [-2.0, 1.0, 9.0]])
    field = RandomField(sigma_px=np.array([SIGMA_px]), variance=np.ones(1), noise=0.1, thickness_px=THICKNESS_px)
    found = field.row_covariances(x_px, tilt_deg=tilt_deg)
    step = 0.05
    x, z = np.arange(-40, 40, step), np.arange(-THICKNESS_px / 2 + step / 2, THICKNESS_px / 2, step)
    places = [x[:, None] * np.cos(t) + z * np.sin(t) for t in np.deg2rad(tilt_deg)]
    spots = [np.exp(-((p - at) ** 2) / (2 * SIGMA_px**2)) for p, row in zip(places, x_px, strict=True) for at in row]
    spots = np.array(spots).reshape(6, -1)
    expected = spots @ spots.T * step**2 / (THICKNESS_px * SIGMA_px * np.sqrt(np.pi))
    np.testing.assert_allclose(found.values[0], expected, atol=1e-4)
    thicker = replace(field, thickness_px=THICKNESS_px * np.exp(0.02)).row_covariances(x_px, tilt_deg=tilt_deg)
    np.testing.assert_allclose(found.thicker[0], (thicker.values - found.values)[0] / 0.02, atol=0.01)
    moved = field.row_covariances(x_px + np.array([[0.02], [0.0]]), tilt_deg=tilt_deg)
    np.testing.assert_allclose(found.slopes[0, :3, 3:], (moved.values - found.values)[0, :3, 3:] / 0.02, atol=0.01)


def test_frames_tell_how_large_their_spots_are_and_how_noisy_they_are(dense):
    frames = dense.frames / dense.frames.std()
    field = RandomField.of(frames, tilt_deg=TILT_deg, thickness_px=THICKNESS_px)
    mean_px = np.exp(np.average(np.log(field.sigma_px), weights=field.variance))
    assert mean_px == pytest.approx(SIGMA_px, rel=0.15)
    assert field.noise == pytest.approx(0.01, rel=0.3)


@pytest.mark.parametrize("unknown", UNKNOWNS)
def test_slopes_are_those_of_the_likelihood(dense, unknown):
    about = FilmPoses.of(0.7 * DRIFT_px, axis_deg=0.0, thickness_px=1.3 * THICKNESS_px)
    likelihood, step = likelihood_about(dense, about), np.zeros(2 * N_TILT + 2)
    step[UNKNOWNS[unknown]] = 0.02 * np.random.default_rng(1).standard_normal(len(step[UNKNOWNS[unknown]]))
    higher, lower = (likelihood.log_likelihood(about.moved(sign * step)) for sign in (1, -1))
    assert 2 * step @ likelihood.at(about).slope == pytest.approx(higher - lower, rel=0.02)


def test_slopes_vanish_at_the_truth_and_lead_back_to_it(dense):
    truth = FilmPoses.of(DRIFT_px, axis_deg=0.0, thickness_px=THICKNESS_px)
    away = 0.3 * np.random.default_rng(2).standard_normal(2 * N_TILT + 2)
    displaced, likelihood = truth.moved(away), likelihood_about(dense, truth)
    free = free_steps(TILT_deg, fit_axis=True)
    steps = []
    for poses in (truth, displaced):
        there = likelihood.at(poses)
        steps.append(free @ np.linalg.solve(free.T @ there.information @ free, free.T @ there.slope))
    still, back = truth.moved(steps[0]), displaced.moved(steps[1])
    assert error_px(still.shift_px) < 0.15
    assert error_px(back.shift_px) < 0.5 * error_px(displaced.shift_px)
    assert abs(np.log(back.thickness_px / THICKNESS_px)) < 0.5 * abs(away[-1])


def test_a_dense_noisy_film_is_aligned_though_its_middle_lies_off_the_axis():
    off_px = np.column_stack([np.zeros(N_TILT), 4 * np.sin(np.deg2rad(TILT_deg))])
    series = film(TILT_deg, **DENSE, shift_px=DRIFT_px + off_px, noise=0.1)
    starts = {"far": 8 * np.random.default_rng(5).standard_normal((N_TILT, 2)), "as recorded": 0 * DRIFT_px}
    start, poses = likely_shifts(series, starts=starts, axis_deg=0.0)
    assert start == "as recorded" and error_px(0 * DRIFT_px) > 1
    assert error_px(poses.shift_px) < 0.15
    assert abs(poses.axis_deg) < 0.8
    assert poses.thickness_px == pytest.approx(THICKNESS_px, rel=0.15)


def test_an_axis_that_is_known_is_kept(dense):
    few = dense.subset(np.arange(0, N_TILT, 4))
    _, poses = likely_shifts(few, starts={"as recorded": np.zeros((len(few), 2))}, axis_deg=0.4, fit_axis=False)
    assert poses.axis_deg == 0.4


def test_frames_without_signal_stay_where_they_are(dense):
    even = replace(dense, frames=np.ones_like(dense.frames))
    _, poses = likely_shifts(even, starts={"as recorded": 0 * DRIFT_px}, axis_deg=0.0)
    np.testing.assert_allclose(poses.shift_px, 0, atol=1e-6)
