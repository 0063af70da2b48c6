"""Elements from the weights of fitted atoms against dose and spacing: `python benchmarks/elements.py` (ten minutes).

Three alloys, one of them of neighbouring elements, as random occupations of an icosahedron of 55 sites. The frames are
incoherent with channelling, whose coefficients no fit knows; the elements are named, as a user names them.
"""

import time

import click
import numpy as np
from ase.cluster import Icosahedron
from scipy.spatial import cKDTree

from tsg_core.errors import TsgError
from tsg_core.interpolation.atoms.fit import fit_atoms
from tsg_core.microscope import NON_ABERRATED
from tsg_core.simulation import simulate_tilt_series
from tsg_core.structures import random_rotation

ALLOYS = {"Cu3Au": ("Cu", "Au", 0.25), "PdPt": ("Pd", "Pt", 0.5), "AgPd": ("Pd", "Ag", 0.5)}
CASES = ((None, 12.0), (1e5, 12.0), (1e4, 12.0), (1e3, 12.0), (1e4, 6.0), (1e4, 20.0))  # e/A^2 a frame, degrees
RANGE_deg = 60.0
N_PIXELS, MARGIN_A = 64, 5.0


@click.command()
@click.option("--seed", default=1, show_default=True, help="of occupations, orientations and noise")
def main(seed):
    """Print how many atoms of each element were found as which, and whether the remark warned."""
    click.echo(f"{'alloy':7s}{'e/A^2':>8s}{'deg':>5s}{'frames':>8s}{'atoms':>7s}   true element -> found as")
    for alloy in ALLOYS:
        atoms = occupied(alloy, seed=seed)
        for dose_per_A2, spacing_deg in CASES:
            start = time.process_time()
            dose = "-" if dose_per_A2 is None else f"{dose_per_A2:.0e}"
            n_frames, found = counted(atoms, alloy, dose_per_A2=dose_per_A2, spacing_deg=spacing_deg, seed=seed)
            seconds = time.process_time() - start
            click.echo(f"{alloy:7s}{dose:>8s}{spacing_deg:5.0f}{n_frames:8d}{found}   {seconds:.0f} s")


def occupied(alloy: str, *, seed: int):
    """The particle, turned at random, its sites occupied at random."""
    light, heavy, share = ALLOYS[alloy]
    atoms = random_rotation(Icosahedron(light, 3), seed=seed)
    atoms.positions -= atoms.positions.mean(axis=0)
    heavy_ones = np.random.default_rng(seed).permutation(len(atoms))[: round(share * len(atoms))]
    atoms.symbols[heavy_ones] = heavy
    return atoms


def counted(atoms, alloy: str, *, dose_per_A2: float | None, spacing_deg: float, seed: int) -> tuple[int, str]:
    """The number of frames, and a line of the confusion table."""
    light, heavy, _ = ALLOYS[alloy]
    tilt_deg = np.arange(-RANGE_deg, RANGE_deg + 1, spacing_deg)
    series = simulate_tilt_series(
        atoms,
        microscope=NON_ABERRATED,
        tilt_deg=tilt_deg,
        shape=N_PIXELS,
        field_of_view_A=2 * float(np.linalg.norm(atoms.positions, axis=1).max()) + MARGIN_A,
        channelling=True,
        dose_per_A2=dose_per_A2,
        seed=seed,
    )
    try:
        model = fit_atoms(series)
        elements = model.elements((light, heavy), strict=False)
    except TsgError as refused:
        return len(series), f"      -   {refused}"
    distance_A, of = cKDTree(atoms.positions).query(model.positions_A)
    true = np.array(atoms.get_chemical_symbols())[of]
    true[distance_A > 0.5] = "none"
    pairs = [
        f"{a} -> {b} {n}"
        for a in (light, heavy, "none")
        for b in (light, heavy)
        if (n := int(((true == a) & (elements.symbols == b)).sum()))
    ]
    warned = "  [warned: not told apart]" if elements.remark else ""
    return len(series), f"{len(model):7d}   {', '.join(pairs)}{warned}"


if __name__ == "__main__":
    main()
