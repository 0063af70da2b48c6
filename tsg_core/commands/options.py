"""Arguments that commands share, and checks before any work."""

import functools
import os
import shutil
from collections.abc import Callable
from math import isfinite
from pathlib import Path

import click

from ..errors import TsgError

PATH = click.Path(path_type=Path)

tilts = click.option("--tilts", type=PATH, help="Text file of angles in degrees, one a line.")
pixel_size = click.option(
    "--pixel-size", "pixel_size_A", type=float, metavar="A", help="Pixel size, if IN states none."
)
image = click.option("--image", metavar="N", help="Picture to take if a file holds several: a number or a name.")
exclude = click.option("--exclude", metavar="LIST", default="", help="Frames to leave out, by number from 0: 3,7.")


def reading_options(command: Callable) -> Callable:
    """What reading needs where the file does not say it; the command gets it as `reading`, options of `read_series`."""

    @functools.wraps(command)
    def with_reading(*args, tilts, pixel_size_A, image, exclude, **options):
        reading = {"tilts": tilts, "pixel_size_A": pixel_size_A, "image": image, "exclude": numbers(exclude, int)}
        return command(*args, reading=reading, **options)

    return tilts(pixel_size(image(exclude(with_reading))))


def series_input(command: Callable) -> Callable:
    """The argument IN, a tilt series, and the options for reading it."""
    return click.argument("source", metavar="IN", type=PATH)(reading_options(command))


def numbers(text: str, kind: type) -> tuple:
    """A list like `3,7` of frame numbers (int) or angles (float)."""
    try:
        return tuple(kind(part) for part in text.replace(",", " ").split())
    except ValueError:
        raise TsgError(
            f"{text!r} must be a list of {'frame numbers' if kind is int else 'angles'} such as 3,7"
        ) from None


def object_size(command: Callable) -> Callable:
    """The options --thickness and --object-width for an object that goes on outside the frames."""
    thickness = click.option(
        "--thickness", "thickness_A", type=float, metavar="A",
        help="Thickness of an object that goes on outside the frames; found if not given.",
    )  # fmt: skip
    width = click.option(
        "--object-width", "width_A", type=float, metavar="A",
        help="Its width across the tilt axis; by default as far as rays reach.",
    )  # fmt: skip
    return thickness(width(command))


def file_output(command: Callable) -> Callable:
    """The options -o and --overwrite."""
    output = click.option("-o", "--output", required=True, type=PATH, callback=_with_a_name, help="File to write.")
    return output(overwrite(command))


def _choose_scheduler(_context, _parameter, named: str | None) -> None:
    from ..tools.cluster import VARIABLE, check_scheduler

    if named:
        os.environ[VARIABLE] = check_scheduler(named)


scheduler = click.option(
    "--scheduler",
    metavar="WHERE",
    expose_value=False,
    callback=_choose_scheduler,
    help="Spread the work over processes or machines: local:4, slurm, slurm:FILE, or the address of a dask scheduler.",
)


def _with_a_name(ctx: click.Context, option: click.Parameter, output: Path) -> Path:
    if not output.name:
        raise TsgError(f"-o {output} names no file to write; give a name such as result.mrc")
    return output


overwrite = click.option("--overwrite", is_flag=True, help="Replace the output if it exists.")


class Background(click.ParamType):
    """auto, none, or a finite number."""

    name = "level"

    def convert(self, value, param, ctx):
        if value in ("auto", "none") or isinstance(value, float):
            return value
        try:
            level = float(value)
        except ValueError:
            self.fail(f"{value!r} is neither auto, none nor a number", param, ctx)
        if not isfinite(level):
            self.fail(f"{value!r} is not finite; give auto, none or a finite number", param, ctx)
        return level


background = click.option(
    "--background",
    type=Background(),
    default="auto",
    show_default=True,
    help="auto subtracts an offset of the vacuum; none; or a level.",
)


def file_of(source: Path) -> Path:
    """The file or the pattern of files of an input, without the dataset that `FILE::DATASET` chooses.

    The folder one stands in has a name, too.
    """
    path = Path(str(source).partition("::")[0])
    return path if path.name not in ("", "..") else path.resolve()


def name_of(source: Path) -> str:
    """The name of an input in prose and in the names of outputs."""
    from ..tools.files import readable_name

    return readable_name(file_of(source).name or "frames")


def check_output(*outputs: Path, sources: tuple[Path, ...] = (), overwrite: bool) -> None:
    """Refuse, before the work, outputs that could not be written after it, and inputs that do not exist."""
    sources = tuple(file_of(source) for source in sources if "*" not in source.name)
    for source in sources:
        if not source.exists():
            raise TsgError(f"{source} does not exist")
    for output in outputs:
        if any(output.exists() and output.samefile(source) for source in sources):
            raise TsgError(f"{output} is the input, which is never touched; choose another name")
        if output.exists() and not overwrite:
            raise TsgError(f"{output} exists; choose another name or give --overwrite")
        if not output.parent.is_dir():
            raise TsgError(f"{output} cannot be written: the folder {output.parent} does not exist")
        if not os.access(output.parent, os.W_OK):
            raise TsgError(f"{output} cannot be written: no permission to write into {output.parent.resolve()}")


def beside(output: Path, ending: str, suffix: str | None = None) -> Path:
    """A companion of an output: `a/b.mrc` with `_sigma` is `a/b_sigma.mrc`."""
    return output.with_name(f"{output.stem}{ending}{output.suffix if suffix is None else suffix}")


def read_with_contrast(source: Path, *, stored: bool = False, **options):
    """The series, or with `stored` one whose frames stay in the file; TsgError if none of its frames shows anything."""
    from ..formats import open_series, read_series

    series = open_series(source, **options).looked_through() if stored else read_series(source, **options)
    if all(frame.min() == frame.max() for frame in series.frames):
        raise TsgError(f"{source} has no contrast: all its frames are constant")
    return series


def less_background(series, background: str | float):
    """The series minus what the option --background names, noted in its history."""
    from ..preparation.background import subtract_background
    from ..vacuum import less_offset, offset_of

    if background == "none":
        return series
    if background != "auto":
        return subtract_background(series, level=background)[0]
    vacuum = offset_of(series)
    return series if vacuum is None else less_offset(series, vacuum)


def say_history(series, *, direction: bool = True) -> None:
    """What reading found where, and what was done before, and what calls for care."""
    from ..preparation.checks import warnings_of

    for line in series.history:
        click.echo(line)
    for warning in warnings_of(series, direction=direction):
        click.echo(f"note: {warning}")


def series_with_extent(series, *, thickness_A: float | None, width_A: float | None):
    """The series with the extent of an object that goes on outside the frames; if it does, say so."""
    from ..reconstruction.extent import extent_of, with_extent

    series = with_extent(series, thickness_A=thickness_A, width_A=width_A)
    extent = extent_of(series)
    if extent is not None:
        click.echo(str(extent))
        if extent.remark:
            click.echo(f"note: {extent.remark}", err=True)
    return series


def check_space(output: Path, *, n_bytes: int) -> None:
    """Refuse, before the work, what the disk has no room for."""
    free = shutil.disk_usage(output.parent).free
    if free < n_bytes:
        raise TsgError(
            f"{output} cannot be written: the disk is full, {n_bytes / 1e9:.3g} GB are needed and "
            f"{free / 1e9:.3g} GB are free; free some space"
        )


def moved_into_place(folder: Path, target: Path) -> None:
    """Move everything in a folder on the same disk to where it belongs, replacing what is there."""
    for path in sorted(folder.iterdir()):
        place = target / path.name
        if place.is_dir():  # a folder cannot be replaced in one step: the old one stays until the new one is whole
            shutil.rmtree(place)
        path.replace(place)
