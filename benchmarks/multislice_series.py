"""Multislice tilt series to test methods with: `python benchmarks/multislice_series.py` (an hour or two).

Each tilt is written as soon as it is finished, so that an interrupted call continues. The series are shipped as
`tsg_core/samples/multislice_series.npz` and read by `tsg_core.samples.multislice_series`.
"""

import time
from pathlib import Path

import click
import numpy as np

from tsg_core.microscope import MICROSCOPES
from tsg_core.samples.multislice_series import (
    FIELD_OF_VIEW_A,
    N_PIXELS,
    PARTICLES,
    SERIES_FILE,
    CONE_mrad,
    TILT_deg,
    packed,
    reference_atoms,
)
from tsg_core.simulation.multislice import frames_of_microscopes


@click.command()
@click.option("--work", "folder", default="artifacts/multislice_series", show_default=True, type=Path)
def main(folder):
    """Compute the missing tilts, those of wide spacings first, and pack the particles that are complete."""
    folder.mkdir(parents=True, exist_ok=True)
    order = sorted(range(len(TILT_deg)), key=lambda i: (i % 2, i))
    for i in order:
        for particle in PARTICLES:
            path = folder / f"{particle} {TILT_deg[i]:+.0f}.npz"
            if not path.exists():
                start = time.perf_counter()
                frames = both_microscopes(particle, TILT_deg[i])
                partial = path.with_suffix(".partial.npz")
                np.savez(partial, **frames)
                partial.rename(path)
                click.echo(f"{particle:22s} {TILT_deg[i]:5.0f} deg {time.perf_counter() - start:7.1f} s")
    arrays = {}
    for particle in PARTICLES:
        tilts = [np.load(folder / f"{particle} {tilt:+.0f}.npz") for tilt in TILT_deg]
        for microscope in MICROSCOPES:
            name = f"{particle}, {microscope}"
            arrays[name], arrays[f"{name}, peak"] = packed(np.stack([tilt[microscope] for tilt in tilts]))
    np.savez_compressed(SERIES_FILE, **arrays)
    click.echo(f"{SERIES_FILE}: {len(PARTICLES)} particles")


def both_microscopes(particle: str, tilt_deg: float) -> dict[str, np.ndarray]:
    """A frame (n_y, n_x) of each microscope; both have the same detector, so one detection matrix serves both."""
    return frames_of_microscopes(
        reference_atoms(particle),
        microscopes=MICROSCOPES,
        tilt_deg=tilt_deg,
        shape=(N_PIXELS, N_PIXELS),
        pixel_size_A=FIELD_OF_VIEW_A / N_PIXELS,
        box_A=FIELD_OF_VIEW_A,
        cone_mrad=CONE_mrad,
        slice_thickness_A=1.5,
        parametrization="kirkland",
        antialias=False,
    )


if __name__ == "__main__":
    main()
