"""Whether frames lie in the order of their listed angles: frames that are close in angle must look alike.

Software that sorts a stack by angle but keeps the old header leaves frames with the angles of others. Nothing in the
file shows this, but the frames do. Two frames are compared by the peak of their cross-correlation, which drift does not
change.
"""

import numpy as np
from numpy.fft import fftfreq, irfft2, rfft2, rfftfreq

_THUMBNAILS = 32, 64  # pixels of small and of large frames
_LARGE = 256
_FEWEST, _SMALLEST = 6, 8  # frames, and pixels of one
_MANY = 5  # pairs of frames needed for a meaningful mean
_SURE = 4.0  # standard errors
_UNLIKE, _UNLIKE_OF_FEW = 1.3, 3.0  # ratio of differences required with many, and with few pairs
_LIKE_FAR_APART = 0.6  # fraction of the difference between frames far apart in angle, above the most similar ones
_ODD = 3.0  # a frame that differs this much more than usual from all its neighbours is ignored
_FINEST = 0.12  # cycles per pixel; finer detail is noise, and lost between pixels


def order_fault(frames: np.ndarray, tilt_deg: np.ndarray, order: np.ndarray) -> str:
    """What shows that `frames` (n_tilt, n_y, n_x), sorted by angle, do not fit `tilt_deg`; empty if nothing does.

    `order` (n_tilt,) is the place of each frame in the file. Frames at opposite angles are not compared, since they are
    alike if the object is its own mirror image. Frames unlike all others are ignored.
    """
    if len(frames) < _FEWEST or min(frames.shape[1:]) < _SMALLEST:
        return ""
    spectra = _spectra(frames)
    usual = _usual(spectra, order)
    spectra, tilt_deg, order = spectra[usual], tilt_deg[usual], order[usual]
    if len(order) < _FEWEST:
        return ""
    in_angle, in_file = _next(np.arange(len(order))), _next(np.argsort(order))
    only_angle = [pair for pair in in_angle.tolist() if pair not in in_file.tolist()]
    step_deg = np.sort(np.diff(tilt_deg))[len(tilt_deg) // 2 - 1]
    only_file = [(i, j) for i, j in in_file.tolist() if j - i > 1 and abs(tilt_deg[i] + tilt_deg[j]) > step_deg / 2]
    neighbours, least = _differences(spectra, in_angle), _lost_between_pixels(spectra)
    if only_angle and only_file:
        far, near = _differences(spectra, only_angle), _differences(spectra, only_file)
        if far.mean() - near.mean() > least and _is_unlike(far, near, neighbours):
            return f"frames next to each other in the file are {_ratio(far, near)} more alike than frames next in angle"
    every_second = _differences(spectra, in_angle[:-1] + np.array([0, 1]))
    far_apart = _differences(spectra, [(i, (i + len(order) // 3) % len(order)) for i in range(len(order))])
    excess, most = neighbours.mean() - every_second.mean(), far_apart.mean() - every_second.mean()
    if excess > max(least, _LIKE_FAR_APART * most) and _is_larger(neighbours, every_second):
        return f"every second frame is {_ratio(neighbours, every_second)} more alike than frames next in angle"
    return ""


def _next(sequence: np.ndarray) -> np.ndarray:
    """Pairs (n - 1, 2) of neighbours in a sequence, the smaller number first."""
    return np.sort(np.stack([sequence[:-1], sequence[1:]], axis=1), axis=1)


def _usual(spectra: np.ndarray, order: np.ndarray) -> np.ndarray:
    """(n_tilt,) False for frames unlike all their neighbours in angle and in the file, such as empty ones."""
    least = np.full(len(order), np.inf)
    for pairs in (_next(np.arange(len(order))), _next(np.argsort(order))):
        differences = _differences(spectra, pairs)
        for column in pairs.T:
            np.minimum.at(least, column, differences)
    return least <= _ODD * np.sort(least)[len(least) // 2]


def _is_unlike(in_angle: np.ndarray, in_file: np.ndarray, neighbours: np.ndarray) -> bool:
    """Whether neighbours only in angle differ more than neighbours only in the file; a few pairs must stand out."""
    if min(len(in_angle), len(in_file)) >= _MANY:
        return in_angle.mean() > _UNLIKE * in_file.mean() or _is_larger(in_angle, in_file)
    others = np.sort(neighbours)[: -len(in_angle)]
    return in_angle.mean() > max(_UNLIKE_OF_FEW * in_file.mean(), others[-1])


def _is_larger(differences: np.ndarray, others: np.ndarray) -> bool:
    error = np.sqrt(differences.var() / len(differences) + others.var() / len(others))
    return differences.mean() - others.mean() > _SURE * error


def _ratio(far: np.ndarray, near: np.ndarray) -> str:
    return f"{min(far.mean() / near.mean(), 99):.2g} times"


def _spectra(frames: np.ndarray) -> np.ndarray:
    """Fourier transforms of small, smooth copies of the frames, with zero mean and unit power."""
    n_y, n_x = frames.shape[1:]
    factor = max(1, -(-max(n_y, n_x) // _THUMBNAILS[max(n_y, n_x) >= _LARGE]))
    step_y, step_x = (max(1, min(factor, length // 4)) for length in (n_y, n_x))
    shape = (n_y // step_y, n_x // step_x // 2 * 2)
    squared = fftfreq(shape[0])[:, None] ** 2 + rfftfreq(shape[1]) ** 2
    smooth = np.exp(-squared / (2 * _FINEST**2))
    spectra = np.empty((len(frames), shape[0], shape[1] // 2 + 1), np.complex64)
    for frame, spectrum in zip(frames, spectra, strict=True):
        cut = frame[: shape[0] * step_y, : shape[1] * step_x]
        small = cut.reshape(shape[0], step_y, shape[1], step_x).mean((1, 3), dtype=float)
        small = irfft2(smooth * rfft2(small - small.mean()), s=shape)
        norm = np.linalg.norm(small)
        spectrum[:] = rfft2(small / norm if norm else small)
    return spectra


def _lost_between_pixels(spectra: np.ndarray) -> float:
    """The difference caused by a shift of a quarter of a pixel, since peaks are searched at every half pixel."""
    power = (np.abs(spectra) ** 2).sum(axis=0)
    along_y, along_x = np.cos(np.pi / 2 * fftfreq(len(power))), np.cos(np.pi / 2 * rfftfreq(2 * power.shape[1] - 2))
    return float(1 - (power * along_y[:, None] * along_x).sum() / max(power.sum(), 1e-30))


def _differences(spectra: np.ndarray, pairs) -> np.ndarray:
    """1 - the peak of the normalised cross-correlation, for each of the pairs (n, 2) of frames."""
    n_y, n_half = spectra.shape[1:]
    finer = np.zeros((2 * n_y, n_half), np.complex64)  # twice as many positions to search
    peaks = []
    for i, j in np.asarray(pairs).tolist():
        product = spectra[i].conj() * spectra[j]
        finer[: n_y // 2], finer[-n_y + n_y // 2 :] = product[: n_y // 2], product[n_y // 2 :]
        peaks.append(4 * irfft2(finer, s=(2 * n_y, 4 * (n_half - 1))).max())
    return np.maximum(1 - np.array(peaks), 1e-9)
