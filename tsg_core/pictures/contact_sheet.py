"""A tilt series on one page: its frames, plots that show whether it is sound, and the conventions."""

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Circle
from matplotlib.ticker import MaxNLocator

from ..geometry import pixel_centres_A
from ..preparation.checks import centres_of_mass_px, totals
from ..tilt_series import TiltSeries
from .slices import NO_TICKS, draw_scale_bar

N_FRAMES = 24  # at most, evenly spaced
COLUMNS = 8
AXIS_COLOUR, MARK_COLOUR = "#56B4E9", "#D55E00"
CONVENTION = (
    "The tilt axis is vertical (dashed). A positive tilt moves what lies nearer to the electron source to the right. "
    "If your microscope counts the other way, change the sign of all angles; otherwise the volume is a mirror image."
)


def contact_sheet(series: TiltSeries, *, title: str = "", axis_shift_px: float = 0.0):
    """A figure of the frames of a series with their angles and the tilt axis, and plots to check the series by.

    The plots below the frames are the histogram, the mean intensity and the centre of mass of each frame, one row as a
    sinogram, and a picture of the sign convention of the angles. All frames share one grey scale, up to the 99.9th
    percentile.
    """
    shown = np.unique(np.linspace(0, len(series) - 1, min(N_FRAMES, len(series))).round().astype(int))
    rows = -(-len(shown) // COLUMNS)
    figure = Figure(figsize=(1.6 * COLUMNS, 1.75 * rows + 3.4), layout="constrained")
    above, below = figure.subfigures(2, 1, height_ratios=[1.75 * rows, 3.2])
    _frames(above, series, shown, rows=rows, axis_shift_px=axis_shift_px)
    axes = below.subplots(1, 5)
    _histogram(axes[0], series)
    light, centres_px = totals(series), centres_of_mass_px(series)
    axes[1].plot(series.tilt_deg, light, ".-", color="k", lw=0.8)
    axes[1].set(title="mean intensity", xlabel="tilt (deg)", ylim=(min(0, light.min()), 1.15 * max(light.max(), 1e-30)))
    axes[2].plot(centres_px, series.tilt_deg, ".-", color="k", lw=0.8)
    axes[2].axvline(axis_shift_px, color=AXIS_COLOUR, ls="--")
    axes[2].invert_yaxis()
    reach_px = max(2.0, 1.1 * np.abs(centres_px).max())
    axes[2].set(
        xlim=(-reach_px, reach_px),
        title="centre of mass: a smooth wave",
        xlabel="column from the middle (px)",
        ylabel="tilt (deg)",
    )
    _sinogram(axes[3], series)
    _convention(axes[4])
    for axis in axes:
        for text in (axis.title, axis.xaxis.label, axis.yaxis.label):
            text.set_fontsize(8)
        axis.tick_params(labelsize=7)
    below.supxlabel(CONVENTION, fontsize=8)
    figure.suptitle(title, fontsize=11)
    return figure


def _frames(figure, series: TiltSeries, shown: np.ndarray, *, rows: int, axis_shift_px: float) -> None:
    top = float(np.quantile(series.frames[shown], 0.999)) or 1.0
    low = min(0.0, float(np.quantile(series.frames[shown], 0.001)))
    axes = figure.subplots(rows, COLUMNS, squeeze=False, subplot_kw=NO_TICKS)
    n_x = series.frames.shape[2]
    for axis in axes.flat:
        axis.set_axis_off()
    for axis, i in zip(axes.flat, shown, strict=False):
        axis.imshow(series.frames[i], vmin=low, vmax=top, cmap="gray", interpolation="nearest")
        axis.axvline((n_x - 1) / 2 + axis_shift_px, color=AXIS_COLOUR, lw=0.8, ls="--")
        measured = "" if series.measured[i] else ", predicted"
        axis.set_title(f"{series.tilt_deg[i]:.4g}°{measured}", fontsize=8, color="k" if not measured else MARK_COLOUR)
    draw_scale_bar(axes[0, 0], series.frames.shape, series.pixel_size_A, colour="w")


def _histogram(axis, series: TiltSeries) -> None:
    axis.hist(series.frames.ravel()[:: max(1, series.frames.size // 1_000_000)], bins=100, color="0.4")
    axis.set(title="intensities", yscale="log", xlabel="intensity of a pixel")
    axis.xaxis.set_major_locator(MaxNLocator(4))


def _sinogram(axis, series: TiltSeries) -> None:
    columns_A = pixel_centres_A(series.frames.shape[2], pixel_size_A=series.pixel_size_A)
    middle = series.frames[:, series.frames.shape[1] // 2]
    axis.pcolormesh(columns_A, series.tilt_deg, middle, cmap="gray", shading="nearest", rasterized=True)
    axis.invert_yaxis()
    axis.set(title="middle row of every frame", xlabel="column x (Å)", ylabel="tilt (deg)")


def _convention(axis) -> None:
    """The specimen seen along the tilt axis: at a positive tilt, a point near the source moves to the right."""
    tilt_rad = np.deg2rad(35)
    axis.add_patch(Circle((0, 0), 1, fill=False, color="0.6", lw=0.8))
    axis.plot(0, 1, "o", color="0.6", ms=7)
    axis.plot(np.sin(tilt_rad), np.cos(tilt_rad), "o", color=MARK_COLOUR, ms=7)
    axis.plot(0, 0, "o", color=AXIS_COLOUR, ms=5)
    turn = {"arrowstyle": "->", "color": MARK_COLOUR, "connectionstyle": "arc3,rad=-0.3"}
    axis.annotate("", (np.sin(tilt_rad), np.cos(tilt_rad) + 0.12), (0, 1.12), arrowprops=turn)
    axis.annotate("", (0, -1.45), (0, 1.95), arrowprops={"arrowstyle": "->", "color": "0.3", "lw": 1.2, "ls": ":"})
    axis.text(0.08, 1.75, "beam, from the source", fontsize=7, color="0.3")
    axis.text(0.72, 0.95, "+35°", fontsize=8, color=MARK_COLOUR)
    axis.text(0.1, -0.22, "tilt axis y", fontsize=7, color=AXIS_COLOUR)
    axis.text(1.15, -1.3, "x", fontsize=8, ha="right")
    axis.annotate("", (1.2, -1.4), (-1.2, -1.4), arrowprops={"arrowstyle": "->", "color": "0.3"})
    axis.set(title="a positive tilt", xlim=(-1.5, 1.5), ylim=(-1.6, 2.1), aspect="equal")
    axis.set_axis_off()
