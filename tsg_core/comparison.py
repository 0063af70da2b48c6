"""The experiments of the book: every method at every rate, every arm at every gap, a row for each.

Both functions fill a folder with one table; it is written after each particle, whole or not at all, so that an
interrupted experiment goes on with the particle it had reached.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from .arms import mix, sparse
from .datasets import Dataset
from .evaluation import compare_volumes, image_metrics
from .interpolation import densify
from .prediction import load_model
from .progress import track
from .reconstruction import sirt
from .sparsity import midpoint_trios
from .tilt_series import TiltSeries

TABLE = "table.csv"


def spread_offsets(period: int, *, n: int) -> np.ndarray:
    """At most n of the offsets 0..period-1, evenly spread."""
    return np.unique(np.linspace(0, period, min(n, period), endpoint=False).astype(int))


def frame_metrics(
    data: Mapping[str, Dataset],
    folder: Path,
    *,
    methods: Sequence[str],
    rates: Sequence[int],
    n_offsets: int,
    checkpoint: Path | None = None,
) -> None:
    """Write the errors of predicted midpoint frames (Table 1 and Fig. 2 of the paper) to `folder`.

    One row for each microscope, particle, rate and method: means of `mse`, `psnr_dB` and `ssim` over the predicted
    frames. `data` maps a microscope's name to its test set. The peak of PSNR and SSIM is the brightest pixel of the
    particle's full series.
    """
    network = load_model(checkpoint) if checkpoint else None

    def rows(microscope: str, name: str, series: TiltSeries) -> Iterator[dict]:
        for rate in rates:
            found = _midpoint_metrics(series, rate=rate, n_offsets=n_offsets, methods=methods, checkpoint=network)
            for method, metrics in found.items():
                yield {"microscope": microscope, "particle": name, "rate": rate, "method": method, **metrics}

    _write_particle_by_particle(data, folder, rows, label="predicting")


def _midpoint_metrics(series: TiltSeries, *, rate, n_offsets, methods, checkpoint) -> dict[str, dict[str, float]]:
    peak = float(series.frames.max())
    collected = {method: [] for method in methods}
    for offset in spread_offsets(2 * rate, n=n_offsets):
        trios = midpoint_trios(len(series), rate=rate, offset=int(offset))
        measured = series.subset(np.union1d(trios[:, 0], trios[:, 2]))
        for method in methods:  # on one and the same series, for which a volume is made only once
            guess = densify(measured, tilt_deg=series.tilt_deg[trios[:, 1]], method=method, checkpoint=checkpoint)
            collected[method].append(image_metrics(guess.frames, series.frames[trios[:, 1]], peak=peak))
    return {
        method: {k: float(np.concatenate([getattr(m, k) for m in found]).mean()) for k in ("mse", "psnr_dB", "ssim")}
        for method, found in collected.items()
    }


def volume_metrics(
    data: Mapping[str, Dataset],
    folder: Path,
    *,
    gaps: Sequence[int],
    n_offsets: int,
    mix_methods: Sequence[str],
    n_iterations: int,
    n_points: int,
    checkpoint: Path | None = None,
    seed: int = 0,
) -> None:
    """Write the distances of Sparse and Mix volumes from the Reference volume (Fig. 3 of the paper) to `folder`.

    One row for each microscope, particle, gap, offset, arm and method of the predicted frames. A gap of 1 compares the
    Reference object with a second sample of its own points: the floor that the sampling sets.
    """
    network = load_model(checkpoint) if checkpoint else None

    def rows(microscope: str, name: str, series: TiltSeries) -> Iterator[dict]:
        reference = sirt(series, n_iterations=n_iterations)

        def compared(volume, **labels):
            result = compare_volumes(volume, reference, voxel_size_A=series.pixel_size_A, n_points=n_points, seed=seed)
            return {"microscope": microscope, "particle": name, **labels, **vars(result)}

        yield compared(reference, gap=1, offset=0, arm="Reference", method="", n_frames=len(series))
        for gap in (g for g in gaps if g > 1):
            for offset in spread_offsets(gap, n=n_offsets):
                for arm, method, dense in arms_of(
                    series, gap=gap, offset=int(offset), mix_methods=mix_methods, checkpoint=network
                ):
                    volume = sirt(dense, n_iterations=n_iterations)
                    yield compared(volume, gap=gap, offset=offset, arm=arm, method=method, n_frames=len(dense))

    _write_particle_by_particle(data, folder, rows, label="reconstructing")


def arms_of(
    series: TiltSeries, *, gap: int, offset: int, mix_methods: Sequence[str], checkpoint
) -> Iterator[tuple[str, str, TiltSeries]]:
    """Arm, method and tilt series of Sparse and of each Mix at a gap and offset."""
    yield "Sparse", "", sparse(series, gap=gap, offset=offset)
    for method in mix_methods:
        for fill in ("midpoint", "all"):
            dense = mix(series, gap=gap, offset=offset, fill=fill, method=method, checkpoint=checkpoint)
            yield f"Mix ({fill})", method, dense


def read_table(folder: Path) -> pd.DataFrame:
    """The table of an experiment's folder."""
    return pd.read_csv(Path(folder) / TABLE, keep_default_na=False)


def _write_particle_by_particle(data: Mapping[str, Dataset], folder: Path, rows, *, label: str) -> None:
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    parts = [read_table(folder)] if (folder / TABLE).exists() else []
    done = {key for part in parts for key in zip(part["microscope"], part["particle"], strict=True)}
    work = {
        (microscope, f"{i} {name}"): i  # numbered: two particles of a set may be of one kind and size
        for microscope, dataset in data.items()
        for i, name in enumerate(dataset.names)
    }
    left = [key for key in work if key not in done]
    for microscope, name in track(left, label=label, total=len(work), done=len(work) - len(left)):
        series = data[microscope][work[microscope, name]]
        parts.append(pd.DataFrame(rows(microscope, name, series)))
        pd.concat(parts, ignore_index=True).to_csv(folder / f"{TABLE}.tmp", index=False)
        os.replace(folder / f"{TABLE}.tmp", folder / TABLE)
