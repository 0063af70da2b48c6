"""Figures of the chapters: frames with scale bars, tilt series with a slider, curves with intervals."""

from collections.abc import Mapping

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.ticker import MaxNLocator

from tsg_core.pictures.slices import draw_scale_bar
from tsg_core.tilt_series import TiltSeries

from . import shown
from .shown import say as say
from .shown import show as show

# one colour for each method and arm in all chapters (Okabe and Ito's palette, safe for colour-blind readers)
COLOURS = {
    "linear": "#000000",
    "nearest": "#999999",
    "cubic": "#56B4E9",
    "flow": "#CC79A7",
    "sirt_reprojection": "#E69F00",
    "reprojection": "#009E73",
    "tsgnet": "#D55E00",
    "tsgnet published": "#0072B2",
    "tsgnet trained": "#F0E442",
    "Reference": "#000000",
    "Sparse": "#0072B2",
    "Mix (midpoint)": "#E69F00",
    "Mix (all)": "#D55E00",
    "Mix (midpoint) tsgnet": "#E69F00",
    "Mix (all) tsgnet": "#D55E00",
    "Mix (midpoint) linear": "#999999",
    "Mix (all) linear": "#CC79A7",
    "Mix (midpoint) reprojection": "#56B4E9",
    "Mix (all) reprojection": "#009E73",
}


def use_book_style() -> None:
    """Set Matplotlib up for every figure of the book; figures made without pyplot are shown in cells, too."""
    plt.switch_backend(plt.get_backend())  # else they appear as text until pyplot has drawn one
    plt.rcParams.update(
        {
            "figure.dpi": 110,
            "figure.constrained_layout.use": True,
            "font.size": 10,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.titlesize": 10,
            "legend.frameon": False,
            "image.cmap": "gray",
            "image.origin": "upper",
        }
    )


def show_frames(
    frames,
    titles,
    *,
    pixel_size_A: float,
    vmin=0.0,
    vmax=None,
    cmap="gray",
    colour_bar=None,
    columns: int | None = None,
):
    """Draw frames (n, n_y, n_x) side by side on one intensity scale, with a scale bar; returns the figure."""
    frames = np.asarray(frames)
    columns = columns or min(len(frames), 5)
    rows = -(-len(frames) // columns)
    figure, axes = plt.subplots(rows, columns, figsize=(1.9 * columns, 2.1 * rows), squeeze=False)
    vmax = frames.max() if vmax is None else vmax
    for axis in axes.flat:
        axis.set_axis_off()
    for axis, frame, title in zip(axes.flat, frames, titles, strict=False):
        picture = axis.imshow(frame, vmin=vmin, vmax=vmax, cmap=cmap)
        axis.set_title(title, fontsize=9)
    draw_scale_bar(axes.flat[0], frames.shape, pixel_size_A, colour="w" if cmap == "gray" else "k")
    if colour_bar:
        figure.colorbar(picture, ax=axes, label=colour_bar, shrink=0.8)
    return figure


def plot_with_interval(axis, table, *, x: str, y: str, by: str) -> None:
    """Plot the mean of `y` against `x`, a line for each value of `by`, with a band from `<y>_low` to `<y>_high`."""
    for name, rows in table.groupby(by, sort=False):
        rows = rows.sort_values(x)
        colour = COLOURS.get(name)
        (line,) = axis.plot(rows[x], rows[y], marker="o", ms=3, lw=1.4, label=name, color=colour)
        if f"{y}_low" in rows:
            axis.fill_between(rows[x], rows[f"{y}_low"], rows[f"{y}_high"], alpha=0.15, lw=0, color=line.get_color())
    axis.set_xlabel(x)
    axis.xaxis.set_major_locator(MaxNLocator(integer=True))


def show_tilts(
    series: Mapping[str, TiltSeries], caption: str, *, alt: str, every: int = 1, common_scale: bool = True
) -> None:
    """Show tilt series with equal angles side by side with one slider, from the angle nearest to zero on.

    The grey values, of 8 bits, are for display only: from zero to the brightest pixel of all series, or to that
    of each series if `common_scale` is false.
    """
    first = next(iter(series.values()))
    brightest = {name: float(s.frames.max()) for name, s in series.items()}
    if common_scale:
        brightest = dict.fromkeys(series, max(brightest.values()))
    chosen = np.arange(len(first))[::every]
    start = int(np.abs(first.tilt_deg[chosen]).argmin())
    gap = np.full((first.frames.shape[1], 2), 255, np.uint8)

    def parts(i):
        return [np.clip(255 * s.frames[i] / brightest[name], 0, 255).astype(np.uint8) for name, s in series.items()]

    names = [name.replace("_", "-") for name in series]
    shown.show_slider(
        [np.hstack([piece for part in parts(i) for piece in (gap, part, gap)]) for i in chosen],
        [f"{first.tilt_deg[i]:.4g}°" for i in chosen],
        caption,
        alt=alt,
        start=start,
        names=names,
        still=show_frames(parts(chosen[start]), names, pixel_size_A=first.pixel_size_A, vmax=255),
    )


def values_in_words(table, *, x: str, y: str, by: str) -> str:
    """The ends of each line that `plot_with_interval` draws, for readers who do not see it."""
    lines = []
    for name, rows in table.groupby(by, sort=False):
        ends = rows.groupby(x)[y].mean().sort_index().iloc[[0, -1]]
        lines.append(f"{name} {ends.iloc[0]:.3g} at {ends.index[0]:g}, {ends.iloc[1]:.3g} at {ends.index[1]:g}")
    return f"{y} by {x}: {'; '.join(lines)}."
