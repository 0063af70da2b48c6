"""Merging, dropping and adding atoms, each on its own case."""

import numpy as np
import pytest
import torch

from tsg_core.geometry import pixel_centres_A, tilted_positions
from tsg_core.interpolation.atoms.errors import least_agreement
from tsg_core.interpolation.atoms.search import binned, candidates, kept, merged
from tsg_core.interpolation.atoms.whitening import Whitening
from tsg_core.tilt_series import TiltSeries

TILT_deg = np.arange(-90.0, 90.0, 15.0)
PIXEL_A = 0.3


def spots(columns_A, rows_A, weights, n=51):
    """One frame of Gaussian spots, each with the sum 1 times its weight."""
    grid = pixel_centres_A(n, pixel_size_A=PIXEL_A)
    along_x, along_y = (np.exp(-((grid - np.atleast_1d(a)[:, None]) ** 2) / (2 * 0.5**2)) for a in (columns_A, rows_A))
    return np.einsum("a,ay,ax->yx", np.atleast_1d(weights), along_y, along_x) * PIXEL_A**2 / (2 * np.pi * 0.5**2)


def test_near_atoms_become_one_at_their_centre_of_weight():
    places_A = np.array([[0.0, 0, 0], [0.9, 0, 0], [5, 0, 0]])
    positions_A, weights = merged(places_A, np.array([2.0, 1.0, 1.0]), within_A=1.0)
    assert weights == pytest.approx([3, 1])
    assert positions_A == pytest.approx(np.array([[0.3, 0, 0], [5, 0, 0]]))
    assert merged(np.zeros((0, 3)), np.zeros(0), within_A=1.0)[0].shape == (0, 3)


def test_atoms_that_are_light_or_doubtful_are_dropped():
    weights, agreement = (
        np.array([1.0, 1.1, 0.9, 0.1, 1.0]),
        np.array([9.0, 9, 9, 9, 2]),
    )
    stay = kept(weights, agreement, least_weight=0.2, least_agreement=5.0)
    assert stay.tolist() == [True, True, True, False, False]


def test_agreement_must_be_better_with_few_frames_and_many_places():
    few, many, less = ((6, 500), (30, 500), (30, 5))
    values = [least_agreement(n, n_places=places, false_alarms=0.01) for n, places in (few, many, less)]
    assert values[0] > values[1] > values[2]
    assert least_agreement(30, n_places=500, false_alarms=np.inf) == -np.inf


@pytest.mark.parametrize("times", [1, 2, 4])
def test_binned_frames_keep_the_places_of_things(times):
    frame = spots(1.0, -2.0, 1.0)
    coarse, (moved_y_A, moved_x_A) = binned(TiltSeries(frame[None], [0.0], PIXEL_A), times=times)
    n_y, n_x = coarse.frames.shape[1:]
    x, y = (pixel_centres_A(n, pixel_size_A=coarse.pixel_size_A) for n in (n_x, n_y))
    total = coarse.frames[0].sum()
    assert (coarse.frames[0] @ x).sum() / total + moved_x_A == pytest.approx(1.0, abs=0.03)
    assert (coarse.frames[0].T @ y).sum() / total + moved_y_A == pytest.approx(-2.0, abs=0.03)


def test_an_atom_that_all_frames_show_is_added_and_one_that_a_few_show_is_not():
    known_A = np.array([[3.0, 0, 0], [-3, 0, 0]])
    missing_A, seldom_A = np.array([0.5, 1.0, -1.5]), np.array([-1.0, -3.0, 2.0])
    rng = np.random.default_rng(0)
    residuals = []
    for i, places_A in enumerate(tilted_positions(np.stack([missing_A, seldom_A]), tilt_deg=TILT_deg)):
        residuals.append(spots(places_A[:, 0], places_A[:, 1], [1.0, 2.0 * (i in (2, 3))]))
    residuals = np.array(residuals, np.float32) + rng.normal(0, 1e-3, (len(TILT_deg), 51, 51)).astype(np.float32)
    frames = torch.from_numpy(residuals)

    def found_beside(positions_A):
        return candidates(
            frames,
            torch.from_numpy(spots(0.0, 0.0, 1.0).astype(np.float32)),
            whitening=Whitening.of(frames, frames, part=0.5),
            series=TiltSeries(residuals, TILT_deg, PIXEL_A),
            positions_A=positions_A,
            min_distance_A=1.5,
            least_weight=0.2,
            false_alarms=0.01,
        )

    found_A, weights = found_beside(known_A)
    assert len(found_A) == 1 and np.linalg.norm(found_A[0] - missing_A) < 0.15
    assert weights[0] == pytest.approx(1, abs=0.3)
    assert len(found_beside(np.vstack([known_A, missing_A]))[0]) == 0
