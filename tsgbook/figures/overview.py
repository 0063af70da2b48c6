"""The figure on the first page and in the README: one particle of a finished run, from sparse frames to volumes."""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

from tsg_core.evaluation.metrics import image_metrics
from tsg_core.interpolation.densify import densify
from tsg_core.simulation.datasets import Dataset
from tsg_core.sparsity import midpoint_trios
from tsg_core.tools.files import replaced_when_whole

from .. import chapters
from ..artifacts import Artifacts
from ..experiments.frames_and_volumes import read_table
from ..experiments.summary import gain_over, over_particles
from . import plotting
from .shown import png_of

RATE = 6
METHODS = ("linear", "tsgnet", "reprojection")
MICROSCOPE = "non_aberrated"


def write_overview(store: Artifacts, path: Path) -> Path:
    """Draw a run's predicted frames, gains over linear interpolation and volumes into a PNG.

    Raises TsgError if an artifact of the run is missing.
    """
    plotting.use_book_style()
    figure, axes = plt.subplots(2, 6, figsize=(11, 4.3))
    _frames(axes[0], store)
    _volumes(axes[1, :4], store)
    for axis in axes[1, 4:]:
        axis.remove()
    _gains(figure.add_subplot(axes[1, 4].get_gridspec()[1, 4:]), store)
    path.parent.mkdir(parents=True, exist_ok=True)
    with replaced_when_whole(path, overwrite=True) as (partial,):
        partial.write_bytes(png_of(figure, dpi=130, tight=False))
    return path


def _frames(axes, store: Artifacts) -> None:
    """Two measured frames, the true frame half-way between them, and three predictions of it."""
    series = Dataset(store.path(chapters.series_name("test", MICROSCOPE)))[0]
    trios = midpoint_trios(len(series), rate=RATE, offset=0)
    before, middle, after = trios[len(trios) // 3]
    measured = series.subset(np.union1d(trios[:, 0], trios[:, 2]))
    tilt_deg, truth, peak = series.tilt_deg, series.frames[middle], float(series.frames.max())
    pictures = [
        (f"measured, {tilt_deg[before]:.0f}°", series.frames[before]),
        (f"measured, {tilt_deg[after]:.0f}°", series.frames[after]),
        (f"truth, {tilt_deg[middle]:.0f}°", truth),
    ]
    for method in METHODS:
        guess = densify(measured, tilt_deg=tilt_deg[[middle]], method=method).frames
        psnr_dB = image_metrics(guess, truth[None], peak=peak).psnr_dB[0]
        pictures.append((f"{method}, {psnr_dB:.1f} dB", guess[0]))
    _pictures(axes, pictures, vmax=max(p.max() for _, p in pictures))


def _volumes(axes, store: Artifacts) -> None:
    """A slice across the tilt axis of the Reference, Sparse and both Mix volumes."""
    gap = store.provenance(chapters.EXAMPLE_VOLUMES)["parameters"]["gap"]
    with np.load(store.path(chapters.EXAMPLE_VOLUMES)) as volumes:
        slices = [
            (f"{name}" if name == "Reference" else f"{name}, gap {gap}", v[len(v) // 2]) for name, v in volumes.items()
        ]
    _pictures(axes, slices, vmax=slices[0][1].max())


def _gains(axis, store: Artifacts) -> None:
    """Gain in PSNR over linear interpolation against the rate, averaged over the test particles."""
    table = read_table(store.path(chapters.FRAME_METRICS))
    gains = gain_over(table[table["microscope"] == MICROSCOPE], column="psnr_dB", of="method", baseline="linear")
    means = over_particles(gains, by=["method", "rate"], columns=["gain"])
    shown = means[means["method"].isin(["linear", "cubic", "tsgnet", "reprojection"])]
    plotting.plot_with_interval(axis, shown, x="rate", y="gain", by="method")
    axis.set_ylabel("dB over linear")
    axis.legend(fontsize=7)


def _pictures(axes, pictures, *, vmax: float) -> None:
    for axis, (title, picture) in zip(axes, pictures, strict=True):
        axis.imshow(picture, vmin=0, vmax=0.8 * vmax, cmap="gray")
        axis.set_title(title, fontsize=8)
        axis.set_axis_off()
