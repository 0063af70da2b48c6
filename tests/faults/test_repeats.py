"""The same seed gives the same numbers: to the last bit with one thread, and within rounding with two."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from ase.cluster import Octahedron
from safetensors.torch import load_file
from small_work import SERIES, training

from tsg_core.interpolation import densify
from tsg_core.microscope import ABERRATED
from tsg_core.reconstruction import sirt
from tsg_core.simulation import simulate_tilt_series
from tsg_core.training import MODEL_FILE

ROUNDING = 1e-5  # of the largest number: sums in another order, over a few iterations


def simulated() -> np.ndarray:
    options = {"tilt_deg": np.arange(-30.0, 31.0, 15.0), "shape": 32, "field_of_view_A": 24.0, "dose_per_A2": 1e4}
    return simulate_tilt_series(Octahedron("Au", 3), microscope=ABERRATED, seed=4, **options).frames


def reconstructed() -> np.ndarray:
    return sirt(SERIES[0], n_iterations=10)


def densified() -> np.ndarray:
    return densify(SERIES[0], tilt_deg=[2.5], method="reprojection").frames


def trained(folder: Path) -> np.ndarray:
    weights = load_file(training(folder, n_steps=5).parent / MODEL_FILE)
    return np.concatenate([weights[name].numpy().ravel() for name in sorted(weights)])


WORK = {"simulate": simulated, "sirt": reconstructed, "densify": densified, "train": trained}


@pytest.fixture
def threads():
    """Let PyTorch and our own threads use so many cores, as long as the test lasts."""
    if not hasattr(os, "sched_setaffinity"):
        pytest.skip("this system does not bind a process to cores")
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        pytest.skip("one core has no two threads")

    def use(n: int) -> None:
        torch.set_num_threads(n)
        os.sched_setaffinity(0, cores[:n])

    before = torch.get_num_threads()
    yield use
    torch.set_num_threads(before)
    os.sched_setaffinity(0, cores)


@pytest.mark.parametrize("name", WORK)
def test_the_same_again_with_one_thread_and_within_rounding_with_two(threads, tmp_path, name):
    found = []
    for i, n in enumerate((1, 1, 2)):
        threads(n)
        np.random.seed(i)  # of no consequence
        torch.manual_seed(i)
        found.append(WORK[name](tmp_path / str(i)) if name == "train" else WORK[name]())
    np.testing.assert_array_equal(found[0], found[1])
    np.testing.assert_allclose(found[0], found[2], rtol=0, atol=ROUNDING * np.abs(found[0]).max())
    assert np.ptp(found[0]) > 0
