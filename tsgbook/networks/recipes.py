"""Recipes: everything that makes a shipped network, from particles to settings, and training by a recipe."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ase import Atoms

from tsg_core.errors import TsgError
from tsg_core.microscope import MICROSCOPES
from tsg_core.model.file import load_model
from tsg_core.model.network import TSGNet
from tsg_core.model.shipped import FOLDER
from tsg_core.samples.multislice_sets import MultisliceSet, make_set, multislice_set
from tsg_core.simulation.datasets import Dataset, write_dataset
from tsg_core.structures import random_rotation, training_particles
from tsg_core.tilt_series import TiltSeries
from tsg_core.tools.files import existing
from tsg_core.tools.yaml_files import read_yaml
from tsg_core.training.loop import TrainingSettings, train
from tsg_core.training.processes import started_processes

RECIPE = "recipe.yaml"
DATA, TRAINING = "data", "training"  # folders in the work folder of a recipe
MULTISLICE_EVERY = 2  # tilt of the multislice sets, 2 degrees apart
START = "start"  # the training that came first, in the folder of the training


@dataclass(frozen=True, kw_only=True)
class RecipeData:
    """The tilt series of a recipe: `n_training` particles of the training elements, with both microscopes.

    The particles are divided evenly among `pixel_sizes_A`. At each pixel size their diameters are `relative_diameter`
    (low, high) times the field of view, n_pixels * pixel size, so that the network meets fine and coarse sampling.
    `n_validation` further particles, never trained with, select the weights. Frames run from -90 to 90 degrees in steps
    of `tilt_step_deg`.

    `multislice_share` of the samples, below 1, show multislice frames, 4 degrees apart: those of the sets in
    `samples.multislice_sets`, which take an hour or two to make.
    """

    n_training: int
    n_validation: int
    n_pixels: int
    pixel_sizes_A: tuple[float, ...]
    relative_diameter: tuple[float, float]
    tilt_step_deg: float = 1.0
    seed: int = 0
    multislice_share: float = 0.0

    def __post_init__(self):
        if not 0 <= self.multislice_share < 1:
            raise TsgError(f"multislice_share={self.multislice_share} must be at least 0 and below 1")
        for name in ("n_training", "n_validation"):
            if getattr(self, name) < len(self.pixel_sizes_A) or not self.pixel_sizes_A:
                raise TsgError(
                    f"{name}={getattr(self, name)} must be at least the number of pixel_sizes_A, and at least 1"
                )

    def series(self, folder: Path, *, validation: bool) -> "SeveralDatasets":
        """The tilt series: simulated into `folder`, or read from there if that is done already.

        Those of the multislice sets come again and again until they are as many as their share of the samples asks.
        """
        multislice = self.multislice_sets(folder, validation=validation)
        incoherent = self.incoherent_sets(folder, validation=validation)
        if not multislice:
            return SeveralDatasets(incoherent)
        wanted = self.multislice_share / (1 - self.multislice_share) * sum(map(len, incoherent))
        return SeveralDatasets([*incoherent, *multislice * max(1, round(wanted / sum(map(len, multislice))))])

    def incoherent_sets(self, folder: Path, *, validation: bool) -> list[Dataset]:
        """A data set for each pixel size and microscope, simulated into `folder` where it is missing."""
        return [Dataset(self._write(folder, *kind)) for kind in self._kinds(validation)]

    def multislice_sets(self, folder: Path, *, validation: bool) -> list[MultisliceSet]:
        """The multislice set for each microscope, computed into `folder` where it is missing; none without a share."""
        if not self.multislice_share:
            return []
        path = self._multislice_path(folder, validation)
        if not path.exists():
            make_set(path.stem, path.parent, every=MULTISLICE_EVERY)
        return [multislice_set(path.stem, microscope, path=path) for microscope in MICROSCOPES]

    def is_made(self, folder: Path) -> bool:
        """Whether all tilt series are in `folder`."""
        try:
            for validation in (False, True):
                if self.multislice_share and not self._multislice_path(folder, validation).exists():
                    return False
                all(Dataset(self._path(folder, *kind)) for kind in self._kinds(validation))
        except TsgError:
            return False
        return True

    def particles(self, pixel_size_A: float, *, validation: bool) -> list[Atoms]:
        """The particles of one pixel size, each with its own rotation; those for training first, then validation."""
        turned = _turned_particles(self, pixel_size_A)
        n_training = self._n_at(pixel_size_A, self.n_training)
        return turned[n_training:] if validation else turned[:n_training]

    def _n_at(self, pixel_size_A: float, n: int) -> int:
        return len(range(self.pixel_sizes_A.index(pixel_size_A), n, len(self.pixel_sizes_A)))

    @staticmethod
    def _multislice_path(folder: Path, validation: bool) -> Path:
        return folder / "multislice" / f"{use_of(validation)}.npz"

    def _kinds(self, validation: bool) -> list[tuple[float, str, bool]]:
        return [(size_A, microscope, validation) for size_A in self.pixel_sizes_A for microscope in MICROSCOPES]

    def _path(self, folder: Path, pixel_size_A: float, microscope: str, validation: bool) -> Path:
        return folder / f"{use_of(validation)}_{microscope}_{pixel_size_A:g}A.zarr"

    def _write(self, folder: Path, pixel_size_A: float, microscope: str, validation: bool) -> Path:
        return write_dataset(
            self._path(folder, pixel_size_A, microscope, validation),
            self.particles(pixel_size_A, validation=validation),
            microscope=MICROSCOPES[microscope],
            tilt_deg=np.arange(-90.0, 90.0 + self.tilt_step_deg / 2, self.tilt_step_deg),
            shape=self.n_pixels,
            field_of_view_A=self.n_pixels * pixel_size_A,
            seed=self.seed,
        )


def use_of(validation: bool) -> str:
    """What the particles are for, as names of files and of multislice sets say it."""
    return "validation" if validation else "training"


@lru_cache
def _turned_particles(data: RecipeData, pixel_size_A: float) -> list[Atoms]:
    """All particles of a pixel size, drawn once; every data set of that size takes some of them."""
    field_A = data.n_pixels * pixel_size_A
    diameter_A = tuple(field_A * part for part in data.relative_diameter)
    seed = data.seed + 1000 * data.pixel_sizes_A.index(pixel_size_A)
    n = sum(data._n_at(pixel_size_A, count) for count in (data.n_training, data.n_validation))
    drawn = training_particles(n, seed=seed, diameter_A=diameter_A)
    return [random_rotation(atoms, seed=seed + 1 + k) for k, atoms in enumerate(drawn)]


class SeveralDatasets(Sequence[TiltSeries]):
    """Several data sets as one sequence, read series by series."""

    def __init__(self, datasets: Sequence[Dataset | MultisliceSet]):
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
    """A network (arguments of `model.TSGNet`), its data and its training settings; `path` is the file.

    `start` names the file, beside this one, of a recipe that is trained first: the training goes on from its weights.
    """

    path: Path
    description: str
    network: Mapping[str, Any]
    data: RecipeData
    settings: TrainingSettings
    start: str | None = None

    def __post_init__(self):
        if self.start is not None and self.first().network != self.network:
            raise TsgError(f"{self.path} starts from {self.start}, which has another network")
        if self.settings.crop_px > self.data.n_pixels:
            raise TsgError(f"crop_px={self.settings.crop_px} is larger than the frames, n_pixels={self.data.n_pixels}")

    @property
    def name(self) -> str:
        return self.path.parent.name if self.path.name == RECIPE else self.path.stem

    def first(self) -> "Recipe":
        """The recipe that `start` names."""
        return load_recipe(self.path.with_name(self.start))

    def untrained(self) -> TSGNet:
        """The network before its first step; the seed in the settings draws its weights."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.settings.seed)
            return TSGNet(**self.network)


def recipes() -> list[str]:
    """Names of the shipped recipes."""
    return sorted(path.parent.name for path in FOLDER.glob(f"*/{RECIPE}"))


def load_recipe(name: str | Path) -> Recipe:
    """Read a recipe: one of `recipes()` by name, or a YAML file.

    Raises TsgError for an unknown name, a malformed file and values out of range.
    """
    if str(name) in recipes():
        path = FOLDER / name / RECIPE
    elif Path(name).suffix in (".yaml", ".yml"):
        path = existing(name).absolute()
    else:
        raise TsgError(f"no recipe is called {str(name)!r}; there is {', '.join(recipes())}, or give a YAML file")
    content = read_yaml(path)
    try:
        network = {key: _as_tuple(value) for key, value in content["network"].items()}
        with torch.device("meta"):
            TSGNet(**network)
        return Recipe(
            path=path,
            description=content["description"],
            network=network,
            data=RecipeData(**{key: _as_tuple(value) for key, value in content["data"].items()}),
            settings=TrainingSettings(**{key: _as_tuple(value) for key, value in content["settings"].items()}),
            start=content.get("start"),
        )
    except (AttributeError, KeyError, TypeError) as error:
        raise TsgError(f"{path} is not a recipe: {' '.join(str(error).split())}") from None


def _as_tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def make_data(recipe: Recipe, *, work: Path) -> tuple[SeveralDatasets, SeveralDatasets]:
    """The recipe's tilt series for training and for validation, simulated into `work` unless they are there.

    Those of the recipe that it starts from are made, too.
    """
    for one in _with_first(recipe):
        training, validation = (one.data.series(work / DATA, validation=choice) for choice in (False, True))
    return training, validation


def train_recipe(recipe: Recipe, *, work: Path, accelerator: str = "auto", devices: int | str | None = None) -> Path:
    """Simulate the recipe's data and train in `work`, resuming from what is there; returns the path of the weights.

    Raises TsgError if torchrun or srun started several processes and the data are not there: they would all make them.
    """
    if prod(started_processes()) > 1 and not all(one.data.is_made(work / DATA) for one in _with_first(recipe)):
        raise TsgError(
            f"{work / DATA} does not hold the data of the recipe; make them first, by one process: "
            f"tsg train --recipe {recipe.name} --data-only"
        )
    return _train(recipe, data=work / DATA, folder=work / TRAINING, accelerator=accelerator, devices=devices)


def _with_first(recipe: Recipe) -> list[Recipe]:
    return [recipe] if recipe.start is None else [*_with_first(recipe.first()), recipe]


def _train(recipe: Recipe, *, data: Path, folder: Path, **device: Any) -> Path:
    if recipe.start is None:
        model = recipe.untrained()
    else:
        model = load_model(_train(recipe.first(), data=data, folder=folder / START, **device))
    training, validation = (recipe.data.series(data, validation=choice) for choice in (False, True))
    return train(training, validation=validation, settings=recipe.settings, folder=folder, model=model, **device)
