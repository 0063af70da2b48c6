"""`tsg evaluate`: how close a tilt series or a volume is to another."""

import json
from pathlib import Path

import click

from ..errors import TsgError
from .options import PATH, less_background, reading_options


@click.command()
@click.argument("a", metavar="A", type=PATH)
@click.argument("b", metavar="B", type=PATH)
@reading_options
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
def evaluate(a, b, reading, as_json) -> None:
    """Compare two tilt series, or two volumes.

    B is the reference. Series are compared frame by frame at the angles that both contain; if A contains predicted
    frames, only at those. Volumes are compared by their Fourier shell correlation and by the shapes of the objects in
    them. The options --tilts, --pixel-size, --image and --exclude apply to both.
    """
    kinds = [_read(path, reading, say=not as_json) for path in (a, b)]
    if type(kinds[0]) is not type(kinds[1]):
        names = [_kind(read) for read in kinds]
        raise TsgError(f"{a} is a {names[0]} and {b} a {names[1]}; only two of one kind can be compared")
    from ..evaluation.pairs import compare_series, compare_volume_files

    if isinstance(kinds[0], tuple):
        found = compare_volume_files(*kinds)
        rows = []
    else:
        found, rows = compare_series(*kinds)
    if as_json:
        click.echo(json.dumps({**found, **({"frames": rows} if rows else {})}, allow_nan=False))
        return
    for row in rows:
        click.echo(f"{row['tilt_deg']:9.2f} deg  {_text(row['psnr_dB']):>8s} dB  SSIM {row['ssim']:.4f}")
    for name, value in found.items():
        click.echo(f"{name:28s} {_text(value)}")


def _read(path: Path, reading: dict, *, say: bool):
    """A tilt series less the offset of its vacuum, or a volume with its voxel size: whichever the file holds."""
    from ..formats import read_series, read_volume

    try:
        series = read_series(path, **reading)
        on_zero = less_background(series, "auto")
        if say and on_zero is not series:
            click.echo(f"{path}: {on_zero.history[-1]}")
        return on_zero
    except TsgError as no_series:
        try:
            volume, voxel_size_A = read_volume(path)
        except TsgError:
            raise no_series from None
        if volume.shape[1] != volume.shape[2]:  # frames without angles rather than a volume
            raise no_series from None
        return volume, voxel_size_A


def _kind(read) -> str:
    return "volume" if isinstance(read, tuple) else "tilt series"


def _text(value) -> str:
    return value if isinstance(value, str) else "equal" if value is None else f"{value:.5g}"
