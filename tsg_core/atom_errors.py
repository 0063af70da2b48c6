"""How sure a fit of atoms is, judged by how far the frames agree among themselves.

Each frame pulls at each atom's position and weight; at the best fit the pulls cancel. Their spread over the frames, and
the curvature of the sum of squares, give standard errors (the sandwich formula: Huber, Proc. 5th Berkeley Symp. 1, 221,
1967; a jackknife over frames to first order). They count noise and whatever the model lacks alike, as long as that
differs from frame to frame. The curvature is that of atoms which do not overlap.
"""

from dataclasses import dataclass

import numpy as np
from scipy import stats

from .atom_fit import AtomFrames, Parameters

FALSE_ALARMS = 0.01  # false atoms that chance alone adds to a whole volume
PRIOR = 3  # how many times an atom's own error what is usual counts


@dataclass(frozen=True, kw_only=True)
class AtomErrors:
    """Standard errors of positions (n, 3) in angstrom and of the logarithm of weights (n,), and the frames' agreement.

    agreement  (n,) weights over their standard errors, in whose square the atom's own counts 1, what is usual `PRIOR`
    """

    position_A: np.ndarray
    log_weight: np.ndarray
    agreement: np.ndarray


def atom_errors(frames: AtomFrames, p: Parameters, *, features=None) -> AtomErrors:
    """Standard errors of a fit that has converged."""
    pulls = frames.scores(p, features=features).cpu().double().numpy()
    spot, slope = frames.renderer.overlap(float(p["sigma_A"]))
    weight = p["log_weight"].exp().cpu().double().numpy()
    n_tilt, tilt_rad = len(frames), np.deg2rad(frames.tilt_deg)
    small_sample = n_tilt / max(n_tilt - 1, 1)
    cos, sin, one = np.cos(tilt_rad), np.sin(tilt_rad), np.ones(n_tilt)
    # from column and row to x, y, z
    axes = np.stack([np.stack([cos, 0 * one, sin]), np.stack([0 * one, one, 0 * one])])
    along = np.einsum("tna,ait->tni", pulls[..., :2], axes)
    spread = np.einsum("tni,tnj->nij", along, along) * small_sample
    inverse = np.linalg.pinv(np.einsum("ait,ajt->ij", axes, axes))
    variance = np.einsum("ij,njk,ki->ni", inverse, spread, inverse) / (slope * weight[:, None] ** 2) ** 2
    asked = pulls[..., 2] / (spot * weight)  # by how much each frame would have the weight lower
    own = asked.var(axis=0) * small_sample
    return AtomErrors(
        position_A=np.sqrt(variance),
        log_weight=np.sqrt(own / n_tilt) / weight,
        agreement=weight / np.sqrt((own + PRIOR * np.median(own)) / (1 + PRIOR) / n_tilt + 1e-30),
    )


def least_agreement(n_frames: int, *, n_places: int) -> float:
    """The agreement that chance reaches at so many places `FALSE_ALARMS` times: Student's t, by Bonferroni.

    What is usual adds its degrees of freedom to the atom's own (Smyth, Stat. Appl. Genet. Mol. Biol. 3, 3, 2004).
    """
    return float(stats.t.isf(FALSE_ALARMS / max(n_places, 1), df=(1 + PRIOR) * max(n_frames - 1, 1)))
