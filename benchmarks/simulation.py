"""Speed and likeness of the simulation engines, side by side in one run: `python benchmarks/simulation.py --help`.

The incoherent engine is timed on whole series; abTEM's PRISM on single frames, whose images it is then compared with.
"""

import time
import warnings
from dataclasses import replace

import click
import numpy as np
from ase import Atoms
from ase.cluster import Icosahedron

from tsg_core.microscope import MICROSCOPES, NON_ABERRATED
from tsg_core.simulation import simulate_tilt_series
from tsg_core.structures import bounding_diameter_A, random_rotation

PAPER_SERIES = 200
OFF_AXIS_SEED = 1


def particle(shells: int) -> Atoms:
    atoms = Atoms(Icosahedron("Au", shells))
    atoms.positions -= atoms.positions.mean(axis=0)
    return atoms


def timed(atoms, **settings):
    start = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        series = simulate_tilt_series(atoms, **settings)
    return series, time.perf_counter() - start


@click.group()
def main():
    """Tables of the simulation engines."""


@main.command()
@click.option("--tilts", default=181, show_default=True, help="frames of the series")
@click.option("--pixels", default=128, show_default=True)
@click.option("--shells", default=6, show_default=True, help="icosahedron: 6 shells 561 atoms, 12 shells 5083")
def series(tilts, pixels, shells):
    """Whole series by the incoherent engine, the first call (which computes the probes) and the next."""
    atoms = particle(shells)
    click.echo(f"{len(atoms)} atoms, {tilts} frames of {pixels} x {pixels}")
    click.echo(f"{'microscope':15s} {'first s':>8s} {'next s':>8s} {'ms/frame':>9s}  {PAPER_SERIES} series of 181, h")
    for name, microscope in MICROSCOPES.items():
        settings = {
            "microscope": microscope,
            "tilt_deg": np.linspace(-90, 90, tilts),
            "shape": pixels,
            "field_of_view_A": 1.2 * bounding_diameter_A(atoms),
        }
        (_, first_s), (_, next_s) = (timed(atoms, **settings) for _ in range(2))
        hours = next_s / tilts * 181 * PAPER_SERIES / 3600
        click.echo(f"{name:15s} {first_s:8.2f} {next_s:8.2f} {1e3 * next_s / tilts:9.1f}  {hours:6.2f}")


@main.command()
@click.option("--shells", default=3, show_default=True, help="icosahedron: 3 shells 55 atoms, 4 shells 147")
@click.option("--microscope", "names", multiple=True, type=click.Choice(list(MICROSCOPES)), default=["non_aberrated"])
@click.option("--field", "field_A", default=None, type=float, help="field of view in angstrom")
@click.option("--padding", "padding_A", default=None, type=float, help="padding in angstrom")
@click.option("--interpolation", default=None, type=int, help="of PRISM; by default what the probe allows")
@click.option("--phonons", default=0, show_default=True, help="frozen-phonon configurations")
def likeness(shells, names, field_A, padding_A, interpolation, phonons):
    """Frames at a zone axis and off it by PRISM and by the incoherent engine: total, peak, Pearson r, time."""
    atoms = particle(shells)
    field_A = field_A or bounding_diameter_A(atoms) + 5
    orientations = {"zone axis": atoms, "off axis": random_rotation(atoms, seed=OFF_AXIS_SEED)}
    click.echo(f"{len(atoms)} atoms, field {field_A:.1f} A, {phonons or 'no'} frozen phonons; incoherent/PRISM:")
    head = f"{'total':>6s} {'peak':>6s} {'r':>7s} {'PRISM s':>8s} {'ms':>6s} {'faster':>7s}"
    click.echo(f"{'microscope':15s} {'orientation':12s} {head}")
    for name in names:
        settings = {
            "microscope": MICROSCOPES[name],
            "tilt_deg": [0.0],
            "shape": 64,
            "field_of_view_A": field_A,
            "padding_A": padding_A,
        }
        at_rest = {} if phonons else {"thermal_displacement_A": 0.0}
        for orientation, turned in orientations.items():
            options = {"engine": "prism", "interpolation": interpolation, "phonon_configurations": phonons}
            prism, prism_s = timed(turned, **settings, **options)
            many = {**settings, "tilt_deg": np.linspace(0, 1, 50)}
            timed(turned, **many, **at_rest)
            fast, fast_s = timed(turned, **many, **at_rest)
            a, b = prism.frames[0], fast.frames[0]
            fast_ms = 1e3 * fast_s / 50
            r = np.corrcoef(a.ravel(), b.ravel())[0, 1]
            likeness_row = f"{b.sum() / a.sum():6.3f} {b.max() / a.max():6.3f} {r:7.4f}"
            speed_row = f"{prism_s:8.1f} {fast_ms:6.2f} {1e3 * prism_s / fast_ms:6.0f}x"
            click.echo(f"{name:15s} {orientation:12s} {likeness_row} {speed_row}")


@main.command()
def annulus():
    """A single atom of gold in the annulus of HAADF and in one from 0 to 45 mrad, as the paper prints it."""
    atom = Atoms("Au", positions=[[0.0, 0.0, 0.0]])
    printed = replace(NON_ABERRATED, detector_inner_mrad=0.0, detector_outer_mrad=45.0)
    for label, microscope in (("45 to 80 mrad", NON_ABERRATED), ("0 to 45 mrad", printed)):
        settings = {"microscope": microscope, "tilt_deg": [0.0], "shape": 24, "field_of_view_A": 6.0, "padding_A": 6.0}
        frame = timed(atom, engine="prism", **settings)[0].frames[0]
        on_atom = frame[11:13, 11:13].mean()
        click.echo(f"{label:14s} vacuum {frame[0].mean():.4f} of the beam, on the atom {on_atom:.4f}")


if __name__ == "__main__":
    main()
