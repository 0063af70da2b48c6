"""Standard errors of a fit of atoms, judged by how well the frames agree with one another.

Each frame pulls at the position and weight of each atom; at the best fit the pulls cancel. Their spread over the frames
and the curvature of the sum of squares give standard errors (the sandwich formula: Huber, Proc. 5th Berkeley Symp. 1,
221, 1967; to first order a jackknife over frames). They include noise and also whatever the model lacks, as long as
that differs from frame to frame. The curvature is that of atoms that do not overlap.
"""

from dataclasses import dataclass

import numpy as np
from scipy import stats

from .least_squares import AtomFrames, Parameters

MIN_FRAMES = 5  # fewer leave positions along the beam open, and ghosts where rays of all frames seem to meet
PRIOR = 3  # weight of the usual variance, relative to the atom's own
MOST_LEVERAGE = 0.9


@dataclass(frozen=True, kw_only=True)
class AtomErrors:
    """Standard errors of positions (n, 3) in angstrom and of the logarithm of weights (n,).

    In their squares, the spread of the atom itself counts once and the usual spread `PRIOR` times, because a spread
    over a few frames may be small by chance.
    """

    position_A: np.ndarray
    log_weight: np.ndarray

    @property
    def agreement(self) -> np.ndarray:
        """How well the frames agree on each atom (n,): its weight divided by its standard error."""
        return 1 / self.log_weight


def atom_errors(frames: AtomFrames, p: Parameters, *, features=None) -> AtomErrors:
    """Standard errors of a converged fit.

    A frame that contributes much of what is known about a direction pulls the fit towards its own errors and so shows
    them less. Its pulls are therefore divided by one minus its leverage (MacKinnon and White, J. Econometrics 29, 305,
    1985, HC3).
    """
    seen = frames.seen(p)
    judged = seen.sum(axis=0) >= MIN_FRAMES
    weight = p["log_weight"].exp().cpu().double().numpy()
    pulls = frames.scores(p, features=features).cpu().double().numpy() * seen[..., None]
    position_A, log_weight = np.full((len(weight), 3), np.inf), np.full(len(weight), np.inf)
    if judged.any():
        spot, slope = frames.overlap(p)
        seen, pulls, weight = seen[:, judged], pulls[:, judged], weight[judged]
        n_seen = seen.sum(axis=0)
        inverse, shares = _shares(pulls[..., :2], seen, np.deg2rad(frames.tilt_deg))
        geometry = np.einsum("njj->nj", inverse)
        own = _moderated((shares**2).sum(axis=0) / geometry / (slope * weight[:, None]) ** 2)
        position_A[judged] = np.sqrt(own * geometry) / weight[:, None]
        asked = pulls[..., 2] / (spot * weight)  # by how much each frame would lower the weight
        scatter = ((asked - asked.sum(axis=0) / n_seen) ** 2 * seen).sum(axis=0) / (n_seen - 1)
        log_weight[judged] = np.sqrt(_moderated(scatter) / n_seen) / weight
    return AtomErrors(position_A=position_A, log_weight=log_weight)


def _shares(pulls: np.ndarray, seen: np.ndarray, tilt_rad: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Inverse curvatures (n, 3, 3) of places, and the steps (n_tilt, n, 3) to which pulls (n_tilt, n, 2) add up."""
    cos, sin, one = np.cos(tilt_rad), np.sin(tilt_rad), np.ones(len(tilt_rad))
    # from column and row to x, y, z
    axes = np.stack([np.stack([cos, 0 * one, sin]), np.stack([0 * one, one, 0 * one])])
    products = np.einsum("ait,ajt->tij", axes, axes)
    inverse = np.linalg.pinv(np.einsum("tn,tij->nij", seen.astype(float), products))
    leverage = np.einsum("ait,nij,ajt->tna", axes, inverse, axes, optimize=True).clip(max=MOST_LEVERAGE)
    return inverse, np.einsum("tna,ait,nij->tnj", pulls / (1 - leverage), axes, inverse, optimize=True)


def least_agreement(n_frames: int | np.ndarray, *, n_places: int, false_alarms: float) -> np.ndarray:
    """The agreement of so many frames that chance reaches `false_alarms` times among so many places.

    Student's t with Bonferroni's correction.

    The usual variance adds its degrees of freedom to those of the atom (Smyth, Stat. Appl. Genet. Mol. Biol. 3, 3,
    2004).
    """
    chance = min(false_alarms / max(n_places, 1), 1.0)
    return stats.t.isf(chance, df=(1 + PRIOR) * np.maximum(np.asarray(n_frames) - 1, 1))


def _moderated(variance: np.ndarray) -> np.ndarray:
    """Variances of atoms (n, ...), shrunk towards their median."""
    return (variance + PRIOR * np.median(variance, axis=0)) / (1 + PRIOR) + 1e-30
