"""The microscope that explains the measured frames of fitted atoms better than the one that was stated.

Settings on a microscope's screen are right to a few percent. A detection matrix gives the frames of every probe within
its cone of waves, so that trying another convergence angle, spherical aberration or focus costs no multislice.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import product

import numpy as np
from scipy.optimize import OptimizeResult, least_squares

from ...microscope import Microscope
from ...optics.pixels import PaddedFrame
from ...optics.probe import clear_padding_A
from ...simulation.detection_matrix import DetectionMatrix
from ...tilt_series import TiltSeries
from .fit import DynamicalModel, fit_dynamical, scaled_model, with_named_atoms
from .multislice_atoms import MultisliceAtoms
from .scale import fitted_scale

N_ROUNDS = 2
N_FRAMES = 5  # the first, third and fifth are fitted; the others judge
WIDEST = 0.1  # relative change of the convergence angle
FARTHEST_rad = 4.0  # change of a wave's phase at the edge of the aperture, by Cs or by defocus
# frames are nearly alike where Cs and defocus balance, so that one descent may end in the wrong valley
GRID = tuple(product((-2.0, 0.0, 2.0), (-1.5, 0.0, 1.5), (-3.0, -1.5, 0.0, 1.5, 3.0)))
N_DESCENTS = 2  # from the best places of the grid
STATED = (0.0, 0.0, 0.0)
STEP_rad = 0.2  # for derivatives
CLEAR = 0.95  # of the probe, from its images, in frames that are fitted; 0.99 would cost several times as much
EXPLAINED = 0.02  # root mean square misfit, in standard deviations of the frames, that another potential leaves as well
LESS_MISFIT = 0.8  # of the judging frames' squared misfit, for which another microscope is worth having


def fit_with_microscope(series: "FittedSeries") -> DynamicalModel:  # noqa: F821
    """The dynamical model of a series, in the microscope that its frames confirm; `metadata["elements"]` may name some.

    Atoms seen by a wrong microscope are misplaced, and misplaced atoms hide the right one, so both are fitted in turns.
    Raises TsgError as `fit_dynamical` does.
    """
    names = series.metadata.get("elements")
    for _ in range(N_ROUNDS):
        elements, multislice = with_named_atoms(series, series.atoms, names=names)
        found = fitted_microscope(series, multislice)
        if found is None:
            return scaled_model(series, series.atoms, elements, multislice)
        series = series.seen_by(found)
    return fit_dynamical(series, series.atoms, names=names)


def microscope_remark(*, stated: Microscope, fitted: Microscope) -> str:
    """Which microscope explains the frames better, in a sentence; empty if that is the stated one."""
    if fitted == stated:
        return ""
    found, told = (
        f"{m.convergence_mrad:.1f} mrad, Cs {m.Cs_um:.1f} um and defocus {m.defocus_A:.0f} A" for m in (fitted, stated)
    )
    return f"Multislice of the atoms explains the frames better with {found} than with the stated {told}."


def fitted_microscope(series: TiltSeries, multislice: MultisliceAtoms) -> Microscope | None:
    """The microscope with the least squared misfit of three measured frames; None if two others do not confirm it.

    None, too, if there are fewer than five frames, if a wider beam would reach the detector, and if the stated
    microscope explains the frames as well as another potential would. Gain, offset and blur are fitted for each
    microscope that is tried (`scale.fitted_scale`).
    Raises TsgError as `detection_matrix` does.
    """
    stated = multislice.microscope
    if len(series) < N_FRAMES or (1 + WIDEST) * stated.convergence_mrad > stated.detector_inner_mrad:
        return None
    chosen = np.linspace(0, len(series) - 1, N_FRAMES).round().astype(int)
    fitting = _Misfit.of(series.subset(chosen[::2]), multislice, fraction=CLEAR)
    starts = _starts(fitting.part(slice(1, 2)), stated)
    best = min((_descended(fitting, stated, start) for start in starts), key=lambda found: found.cost)
    found = changed(stated, best.x)
    judging = _Misfit.of(series.subset(chosen[1::2]), multislice)
    before, after = (judging([stated, found]) ** 2).mean(axis=1)
    explained = before < EXPLAINED**2 * series.frames.var()
    return found if after < LESS_MISFIT * before and not explained else None


def _starts(misfit: "_Misfit", stated: Microscope) -> list[tuple[float, float, float]]:
    """The places of the grid from which to descend; the stated microscope alone if none is better."""
    squared = dict(zip(GRID, (misfit([changed(stated, by) for by in GRID]) ** 2).mean(axis=1), strict=True))
    better = [by for by in GRID if squared[by] < squared[STATED]]
    return sorted(better, key=squared.get)[:N_DESCENTS] or [STATED]


def changed(microscope: Microscope, by: Sequence[float]) -> Microscope:
    """The microscope with another convergence angle, Cs and defocus.

    `by` (3,) are the change of the angle, in units of WIDEST / FARTHEST_rad of it, and the phases in radians that Cs
    and defocus add at the edge of the stated aperture.
    """
    angle_rad = microscope.convergence_mrad * 1e-3
    by = [float(value) for value in by]
    return replace(
        microscope,
        convergence_mrad=microscope.convergence_mrad * (1 + WIDEST * by[0] / FARTHEST_rad),
        Cs_um=microscope.Cs_um + by[1] * 2e-4 * microscope.wavelength_A / (np.pi * angle_rad**4),
        defocus_A=microscope.defocus_A + by[2] * microscope.wavelength_A / (np.pi * angle_rad**2),
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class _Misfit:
    """Measured frames (n_tilt, n_y, n_x) minus those of the atoms as a microscope sees them."""

    series: TiltSeries
    matrices: list[DetectionMatrix]
    padding_A: float

    @classmethod
    def of(cls, series: TiltSeries, multislice: MultisliceAtoms, **clear: float) -> "_Misfit":
        matrices = [multislice.matrix(tilt, wider=1 + WIDEST) for tilt in series.tilt_deg]
        field_A = min(multislice.shape) * multislice.pixel_size_A
        padding_A = clear_padding_A(multislice.microscope, field_A=field_A, **clear)
        return cls(series=series, matrices=matrices, padding_A=padding_A)

    def part(self, which: slice) -> "_Misfit":
        return replace(self, series=self.series.subset(which), matrices=self.matrices[which])

    def __call__(self, microscopes: Sequence[Microscope]) -> np.ndarray:
        """A row (n_tilt * n_y * n_x,) for each microscope."""
        measured, pixel_size_A = self.series.frames, self.series.pixel_size_A
        frame = PaddedFrame(shape=measured.shape[1:], pixel_size_A=pixel_size_A, padding_A=self.padding_A)
        computed = np.stack([matrix.frames(microscopes, frame=frame) for matrix in self.matrices], axis=1)
        rows = []
        for frames in computed:
            scale = fitted_scale(frames, measured, pixel_size_A=pixel_size_A)
            rows.append((measured - scale(frames, pixel_size_A=pixel_size_A)).ravel())
        return np.stack(rows)


def _descended(misfit: _Misfit, stated: Microscope, start: tuple[float, float, float]) -> OptimizeResult:
    """The optimum near `start`."""

    @lru_cache(maxsize=1)  # the derivatives at a place are computed together with the misfit there
    def around(by: tuple[float, ...]) -> np.ndarray:
        return misfit([changed(stated, by), *(changed(stated, by + step) for step in STEP_rad * np.eye(3))])

    return least_squares(
        lambda by: around(tuple(by))[0],
        start,
        jac=lambda by: (around(tuple(by))[1:] - around(tuple(by))[0]).T / STEP_rad,
        bounds=(-FARTHEST_rad, FARTHEST_rad),
        xtol=1e-2,
        ftol=1e-2,
        max_nfev=6,
    )
