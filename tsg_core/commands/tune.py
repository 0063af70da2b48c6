"""`tsg tune`: train a shipped network further on your own series."""

import click

from .options import check_output, file_output, less_background, read_with_contrast, say_history, series_input


@click.command()
@series_input
@file_output
@click.option("--checkpoint", help="Network to start from: the name of a shipped one, or a file.")
@click.option("--steps", default=100, show_default=True, type=click.IntRange(min=1), help="Steps of the training.")
def tune(source, reading, output, overwrite, checkpoint, steps) -> None:
    """Train TSGNet further on the frames of IN.

    The network is first tuned on every second frame and must then predict the others better than before. Only if it
    does is it tuned on all frames and written, for `tsg densify --method tsgnet --checkpoint OUT`. Trust the result
    printed here: the table of left-out frames of `tsg densify` flatters a network that has seen them.
    """
    check_output(output, sources=(source,), overwrite=overwrite)
    from ..interpolation.fine_tuning import fine_tune
    from ..model.file import save_model

    series = less_background(read_with_contrast(source, **reading), "auto")
    say_history(series)
    found = fine_tune(series, checkpoint=checkpoint, n_steps=steps)
    click.echo(found.verdict)
    if found.model is None:
        click.echo("nothing is written: the untuned network is as good")
    else:
        save_model(found.model, output, notes={"tuned_on": str(source), "verdict": found.verdict})
        click.echo(f"wrote {output}")
