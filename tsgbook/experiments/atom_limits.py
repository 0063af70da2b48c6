"""The limits of the method `atoms`: what it finds, compared with the true atoms, as one property of a series worsens.

The frames are the shipped PRISM frames, which the method's own model did not make. For displaced or missing atoms they
come from the fast engine with channelling. If the method refuses a series, nothing counts as found, and the reason is
kept.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pandas as pd
from ase import Atoms

from tsg_core.evaluation.atom_peaks import match_atoms
from tsg_core.interpolation.atoms.fit import AtomSettings, NotAtoms, fit_atoms
from tsg_core.interpolation.atoms.model import AtomModel
from tsg_core.microscope import NON_ABERRATED
from tsg_core.samples.multislice_series import prism_series
from tsg_core.simulation.noise import with_dose, with_tilt_error
from tsg_core.simulation.series import simulate_tilt_series
from tsg_core.tilt_series import TiltSeries

TABLE_FILE = Path(__file__).parent / "atom_limits.csv"
DOSES_PER_A2 = (1e2, 3e2, 1e3, 1e4, 1e5, 1e6)
SPACINGS_deg = (6, 12, 24, 36, 60, 90)
REACHES_deg = (90, 78, 60, 48, 30)  # 78 and 48: the angles with frames nearest to 75 and 45 degrees
TILT_ERRORS_deg = (0.0, 0.1, 0.5, 1.0, 2.0)
USUAL_STEP = 2  # keep every second shipped frame, one every 12 degrees, unless the spacing is varied
SURFACE = 0.8  # atoms beyond this fraction of the particle's radius are displaced


@dataclass(frozen=True, kw_only=True)
class Limit:
    """One series and its truth: the variable, its value, and any settings that are not the usual ones."""

    variable: str
    value: float
    series: TiltSeries
    true_A: np.ndarray
    settings: AtomSettings = field(default_factory=AtomSettings)
    variant: str = "usual"
    seed: int = 0

    @property
    def name(self) -> tuple:
        return self.variable, self.value, self.variant, self.seed


def prism_limits(*, seeds: int = 2) -> Iterator[Limit]:
    """Vary dose, spacing, missing wedge and errors of the tilt angles; frames are noise-free unless the dose varies.

    Random cases are repeated for each of `seeds` seeds.
    """
    whole, true_A = prism_series()
    usual = whole.subset(slice(None, None, USUAL_STEP))
    for seed in range(seeds):
        for dose_per_A2 in DOSES_PER_A2:
            noisy = with_dose(usual, dose_per_A2=dose_per_A2, seed=seed)
            yield Limit(variable="dose_per_A2", value=dose_per_A2, series=noisy, true_A=true_A, seed=seed)
        for sigma_deg in TILT_ERRORS_deg:
            wrong = with_tilt_error(usual, sigma_deg=sigma_deg, seed=seed)
            for variant, settings in (("usual", AtomSettings()), ("tilt_error", AtomSettings(tilt_error=True))):
                yield Limit(
                    variable="tilt_error_deg",
                    value=sigma_deg,
                    series=wrong,
                    true_A=true_A,
                    settings=settings,
                    variant=variant,
                    seed=seed,
                )
    for spacing_deg in SPACINGS_deg:
        sparse = whole.subset(slice(None, None, spacing_deg // 6))
        yield Limit(variable="spacing_deg", value=spacing_deg, series=sparse, true_A=true_A)
    for reach_deg in REACHES_deg:
        kept = whole.subset(np.abs(whole.tilt_deg) <= reach_deg)
        yield Limit(variable="reach_deg", value=reach_deg, series=kept, true_A=true_A)


def disturbed_limits(*, seeds: int = 2) -> Iterator[Limit]:
    """Vary vacancies and displacements of outer atoms in the particle of the PRISM series, by the fast engine."""
    usual, true_A = prism_series()
    for seed in range(seeds):
        rng = np.random.default_rng(seed)
        for n_missing in (0, 1, 4, 8):
            left_A = np.delete(true_A, rng.choice(len(true_A), n_missing, replace=False), axis=0)
            yield _disturbed("vacancies", n_missing, left_A, like=usual, seed=seed)
        radius_A = np.linalg.norm(true_A - true_A.mean(axis=0), axis=1)
        outer = radius_A > SURFACE * radius_A.max()
        for sigma_A in (0.1, 0.3, 0.6):
            moved_A = true_A + rng.normal(0, sigma_A, true_A.shape) * outer[:, None]
            yield _disturbed("displacement_A", sigma_A, moved_A, like=usual, seed=seed)


def _disturbed(variable: str, value: float, true_A: np.ndarray, *, like: TiltSeries, seed: int) -> Limit:
    series = simulate_tilt_series(
        Atoms(f"Yb{len(true_A)}", positions=true_A),
        microscope=NON_ABERRATED,
        tilt_deg=like.tilt_deg[::USUAL_STEP],
        shape=like.frames.shape[1:],
        field_of_view_A=like.frames.shape[2] * like.pixel_size_A,
        channelling=True,
    )
    return Limit(variable=variable, value=value, series=series, true_A=true_A, seed=seed)


def unjudged_limits() -> Iterator[Limit]:
    """The danger: the noisy series again, but keeping atoms whether or not the frames agree on them."""
    for limit in prism_limits(seeds=1):
        if limit.variable == "dose_per_A2":
            yield replace(limit, variant="unjudged", settings=AtomSettings(false_alarms=math.inf, least_weight=0.05))


def found_at(limit: Limit) -> dict[str, float | str]:
    """A row of the table: what was found, its stated errors, and the fraction of coordinates within these errors."""
    row = dict(zip(("variable", "value", "variant", "seed"), limit.name, strict=True))
    row |= {"n_true": len(limit.true_A), "n_frames": len(limit.series)}
    try:
        model = fit_atoms(limit.series, settings=limit.settings)
    except NotAtoms as refused:
        return row | {"recall": 0.0, "invented": 0, "refused": str(refused)}
    match = match_atoms(model.positions_A, limit.true_A)
    deviations_A, stated_A = deviations(model, limit.true_A)
    covered = {f"within_{n}_sigma": float(np.mean(np.abs(deviations_A) < n * stated_A)) for n in (1, 2, 3)}
    stated_pm = 100 * float(np.sqrt((stated_A**2).sum(axis=1).mean()))
    kept = {"recall": match.recall, "invented": match.invented, "rmsd_pm": match.rmsd_pm, "stated_pm": stated_pm}
    return row | kept | {"explained": model.explained} | covered


def deviations(model: AtomModel, true_A: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Deviations (n, 3) of found atoms from the true atoms they match, and their stated standard errors (n, 3)."""
    found, true = match_atoms(model.positions_A, true_A).pairs.T
    return model.positions_A[found] - true_A[true], model.position_error_A[found]


def limits_table() -> pd.DataFrame:
    """The shipped table; `benchmarks/atom_limits.py` makes it in minutes."""
    return pd.read_csv(TABLE_FILE)
