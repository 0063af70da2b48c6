"""The three middle slices of a volume, with a scale bar."""

import numpy as np
from matplotlib.figure import Figure

NO_TICKS = {"xticks": [], "yticks": []}  # of the axes of pictures: hidden ticks take time, too


def middle_slices(volume: np.ndarray) -> dict[str, np.ndarray]:
    """The middle slices of a volume (n_y, n_z, n_x) across its three axes, by name; rows run downwards.

    In the slice across the tilt axis z points upwards, towards the source.
    """
    n_y, n_z, n_x = volume.shape
    return {
        "across the tilt axis (x, z)": upright(volume[n_y // 2]),
        "across the beam (x, y)": volume[:, n_z // 2],
        "across x (z, y)": volume[:, :, n_x // 2],
    }


def upright(slice_zx: np.ndarray) -> np.ndarray:
    """A slice (n_z, n_x) as a picture whose rows run downwards, z upwards."""
    return slice_zx[::-1]


def slices_with_scale_bar(volume: np.ndarray, *, voxel_size_A: float, title: str = "") -> Figure:
    """The `middle_slices` of a volume (n_y, n_z, n_x), on one grey scale from zero."""
    pictures = middle_slices(volume)
    top = max(float(np.quantile(picture, 0.999)) for picture in pictures.values()) or 1.0
    figure = Figure(figsize=(10.5, 3.9), layout="constrained")
    for axis, (name, picture) in zip(figure.subplots(1, 3, subplot_kw=NO_TICKS), pictures.items(), strict=True):
        axis.imshow(picture, vmin=0, vmax=top, cmap="gray", interpolation="nearest")
        axis.set_title(name, fontsize=9)
        axis.set_axis_off()
        draw_scale_bar(axis, picture.shape, voxel_size_A, colour="w")
    figure.suptitle(f"{title}: middle slices, voxels of {voxel_size_A:.4g} Å", fontsize=10)
    return figure


LENGTHS_A = (5000, 2000, 1000, 500, 200, 100, 50, 20, 10, 5, 2, 1, 0.5)


def draw_scale_bar(axis, shape: tuple[int, ...], pixel_size_A: float, *, colour: str) -> None:
    """Draw a bar of a round length, less than half the width, at the lower left of a picture (..., n_y, n_x)."""
    n_y, n_x = shape[-2:]
    length_A = next((a for a in LENGTHS_A if a / pixel_size_A < 0.45 * n_x), LENGTHS_A[-1])
    text = f"{length_A / 10:g} nm" if length_A >= 100 else f"{length_A:g} Å"
    x, y = 0.06 * n_x, 0.93 * n_y
    axis.plot([x, x + length_A / pixel_size_A], [y, y], color=colour, lw=3, solid_capstyle="butt")
    axis.text(x, y - 0.03 * n_y, text, color=colour, fontsize=8, va="bottom")
