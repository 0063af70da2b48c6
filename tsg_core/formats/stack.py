"""The content of a file, before its angles are found and checked."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import TsgError
from .frames import Frames
from .lengths import in_angstrom


@dataclass(kw_only=True)
class Stack:
    """Frames in file order, and what the file says about them; None if it does not say.

    kind               the format's name, for prose
    angles_from        where in the file the angles stand
    no_angles          why there are none, where that is known already
    pixel_size_from    where the pixel size stands
    intensity_from     what was done to the numbers of the file on reading
    axis_deg           direction of the tilt axis from the vertical, as axis_from states it
    metadata           what a series had in memory, for the formats that keep it; None for a foreign file
    remarks            sentences for the history
    no_pixel_size      why there is no pixel size: the end of a sentence that begins with the file's name
    volume             why this looks like a volume and not like a series
    stated_range       least and greatest number of the frames as the file states them
    is_flagged_signed  what a flag says of the sign of bytes
    frame_names        of the files that the frames lie in, where each has its own
    repeats            how the files of one angle can be told apart, for prose
    """

    frames: Frames
    kind: str
    tilt_deg: np.ndarray | None = None
    angles_from: str = ""
    no_angles: str = ""
    pixel_size_A: float | None = None
    pixel_size_from: str = "the file"
    intensity_from: str = ""
    axis_deg: float | None = None
    axis_from: str = ""
    measured: np.ndarray | None = None
    metadata: dict[str, Any] | None = None
    remarks: tuple[str, ...] = ()
    no_pixel_size: str = "does not state its pixel size"
    volume: str = ""
    frame_names: tuple[str, ...] = ()
    repeats: str = ""
    stated_range: tuple[float, float] | None = None
    is_flagged_signed: bool | None = None

    def scale_pixels(self, sizes: Sequence[float], units: Sequence[str | None]) -> None:
        """Take the pixel size from the lengths and units of the two axes (y, x), or say why it cannot be taken."""
        if any(unit is None or str(unit).strip().lower() in _PIXEL_UNITS for unit in units):
            self.no_pixel_size = "states its pixel size in no unit of length"
            return
        lengths_A = [in_angstrom(size, unit) for size, unit in zip(sizes, units, strict=True)]
        if None in lengths_A:
            unknown = next(unit for unit, length in zip(units, lengths_A, strict=True) if length is None)
            self.no_pixel_size = f"states its pixel size in the unknown unit {str(unknown)!r}"
            return
        y_A, x_A = lengths_A
        if not (y_A > 0 and x_A > 0):
            return
        if not np.isclose(y_A, x_A, rtol=1e-3):
            raise TsgError(f"its pixels are {x_A:g} x {y_A:g} A; only square ones can be used")
        self.pixel_size_A = x_A


_PIXEL_UNITS = ("", "px", "pixel", "pixels", "<undefined>", "none")
