"""Figures of the preparation: the series before and after each step."""

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from ..preparation.alignment import Alignment, AlignmentReport
from ..preparation.gain import GainReport
from ..preparation.hot_pixels import HotPixelReport
from ..preparation.known_alignment import KnownAlignmentReport
from ..preparation.steps import Preparation, Step
from ..preparation.transformation import moved_back, without_gauge
from ..reconstruction import sirt
from ..tilt_series import TiltSeries
from .slices import NO_TICKS


def hot_pixel_figure(before: TiltSeries, after: TiltSeries, *, report: HotPixelReport) -> Figure:
    """The frame with the most replaced pixels: before, after, and the difference."""
    counts = np.bincount(report.replaced[:, 0], minlength=len(before))
    i = int(counts.argmax())
    figure, axes = _row(3)
    vmin, vmax = np.quantile(after.frames[i], [0.001, 0.9999])
    for axis, frame, title in zip(axes, (before.frames[i], after.frames[i]), ("before", "after"), strict=False):
        axis.imshow(frame, vmin=vmin, vmax=vmax, cmap="gray")
        axis.set_title(f"{title}, {before.tilt_deg[i]:.1f}°")
    rows, columns = report.replaced[report.replaced[:, 0] == i, 1:].T
    axes[0].plot(columns, rows, "o", mfc="none", mec="#D55E00", ms=8)
    axes[2].imshow(before.frames[i] - after.frames[i], cmap="gray_r")
    axes[2].set_title(f"difference: {counts[i]} pixels")
    return figure


def background_figure(before: TiltSeries, after: TiltSeries, *, report) -> Figure:
    """The histogram of all pixels with the subtracted level, and the least tilted frame afterwards."""
    figure, axes = _row(2)
    low, high = np.quantile(before.frames, [0.0005, 0.995])
    axes[0].hist(before.frames.ravel(), bins=120, range=(low, high), color="#999999")
    axes[0].axvline(report.level.mean(), color="#D55E00", label=f"level {report.level.mean():.4g}")
    axes[0].set(xlabel="pixel before", ylabel="number", yscale="log")
    axes[0].legend()
    axes[0].set_axis_on()
    i = int(np.abs(after.tilt_deg).argmin())
    reach = 5 * report.sigma or None
    axes[1].imshow(after.frames[i], cmap="RdBu_r", vmin=reach and -reach, vmax=reach)
    axes[1].set_title("after: vacuum about zero")
    return figure


def gain_figure(before: TiltSeries, after: TiltSeries, *, report: GainReport) -> Figure:
    """Total intensity of the frames before and after, and the gain that divides them."""
    figure, (axis,) = _row(1)
    axis.set_axis_on()
    for series, label in ((before, "before"), (after, "after")):
        total = series.frames.sum(axis=(1, 2), dtype=np.float64)
        axis.plot(series.tilt_deg, total / total.mean(), "o-", ms=3, label=label)
    axis.plot(before.tilt_deg, report.gain, "k--", lw=1, label="gain")
    axis.set(xlabel="tilt (deg)", ylabel="total, relative to the mean")
    axis.legend()
    return figure


def alignment_figure(
    before: TiltSeries, after: TiltSeries, *, report: AlignmentReport | KnownAlignmentReport
) -> Figure:
    """The sinogram of the middle row and the mean over all tilts, before and after."""
    figure, axes = _row(4)
    states = ((before, "before", report.residual_before), (after, "after", report.residual_after))
    for pair, (series, label, residual) in zip((axes[:2], axes[2:]), states, strict=True):
        pair[0].set_axis_on()
        show_sinogram(series, axis=pair[0], title=f"{label}: residual {residual:.3f}")
        pair[1].imshow(series.frames.mean(axis=0), cmap="gray")
        pair[1].set_title(f"{label}: mean over tilts")
    return figure


def shift_figure(alignment: Alignment, *, true_shift_px=None) -> Figure:
    """Shifts along and across the axis against the angle, minus any translation of the object, with the true ones."""
    figure, axes = _row(2)
    tilt_deg, axis_deg = alignment.series.tilt_deg, alignment.axis_deg
    curves = [("found", alignment.shift_px, "o"), ("true", true_shift_px, "k-")]
    for label, shift_px, style in curves:
        if shift_px is not None:
            for axis, shift in zip(axes, without_gauge(shift_px, tilt_deg=tilt_deg, axis_deg=axis_deg).T, strict=True):
                axis.plot(tilt_deg, shift, style, ms=4, lw=1, label=label)
    for axis, name in zip(axes, ("along the tilt axis", "across it"), strict=True):
        axis.set_axis_on()
        axis.set(xlabel="tilt (deg)", ylabel="shift (px)", title=name)
    axes[0].legend()
    return figure


def axis_figure(before: TiltSeries, alignment: Alignment, *, row: int | None = None, n_iterations: int = 30) -> Figure:
    """A slice reconstructed from the frames as recorded, after shifts alone, and after shifts and axis.

    Unless `row` says otherwise, the slice lies half-way between the middle and the last row, because an inclined axis
    does no harm in the middle.
    """
    figure, axes = _row(3)
    row = 3 * before.frames.shape[1] // 4 if row is None else row
    shifted = moved_back(before.frames, shift_px=alignment.shift_px, axis_deg=0.0)
    kinds = {"as recorded": before.frames, "shifts alone": shifted, "shifts and axis": alignment.series.frames}
    for axis, (name, frames) in zip(axes, kinds.items(), strict=True):
        series = TiltSeries(frames[:, row : row + 1], before.tilt_deg, before.pixel_size_A)
        volume = sirt(series, n_iterations=n_iterations, non_negative=True, allow_negative=True)
        axis.imshow(volume[0], cmap="gray", vmin=0, vmax=np.quantile(volume[0], 0.999))
        axis.set_title(name)
    return figure


def step_figures(preparation: Preparation) -> dict[str, Figure]:
    """The figures of those steps that have one, by name."""
    figures: dict[str, Figure] = {}
    for step in preparation.steps:
        if step.name in ("align", "known alignment"):
            figures["alignment"] = alignment_figure(step.before, step.after, report=step.report)
        if step.name == "align":
            figures["shifts"] = shift_figure(preparation.alignment)
            figures["axis"] = axis_figure(step.before, preparation.alignment)
        elif draw := _of(step):
            figures[step.name] = draw(step.before, step.after, report=step.report)
    return figures


def _of(step: Step):
    if step.name == "hot pixels" and len(step.report.replaced) == 0:
        return None
    return {"hot pixels": hot_pixel_figure, "background": background_figure, "gain": gain_figure}.get(step.name)


def _row(n: int) -> tuple[Figure, np.ndarray]:
    """A figure outside pyplot, with axes side by side and without ticks."""
    figure = Figure(figsize=(2.9 * n + (1.6 if n == 1 else 0), 2.9), layout="constrained")
    axes = figure.subplots(1, n, squeeze=False, subplot_kw=NO_TICKS)[0]
    for axis in axes:
        axis.set_axis_off()
    return figure, axes


def show_sinogram(series: TiltSeries, *, row: int | None = None, axis=None, title: str = ""):
    """One row of every frame: columns across, tilts downwards. An atom traces a sine curve."""
    row = series.frames.shape[1] // 2 if row is None else row
    if axis is None:
        _, axis = plt.subplots(figsize=(4, 4.5))
    half_A = series.frames.shape[2] * series.pixel_size_A / 2
    edges_deg = np.interp(np.arange(len(series) + 1) - 0.5, np.arange(len(series)), series.tilt_deg)
    columns_A = np.linspace(-half_A, half_A, series.frames.shape[2] + 1)
    axis.pcolormesh(columns_A, edges_deg, series.frames[:, row], cmap="gray", rasterized=True)
    axis.invert_yaxis()
    axis.set(xlabel="column x (Å)", ylabel="tilt (deg)", title=title)
    return axis
