"""Correction of frames that differ in brightness because the beam current drifted."""

from dataclasses import dataclass

import numpy as np

from ..errors import TsgError
from ..tilt_series import TiltSeries


@dataclass(frozen=True, kw_only=True)
class GainReport:
    """The gain (n_tilt,) by which each frame was divided."""

    gain: np.ndarray

    def __str__(self) -> str:
        return (
            f"Divided the frames by gains from {self.gain.min():.3f} to {self.gain.max():.3f}, "
            f"which vary by {100 * self.gain.std() / self.gain.mean():.1f} %."
        )


def even_gain(
    series: TiltSeries, *, degree: int | None = 1, field: tuple[slice, slice] | None = None
) -> tuple[TiltSeries, GainReport]:
    """Divide frames by the trend of their totals over the angle, with a mean gain of 1.

    degree  of the polynomial through the logarithms of the totals; None divides each frame by its own total
    field   rows and columns of the totals; whole frames by default

    Use this only if the background is removed and the object lies inside the field at all tilts; a film grows brighter
    with the tilt by itself. The total of a crystal really varies, near zone axes by tens of per cent. By default only a
    steady drift is removed for this reason; if the crystal varies more than the beam, leave the frames alone.
    Raises TsgError for a frame whose total is not positive.
    """
    rows, columns = field or (slice(None), slice(None))
    total = series.frames[:, rows, columns].sum(axis=(1, 2), dtype=np.float64)
    if (total <= 0).any():
        i = int(total.argmin())
        raise TsgError(
            f"frame {i} (tilt {series.tilt_deg[i]:g} deg) has a total of {total[i]:.4g}: nothing to scale by"
        )
    if degree is not None and not 0 <= degree < len(series):
        raise TsgError(f"a polynomial of degree {degree} does not fit {len(series)} frames")
    log_total = np.log(total)
    if degree is not None:
        trend = np.polynomial.Polynomial.fit(series.tilt_deg, log_total, degree)
        log_total = trend(series.tilt_deg)
    gain = np.exp(log_total)
    gain /= gain.mean()
    report = GainReport(gain=gain)
    frames = series.frames / gain.astype(np.float32)[:, None, None]
    return series.noted(str(report), frames=frames, since={"intensity": "the gain of the frames was evened"}), report
