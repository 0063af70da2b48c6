"""A tiny training and a tiny data set, to repeat and to interrupt."""

from pathlib import Path

import numpy as np
import torch
from ase import Atoms

from tsg_core.microscope import NON_ABERRATED
from tsg_core.model import TSGNet
from tsg_core.simulation.datasets import write_dataset
from tsg_core.tilt_series import TiltSeries
from tsg_core.training import TrainingSettings, train

TILT_deg = np.arange(-30.0, 31.0, 5.0)
SERIES = [TiltSeries(np.random.default_rng(i).random((13, 32, 32), np.float32), TILT_deg, 0.4) for i in range(3)]


def training(folder: Path, *, n_steps: int):
    torch.manual_seed(0)
    options = {"batch_size": 2, "crop_px": 16, "max_rate": 3, "precision": "32-true", "validate_every": 5}
    return train(
        SERIES[:2],
        validation=SERIES[2:],
        settings=TrainingSettings(n_steps=n_steps, checkpoint_every=1, log_every=5, **options),
        folder=folder,
        model=TSGNet(channels=(2, 3, 4, 5), linear_start=True),
        accelerator="cpu",
    )


def data(path: Path, *, n_particles: int) -> Path:
    rng = np.random.default_rng(0)
    particles = [Atoms("Au5", positions=rng.uniform(-4, 4, (5, 3))) for _ in range(n_particles)]
    options = {"microscope": NON_ABERRATED, "tilt_deg": TILT_deg, "shape": 32, "field_of_view_A": 16.0}
    return write_dataset(path, particles, dose_per_A2=1e4, seed=1, tilt_block=4, **options)
