"""`tsg prepare`: a recorded tilt series made ready for reconstruction."""

import click

from ..errors import TsgError
from .options import PATH, Background, check_output, file_output, numbers, read_with_contrast, say_history, series_input

ALIGNMENTS = ("none", "correlation", "centre-of-mass", "full")


@click.command()
@series_input
@file_output
@click.option("--invert/--no-invert", default=None, help="Turn the contrast: for bright field.")
@click.option(
    "--rotate/--no-rotate",
    default=None,
    help="Turn the frames by 90 degrees, or not; else where the axis lies along x.",
)
@click.option("--flip-angles", is_flag=True, help="Change the sign of all angles.")
@click.option("--exclude-angles", metavar="LIST", default="", help="Frames to leave out, by angle: -62,14.5.")
@click.option("--hot-pixels", is_flag=True, help="Replace single pixels far beyond all their neighbours.")
@click.option("--background", type=Background(), default="auto", show_default=True, help="auto, none or a level.")
@click.option(
    "--bin", "binning", type=click.IntRange(min=1), default=1, show_default=True, help="Pixels that become one."
)
@click.option("--align", type=click.Choice(ALIGNMENTS), default="full", show_default=True, help="How to align.")
@click.option(
    "--alignment",
    "alignment_file",
    type=PATH,
    metavar="FILE",
    help="Take this alignment: .xf (IMOD) or .aln (AreTomo).",
)
@click.option("--write-alignment", type=PATH, metavar="FILE", help="Also write the alignment of IN, as .xf or .aln.")
@click.option("--axis", "axis_deg", type=float, metavar="DEG", help="Take this inclination of the tilt axis.")
@click.option("--gain", is_flag=True, help="Even the trend of the frames' brightness.")
@click.option("--crop", type=click.IntRange(min=2), metavar="N", help="Keep N x N pixels about the middle.")
@click.option("--report", type=PATH, metavar="FOLDER", help="Folder for figures of the steps, before and after.")
def prepare(
    source, reading, output, overwrite, invert, rotate, flip_angles, exclude_angles, hot_pixels,
    background, binning, align, alignment_file, write_alignment, axis_deg, gain, crop, report,
) -> None:  # fmt: skip
    """Correct and align the frames of a recorded series.

    IN is prepared for reconstruction. The steps run in the order of the options from --invert on, in whatever order
    these are given, and each prints one line. By default the background is subtracted, frames that show nothing are
    left out, and the frames are aligned; they are turned first if the tilt axis clearly lies along x. Other steps run
    on request.
    """
    if alignment_file and (align != "full" or axis_deg is not None or rotate):
        other = "--axis" if axis_deg is not None else "--rotate" if rotate else f"--align {align}"
        raise TsgError(f"{other} and --alignment {alignment_file} both say how the frames lie; give one of them")
    if write_alignment and align == "none":
        raise TsgError(f"--align none finds no alignment to write to {write_alignment}; leave it out")
    outputs = [path for path in (report, write_alignment) if path]
    check_output(output, *outputs, sources=(source, *filter(None, [alignment_file])), overwrite=overwrite)
    from ..formats import open_series
    from ..formats.alignments import check_alignment_suffix
    from ..preparation.alignment import AlignmentSettings
    from ..preparation.known_alignment import as_recorded
    from ..preparation.steps import PreparationSettings
    from ..preparation.steps import prepare as prepare_series
    from .alignment_files import known_alignment, write_known

    axis = {} if axis_deg is None else {"axis_deg": axis_deg, "axis_reach_deg": 0.0}
    alignment = None if align == "none" else AlignmentSettings(method=align, **axis)
    if write_alignment:
        check_alignment_suffix(write_alignment)
    if alignment_file or write_alignment:
        stored = open_series(source, **reading)
    if alignment_file:
        alignment = known_alignment(alignment_file, stored)
    settings = PreparationSettings(
        invert=invert,
        turn=rotate,
        flip_angles=flip_angles,
        exclude_deg=numbers(exclude_angles, float),
        hot_pixels=hot_pixels,
        background=None if background == "none" else background,
        binning=binning,
        alignment=alignment,
        gain=gain,
        crop_px=crop,
    )
    series = read_with_contrast(source, **reading)
    say_history(series, direction=rotate is None and align == "none")
    prepared = prepare_series(series, settings=settings, say=click.echo)
    prepared.series.write(output, overwrite=overwrite)
    click.echo(f"wrote {output}: {len(prepared.series)} frames")
    if write_alignment:
        if not alignment_file:
            alignment = as_recorded(
                prepared.alignment,
                recording=series,
                binning=binning,
                is_turned="turn" in (step.name for step in prepared.steps),
                are_angles_flipped=flip_angles,
            )
        write_known(alignment, write_alignment, stored, overwrite=overwrite)
    if report:
        from ..pictures.preparation import step_figures
        from ..tools.files import replaced_when_whole

        with replaced_when_whole(report, overwrite=overwrite) as (folder,):
            folder.mkdir()
            for name, figure in step_figures(prepared).items():
                figure.savefig(folder / f"{name.replace(' ', '_')}.png", dpi=130)
        click.echo(f"wrote {report}: figures of the steps")
