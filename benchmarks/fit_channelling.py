"""Fit the channelling coefficients to the shipped multislice frames: `python benchmarks/fit_channelling.py` (a minute).

The frames of the training elements determine the coefficients and, left out one at a time, how strongly these are
shrunk towards zero. The frames of the test elements and of the other microscope only test the result.
"""

from datetime import date

import click
import numpy as np
import yaml
from scipy.optimize import least_squares

from tsg_core.optics.channelling import COEFFICIENTS_FILE, Channelling, strengths_of
from tsg_core.samples.multislice_frames import CASES, REFERENCE_MICROSCOPES, MultisliceFrame, case_series, stored_frame

LATERAL_A, DEPTH_A, SPREAD_A = (0.25, 0.5, 1.0), (3.0, 12.0, 1000.0), 0.3
RIDGES = (0.01, 0.02, 0.05, 0.1, 0.2)
NONE = ((0.0,) * len(DEPTH_A),) * len(LATERAL_A)
TERMS = Channelling(lateral_A=LATERAL_A, depth_A=DEPTH_A, above=NONE, below=NONE, spread=NONE[0], spread_A=SPREAD_A)
N_COEFFICIENTS = 2 * len(LATERAL_A) * len(DEPTH_A) + len(LATERAL_A)


class Sample:
    """A multislice frame, the image of each single atom, sharp and spread, and the features of its neighbourhood."""

    def __init__(self, case: MultisliceFrame):
        self.case = case
        atoms, microscope = case.atoms(), REFERENCE_MICROSCOPES[case.microscope]
        self.frame = stored_frame(case)[0].ravel().astype(float)
        self.sharp, self.spread = (self._images(sigma_A) for sigma_A in (0.0, SPREAD_A))
        self.features = TERMS.features(
            atoms.positions, strengths_of(np.array(atoms.get_chemical_symbols()), microscope)
        )

    def _images(self, sigma_A: float) -> np.ndarray:
        """Images (n_atoms, n_pixels) of the single atoms, blurred by a Gaussian like that of thermal displacements."""
        settings = {"engine": "incoherent", "thermal_displacement_A": sigma_A}
        alone = [case_series(self.case, only=[i], **settings).frames.ravel() for i in range(len(self.case.atoms()))]
        return np.array(alone, float)

    def image(self, coefficients: np.ndarray) -> np.ndarray:
        sharp, spread = TERMS.factors_of(self.features, coefficients)
        return sharp @ self.sharp + spread @ self.spread

    def residual(self, coefficients: np.ndarray) -> np.ndarray:
        return (self.image(coefficients) - self.frame) / np.linalg.norm(self.frame)

    def jacobian(self, coefficients: np.ndarray) -> np.ndarray:
        sharp, spread = TERMS.factors_of(self.features, coefficients)
        by_exponent = (sharp[:, None] * self.sharp + spread[:, None] * self.spread).T @ self.features
        grown = (sharp * (spread > 0))[:, None] * self.features[:, TERMS.spread_terms]
        return np.hstack([by_exponent, self.spread.T @ grown]) / np.linalg.norm(self.frame)

    def likeness(self, coefficients: np.ndarray) -> float:
        return float(np.corrcoef(self.frame, self.image(coefficients))[0, 1])


def fit(samples: list[Sample], *, ridge: float) -> np.ndarray:
    start = np.r_[np.zeros(N_COEFFICIENTS - len(LATERAL_A)), np.full(len(LATERAL_A), 0.1)]
    return least_squares(
        lambda q: np.concatenate([*(s.residual(q) for s in samples), ridge * q]),
        start,
        lambda q: np.concatenate([*(s.jacobian(q) for s in samples), ridge * np.eye(len(q))]),
        max_nfev=100,
    ).x


def left_out(samples: list[Sample], *, ridge: float) -> float:
    """Mean r of the frames, each with coefficients fitted to the others."""
    rest = [[s for s in samples if s is not one] for one in samples]
    return float(np.mean([one.likeness(fit(others, ridge=ridge)) for one, others in zip(samples, rest, strict=True)]))


@click.command()
@click.option("--write", is_flag=True, help="store the coefficients in the package")
def main(write):
    """Print r before and after, for the fitted frames and the others."""
    samples = [Sample(c) for c in CASES if not c.phonon_configurations and c.microscope != "printed_detector"]
    chosen = [s for s in samples if s.case.used_in_fit]
    scores = {ridge: left_out(chosen, ridge=ridge) for ridge in RIDGES}
    ridge = max(scores, key=scores.get)
    for value, score in scores.items():
        click.echo(f"ridge {value:5.3f}: left-out frames r {score:.4f}{'  <- taken' if value == ridge else ''}")
    coefficients = fit(chosen, ridge=ridge)
    rows = []
    for sample in samples:
        before, after = (sample.likeness(q) for q in (np.zeros(N_COEFFICIENTS), coefficients))
        use = "fitted to" if sample in chosen else "held out"
        click.echo(f"{sample.case.name:36s} {use:10s} r {before:.4f} -> {after:.4f}")
        rows.append(
            {"frame": sample.case.name, "use": use, "r_incoherent": round(before, 4), "r_channelling": round(after, 4)}
        )
    if write:
        n = N_COEFFICIENTS - len(LATERAL_A)
        above, below = coefficients[:n].round(4).reshape(2, len(LATERAL_A), len(DEPTH_A)).tolist()
        content = {
            "fitted": f"{date.today()} by benchmarks/fit_channelling.py, "
            f"ridge {ridge:g}, atoms at rest, {len(chosen)} frames",
            "lateral_A": list(LATERAL_A),
            "depth_A": list(DEPTH_A),
            "above": above,
            "below": below,
            "spread": coefficients[n:].round(4).tolist(),
            "spread_A": SPREAD_A,
            "frames": rows,
        }
        COEFFICIENTS_FILE.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
        click.echo(f"wrote {COEFFICIENTS_FILE}")


if __name__ == "__main__":
    main()
