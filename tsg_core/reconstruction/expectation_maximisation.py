"""Maximum likelihood by expectation maximisation (EM), with the probe inside the forward model."""

from collections.abc import Callable

import numpy as np

from ..errors import TsgError
from ..microscope import Microscope
from ..tilt_series import TiltSeries, microscope_of
from ..tools.progress import track
from ..tools.threads import in_threads
from .linear_system import Subset, box_of, check_memory, check_relaxation, checked_series, subsets_of, volume_of
from .projection import Box, frame_columns, put_frame_rows, row_blocks, volume_columns
from .projector import Projector

FLOOR = 1e-6  # of the brightest pixel: lower limit of modelled intensities
RANK = 4  # singular vectors that describe, to 1e-3, how much of a pixel's probe stays in the frame
GONE = 1e-12  # of the even density: voxels below this are emptied, because denormal numbers slow the processor down
SEEN = 1e-3  # of the usual sensitivity: voxels below this are left unchanged


def os_em(
    series: TiltSeries,
    *,
    n_iterations: int = 20,
    n_subsets: int | None = None,
    microscope: Microscope | str | None = "recorded",
    sigma_A: float = 0.0,
    background: float = 0.0,
    relaxation: float = 1.0,
    axis_shift_px: float = 0.0,
    start: np.ndarray | None = None,
    tolerance: float = 0.0,
    callback: Callable[[int, float], None] | None = None,
    allow_negative: bool = False,
    box: Box | None = None,
) -> np.ndarray:
    """Volume (n_y, n_z, n_x) float32, nowhere negative: x <- x A^T B (b / (B A x + background)) / A^T B 1.

    Expectation maximisation for Poisson counts (Shepp and Vardi, IEEE Trans. Med. Imaging 1, 113, 1982) on ordered
    subsets of the frames (Hudson and Larkin, IEEE Trans. Med. Imaging 13, 601, 1994). B is `probe_blur.ProbeBlur`: the
    probe of a microscope and a Gaussian of `sigma_A`. The volume is therefore sharper than the frames, and
    `probe_blur.project_with_probe` turns it into frames again.

    microscope  "recorded": that of the series' metadata, if there is one; a `Microscope`; or None, a point probe, which
                does as well if the probe is hardly wider than a pixel
    n_subsets   by default at most 8, with at least three frames each
    background  constant part of every frame, in its unit
    relaxation  power, below 2, to which each correction is raised; 1 is EM. EM undoes a wide probe slowly: use more
                iterations, more subsets, or up to 1.8 here. For noisy frames use fewer and less
    start       positive initial volume; an even one by default. Voxels that are zero stay zero
    tolerance, callback   as in `sirt`; the residual is that of each subset before its step

    Negative pixels count as zero. Raises TsgError as `sirt` does, and for a negative background, a negative start and
    an unknown microscope.
    """
    series = checked_series(
        series, n_iterations=n_iterations, allow_negative=allow_negative, axis_shift_px=axis_shift_px, start=start,
        box=box,
    )  # fmt: skip
    if not 0 <= background < np.inf:
        raise TsgError(f"background={background} must be zero or a positive number")
    check_relaxation(relaxation)
    if isinstance(microscope, str) and microscope != "recorded":
        raise TsgError(f'microscope={microscope!r} must be a Microscope, None or "recorded"')
    if start is not None and np.min(start) < 0:
        raise TsgError(f"the start volume reaches down to {np.min(start):.4g}; EM needs one that is nowhere negative")
    check_memory(series, n_volumes=2, n_frames=3, box=box)
    _, n_y, n_x = series.frames.shape
    blur = _blur_of(series, microscope_of(series) if microscope == "recorded" else microscope, sigma_A)
    rows = row_blocks(n_y)
    n_subsets = usual_subsets(len(series)) if n_subsets is None else n_subsets
    subsets, box = subsets_of(series, n_subsets=n_subsets, axis_shift_px=axis_shift_px, box=box), box_of(series, box)
    sensitivities = [_Sensitivity(subset, blur(np.ones((n_y, n_x), np.float32))) for subset in subsets]
    least = GONE * series.frames.mean() / box.n_z
    floor = np.float32(FLOOR * series.frames.max() or 1.0)
    slices = [
        volume_columns(np.array(x, np.float32))
        for x in (_even(series, r, box) if start is None else start[r] for r in rows)
    ]

    def step(subset: Subset, sensitivity: "_Sensitivity") -> float:
        """Correct all slices by one subset, in place; returns the squared norm of its residual before."""
        frames = np.empty((len(subset.tilts), n_y, n_x), np.float32)
        in_threads(lambda k: put_frame_rows(frames, rows[k], subset.A(slices[k])), range(len(rows)))
        model = blur(frames) + np.float32(background)
        measured = series.frames[subset.tilts]
        residual = (measured - model).ravel()
        ratio = blur(measured.clip(0) / np.maximum(model, floor)).clip(0)

        def correct(k: int) -> None:
            seen = sensitivity.of_rows(rows[k])
            em_correction(
                subset.A, frame_columns(ratio[:, rows[k]]), slices[k], seen=seen, highest=sensitivity.highest,
                least=least, relaxation=relaxation,
            )  # fmt: skip

        in_threads(correct, range(len(rows)))
        return float(residual @ residual)

    data_norm = float(np.linalg.norm(series.frames)) or 1.0
    for iteration in track(range(1, n_iterations + 1), label="OS-EM iteration"):
        squared_norm = sum(step(*pair) for pair in zip(subsets, sensitivities, strict=True))
        residual = float(np.sqrt(squared_norm)) / data_norm
        if callback is not None:
            callback(iteration, residual)
        if residual <= tolerance:
            break
    return volume_of(slices, rows, box)


def _blur_of(series: TiltSeries, microscope: Microscope | None, sigma_A: float) -> Callable[[np.ndarray], np.ndarray]:
    if microscope is None and sigma_A == 0:
        return lambda frames: frames
    from .probe_blur import ProbeBlur  # torch takes a second to import

    shape, pixel_size_A = series.frames.shape[1:], series.pixel_size_A
    return ProbeBlur(shape=shape, pixel_size_A=pixel_size_A, microscope=microscope, sigma_A=sigma_A)


def em_correction(
    A: Projector, ratio: np.ndarray, x: np.ndarray, *, seen, highest: float, least: float, relaxation: float = 1.0
) -> None:
    """x <- x (A^T ratio / seen)^relaxation, in place, for voxels `seen` enough; those below `least` are emptied.

    `ratio` (n_rays, rows) is that of measured to modelled frames, `seen` (n_voxels, rows or 1) is A^T 1.
    """
    gain = A.T(ratio)
    correction = np.divide(gain, seen, out=np.ones_like(gain), where=seen > SEEN * highest)
    x *= correction if relaxation == 1 else correction ** np.float32(relaxation)
    x *= x > least


class _Sensitivity:
    """A^T B 1 of one subset: how much of the intensity of a voxel arrives in the frames.

    A volume for each subset would take all memory. But B 1, the part of a pixel's probe that stays inside the frame, is
    smooth. A few products of a function of y and a function of x describe it, and only the latter must be projected.
    """

    def __init__(self, subset: Subset, inside: np.ndarray):
        along_y, size, along_x = np.linalg.svd(inside, full_matrices=False)
        self.along_y = np.ascontiguousarray((along_y * size)[:, :RANK].T)
        self.in_slice = subset.A.T(np.tile(along_x[:RANK], len(subset.tilts)).T)
        self.highest = float((self.in_slice @ self.along_y[:, len(inside) // 2]).max())

    def of_rows(self, rows: slice) -> np.ndarray:
        """(n_z * n_x, rows)"""
        return self.in_slice @ self.along_y[:, rows]


def usual_subsets(n_tilt: int) -> int:
    """The default number of subsets: at most 8, with at least three frames each."""
    return min(8, max(1, n_tilt // 3))


def even_density(frames: np.ndarray, *, mean: float, box: Box) -> np.ndarray:
    """Density (n_y,), never zero, of an even volume whose projections have the mean of frames (n_tilt, n_y, n_x).

    `mean` is that of the whole frames, of which these may be some rows.
    """
    return np.maximum(frames.clip(0).mean(axis=(0, 2)) / box.n_z, 1e-3 * mean / box.n_z)


def _even(series: TiltSeries, rows: slice, box: Box) -> np.ndarray:
    """Slices (rows, n_z, n_x) of even density."""
    density = even_density(series.frames[:, rows], mean=series.frames.mean(), box=box)
    return np.broadcast_to(density[:, None, None], (len(density), box.n_z, box.n_x))
