"""The likelihood of the poses of a film that is a `RandomField`: the film itself is integrated out.

Along y the field is taken for periodic, so that at each frequency the rows of all frames are jointly Gaussian, with a
covariance C that follows from the field and from the places of the pixels. For data d the log-likelihood is
-(log det C + d* C^-1 d) / 2, where both signs of a frequency count. With u = C^-1 d, and C' the derivative of C by an
unknown, its slope is (u* C' u - tr C^-1 C') / 2. The Fisher information about two unknowns is tr(C^-1 C' C^-1 C'') / 2,
estimated as r* C' C^-1 C'' r / 2 from one random r of covariance C^-1, which needs no product of matrices (Hutchinson,
Commun. Stat. Simul. 18, 1059, 1989). Frames are not interpolated unless the axis is inclined: shifts across the axis
move the places of the pixels, and shifts along it turn phases. Interpolation smooths noise, which makes turned frames
likelier; the slope for the axis leaves this out.

Frames are taken in overlapping groups of tilts (composite likelihood: Varin, Reid and Firth, Stat. Sin. 21, 5, 2011),
with at most some of their middle rows and columns: noise is not what limits large frames.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from scipy.linalg import lapack

from ..geometry import axis_rotation
from .film_poses import FilmPoses
from .random_field import RandomField, RowCovariances
from .transformation import resampled

MOST_COLUMNS, MOST_ROWS, MOST_TILTS = 40, 32, 30
TAPERED = 0.25  # of the rows, at either end
AUDIBLE = 0.01  # of the noise: frequencies along y at which the field is weaker are left out
FREE_MEAN = 30.0  # variance of a frame's mean, relative to that of the field at this frequency


@dataclass(frozen=True, eq=False, kw_only=True)
class Evaluation:
    """The log-likelihood of poses, its slope (n,) and the information (n, n) about a step as in `FilmPoses`."""

    log_likelihood: float
    slope: np.ndarray
    information: np.ndarray


class MarginalLikelihood:
    """Of recorded frames (n_tilt, n_y, n_x) near poses `about`, which choose the rows and columns that count.

    `softened` is added to the variance of the noise: detail that is weaker than it does not count.
    """

    def __init__(
        self, frames: np.ndarray, *, tilt_deg: np.ndarray, field: RandomField, about: FilmPoses, softened: float = 0.0
    ):
        self.frames, self.tilt_deg, self.field = frames, np.asarray(tilt_deg, float), field
        n_y, n_x = frames.shape[1:]
        self.n_rows, self.n_columns = min(n_y, MOST_ROWS), min(n_x, MOST_COLUMNS)
        self.noise = field.noise + softened
        self.whole_rows = np.round(about.along_px)
        margin = (n_x - self.n_columns) // 2
        whole = np.round(about.across_px).clip(-margin, margin).astype(int)
        self.columns = margin + whole[:, None] + np.arange(self.n_columns)
        self.frequencies = 2 * np.pi * np.fft.rfftfreq(self.n_rows)
        self.taper = _taper(self.n_rows)[:, None]
        self.groups = _groups(self.tilt_deg)
        self.rng = np.random.default_rng(0)

    def at(self, poses: FilmPoses) -> Evaluation:
        """Each evaluation estimates the information anew, from other random numbers."""
        n_tilt = len(self.tilt_deg)
        total, slope, information = 0.0, np.zeros(2 * n_tilt + 2), np.zeros((2 * n_tilt + 2, 2 * n_tilt + 2))
        for tilts, group in self._groups_at(poses):
            unknowns = np.concatenate([tilts, n_tilt + tilts, [2 * n_tilt, 2 * n_tilt + 1]])
            total += group.log_likelihood
            of_group, about_group = group.slope_and_information(self.rng)
            slope[unknowns] += of_group
            information[np.ix_(unknowns, unknowns)] += about_group
        return Evaluation(log_likelihood=total, slope=slope, information=information)

    def log_likelihood(self, poses: FilmPoses) -> float:
        return sum(group.log_likelihood for _, group in self._groups_at(poses))

    def _groups_at(self, poses: FilmPoses) -> Iterator[tuple[np.ndarray, "_Group"]]:
        rows = self._rows(poses)
        x_px = self.columns - (self.frames.shape[2] - 1) / 2 - poses.across_px[:, None]
        field = replace(self.field, thickness_px=poses.thickness_px)
        for tilts in self.groups:
            covariances = field.row_covariances(x_px[tilts], tilt_deg=self.tilt_deg[tilts])
            yield tilts, _Group(self, field, covariances, rows[tilts])

    def _rows(self, poses: FilmPoses) -> np.ndarray:
        """Unitary transforms along y (n_tilt, n_frequency, n_columns) of tapered frames, moved back along the axis."""
        turn = axis_rotation(poses.axis_deg)
        moved = resampled(self.frames, matrix=turn, shift_px=self.whole_rows[:, None] * turn[:, 0], order=3)
        first = (moved.shape[1] - self.n_rows) // 2
        seen = moved[np.arange(len(moved))[:, None], first : first + self.n_rows, self.columns].transpose(0, 2, 1)
        seen = (seen - seen.mean(axis=(1, 2), keepdims=True)) * self.taper
        left_px = (poses.along_px - self.whole_rows)[:, None]
        return np.fft.rfft(seen, axis=1, norm="ortho") * np.exp(1j * self.frequencies * left_px)[..., None]


class _Group:
    """Some of the tilts at some poses: rows (n_tilt, n_frequency, n_x) at those frequencies that tell of the field."""

    def __init__(self, whole: MarginalLikelihood, field: RandomField, covariances: RowCovariances, rows: np.ndarray):
        self.n_tilt, n_frequencies, self.n_x = rows.shape
        self.n_rows, self.shape = whole.n_rows, (self.n_tilt * self.n_x, n_frequencies)
        self.heard = []
        for k, frequency in enumerate(whole.frequencies):
            powers = field.powers(frequency)
            if k and (powers.sum() < AUDIBLE * whole.noise or 2 * k == whole.n_rows):
                continue
            free_mean = 0.0 if k else FREE_MEAN * powers.sum()  # gains and thickness change the mean of a frame
            of_field = covariances.weighted(powers)
            noisy = self._with_noise(of_field[0], white=whole.noise, free_mean=free_mean)
            self.heard.append(_Frequency(k, frequency, of_field, noisy, rows[:, k].ravel()))
        self.log_likelihood = sum(heard.log_likelihood for heard in self.heard)

    def _with_noise(self, covariance: np.ndarray, *, white: float, free_mean: float) -> np.ndarray:
        noisy = covariance.copy()
        noisy[np.diag_indices(len(noisy))] += white
        blocks = noisy.reshape(self.n_tilt, self.n_x, self.n_tilt, self.n_x)
        for t in range(self.n_tilt):
            blocks[t, :, t] += free_mean
        return noisy

    def slope_and_information(self, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        n = 2 * self.n_tilt + 2
        slope, information = np.zeros(n), np.zeros((n, n))
        true = self._changes([heard.u for heard in self.heard])
        random = self._changes([heard.random(rng) for heard in self.heard])
        for heard, change, of_random in zip(self.heard, true, random, strict=True):
            inverse = heard.inverse()
            slope += heard.both / 2 * ((heard.u.conj() @ change).real - self._trace(heard, inverse))
            for part in (of_random.real.astype(np.float32), of_random.imag.astype(np.float32)):
                information += heard.both / 2 * (part.T @ (inverse @ part))
        return slope, information

    def _trace(self, heard: "_Frequency", inverse: np.ndarray) -> np.ndarray:
        """Of C^-1 C', for each unknown; a turn or a move along the axis changes no determinant."""
        trace = np.zeros(2 * self.n_tilt + 2)
        trace[self.n_tilt : -2] = -2 * (inverse * heard.slopes).reshape(self.n_tilt, -1).sum(axis=1)
        trace[-1] = np.vdot(inverse, heard.thicker)
        return trace

    def _changes(self, us: list[np.ndarray]) -> list[np.ndarray]:
        """C' u (n_pixels, n) for vectors u (n_pixels,) of each frequency and all n unknowns."""
        u_all, steep_all = np.zeros((2, *self.shape), complex)
        for heard, u in zip(self.heard, us, strict=True):
            u_all[:, heard.k], steep_all[:, heard.k] = u, _times(heard.slopes, u)
        u_levered, steep_levered = self._levered(u_all), self._levered(steep_all)
        x = np.tile(np.arange(self.n_x) - (self.n_x - 1) / 2, self.n_tilt)
        own = np.repeat(np.eye(self.n_tilt), self.n_x, axis=0)  # the pixels of each frame
        changes = []
        for heard, u in zip(self.heard, us, strict=True):
            smooth, i_frequency = _times(heard.values, u)[:, None], 1j * heard.frequency
            change = np.empty((len(u), 2 * self.n_tilt + 2), complex)
            change[:, : self.n_tilt] = i_frequency * (self._of_each(heard.values, u) - own * smooth)
            change[:, self.n_tilt : -2] = -self._of_each(heard.slopes, u) - own * steep_all[:, heard.k, None]
            turned = i_frequency * (x * smooth[:, 0] - _times(heard.values, x * u))
            turned -= steep_levered[:, heard.k] + _times(heard.slopes.T, u_levered[:, heard.k])
            change[:, -2] = np.pi / 180 * turned
            change[:, -1] = _times(heard.thicker, u)
            changes.append(change)
        return changes

    def _of_each(self, matrix: np.ndarray, u: np.ndarray) -> np.ndarray:
        """(n_pixels, n_tilt): what the transposed matrix makes of each frame's part of u."""
        parts = u.reshape(self.n_tilt, self.n_x)
        parts = np.stack([parts.real, parts.imag], axis=1).astype(np.float32)
        made = parts @ matrix.reshape(self.n_tilt, self.n_x, -1)
        return (made[:, 0] + 1j * made[:, 1]).T

    def _levered(self, spectra: np.ndarray) -> np.ndarray:
        """Transforms along y (n_pixels, n_frequency) of what is multiplied by the distance from the middle row."""
        y = np.arange(self.n_rows) - (self.n_rows - 1) / 2
        seen = np.fft.irfft(spectra, n=self.n_rows, axis=1, norm="ortho")
        return np.fft.rfft(y * seen, axis=1, norm="ortho")


class _Frequency:
    """The k-th frequency along y: covariances of its pixels, by the field alone and with noise, and its data d."""

    def __init__(self, k: int, frequency: float, of_field: tuple[np.ndarray, ...], noisy: np.ndarray, d: np.ndarray):
        self.k, self.frequency, self.both = k, frequency, 2 if k else 1  # signs of the frequency
        self.values, self.slopes, self.thicker = of_field
        self.factor, _ = lapack.spotrf(noisy.T, lower=1, overwrite_a=1)
        self.u = lapack.spotrs(self.factor, _as_columns(d), lower=1)[0] @ [1, 1j]
        log_determinant = 2 * float(np.log(np.diag(self.factor).astype(float)).sum())
        self.log_likelihood = -self.both * (log_determinant + np.vdot(d, self.u).real) / 2

    def inverse(self) -> np.ndarray:
        lower = np.tril(lapack.spotri(self.factor, lower=1)[0])
        return lower + np.tril(lower, -1).T

    def random(self, rng: np.random.Generator) -> np.ndarray:
        """A vector (n_pixels,) whose covariance is the inverse."""
        white = rng.standard_normal((len(self.factor), 2)).astype(np.float32) / np.float32(np.sqrt(2))
        return lapack.strtrs(self.factor, white, lower=1, trans=1)[0] @ [1, 1j]


def _times(matrix: np.ndarray, u: np.ndarray) -> np.ndarray:
    """A real matrix times a complex vector."""
    return matrix @ _as_columns(u) @ [1, 1j]


def _as_columns(u: np.ndarray) -> np.ndarray:
    return np.stack([u.real, u.imag], axis=1).astype(np.float32)


def _groups(tilt_deg: np.ndarray) -> list[np.ndarray]:
    """Indices of neighbouring tilts, at most MOST_TILTS each, that overlap by half or more."""
    order, n_tilt = np.argsort(tilt_deg), min(len(tilt_deg), MOST_TILTS)
    n_groups = 1 + int(np.ceil((len(order) - n_tilt) / (MOST_TILTS / 2)))
    firsts = np.linspace(0, len(order) - n_tilt, n_groups).round().astype(int)
    return [order[first : first + n_tilt] for first in firsts]


def _taper(n: int) -> np.ndarray:
    """Cosine slopes at both ends; its mean square is 1."""
    end = np.minimum(np.arange(n) + 0.5, n - np.arange(n) - 0.5) / n
    taper = np.where(end < TAPERED, 0.5 - 0.5 * np.cos(np.pi * end / TAPERED), 1.0)
    return taper / np.sqrt((taper**2).mean())
