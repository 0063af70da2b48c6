"""A tilt series made denser: frames at unmeasured tilt angles, by any of the methods."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from ..errors import TsgError
from ..tilt_series import SAME_ANGLE_deg, TiltSeries
from ..vacuum import less_offset, offset_of
from .angles import between, nearest_frame
from .beyond import Beyond, check_methods, predict_beyond
from .choice import AutomaticPrediction, Choice, candidates_of, choose, predict_automatically
from .fitted_series import FittedSeries
from .large_series import hand_back_memory, is_large
from .leave_out import Predict
from .methods import SINGLE_METHODS, predict
from .posed import Posed

METHODS = (*SINGLE_METHODS, "auto")  # "auto" blends the others as left-out measured frames speak for them


def densify(
    series: TiltSeries,
    *,
    tilt_deg: ArrayLike,
    method: str = "linear",
    checkpoint: str | Path | None = None,
    elements: str | Sequence[str] | None = None,
    extrapolate: bool = False,
    fit_pose: bool = False,
) -> TiltSeries:
    """The series at exactly the angles `tilt_deg` (ascending): measured frames where they exist, else predicted.

    A target within 1e-6 degrees of a measured angle returns that frame bit for bit, with `measured` True. Predictions
    use only the measured frames of `series`. They are clipped at zero, or at the darkest measured pixel if that is
    negative. If the vacuum of the frames has an offset, it is subtracted before the prediction and added again after
    it, and the history says so. `metadata["method"]` names the method, and `metadata["choice"]` what "auto" chose.
    `checkpoint` is the trained network for methods that need one, as `model.shipped.network` accepts it; by default the
    shipped one. `elements` are those that the object contains, for methods that fit atoms; by default the ones in
    `metadata["elements"]`, or else those that the brightness of the atoms tells. Atoms as light as a named one count.
    `extrapolate` allows angles beyond the measured range, which only methods that have an object can predict
    (`beyond.BEYOND`, and "auto" by these); see `densify_with_uncertainty` for their errors.
    `fit_pose` predicts from frames whose shifts, angles and brightness scatter no more: `poses.fit_poses` finds them,
    as far as left-out frames confirm it. The history says what was found.
    Raises TsgError for an unknown method, fewer than two measured frames, and targets that are not finite, do not
    ascend, or lie outside the measured range unless the method may and can extrapolate.
    """
    if method not in METHODS:
        raise TsgError(f"method={method!r} is not known; choose one of {', '.join(METHODS)}")
    series = with_elements(series, elements)
    measured = _measured(series)
    tilt_deg = _checked_targets(tilt_deg, measured.tilt_deg, extrapolate=extrapolate)
    missing_deg = tilt_deg[~_known(measured, tilt_deg)]
    if len(missing_deg) and method == "auto":
        return densify_with_uncertainty(
            series, tilt_deg=tilt_deg, checkpoint=checkpoint, extrapolate=extrapolate, fit_pose=fit_pose
        ).series
    if not between(measured.tilt_deg, missing_deg).all():
        check_methods([method], measured.tilt_deg[[0, -1]])
    on_zero, offsets = _on_zero(measured)
    if len(missing_deg):
        # what `dynamical` learns of the series is asked for afterwards
        known = FittedSeries.of(on_zero) if method == "dynamical" else on_zero
        posed = Posed.of(known, fit_pose=fit_pose)
        inner = between(measured.tilt_deg, missing_deg)
        wanted_deg = np.where(inner, posed.within(missing_deg), missing_deg)
        predicted = predict(method, posed.series, wanted_deg, checkpoint=checkpoint)
        measured = posed.noted(measured)
        if isinstance(posed.series, FittedSeries) and posed.series.microscope_remark:
            measured = measured.noted(posed.series.microscope_remark)
    else:
        predicted = measured.frames[:0]
    metadata = {**measured.metadata, "method": method}
    return _between_measured(measured, predicted, tilt_deg, metadata=metadata, offsets=offsets)


@dataclass(frozen=True, eq=False, kw_only=True)
class Densified:
    """A denser series, and how far its frames can be trusted.

    series  measured and predicted frames, as `densify` returns them
    sigma   (n_predicted, n_y, n_x), the standard deviations of the predicted frames, in the order of their angles; None
            if there are only two measured frames, since neither can be left out
    choice  what left-out frames say about the methods
    beyond  the predictions beyond the measured range; None if there are none
    posed   the measured frames that the predictions were made from, without the scatter of their poses
    fitted_pose  what was found about the poses, in a sentence; empty if no fit was asked for
    fitted_microscope  the same about the microscope; empty if the stated one is as good, or was not asked about
    """

    series: TiltSeries
    sigma: np.ndarray | None
    choice: Choice
    beyond: Beyond | None = None
    posed: TiltSeries | None = None
    fitted_pose: str = ""
    fitted_microscope: str = ""


def sigma_series(sigma: np.ndarray, *, tilt_deg: np.ndarray, measured: np.ndarray, pixel_size_A: float) -> TiltSeries:
    """Standard deviations (n_predicted, n_y, n_x) as a series with the angles of the denser one; 0 where measured."""
    frames = np.zeros((len(tilt_deg), *sigma.shape[1:]), np.float32)
    frames[~measured] = sigma
    series = TiltSeries(frames, tilt_deg, pixel_size_A, measured)
    return series.noted("Standard deviations of predicted frames, 0 where measured.")


def densify_with_uncertainty(
    series: TiltSeries,
    *,
    tilt_deg: ArrayLike,
    methods: Sequence[str] | None = None,
    checkpoint: str | Path | None = None,
    predict_by: Predict | None = None,
    extrapolate: bool = False,
    fit_pose: bool = False,
) -> Densified:
    """`densify` by "auto", with standard deviations; the options are those of `predict_automatically`.

    With `extrapolate`, angles beyond the measured range are predicted by those of the methods that have an object.
    Their standard deviations grow with the distance, as left-out ends of the series show; see `beyond.predict_beyond`.
    Raises TsgError as `densify` does, if nothing is to be predicted, and if none of the methods applies.
    """
    measured = _measured(series)
    tilt_deg = _checked_targets(tilt_deg, measured.tilt_deg, extrapolate=extrapolate)
    missing_deg = tilt_deg[~_known(measured, tilt_deg)]
    if len(missing_deg) == 0:
        raise TsgError("nothing is to be predicted: every target angle was measured")
    on_zero, offsets = _on_zero(measured)
    posed = Posed.of(on_zero, fit_pose=fit_pose)
    on_zero = FittedSeries.of(posed.series)
    methods = None if methods is None else tuple(methods)
    options: dict = {"methods": methods, "checkpoint": checkpoint, "predict_by": predict_by}
    inner = between(measured.tilt_deg, missing_deg)
    further = found = None
    if not inner.all():
        tried = candidates_of(on_zero) if methods is None else methods
        further = predict_beyond(on_zero, tilt_deg=missing_deg[~inner], methods=tried, predict_by=predict_by)
    if inner.any():
        found = predict_automatically(on_zero, tilt_deg=posed.within(missing_deg[inner]), **options)
    choice = choose(on_zero, **options) if found is None else found.choice
    frames, sigma = _joined(found, further, inner)
    if is_large(measured.frames):
        hand_back_memory()
    method = "auto" if methods is None or len(methods) > 1 else methods[0]
    measured = posed.noted(measured)
    metadata = {**measured.metadata, "method": method, "choice": choice.summary()}
    if further is not None:
        metadata["beyond"] = further.summary()
    dense = _between_measured(measured, frames, tilt_deg, metadata=metadata, offsets=offsets)
    if further is not None:
        low, high = measured.tilt_deg[[0, -1]]
        dense = dense.noted(
            f"{len(further.frames)} of the predicted frames lie beyond the measured range, {low:g} to {high:g} deg."
        )
    if on_zero.microscope_remark:
        dense = dense.noted(on_zero.microscope_remark)
    return Densified(
        series=dense,
        sigma=sigma,
        choice=choice,
        beyond=further,
        posed=posed.series,
        fitted_pose=posed.remark,
        fitted_microscope=on_zero.microscope_remark,
    )


def _joined(
    found: AutomaticPrediction | None, further: Beyond | None, inner: np.ndarray
) -> tuple[np.ndarray, np.ndarray | None]:
    """Frames and standard deviations in the measured range (`inner`) and beyond it, in the order of their angles."""
    parts = [(made, where) for made, where in ((found, inner), (further, ~inner)) if made is not None]
    if len(parts) == 1:
        return parts[0][0].frames, parts[0][0].sigma
    frames = np.empty((len(inner), *parts[0][0].frames.shape[1:]), np.float32)
    sigma = np.empty_like(frames)
    for made, where in parts:  # both state errors: where some frames lie beyond, five at least are measured
        frames[where], sigma[where] = made.frames, made.sigma
    return frames, sigma


def with_elements(series: TiltSeries, names: str | Sequence[str] | None) -> TiltSeries:
    """The series whose metadata name the elements of the object; the series itself if there are no names.

    Raises TsgError for names that are no elements.
    """
    if names is None:
        return series
    from .atoms.elements import checked_names  # scipy.signal takes half a second to import

    return replace(series, metadata={**series.metadata, "elements": checked_names(names)})


def _measured(series: TiltSeries) -> TiltSeries:
    measured = series.measured_only()
    if len(measured) < 2:
        raise TsgError(f"{len(measured)} measured frame(s) cannot be interpolated; at least two are needed")
    return measured


def _known(measured: TiltSeries, tilt_deg: np.ndarray) -> np.ndarray:
    """True for the measured targets."""
    nearest = nearest_frame(measured.tilt_deg, tilt_deg)
    return np.abs(measured.tilt_deg[nearest] - tilt_deg) <= SAME_ANGLE_deg


def _on_zero(measured: TiltSeries) -> tuple[TiltSeries, np.ndarray | None]:
    """The series minus the offset of its vacuum, and the offset (n_tilt,); unchanged, and None, if there is none."""
    vacuum = offset_of(measured)
    return (measured, None) if vacuum is None else (less_offset(measured, vacuum), vacuum.offsets)


def _between_measured(
    measured: TiltSeries, predicted: np.ndarray, tilt_deg: np.ndarray, *, metadata: dict, offsets: np.ndarray | None
) -> TiltSeries:
    known = _known(measured, tilt_deg)
    frames = np.empty((len(known), *predicted.shape[1:]), np.float32)
    for i, k in zip(np.flatnonzero(known), nearest_frame(measured.tilt_deg, tilt_deg[known]), strict=True):
        frames[i] = measured.frames[k]  # one by one: no copy of all
    frames[~known] = predicted
    dense = replace(measured, frames=frames, tilt_deg=tilt_deg, measured=known, metadata=metadata)
    if offsets is None:
        return dense
    frames[~known] += np.interp(tilt_deg[~known], measured.tilt_deg, offsets).astype(np.float32)[:, None, None]
    return dense.noted(
        f"Frames were predicted about the vacuum, which lies at {np.median(offsets):.5g}, and stand on it again."
    )


def _checked_targets(tilt_deg: ArrayLike, measured_deg: np.ndarray, *, extrapolate: bool) -> np.ndarray:
    tilt_deg = np.atleast_1d(np.asarray(tilt_deg, np.float64))
    if tilt_deg.ndim != 1 or len(tilt_deg) == 0 or not np.isfinite(tilt_deg).all():
        raise TsgError("tilt_deg must be a list of finite angles in degrees, one at least")
    if (np.diff(tilt_deg) <= 0).any():
        i = int(np.argmax(np.diff(tilt_deg) <= 0))
        raise TsgError(f"tilt_deg must ascend without repeats; {tilt_deg[i]:g} is followed by {tilt_deg[i + 1]:g}")
    low, high = measured_deg[0], measured_deg[-1]
    outside = tilt_deg[~between(measured_deg, tilt_deg)]
    if len(outside) and not extrapolate:
        raise TsgError(
            f"{len(outside)} target angle(s), the first {outside[0]:g} deg, lie outside the measured range "
            f"{low:g} to {high:g} deg; nothing is extrapolated unless you ask for it by --extrapolate"
            " (in Python: extrapolate=True)"
        )
    if len(outside) and np.abs(outside).max() > 90 + SAME_ANGLE_deg:
        raise TsgError(
            f"{outside[np.abs(outside).argmax()]:g} deg lies beyond +-90 deg, where frames are mirror images of others"
        )
    return tilt_deg
