"""Poses: where each frame lies, how its angle was misread, and how bright it is, beside the object that all show.

The frames are left out in turns and compared with the reprojection of the object made from the others (alignment by
reprojection: Dengler, Ultramicroscopy 30, 337, 1989), by Gauss-Newton steps on the gradients of the reprojection. Most
series gain nothing from more parameters. Frames that took no part in a fit therefore decide which of them are kept.
"""

from dataclasses import dataclass, replace

import numpy as np
from scipy.ndimage import affine_transform

from ..geometry import axis_rotation, binned_frames, translation_of
from ..tilt_series import TiltSeries
from .expectation_maximisation import os_em
from .extent import Extent, SEARCHED_px, damped_volume, supposed_extent
from .projection import project

PARAMETERS = ("shift along y", "shift along x", "rotation", "tilt error", "gain", "offset")
SPREAD = np.array([1.0, 1.0, 0.5, 0.5, 0.1, 0.1])  # usual size: px, px, degrees, degrees, relative, of the mean
GROUPS = {"shifts": (0, 1), "brightness": (4, 5), "tilt errors and rotations": (2, 3)}  # tried in this order
SETTLED = np.array([0.1, 0.1, 0.15, 0.15, 0.02, 0.02])  # a last step below this has settled
N_ROUNDS, N_FOLDS = 8, 3
PART = 0.6  # of each step: frames whose neighbours move, too, would overshoot and swing about their place
EVERY = 3  # of the frames one takes no part in the fit, to judge it
FEWEST = 9  # frames
START_THICK, START_NOISE = 0.6, 0.4  # widths of the frame, and `Extent.noise`, while shifts are large
N_ITERATIONS = 8  # of OS-EM, for an object inside the frames
STEP_deg = 0.5  # for the slope of frames with the tilt
NEIGHBOURS_px = 10.0  # pixels whose errors are alike
LEAST_GAIN_dB = 0.05
N_ERRORS = 2.0  # standard errors by which a gain must exceed zero


@dataclass(frozen=True, eq=False, kw_only=True)
class Poses:
    """values (n_tilt, 6): the `PARAMETERS` of each frame.

    Shifts are in pixels and rotations in degrees, as in `preparation.transformation`; tilt errors in degrees are added
    to the angles; gains are relative to 1, and offsets are in the unit of the frames.
    """

    values: np.ndarray

    def undone(self, series: TiltSeries) -> TiltSeries:
        """The series as it would have been recorded in perfect pose; pixels not recorded repeat the nearest ones."""
        frames = np.empty_like(series.frames)
        for i, (shift_y, shift_x, rotation_deg, _, gain, offset) in enumerate(self.values):
            turn, middle = axis_rotation(rotation_deg), _middle(frames)
            start = middle + np.array([shift_y, shift_x]) - turn @ middle
            affine_transform((series.frames[i] - offset) / (1 + gain), turn, start, output=frames[i], mode="nearest")
        return replace(series, frames=frames, tilt_deg=series.tilt_deg + self.values[:, 3])

    def redone(self, frames: np.ndarray) -> np.ndarray:
        """Frames (n_tilt, n_y, n_x) in perfect pose, as they are recorded in these poses."""
        recorded = np.empty_like(frames)
        for i, (shift_y, shift_x, rotation_deg, _, gain, offset) in enumerate(self.values):
            back, middle = axis_rotation(rotation_deg).T, _middle(frames)
            start = middle - back @ (middle + np.array([shift_y, shift_x]))
            affine_transform(frames[i], back, start, output=recorded[i], mode="nearest")
            recorded[i] = recorded[i] * (1 + gain) + offset
        return recorded


@dataclass(frozen=True, eq=False, kw_only=True)
class PoseFit:
    """The poses that left-out frames confirm, None if they confirm none; `remark` says why, in a sentence."""

    poses: Poses | None
    remark: str


def fit_poses(series: TiltSeries) -> PoseFit:
    """The poses of the frames, as far as they help to predict frames that took no part in the fit.

    Wide frames are binned for it. A translation of the object, the mean gain and the mean tilt error stay undetermined
    and are zero.
    """
    if len(series) < FEWEST:
        return _unchanged(f"{len(series)} frames are too few to fit poses; {FEWEST} are needed")
    times = max(1, max(series.frames.shape[1:]) // SEARCHED_px)
    small = replace(
        series, frames=binned_frames(series.frames, times), pixel_size_A=times * series.pixel_size_A, measured=None
    )
    out = np.arange(1, len(small) - 1, EVERY)
    kept, judged = small.subset(np.setdiff1d(np.arange(len(small)), out)), small.subset(out)
    extent = supposed_extent(kept)
    values, free, error = np.zeros((len(kept), 6)), (), _judged_error(kept, judged, extent)
    start, said = error, []
    for name, group in GROUPS.items():
        tried, settled = _alternated(kept, (*free, *group), values, _start_extent(kept) if not free else extent)
        if not settled:
            said.append(f"{name} do not settle")
            continue
        undone = Poses(values=tried).undone(kept)
        now = extent if free else supposed_extent(undone)  # misaligned frames seem to show a thinner object
        lower = _judged_error(undone, judged, now)
        gain_dB, error_dB = _gain_dB(error, lower)
        said.append(f"{name} {gain_dB:+.2f} +- {error_dB:.2f} dB")
        if gain_dB > max(LEAST_GAIN_dB, N_ERRORS * error_dB):
            free, values, error, extent = (*free, *group), tried, lower, now
    found = "; ".join(said)
    if not free:
        return _unchanged(f"left-out frames confirm no errors of pose or brightness ({found})")
    values, settled = _alternated(small, free, np.zeros((len(small), 6)), extent)
    if not settled:
        return _unchanged("the poses of all frames together do not settle")
    poses = Poses(values=values * np.array([times, times, 1, 1, 1, 1]))
    return PoseFit(
        poses=poses,
        remark=f"Fitted the poses of the frames: {_described(poses, free)}; left-out frames are predicted "
        f"{_gain_dB(start, error)[0]:.1f} dB better up to their own poses ({found}).",
    )


def _start_extent(series: TiltSeries) -> Extent | None:
    """An extent rather too thick than too thin, and smooth, from which shifts of several pixels converge."""
    found = supposed_extent(series)
    if found is None or "extent" in series.metadata:
        return found
    return Extent(thickness_A=START_THICK * series.frames.shape[2] * series.pixel_size_A, noise=START_NOISE)


def _unchanged(why: str) -> PoseFit:
    return PoseFit(poses=None, remark=f"Poses are left as they are: {why}.")


def _described(poses: Poses, free: tuple[int, ...]) -> str:
    shift, turn, gain = (np.sqrt((poses.values[:, of] ** 2).mean(axis=0)) for of in ((0, 1), (2, 3), (4, 5)))
    sizes = {
        0: f"shifts of {shift[0]:.2f} px along and {shift[1]:.2f} px across the axis",
        4: f"gains of {gain[0]:.1%}",
        2: f"rotations of {turn[0]:.2f} and tilt errors of {turn[1]:.2f} degrees",
    }
    return ", ".join(size for first, size in sizes.items() if first in free) + " (root mean square)"


def _alternated(
    series: TiltSeries, free: tuple[int, ...], start: np.ndarray, extent: Extent | None
) -> tuple[np.ndarray, bool]:
    """Poses (n_tilt, 6) after rounds of reconstruction and Gauss-Newton steps, and whether they have settled."""
    values, step = start.copy(), np.full(6, np.inf)
    for _ in range(N_ROUNDS):
        current = Poses(values=values).undone(series)
        step = _without_gauge(_steps(current, _models(current, extent), free), current.tilt_deg)
        values = values + PART * step
        if (np.diff(series.tilt_deg + values[:, 3]) <= 0).any() or not np.isfinite(values).all():
            return start, False
        if (_size(step) < SETTLED / 4).all():
            break
    return values, bool((_size(step) < np.maximum(SETTLED, _size(values) / 2)).all())


def _size(values: np.ndarray) -> np.ndarray:
    """Root mean square (6,) of each parameter; offsets, which follow the gains, do not count."""
    return np.sqrt((values**2).mean(axis=0)) * np.array([1, 1, 1, 1, 1, 0])


def _models(series: TiltSeries, extent: Extent | None) -> np.ndarray:
    """(3, n_tilt, n_y, n_x): every frame as the others predict it, and the same half a degree before and after."""
    models, every = np.empty((3, *series.frames.shape), np.float32), np.arange(len(series))
    for first in range(N_FOLDS):
        out = every[first::N_FOLDS]
        models[:, out] = _drawn(series.subset(np.setdiff1d(every, out)), series.tilt_deg[out], extent)
    return models


def _drawn(series: TiltSeries, tilt_deg: np.ndarray, extent: Extent | None) -> np.ndarray:
    """Frames (3, n, n_y, n_x) of the object made from a series, at angles half a degree before, at and after these."""
    if extent is None:
        volume = os_em(series, n_iterations=N_ITERATIONS, microscope=None, allow_negative=True)
    else:
        volume = damped_volume(series, extent)
    n_y, n_x = series.frames.shape[1:]
    at_deg = np.concatenate([tilt_deg - STEP_deg, tilt_deg, tilt_deg + STEP_deg])
    return project(volume, tilt_deg=at_deg, n_pixels=n_x).reshape(3, -1, n_y, n_x)


def _steps(series: TiltSeries, models: np.ndarray, free: tuple[int, ...]) -> np.ndarray:
    """One Gauss-Newton step (n_tilt, 6) of the free parameters of each frame, towards its model."""
    steps, of = np.zeros((len(series), 6)), list(free)
    mean = float(series.frames.mean(dtype=np.float64)) or 1.0
    for i, frame in enumerate(series.frames):
        slopes, missed = _slopes(models[:, i], mean)[:, of], (frame - models[1, i]).ravel().astype(np.float64)
        for _ in range(2):  # the second time with the errors that remain
            left = missed - slopes @ steps[i, of]
            damping = np.diag(NEIGHBOURS_px * left.var() / SPREAD[of] ** 2)
            steps[i, of] = np.linalg.lstsq(slopes.T @ slopes + damping, slopes.T @ missed, rcond=None)[0]
    steps[:, 5] *= mean
    return steps


def _slopes(models: np.ndarray, mean: float) -> np.ndarray:
    """(n_y * n_x, 6): how a frame changes with each parameter; an offset of 1 is the mean of the frames."""
    before, model, after = models.astype(np.float64)
    y, x = (np.arange(n) - (n - 1) / 2 for n in model.shape)
    along, across = np.gradient(model)
    turned = np.deg2rad(x * along - y[:, None] * across)
    tilted = (after - before) / (2 * STEP_deg)
    return np.stack([-along, -across, turned, tilted, model, np.full_like(model, mean)], axis=-1).reshape(-1, 6)


def _without_gauge(values: np.ndarray, tilt_deg: np.ndarray) -> np.ndarray:
    """Poses without what is the same as another place, brightness or orientation of the object."""
    values = values.copy()
    values[:, :2] -= translation_of(values[:, :2], tilt_deg=tilt_deg)
    values[:, 3:] -= values[:, 3:].mean(axis=0)
    return values


def _judged_error(series: TiltSeries, judged: TiltSeries, extent: Extent | None) -> np.ndarray:
    """Mean squared errors (n,) of frames predicted from a series, once their own poses are fitted to the prediction."""
    models, every = _drawn(series, judged.tilt_deg, extent), tuple(range(6))
    values = _steps(judged, models, every)
    values[:, 3] = 0  # the model stays at its angle
    in_pose = replace(Poses(values=values).undone(judged), tilt_deg=judged.tilt_deg)
    return _squared_errors(in_pose, models, _steps(in_pose, models, every))


def _squared_errors(series: TiltSeries, models: np.ndarray, steps: np.ndarray) -> np.ndarray:
    """Mean squared errors (n_tilt,) of frames that the models and a step of their parameters leave."""
    errors = np.empty(len(series))
    for i, frame in enumerate(series.frames):
        drawn = models[1, i].ravel() + _slopes(models[:, i], mean=1.0) @ steps[i]
        errors[i] = np.square(frame.ravel() - drawn).mean()
    return errors + 1e-30


def _gain_dB(before: np.ndarray, after: np.ndarray) -> tuple[float, float]:
    """Mean gain over frames and its standard error."""
    gain_dB = 10 * np.log10(before / after)
    return float(gain_dB.mean()), float(gain_dB.std(ddof=1) / np.sqrt(len(gain_dB)))


def _middle(frames: np.ndarray) -> np.ndarray:
    return (np.array(frames.shape[1:]) - 1) / 2
