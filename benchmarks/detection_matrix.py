"""Frames by the detection matrix and by abTEM's engines: `python benchmarks/detection_matrix.py` (two minutes).

abTEM's multislice of the wide probe is timed at a few scan points and scaled up, because all points cost the same.
"""

import time
from dataclasses import replace

import abtem
import numpy as np
from ase import Atoms

from tsg_core.microscope import MICROSCOPES, NON_ABERRATED
from tsg_core.optics.probe import abtem_lens, probe_radius_A
from tsg_core.simulation import simulate_tilt_series
from tsg_core.simulation.detection_matrix import detection_matrix
from tsg_core.simulation.multislice import tilted_cell

EXTENT_A, N_PIXELS, TILT_deg, SAMPLING_A, SLICE_A = 12.0, 48, 20.0, 0.0625, 1.5
N_POINTS = 32
ATOMS = Atoms("AuPtAg", positions=[[-1.2, 0.8, 2.0], [1.4, -0.9, -1.5], [0.3, 1.9, 0.4]])


def main() -> None:
    start = time.perf_counter()
    matrix = detection_matrix(
        ATOMS,
        microscope=NON_ABERRATED,
        tilt_deg=TILT_deg,
        extent_A=EXTENT_A,
        cone_mrad=36,
        gpts=round(EXTENT_A / SAMPLING_A),
        slice_thickness_A=SLICE_A,
        parametrization="lobato",
    )
    matrix_s = time.perf_counter() - start
    print(
        f"{ATOMS.symbols}, a frame of {N_PIXELS} x {N_PIXELS} px over {EXTENT_A:g} A; the matrix takes {matrix_s:.1f} s"
    )
    print(f"{'microscope':15s} {'frame from it':>14s} {'abTEM':>22s} {'ratio':>7s} {'correlation':>12s}")
    for name, microscope in MICROSCOPES.items():
        start = time.perf_counter()
        frame = matrix.frame(microscope, n_pixels=N_PIXELS)
        frame_s = time.perf_counter() - start
        if name == "aberrated":
            abtem_s, r, engine = multislice_points(microscope, matrix)
        else:
            start = time.perf_counter()
            options = {"engine": "prism", "interpolation": 1, "sampling_A": SAMPLING_A, "slice_thickness_A": SLICE_A}
            reference = simulate_tilt_series(
                ATOMS,
                microscope=microscope,
                tilt_deg=[TILT_deg],
                shape=N_PIXELS,
                field_of_view_A=EXTENT_A,
                **options,
            )
            abtem_s, engine = time.perf_counter() - start, "PRISM"
            r = np.corrcoef(frame.ravel(), reference.frames[0].ravel())[0, 1]
        ratio = abtem_s / (matrix_s + frame_s)
        print(f"{name:15s} {frame_s:12.1f} s {engine:>11s} {abtem_s:8.0f} s {ratio:6.0f}x {r:12.5f}")


def multislice_points(microscope, matrix) -> tuple[float, float, str]:
    """Seconds for a whole frame, and correlation at some points, by abTEM's multislice in a box that fits the probe."""
    extent_A = EXTENT_A + 2 * probe_radius_A(microscope, fraction=0.99)
    gpts = int(np.ceil(extent_A / SAMPLING_A / 2) * 2)
    cell = tilted_cell(ATOMS, tilt_deg=TILT_deg, extent_A=(extent_A, extent_A))
    pixels = np.random.default_rng(0).integers(N_PIXELS, size=(N_POINTS, 2))
    places = (pixels[:, ::-1] + 0.5) * EXTENT_A / N_PIXELS + (extent_A - EXTENT_A) / 2
    lens = abtem_lens(replace(microscope, defocus_A=microscope.defocus_A + matrix.thickness_A / 2))
    with abtem.config.set({"diagnostics.progress_bar": False}):
        potential = abtem.Potential(cell, gpts=gpts, slice_thickness=SLICE_A, parametrization="lobato").build(
            lazy=False
        )
        detector = abtem.AnnularDetector(microscope.detector_inner_mrad, microscope.detector_outer_mrad)
        start = time.perf_counter()
        values = abtem.Probe(**lens).scan(potential, scan=abtem.CustomScan(places), detectors=detector).compute().array
        seconds = time.perf_counter() - start
    scanned = matrix._scan(microscope, n_pixels=N_PIXELS, pixel_size_A=EXTENT_A / N_PIXELS)
    r = np.corrcoef(scanned[tuple(pixels.T)], values)[0, 1]
    return seconds * N_PIXELS**2 / N_POINTS, r, "multislice"


if __name__ == "__main__":
    main()
