"""One asymmetric object of three atoms through geometry, simulation, projection and reconstruction.

Three unequal atoms at places that no flip, transposition or turn about an axis maps onto one another: each stage must
put each atom where x cos + z sin says.
"""

import numpy as np
import pytest
from ase import Atoms
from scipy.ndimage import maximum_position

from tsg_core.geometry import (
    axis_rotation,
    binned_frames,
    pixel_centres_A,
    rotate_about_y,
    tilted_positions,
    translation_of,
    translation_terms,
)
from tsg_core.microscope import NON_ABERRATED
from tsg_core.reconstruction import sirt
from tsg_core.reconstruction.projection import project
from tsg_core.simulation import simulate_tilt_series
from tsg_core.tilt_series import TiltSeries

N, PIXEL_A = 48, 0.5
POSITIONS_A = np.array([[6.0, -7.0, 2.5], [-3.5, 1.0, 5.0], [1.5, 6.5, -7.0]])  # x, y, z
TILT_deg = np.arange(-90.0, 90.0, 5.0)
CENTRES_A = pixel_centres_A(N, pixel_size_A=PIXEL_A)


def spot_volume():
    """(n_y, n_z, n_x) with a Gaussian of 0.7 A at each atom."""
    volume = np.zeros((N, N, N), np.float32)
    for position in POSITIONS_A:
        x, y, z = (np.exp(-((CENTRES_A - p) ** 2) / (2 * 0.7**2)) for p in position)
        volume += y[:, None, None] * z[:, None] * x
    return volume


def bright_places_A(image):
    """Centres of mass, along the image's axes, of what lies within 2.2 A of each of the three brightest spots."""
    image, places = np.array(image, float), []
    for _ in range(3):
        peak = maximum_position(image)
        distance = sum(
            ((CENTRES_A - CENTRES_A[p]) ** 2).reshape([-1 if k == axis else 1 for k in range(image.ndim)])
            for axis, p in enumerate(peak)
        )
        inside = np.where(distance < 2.2**2, image, 0)
        places.append(
            [np.sum(inside.sum(axis=tuple(set(range(image.ndim)) - {k})) * CENTRES_A) for k in range(image.ndim)]
            / inside.sum()
        )
        image[distance < 2.2**2] = 0
    return np.array(places)


def assert_same_places(found, expected, *, within_A):
    """Every expected place is found, whatever the order."""
    distance = np.linalg.norm(found[:, None] - expected[None], axis=-1)
    assert distance.min(axis=0).max() < within_A, f"found {found.round(2).tolist()}, not {expected.round(2).tolist()}"


def atom_rows_and_columns_A(tilt_deg):
    column, row, _ = tilted_positions(POSITIONS_A, tilt_deg=tilt_deg)[0].T
    return np.column_stack([row, column])


def test_convention():
    assert tilted_positions([[1, 2, 3]], tilt_deg=0)[0, 0].tolist() == [1, 2, 3]
    np.testing.assert_allclose(tilted_positions([[1, 2, 3]], tilt_deg=90)[0, 0], [3, 2, -1], atol=1e-12)
    np.testing.assert_allclose(tilted_positions([[1, 2, 3]], tilt_deg=[0, 30])[1, 0, 0], np.cos(np.pi / 6) + 1.5)
    np.testing.assert_allclose(rotate_about_y(np.ones(2), np.zeros(2), 0.6, 0.8), [[0.6, 0.6], [-0.8, -0.8]])


def test_pixel_centres_lie_about_zero():
    assert pixel_centres_A(4, pixel_size_A=2.0).tolist() == [-3, -1, 1, 3]
    assert pixel_centres_A(3, pixel_size_A=2.0).tolist() == [-2, 0, 2]


def test_binned_pixels_are_means_about_the_same_middle_and_keep_their_type():
    frames = np.random.default_rng(0).random((2, 5, 14), np.float32)  # 2 rows and 2 columns too many
    found = binned_frames(frames, 3)
    expected = [[[frame[1:4, x : x + 3].mean() for x in (1, 4, 7, 10)]] for frame in frames]
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    assert found.dtype == np.float32
    whole = binned_frames(np.array([[0, 1], [1, 0]], np.uint8), 2)
    assert whole.tolist() == [[0.5]] and whole.dtype == np.float64


def test_an_inclined_axis_is_turned_from_y_towards_x():
    turned = axis_rotation(30.0)
    np.testing.assert_allclose(turned @ [1, 0], [np.cos(np.pi / 6), 0.5])
    np.testing.assert_allclose(turned @ turned.T, np.eye(2), atol=1e-12)


def test_shifts_by_a_translation_are_told_from_those_of_the_axis():
    tilt_deg = np.arange(-60.0, 61.0, 10.0)
    along = np.arange(13.0)
    across = 1.5 * np.cos(np.deg2rad(tilt_deg)) - 2 * np.sin(np.deg2rad(tilt_deg))
    shift_px = np.column_stack([along, across])
    np.testing.assert_allclose(translation_of(shift_px, tilt_deg=tilt_deg), np.column_stack([np.full(13, 6), across]))
    np.testing.assert_allclose(translation_of(shift_px, tilt_deg=tilt_deg, at_deg=[90.0]), [[6, -2]])
    displaced = shift_px + np.array([0, 3])
    assert np.abs(translation_of(displaced, tilt_deg=tilt_deg) - displaced)[:, 1].max() > 0.1
    with_axis = translation_of(displaced, tilt_deg=tilt_deg, offset=True)
    np.testing.assert_allclose(with_axis[:, 1], displaced[:, 1])
    np.testing.assert_allclose(translation_terms([0, 90]), np.eye(2), atol=1e-12)


@pytest.mark.parametrize("tilt_deg", [-90.0, -65.0, -30.0, 0.0, 20.0, 75.0, 90.0])
def test_projection_puts_atoms_where_the_geometry_says(tilt_deg):
    frame = project(spot_volume(), tilt_deg=tilt_deg)[0]
    assert_same_places(bright_places_A(frame), atom_rows_and_columns_A(tilt_deg), within_A=0.1)


@pytest.mark.parametrize("tilt_deg", [-90.0, -65.0, -30.0, 0.0, 20.0, 75.0])
def test_simulation_puts_atoms_where_the_geometry_says(tilt_deg):
    atoms = Atoms("Au3", positions=POSITIONS_A)
    series = simulate_tilt_series(
        atoms, microscope=NON_ABERRATED, tilt_deg=[tilt_deg], shape=N, field_of_view_A=N * PIXEL_A
    )
    assert_same_places(bright_places_A(series.frames[0]), atom_rows_and_columns_A(tilt_deg), within_A=0.1)


@pytest.mark.parametrize("engine", ["sparse", "astra", "tomopy"])
def test_reconstruction_puts_atoms_back(engine):
    if engine != "sparse":
        pytest.importorskip(engine)
    series = TiltSeries(project(spot_volume(), tilt_deg=TILT_deg), TILT_deg, PIXEL_A)
    volume = sirt(series, n_iterations=30, engine=engine)
    assert_same_places(bright_places_A(volume), POSITIONS_A[:, [1, 2, 0]], within_A=0.15)


def test_simulated_series_reconstructs_to_the_atoms():
    atoms = Atoms("Au3", positions=POSITIONS_A)
    series = simulate_tilt_series(
        atoms, microscope=NON_ABERRATED, tilt_deg=TILT_deg, shape=N, field_of_view_A=N * PIXEL_A
    )
    volume = sirt(series, n_iterations=30)
    assert_same_places(bright_places_A(volume), POSITIONS_A[:, [1, 2, 0]], within_A=0.15)
