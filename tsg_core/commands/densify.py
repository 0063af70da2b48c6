"""`tsg densify`: predict the frames of a tilt series that were not measured."""

import shlex
import sys
from pathlib import Path

import click

from ..errors import TsgError
from .options import (
    PATH,
    background,
    beside,
    check_output,
    check_space,
    file_of,
    file_output,
    less_background,
    moved_into_place,
    object_size,
    read_with_contrast,
    say_history,
    series_input,
    series_with_extent,
)


@click.command()
@series_input
@file_output
@click.option("--step", type=float, metavar="DEG", help="Predict at every multiple of this angle; default 1.")
@click.option("--at", type=PATH, help="Predict at the angles in this file instead.")
@click.option("--method", default="auto", show_default=True, help="How to predict; a wrong name lists them all.")
@click.option("--checkpoint", help="Network of the method tsgnet: a shipped one's name, or a file.")
@click.option("--microscope", help="aberrated, non_aberrated, or a YAML file of its fields, if IN records none.")
@click.option("--elements", metavar="LIST", help="Elements of the object, for methods that fit atoms: Cu,Au.")
@click.option("--extrapolate", is_flag=True, help="Predict beyond the measured range, too: --step goes on to +-90 deg.")
@background
@click.option("--align", is_flag=True, help="Align the frames and find the tilt axis first; they are resampled then.")
@click.option("--fit-pose/--no-fit-pose", help="Fit shift, angle and brightness of each frame where it helps.")
@object_size
def densify(
    source, reading, output, overwrite, step, at, method, checkpoint, microscope, elements, extrapolate, background,
    align, fit_pose, thickness_A, width_A,
) -> None:  # fmt: skip
    """Predict frames that were not measured.

    Measured frames of the tilt series IN stay unchanged, apart from an offset of their vacuum. The method auto leaves
    out measured frames, predicts them by every method that applies, and says which did best. OUT is accompanied by
    OUT_sigma, the standard deviations of the predicted frames, and by OUT_report.html: the findings, and what to be
    careful about. To resume an interrupted run, give the same command again. An object that goes on outside the frames
    is noticed; use --thickness and --object-width if you know its size better. Nothing is predicted beyond the first
    and the last measured angle unless you ask by --extrapolate; only methods that fit an object can, and their standard
    deviations grow with the distance.
    """
    if step is not None and at is not None:
        raise TsgError("--step and --at exclude each other; give one of them")
    if step is not None and not 0 < step < 180:
        raise TsgError(f"--step {step:g} must lie between 0 and 180 degrees")
    outputs = _Outputs(output)
    check_output(output, outputs.sigma, outputs.report, sources=(source,), overwrite=overwrite)
    from ..formats import check_writable
    from ..interpolation.beyond import check_methods
    from ..interpolation.densify import METHODS
    from ..interpolation.kept import KeptPredictions
    from ..tools.digests import disk_errors

    check_writable(output)
    if method not in METHODS:
        raise TsgError(f"method {method!r} is not known; choose one of {', '.join(METHODS)}")
    series = _told(read_with_contrast(source, **reading).measured_only(), microscope=microscope, elements=elements)
    series = less_background(series, background)
    if align:
        series = _aligned(series)
    if extrapolate and method != "auto":
        check_methods([method], series.tilt_deg[[0, -1]])
    tilt_deg, missing_deg = _targets(series, step=step, at=at, extrapolate=extrapolate)
    check_space(output, n_bytes=2 * len(tilt_deg) * series.frames[0].nbytes)
    say_history(series)
    if not fit_pose or thickness_A is not None or width_A is not None:  # misaligned frames show a wrong extent
        series = series_with_extent(series, thickness_A=thickness_A, width_A=width_A)
    with disk_errors(f"writing {output}"):
        kept = KeptPredictions(outputs.work, series=series, checkpoint=checkpoint)
        options = {"method": method, "tilt_deg": tilt_deg, "missing_deg": missing_deg}
        found = _predicted(series, kept, **options, extrapolate=extrapolate, fit_pose=fit_pose)
        choice, measured, beyond = found.choice, found.series.measured, found.beyond
        if fit_pose:
            click.echo(found.fitted_pose)
        if found.fitted_microscope:
            click.echo(found.fitted_microscope)
        _write_report(outputs, found, found.posed if fit_pose else series, kept=kept, source=file_of(source))
        sigma = _write_series(outputs, found)
        del found  # frees as much memory as the series takes that has just been written
        _write_sigma(outputs, sigma, series, tilt_deg=tilt_deg, measured=measured)
        moved_into_place(outputs.finished, output.parent)
        kept.forget()
    _say(choice)
    if beyond is not None:
        click.echo(beyond.verdict)
    click.echo(f"wrote {output}: {measured.sum()} measured and {(~measured).sum()} predicted frames")
    click.echo(f"wrote {outputs.report}: what left-out frames say, with examples")


def _told(series, *, microscope: str | None, elements: str | None):
    """The series with the microscope and the elements that the command names."""
    from dataclasses import asdict, replace

    from ..interpolation.densify import with_elements

    if microscope is not None:
        from ..simulation.from_files import microscope_from

        series = replace(series, metadata={**series.metadata, "microscope": asdict(microscope_from(microscope))})
    return with_elements(series, elements)


class _Outputs:
    """Where everything goes: beside the output `path`, or into a hidden folder there until all is complete."""

    def __init__(self, path: Path):
        self.series, self.sigma, self.report = path, beside(path, "_sigma"), beside(path, "_report", ".html")
        self.work = path.with_name(f".{path.name}.unfinished")
        self.finished = self.work / "finished"

    def unfinished(self, path: Path) -> Path:
        """The path of a file before it is moved into place."""
        self.finished.mkdir(exist_ok=True)
        return self.finished / path.name


def _predicted(series, kept, *, method: str, tilt_deg, missing_deg, extrapolate: bool, fit_pose: bool):
    from ..interpolation.choice import candidates_of
    from ..interpolation.densify import densify_with_uncertainty
    from ..interpolation.kept import Tracked

    methods = candidates_of(series, kept.checkpoint) if method == "auto" else (method,)
    if "dynamical" in methods:
        _say_cost(series, n_wanted=len(missing_deg))
    try:
        with Tracked(kept, methods=methods, series=series, tilt_deg=missing_deg) as predict_by:
            found = densify_with_uncertainty(
                series,
                tilt_deg=tilt_deg,
                methods=methods,
                predict_by=predict_by,
                extrapolate=extrapolate,
                fit_pose=fit_pose,
            )
    except TsgError:  # what was asked for cannot be done: there is nothing to go on with
        kept.forget()
        raise
    if kept.recalled:
        click.echo(f"{kept.recalled} prediction(s) of an interrupted run were used")
    return found


def _say_cost(series, *, n_wanted: int) -> None:
    """How long the multislice frames take: those measured, those wanted, and those left out."""
    from ..interpolation.dynamical.multislice_atoms import seconds_of_object
    from ..interpolation.leave_out import folds

    n_frames = len(series) + n_wanted + sum(len(out) for _, out, _ in folds(len(series)))
    minutes = seconds_of_object(series, n_frames=n_frames) / 60
    click.echo(f"multislice of the atoms: {n_frames} frames, up to {max(1, round(minutes))} min on one core")


def _write_report(outputs: _Outputs, found, series, *, kept, source: Path) -> None:
    from ..pictures.report import densify_report
    from ..tools.files import readable_name

    command = readable_name(shlex.join(["tsg", *sys.argv[1:]]))
    report = densify_report(found, series, predict_by=kept, source=source, command=command)
    outputs.unfinished(outputs.report).write_text(report, encoding="utf-8")


def _write_series(outputs: _Outputs, found):
    """Write the denser series; its standard deviations are returned."""
    n_predicted = (~found.series.measured).sum()
    note = f"{n_predicted} frames were predicted by tsg densify: {found.choice.verdict}."
    found.series.noted(note).write(outputs.unfinished(outputs.series), overwrite=True)
    return found.sigma


def _write_sigma(outputs: _Outputs, sigma, series, *, tilt_deg, measured) -> None:
    from ..interpolation.densify import sigma_series

    if sigma is not None:
        deviations = sigma_series(sigma, tilt_deg=tilt_deg, measured=measured, pixel_size_A=series.pixel_size_A)
        deviations.write(outputs.unfinished(outputs.sigma), overwrite=True)


def _aligned(series):
    from ..preparation.alignment import align

    found = align(series)
    click.echo(str(found.report))
    return found.series


def _targets(series, *, step: float | None, at: Path | None, extrapolate: bool):
    """All angles of the denser series, and the unmeasured ones among them."""
    import numpy as np

    from ..formats import read_angles
    from ..tilt_series import SAME_ANGLE_deg

    step, (low_deg, high_deg) = step or 1.0, (-90.0, 90.0) if extrapolate else series.tilt_deg[[0, -1]]
    if at is not None:
        wanted_deg = np.unique(read_angles(at))
    else:
        wanted_deg = step * np.arange(np.ceil(low_deg / step), np.floor(high_deg / step) + 1)
    missing = [angle for angle in wanted_deg if np.abs(series.tilt_deg - angle).min() > SAME_ANGLE_deg]
    if not missing:
        raise TsgError("every angle that was asked for is measured; ask for others by --step or --at")
    return np.union1d(series.tilt_deg, missing), np.array(missing)


def _say(choice) -> None:
    """Print what left-out frames say about each method, and the verdict."""
    click.echo(f"{'method':18s} {'left-out frames':>16s} {'expected':>10s} {'weight':>7s}")
    for row in choice.summary()["left_out"]:
        if row.get("reason"):
            click.echo(f"{row['method']:18s} {row['reason']}")
        else:  # with two measured frames, neither is left out: there are no scores
            scores = (row.get("left_out_psnr_dB"), row.get("expected_psnr_dB"))
            left_out, expected = (f"{score:.1f} dB" if score is not None else "" for score in scores)
            click.echo(f"{row['method']:18s} {left_out:>16s} {expected:>10s} {row['weight']:7.2f}")
    if choice.rows is not None:
        click.echo(f"of large frames only rows were left out and judged: {choice.rows.start} to {choice.rows.stop - 1}")
    click.echo(choice.verdict)
