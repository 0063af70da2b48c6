"""What the numbers of a file mean, if it says so: a linear calibration, or that zero is white."""

import math

import numpy as np
import tifffile

from .frames import CalibratedFrames
from .stack import Stack

_WHITE_IS_ZERO = 0  # of TIFF's photometric interpretations
_STRAIGHT_LINE, _NONE_OF_IMAGEJ = 0, (None, 20)  # of ImageJ's functions of calibration
_LIMITS = (280, 281), (340, 341)  # tags of the least and greatest number, the second ones with a sign
_DM_OFFSET, _DM_SCALE = 65024, 65025  # tags that Digital Micrograph writes into TIFF files


def calibrate(stack: Stack, *, scale: float, offset: float, stated_by: str) -> None:
    """Let each number n of the frames mean scale * n + offset, as stated in the place `stated_by`."""
    if not (math.isfinite(scale) and math.isfinite(offset)) or scale == 0 or (scale, offset) == (1, 0):
        return
    dtype = stack.frames.dtype.name
    stack.frames = CalibratedFrames(stack.frames, scale, offset)
    times = {1.0: "n", -1.0: "-n"}.get(scale, f"{scale:.7g} n")
    line = f"{times} {'-' if offset < 0 else '+'} {abs(offset):.7g}" if offset else times
    stack.intensity_from = f"numbers n of {dtype}, read as {line} by {stated_by}"
    stack.remarks += (f"Numbers n of {dtype} were read as {line}, as {stated_by} says.",)


def calibrate_tiff(stack: Stack, file: tifffile.TiffFile) -> None:
    """The calibration of ImageJ or Digital Micrograph; without one, that zero is white; and the limits of numbers."""
    page = file.pages[0]
    imagej = (file.imagej_metadata or {}) if file.is_imagej else {}
    if imagej.get("cf") == _STRAIGHT_LINE:
        scale, offset = float(imagej.get("c1", 1)), float(imagej.get("c0", 0))
        calibrate(stack, scale=scale, offset=offset, stated_by="the calibration of ImageJ")
    elif imagej.get("cf") not in _NONE_OF_IMAGEJ:
        stack.remarks += ("The file has a calibration of ImageJ that is no straight line; it was passed over.",)
    elif _DM_SCALE in page.tags:
        scale, origin = float(page.tags.valueof(_DM_SCALE)), float(page.tags.valueof(_DM_OFFSET, 0))
        calibrate(stack, scale=scale, offset=-scale * origin, stated_by="the calibration of Digital Micrograph")
    elif page.photometric == _WHITE_IS_ZERO:
        _turn_white(stack, bits=page.bitspersample)
    for codes in _LIMITS:
        if all(code in page.tags for code in codes):
            least, greatest = (np.ravel(page.tags.valueof(code))[0] for code in codes)
            stack.stated_range = (float(least), float(greatest))


def _turn_white(stack: Stack, *, bits: int) -> None:
    """Reverse numbers in which zero is the brightest."""
    dtype = stack.frames.dtype
    if dtype.kind not in "iu":
        stack.remarks += ("The file says that zero is white, which was passed over: its numbers are no integers.",)
        return
    limits = np.iinfo(dtype)
    brightest = 2**bits - 1 if dtype.kind == "u" else limits.min + limits.max
    calibrate(stack, scale=-1, offset=brightest, stated_by="the tag that zero is white")
