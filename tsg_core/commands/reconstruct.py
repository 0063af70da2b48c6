"""`tsg reconstruct`: a volume from a tilt series."""

import os
from pathlib import Path

import click

from ..errors import TsgError
from .options import (
    background,
    beside,
    check_output,
    check_space,
    file_output,
    less_background,
    object_size,
    read_with_contrast,
    say_history,
    scheduler,
    series_input,
    series_with_extent,
)

METHODS = ("sirt", "fbp", "os_sart", "cgls", "tv", "os_em")
ENGINES = ("auto", "sparse", "torch", "astra", "tomopy")
TV_WEIGHT = 0.01  # of the brightest pixel


@click.command()
@series_input
@file_output
@click.option("--method", type=click.Choice(METHODS), default="sirt", show_default=True)
@click.option("--iterations", type=click.IntRange(min=1), help="Iterations; 100 for sirt, else the method's default.")
@click.option("--engine", type=click.Choice(ENGINES), default="auto", show_default=True, help="Engine of sirt.")
@click.option(
    "--centre", default="0", show_default=True, metavar="auto|PX", help="Column of the tilt axis, from the middle."
)
@background
@click.option("--voxel-size", "voxel_size_A", type=float, metavar="A", help="Bin frames to voxels of about this edge.")
@click.option(
    "--memory",
    "memory_GB",
    type=float,
    metavar="GB",
    help="Process as many rows at a time as this allows; with -o OUT.zarr, frames and volume stay on the disk.",
)
@scheduler
@object_size
@click.option("--png", is_flag=True, help="Also draw the middle slices, as OUT_slices.png.")
def reconstruct(
    source, reading, output, overwrite, method, iterations, engine, centre, background, voxel_size_A, memory_GB,
    thickness_A, width_A, png,
) -> None:  # fmt: skip
    """Reconstruct a volume from a tilt series.

    --centre auto finds the tilt axis from the motion of the centre of mass; the frames must be aligned and show the
    whole object. An object that goes on outside the frames (a film, a lamella) is noticed and gets a box as thick as
    the object and as wide as rays reach; the part that the untilted frame shows is written.

    A series and a volume larger than memory need --memory and -o OUT.zarr. --scheduler then spreads the slabs of rows
    over processes or machines, each with that memory.
    """
    if method == "fbp" and iterations is not None:
        raise TsgError("--iterations: fbp has none; choose another method or leave them out")
    if method != "sirt" and engine != "auto":
        raise TsgError(f"--engine {engine} is for sirt; {method} has one engine only")
    if memory_GB is not None and method in ("tv", "os_em"):
        raise TsgError(f"--memory: {method} joins rows, which cannot be done apart; take larger voxels instead")
    if centre != "auto":
        centre = _number(centre)
    slices = beside(output, "_slices", ".png")
    check_output(output, *([slices] if png else []), sources=(source,), overwrite=overwrite)
    from ..formats import check_volume_writable, write_volume
    from ..preparation.framing import bin_pixels
    from ..tools.cluster import VARIABLE
    from ..tools.files import replaced_when_whole

    check_volume_writable(output)
    if memory_GB is not None and engine == "auto":
        engine = "sparse"  # "torch" would take more than the limit
    on_disk = memory_GB is not None and output.suffix.lower() == ".zarr"
    if os.environ.get(VARIABLE) and not on_disk:
        click.echo("note: the scheduler is not used: it needs --memory and -o OUT.zarr", err=True)
    series = read_with_contrast(source.absolute() if on_disk else source, stored=on_disk, **reading)
    if centre != "auto" and not abs(centre) < series.frames.shape[2] / 2:
        raise TsgError(f"--centre {centre:g} lies outside the frames, which are {series.frames.shape[2]} px wide")
    series = less_background(series, background)
    say_history(series)
    axis_shift_px = _axis_shift_px(series) if centre == "auto" else centre
    if voxel_size_A is not None:
        factor, n_x = _binning(series, voxel_size_A), series.frames.shape[2]
        series = series.binned(factor) if on_disk else bin_pixels(series, factor=factor)[0]
        odd = n_x % factor % 2  # a column more is cut off on the right than on the left
        axis_shift_px = (axis_shift_px + odd / 2) / factor
    box = _box(series, method, engine, thickness_A=thickness_A, width_A=width_A)
    n_y, n_x = series.frames.shape[1:]
    check_space(output, n_bytes=4 * n_y * n_x * (n_x if box is None else box.n_z))
    reconstruct_by, options = _method(
        series, method, iterations, engine, axis_shift_px, box, allow_negative=background == "none"
    )
    if on_disk:
        volume = _on_disk(series, output, reconstruct_by, options, memory_GB=memory_GB, overwrite=overwrite)
    else:
        volume = _in_memory(series, reconstruct_by, options, memory_GB=memory_GB)
        write_volume(volume, output, voxel_size_A=series.pixel_size_A, overwrite=overwrite)
    voxels = f"{n_x} x {n_y} x {volume.shape[1]} voxels (x, y, z) of {series.pixel_size_A:.4g} A"
    click.echo(f"wrote {output}: {voxels}, by {method}")
    if png:
        from ..pictures.slices import slices_with_scale_bar

        with replaced_when_whole(slices, overwrite=overwrite) as (partial,):
            slices_with_scale_bar(volume, voxel_size_A=series.pixel_size_A, title=output.name).savefig(partial, dpi=130)
        click.echo(f"wrote {slices}")


def _box(series, method: str, engine: str, *, thickness_A: float | None, width_A: float | None):
    """The box of an object that goes on outside the frames, None for one inside them."""
    from ..reconstruction.extent import extent_of

    if method == "fbp" or engine in ("astra", "tomopy"):
        if thickness_A is not None or width_A is not None:
            which = "fbp" if method == "fbp" else f"--engine {engine}"
            raise TsgError(f"--thickness and --object-width: {which} knows no object wider than the frame; take sirt")
        return None
    extent = extent_of(series_with_extent(series, thickness_A=thickness_A, width_A=width_A))
    return None if extent is None else extent.box(series)


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise TsgError(f"--centre {text} must be auto or a number of pixels") from None


def _binning(series, voxel_size_A: float) -> int:
    if not series.pixel_size_A * 0.99 <= voxel_size_A <= series.pixel_size_A * series.frames.shape[2] / 8:
        raise TsgError(
            f"--voxel-size {voxel_size_A:g} A must be the pixel size, {series.pixel_size_A:.4g} A, or larger, "
            "and leave eight voxels across a frame"
        )
    return round(voxel_size_A / series.pixel_size_A)


def _axis_shift_px(series) -> float:
    from ..preparation.tilt_axis import find_axis

    found = find_axis(series)
    click.echo(f"tilt axis: {found.shift_px:+.2f} px from the middle, uncertain by {found.uncertainty_px:.2f} px")
    if found.uncertainty_px > 0.5:
        click.echo(
            "note: the tilt axis is uncertain; compare volumes for several --centre, and look for arcs", err=True
        )
    return found.shift_px


def _method(
    series, method: str, iterations: int | None, engine: str, axis_shift_px: float, box, *, allow_negative: bool
):
    """The function that reconstructs, and its options."""
    from .. import reconstruction

    options = {"axis_shift_px": axis_shift_px, "allow_negative": allow_negative}
    if box is not None:
        options["box"] = box
    if iterations is not None:
        options["n_iterations"] = iterations
    if method == "sirt":
        options["engine"] = engine
    if method == "tv":
        options["weight"] = TV_WEIGHT * series.intensity_scale
    return getattr(reconstruction, method), options


def _in_memory(series, reconstruct_by, options: dict, *, memory_GB: float | None):
    """The volume, of which what the untilted frame shows."""
    import numpy as np

    from ..reconstruction import in_slabs
    from ..reconstruction.extent import cropped
    from ..reconstruction.linear_system import box_of

    if memory_GB is None:
        volume = reconstruct_by(series, **options)
    else:
        box = box_of(series, options.get("box"))
        out = np.empty((series.frames.shape[1], box.n_z, box.n_x), np.float32)
        volume = in_slabs(series, out, memory_GB=memory_GB, method=reconstruct_by, **options)
    return np.ascontiguousarray(cropped(volume, n_x=series.frames.shape[2])) if "box" in options else volume


def _on_disk(series, output: Path, reconstruct_by, options: dict, *, memory_GB: float, overwrite: bool):
    """The volume, written slab by slab; whole slabs of chunks, so that processes never write to the same one."""
    from ..formats.ome_zarr import VOLUME_CHUNK, VolumeFile
    from ..reconstruction import in_slabs
    from ..reconstruction.linear_system import box_of
    from ..reconstruction.slabs import rows_within
    from ..tools.files import replaced_when_whole

    box, (_, n_y, n_x) = box_of(series, options.get("box")), series.frames.shape
    n_rows = rows_within(memory_GB, series, box=box, method=reconstruct_by)
    chunk_rows = min(n_rows, VOLUME_CHUNK)
    shape, sizes = (n_y, box.n_z, n_x), {"n_x_box": box.n_x, "chunk_rows": chunk_rows}
    with replaced_when_whole(output.absolute(), overwrite=overwrite) as (partial,):
        file = VolumeFile.create(partial, shape, voxel_size_A=series.pixel_size_A, **sizes)
        in_slabs(series, file, n_rows=n_rows - n_rows % chunk_rows, method=reconstruct_by, **options)
    return VolumeFile.of(output)
