"""Tilt series of many particles in one chunked Zarr store, whose writing can be interrupted and resumed."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from importlib.metadata import version
from pathlib import Path

import numpy as np
import zarr
from ase import Atoms

from ..errors import TsgError
from ..microscope import Microscope
from ..tilt_series import TiltSeries
from ..tools.cluster import mapped
from .series import simulate_tilt_series

FORMAT = "tsg-tilt-series-1"


def write_dataset(
    path: str | Path,
    particles: Sequence[Atoms],
    *,
    microscope: Microscope,
    tilt_deg,
    shape: int | tuple[int, int],
    field_of_view_A: float,
    engine: str = "incoherent",
    dose_per_A2: float | None = None,
    seed: int = 0,
    tilt_block: int = 16,
    **engine_options,
) -> Path:
    """Simulate the particles into a Zarr store; resume if an interrupted call left a part there.

    The array `frames` (n_particle, n_tilt, n_y, n_x) is float32 in chunks of one particle and `tilt_block` tilts. The
    array `done` (n_particle, n_block) marks a chunk once it is written, so that half a chunk never counts. The arrays
    `numbers` (n_atoms,) and `positions_A` (n_atoms, 3) hold the atoms of all particles one after the other. The
    attributes hold the manifest: particles, microscope, engine, versions. Particle i draws its noise from `seed + i`.
    Frames do not depend on `tilt_block`. Chunks are computed where `tools.cluster` says. See `simulate_tilt_series` for
    the settings and errors; also raises TsgError if the store was begun with other settings.
    """
    tilt_deg = np.asarray(tilt_deg, float)
    n_y, n_x = shape if np.ndim(shape) else (shape, shape)
    if len(particles) == 0:
        raise TsgError("there are no particles to simulate")
    if tilt_block < 1:
        raise TsgError(f"tilt_block={tilt_block} must be at least 1")
    settings = {
        "format": FORMAT,
        "particles": [_describe(atoms) for atoms in particles],
        "microscope": asdict(microscope),
        "tilt_deg": tilt_deg.tolist(),
        "shape": [int(n_y), int(n_x)],
        "pixel_size_A": field_of_view_A / n_x,
        "engine": engine,
        "engine_options": engine_options,
        "dose_per_A2": dose_per_A2,
        "seed": seed,
        "tilt_block": tilt_block,
    }
    group = _open_or_create(Path(path), particles, settings=json.loads(json.dumps(settings)))
    done = group["done"]
    work = partial(
        _write_block,
        Path(path).absolute(),
        microscope=microscope,
        tilt_deg=tilt_deg,
        shape=(n_y, n_x),
        field_of_view_A=field_of_view_A,
        engine=engine,
        dose_per_A2=dose_per_A2,
        tilt_block=tilt_block,
        **engine_options,
    )
    missing = [tuple(map(int, index)) for index in np.argwhere(done[:] == 0)]
    tasks = [(i, block, particles[i], seed + i) for i, block in missing]
    for (i, block, *_), told in mapped(work, tasks, label=f"{engine} tilt series"):
        if "series" not in group.attrs:
            group.attrs["series"] = told
        done[i, block] = 1
    return Path(path)


class Dataset:
    """Read access to a finished store: `len`, `[i]` -> TiltSeries, `.atoms(i)`, `.names`, `.microscope`.

    Where a path is asked for, it stands for its folder. Raises TsgError if there is no such store at the path, or if it
    is unfinished.
    """

    def __init__(self, path: str | Path):
        self.path = Path(path)
        try:
            group = zarr.open_group(self.path, mode="r")
            self.manifest = dict(group.attrs)
            self._frames, done = group["frames"], group["done"][:]
            self._numbers, self._positions_A = group["numbers"][:], group["positions_A"][:]
        except (FileNotFoundError, KeyError) as error:
            raise TsgError(f"{self.path} holds no data set of tilt series") from error
        if self.manifest.get("format") != FORMAT:
            raise TsgError(f"{self.path} has the format {self.manifest.get('format')!r}, not {FORMAT!r}")
        if not done.all():
            raise TsgError(
                f"{self.path} is unfinished: {int(done.sum())} of {done.size} blocks are written; run its chapter again"
            )
        self.microscope = Microscope(**self.manifest["microscope"])
        self.tilt_deg = np.array(self.manifest["tilt_deg"])
        self.names = [particle["info"].get("name", f"particle {i}") for i, particle in enumerate(self._particles)]

    def __fspath__(self) -> str:
        return str(self.path)

    def __len__(self) -> int:
        return len(self._particles)

    def __getitem__(self, i: int) -> TiltSeries:
        if not -len(self) <= i < len(self):
            raise IndexError(f"{self.path} holds {len(self)} particles; there is no particle {i}")
        i %= len(self)
        kept = ("microscope", "engine", "engine_options", "dose_per_A2", "versions")
        metadata = {
            **{key: self.manifest[key] for key in kept},
            **self.manifest["series"],
            "seed": self.manifest["seed"] + i,
            "particle": self._particles[i]["info"],
        }
        return TiltSeries(self._frames[i], self.tilt_deg, self.manifest["pixel_size_A"], metadata=metadata)

    def atoms(self, i: int) -> Atoms:
        """Particle i in its orientation at tilt 0."""
        ends = np.cumsum([particle["n_atoms"] for particle in self._particles])
        chosen = slice(ends[i] - self._particles[i]["n_atoms"], ends[i])
        info = dict(self._particles[i]["info"])
        return Atoms(self._numbers[chosen], positions=self._positions_A[chosen], info=info)

    @property
    def _particles(self) -> list[dict]:
        return self.manifest["particles"]


def _write_block(
    path: Path, i: int, block: int, atoms: Atoms, seed: int, *, tilt_deg: np.ndarray, tilt_block: int, **settings
) -> dict[str, float]:
    """Simulate one block of tilts into its chunk; returns what all series of the store have in common."""
    tilts = slice(block * tilt_block, min((block + 1) * tilt_block, len(tilt_deg)))
    series = simulate_tilt_series(atoms, tilt_deg=tilt_deg[tilts], seed=seed, **settings)
    zarr.open_group(path, mode="r+")["frames"][i, tilts] = series.frames
    return {key: series.metadata[key] for key in ("padding_A", "probe_fraction")}


def _describe(atoms: Atoms) -> dict:
    info = {key: value.tolist() if hasattr(value, "tolist") else value for key, value in atoms.info.items()}
    digest = hashlib.sha256(atoms.numbers.astype("<i8").tobytes() + atoms.positions.astype("<f8").tobytes())
    return {"n_atoms": len(atoms), "sha256": digest.hexdigest(), "info": info}


def _same(key: str, there, wanted) -> bool:
    if key == "microscope" and there is not None:  # settings added to microscopes later had their default before
        return Microscope(**there) == Microscope(**wanted)
    return there == wanted


def _open_or_create(path: Path, particles: Sequence[Atoms], *, settings: dict) -> zarr.Group:
    if path.exists():
        group = zarr.open_group(path, mode="a")
        if "done" in group:
            different = [key for key in settings if not _same(key, group.attrs.get(key), settings[key])]
            if different:
                raise TsgError(f"{path} was begun with other {', '.join(different)}; remove it to start again")
            return group
    n, n_tilt = len(settings["particles"]), len(settings["tilt_deg"])
    group = zarr.open_group(path, mode="w", zarr_format=3)
    packages = ("abtem", "ase", "numpy", "torch", "tsg", "zarr")
    group.attrs.update({**settings, "versions": {name: version(name) for name in packages}})
    block, shape = settings["tilt_block"], settings["shape"]
    group.create_array("frames", shape=(n, n_tilt, *shape), chunks=(1, block, *shape), dtype="float32")
    group.create_array("numbers", data=np.concatenate([atoms.numbers for atoms in particles]))
    group.create_array("positions_A", data=np.concatenate([atoms.positions for atoms in particles]))
    # made last: a store without it is started again
    group.create_array("done", shape=(n, -(-n_tilt // block)), chunks=(1, 1), dtype="uint8")
    return group
