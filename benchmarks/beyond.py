"""Frames beyond the measured range, against multislice frames of the whole range: PSNR, intervals, atoms, volumes.

    python benchmarks/beyond.py                                   all series and ranges: an hour
    python benchmarks/beyond.py --only W --ranges 60 --no-atoms   one of them, without the method atoms: a minute

Every second frame of a shipped series is measured, one each six degrees, within a range; those beyond it are predicted
up to +-90 degrees. PSNR is the mean in dB over frames up to 12 degrees beyond the range, and over those farther away;
`edge` stands for the outermost measured frame, kept as it is. `held` is the fraction of true pixels inside the stated
90 % intervals, near and far. FSC is the mean Fourier shell correlation, up to 1 / A, of the SIRT volume with that of
all true frames, within 20 degrees of the middle of the wedge (the direction that no measured frame holds): of measured
frames alone, and with the predicted ones. Atoms are those fitted to the measured frames: found, false, and the root
mean square of their distances from the true places.
"""

import argparse
from dataclasses import replace

import numpy as np

from tsg_core.evaluation.atom_peaks import match_atoms
from tsg_core.evaluation.spectra import fourier_shell_correlation
from tsg_core.interpolation import densify_with_uncertainty
from tsg_core.interpolation.beyond import distance_deg
from tsg_core.interpolation.fitted_series import FittedSeries
from tsg_core.interpolation.methods import predict
from tsg_core.interpolation.uncertainty import coverage
from tsg_core.reconstruction import sirt
from tsg_core.samples.multislice_series import PARTICLES, reference_atoms, reference_series
from tsg_core.tilt_series import TiltSeries

METHODS = ("reprojection", "kriging", "atoms")
NEAR_deg = 12.0
FINEST_per_A = 1.0


def wedge_correlation(volume: np.ndarray, true: np.ndarray, *, voxel_size_A: float) -> float:
    """Mean shell correlation along z, the middle of the wedge."""
    found = fourier_shell_correlation(volume, true, voxel_size_A=voxel_size_A, direction=(0, 0, 1))
    return float(found.correlation[found.frequency_per_A <= FINEST_per_A].mean())


def row(particle: str, microscope: str, range_deg: float, methods: tuple[str, ...]) -> str:
    whole = reference_series(particle, microscope)
    whole = whole.subset(np.arange(0, len(whole), 2))
    inside = np.abs(whole.tilt_deg) <= range_deg
    measured = FittedSeries.of(whole.subset(np.flatnonzero(inside)))
    wedge = whole.subset(np.flatnonzero(~inside))
    near = distance_deg(wedge.tilt_deg, (-range_deg, range_deg)) <= NEAR_deg
    peak = float(whole.frames.max())

    def psnr_dB(frames: np.ndarray) -> str:
        dB = -10 * np.log10(((frames - wedge.frames) ** 2).mean(axis=(1, 2)) / peak**2)
        return f"{dB[near].mean():6.2f} {dB[~near].mean():6.2f}"

    kept = {}

    def predict_once(method: str, series: TiltSeries, tilt_deg: np.ndarray) -> np.ndarray:
        frames = predict(method, series, tilt_deg)
        if len(tilt_deg) == len(wedge) and np.array_equal(tilt_deg, wedge.tilt_deg):
            kept[method] = frames
        return frames

    found = densify_with_uncertainty(
        measured, tilt_deg=wedge.tilt_deg, methods=methods, predict_by=predict_once, extrapolate=True
    )
    cells = [psnr_dB(measured.frames[np.where(wedge.tilt_deg < 0, 0, -1)])]
    cells += [psnr_dB(kept[method]) if method in kept else f"{'-':>6} {'-':>6}" for method in METHODS]
    cells.append(psnr_dB(found.series.frames))
    held = [
        coverage(found.series.frames[of], found.sigma[of], wedge.frames[of], levels=(0.9,))[0.9] for of in (near, ~near)
    ]
    frames = np.empty_like(whole.frames)
    frames[inside], frames[~inside] = measured.frames, found.series.frames
    volumes = [sirt(series, n_iterations=60) for series in (whole, measured, replace(whole, frames=frames))]
    fsc = [wedge_correlation(v, volumes[0], voxel_size_A=whole.pixel_size_A) for v in volumes[1:]]
    atoms = f"{'-':>12}"
    if "atoms" in kept:
        true_A = reference_atoms(particle).positions
        match = match_atoms(measured.atoms.positions_A, true_A)
        atoms = f"{match.matched}/{len(true_A)} {match.invented} {match.rmsd_pm:.1f} pm"
    tested = found.beyond.tested_deg
    return (
        f"{particle:20} {microscope:13} {range_deg:4.0f} {len(measured):3} {' '.join(cells)} {tested:4.0f} "
        f"{held[0]:5.0%} {held[1]:5.0%} {fsc[0]:5.2f} {fsc[1]:5.2f} {atoms}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="part of the name of the particle")
    parser.add_argument("--microscopes", nargs="+", default=["non_aberrated", "aberrated"])
    parser.add_argument("--ranges", nargs="+", type=float, default=[60.0, 48.0, 30.0], metavar="DEG")
    parser.add_argument("--no-atoms", action="store_true", help="without the method atoms")
    options = parser.parse_args()
    methods = tuple(method for method in METHODS if not (options.no_atoms and method == "atoms"))
    heads = " ".join(f"{name:>13}" for name in ("edge near far", *METHODS, "auto"))
    print(f"{'series':20} {'microscope':13} {'+-':>4} {'n':>3} {heads} test  held  far   FSC    +  atoms, false, RMSD")
    for microscope in options.microscopes:
        for particle in PARTICLES:
            for range_deg in options.ranges:
                if options.only in particle:
                    print(row(particle, microscope, range_deg, methods), flush=True)


if __name__ == "__main__":
    main()
