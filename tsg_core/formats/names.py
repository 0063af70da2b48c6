"""Tilt angles in the names of files."""

import re
from collections.abc import Sequence

import numpy as np

_NUMBER = re.compile(
    r"(?P<sign>(?<![0-9])[+-])?(?P<digits>\d+(?:[.,]\d+)?)(?P<unit>\s*(?:degrees|degree|deg|°))?", re.IGNORECASE
)
_STEEPEST_deg = 90


def angles_in_names(names: Sequence[str]) -> tuple[np.ndarray | None, str]:
    """The angles in degrees that names (without suffix) state, like `tilt_-12.0`, `+12deg`; else None, and why.

    All names must hold the same count of numbers. The angle is the number that differs from name to name, never
    repeats, lies within 90 degrees and has a unit of degrees; where no number has one, a number with a sign or with
    decimals. A hyphen before every one of the numbers, as in `frame-01`, joins words and is no sign.
    """
    found = [list(_NUMBER.finditer(name)) for name in names]
    if len({len(numbers) for numbers in found}) != 1:
        return None, "the names of the files hold different counts of numbers"
    columns = [column for column in map(_angles, zip(*found, strict=True)) if column is not None]
    with_unit = [angles for angles, has_unit in columns if has_unit]
    candidates = with_unit or [angles for angles, _ in columns]
    if len(candidates) == 1:
        return candidates[0], ""
    what = "several numbers" if candidates else "no number"
    return None, f"the names of the files hold {what} that can be an angle (like _-12.0_ or -12deg)"


def _angles(numbers: Sequence[re.Match]) -> tuple[np.ndarray, bool] | None:
    """The numbers at one place of all names, where they can be angles, and whether they have a unit."""
    signs = [number["sign"] or "" for number in numbers]
    has_unit = all(number["unit"] for number in numbers)
    has_decimals = any(not number["digits"].isdigit() for number in numbers)
    is_joined = all(sign == "-" for sign in signs) and not has_unit and not has_decimals
    if is_joined or not (has_unit or has_decimals or any(signs)):
        return None
    angles = np.array(
        [float(sign + number["digits"].replace(",", ".")) for sign, number in zip(signs, numbers, strict=True)]
    )
    if len(set(angles)) < len(angles) or np.abs(angles).max() > _STEEPEST_deg or len(angles) < 2:
        return None
    return angles, has_unit
