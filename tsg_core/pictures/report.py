"""The report of `tsg densify`: one HTML page with its figures inside, which needs no network and prints well."""

import base64
import io
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from matplotlib.figure import Figure

from ..evaluation.metrics import psnr_dB
from ..interpolation.densify import Densified
from ..interpolation.large_series import judged_part
from ..interpolation.leave_out import Predict, folds
from ..preparation.checks import facts, sources, warnings_of
from ..tilt_series import TiltSeries
from ..tools.digests import checksum, digest_of
from ..tools.files import readable_name
from ..tools.provenance import package_versions
from .slices import NO_TICKS, draw_scale_bar

N_EXAMPLES = 3
CARE = (
    "Predicted frames are not measurements, and their noise is not that of the microscope. When you publish, say "
    "which frames were measured; the files keep the flags.",
    "Methods that fit an object (reprojection, atoms) assume one rigid particle, frames aligned with one another, and "
    "the tilt axis in their middle. An object that moves, grows or burns under the beam breaks these assumptions.",
    "The standard deviations are learnt from left-out frames, at twice the spacing of your frames, and extrapolated to "
    "your spacing. They describe the error of a measured frame, noise included, not structure that no frame shows.",
    "No prediction fills the missing wedge: what lies beyond the first and the last angle stays unknown.",
)
CARE_BEYOND = (
    "Frames beyond the measured range rest on the fitted object alone. What it got wrong along the beam, no frame can "
    "put right; their standard deviations grow with the distance, and say nothing about features that no frame shows."
)


def densify_report(found: Densified, measured: TiltSeries, *, predict_by: Predict, source: Path, command: str) -> str:
    """HTML of the prediction from the series `measured`: its frames, its accuracy on left-out frames, its provenance.

    `source` is the file, or the pattern of files, that the series came from. `predict_by` returns the predictions of
    left-out frames again, ideally from a cache.
    """
    judged = judged_part(measured)
    left_out = _left_out(judged, methods=list(found.choice.weights), predict_by=predict_by)
    template = Environment(
        loader=PackageLoader("tsg_core.pictures", ""), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    ).get_template("densify_report.html")
    return template.render(
        source=readable_name(source.name),
        verdict=found.choice.verdict,
        warnings=warnings_of(measured),
        rows=found.choice.summary()["left_out"],
        left_out_figure=_left_out_curve(left_out, measured) if left_out else None,
        left_out_examples=_left_out_examples(left_out, judged, method=found.choice.method) if left_out else None,
        method=found.choice.method,
        judged_rows=found.choice.rows,
        examples=_predicted_examples(found),
        facts=facts(found.series) | sources(measured),
        history=measured.history,
        command=command,
        checksum=_checksum(source),
        made=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        versions=package_versions(),
        beyond=found.beyond and found.beyond.summary(),
        beyond_figure=found.beyond and _beyond_figure(found),
        care=(*CARE[:-1], CARE[-1] if found.beyond is None else CARE_BEYOND),
    )


def _checksum(source: Path) -> str:
    """SHA-256 of a file or a folder; for several files, the digest of their checksums."""
    if "*" not in source.name:
        return checksum(source)
    return digest_of([checksum(path) for path in sorted(source.parent.glob(source.name))])


def _left_out(measured: TiltSeries, *, methods: Sequence[str], predict_by: Predict) -> dict:
    """Indices of the left-out frames whose neighbours are both kept, and what each method predicted for them.

    method -> (mean squared error of each frame, predictions of the first fold)
    """
    parts = [(kept, out) for kept, out, near in folds(len(measured)) if near]
    if not parts:
        return {}
    order = np.argsort(np.concatenate([out for _, out in parts]))
    found = {"index": np.concatenate([out for _, out in parts])[order], "errors": {}, "shown": {}}
    for method in methods:
        errors, predictions = [], {}
        for kept, out in parts:
            predicted = predict_by(method, measured.subset(kept), measured.tilt_deg[out])
            errors += [np.mean((p - measured.frames[i]) ** 2, dtype=float) for p, i in zip(predicted, out, strict=True)]
            predictions |= {int(i): p for i, p in zip(out, predicted, strict=True) if i in _evenly(found["index"])}
        found["errors"][method] = np.array(errors)[order]
        found["shown"][method] = predictions
    return found


def _evenly(indices: np.ndarray) -> list[int]:
    """A few items, spread evenly over all."""
    places = np.linspace(0, len(indices) - 1, min(N_EXAMPLES, len(indices)) + 2)[1:-1].round().astype(int)
    return [int(i) for i in indices[np.unique(places)]]


def _left_out_curve(left_out: dict, measured: TiltSeries) -> str:
    figure = Figure(figsize=(7.5, 2.8), layout="constrained")
    axis = figure.subplots()
    peak = measured.intensity_scale or 1.0
    for method, mse in left_out["errors"].items():
        axis.plot(measured.tilt_deg[left_out["index"]], psnr_dB(mse.clip(1e-300), peak), ".-", label=method)
    axis.set(xlabel="tilt of the left-out frame (deg)", ylabel="PSNR (dB)")
    axis.legend(frameon=False, fontsize=8)
    axis.spines[["top", "right"]].set_visible(False)
    return _png(figure)


def _beyond_figure(found: Densified) -> str:
    """The PSNR expected of every predicted frame, with a line at either end of the measured range."""
    figure = Figure(figsize=(7.5, 2.8), layout="constrained")
    axis, series = figure.subplots(), found.series
    expected_dB = psnr_dB(np.square(found.sigma, dtype=np.float64).mean(axis=(1, 2)), series.intensity_scale or 1.0)
    tilt_deg, range_deg = series.tilt_deg[~series.measured], found.beyond.range_deg
    axis.plot(tilt_deg, expected_dB, ".", color="C0")
    for end_deg in range_deg:
        axis.axvline(end_deg, color="0.3", lw=1, ls="--")
    for low, high in ((series.tilt_deg[0], range_deg[0]), (range_deg[1], series.tilt_deg[-1])):
        axis.axvspan(low, high, color="0.92", zorder=0)
    axis.set(xlabel="tilt of the predicted frame (deg)", ylabel="expected PSNR (dB)")
    axis.spines[["top", "right"]].set_visible(False)
    return _png(figure)


def _left_out_examples(left_out: dict, measured: TiltSeries, *, method: str) -> str:
    rows = []
    for i, predicted in sorted(left_out["shown"][method].items()):
        truth, angle = measured.frames[i], f"{measured.tilt_deg[i]:.4g}°"
        rows.append(
            [(f"{angle}, measured", truth), (f"{angle}, predicted", predicted), ("difference", predicted - truth)]
        )
    return _pictures(rows, measured, last="RdBu_r")


def _predicted_examples(found: Densified) -> str:
    series = found.series
    predicted, measured = np.flatnonzero(~series.measured), np.flatnonzero(series.measured)
    rows = []
    for i in _evenly(predicted):
        upper = np.searchsorted(measured, i)
        before, after = measured[np.clip([upper - 1, upper], 0, len(measured) - 1)]  # beyond the ends, one twice
        row = [(f"{series.tilt_deg[k]:.4g}°, {what}", series.frames[k])
               for k, what in ((before, "measured"), (i, "predicted"), (after, "measured"))]  # fmt: skip
        if found.sigma is not None:
            row.append(("standard deviation", found.sigma[np.searchsorted(predicted, i)]))
        rows.append(row)
    return _pictures(rows, series, last="magma" if found.sigma is not None else "gray")


def _pictures(rows: list, series: TiltSeries, *, last: str) -> str:
    """Rows of titled pictures on one grey scale; the last column has a colour scale of its own.

    The grey scale ends at the brightest predicted pixel, because brighter single pixels of noise would dim the rest.
    """
    n_columns = len(rows[0])
    n_y, n_x = series.frames.shape[1:]
    height = min(2.0 * n_y / n_x, 4.0) + 0.3
    figure = Figure(figsize=(2.0 * n_columns + 0.7, height * len(rows)), layout="constrained")
    axes = figure.subplots(len(rows), n_columns, squeeze=False, subplot_kw=NO_TICKS)
    greys = [picture for row in rows for _, picture in (row if last == "gray" else row[:-1])]
    brightest = max(picture.max() for row in rows for title, picture in row if title.endswith("predicted"))
    grey = {"vmin": min(0.0, *(g.min() for g in greys)), "vmax": brightest or 1.0, "cmap": "gray"}
    top = max(np.abs(row[-1][1]).max() for row in rows) or 1.0
    colours = {"vmin": -top if last == "RdBu_r" else 0, "vmax": top, "cmap": last}
    for row, line in zip(rows, axes, strict=True):
        for k, ((title, picture), axis) in enumerate(zip(row, line, strict=True)):
            coloured = k == n_columns - 1 and last != "gray"
            shown = axis.imshow(picture, interpolation="nearest", **(colours if coloured else grey))
            axis.set_title(title, fontsize=8)
            axis.set_axis_off()
    if last != "gray":
        bar = figure.colorbar(shown, ax=list(axes[:, -1]), shrink=0.8)
        bar.ax.tick_params(labelsize=7)
    draw_scale_bar(axes[0, 0], (n_y, n_x), series.pixel_size_A, colour="w")
    return _png(figure)


def _png(figure: Figure) -> str:
    """The figure as a `data:` address."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=120)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()
