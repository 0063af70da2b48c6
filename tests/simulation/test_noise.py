"""Each effect does what it says, leaves the clean series alone and repeats with its seed."""

import json

import numpy as np
import pytest

from tsg_core.errors import TsgError
from tsg_core.geometry import pixel_centres_A
from tsg_core.simulation import noise
from tsg_core.tilt_series import TiltSeries

PIXEL_A = 0.5
TILT_deg = np.arange(-60.0, 61.0, 20.0)
EFFECTS = [
    (noise.with_dose, {"dose_per_A2": 1e4}),
    (noise.with_series_dose, {"total_dose_per_A2": 1e4}),
    (noise.with_detector, {"gain": 1.1, "offset": 0.01, "dark_sigma": 0.01}),
    (noise.with_scan_jitter, {"sigma_A": 0.3}),
    (noise.with_drift, {"sigma_A": 1.0}),
    (noise.with_drift, {"sigma_A": 1.0, "accumulate": True}),
    (noise.with_tilt_error, {"sigma_deg": 0.5}),
    (noise.with_carbon_film, {"intensity": 0.02}),
]


def spot_series(n=48, sigma_A=1.5):
    y, x = (pixel_centres_A(n, pixel_size_A=PIXEL_A),) * 2
    spot = np.exp(-((y[:, None] - 1) ** 2 + (x + 2) ** 2) / (2 * sigma_A**2))
    return TiltSeries(np.tile(spot, (len(TILT_deg), 1, 1)), TILT_deg, PIXEL_A)


def centre_A(frame):
    y, x = (pixel_centres_A(n, pixel_size_A=PIXEL_A) for n in frame.shape)
    return np.array([(frame.sum(1) * y).sum(), (frame.sum(0) * x).sum()]) / frame.sum()


@pytest.mark.parametrize(("effect", "settings"), EFFECTS)
def test_effects_repeat_with_their_seed_and_leave_the_clean_series_alone(effect, settings):
    clean = spot_series()
    before = clean.frames.copy()
    first, again, other = (effect(clean, seed=seed, **settings) for seed in (1, 1, 2))
    assert np.array_equal(first.frames, again.frames) and np.array_equal(first.tilt_deg, again.tilt_deg)
    assert not (np.array_equal(first.frames, other.frames) and np.array_equal(first.tilt_deg, other.tilt_deg))
    assert np.array_equal(clean.frames, before)
    assert json.loads(json.dumps(first.metadata["effects"]))[0]["seed"] == 1


@pytest.mark.parametrize(
    ("effect", "settings"),
    [(f, s) for f, s in EFFECTS if f is not noise.with_series_dose and not s.get("accumulate")],
)
def test_a_frame_is_the_same_in_any_split(effect, settings):
    clean, chosen = spot_series(), [2, 5]
    whole, part = effect(clean, seed=3, **settings), effect(clean.subset(chosen), seed=3, **settings)
    assert np.array_equal(whole.frames[chosen], part.frames)
    assert np.array_equal(whole.tilt_deg[chosen], part.tilt_deg)


def test_dose_is_poisson_in_mean_and_variance():
    level, dose = 0.3, 200.0
    flat = TiltSeries(np.full((4, 200, 200), level), TILT_deg[:4], PIXEL_A)
    electrons = noise.with_dose(flat, dose_per_A2=dose, seed=5).frames.astype(float) * dose * PIXEL_A**2
    expected = level * dose * PIXEL_A**2
    assert np.allclose(electrons, electrons.round(), atol=1e-3)
    assert electrons.mean() == pytest.approx(expected, rel=0.01)
    assert electrons.var() == pytest.approx(expected, rel=0.02)
    assert abs(np.corrcoef(electrons[0].ravel(), electrons[1].ravel())[0, 1]) < 0.02


def test_series_dose_is_shared_by_the_frames():
    flat = TiltSeries(np.full((4, 200, 200), 0.3), TILT_deg[:4], PIXEL_A)
    variance_4 = noise.with_series_dose(flat, total_dose_per_A2=4e3, seed=5).frames.var()
    variance_2 = noise.with_series_dose(flat.subset([0, 2]), total_dose_per_A2=4e3, seed=5).frames.var()
    assert variance_4 == pytest.approx(2 * variance_2, rel=0.05)


def test_detector_is_linear_with_dark_noise():
    clean = spot_series()
    ideal = noise.with_detector(clean, gain=2.0, offset=0.1, seed=0)
    assert np.allclose(ideal.frames, 2 * clean.frames + 0.1, atol=1e-6)
    dark = noise.with_detector(clean, dark_sigma=0.05, seed=0).frames - clean.frames
    assert dark.std() == pytest.approx(0.05, rel=0.03)
    assert abs(dark.mean()) < 0.003


def test_drift_and_axis_offset_move_the_object_by_what_they_record():
    clean = spot_series()
    start = centre_A(clean.frames[0])
    drifted = noise.with_drift(clean, sigma_A=1.0, seed=4, accumulate=True)
    recorded = np.array(drifted.metadata["effects"][0]["shifts_A"])
    moved = np.array([centre_A(frame) for frame in drifted.frames]) - start
    assert np.allclose(moved, recorded, atol=0.02)
    offset = noise.with_axis_offset(clean, offset_A=1.3)
    assert np.allclose(centre_A(offset.frames[0]) - start, [0, 1.3], atol=0.02)


def test_what_leaves_the_frame_does_not_come_back():
    series = TiltSeries(np.tile(np.arange(32) > 28, (1, 32, 1)), [0.0], PIXEL_A)
    moved = noise.with_axis_offset(series, offset_A=8 * PIXEL_A).frames[0]
    assert np.abs(moved[:, :20]).max() < 0.2


def test_scan_jitter_moves_rows_independently_along_x_only():
    clean = spot_series()
    jittered = noise.with_scan_jitter(clean, sigma_A=0.6, seed=0)
    assert np.allclose(jittered.frames.sum(2), clean.frames.sum(2), rtol=1e-3, atol=1e-3)
    rows = slice(22, 30)
    x = pixel_centres_A(48, pixel_size_A=PIXEL_A)
    places = (jittered.frames[:, rows] * x).sum(2) / jittered.frames[:, rows].sum(2)
    assert places.std() == pytest.approx(0.6, rel=0.3)


def test_tilt_error_changes_angles_alone_and_keeps_the_true_ones():
    clean = spot_series()
    reported = noise.with_tilt_error(clean, sigma_deg=1.0, seed=0)
    assert np.array_equal(reported.frames, clean.frames)
    assert 0 < np.abs(reported.tilt_deg - TILT_deg).max() < 5
    assert reported.metadata["effects"][0]["true_tilt_deg"] == TILT_deg.tolist()
    with pytest.raises(TsgError, match="order"):
        noise.with_tilt_error(clean, sigma_deg=100.0, seed=0)


def test_film_grows_with_its_path_length_and_turns_with_the_particle():
    empty = TiltSeries(np.zeros((2, 48, 48)), [0.0, 60.0], PIXEL_A)
    smooth = noise.with_carbon_film(empty, intensity=0.02, roughness=0.0, seed=0).frames
    assert np.allclose(smooth[0], 0.02) and np.allclose(smooth[1], 0.04, rtol=1e-5)
    rough = noise.with_carbon_film(empty, intensity=0.02, roughness=0.3, seed=0).frames
    squeezed = np.array([np.interp((np.arange(48) - 23.5) / 0.5, np.arange(48) - 23.5, row) for row in rough[0]])
    inside = slice(13, 35)
    assert np.corrcoef(squeezed[:, inside].ravel(), rough[1, :, inside].ravel())[0, 1] > 0.99


def test_contamination_grows_frame_by_frame():
    clean = spot_series()
    added = noise.with_contamination(clean, intensity_per_frame=0.01).frames - clean.frames
    assert np.allclose(added[0], 0)
    assert np.allclose(added[3], 3 * added[1], atol=1e-6) and added[1].max() > 1e-4


@pytest.mark.parametrize(
    ("effect", "settings"),
    [
        (noise.with_dose, {"dose_per_A2": 0}),
        (noise.with_dose, {"dose_per_A2": float("nan")}),
        (noise.with_series_dose, {"total_dose_per_A2": -1}),
        (noise.with_detector, {"dark_sigma": -0.1}),
        (noise.with_scan_jitter, {"sigma_A": -1}),
        (noise.with_carbon_film, {"intensity": -1}),
    ],
)
def test_impossible_settings_are_one_clear_line(effect, settings):
    with pytest.raises(TsgError, match=f"{next(iter(settings))}=") as error:
        effect(spot_series(), seed=0, **settings)
    assert "\n" not in str(error.value)
