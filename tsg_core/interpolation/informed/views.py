"""The input of the network of the method `informed` for an unmeasured frame.

The prior is the projection of an object fitted to all frames (`reprojection`). With it come what the object misses in
the four nearest measured frames, the difference between the interpolations and the prior and, if the frames show atoms,
the frame of the fitted atoms. Differences are divided by the size of what the object misses, so that one network serves
dense and sparse series.
"""

from dataclasses import dataclass

import numpy as np

from ...tilt_series import TiltSeries
from ..angles import cubic, linear, lower_neighbour
from ..atoms.fit import NotAtoms
from ..atoms.model import AtomModel
from ..fitted_series import FittedSeries
from ..large_series import AFFORDABLE_px
from ..reprojection import reprojection

CUBIC = 3  # channel of the cubic interpolation minus the prior
AROUND = slice(5, 9)  # channels of the residuals of the nearest frames, in ascending angle
PLACE = 9  # channel of the place between the two neighbours, which changes its sign when time is reversed
ATOMS = slice(16, 21)  # channels that are zero without atoms
ATOMS_AROUND = slice(19, 21)  # among them, what the atoms miss in the two neighbours
N_CHANNELS = ATOMS.stop
_SMALLEST_SPREAD = 0.05  # of the difference between linear interpolation and prior, in the scale of an exact fit
_RATIOS = (1e-2, 10.0)  # limits of the ratio of what atoms miss to the scale


@dataclass(frozen=True, eq=False, kw_only=True)
class Views:
    """The input of the network for n targets.

    prior     (n, n_y, n_x) the reprojection's frames, in the unit of the series
    channels  (n, N_CHANNELS, n_y, n_x) float32, see `views`
    scale     (n,) by which differences were divided, in the unit of the series
    """

    prior: np.ndarray
    channels: np.ndarray
    scale: np.ndarray


def views(
    series: TiltSeries,
    tilt_deg: np.ndarray,
    *,
    atoms: bool = True,
    prior: np.ndarray | None = None,
    drawn: np.ndarray | None = None,
) -> Views:
    """The views of the frames at `tilt_deg` (n,), made from all frames of `series`.

    The prior and the frames `drawn` of the object may be given.

    Channels: prior and object, over the brightest pixel; linear and cubic interpolation minus the prior, the carried
    residual, and the residuals of the four nearest frames in ascending angle, all over the scale; then, constant over
    the frame, t - 1/2, the logarithms of the spacing, of the scale and of the noise over the brightest pixel, the
    fraction of the residual that left-out frames confirm, the number of frames, and the width of the probe; finally the
    channels of the atoms (see `_of_atoms`), zero if there are none or, with `atoms=False`, not searched for.
    """
    series = FittedSeries.of(series)
    prior = reprojection(series, tilt_deg) if prior is None else prior
    fitted = series.object
    drawn = fitted.frames(tilt_deg) if drawn is None else drawn
    differences = np.stack([linear(series, tilt_deg) - prior, cubic(series, tilt_deg) - prior], axis=1)
    upper = lower_neighbour(series.tilt_deg, tilt_deg) + 1
    nearest = np.clip(upper[:, None] + np.arange(-2, 2), 0, len(series) - 1)
    around = series.missed(nearest)
    scale = _rms(around[:, 1:3]) + _SMALLEST_SPREAD * _rms(differences[:, :1]) + 1e-6 * series.intensity_scale
    peak = series.intensity_scale or 1.0
    below_deg, above_deg = series.tilt_deg[upper - 1], series.tilt_deg[upper]
    even = np.stack(
        [
            (tilt_deg - below_deg) / (above_deg - below_deg) - 0.5,
            np.log10((above_deg - below_deg) / 6),
            np.log10(scale / peak) / 2 + 1,
            np.full(len(tilt_deg), np.log10(np.sqrt(series.missed_noise) / peak + 1e-6) / 2 + 1),
            np.full(len(tilt_deg), series.residual_weights.mean()),
            np.full(len(tilt_deg), np.log10(len(series) / 20)),
            np.full(len(tilt_deg), 0.0 if fitted.blur is None else 1.0),
        ],
        axis=1,
    )
    model = atoms_of(series) if atoms else None
    channels = np.concatenate(
        [
            np.stack([prior, drawn], axis=1) / peak,
            np.concatenate([differences, (prior - drawn)[:, None], around], axis=1) / scale[:, None, None, None],
            _over_frames(even, prior.shape),
            _of_atoms(model, tilt_deg, prior, scale),
        ],
        axis=1,
    )
    return Views(prior=prior, channels=channels.astype(np.float32), scale=scale)


def atoms_of(series: TiltSeries) -> AtomModel | None:
    """The atoms that are fitted to a series, None where that does not apply or would take long."""
    if series.frames.size > AFFORDABLE_px:
        return None
    try:
        return FittedSeries.of(series).atoms
    except NotAtoms:
        return None


def _of_atoms(model: AtomModel | None, tilt_deg: np.ndarray, prior: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """Channels (n, 5, n_y, n_x) of the atoms.

    The frame of the atoms minus the prior, over the scale; a 1; the logarithm of the ratio of what the atoms miss in
    the two neighbouring frames to the scale; and what they miss there, over the scale times that ratio. Zero without a
    model.
    """
    if model is None:
        return np.zeros((len(prior), ATOMS.stop - ATOMS.start, *prior.shape[1:]))
    upper = lower_neighbour(model.series.tilt_deg, tilt_deg) + 1
    missed = model.residual[np.stack([upper - 1, upper], axis=1)]
    ratio = (_rms(missed) / scale).clip(*_RATIOS)
    even = np.stack([np.ones(len(tilt_deg)), np.log10(ratio)], axis=1)
    difference = (model.predict(tilt_deg) - prior)[:, None] / scale[:, None, None, None]
    return np.concatenate(
        [difference, _over_frames(even, prior.shape), missed / (scale * ratio)[:, None, None, None]], axis=1
    )


def _over_frames(values: np.ndarray, shape: tuple[int, int, int]) -> np.ndarray:
    """Values (n, n_channel), each constant over its frame: (n, n_channel, n_y, n_x)."""
    return np.broadcast_to(values[:, :, None, None], (*values.shape, *shape[1:]))


def _rms(frames: np.ndarray) -> np.ndarray:
    return np.sqrt((frames.astype(np.float64) ** 2).mean(axis=tuple(range(1, frames.ndim))))
