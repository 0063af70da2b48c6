"""The likeliest shifts and axis of a film, from coarse detail to fine: Fisher scoring of the `MarginalLikelihood`."""

from dataclasses import dataclass, replace

import numpy as np

from ..geometry import binned_frames
from ..tilt_series import TiltSeries
from .film_poses import FilmPoses, free_steps
from .marginal_likelihood import MarginalLikelihood
from .random_field import RandomField

NARROWEST_px, FEWEST_ROWS = 16, 8  # at the coarsest binning
WIDEST_px = 48  # at the finest
THICKNESSES = (0.2, 0.4, 0.8, 1.6, 3.2)  # tried first, in widths of the frames
FIRST_THICKNESS = 0.6
SOFTENED = (1.0, 0.1, 0.02)  # shares of the field's variance at the coarsest binning, one after the other
FINE_SOFTENED = 0.02  # at finer ones
N_FIRST, N_COARSE, N_FINE = 8, 12, 3  # steps at most
LONGEST = 1.0  # step of a pixel's shift, of the axis in degrees, of the logarithm of the thickness
DAMPED, LESS, MORE = 0.01, 0.2, 10.0
LEAST = 1e-6  # information that is damped: even frames give none
ENOUGH = 4.0  # of the log-likelihood: a step that promises or gains less ends the search


def likely_shifts(
    series: TiltSeries, *, starts: dict[str, np.ndarray], axis_deg: float, fit_axis: bool = True
) -> tuple[str, FilmPoses]:
    """The name of the best of several starts, and the likeliest poses that are found from it, in pixels of the series.

    Starts are shifts (n_tilt, 2) as in `transformation`. The coarsest detail chooses the start.
    """
    factors = _factors(series.frames)
    level = _Level.of(series, factors[0])
    found = {name: level.searched(shift_px / level.factor, axis_deg) for name, shift_px in starts.items()}
    start = max(found, key=lambda name: level.log_likelihood(found[name]))
    poses = found[start]
    for softened in SOFTENED[1:]:
        poses = level.climbed(poses, softened=softened, fit_axis=fit_axis, n_steps=N_COARSE)
    for factor in factors[1:]:
        poses, level = poses.scaled(level.factor / factor), _Level.of(series, factor)
        poses = level.climbed(poses, softened=FINE_SOFTENED, fit_axis=fit_axis, n_steps=N_FINE)
    return start, poses.scaled(level.factor)


def _factors(frames: np.ndarray) -> list[int]:
    """Binnings that halve."""
    n_y, width = frames.shape[1:]
    factors = [max(1, int(min(width / NARROWEST_px, n_y / FEWEST_ROWS)))]
    while factors[-1] > 1 and width / (factors[-1] // 2) <= WIDEST_px:
        factors.append(factors[-1] // 2)
    return factors


@dataclass(frozen=True, eq=False, kw_only=True)
class _Level:
    """Frames binned by `factor`, of standard deviation 1; lengths are in binned pixels."""

    frames: np.ndarray
    tilt_deg: np.ndarray
    factor: int

    @classmethod
    def of(cls, series: TiltSeries, factor: int) -> "_Level":
        frames = binned_frames(series.frames, factor).astype(np.float32)
        return cls(frames=frames / (frames.std() or 1.0), tilt_deg=series.tilt_deg, factor=factor)

    def likelihood(self, about: FilmPoses, *, softened: float) -> MarginalLikelihood:
        field = RandomField.of(self.frames, tilt_deg=self.tilt_deg, thickness_px=about.thickness_px)
        softened *= field.variance.sum()
        return MarginalLikelihood(self.frames, tilt_deg=self.tilt_deg, field=field, about=about, softened=softened)

    def log_likelihood(self, poses: FilmPoses) -> float:
        return self.likelihood(poses, softened=SOFTENED[1]).log_likelihood(poses)

    def searched(self, shift_px: np.ndarray, axis_deg: float) -> FilmPoses:
        """Poses that the coarsest detail finds, and the likeliest of several thicknesses."""
        width = self.frames.shape[2]
        poses = FilmPoses.of(shift_px, axis_deg=axis_deg, thickness_px=FIRST_THICKNESS * width)
        poses = self.climbed(poses, softened=SOFTENED[0], fit_axis=False, n_steps=N_FIRST)
        tried = [replace(poses, thickness_px=share * width) for share in THICKNESSES]
        return max([poses, *tried], key=self.log_likelihood)

    def climbed(self, poses: FilmPoses, *, softened: float, fit_axis: bool, n_steps: int) -> FilmPoses:
        """By scoring with the damping of Levenberg and Marquardt; the information is averaged over all evaluations."""
        likelihood = self.likelihood(poses, softened=softened)
        free, damping = free_steps(self.tilt_deg, fit_axis=fit_axis), DAMPED
        best = likelihood.at(poses)
        informations = [best.information]
        for _ in range(n_steps):
            step = _step(best.slope, np.mean(informations, axis=0), free, damping=damping)
            if step @ best.slope / 2 < ENOUGH:
                break
            moved = poses.moved(step * min(1.0, LONGEST / np.abs(step).max()))
            there = likelihood.at(moved)
            informations.append(there.information)
            gain = there.log_likelihood - best.log_likelihood
            if gain > 0:
                poses, best, damping = moved, there, LESS * damping
            else:
                damping *= MORE
            if 0 < gain < ENOUGH:
                break
        return poses


def _step(slope: np.ndarray, information: np.ndarray, free: np.ndarray, *, damping: float) -> np.ndarray:
    damped = information + damping * np.diag(np.maximum(np.diag(information), LEAST))
    return free @ np.linalg.solve(free.T @ damped @ free, free.T @ slope)
