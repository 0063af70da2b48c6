"""The experiments: what their rows hold, and that an interrupted one goes on where it was."""

import numpy as np
import pytest

from tsg_core import comparison
from tsg_core.evaluation import image_metrics
from tsg_core.geometry import pixel_centres_A
from tsg_core.tilt_series import TiltSeries


def spots(seed, *, step_deg=6.0, n=24):
    """A series of three Gaussian spots."""
    atoms = np.random.default_rng(seed).uniform(-3, 3, (3, 3))
    tilt_deg = np.arange(-90, 91, step_deg)
    grid = pixel_centres_A(n, pixel_size_A=0.5)
    frames = np.zeros((len(tilt_deg), n, n))
    for x, y, z in atoms:
        column = x * np.cos(np.deg2rad(tilt_deg)) + z * np.sin(np.deg2rad(tilt_deg))
        frames += np.exp(-((grid[None, None] - column[:, None, None]) ** 2) - (grid[:, None] - y) ** 2)
    return TiltSeries(frames, tilt_deg, 0.5)


class Data:
    """Series by name, which counts how often each is read."""

    def __init__(self, n):
        self.names, self.read = [f"particle {i}" for i in range(n)], []

    def __len__(self):
        return len(self.names)

    def __getitem__(self, i):
        self.read.append(i)
        return spots(i)


def test_offsets_are_spread_over_a_period():
    assert comparison.spread_offsets(24, n=1).tolist() == [0]
    assert comparison.spread_offsets(24, n=4).tolist() == [0, 6, 12, 18]
    assert comparison.spread_offsets(2, n=12).tolist() == [0, 1]


def test_frame_metrics_are_those_of_the_midpoints(tmp_path):
    comparison.frame_metrics({"m": Data(1)}, tmp_path / "f", methods=["linear", "cubic"], rates=[1, 3], n_offsets=1)
    table = comparison.read_table(tmp_path / "f")
    assert table[["method", "rate"]].drop_duplicates().shape == (4, 2) and len(table) == 4
    full = spots(0)
    guess = (full.frames[0:-6:6] + full.frames[6::6]) / 2
    expected = image_metrics(guess, full.frames[3:-3:6], peak=full.frames.max())
    row = table[(table.method == "linear") & (table.rate == 3)].iloc[0]
    assert row.mse == pytest.approx(expected.mse.mean(), rel=1e-5)
    assert row.psnr_dB == pytest.approx(expected.psnr_dB.mean(), rel=1e-5)


def test_volume_metrics_hold_every_arm_and_a_floor(tmp_path):
    comparison.volume_metrics(
        {"m": Data(1)}, tmp_path / "v", gaps=[1, 2], n_offsets=1, mix_methods=["linear"], n_iterations=10, n_points=500
    )
    table = comparison.read_table(tmp_path / "v")
    assert table[["gap", "arm", "method"]].to_numpy().tolist() == [
        [1, "Reference", ""], [2, "Sparse", ""], [2, "Mix (midpoint)", "linear"], [2, "Mix (all)", "linear"],
    ]  # fmt: skip
    assert table.n_frames.tolist() == [31, 16, 31, 31]
    assert table.nrmse[0] == 0 and (table.nrmse[1:] > 0).all() and (table.chamfer_A > 0).all()


def test_an_interrupted_experiment_goes_on_with_the_next_particle(tmp_path):
    class Interrupted(Data):
        def __getitem__(self, i):
            if i == 1:
                raise KeyboardInterrupt
            return super().__getitem__(i)

    settings = {"methods": ["linear"], "rates": [2], "n_offsets": 1}
    with pytest.raises(KeyboardInterrupt):
        comparison.frame_metrics({"m": Interrupted(3)}, tmp_path / "f", **settings)
    rest = Data(3)
    comparison.frame_metrics({"m": rest}, tmp_path / "f", **settings)
    assert rest.read == [1, 2]
    straight = Data(3)
    comparison.frame_metrics({"m": straight}, tmp_path / "g", **settings)
    assert comparison.read_table(tmp_path / "f").equals(comparison.read_table(tmp_path / "g"))
