"""Training cases for the network of the method `informed`: frames left out of series of known particles."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from ase import Atoms
from torch import Tensor

from tsg_core.errors import TsgError
from tsg_core.interpolation.informed.views import ATOMS, views
from tsg_core.microscope import MICROSCOPES
from tsg_core.simulation.noise import with_dose
from tsg_core.simulation.series import simulate_tilt_series
from tsg_core.sparsity import MAX_GAP
from tsg_core.tilt_series import TiltSeries
from tsg_core.tools.files import replaced_when_whole
from tsg_core.tools.progress import track

from .recipes import RecipeData

GAPS = range(2, 2 * MAX_GAP + 1)
COMPANIONS = ("Al", "Ti", "Cu", "Ag", "Pt")  # second elements of alloys; fitted atoms may miss the lighter of the two


@dataclass(frozen=True, kw_only=True)
class CaseSettings:
    """How the cases are drawn: sparse series, in each of which some frames are to be predicted.

    data                particles, pixel sizes and frames, as in the recipes of TSGNet
    n_cases             training cases for each particle and microscope, with random gaps
    n_validation_cases  the same for validation; gaps are dealt out in turn, so that all gaps are equally frequent
    n_targets           targets in each series
    alloys              fraction of the training series that show an alloy; the particles themselves have one element
    channelling         (low, high) fraction of the channelling correction in a series' frames; half have none
    dose_per_A2         (low, high) dose of the measured frames, log-uniform; half of the cases have no noise
    most_frames         atoms are fitted only to series with at most this many frames: more would take minutes
    """

    data: RecipeData
    n_cases: int = 3
    n_validation_cases: int = 10
    n_targets: int = 16
    alloys: float = 1 / 3
    channelling: tuple[float, float] = (0.3, 1.5)
    dose_per_A2: tuple[float, float] = (1e3, 1e6)
    most_frames: int = 50


def write_cases(settings: CaseSettings, folder: Path, *, validation: bool) -> list[Path]:
    """Files of the cases of every particle and microscope; missing files are made."""
    folder.mkdir(parents=True, exist_ok=True)
    data = settings.data
    particles = [
        (pixel_size_A, k, atoms)
        for pixel_size_A in data.pixel_sizes_A
        for k, atoms in enumerate(data.particles(pixel_size_A, validation=validation))
    ]
    jobs = [(i, *particle, name) for i, particle in enumerate(particles) for name in MICROSCOPES]
    use = "validation" if validation else "training"
    paths = []
    for i, pixel_size_A, k, atoms, name in track(jobs, label=f"{use} particles"):
        path = folder / f"{use}_{pixel_size_A:g}A_{k}_{name}.npz"
        paths.append(path)
        if path.exists():
            continue
        rng = np.random.default_rng([data.seed, int(validation), int(1000 * pixel_size_A), k, name == "aberrated"])
        if not validation and rng.random() < settings.alloys:
            atoms = _alloyed(atoms, rng)
        series = _dense_series(atoms, pixel_size_A, name, settings, rng)
        cases = [_case(series, gap, settings, rng) for gap in _gaps(settings, i, rng, validation)]
        arrays = {key: np.concatenate([case[key] for case in cases]) for key in cases[0]}
        with replaced_when_whole(path) as (partial,):
            np.savez(partial, **arrays, microscope=np.full(len(arrays["gap"]), name))
    return paths


def _gaps(settings: CaseSettings, i: int, rng: np.random.Generator, validation: bool) -> list[int]:
    """Gaps of the cases of particle i."""
    if validation:
        n = settings.n_validation_cases
        return [GAPS[k % len(GAPS)] for k in range(n * i, n * (i + 1))]
    return rng.choice(GAPS, settings.n_cases).tolist()


def _alloyed(atoms: Atoms, rng: np.random.Generator) -> Atoms:
    """The particle with a random part of its atoms replaced by one other element."""
    mixed = atoms.copy()
    mixed.symbols[rng.random(len(mixed)) < rng.uniform(0.1, 0.75)] = rng.choice(COMPANIONS)
    return mixed


def _dense_series(
    atoms: Atoms, pixel_size_A: float, microscope: str, settings: CaseSettings, rng: np.random.Generator
) -> TiltSeries:
    """A full series; half of the series include a random part of the channelling correction."""
    n = settings.data.n_pixels
    options = {
        "microscope": MICROSCOPES[microscope],
        "tilt_deg": np.arange(-90.0, 90.5, settings.data.tilt_step_deg),
        "shape": n,
        "field_of_view_A": n * pixel_size_A,
    }
    plain = simulate_tilt_series(atoms, **options)
    if rng.random() < 0.5:
        return plain
    part = rng.uniform(*settings.channelling)
    channelled = simulate_tilt_series(atoms, **options, channelling=True)
    frames = plain.frames + np.float32(part) * (channelled.frames - plain.frames)
    return TiltSeries(frames.clip(0), plain.tilt_deg, plain.pixel_size_A, metadata=plain.metadata)


def _case(series: TiltSeries, gap: int, settings: CaseSettings, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Draw an offset, a dose, a wedge and targets; return the input of the network, and the truth."""
    edge = int(rng.choice([0, 0, 15, 30]))  # frames left out at both ends: half of the cases have a missing wedge
    measured = np.arange(edge + rng.integers(min(gap, 12)), len(series) - edge, gap)
    between = np.setdiff1d(np.arange(measured[0], measured[-1]), measured)
    middle = np.intersect1d(between, measured[:-1] + gap // 2)
    middles = rng.choice(middle, min(len(middle), settings.n_targets // 2), replace=False)
    others = np.setdiff1d(between, middles)
    more = rng.choice(others, min(len(others), settings.n_targets - len(middles)), replace=False)
    targets = np.union1d(middles, more)
    sparse = series.subset(measured)
    if rng.random() < 0.5:
        dose_per_A2 = float(np.exp(rng.uniform(*np.log(settings.dose_per_A2))))
        sparse = with_dose(sparse, dose_per_A2=dose_per_A2, seed=int(rng.integers(2**31)))
    seen = views(sparse, series.tilt_deg[targets], atoms=len(sparse) <= settings.most_frames)
    error = (series.frames[targets] - seen.prior) / seen.scale[:, None, None]
    return {
        "channels": seen.channels.astype(np.float16),
        "error": error.astype(np.float16),
        "gap": np.full(len(targets), gap),
    }


class Cases:
    """All targets of some files, in memory.

    channels    (n, N_CHANNELS, n_y, n_x); see `interpolation.informed.views`
    error       (n, n_y, n_x) truth minus prior, divided by the scale
    gap         (n,) between measured frames
    microscope  (n,) name
    atoms       (n,) True if atoms were fitted
    """

    def __init__(self, paths: list[Path]):
        if not paths:
            raise TsgError("there are no cases to train with")
        loaded = [np.load(path) for path in paths]
        self.channels, self.error, self.gap, self.microscope = (
            np.concatenate([arrays[key] for arrays in loaded]) for key in ("channels", "error", "gap", "microscope")
        )
        self.atoms = self.channels[:, ATOMS.start + 1, 0, 0] > 0

    def __len__(self) -> int:
        return len(self.error)

    def batch(self, chosen: np.ndarray) -> tuple[Tensor, Tensor]:
        """Channels and errors of the chosen targets."""
        return tuple(torch.from_numpy(a[chosen].astype(np.float32)) for a in (self.channels, self.error))
