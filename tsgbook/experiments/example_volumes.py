"""Volumes of one particle, for the pictures of the book."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from tsg_core.reconstruction import sirt
from tsg_core.simulation.datasets import Dataset
from tsg_core.tilt_series import TiltSeries

from .arms import FILLS, mix, reference, sparse


def example_volumes(
    path: Path, series: TiltSeries, *, gap: int, method: str, n_iterations: int, checkpoint=None
) -> None:
    """Write Reference, Sparse and both Mix volumes of a series at a gap to an .npz file, named by their arms."""
    dense = {"Reference": reference(series), "Sparse": sparse(series, gap=gap)}
    for fill in FILLS:
        dense[f"Mix ({fill})"] = mix(series, gap=gap, fill=fill, method=method, checkpoint=checkpoint)
    np.savez_compressed(path, **{arm: sirt(s, n_iterations=n_iterations) for arm, s in dense.items()})


def example_slices(
    path: Path, data: Mapping[str, Dataset], *, gaps: Sequence[int], method: str, n_iterations: int, checkpoint=None
) -> None:
    """Write the middle slice across the tilt axis of the first particle of each data set to an .npz file (Fig. 4).

    Names are "microscope/arm/gap" with the arms Sparse and Mix (all); a gap of 1 is the Reference, in both arms.
    """
    slices = {}
    for microscope, dataset in data.items():
        full = dataset[0]
        row = full.frames.shape[1] // 2  # a tilt about y does not mix rows: one is enough
        for gap in gaps:
            known = sparse(full, gap=gap)
            dense = mix(full, gap=gap, method=method, checkpoint=checkpoint) if gap > 1 else known
            for arm, series in (("Sparse", known), ("Mix (all)", dense)):
                slices[f"{microscope}/{arm}/{gap}"] = sirt(_rows(series, row), n_iterations=n_iterations)[0]
    np.savez_compressed(path, **slices)


def read_slices(path: Path, microscope: str) -> dict[str, dict[int, np.ndarray]]:
    """The slices that `example_slices` wrote for one microscope: arm -> gap -> (n_z, n_x)."""
    found: dict[str, dict[int, np.ndarray]] = {}
    with np.load(path) as stored:
        for name in stored:
            of, arm, gap = name.split("/")
            if of == microscope:
                found.setdefault(arm, {})[int(gap)] = stored[name]
    return found


def _rows(series: TiltSeries, row: int) -> TiltSeries:
    return TiltSeries(series.frames[:, row : row + 1], series.tilt_deg, series.pixel_size_A, measured=series.measured)
