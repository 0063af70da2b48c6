"""Shifts and tilt axis of an object that goes on outside the frames, fitted together with the object itself.

Projection matching draws a volume, then moves the frames, in turns. It hardly corrects errors that change smoothly with
the tilt, because the volume follows them; nor does it know what lies outside the frames. Here every iteration takes a
step of the volume and one of the shifts, both with Nesterov's momentum (inertial proximal alternating minimisation:
Pock and Sabach, SIAM J. Imaging Sci. 9, 1756, 2016). The volume is nowhere negative, fills a box as wide as the rays
reach, and is compared with recorded pixels alone.
"""

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import affine_transform

from ..geometry import axis_rotation, translation_of
from ..reconstruction.projection import Box, frame_columns, system_matrix
from ..reconstruction.projector import MatrixProjector
from .transformation import moved_back

BEFORE_POSES = 5  # iterations of the volume alone
LONGEST_STEP = 1.0  # pixels, and degrees of the axis
MASK_EVERY = 50  # iterations: a mask that changes each time would hide whether the residual falls
N_POWER = 15  # iterations for the norm of the projector
NORM_MARGIN = 1.05  # since they approach it from below


@dataclass(frozen=True, eq=False, kw_only=True)
class JointFit:
    """A state of the fit.

    shift_px   (n_tilt, 2), as in `transformation`
    axis_deg   inclination of the tilt axis
    volume     (n_y, n_z, n_x) of the box
    """

    shift_px: np.ndarray
    axis_deg: float
    volume: np.ndarray


def fit_jointly(
    frames: np.ndarray,
    *,
    tilt_deg: np.ndarray,
    box: Box,
    shift_px: np.ndarray,
    axis_deg: float,
    n_iterations: int,
    volume: np.ndarray | None = None,
    fit_poses: bool = True,
    fit_axis: bool = True,
) -> JointFit:
    """Fit volume, shifts and axis to recorded frames (n_tilt, n_y, n_x), from given ones; the background is zero.

    The volume starts even if none is given. Without `fit_poses` it alone is fitted. Translations of the object stay
    as they are.
    """
    A = MatrixProjector(system_matrix(tilt_deg=tilt_deg, n_x=frames.shape[2], box=box))
    step = 1 / (NORM_MARGIN * _squared_norm(A))
    poses = np.append(np.asarray(shift_px, float), axis_deg)
    seen = _Recorded.of(frames, poses)
    x = seen.even(A) if volume is None else np.ascontiguousarray(volume.reshape(len(volume), -1).T)
    ahead, poses_ahead, momentum, before = x, poses, 1.0, np.inf
    for k in range(n_iterations):
        missed = seen.masked(A(ahead))
        error = float(np.vdot(missed, missed))
        next_x, next_poses = np.maximum(ahead - step * A.T(missed), 0), poses_ahead
        if fit_poses and k >= BEFORE_POSES:
            next_poses = poses_ahead + seen.step(A(next_x), tilt_deg, axis_deg=poses_ahead[-1], fit_axis=fit_axis)
        momentum = 1.0 if error > before else momentum  # start again where it went too far
        following = (1 + np.sqrt(1 + 4 * momentum**2)) / 2
        weight = (momentum - 1) / following
        ahead, poses_ahead = next_x + weight * (next_x - x), next_poses + weight * (next_poses - poses)
        x, poses, momentum, before = next_x, next_poses, following, error
        if fit_poses and k >= BEFORE_POSES:
            new_mask = (k + 1) % MASK_EVERY == 0
            before = np.inf if new_mask else before
            seen = _Recorded.of(frames, poses_ahead, mask=None if new_mask else seen.mask)
    return JointFit(
        shift_px=poses[:-1].reshape(-1, 2), axis_deg=float(poses[-1]), volume=x.T.reshape(-1, box.n_z, box.n_x)
    )


@dataclass(frozen=True, eq=False)
class _Recorded:
    """Frames moved back from their poses, as columns (n_tilt * n_x, n_y), and 1 where a pixel was recorded, else 0."""

    values: np.ndarray
    mask: np.ndarray
    shape: tuple[int, int, int]

    @classmethod
    def of(cls, frames: np.ndarray, poses: np.ndarray, *, mask: np.ndarray | None = None) -> "_Recorded":
        shift_px, axis_deg = poses[:-1].reshape(-1, 2), float(poses[-1])
        if mask is None:
            mask = frame_columns(recorded_pixels(frames.shape, shift_px=shift_px, axis_deg=axis_deg))
        moved = moved_back(frames, shift_px=shift_px, axis_deg=axis_deg, order=3)
        return cls(values=mask * frame_columns(moved), mask=mask, shape=frames.shape)

    def masked(self, projections: np.ndarray) -> np.ndarray:
        return self.mask * projections - self.values

    def even(self, A: MatrixProjector) -> np.ndarray:
        """The even slices whose projections are closest to the recorded pixels of their rows."""
        rays = self.mask * A.ray_sums
        density = (rays * self.values).sum(axis=0) / np.maximum((rays**2).sum(axis=0), 1e-30)
        return np.tile(density.clip(0), (A.matrix.shape[1], 1)).astype(np.float32)

    def step(self, projections: np.ndarray, tilt_deg: np.ndarray, *, axis_deg: float, fit_axis: bool) -> np.ndarray:
        """The Gauss-Newton step (2 n_tilt + 1,) of shifts and axis towards the projections of a volume."""
        n_tilt, n_y, n_x = self.shape
        model, left, mask = (c.reshape(n_tilt, n_x, n_y) for c in (projections, -self.masked(projections), self.mask))
        across, along = (mask * slope for slope in np.gradient(model, axis=(1, 2)))
        y, x = (np.arange(n) - (n - 1) / 2 for n in (n_y, n_x))
        turned = np.deg2rad(x[:, None] * along - y * across)  # for a degree
        slopes = np.stack([-along, -across])
        normal = np.einsum("atxy,btxy->tab", slopes, slopes, optimize=True).astype(float)
        normal += 1e-6 * np.trace(normal, axis1=1, axis2=2).mean() * np.eye(2) + 1e-30 * np.eye(2)
        wanted = np.einsum("atxy,txy->ta", slopes, left)
        coupled = np.einsum("atxy,txy->ta", slopes, turned)
        of_shifts = np.linalg.solve(normal, np.stack([wanted, coupled], axis=-1))  # the axis is eliminated first
        turn_deg = 0.0
        if fit_axis:
            stiffness = np.vdot(turned, turned) - (coupled * of_shifts[..., 1]).sum()
            pull = np.vdot(turned, left) - (coupled * of_shifts[..., 0]).sum()
            turn_deg = float(np.clip(pull / max(stiffness, 1e-30), -LONGEST_STEP, LONGEST_STEP))
        shifts = of_shifts[..., 0] - turn_deg * of_shifts[..., 1]
        shifts = np.clip(shifts - translation_of(shifts, tilt_deg=tilt_deg), -LONGEST_STEP, LONGEST_STEP)
        return np.append(shifts @ axis_rotation(axis_deg).T, turn_deg)


def recorded_pixels(shape: tuple[int, int, int], *, shift_px: np.ndarray, axis_deg: float) -> np.ndarray:
    """(n_tilt, n_y, n_x) float32: 1 where an aligned pixel was recorded, 0 elsewhere."""
    turn, middle = axis_rotation(axis_deg), (np.array(shape[1:]) - 1) / 2
    ones = np.ones(shape[1:], np.float32)
    weights = [affine_transform(ones, turn, middle + s - turn @ middle, order=1) for s in shift_px]
    return (np.array(weights) > 0.99).astype(np.float32)


def _squared_norm(A: MatrixProjector) -> float:
    """The largest eigenvalue of A^T A, by power iteration from an even slice."""
    x = np.ones((A.matrix.shape[1], 1), np.float32)
    for _ in range(N_POWER):
        x = A.T(A(x / np.linalg.norm(x)))
    return float(np.linalg.norm(x))
