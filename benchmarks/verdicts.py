"""The automatic choice tested against the truth: does leaving out measured frames find the method that is best between?

    python benchmarks/verdicts.py                 all cases, half an hour
    python benchmarks/verdicts.py --only blobs    cases whose name contains a word

What is finished is kept in a file, so that the same command continues after an interruption; other code starts again.

The simulated cases are of many kinds: particles alone, 64 pixels wide, and films, lamellae, needles and particles on
carbon, which go on outside the frames, 40 pixels wide. Frames half-way between the measured ones are predicted and
compared with the true, noise-free frames: PSNR in dB, with the brightest pixel of the clean series as its peak; a dash
means that a method does not apply. `lost` tells by how much the chosen method (the one with the largest weight) falls
short of the best one; it `agrees` if that is at most 0.2 dB. `auto` is the blend that `tsg densify` writes; `blend`
tells by how much it is better than the best single method.
"""

import argparse
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from ase import Atoms
from kept import Kept
from scipy.ndimage import gaussian_filter

from tsg_core.errors import TsgError
from tsg_core.evaluation import image_metrics
from tsg_core.interpolation.choice import CANDIDATES, predict_automatically
from tsg_core.interpolation.fitted_series import FittedSeries
from tsg_core.interpolation.methods import predict
from tsg_core.microscope import MICROSCOPES
from tsg_core.optics.probe import probe_radius_A
from tsg_core.reconstruction.projection import project
from tsg_core.simulation import simulate_tilt_series
from tsg_core.simulation.noise import with_dose, with_drift
from tsg_core.structures import (
    film,
    lamella,
    needle,
    on_carbon,
    random_rotation,
    test_particles,
    training_particles,
    width_seen_A,
)
from tsg_core.tilt_series import TiltSeries

PIXELS = 64
FIELD_A = 20.0
EXTENDED_PIXELS, EXTENDED_FIELD_A = 40, 13.0
AGREES_dB = 0.2
SHARP = "non_aberrated"
CODE = ("tsg_core.interpolation.choice", "tsg_core.simulation.series")


@dataclass(frozen=True, kw_only=True)
class Case:
    """A sample of an element, or "blobs"; the measured angles; the effects of microscope and dose.

    `sample` is a particle, alone or on-carbon, a film, crystal-film, lamella or needle, `thickness_A` thick.
    """

    name: str
    element: str
    measured_deg: np.ndarray
    microscope: str = "aberrated"
    dose_per_A2: float | None = None
    channelling: bool = False
    drift_A: float = 0.0
    sample: str = "particle"
    thickness_A: float = 14.0


def every(step_deg: float, *, to_deg: float = 90.0) -> np.ndarray:
    return np.arange(-to_deg, to_deg + 1e-6, step_deg)


IRREGULAR_deg = np.cumsum(np.append(-66.0, np.random.default_rng(3).uniform(2.0, 10.0, 21)))
CASES = (
    Case(name="Pt, dense", element="Pt", measured_deg=every(2, to_deg=24)),
    Case(name="Ag, 1e6 e/A2", element="Ag", measured_deg=every(6, to_deg=72), microscope=SHARP, dose_per_A2=1e6),
    Case(name="Au, 1e4 e/A2", element="Au", measured_deg=every(6, to_deg=72), dose_per_A2=1e4),
    Case(name="Cu, 1e5 e/A2, wide steps", element="Cu", measured_deg=every(12), microscope=SHARP, dose_per_A2=1e5),
    Case(name="Ir, 1e3 e/A2", element="Ir", measured_deg=every(4, to_deg=60), microscope=SHARP, dose_per_A2=1e3),
    Case(name="Yb, missing wedge", element="Yb", measured_deg=every(10, to_deg=60), dose_per_A2=1e5),
    Case(name="Al, light, 1e4 e/A2", element="Al", measured_deg=every(5, to_deg=70), microscope=SHARP, dose_per_A2=1e4),
    Case(
        name="Pt, channelling",
        element="Pt",
        measured_deg=every(6, to_deg=72),
        microscope=SHARP,
        dose_per_A2=1e5,
        channelling=True,
    ),
    Case(name="Au, irregular angles", element="Au", measured_deg=IRREGULAR_deg, dose_per_A2=1e5),
    Case(name="Ag, eight frames", element="Ag", measured_deg=every(20, to_deg=70)),
    Case(name="Xe, dense, 1e3 e/A2", element="Xe", measured_deg=every(2, to_deg=24), dose_per_A2=1e3),
    Case(name="Cu, drift of a pixel", element="Cu", measured_deg=every(5, to_deg=60), dose_per_A2=1e5, drift_A=0.4),
    Case(name="blobs, 5 A pixels", element="blobs", measured_deg=every(3, to_deg=69), dose_per_A2=30),
    Case(name="blobs, wide steps", element="blobs", measured_deg=every(10, to_deg=70)),
    Case(name="Ta film", element="Ta", measured_deg=every(3, to_deg=60), microscope=SHARP, sample="film"),
    Case(
        name="Ta film, 1e4 e/A2",
        element="Ta",
        measured_deg=every(4, to_deg=60),
        microscope=SHARP,
        dose_per_A2=1e4,
        sample="film",
    ),
    Case(name="Au film, aberrated", element="Au", measured_deg=every(5, to_deg=60), dose_per_A2=1e5, sample="film"),
    Case(name="C film, wide steps", element="C", measured_deg=every(10, to_deg=60), microscope=SHARP, sample="film"),
    Case(
        name="W film, one crystal",
        element="W",
        measured_deg=every(6, to_deg=60),
        microscope=SHARP,
        dose_per_A2=1e5,
        sample="crystal-film",
    ),
    Case(
        name="Pt lamella, 1e5 e/A2",
        element="Pt",
        measured_deg=every(5, to_deg=55),
        microscope=SHARP,
        dose_per_A2=1e5,
        sample="lamella",
    ),
    Case(
        name="Al lamella, narrow wedge",
        element="Al",
        measured_deg=every(6, to_deg=36),
        microscope=SHARP,
        dose_per_A2=1e4,
        sample="lamella",
    ),
    Case(name="W needle", element="W", measured_deg=every(6), microscope=SHARP, sample="needle", thickness_A=9.0),
    Case(
        name="Cu needle, 1e4 e/A2",
        element="Cu",
        measured_deg=every(8, to_deg=80),
        microscope=SHARP,
        dose_per_A2=1e4,
        sample="needle",
        thickness_A=9.0,
    ),
    Case(
        name="Ag on carbon, 1e5 e/A2",
        element="Ag",
        measured_deg=every(6, to_deg=60),
        microscope=SHARP,
        dose_per_A2=1e5,
        sample="on-carbon",
    ),
)


def clean_series(case: Case, tilt_deg: np.ndarray) -> TiltSeries:
    """What a noise-free microscope would record of the object of a case."""
    if case.element == "blobs":
        rng = np.random.default_rng(0)
        volume = np.zeros((PIXELS,) * 3, np.float32)
        volume[tuple(rng.integers(16, PIXELS - 16, (3, 40)))] = rng.uniform(0.5, 2, 40)
        volume = gaussian_filter(volume, 3.0)
        return TiltSeries(project(volume, tilt_deg=tilt_deg), tilt_deg, 5.0)
    options = {"channelling": True} if case.channelling else {}
    alone = case.sample == "particle"
    return simulate_tilt_series(
        particle(case.element) if alone else extended(case),
        microscope=MICROSCOPES[case.microscope],
        tilt_deg=tilt_deg,
        shape=PIXELS if alone else EXTENDED_PIXELS,
        field_of_view_A=FIELD_A if alone else EXTENDED_FIELD_A,
        **options,
    )


def extended(case: Case) -> Atoms:
    """The sample of a case that goes on outside the frames, as far as the probe sees it at the highest tilt."""
    margin_A = probe_radius_A(MICROSCOPES[case.microscope])
    height_A = EXTENDED_FIELD_A + 2 * margin_A
    if case.sample == "needle":
        return needle(case.element, diameter_A=case.thickness_A, length_A=height_A, seed=1)
    below_A = case.thickness_A if case.sample != "on-carbon" else 2 * case.thickness_A + 13.0
    width_A = width_seen_A(
        field_of_view_A=EXTENDED_FIELD_A, thickness_A=below_A, tilt_deg=case.measured_deg, margin_A=margin_A
    )
    size = {"thickness_A": case.thickness_A, "width_A": width_A, "height_A": height_A, "seed": 1}
    if case.sample == "on-carbon":
        return on_carbon(particle(case.element), **size)
    if case.sample == "lamella":
        return lamella(case.element, damaged_A=3.0, **size)
    return film(case.element, crystalline=case.sample == "crystal-film", **size)


def particle(element: str) -> Atoms:
    many = training_particles(12, seed=5, diameter_A=(8, 13)) + test_particles(8, seed=5, diameter_A=(8, 13))
    atoms = next(a for a in many if a.info["element"] == element)
    return random_rotation(atoms, seed=len(atoms))


def scores(case: Case) -> tuple[dict[str, float], str, float]:
    """PSNR in dB of every applicable method and of `auto`; the chosen method; seconds."""
    targets_deg = (case.measured_deg[1:] + case.measured_deg[:-1]) / 2
    clean = clean_series(case, np.union1d(case.measured_deg, targets_deg))
    recorded = clean.subset(np.isin(clean.tilt_deg, case.measured_deg))
    if case.dose_per_A2 is not None:
        recorded = with_dose(recorded, dose_per_A2=case.dose_per_A2, seed=1)
    if case.drift_A:
        recorded = with_drift(recorded, sigma_A=case.drift_A, seed=1)
    truth = clean.subset(np.isin(clean.tilt_deg, targets_deg)).frames

    def psnr_dB(frames) -> float:
        return float(image_metrics(frames, truth, peak=float(clean.frames.max())).psnr_dB.mean())

    recorded = FittedSeries.of(recorded)
    begun_s = time.perf_counter()
    kept = {}

    def predict_once(method, series, tilt_deg):
        frames = predict(method, series, tilt_deg)
        if series is recorded:
            kept[method] = frames
        return frames

    automatic = predict_automatically(recorded, tilt_deg=targets_deg, predict_by=predict_once)
    seconds = time.perf_counter() - begun_s
    found = {}
    for method in automatic.choice.weights:
        try:
            frames = kept[method] if method in kept else predict(method, recorded, targets_deg)
            found[method] = psnr_dB(frames)
        except TsgError:
            continue
    return found | {"auto": psnr_dB(automatic.frames)}, automatic.choice.method, seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="part of the names of the cases")
    parser.add_argument("--kept", type=Path, default=Path("artifacts/verdicts.jsonl"), help="file of finished cases")
    options = parser.parse_args()
    finished = Kept(options.kept)
    methods = [*CANDIDATES, "auto"]
    head = " ".join(f"{m[:9]:>9}" for m in methods)
    print(
        f"{'case':26} {'frames':>6} {head} {'best':>12} {'chosen':>12} {'lost':>5} {'agrees':>6} {'blend':>6} {'s':>5}"
    )
    agreed, lost_dB, beaten_dB = [], [], []
    for case in (c for c in CASES if options.only in c.name):
        found, chosen, seconds = finished.of(str(case), lambda case=case: scores(case), modules=CODE)
        single = {m: v for m, v in found.items() if m != "auto"}
        best = max(single, key=single.get)
        lost_dB.append(single[best] - single[chosen])
        beaten_dB.append(found["auto"] - single[best])
        agreed.append(lost_dB[-1] <= AGREES_dB)
        cells = " ".join(f"{found[m]:9.2f}" if m in found else f"{'-':>9}" for m in methods)
        print(
            f"{case.name:26} {len(case.measured_deg):6} {cells} {best:>12} {chosen:>12} {lost_dB[-1]:5.2f} "
            f"{'yes' if agreed[-1] else 'no':>6} {beaten_dB[-1]:+6.2f} {seconds:5.1f}",
            flush=True,
        )
    print(
        f"the chosen method is within {AGREES_dB} dB of the best in {sum(agreed)} of {len(agreed)} cases; "
        f"lost by the choice: mean {np.mean(lost_dB):.2f} dB, at most {np.max(lost_dB):.2f} dB\n"
        f"the blend is no more than {AGREES_dB} dB below the best single method in "
        f"{np.sum(np.array(beaten_dB) >= -AGREES_dB)} of {len(agreed)}: mean {np.mean(beaten_dB):+.2f} dB, "
        f"at worst {np.min(beaten_dB):+.2f} dB"
    )


if __name__ == "__main__":
    main()
