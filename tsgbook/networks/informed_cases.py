"""Training cases for the network of the method `informed`: frames left out of series of known particles."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from ase import Atoms
from torch import Tensor

from tsg_core.errors import TsgError
from tsg_core.interpolation.informed.views import ATOMS, views
from tsg_core.microscope import MICROSCOPES
from tsg_core.samples.multislice_sets import multislice_set
from tsg_core.simulation.noise import with_dose
from tsg_core.simulation.series import simulate_tilt_series
from tsg_core.sparsity import MAX_GAP
from tsg_core.tilt_series import TiltSeries
from tsg_core.tools.files import replaced_when_whole
from tsg_core.tools.progress import track

from .recipes import RecipeData, use_of

GAPS = range(2, 2 * MAX_GAP + 1)
ABERRATED = "aberrated"
MULTISLICE_SEED = 7  # in the place of a pixel size in thousandths of an angstrom: draws that no other case has
COMPANIONS = ("Al", "Ti", "Cu", "Ag", "Pt")  # second elements of alloys; fitted atoms may miss the lighter of the two


@dataclass(frozen=True, kw_only=True)
class CaseSettings:
    """How the cases are drawn: sparse series, in each of which some frames are to be predicted.

    data                particles, pixel sizes and frames, as in the recipes of TSGNet
    n_cases             training cases for each particle and microscope, with random gaps
    n_validation_cases  the same for validation; gaps are dealt out in turn, so that all gaps are equally frequent
    n_multislice_cases, n_multislice_validation_cases   the same for multislice series, which have fewer gaps
    n_targets           targets in each series
    alloys              fraction of the training series that show an alloy; the particles themselves have one element
    channelling         (low, high) fraction of the channelling correction in a series' frames; half have none
    dose_per_A2         (low, high) dose of the measured frames, log-uniform; half of the cases have no noise
    most_frames         atoms are fitted only to series with at most this many frames: more would take minutes
    """

    data: RecipeData
    n_cases: int = 3
    n_validation_cases: int = 10
    n_multislice_cases: int = 2
    n_multislice_validation_cases: int = 5
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
    n_each = settings.n_validation_cases if validation else settings.n_cases
    use = use_of(validation)
    paths = []
    for i, pixel_size_A, k, atoms, name in track(jobs, label=f"{use} particles"):
        path = folder / f"{use}_{pixel_size_A:g}A_{k}_{name}.npz"
        paths.append(path)
        if path.exists():
            continue
        rng = np.random.default_rng([data.seed, int(validation), int(1000 * pixel_size_A), k, name == ABERRATED])
        if not validation and rng.random() < settings.alloys:
            atoms = _alloyed(atoms, rng)
        series = _dense_series(atoms, pixel_size_A, name, settings, rng)
        gaps = _gaps(GAPS, i, n_each, rng, validation)
        _write(path, [_case(series, gap, settings, rng) for gap in gaps], microscope=name, engine="incoherent")
    return paths


def write_multislice_cases(settings: CaseSettings, sets_folder: Path, folder: Path, *, validation: bool) -> list[Path]:
    """Files of the cases of the multislice set for this use, packed in `sets_folder`; missing files are made.

    Gaps are whole numbers of the set's steps.
    """
    folder.mkdir(parents=True, exist_ok=True)
    use = use_of(validation)
    n_each = settings.n_multislice_validation_cases if validation else settings.n_multislice_cases
    sets = {name: multislice_set(use, name, path=sets_folder / f"{use}.npz") for name in MICROSCOPES}
    paths = []
    for i, name in track([(i, name) for i in range(len(sets[ABERRATED])) for name in sets], label=f"multislice {use}"):
        path = folder / f"{use}_multislice_{i}_{name}.npz"
        paths.append(path)
        if path.exists():
            continue
        rng = np.random.default_rng([settings.data.seed, int(validation), MULTISLICE_SEED, i, name == ABERRATED])
        series = sets[name][i]
        step = round(float(np.diff(series.tilt_deg).max()))
        gaps = _gaps([gap for gap in GAPS if gap % step == 0 and gap > step], i, n_each, rng, validation)
        _write(path, [_case(series, gap, settings, rng) for gap in gaps], microscope=name, engine="multislice")
    return paths


def _write(path: Path, cases: list[dict[str, np.ndarray]], **labels: str) -> None:
    arrays = {key: np.concatenate([case[key] for case in cases]) for key in cases[0]}
    arrays |= {key: np.full(len(arrays["gap"]), label) for key, label in labels.items()}
    with replaced_when_whole(path) as (partial,):
        np.savez(partial, **arrays)


def _gaps(among: Sequence[int], i: int, n: int, rng: np.random.Generator, validation: bool) -> list[int]:
    """Gaps, in degrees, of the n cases of particle i."""
    if validation:
        return [among[k % len(among)] for k in range(n * i, n * (i + 1))]
    return rng.choice(among, n).tolist()


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


def _case(series: TiltSeries, gap_deg: int, settings: CaseSettings, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Draw an offset, a dose, a wedge and targets; return the input of the network, and the truth."""
    step_deg = float(np.diff(series.tilt_deg).max())
    gap = round(gap_deg / step_deg)
    edge_deg = rng.choice([0, 0, 15, 30])  # left out at both ends: half of the cases have a missing wedge
    edge = int(edge_deg / step_deg)
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
        "channels": _middle(seen.channels, settings.data.n_pixels).astype(np.float16),
        "error": _middle(error, settings.data.n_pixels).astype(np.float16),
        "gap": np.full(len(targets), gap_deg),
    }


def _middle(frames: np.ndarray, n: int) -> np.ndarray:
    """The middle n x n pixels of frames, so that cases of sets of several sizes can be trained with together."""
    y, x = ((size - n) // 2 for size in frames.shape[-2:])
    return frames[..., y : y + n, x : x + n]


class Cases:
    """All targets of some files, in memory.

    channels    (n, N_CHANNELS, n_y, n_x); see `interpolation.informed.views`
    error       (n, n_y, n_x) truth minus prior, divided by the scale
    gap         (n,) between measured frames, in degrees
    microscope  (n,) name
    engine      (n,) image model of the frames
    atoms       (n,) True if atoms were fitted
    """

    def __init__(self, paths: list[Path]):
        if not paths:
            raise TsgError("there are no cases to train with")
        loaded = [np.load(path) for path in paths]
        self.channels, self.error, self.gap, self.microscope, self.engine = (
            np.concatenate([arrays[key] for arrays in loaded])
            for key in ("channels", "error", "gap", "microscope", "engine")
        )
        self.atoms = self.channels[:, ATOMS.start + 1, 0, 0] > 0

    def __len__(self) -> int:
        return len(self.error)

    def batch(self, chosen: np.ndarray) -> tuple[Tensor, Tensor]:
        """Channels and errors of the chosen targets."""
        return tuple(torch.from_numpy(a[chosen].astype(np.float32)) for a in (self.channels, self.error))
