"""`tsg densify`: predict the frames of a tilt series that were not measured."""

import shlex
import sys
from pathlib import Path

import click

from ..errors import TsgError
from .options import (
    PATH,
    beside,
    check_output,
    check_space,
    file_of,
    file_output,
    moved_into_place,
    read_with_contrast,
    say_history,
    series_input,
)


@click.command()
@series_input
@file_output
@click.option("--step", type=float, metavar="DEG", help="Predict at every multiple of this angle; 1 where not given.")
@click.option("--at", type=PATH, help="Predict at the angles in this file instead.")
@click.option("--method", default="auto", show_default=True, help="How to predict; a wrong name lists them all.")
@click.option("--checkpoint", help="Network of the method tsgnet: a shipped one's name, or a file.")
@click.option("--align", is_flag=True, help="Align the frames and find the tilt axis first; they are resampled then.")
def densify(source, tilts, pixel_size_A, output, overwrite, step, at, method, checkpoint, align) -> None:
    """Predict frames that were not measured.

    Measured frames of the tilt series IN stay as they are. The method auto leaves out measured frames, predicts them by every method that applies, and says which did best.
    Beside OUT come OUT_sigma, the standard deviations of the predicted frames, and OUT_report.html: what was found,
    and what to be careful about. An interrupted run goes on where the same command is given again.
    """
    if step is not None and at is not None:
        raise TsgError("--step and --at exclude each other; give one of them")
    if step is not None and not 0 < step < 180:
        raise TsgError(f"--step {step:g} must lie between 0 and 180 degrees")
    check_output(
        output, beside(output, "_sigma"), beside(output, "_report", ".html"), sources=(source,), overwrite=overwrite
    )
    from ..artifacts import disk_errors
    from ..formats import check_writable
    from ..interpolation import METHODS, densify_with_uncertainty, sigma_series
    from ..kept_predictions import KeptPredictions, Tracked
    from ..reports import densify_report

    check_writable(output)
    if method not in METHODS:
        raise TsgError(f"method {method!r} is not known; choose one of {', '.join(METHODS)}")
    series = read_with_contrast(source, tilts=tilts, pixel_size_A=pixel_size_A)
    measured = series if series.measured.all() else series.subset(series.measured)
    if align:
        measured = _aligned(measured)
    tilt_deg, missing_deg = _targets(measured, step=step, at=at)
    check_space(output, n_bytes=2 * len(tilt_deg) * series.frames[0].nbytes)
    say_history(measured)
    with disk_errors(f"writing {output}"):
        methods = _methods(method, measured, checkpoint)
        work = output.with_name(f".{output.name}.unfinished")
        kept = KeptPredictions(work, series=measured, checkpoint=checkpoint)
        with Tracked(kept, methods=methods, series=measured, tilt_deg=missing_deg) as predict_by:
            found = densify_with_uncertainty(measured, tilt_deg=tilt_deg, methods=methods, predict_by=predict_by)
        if kept.recalled:
            click.echo(f"{kept.recalled} prediction(s) of an interrupted run were used")
        command = shlex.join(["tsg", *sys.argv[1:]])
        report = densify_report(found, measured, predict_by=kept, source=file_of(source), command=command)
        finished = work / "finished"
        finished.mkdir(exist_ok=True)
        beside(finished / output.name, "_report", ".html").write_text(report, encoding="utf-8")
        choice, known = found.choice, found.series.measured
        n_measured, n_predicted = known.sum(), (~known).sum()
        note = f"{n_predicted} frames were predicted by tsg densify: {choice.verdict}."
        found.series.noted(note).write(finished / output.name, overwrite=True)
        sigma, pixel_size_A = found.sigma, found.series.pixel_size_A
        del found  # frees as much memory as the series takes that has just been written
        if sigma is not None:
            deviations = sigma_series(sigma, tilt_deg=tilt_deg, measured=known, pixel_size_A=pixel_size_A)
            deviations.write(beside(finished / output.name, "_sigma"), overwrite=True)
        moved_into_place(finished, output.parent)
        kept.forget()
    _say(choice)
    click.echo(f"wrote {output}: {n_measured} measured and {n_predicted} predicted frames")
    click.echo(f"wrote {beside(output, '_report', '.html')}: what left-out frames say, with examples")


def _aligned(series):
    from ..preparation.alignment import align

    found = align(series)
    click.echo(str(found.report))
    return found.series


def _targets(series, *, step: float | None, at: Path | None):
    """All angles of the denser series, and those of them that were not measured."""
    import numpy as np

    from ..formats import read_angles
    from ..tilt_series import SAME_ANGLE_deg

    step, (low_deg, high_deg) = step or 1.0, series.tilt_deg[[0, -1]]
    if at is not None:
        wanted_deg = np.unique(read_angles(at))
    else:
        wanted_deg = step * np.arange(np.ceil(low_deg / step), np.floor(high_deg / step) + 1)
    missing = [angle for angle in wanted_deg if np.abs(series.tilt_deg - angle).min() > SAME_ANGLE_deg]
    if not missing:
        raise TsgError("every angle that was asked for is measured; ask for others by --step or --at")
    return np.union1d(series.tilt_deg, missing), np.array(missing)


def _methods(method: str, series, checkpoint) -> tuple[str, ...]:
    from ..automatic import candidates_of

    return candidates_of(series, checkpoint) if method == "auto" else (method,)


def _say(choice) -> None:
    """What leaving out measured frames said of each method, and the verdict."""
    click.echo(f"{'method':18s} {'left-out frames':>16s} {'expected':>10s} {'weight':>7s}")
    for row in choice.summary()["left_out"]:
        if row.get("reason"):
            click.echo(f"{row['method']:18s} {row['reason']}")
        else:  # of two measured frames none is left out: there are no scores
            scores = (row.get("left_out_psnr_dB"), row.get("expected_psnr_dB"))
            left_out, expected = (f"{score:.1f} dB" if score is not None else "" for score in scores)
            click.echo(f"{row['method']:18s} {left_out:>16s} {expected:>10s} {row['weight']:7.2f}")
    click.echo(choice.verdict)
