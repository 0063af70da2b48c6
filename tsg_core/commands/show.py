"""`tsg show`: what a tilt series contains, before it is used."""

from pathlib import Path

import click

from ..errors import TsgError
from .options import PATH, beside, check_output, name_of, overwrite, read_with_contrast, say_history, series_input

PICTURES = (".png", ".pdf", ".svg")


@click.command()
@series_input
@click.option("-o", "--output", type=PATH, metavar="PNG", help="Contact sheet; default IN_sheet.png, in this folder.")
@overwrite
def show(source, reading, output, overwrite) -> None:
    """Print and draw what a tilt series contains.

    The sheet shows the frames of IN with their angles and the tilt axis, how their intensity and their centre of mass
    change, and which way a positive tilt turns.
    """
    output = output or beside(Path(name_of(source).replace("*", "all")), "_sheet", ".png")
    if output.suffix.lower() not in PICTURES:
        raise TsgError(f"{output} has the suffix {output.suffix!r}; a sheet is one of {', '.join(PICTURES)}")
    check_output(output, sources=(source,), overwrite=overwrite)
    from ..tools.files import replaced_when_whole

    series = read_with_contrast(source, **reading)
    from ..pictures.contact_sheet import CONVENTION, contact_sheet
    from ..preparation.checks import facts, sources

    described = facts(series)
    width = max(map(len, described))
    for name, value in described.items():
        click.echo(f"{name:{width}s}  {value}")
    click.echo(f"{'convention':{width}s}  {CONVENTION}")
    for name, origin in sources(series).items():
        click.echo(f"{name:16s}  {origin}")
    say_history(series)
    figure = contact_sheet(series, title=name_of(source))
    with replaced_when_whole(output, overwrite=overwrite) as (partial,):
        figure.savefig(partial, dpi=130)
    click.echo(f"wrote {output}")
