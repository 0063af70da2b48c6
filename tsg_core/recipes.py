"""Recipes: everything that made a network that is shipped, from particles to settings, and the command that repeats it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from ase import Atoms

from .datasets import Dataset, write_dataset
from .errors import TsgError
from .files import existing
from .microscope import MICROSCOPES
from .model import TSGNet
from .structures import random_rotation, training_particles
from .tilt_series import TiltSeries
from .training import TrainingSettings, train


@dataclass(frozen=True, kw_only=True)
class RecipeData:
    """Which tilt series a recipe trains with: `n_training` particles of the training elements, both microscopes.

    The particles are dealt out over `pixel_sizes_A`; those of a pixel size have diameters of `relative_diameter` (low,
    high) times the field of view, n_pixels * pixel size, so that the network meets fine and coarse sampling alike.
    `n_validation` more, never trained with, choose the weights. Frames at -90..90 degrees, `tilt_step_deg` apart.
    """

    n_training: int
    n_validation: int
    n_pixels: int
    pixel_sizes_A: tuple[float, ...]
    relative_diameter: tuple[float, float]
    tilt_step_deg: float = 1.0
    seed: int = 0

    def __post_init__(self):
        for name in ("n_training", "n_validation"):
            if getattr(self, name) < len(self.pixel_sizes_A) or not self.pixel_sizes_A:
                raise TsgError(f"{name}={getattr(self, name)} must be at least the number of pixel_sizes_A, and that 1")

    def series(self, folder: Path, *, validation: bool) -> "SeveralDatasets":
        """The tilt series, simulated into `folder`, or read from it where that was done before."""
        return SeveralDatasets(
            [
                Dataset(self._write(folder, pixel_size_A, microscope, validation=validation))
                for pixel_size_A in self.pixel_sizes_A
                for microscope in MICROSCOPES
            ]
        )

    def particles(self, pixel_size_A: float, *, validation: bool) -> list[Atoms]:
        """The particles of one pixel size; those for validation follow those for training, all differently turned."""
        i, of = self.pixel_sizes_A.index(pixel_size_A), len(self.pixel_sizes_A)
        n_training, n_validation = (len(range(i, n, of)) for n in (self.n_training, self.n_validation))
        field_A = self.n_pixels * pixel_size_A
        diameter_A = tuple(field_A * part for part in self.relative_diameter)
        seed = self.seed + 1000 * i
        drawn = training_particles(n_training + n_validation, seed=seed, diameter_A=diameter_A)
        turned = [random_rotation(atoms, seed=seed + 1 + k) for k, atoms in enumerate(drawn)]
        return turned[n_training:] if validation else turned[:n_training]

    def _write(self, folder: Path, pixel_size_A: float, microscope: str, *, validation: bool) -> Path:
        use = "validation" if validation else "training"
        return write_dataset(
            folder / f"{use}_{microscope}_{pixel_size_A:g}A.zarr",
            self.particles(pixel_size_A, validation=validation),
            microscope=MICROSCOPES[microscope],
            tilt_deg=np.arange(-90.0, 90.0 + self.tilt_step_deg / 2, self.tilt_step_deg),
            shape=self.n_pixels,
            field_of_view_A=self.n_pixels * pixel_size_A,
            seed=self.seed,
        )


class SeveralDatasets(Sequence[TiltSeries]):
    """Data sets one after the other, read series by series."""

    def __init__(self, datasets: Sequence[Dataset]):
        self.datasets = datasets
        self._entries = [(dataset, i) for dataset in datasets for i in range(len(dataset))]

    def __len__(self) -> int:
        return len(self._entries)

    def __getitem__(self, i: int) -> TiltSeries:
        dataset, k = self._entries[i]
        return dataset[k]

    def __iter__(self) -> Iterator[TiltSeries]:
        return (self[i] for i in range(len(self)))


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """A network (arguments of `model.TSGNet`), its data, and the settings of its training."""

    name: str
    description: str
    network: Mapping[str, Any]
    data: RecipeData
    settings: TrainingSettings


def load_recipe(path: str | Path) -> Recipe:
    """Read a recipe from its YAML file. Raises TsgError for a missing or malformed one and for values out of range."""
    path = existing(Path(path))
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        network = dict(content["network"])
        network["channels"] = tuple(network["channels"])
        return Recipe(
            name=path.parent.name if path.stem == "recipe" else path.stem,
            description=content["description"],
            network=network,
            data=RecipeData(**{key: _as_tuple(value) for key, value in content["data"].items()}),
            settings=TrainingSettings(**{key: _as_tuple(value) for key, value in content["settings"].items()}),
        )
    except (yaml.YAMLError, UnicodeDecodeError, KeyError, TypeError) as error:
        raise TsgError(f"{path} is not a recipe: {' '.join(str(error).split())}") from None


def _as_tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def train_recipe(recipe: Recipe, *, work: Path, accelerator: str = "auto", devices: int | str = 1) -> Path:
    """Simulate the recipe's data and train, in `work`, going on from whatever is there; returns the weights' path."""
    training, validation = (recipe.data.series(work / "data", validation=choice) for choice in (False, True))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.settings.seed)
        model = TSGNet(**recipe.network)
    return train(
        training,
        validation=validation,
        settings=recipe.settings,
        folder=work / "training",
        model=model,
        accelerator=accelerator,
        devices=devices,
    )
