"""Particles and surfaces in 3D, to turn on a screen, each with a still picture for paper."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import plotly.graph_objects as go
from ase import Atoms
from ase.data import covalent_radii
from ase.data.colors import jmol_colors
from matplotlib.colors import LightSource
from matplotlib.figure import Figure
from mpl_toolkits.mplot3d.art3d import Poly3DCollection
from skimage.measure import marching_cubes

from tsg_core.geometry import pixel_centres_A, tilted_positions

from . import shown
from .plotting import COLOURS

# looks down on x and y from the front, slightly lowered so that the axis labels stay in the picture
CAMERA = {"eye": {"x": 1.2, "y": -1.6, "z": 0.65}, "center": {"x": 0, "y": 0, "z": -0.15}}
STILL = {"elev": 18, "azim": -53}  # the same for Matplotlib
MOST_TRIANGLES = 20_000  # of a surface: noise has many more, and every reader of the page loads them
GRID = 48  # about the number of voxels along each side of which a surface is made


def show_particle(atoms: Atoms, caption: str, *, alt: str, tilt_deg=(0.0,)) -> None:
    """Show atoms in 3D with the tilt axis and the beam; a slider turns the particle, from the tilt nearest to 0 on."""
    positions_A = tilted_positions(atoms.positions, tilt_deg=tilt_deg)
    first = int(np.abs(tilt_deg).argmin())
    reach_A = 1.25 * np.abs(positions_A).max()
    frames = [go.Frame(name=f"{a:g}", data=[_places(p)]) for a, p in zip(tilt_deg, positions_A, strict=True)]
    arrows = {
        "tilt axis y": ([0, 0], [-reach_A, reach_A], [0, 0], "#0072B2"),
        "beam (along -z)": ([0, 0], [0, 0], [reach_A, 0.8 * reach_A], "#D55E00"),
    }
    figure = go.Figure(
        data=[_spheres(atoms, positions_A[first]), *(_line(name, *arrow) for name, arrow in arrows.items())],
        frames=frames if len(frames) > 1 else [],
    )
    axis = {"range": [-reach_A, reach_A], "showbackground": False}
    scene = {f"{a}axis": {**axis, "title": f"{a} (Å)"} for a in "xyz"}
    figure.update_layout(height=460, legend={"x": 0, "y": 1}, scene={**scene, "aspectmode": "cube", "camera": CAMERA})
    if len(frames) > 1:
        figure.update_layout(sliders=[_slider([f.name for f in frames], active=first)])
    still, axis = _still_axis()
    _draw_atoms(axis, atoms, positions_A[first])
    for name, (x, y, z, colour) in arrows.items():
        axis.plot(x, y, z, color=colour, lw=2, label=name)
    axis.legend(fontsize=8, loc="upper left")
    shown.show_interactive(figure, caption, alt=alt, still=still)


def gallery(particles: Mapping[str, Atoms]) -> Figure:
    """Particles side by side, each with its title."""
    figure = plt.figure(figsize=(3 * len(particles), 3.2))
    for k, (title, atoms) in enumerate(particles.items()):
        axis = figure.add_subplot(1, len(particles), k + 1, projection="3d", computed_zorder=False)
        axis.view_init(**STILL)
        axis.set_axis_off()
        axis.set_title(title, fontsize=9)
        centred_A = atoms.positions - atoms.positions.mean(axis=0)
        _draw_atoms(axis, atoms, centred_A, size=9000 / np.abs(centred_A).max() ** 2)
        axis.set_box_aspect((1, 1, 1), zoom=1.5)
    return figure


def show_surfaces(
    volumes: Mapping[str, np.ndarray], caption: str, *, alt: str, levels: Mapping[str, float], voxel_size_A: float
) -> None:
    """Show surfaces of volumes (n_y, n_z, n_x) at their levels; a menu switches between them."""
    surfaces = {name: _surface(volume, levels[name], voxel_size_A) for name, volume in volumes.items()}
    meshes = []
    for name, (points_A, faces) in surfaces.items():
        x, y, z = np.round(points_A.T, 2).astype(np.float32)
        i, j, k = faces.T.astype(np.uint16 if len(points_A) < 2**16 else np.int32)
        light = {"ambient": 0.45, "diffuse": 0.7, "specular": 0.2}
        mesh = {"x": x, "y": y, "z": z, "i": i, "j": j, "k": k, "color": _colour(name), "lighting": light}
        meshes.append(go.Mesh3d(**mesh, name=name, visible=not meshes))
    buttons = [
        {"label": m.name, "method": "update", "args": [{"visible": [other is m for other in meshes]}]} for m in meshes
    ]
    figure = go.Figure(meshes)
    axes = {f"{a}axis": {"title": f"{a} (Å)", "showbackground": False} for a in "xyz"}
    figure.update_layout(
        height=480,
        scene={**axes, "aspectmode": "data", "camera": CAMERA},
        updatemenus=[{"buttons": buttons, "x": 0, "xanchor": "left", "y": 1.0, "yanchor": "top"}],
    )
    shown.show_interactive(figure, caption, alt=alt, still=_still_surfaces(surfaces))


def show_found_atoms(true_A, found_A, apart_pm, invented_A, caption: str, *, alt: str) -> None:
    """Show true positions as open circles, found ones coloured by their errors, and crosses where nothing is."""

    def points(positions_A, name, **marker):
        x, y, z = np.round(positions_A, 2).T
        return go.Scatter3d(x=x, y=y, z=z, mode="markers", name=name, marker=marker)

    bar = {"title": "off by (pm)", "thickness": 12, "len": 0.7}
    traces = [
        points(true_A, "true", symbol="circle-open", size=11, color="#999999"),
        points(found_A, "found", size=5, colorbar=bar, color=np.round(apart_pm, 2), colorscale="Viridis"),
    ]
    if len(invented_A):
        traces.append(points(invented_A, "not there", size=5, color="#D55E00", symbol="x"))
    figure = go.Figure(traces)
    axes = {f"{a}axis": {"title": f"{a} (Å)", "showbackground": False} for a in "xyz"}
    figure.update_layout(height=480, legend={"x": 0, "y": 1}, scene={**axes, "aspectmode": "data", "camera": CAMERA})
    still, axis = _still_axis()
    axis.scatter(*np.transpose(true_A), s=110, facecolors="none", edgecolors="#999999", label="true")
    picture = axis.scatter(*np.transpose(found_A), s=25, c=apart_pm, depthshade=False, label="found")
    if len(invented_A):
        axis.scatter(*np.transpose(invented_A), marker="x", color="#D55E00", label="not there")
    axis.set_box_aspect(np.ptp(true_A, axis=0))
    axis.legend(fontsize=8, loc="upper left")
    still.colorbar(picture, label="off by (pm)", shrink=0.7)
    shown.show_interactive(figure, caption, alt=alt, still=still)


def _spheres(atoms: Atoms, positions_A) -> go.Scatter3d:
    numbers = atoms.numbers
    colours = ["rgb({:.0f},{:.0f},{:.0f})".format(*(255 * jmol_colors[n])) for n in numbers]
    marker = {"size": 16 * covalent_radii[numbers] / 1.36, "color": colours, "line": {"width": 1, "color": "#444"}}
    look = {"mode": "markers", "marker": marker, "opacity": 1, "name": atoms.get_chemical_formula()}
    return _places(positions_A).update(look)


def _places(positions_A) -> go.Scatter3d:
    x, y, z = np.round(positions_A, 2).astype(np.float32).T
    return go.Scatter3d(x=x, y=y, z=z)


def _line(name: str, x, y, z, colour: str) -> go.Scatter3d:
    return go.Scatter3d(x=x, y=y, z=z, mode="lines", line={"width": 6, "color": colour}, name=name)


def _slider(names: Sequence[str], *, active: int) -> dict:
    settings = {"mode": "immediate", "frame": {"duration": 0, "redraw": True}, "transition": {"duration": 0}}
    steps = [{"label": n, "method": "animate", "args": [[n], settings]} for n in names]
    return {"steps": steps, "active": active, "currentvalue": {"prefix": "tilt (deg): "}, "pad": {"t": 10, "b": 25}}


def _still_axis():
    figure = plt.figure(figsize=(5.6, 4.6))
    axis = figure.add_subplot(projection="3d", computed_zorder=False)
    axis.view_init(**STILL)
    axis.set(xlabel="x (Å)", ylabel="y (Å)", zlabel="z (Å)")
    return figure, axis


def _draw_atoms(axis, atoms: Atoms, positions_A, *, size: float = 130) -> None:
    towards = np.array([np.cos(np.deg2rad(STILL["azim"])), np.sin(np.deg2rad(STILL["azim"])), 0.32])
    order = np.argsort(positions_A @ towards)  # the nearest last, over the others
    look = {"c": jmol_colors[atoms.numbers][order], "edgecolors": "#444444", "linewidths": 0.6, "depthshade": False}
    axis.scatter(*positions_A[order].T, s=size, **look)
    reach_A = np.abs(positions_A).max()
    axis.set(xlim=(-reach_A, reach_A), ylim=(-reach_A, reach_A), zlim=(-reach_A, reach_A))


def _surface(volume: np.ndarray, level: float, voxel_size_A: float) -> tuple[np.ndarray, np.ndarray]:
    """Points (n, 3) as x, y, z in angstrom, and triangles of them (m, 3)."""
    for step in range(max(1, volume.shape[0] // GRID), max(volume.shape)):
        vertices, faces, *_ = marching_cubes(volume, level, step_size=step)
        if len(faces) <= MOST_TRIANGLES:
            break
    y, z, x = (
        pixel_centres_A(n, pixel_size_A=voxel_size_A)[0] + v * voxel_size_A
        for n, v in zip(volume.shape, vertices.T, strict=True)
    )
    return np.stack([x, y, z], axis=1), faces


def _still_surfaces(surfaces: Mapping[str, tuple[np.ndarray, np.ndarray]]) -> Figure:
    figure = plt.figure(figsize=(3 * len(surfaces), 3.2))
    light = LightSource(azdeg=225, altdeg=45)
    reach_A = max(np.abs(points_A).max() for points_A, _ in surfaces.values())
    for k, (name, (points_A, faces)) in enumerate(surfaces.items()):
        axis = figure.add_subplot(1, len(surfaces), k + 1, projection="3d")
        axis.view_init(**STILL)
        axis.set_axis_off()
        axis.set_title(name, fontsize=9)
        axis.add_collection3d(
            Poly3DCollection(points_A[faces], facecolors=_colour(name), lightsource=light, shade=True)
        )
        axis.set(xlim=(-reach_A, reach_A), ylim=(-reach_A, reach_A), zlim=(-reach_A, reach_A))
        axis.set_box_aspect((1, 1, 1), zoom=1.4)
    return figure


def _colour(name: str) -> str:
    return "#999999" if name == "Reference" else COLOURS.get(name, "#0072B2")  # black would hide the shape
