"""Sets of multislice tilt series in both microscopes: particles for training, validation and the test.

`python benchmarks/multislice_sets.py` makes them, tilt by tilt, into files that are read here; the test set, every
4 deg, comes with the package. At each tilt, one detection matrix serves both microscopes. The atoms are at rest;
Kirkland's potential in slices of 2 A is in no prediction method.
"""

import os
import uuid
from dataclasses import asdict, dataclass
from functools import lru_cache, partial
from pathlib import Path

import numpy as np
from ase import Atoms

from ..errors import TsgError
from ..microscope import MICROSCOPES
from ..simulation.multislice import frames_of_microscopes
from ..structures import random_rotation, test_particles, training_particles
from ..tilt_series import TiltSeries
from ..tools.cluster import mapped
from .multislice_series import packed

TILT_deg = np.arange(-90.0, 91.0, 2.0)
N_PIXELS = 72
FIELD_OF_VIEW_A = 18.0
TEST_FILE = Path(__file__).with_name("multislice_test.npz")
_LEVELS = 2**16 - 1
_STEPS = (90, 30, 10, 2, 1)  # of the tilts, in the order of computing; each set is part of the next
_MATRIX = {
    "cone_mrad": 37.5,
    "slice_thickness_A": 2.0,
    "sampling_A": 0.1,
    "parametrization": "kirkland",
    "antialias": False,
}


@dataclass(frozen=True, kw_only=True)
class _Draw:
    """How the particles of a set are drawn: shapes and elements by `structures`, diameters in angstrom, seed."""

    draw: object
    n: int
    seed: int
    diameter_A: tuple[float, float]


_SETS = {
    "training": _Draw(draw=training_particles, n=24, seed=300, diameter_A=(8.0, 12.0)),
    "validation": _Draw(draw=training_particles, n=4, seed=207, diameter_A=(8.0, 12.0)),
    "test": _Draw(draw=test_particles, n=8, seed=148, diameter_A=(8.5, 12.5)),
}
SETS = tuple(_SETS)


def set_particles(name: str) -> list[Atoms]:
    """The centred particles of one of `SETS`, each rotated at random; `info["name"]` names the particle.

    "test" contains truncated fcc polyhedra of Yb, Ir, Xe and Al; the other sets contain icosahedra, decahedra and
    octahedra of Pt, Ag, Au and Cu. Raises TsgError for another name.
    """
    if name not in _SETS:
        raise TsgError(f"{name!r} is not one of the sets {', '.join(_SETS)}")
    return [atoms.copy() for atoms in _drawn(name)]


@lru_cache(maxsize=3)
def _drawn(name: str) -> list[Atoms]:
    chosen = _SETS[name]
    particles = chosen.draw(chosen.n, seed=chosen.seed, diameter_A=chosen.diameter_A)
    return [random_rotation(atoms, seed=chosen.seed + i) for i, atoms in enumerate(particles)]


def tilt_frames(atoms: Atoms, tilt_deg: float, *, device: str = "cpu") -> dict[str, np.ndarray]:
    """A frame (n_y, n_x) of each of `MICROSCOPES`."""
    return frames_of_microscopes(
        atoms,
        microscopes=MICROSCOPES,
        tilt_deg=tilt_deg,
        shape=(N_PIXELS, N_PIXELS),
        pixel_size_A=FIELD_OF_VIEW_A / N_PIXELS,
        device=device,
        **_MATRIX,
    )


def tilts_by_spacing() -> list[list[float]]:
    """The tilts in groups, those of wide spacings first: each group fills the gaps that the ones before it left."""
    rank = [next(n for n, step in enumerate(_STEPS) if i % step == 0) for i in range(len(TILT_deg))]
    return [TILT_deg[np.equal(rank, n)].tolist() for n in range(len(_STEPS))]


def make_set(name: str, folder: Path, *, every: int = 1, device: str = "cpu") -> Path:
    """Compute what is missing of one of `SETS`, at every n-th tilt, and pack it into `folder`/NAME.npz, the result.

    Each tilt is kept as soon as it is done, in `folder`/NAME; workers share the tilts if there are any
    (`tools.cluster`). Raises TsgError for a step that does not lead from the first tilt to the last.
    """
    folder, tilts = Path(folder).absolute(), _every(every)
    todo = [task for task in missing_tilts(name, folder) if task[1] in tilts]
    n_there = len(set_particles(name)) * len(tilts) - len(todo)
    for _ in mapped(partial(make_tilt, name, device=device), todo, label=f"multislice {name}", done=n_there):
        pass
    pack(name, folder, folder / f"{name}.npz", every=every)
    return folder / f"{name}.npz"


def missing_tilts(name: str, folder: Path) -> list[tuple[int, float, Path]]:
    """Particle number, tilt and file of all frames that are still missing.

    All particles have their tilts of wide spacings before any has narrower ones, so that an unfinished set is one with
    wider steps.
    """
    particles = range(len(set_particles(name)))
    wanted = [(i, t) for tilts in tilts_by_spacing() for i in particles for t in tilts]
    files = [(i, t, tilt_file(folder, name, i, t)) for i, t in wanted]
    return [(i, tilt, path) for i, tilt, path in files if not path.exists()]


def tilt_file(folder: Path, name: str, i: int, tilt_deg: float) -> Path:
    return Path(folder) / name / f"{i:02d} {tilt_deg:+05.1f}.npz"


def make_tilt(name: str, i: int, tilt_deg: float, path: Path, *, device: str = "cpu") -> Path:
    """Compute the frames of one particle at one tilt and write them to a file, whole or not at all."""
    frames = tilt_frames(set_particles(name)[i], tilt_deg, device=device)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{uuid.uuid4().hex}.npz")
    np.savez(partial, **frames)
    os.replace(partial, path)
    return path


def pack(name: str, folder: Path, path: Path, *, every: int = 1) -> int:
    """Pack the particles whose tilts, or every n-th of them, are all there, as 16-bit levels; returns their number.

    Raises TsgError if there are none, and for steps that do not lead from the first tilt to the last.
    """
    tilts = _every(every)
    files = {i: [tilt_file(folder, name, i, t) for t in tilts] for i in range(len(set_particles(name)))}
    whole = [i for i, paths in files.items() if all(map(Path.exists, paths))]
    if not whole:
        raise TsgError(f"{folder} holds no particle of {name} at all of {len(tilts)} tilts; make it further")
    arrays = {"tilt_deg": tilts, "particles": np.array(whole)}
    for i in whole:
        frames = [dict(np.load(file)) for file in files[i]]
        for microscope in MICROSCOPES:
            levels, peak = packed(np.stack([frame[microscope] for frame in frames]))
            arrays[f"{i}, {microscope}"], arrays[f"{i}, {microscope}, peak"] = levels, peak
    partial = Path(path).with_name(f".{Path(path).name}")
    with partial.open("wb") as file:
        np.savez_compressed(file, **arrays)
    os.replace(partial, path)
    return len(whole)


def _every(n: int) -> np.ndarray:
    if n < 1 or (len(TILT_deg) - 1) % n:
        raise TsgError(f"every={n} does not lead from the first of {len(TILT_deg)} tilts to the last")
    return TILT_deg[::n]


@dataclass(frozen=True, eq=False)
class MultisliceSet:
    """The packed particles of a set: `len`, `[i]` -> TiltSeries in one microscope, `atoms(i)`."""

    path: Path
    name: str
    microscope: str

    def __len__(self) -> int:
        return len(_stored(self.path)["particles"])

    def __getitem__(self, i: int) -> TiltSeries:
        if not -len(self) <= i < len(self):
            raise IndexError(f"{self.path} holds {len(self)} particles; there is no number {i}")
        stored = _stored(self.path)
        key = f"{stored['particles'][i]}, {self.microscope}"
        frames = stored[key] * np.float32(float(stored[f"{key}, peak"]) / _LEVELS)
        microscope, particle = asdict(MICROSCOPES[self.microscope]), self.atoms(i).info
        metadata = {"microscope": microscope, "engine": "multislice", "particle": particle}
        return TiltSeries(frames, stored["tilt_deg"], FIELD_OF_VIEW_A / N_PIXELS, metadata=metadata)

    def atoms(self, i: int) -> Atoms:
        """The particle as it was imaged at tilt 0."""
        return set_particles(self.name)[_stored(self.path)["particles"][i]]


def multislice_set(name: str, microscope: str, *, path: str | Path | None = None) -> MultisliceSet:
    """One of `SETS` in a microscope of `MICROSCOPES` from a file that `pack` wrote, by default `TEST_FILE` for "test".

    Raises TsgError for other names, for a missing file, and for a set other than "test" if no path is given.
    """
    if name not in _SETS:
        raise TsgError(f"{name!r} is not one of the sets {', '.join(_SETS)}")
    if microscope not in MICROSCOPES:
        raise TsgError(f"microscope={microscope!r} is not one of {', '.join(MICROSCOPES)}")
    if path is None and name != "test":
        raise TsgError(
            f"the set {name} has no place in the package; give the file that "
            f"`python benchmarks/multislice_sets.py {name}` made"
        )
    path = TEST_FILE if path is None else Path(path)
    if not path.is_file():
        raise TsgError(f"{path} does not exist; `python benchmarks/multislice_sets.py {name}` makes it")
    return MultisliceSet(path, name, microscope)


@lru_cache(maxsize=2)
def _stored(path: Path) -> dict[str, np.ndarray]:
    with np.load(path) as stored:
        return dict(stored)
