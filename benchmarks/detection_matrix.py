"""The multislice engine: `python benchmarks/detection_matrix.py abtem` or `cost`, on one thread.

`abtem` compares its values at random scan points with those of abTEM's multislice, equally sampled, and the times of a
frame (a minute). `cost` measures how the time grows with the box and with the thickness and fits a law (five minutes).
Times are the processor's. What costs the same for each scan point or plane wave is timed for some and multiplied.
"""

import time
from collections.abc import Callable
from dataclasses import replace

import abtem
import click
import numpy as np
import tables
import torch
from ase import Atoms
from ase.cluster import Icosahedron
from scipy.optimize import nnls

from tsg_core.microscope import MICROSCOPES, NON_ABERRATED, Microscope
from tsg_core.optics.pixels import PaddedFrame
from tsg_core.optics.probe import abtem_lens, clear_padding_A
from tsg_core.simulation.detection_matrix import DetectionMatrix, box_of, detection_matrix
from tsg_core.simulation.plane_waves import scattered, specimen_slices
from tsg_core.simulation.specimen import tilted_cell

N_PIXELS, TILT_deg, N_POINTS, N_WAVES = 64, 20.0, 48, 96
CONE_mrad, SLICE_A = 40.0, 1.5
BOXES_A = (12.0, 16.0, 20.0, 24.0, 32.0, 40.0)
SHELLS = (2, 3, 4, 5)  # of icosahedra: 13, 55, 147 and 309 atoms


@click.group()
def main():
    """Compare and time the multislice engine."""
    torch.set_num_threads(1)


def timed(function: Callable, *args, **options):
    start = time.process_time()
    return function(*args, **options), time.process_time() - start


def particle(shells: int) -> Atoms:
    atoms = Atoms(Icosahedron("Au", shells))
    atoms.cell, atoms.pbc = None, False
    atoms.positions -= atoms.positions.mean(axis=0)
    return atoms


@main.command()
@click.option("--sampling", "samplings_A", multiple=True, type=float, default=(0.1, 0.0625), show_default=True)
def abtem_multislice(samplings_A):
    """Values at random scan points and the time of a frame, beside abTEM's."""
    atoms = particle(2)
    print(f"{atoms.symbols}, frames of {N_PIXELS} x {N_PIXELS} px; one matrix serves both microscopes")
    print(f"sampling  {'microscope':15s} {'r':>9s} {'total':>7s} {'matrix':>8s} {'frame':>8s} {'abTEM':>9s}  ratio")
    rows = {}
    for sampling_A in samplings_A:
        options = {"sampling_A": sampling_A, "slice_thickness_A": SLICE_A}
        matrix, matrix_s = timed(detection_matrix, atoms, microscope=NON_ABERRATED, tilt_deg=TILT_deg, **options)
        field_A = matrix.box_A[1]
        places_A = np.random.default_rng(0).uniform(-field_A / 2, field_A / 2, size=(N_POINTS, 2))
        for name, microscope in MICROSCOPES.items():
            padding_A = clear_padding_A(microscope, field_A=field_A)
            frame = PaddedFrame(shape=(N_PIXELS,) * 2, pixel_size_A=field_A / N_PIXELS, padding_A=padding_A)
            _, frame_s = timed(matrix.frame, microscope, frame=frame)
            true, point_s = by_abtem(
                atoms, microscope, places_A, extent_A=field_A + 2 * padding_A, sampling_A=sampling_A
            )
            found = at_places(matrix, microscope, places_A, period_A=field_A + 2 * padding_A)
            r, total, abtem_s = np.corrcoef(found, true)[0, 1], found.sum() / true.sum(), point_s * N_PIXELS**2
            times = f"{matrix_s:6.1f} s {frame_s:6.1f} s {abtem_s:7.0f} s {abtem_s / (matrix_s + frame_s):5.0f}x"
            print(f"{sampling_A:6.4g} A  {name:15s} {r:9.6f} {total:7.4f} {times}")
            rows[f"{name}, {sampling_A:g} A"] = {"r": r, "matrix_s": matrix_s, "frame_s": frame_s, "abtem_s": abtem_s}
    tables.keep("detection_matrix", "a frame, processor seconds", rows)


main.add_command(abtem_multislice, "abtem")


def by_abtem(atoms: Atoms, microscope: Microscope, places_A: np.ndarray, *, extent_A: float, sampling_A: float):
    """abTEM's values at places (y, x) from the tilt axis, and seconds for each, in a box that holds the whole probe."""
    gpts = 2 * int(np.ceil(extent_A / sampling_A / 2))
    cell = tilted_cell(atoms, tilt_deg=TILT_deg, extent_A=(gpts * sampling_A,) * 2)
    lens = abtem_lens(replace(microscope, defocus_A=microscope.defocus_A + cell.cell[2, 2] / 2))
    with abtem.config.set({"diagnostics.progress_bar": False}):
        potential = abtem.Potential(cell, gpts=gpts, slice_thickness=SLICE_A, parametrization="lobato").build(
            lazy=False
        )
        detector = abtem.AnnularDetector(microscope.detector_inner_mrad, microscope.detector_outer_mrad)
        scan = abtem.CustomScan(places_A[:, ::-1] + gpts * sampling_A / 2)
        scanned, seconds = timed(
            lambda: abtem.Probe(**lens).scan(potential, scan=scan, detectors=detector).compute(scheduler="synchronous")
        )
    return np.asarray(scanned.array), seconds / len(places_A)


def at_places(matrix: DetectionMatrix, microscope: Microscope, places_A: np.ndarray, *, period_A: float) -> np.ndarray:
    spectrum = matrix.spectra([microscope], period_A=(period_A, period_A))[0].numpy()
    k = np.arange(-(len(spectrum) // 2), len(spectrum) // 2 + 1) / period_A
    along_y, along_x = (np.exp(2j * np.pi * k * places_A[:, [axis]]) for axis in (0, 1))
    return np.einsum("yx,py,px->p", spectrum, along_y, along_x, optimize=True).real


@main.command()
def cost():
    """Seconds of a tilt's matrix against the box and the number of slices, and the law."""
    rows = [parts(particle(2), box_A) for box_A in BOXES_A]
    rows += [parts(particle(shells), box_of(particle(shells), sampling_A=0.1)) for shells in SHELLS[1:]]
    slices, _, area, propagation_s, product_s, _ = np.array(rows, float).T
    print(f"{'box':>12s} {'slices':>6s} {'waves':>6s} {'propagation':>12s} {'product':>9s} {'frame, aberrated':>17s}")
    for row in rows:
        edge = f"{row[2] ** 0.5:.1f} A wide"
        frame = f"{row[5]:15.1f} s" if np.isfinite(row[5]) else ""
        print(f"{edge:>12s} {row[0]:6d} {row[1]:6d} {row[3]:10.1f} s {row[4]:7.1f} s {frame}")
    # a wave crosses a slice by two transforms of as many points as the box has; the product is the matrix's square
    # times the detector's pixels: both waves and pixels grow with the box's area
    terms = np.stack([area**2 * (2 * slices - 1), area**3], axis=1)
    total_s = propagation_s + product_s
    law, _ = nnls(terms / total_s[:, None], np.ones(len(rows)))  # relative errors count alike
    worst = np.abs(terms @ law / total_s - 1).max()
    ten_s = law * [1e4, 1e6]
    print(
        f"A box of 100 A2 takes {ten_s[0]:.3f} s for each transform of a slice and {ten_s[1]:.2f} s for the product, "
        f"others (area / 100 A2)^2 and ^3 times as much; measured times differ by up to {worst:.0%}"
    )
    law = {"transform_s": ten_s[0], "product_s": ten_s[1], "worst": worst}
    tables.keep("detection_matrix", "law for the area in 100 A2", {"matrix": law})


def parts(atoms: Atoms, box_A) -> tuple:
    """Number of slices and waves, area, and seconds of the propagation, the product and a frame."""
    box_A = box_A if np.ndim(box_A) else (box_A, box_A)
    options = {"sampling_A": 0.1, "slice_thickness_A": SLICE_A, "parametrization": "lobato", "antialias": False}
    slices = specimen_slices(atoms, microscope=NON_ABERRATED, tilt_deg=TILT_deg, extent_A=box_A, **options)
    radius = CONE_mrad * 1e-3 / NON_ABERRATED.wavelength_A
    y, x = (np.arange(-int(edge * radius), int(edge * radius) + 1) for edge in box_A)
    inside = (y[:, None] / box_A[0]) ** 2 + (x / box_A[1]) ** 2 <= radius**2
    waves = np.argwhere(inside) - [len(y) // 2, len(x) // 2]
    angles_mrad = slices.angles_mrad()
    on = (angles_mrad > NON_ABERRATED.detector_inner_mrad) & (angles_mrad < NON_ABERRATED.detector_outer_mrad)
    weights = torch.as_tensor(on, dtype=torch.float32)
    some = waves[np.linspace(0, len(waves) - 1, N_WAVES).astype(int)]
    list(scattered(slices, some[:8], weights=weights))
    found, some_s = timed(lambda: [block for _, block in scattered(slices, some, weights=weights)])
    propagation_s = some_s * len(waves) / N_WAVES
    amplitudes = torch.cat(found)[torch.arange(512) % N_WAVES]
    _, block_s = timed(lambda: amplitudes @ amplitudes.mH)
    product_s = block_s * (len(waves) / 512) ** 2 * 9 / 16  # the upper triangle in 8 blocks of rows
    frame_s = frame_seconds(waves, box_A) if len(waves) < 6000 else float("nan")
    return len(slices.transmission), len(waves), float(np.prod(box_A)), propagation_s, product_s, frame_s


def frame_seconds(waves: np.ndarray, box_A: tuple[float, float]) -> float:
    microscope = MICROSCOPES["aberrated"]
    matrix = DetectionMatrix(
        matrix=torch.zeros(len(waves), len(waves), dtype=torch.complex64),
        waves=waves,
        box_A=box_A,
        thickness_A=10.0,
        energy_keV=microscope.energy_keV,
        detector_mrad=(microscope.detector_inner_mrad, microscope.detector_outer_mrad),
        cone_mrad=CONE_mrad,
    )
    padding_A = clear_padding_A(microscope, field_A=max(box_A))
    frame = PaddedFrame(shape=(N_PIXELS,) * 2, pixel_size_A=max(box_A) / N_PIXELS, padding_A=padding_A)
    return timed(matrix.frame, microscope, frame=frame)[1]


if __name__ == "__main__":
    main()
