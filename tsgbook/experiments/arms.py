"""The arms of the comparison: the series from which each volume is made.

Reference uses every frame, Sparse uses F_g^(o), and Mix uses F_g^(o) and predicted frames between them. With
`fill="midpoint"` one frame is predicted between each measured pair; the paper compares this with a series of equal
count that was measured twice as densely (`twice_as_dense`). With `fill="all"` a frame is predicted at every angle of
the full series inside the measured range.
"""

import numpy as np

from tsg_core.errors import TsgError
from tsg_core.interpolation.densify import densify
from tsg_core.sparsity import sparse_indices
from tsg_core.tilt_series import TiltSeries

FILLS = ("midpoint", "all")


def reference(full: TiltSeries) -> TiltSeries:
    """All frames."""
    return full


def sparse(full: TiltSeries, *, gap: int, offset: int = 0) -> TiltSeries:
    """F_g^(o): every `gap`-th frame, starting at `offset`. Raises TsgError as `sparse_indices` does."""
    return full.subset(sparse_indices(len(full), gap=gap, offset=offset))


def mix(
    full: TiltSeries, *, gap: int, offset: int = 0, fill: str = "all", method: str = "linear", checkpoint=None
) -> TiltSeries:
    """F_g^(o) and the frames that `method` predicts from it, without using the frames of `full` in between.

    A midpoint is the mean angle of a measured pair, whether or not `full` has a frame there.
    Raises TsgError for an unknown fill, and as `sparse_indices` and `densify` do.
    """
    targets = filled_tilts(full, gap=gap, offset=offset, fill=fill)
    return densify(sparse(full, gap=gap, offset=offset), tilt_deg=targets, method=method, checkpoint=checkpoint)


def filled_tilts(full: TiltSeries, *, gap: int, offset: int = 0, fill: str = "all") -> np.ndarray:
    """Angles (n,) in degrees of `mix`, measured and predicted. Raises TsgError as `mix` does."""
    if fill not in FILLS:
        raise TsgError(f"fill={fill!r} is not known; choose one of {', '.join(FILLS)}")
    indices = sparse_indices(len(full), gap=gap, offset=offset)
    if fill == "midpoint":
        return _with_midpoints(full.tilt_deg[indices])
    return full.tilt_deg[indices[0] : indices[-1] + 1]


def twice_as_dense(full: TiltSeries, *, gap: int, offset: int = 0) -> TiltSeries:
    """Measured frames at all angles of `mix(..., fill="midpoint")`: the fair rival at equal count.

    Raises TsgError for an odd gap, whose midpoints fall between the frames of `full`.
    """
    indices = sparse_indices(len(full), gap=gap, offset=offset)
    if gap % 2:
        raise TsgError(f"gap={gap} must be even, so that a frame of the full series lies in the middle of each pair")
    return full.subset(np.arange(indices[0], indices[-1] + 1, gap // 2))


def _with_midpoints(tilt_deg: np.ndarray) -> np.ndarray:
    return np.sort(np.concatenate([tilt_deg, (tilt_deg[:-1] + tilt_deg[1:]) / 2]))
