"""Where the tilt axis lies in the frames: the column about which the centre of mass moves like that of one object."""

from dataclasses import dataclass

import numpy as np
from scipy.optimize import least_squares

from ..errors import TsgError
from ..geometry import pixel_centres_A, rotate_about_y
from ..tilt_series import TiltSeries

BORDER = 0.06  # of the columns on either side; their mean is the background of a frame
OUTLINE = 0.02  # of the brightest column: the object ends here
MARGIN_px = 3.0
N_ROUNDS = 4


@dataclass(frozen=True, eq=False, kw_only=True)
class AxisFit:
    """The tilt axis found in frames.

    shift_px       column of the axis relative to the middle of the frame, for `axis_shift_px` of the methods
    uncertainty_px its standard error, from the scatter of the centres about the fit
    centre_px      (n_tilt,) centres of mass, relative to the middle of the frame
    fitted_px      (n_tilt,) centres according to the fit
    """

    shift_px: float
    uncertainty_px: float
    centre_px: np.ndarray
    fitted_px: np.ndarray


def find_axis(series: TiltSeries) -> AxisFit:
    """Find the tilt axis by the first of the Helgason-Ludwig consistency conditions.

    The centre of mass of an object's projections moves as shift + x cos(tilt) + z sin(tilt). It is computed inside a
    window that follows the object, above the background at the left and right borders, and fitted so that single
    outlying frames count little. Frames must be aligned with one another, and must show the whole object.
    Raises TsgError for fewer than five frames, for a range below 20 degrees, and for frames without contrast.
    """
    if len(series) < 5 or np.ptp(series.tilt_deg) < 20:
        raise TsgError(
            f"the tilt axis cannot be found from {len(series)} frames over {np.ptp(series.tilt_deg):g} deg; "
            "five frames over 20 deg are needed at least"
        )
    profiles = _profiles(series.frames)
    column = pixel_centres_A(profiles.shape[1], pixel_size_A=1.0)
    tilt_rad = np.deg2rad(series.tilt_deg)
    x_part, z_part = rotate_about_y(np.eye(2)[0][:, None], np.eye(2)[1][:, None], np.cos(tilt_rad), np.sin(tilt_rad))[0]
    design = np.column_stack([np.ones(len(series)), x_part, z_part])
    window = np.ones_like(profiles)
    for _ in range(N_ROUNDS):
        centre = _centres(profiles * window, column)
        parameters = _fitted(design, centre)
        fitted = design @ parameters
        window = np.abs(column - fitted[:, None]) <= _reach(profiles, column, fitted)
    error = fitted - centre
    covariance = np.linalg.pinv(design.T @ design) * (error @ error) / max(len(series) - 3, 1)
    return AxisFit(
        shift_px=float(parameters[0]),
        uncertainty_px=float(np.sqrt(covariance[0, 0])),
        centre_px=centre,
        fitted_px=fitted,
    )


def _profiles(frames: np.ndarray) -> np.ndarray:
    """(n_tilt, n_x): mean over the rows of each frame, minus that of its border."""
    profiles = np.array([frame.mean(axis=0, dtype=np.float64) for frame in frames])
    n_border = max(2, round(BORDER * profiles.shape[1]))
    border = np.concatenate([profiles[:, :n_border], profiles[:, -n_border:]], axis=1)
    return profiles - border.mean(axis=1, keepdims=True)


def _centres(profiles: np.ndarray, column: np.ndarray) -> np.ndarray:
    mass = profiles.sum(axis=1)
    if (mass <= 1e-9 * np.abs(profiles).sum(axis=1)).any() or not profiles.any():
        raise TsgError(
            "the tilt axis cannot be found: a frame is no brighter inside than at its left and right borders"
        )
    return profiles @ column / mass


def _fitted(design: np.ndarray, centre: np.ndarray) -> np.ndarray:
    """Least squares in which centres beyond the usual scatter count by their distance, not by its square."""
    scatter = _scatter(design, centre)
    return least_squares(lambda p: design @ p - centre, np.zeros(3), loss="soft_l1", f_scale=scatter).x


def _scatter(design: np.ndarray, centre: np.ndarray) -> float:
    """Median distance of the centres from the plain least-squares fit, at least a thousandth of a pixel."""
    plain = design @ np.linalg.lstsq(design, centre, rcond=None)[0]
    return max(1.5 * float(np.median(np.abs(plain - centre))), 1e-3)


def _reach(profiles: np.ndarray, column: np.ndarray, fitted: np.ndarray) -> float:
    """How far the object extends from its centre of mass, in the mean of all frames."""
    about = np.mean(
        [np.interp(column, column - f, p, left=0, right=0) for f, p in zip(fitted, profiles, strict=True)], axis=0
    )
    return float(np.abs(column[about > OUTLINE * about.max()]).max(initial=1.0)) + MARGIN_px
