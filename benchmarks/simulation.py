"""Speed of the simulation engines, and how alike their frames are: `python benchmarks/simulation.py --help`."""

import time

import click
import numpy as np
import tables
from ase import Atoms
from ase.cluster import Icosahedron

from tsg_core.microscope import MICROSCOPES
from tsg_core.samples.multislice_frames import CASES, likeness
from tsg_core.simulation import simulate_tilt_series
from tsg_core.structures import bounding_diameter_A

PAPER_SERIES = 200


@click.group()
def main():
    """Tables of the simulation engines."""


@main.command()
@click.option("--tilts", default=181, show_default=True, help="frames of the series")
@click.option("--pixels", default=128, show_default=True)
@click.option("--shells", default=6, show_default=True, help="icosahedron: 6 shells 561 atoms, 12 shells 5083")
def series(tilts, pixels, shells):
    """Whole series by the incoherent engine: the first call, with abTEM's import and the probes, and the next."""
    atoms = Atoms(Icosahedron("Au", shells))
    atoms.positions -= atoms.positions.mean(axis=0)
    size, rows = f"{len(atoms)} atoms, {tilts} frames of {pixels} x {pixels}", {}
    click.echo(size)
    heads = ("first s", "next s", "ms/frame", "channelling s", f"{PAPER_SERIES} series of 181, h")
    click.echo(f"{'microscope':15s} " + " ".join(f"{head:>{max(len(head), 8)}s}" for head in heads))
    for name, microscope in MICROSCOPES.items():
        settings = {
            "microscope": microscope,
            "tilt_deg": np.linspace(-90, 90, tilts),
            "shape": pixels,
            "field_of_view_A": 1.2 * bounding_diameter_A(atoms),
        }
        first_s, next_s, channelling_s = (timed(atoms, **settings, channelling=c) for c in (False, False, True))
        hours = next_s / tilts * 181 * PAPER_SERIES / 3600
        row = (first_s, next_s, 1e3 * next_s / tilts, channelling_s, hours)
        cells = (f"{value:{max(len(head), 8)}.2f}" for head, value in zip(heads, row, strict=True))
        click.echo(f"{name:15s} " + " ".join(cells))
        rows[name] = {"first_s": first_s, "next_s": next_s, "channelling_s": channelling_s}
    tables.keep("simulation", f"incoherent, {size}", rows)


@main.command("likeness")
def likeness_table():
    """The shipped multislice frames and the fast engine's: r, total, time, and the effect of the channelling option."""
    heads = ("r", "total", "slow s", "ms", "faster", "channelling r", "cost")
    click.echo(f"{'frame':44s} " + " ".join(f"{head:>8s}" for head in heads))
    rows = {}
    for case in CASES:
        if case.microscope == "printed_detector":
            continue  # no dark field: the fast engine has no image of it
        like = likeness(case)
        figures = f"{like.r('incoherent'):8.3f} {like.total_ratio('incoherent'):8.3f} {like.reference_s:8.1f}"
        speed = f"{1e3 * like.incoherent_s:8.2f} {like.reference_s / like.incoherent_s:7.0f}x"
        option = f"{like.r('channelling'):13.3f} {like.channelling_s / like.incoherent_s:7.1f}x"
        click.echo(f"{case.name:44s} {figures} {speed} {option}")
        rows[case.name] = {
            "r": like.r("incoherent"),
            "reference_s": like.reference_s,
            "incoherent_s": like.incoherent_s,
            "channelling_r": like.r("channelling"),
            "channelling_s": like.channelling_s,
        }
    tables.keep("simulation", "likeness to abTEM", rows)


def timed(atoms: Atoms, **settings) -> float:
    start = time.perf_counter()
    simulate_tilt_series(atoms, **settings)
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
