"""Bright-field frames, in which the object is dark, inverted so that the object is bright."""

from dataclasses import dataclass

import numpy as np

from ..tilt_series import TiltSeries
from ..vacuum import vacuum_of


@dataclass(frozen=True, kw_only=True)
class InvertReport:
    """The level (n_tilt,) beside the object, from which each frame was subtracted."""

    level: np.ndarray

    def __str__(self) -> str:
        low, high = self.level.min(), self.level.max()
        return (
            f"Turned the contrast: each frame is taken from its brightness beside the object, {low:.5g} to {high:.5g}."
        )


def invert(series: TiltSeries) -> tuple[TiltSeries, InvertReport]:
    """What the object removes from the beam: the brightness of each frame's vacuum minus the frame.

    In bright field this is proportional to the thickness if the object removes little (the Beer-Lambert law to first
    order). Where little intensity is left, thick parts come out too thin.
    """
    level = -vacuum_of(-series.frames).level
    report = InvertReport(level=level)
    frames = level.astype(np.float32)[:, None, None] - series.frames
    return series.noted(str(report), frames=frames, since={"intensity": "the contrast was turned"}), report
