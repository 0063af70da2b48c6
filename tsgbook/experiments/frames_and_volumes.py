"""The experiments of the book: a row for every method at every rate, and for every arm at every gap.

Each function writes one table to a folder after each particle, whole or not at all, so that an interrupted experiment
continues with the particle it had reached.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Protocol

import numpy as np
from ase import Atoms

from tsg_core.evaluation.metrics import image_metrics
from tsg_core.interpolation.densify import densify
from tsg_core.microscope import Microscope
from tsg_core.model import shipped
from tsg_core.model.network import TSGNet
from tsg_core.reconstruction import sirt
from tsg_core.sparsity import midpoint_trios
from tsg_core.tilt_series import TiltSeries

from .arms import FILLS, filled_tilts, mix, sparse, twice_as_dense
from .tables import grow_table
from .tables import read_table as read_table
from .yardstick import Yardstick


class Particles(Protocol):
    """Tilt series of particles in one microscope, as `simulation.datasets.Dataset` holds them."""

    @property
    def names(self) -> list[str]: ...

    @property
    def microscope(self) -> Microscope: ...

    def __getitem__(self, i: int) -> TiltSeries: ...

    def atoms(self, i: int) -> Atoms: ...


def spread_offsets(period: int, *, n: int) -> np.ndarray:
    """At most n of the offsets 0..period-1, evenly spread."""
    return np.unique(np.linspace(0, period, min(n, period), endpoint=False).astype(int))


def frame_metrics(
    folder: Path,
    data: Mapping[str, Particles],
    *,
    methods: Sequence[str],
    rates: Sequence[int],
    n_offsets: int,
    networks: Mapping[str, TSGNet | str | Path] | None = None,
) -> None:
    """Write the errors of predicted midpoint frames (Table 1 and Fig. 2 of the paper) to `folder`.

    There is a row for each microscope, particle, rate and method: means of `mse`, `psnr_dB` and `ssim` over the
    predicted frames. `data` maps the name of a microscope to its test set. The peak of PSNR and SSIM is the brightest
    pixel of the particle's full series. `networks` maps names, which appear among the methods, to trained networks, in
    any form that `model.shipped.network` accepts.
    """
    predictors = {method: (method, None) for method in methods}
    predictors |= {name: ("tsgnet", shipped.network(checkpoint)) for name, checkpoint in (networks or {}).items()}

    def rows(dataset: Particles, i: int) -> Iterator[dict]:
        series = dataset[i]
        for rate in rates:
            found = midpoint_metrics(series, rate=rate, n_offsets=n_offsets, predictors=predictors)
            for method, metrics in found.items():
                yield {"rate": rate, "method": method, **metrics}

    write_particle_by_particle(data, folder, rows, label="predicting")


def midpoint_metrics(
    series: TiltSeries, *, rate: int, n_offsets: int, predictors: Mapping[str, tuple[str, TSGNet | None]]
) -> dict[str, dict[str, float]]:
    """Means of `mse`, `psnr_dB` and `ssim` over the midpoint frames of a series for each predictor: method, network."""
    peak = float(series.frames.max())
    collected = {name: [] for name in predictors}
    for offset in spread_offsets(2 * rate, n=n_offsets):
        trios = midpoint_trios(len(series), rate=rate, offset=int(offset))
        measured = series.subset(np.union1d(trios[:, 0], trios[:, 2]))
        for name, (method, model) in predictors.items():  # series by series: a series' volume is made only once
            guess = densify(measured, tilt_deg=series.tilt_deg[trios[:, 1]], method=method, checkpoint=model)
            collected[name].append(image_metrics(guess.frames, series.frames[trios[:, 1]], peak=peak))
    return {
        name: {k: float(np.concatenate([getattr(m, k) for m in found]).mean()) for k in ("mse", "psnr_dB", "ssim")}
        for name, found in collected.items()
    }


def volume_metrics(
    folder: Path,
    data: Mapping[str, Particles],
    *,
    gaps: Sequence[int],
    n_offsets: int,
    mix_methods: Sequence[str],
    n_iterations: int,
    n_points: int,
    n_particles: int | None = None,
    checkpoint: Path | None = None,
    seed: int = 0,
) -> None:
    """Measure the volumes of every arm (Fig. 3 of the paper); write the table to `folder`.

    The columns are those of `Yardstick.measure`. There is a row for each microscope, particle (the first
    `n_particles`), gap, offset, arm and method of the predicted frames. A gap of 1 compares the Reference object with a
    second sample of its own points, which shows the floor that the sampling sets.
    """
    network = shipped.network(checkpoint) if "tsgnet" in mix_methods else None

    def rows(dataset: Particles, i: int) -> Iterator[dict]:
        series = dataset[i]
        yardstick = yardstick_of(dataset, i, n_iterations=n_iterations, n_points=n_points, seed=seed)
        measured = {tuple(series.tilt_deg): yardstick.measure(yardstick.reference.volume)}  # from measured frames

        def metrics(dense: TiltSeries) -> dict:
            if not dense.measured.all():
                return yardstick.measure(sirt(dense, n_iterations=n_iterations))
            tilts = tuple(dense.tilt_deg)
            if tilts not in measured:
                measured[tilts] = yardstick.measure(sirt(dense, n_iterations=n_iterations))
            return measured[tilts]

        yield {"gap": 1, "offset": 0, "arm": "Reference", "method": "", "n_frames": len(series), **metrics(series)}
        for gap in (g for g in gaps if g > 1):
            for offset in spread_offsets(gap, n=n_offsets).tolist():
                found = arms_of(series, gap=gap, offset=offset, mix_methods=mix_methods, checkpoint=network)
                for names, method, dense in found:
                    row = {"n_frames": len(dense), **metrics(dense)}
                    for arm in names:
                        yield {"gap": gap, "offset": offset, "arm": arm, "method": method, **row}

    write_particle_by_particle(data, folder, rows, label="reconstructing", n_particles=n_particles)


def yardstick_of(dataset: Particles, i: int, *, n_iterations: int, n_points: int, seed: int) -> Yardstick:
    """The yardstick for volumes of particle i; its Reference is the SIRT volume of all frames."""
    series = dataset[i]
    return Yardstick(
        sirt(series, n_iterations=n_iterations),
        atoms=dataset.atoms(i),
        microscope=dataset.microscope,
        voxel_size_A=series.pixel_size_A,
        n_points=n_points,
        seed=seed,
    )


def arms_of(
    series: TiltSeries, *, gap: int, offset: int, mix_methods: Sequence[str], checkpoint
) -> Iterator[tuple[list[str], str, TiltSeries]]:
    """Arms, method and tilt series at a gap and offset: Sparse, Twice as dense (even gaps only) and each Mix.

    Fills with the same angles, as at a gap of 2, are two arms with one series.
    """
    yield ["Sparse"], "", sparse(series, gap=gap, offset=offset)
    if gap % 2 == 0:
        yield ["Twice as dense"], "", twice_as_dense(series, gap=gap, offset=offset)
    fills: dict[tuple, list[str]] = {}
    for fill in FILLS:
        tilts = filled_tilts(series, gap=gap, offset=offset, fill=fill).round(6)
        fills.setdefault(tuple(tilts), []).append(fill)
    for method in mix_methods:
        for same in fills.values():
            dense = mix(series, gap=gap, offset=offset, fill=same[0], method=method, checkpoint=checkpoint)
            yield [f"Mix ({fill})" for fill in same], method, dense


def write_particle_by_particle(
    data: Mapping[str, Particles],
    folder: Path,
    rows: Callable[[Particles, int], Iterator[dict]],
    *,
    label: str,
    n_particles: int | None = None,
) -> None:
    """Write the rows of each microscope's particles (the first `n_particles`) to the table in `folder`, one by one.

    `rows(dataset, i)` returns the rows of one particle; `microscope` and `particle` are put in front. Particles already
    in the table are skipped.
    """
    work = {
        (microscope, f"{i} {name}"): (microscope, i)  # numbered: two particles may be of one kind
        for microscope, dataset in data.items()
        for i, name in enumerate(dataset.names[:n_particles])
    }
    grow_table(folder, partial(_rows_of, rows, data), work, keys=["microscope", "particle"], label=label)


def _rows_of(rows: Callable[[Particles, int], Iterator[dict]], data: Mapping[str, Particles], microscope: str, i: int):
    return rows(data[microscope], i)
