"""Figures of the chapters: frames with scale bars, curves with intervals, particles and volumes in 3D."""

import matplotlib.pyplot as plt
import numpy as np
import plotly.graph_objects as go
from ase import Atoms
from ase.data import covalent_radii
from ase.data.colors import jmol_colors
from IPython.display import Markdown, display
from matplotlib.ticker import MaxNLocator
from skimage.measure import marching_cubes

from tsg_core.geometry import pixel_centres_A, tilted_positions
from tsg_core.pictures.slices import draw_scale_bar
from tsg_core.tilt_series import TiltSeries

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

# looks down on x and y from the front, slightly lowered so that the axis labels stay in the picture
CAMERA = {"eye": {"x": 1.2, "y": -1.6, "z": 0.65}, "center": {"x": 0, "y": 0, "z": -0.15}}


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


def say(text: str) -> None:
    """Show a sentence as prose; its numbers come from the run."""
    display(Markdown(text))


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


def show_plotly(figure: go.Figure) -> None:
    """Display an interactive figure in Jupyter and in the built book, which contains its own copy of plotly.js."""
    figure.update_layout(
        margin={"l": 0, "r": 0, "t": 40, "b": 60 if figure.layout.sliders else 0}, autosize=True, plot_bgcolor="white"
    )
    html = figure.to_html(
        full_html=False, include_plotlyjs=False, auto_play=False, config={"responsive": True, "displaylogo": False}
    )
    display({"application/vnd.plotly.v1+json": figure.to_plotly_json(), "text/html": html}, raw=True)


def particle_figure(atoms: Atoms, *, tilt_deg=(0.0,), title: str = "") -> go.Figure:
    """Atoms in 3D with the tilt axis and the beam; a slider turns the particle when several tilts are given."""
    positions_A = tilted_positions(atoms.positions, tilt_deg=tilt_deg)
    reach_A = 1.25 * np.abs(positions_A).max()
    frames = [go.Frame(name=f"{a:g}", data=[_spheres(atoms, p)]) for a, p in zip(tilt_deg, positions_A, strict=True)]
    arrows = [
        _line([0, 0], [-reach_A, reach_A], [0, 0], "tilt axis y", "#0072B2"),
        _line([0, 0], [0, 0], [reach_A, 0.8 * reach_A], "beam (along -z)", "#D55E00"),
    ]
    figure = go.Figure(data=[_spheres(atoms, positions_A[0]), *arrows], frames=frames if len(frames) > 1 else [])
    axis = {"range": [-reach_A, reach_A], "showbackground": False}
    figure.update_layout(
        title=title,
        height=460,
        legend={"x": 0, "y": 1},
        scene={
            "xaxis": {**axis, "title": "x (Å)"},
            "yaxis": {**axis, "title": "y (Å)"},
            "zaxis": {**axis, "title": "z (Å)"},
            "aspectmode": "cube",
            "camera": CAMERA,
        },
    )
    if len(frames) > 1:
        figure.update_layout(sliders=[_slider([f.name for f in frames], "tilt (deg): ")])
    return figure


def _spheres(atoms: Atoms, positions_A) -> go.Scatter3d:
    numbers = atoms.numbers
    colours = ["rgb({:.0f},{:.0f},{:.0f})".format(*(255 * jmol_colors[n])) for n in numbers]
    x, y, z = np.round(positions_A, 2).T
    marker = {"size": 16 * covalent_radii[numbers] / 1.36, "color": colours, "line": {"width": 1, "color": "#444"}}
    return go.Scatter3d(x=x, y=y, z=z, mode="markers", marker=marker, opacity=1, name=atoms.get_chemical_formula())


def _line(x, y, z, name: str, colour: str) -> go.Scatter3d:
    return go.Scatter3d(x=x, y=y, z=z, mode="lines", line={"width": 6, "color": colour}, name=name)


def _slider(names, prefix: str) -> dict:
    settings = {"mode": "immediate", "frame": {"duration": 0, "redraw": True}, "transition": {"duration": 0}}
    steps = [{"label": n, "method": "animate", "args": [[n], settings]} for n in names]
    return {"steps": steps, "currentvalue": {"prefix": prefix}, "pad": {"t": 10, "b": 25}}


def tilt_slider_figure(series: dict[str, TiltSeries], *, every: int = 1, title: str = "") -> go.Figure:
    """Tilt series with equal angles, side by side with one slider; 8-bit grey values, for display only."""
    first = next(iter(series.values()))
    top = max(s.frames.max() for s in series.values())
    grey = {k: np.clip(255 * s.frames / top, 0, 255).astype(np.uint8) for k, s in series.items()}
    n_y, n_x = first.frames.shape[1:]
    gap = np.full((n_y, max(2, n_x // 32)), 255, np.uint8)

    def strip(i):
        pictures = [part for g in grey.values() for part in (g[i], gap)][:-1]
        return go.Heatmap(z=np.hstack(pictures), zmin=0, zmax=255, colorscale="gray", showscale=False, hoverinfo="skip")

    chosen = range(0, len(first), every)
    frames = [go.Frame(name=f"{first.tilt_deg[i]:g}", data=[strip(i)]) for i in chosen]
    figure = go.Figure(data=[strip(0)], frames=frames)
    width = n_x + gap.shape[1]
    for k, name in enumerate(series):
        figure.add_annotation(x=k * width + n_x / 2, y=-0.5, text=name, showarrow=False, yanchor="bottom")
    figure.update_xaxes(visible=False, constrain="domain")
    figure.update_yaxes(visible=False, autorange="reversed", scaleanchor="x")
    figure.update_layout(title=title, height=340, sliders=[_slider([f.name for f in frames], "tilt (deg): ")])
    return figure


def isosurface_figure(
    volumes: dict[str, np.ndarray], *, levels: dict[str, float], voxel_size_A: float, title: str = ""
):
    """Surfaces of volumes (n_y, n_z, n_x) at their levels; a menu switches between them."""
    meshes = []
    for name, volume in volumes.items():
        vertices, faces, *_ = marching_cubes(volume, levels[name], step_size=max(1, volume.shape[0] // 48))
        y, z, x = (
            pixel_centres_A(n, pixel_size_A=voxel_size_A)[0] + v * voxel_size_A
            for n, v in zip(volume.shape, vertices.T, strict=True)
        )
        i, j, k = faces.T.astype(np.int32)
        x, y, z = (np.round(v, 2).astype(np.float32) for v in (x, y, z))
        light = {"ambient": 0.45, "diffuse": 0.7, "specular": 0.2}
        colour = "#999999" if name == "Reference" else COLOURS.get(name, "#0072B2")  # black would hide the shape
        meshes.append(
            go.Mesh3d(x=x, y=y, z=z, i=i, j=j, k=k, name=name, color=colour, lighting=light, visible=not meshes)
        )
    buttons = [
        {"label": m.name, "method": "update", "args": [{"visible": [other is m for other in meshes]}]} for m in meshes
    ]
    figure = go.Figure(meshes)
    axes = {f"{a}axis": {"title": f"{a} (Å)", "showbackground": False} for a in "xyz"}
    figure.update_layout(
        title=title,
        height=480,
        scene={**axes, "aspectmode": "data", "camera": CAMERA},
        updatemenus=[{"buttons": buttons, "x": 0, "xanchor": "left", "y": 1.0, "yanchor": "top"}],
    )
    return figure
