"""Which atoms there are: peaks to start from, and the criteria by which atoms are merged, dropped and added.

Every frame weighs every atom independently. An atom stays, or a candidate is added, only if the frames agree on its
weight beyond chance, and if it is not much lighter than the others. What the model lacks (channelling, noise) differs
from frame to frame. A false atom, which explains only a few frames, therefore fails where a true one passes.
"""

from dataclasses import replace

import numpy as np
import torch
from scipy.ndimage import gaussian_filter, maximum_filter
from scipy.signal import oaconvolve
from scipy.spatial import cKDTree

from ...evaluation.atom_peaks import FoundAtoms, find_atoms
from ...evaluation.metrics import otsu_threshold
from ...geometry import binned_frames, pixel_centres_A
from ...microscope import Microscope
from ...optics.probe import probe_radius_A
from ...reconstruction.expectation_maximisation import os_em
from ...reconstruction.extent import Extent, cropped
from ...reconstruction.projection import Box, frame_columns, system_matrix
from ...tilt_series import TiltSeries
from ..fitted_object import ReprojectionSettings, fitted_object
from .errors import MIN_FRAMES, least_agreement
from .whitening import Whitening

START_ITERATIONS = 20
COARSEST_A = 0.5  # largest voxel, if the frames allow, of the volumes in which atoms are searched
SMOOTHING_A = 0.3
WIDE_PROBE_A = 1.0  # radius that contains half of the probe


def start_atoms(
    series: TiltSeries,
    *,
    microscope: Microscope | None,
    sigma_A: float,
    min_distance_A: float,
    extent: Extent | None = None,
) -> FoundAtoms:
    """Peaks of a volume by ordered-subset expectation maximisation with the probe inside, from binned frames.

    A wide probe is undone step by step, as `fitted_object` does. An object that goes on outside the frames has atoms
    in the whole box of its extent.
    """
    wide = microscope is not None and extent is None and probe_radius_A(microscope, fraction=0.5) > WIDE_PROBE_A
    times = _binning(series)
    if wide and series.frames.shape[2] % times:
        times = 1  # it needs the tilt axis in the middle
    coarse, (moved_y_A, moved_x_A) = binned(series, times=times)
    if wide:
        metadata = {**series.metadata, "microscope": microscope}
        settings = ReprojectionSettings(oversampling=1, wide_px=0.0)
        volume = fitted_object(replace(coarse, metadata=metadata), settings).volume
    else:
        volume = os_em(
            coarse,
            n_iterations=START_ITERATIONS,
            microscope=microscope,
            sigma_A=sigma_A,
            background=float(np.percentile(coarse.frames, 1).clip(0)),
            axis_shift_px=-moved_x_A / coarse.pixel_size_A,
            allow_negative=True,
            box=None if extent is None else extent.box(coarse),
        )
    volume = gaussian_filter(volume, SMOOTHING_A / coarse.pixel_size_A)
    apart_A = max(min_distance_A, coarse.pixel_size_A)
    # farther out, the little that frames see piles up, and would raise the threshold
    level = None if extent is None else otsu_threshold(cropped(volume, n_x=coarse.frames.shape[2]))
    found = find_atoms(volume, voxel_size_A=coarse.pixel_size_A, min_distance_A=apart_A, threshold=level)
    return replace(found, positions_A=found.positions_A + np.array([0.0, moved_y_A, 0.0]))


def binned(series: TiltSeries, *, times: int) -> tuple[TiltSeries, tuple[float, float]]:
    """Means over times x times pixels, and the shift (y, x) in angstrom of the middle of the frame that this causes.

    Frames that do not divide evenly are padded with their last row and column.
    """
    padding = [-n % times for n in series.frames.shape[1:]]
    frames = np.pad(series.frames, [(0, 0), *((0, n) for n in padding)], mode="edge")
    means = binned_frames(frames, times)
    moved_y_A, moved_x_A = (n * series.pixel_size_A / 2 for n in padding)
    return replace(series, frames=means, pixel_size_A=series.pixel_size_A * times), (moved_y_A, moved_x_A)


def merged(positions_A: np.ndarray, weights: np.ndarray, *, within_A: float) -> tuple[np.ndarray, np.ndarray]:
    """Positions and weights with atoms closer than `within_A` merged into one, their sum, at the centre of weight.

    The heaviest atoms come first and absorb those near them.
    """
    near = cKDTree(positions_A).query_ball_point(positions_A, within_A) if len(weights) else []
    left = np.ones(len(weights), bool)
    places, sums = [], []
    for i in np.argsort(-weights, kind="stable"):
        if left[i]:
            group = [j for j in near[i] if left[j]]
            left[group] = False
            sums.append(weights[group].sum())
            places.append(weights[group] @ positions_A[group] / sums[-1])
    return np.array(places).reshape(-1, 3), np.array(sums)


def kept(weights: np.ndarray, agreement: np.ndarray, *, least_weight: float, least_agreement: np.ndarray) -> np.ndarray:
    """Which atoms stay (n,): those with at least `least_weight` of the median weight on which the frames agree."""
    return (weights >= least_weight * np.median(weights)) & (agreement >= least_agreement)


def places_around(positions_A: np.ndarray, *, min_distance_A: float) -> int:
    """How many atoms would fit into the box around these: the number of places for chance to choose from."""
    return int(np.prod(np.ptp(positions_A, axis=0) / min_distance_A + 2))


def candidates(
    residuals: torch.Tensor,
    spot: torch.Tensor,
    *,
    whitening: Whitening,
    series: TiltSeries,
    positions_A: np.ndarray,
    min_distance_A: float,
    least_weight: float,
    false_alarms: float,
    share: float = 1.0,
    extent: Extent | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Positions (n, 3) and weights (n,) of atoms on which the residuals (n_tilt, n_y, n_x) agree.

    `spot` is the image of an atom of weight 1 in the middle of a frame. Its whitened correlation with each residual is
    the weight that an atom would have there. For every voxel, the mean along its path through the frames and the
    standard error of this mean are compared with a `share` of the agreement that rules out chance. Candidates keep a
    distance from one another and from the atoms at `positions_A`. In the box of an `extent`, only the frames that see a
    place are asked about it, and there must be enough of them.
    """
    whitened = whitening.weighted(residuals).cpu().numpy()
    template = spot.cpu().numpy()[None, ::-1, ::-1]
    weights = oaconvolve(whitened, template, mode="same", axes=(1, 2)) / whitening.energy(spot)
    coarse, (moved_y_A, moved_x_A) = binned(replace(series, frames=weights), times=_binning(series))
    n_tilt, n_y, n_x = coarse.frames.shape
    columns = frame_columns(coarse.frames)
    axis_shift_px = -moved_x_A / coarse.pixel_size_A
    box = Box(n_x, n_x) if extent is None else extent.box(coarse)
    paths = system_matrix(tilt_deg=series.tilt_deg, n_x=n_x, axis_shift_px=axis_shift_px, box=box).T
    inside = np.maximum(paths.sum(axis=1), 1e-6)
    mean, square = ((paths @ values / inside[:, None]).T.reshape(n_y, box.n_z, box.n_x)
                    for values in (columns, columns**2))  # fmt: skip
    n_seen = np.float64(n_tilt) if extent is None else inside.reshape(box.n_z, box.n_x)
    error = np.sqrt(np.maximum(square - mean**2, 1e-12) / np.maximum(n_seen - 1, 1))
    n_places = places_around(positions_A, min_distance_A=min_distance_A)
    least = share * least_agreement(n_seen, n_places=n_places, false_alarms=false_alarms)
    chosen = (mean > least_weight) & (mean > least * error) & (n_seen >= MIN_FRAMES)
    chosen &= mean == maximum_filter(mean, size=2 * max(1, round(min_distance_A / coarse.pixel_size_A)) + 1)
    y, z, x = np.nonzero(chosen)
    place_x, place_y, place_z = (pixel_centres_A(n, pixel_size_A=coarse.pixel_size_A) for n in (box.n_x, n_y, box.n_z))
    off_y, off_z, off_x = (_offsets(mean, (y, z, x), axis) * coarse.pixel_size_A for axis in range(3))
    places = np.stack([place_x[x] + off_x, place_y[y] + off_y + moved_y_A, place_z[z] + off_z], axis=1)
    free = cKDTree(positions_A).query(places)[0] > min_distance_A
    return places[free], mean[chosen][free].astype(float)


def _offsets(volume: np.ndarray, maxima: tuple[np.ndarray, ...], axis: int) -> np.ndarray:
    """Offsets (n,) in voxels of the maximum of a parabola through three voxels along an axis."""
    last = volume.shape[axis] - 1
    below, above = (
        volume[tuple((i + step).clip(0, last) if k == axis else i for k, i in enumerate(maxima))] for step in (-1, 1)
    )
    curvature = 2 * volume[maxima] - below - above
    return np.divide(above - below, 2 * curvature, out=np.zeros_like(curvature), where=curvature > 0).clip(-0.5, 0.5)


def _binning(series: TiltSeries) -> int:
    return max(1, int(COARSEST_A / series.pixel_size_A))
