"""`dynamical` on frames of other models than its own: `python benchmarks/dynamical.py` (hours on one core).

The model has Lobato's potential in slices of 3 A and atoms at rest. The frames have

    W, Ag, Cu3Au    Kirkland's potential in slices of 1.5 A (shipped)
    Yb 77, PRISM    the approximation PRISM, Kirkland's potential in slices of 2 A (shipped; only without aberrations)
    CoPdPt          an amorphous cluster of 20 atoms; Kirkland's potential in slices of 1.5 A
    CoPdPt thermal  the same with thermal displacements, the mean of eight frozen sets in each frame
    CoPdPt abTEM    the same atoms, at rest, by abTEM's own multislice, which takes minutes for every frame
    AlAu            26 atoms of aluminium and 12 of gold, 6 pm off the sites of a crystal; as CoPdPt

`--off 0.05` tells the methods a microscope whose convergence angle and Cs are 5 % and whose defocus is 20 A off.
Frames that are not shipped are computed first, tilt by tilt, and kept in the folder `--work`.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import click
import numpy as np
from ase import Atoms
from ase.cluster import Octahedron

from tsg_core.evaluation.atom_peaks import match_atoms
from tsg_core.evaluation.metrics import psnr_dB
from tsg_core.interpolation.choice import predict_automatically
from tsg_core.interpolation.densify import with_elements
from tsg_core.interpolation.fitted_series import FittedSeries
from tsg_core.interpolation.methods import predict
from tsg_core.microscope import MICROSCOPES
from tsg_core.samples.multislice_series import PARTICLES, prism_series, reference_atoms, reference_series
from tsg_core.simulation import simulate_tilt_series
from tsg_core.structures import amorphous, random_rotation
from tsg_core.tilt_series import TiltSeries

METHODS = ("linear", "atoms", "dynamical")
GLASS = ("Co", "Pd", "Pt")
GLASS_RADIUS_A = 4.3
FRAMES = {"shape": 48, "field_of_view_A": 13.0}
TILT_deg = np.arange(-60.0, 61.0, 6.0)
BY_KIRKLAND = {"engine": "multislice", "parametrization": "kirkland", "slice_thickness_A": 1.5}
YTTERBIUM = "Yb 77, PRISM"


@dataclass(frozen=True, kw_only=True)
class Sample:
    """True atoms, and the whole series of their frames in one microscope."""

    atoms: Callable[[], Atoms]
    series: Callable[[], TiltSeries]


def samples(microscope: str, *, folder: Path) -> dict[str, Sample]:
    found = {
        name: Sample(atoms=partial(reference_atoms, name), series=partial(reference_series, name, microscope))
        for name in PARTICLES
    }
    if microscope == "non_aberrated":
        found[YTTERBIUM] = Sample(
            atoms=lambda: Atoms("Yb77", positions=prism_series()[1]), series=lambda: prism_series()[0]
        )
    for name, (atoms, options) in SIMULATED.items():
        options = {"microscope": MICROSCOPES[microscope], **FRAMES, **options}
        series = partial(simulated, f"{name}, {microscope}", atoms, folder=folder, **options)
        found[name] = Sample(atoms=atoms, series=series)
    return found


def glass() -> Atoms:
    """A sphere cut from amorphous matter as dense as palladium, its sites occupied at random."""
    box_A = (3 * GLASS_RADIUS_A,) * 3
    atoms = Atoms(amorphous("Pd", box_A=box_A, seed=0), cell=None, pbc=False)
    atoms = atoms[np.linalg.norm(atoms.positions, axis=1) < GLASS_RADIUS_A]
    atoms.positions -= (atoms.positions.max(axis=0) + atoms.positions.min(axis=0)) / 2
    atoms.symbols = np.random.default_rng(0).choice(GLASS, len(atoms))
    return atoms


def alloy() -> Atoms:
    """A truncated octahedron whose sites are occupied at random."""
    rng = np.random.default_rng(11)
    atoms = Octahedron("Al", 4, 1)
    atoms.symbols[rng.permutation(len(atoms))[:12]] = "Au"
    atoms = random_rotation(Atoms(atoms), seed=5)
    atoms.positions += rng.normal(0, 0.06, atoms.positions.shape) - atoms.positions.mean(axis=0)
    return atoms


SIMULATED = {
    "CoPdPt": (glass, BY_KIRKLAND),
    "CoPdPt thermal": (glass, BY_KIRKLAND | {"phonon_configurations": 8}),
    "CoPdPt abTEM": (glass, {"engine": "abtem_multislice"}),
    "AlAu": (alloy, BY_KIRKLAND),
}


def simulated(name: str, atoms: Callable[[], Atoms], *, folder: Path, **options) -> TiltSeries:
    """The frames of these atoms, one a file; those that are there are read."""
    tilts = []
    for tilt_deg in TILT_deg:
        path = folder / f"{name} {tilt_deg:+.0f}.npz"
        if not path.exists():
            folder.mkdir(parents=True, exist_ok=True)
            simulate_tilt_series(atoms(), tilt_deg=[tilt_deg], **options).write(path)
        tilts.append(TiltSeries.read(path))
    return replace(tilts[0], frames=np.concatenate([t.frames for t in tilts]), tilt_deg=TILT_deg, measured=None)


@click.command()
@click.option("--microscope", "microscopes", multiple=True, default=tuple(MICROSCOPES), show_default=True)
@click.option("--particle", "names", multiple=True, help="One of those above, e.g. 'CoPdPt thermal'; by default all.")
@click.option("--spacing", "spacings_deg", multiple=True, default=(12.0,), show_default=True)
@click.option(
    "--targets", default=5, show_default=True, help="frames half-way between measured ones, evenly chosen; 0 for all"
)
@click.option("--elements", help="Elements of the sample; found if not given.")
@click.option("--auto", is_flag=True, help="Score auto, too: several times as long.")
@click.option(
    "--off", default=0.0, show_default=True, help="relative error of the microscope that the methods are told"
)
@click.option("--work", "folder", default="artifacts/dynamical", show_default=True, type=Path)
def main(microscopes, names, spacings_deg, targets, elements, auto, off, folder):
    """Print PSNR in dB half-way between measured frames, the atoms found, their errors, and the elements."""
    methods = (*METHODS, "auto") if auto else METHODS
    click.echo(f"{'':31s}{'deg':>4s}" + "".join(f"{m:>10s}" for m in methods) + "  atoms  false    pm  elements, CPU")
    for microscope in microscopes:
        known = samples(microscope, folder=folder)
        for name in names or known:
            if name not in known:
                continue  # not in this microscope
            whole, atoms = known[name].series(), known[name].atoms()
            for spacing_deg in spacings_deg:
                start = time.process_time()
                told = with_elements(wrong(whole, off=off), elements)
                line = scored(told, whole, atoms, methods=methods, spacing_deg=spacing_deg, n_targets=targets)
                seconds = time.process_time() - start
                click.echo(f"{f'{name}, {microscope}':31s}{spacing_deg:4.0f}{line}, {seconds:.0f} s")


def wrong(series: TiltSeries, *, off: float) -> TiltSeries:
    """The series with a microscope that is wrong by a fraction of its convergence angle and Cs."""
    right = series.metadata["microscope"]
    told = {
        "convergence_mrad": right["convergence_mrad"] * (1 + off),
        "Cs_um": right["Cs_um"] * (1 + off),
        "defocus_A": right["defocus_A"] + 400 * off,
    }
    return replace(series, metadata={**series.metadata, "microscope": {**right, **told}})


def scored(series: TiltSeries, truth: TiltSeries, atoms: Atoms, *, methods, spacing_deg: float, n_targets: int) -> str:
    measured, targets = split(series, truth, spacing_deg=spacing_deg, n_targets=n_targets)
    scores = [score_dB(predicted(method, measured, targets.tilt_deg), targets, truth) for method in methods]
    return "".join(f"{score:10.1f}" for score in scores) + atoms_found(measured.dynamical, atoms)


def split(
    series: TiltSeries, truth: TiltSeries, *, spacing_deg: float, n_targets: int
) -> tuple[FittedSeries, TiltSeries]:
    """Frames of `series` that count as measured, and those of `truth` half-way between them."""
    step_deg = float(series.tilt_deg[1] - series.tilt_deg[0])
    gap = round(spacing_deg / step_deg)
    middle = np.arange(gap // 2, len(series) - gap // 2, gap)
    if n_targets:
        middle = middle[np.unique(np.linspace(0, len(middle) - 1, n_targets).round().astype(int))]
    return FittedSeries.of(series.subset(np.arange(0, len(series), gap))), truth.subset(middle)


def score_dB(frames: np.ndarray, targets: TiltSeries, truth: TiltSeries) -> float:
    error = ((frames - targets.frames) ** 2).mean(axis=(1, 2))
    return float(psnr_dB(error, truth.intensity_scale).mean())


def predicted(method: str, measured: FittedSeries, tilt_deg: np.ndarray) -> np.ndarray:
    if method == "auto":
        return predict_automatically(measured, tilt_deg=tilt_deg).frames
    return predict(method, measured, tilt_deg)


def atoms_found(model, atoms: Atoms) -> str:
    match = match_atoms(model.spots.positions_A, atoms.positions)
    found, of = match.pairs.T
    apart_A = np.linalg.norm(model.spots.positions_A[found] - atoms.positions[of], axis=1)
    pairs = list(zip(np.array(atoms.get_chemical_symbols())[of], model.elements.symbols[found], strict=True))
    counts = [f"{a} -> {b} {pairs.count((a, b))}" for a, b in sorted(set(pairs))]
    number = f"{match.matched}/{len(atoms)}"
    return f"{number:>7s}{match.invented:7d}{100 * np.median(apart_A):6.1f}  {', '.join(counts)}"


if __name__ == "__main__":
    main()
