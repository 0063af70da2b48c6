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
    pulls = frames.scores(p, features=features).cpu().double().numpy()
    spot, slope = frames.overlap(p)
    weight = p["log_weight"].exp().cpu().double().numpy()
    n_tilt, tilt_rad = len(frames), np.deg2rad(frames.tilt_deg)
    cos, sin, one = np.cos(tilt_rad), np.sin(tilt_rad), np.ones(n_tilt)
    # from column and row to x, y, z
    axes = np.stack([np.stack([cos, 0 * one, sin]), np.stack([0 * one, one, 0 * one])])
    inverse = np.linalg.pinv(np.einsum("ait,ajt->ij", axes, axes))
    leverage = np.einsum("ait,ij,ajt->ta", axes, inverse, axes).clip(max=MOST_LEVERAGE)
    shares = np.einsum("tna,ta,ait,ij->tnj", pulls[..., :2], 1 / (1 - leverage), axes, inverse)
    variance = _moderated((shares**2).sum(axis=0) / (slope * weight[:, None]) ** 2)
    asked = pulls[..., 2] / (spot * weight)  # by how much each frame would lower the weight
    own = _moderated(asked.var(axis=0, ddof=1) / n_tilt)
    return AtomErrors(position_A=np.sqrt(variance) / weight[:, None], log_weight=np.sqrt(own) / weight)


def least_agreement(n_frames: int, *, n_places: int, false_alarms: float) -> float:
    """The agreement that chance reaches `false_alarms` times among so many places: Student's t with Bonferroni.

    The usual variance adds its degrees of freedom to those of the atom (Smyth, Stat. Appl. Genet. Mol. Biol. 3, 3,
    2004).
    """
    chance = min(false_alarms / max(n_places, 1), 1.0)
    return float(stats.t.isf(chance, df=(1 + PRIOR) * max(n_frames - 1, 1)))


def _moderated(variance: np.ndarray) -> np.ndarray:
    """Variances of atoms (n, ...), shrunk towards their median."""
    return (variance + PRIOR * np.median(variance, axis=0)) / (1 + PRIOR) + 1e-30
