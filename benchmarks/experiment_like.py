"""The shipped series that resembles an experiment, with its truth: `python benchmarks/experiment_like.py` (a minute).

Writes `tsg_core/samples/experiment.npz`, always the same file, and prints how well preparation restores the truth.
"""

from pathlib import Path

import click
import numpy as np
from ase import Atoms
from ase.cluster import Decahedron, Icosahedron
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation

from tsg_core.preparation.steps import PreparationSettings, prepare
from tsg_core.samples.experiment import EXPERIMENT_FILE, experiment_like, simulate_recorded

SEED = 11
PIXEL_A, SHAPE = 0.44, 112
AXIS_deg, AXIS_OFFSET_px, DRIFT_px = 1.5, 2.5, 0.8
DOSE_per_A2 = 1.5e4
COUNTS_PER_ELECTRON, OFFSET, DARK_SIGMA = 20.0, 412.0, 4.0
LEFT_OUT_deg = np.array([-52.5, -32.5, -12.5, 2.5, 17.5, 37.5, 57.5])


def tilts_deg(rng) -> np.ndarray:
    """About every 5 degrees from -70 to 70, with the errors of a goniometer and one frame lost."""
    nominal_deg = np.delete(np.arange(-70.0, 71.0, 5.0), 21)
    return np.round(nominal_deg + rng.uniform(-0.4, 0.4, len(nominal_deg)), 2).clip(-70, 70)


def particle(rng) -> Atoms:
    """A gold-silver decahedron and a silver icosahedron, side by side on a flake of amorphous carbon."""
    large = Atoms(Decahedron("Au", 5, 3, 1))
    large.positions -= large.positions.mean(axis=0)
    large.positions = Rotation.random(rng=rng).apply(large.positions)
    large.symbols[rng.random(len(large)) < 0.35] = "Ag"
    small = Atoms(Icosahedron("Ag", 3))
    small.positions -= small.positions.mean(axis=0)
    large.positions += [-4.0, -2.0, 0.0]
    small.positions += [11.5, 8.0, -4.0]
    metal = Atoms(
        np.concatenate([large.numbers, small.numbers]), positions=np.concatenate([large.positions, small.positions])
    )
    atoms = metal + carbon(rng, under_A=metal.positions)
    atoms.positions -= (atoms.positions.min(axis=0) + atoms.positions.max(axis=0)) / 2
    return atoms


def carbon(rng, *, under_A: np.ndarray) -> Atoms:
    """A disc below the particles, 30 angstrom across and 4 thick, with all atoms at least 1.3 angstrom apart."""
    top_A = under_A[:, 2].min() - 1.0
    tried = rng.uniform([-15, -15, top_A - 4], [15, 15, top_A], (4000, 3))
    tried = tried[np.hypot(*tried[:, :2].T) < 15]
    kept = []
    for near in cKDTree(tried).query_ball_point(tried, 1.3):
        kept.append(all(not kept[i] for i in near if i < len(kept)))
    positions = tried[np.array(kept)][:280]
    return Atoms(f"C{len(positions)}", positions=positions)


def record(folder_file: Path) -> None:
    """Simulate, disturb, and write the raw counts and the truth."""
    rng = np.random.default_rng(SEED)
    tilt_deg, atoms = tilts_deg(rng), particle(rng)
    drift_px = np.cumsum(rng.normal(0, DRIFT_px, (len(tilt_deg), 2)), axis=0)
    shift_px = drift_px - drift_px.mean(axis=0) + [0, AXIS_OFFSET_px]
    options = {"shape": SHAPE, "pixel_size_A": PIXEL_A, "channelling": True}
    clean = simulate_recorded(atoms, tilt_deg=tilt_deg, shift_px=shift_px, axis_deg=AXIS_deg, **options)
    unmoved = np.zeros((len(LEFT_OUT_deg), 2))
    left_out = simulate_recorded(atoms, tilt_deg=LEFT_OUT_deg, shift_px=unmoved, axis_deg=0.0, **options)
    gain = np.linspace(1.07, 0.93, len(tilt_deg)) * (1 + 0.01 * rng.standard_normal(len(tilt_deg)))
    electrons_per_intensity = DOSE_per_A2 * PIXEL_A**2
    electrons = rng.poisson(electrons_per_intensity * gain[:, None, None] * clean.frames.astype(float))
    counts = OFFSET + COUNTS_PER_ELECTRON * electrons + DARK_SIGMA * rng.standard_normal(electrons.shape)
    hot = np.unique(rng.integers([0, 1, 1], [len(tilt_deg), SHAPE - 1, SHAPE - 1], (80, 3)), axis=0)
    counts[tuple(hot.T)] += rng.uniform(4_000, 30_000, len(hot))
    np.savez_compressed(
        folder_file,
        counts=np.rint(counts).clip(0, 65_535).astype(np.uint16),
        tilt_deg=tilt_deg,
        pixel_size_A=PIXEL_A,
        shift_px=shift_px,
        axis_deg=AXIS_deg,
        offset=OFFSET,
        gain=gain,
        counts_per_intensity=COUNTS_PER_ELECTRON * electrons_per_intensity,
        hot_pixels=hot,
        left_out=left_out.frames,
        left_out_deg=LEFT_OUT_deg,
        numbers=atoms.numbers,
        positions_A=atoms.positions.astype(np.float32),
    )


@click.command()
@click.option("--check", is_flag=True, help="Only prepare the shipped file.")
def main(check):
    """Make the file, prepare it, and compare the result with the truth."""
    if not check:
        partial = EXPERIMENT_FILE.with_suffix(".partial.npz")
        record(partial)
        partial.replace(EXPERIMENT_FILE)
        click.echo(f"{EXPERIMENT_FILE.name}: {EXPERIMENT_FILE.stat().st_size / 1e6:.2f} MB")
    raw, truth = experiment_like()
    prepared = prepare(raw, settings=PreparationSettings(hot_pixels=True, gain=True), say=click.echo)
    hot = {tuple(p) for p in prepared.steps[0].report.replaced.tolist()}
    true = {tuple(p) for p in truth.hot_pixels.tolist()}
    click.echo(f"hot pixels: {len(hot & true)} of {len(true)} found, {len(hot - true)} others replaced")
    click.echo(f"background: {prepared.steps[1].report.level[0]:.2f}, truly {truth.offset:g}")
    click.echo(f"shifts: {truth.shift_error_px(prepared.alignment):.3f} px rms from the truth")
    click.echo(f"tilt axis: {prepared.alignment.axis_deg:.2f} deg, truly {truth.axis_deg:g}")
    gain = truth.gain / truth.gain.mean()
    left = np.std(prepared.steps[-1].report.gain / gain)
    click.echo(f"gains: {100 * left:.1f} % rms from the truth, {100 * gain.std():.1f} % as recorded")


if __name__ == "__main__":
    main()
