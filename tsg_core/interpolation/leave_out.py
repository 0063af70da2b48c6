"""How well methods predict left-out measured frames, and what error this lets us expect at unmeasured angles.

Only the user's own frames are needed. Leaving out a frame doubles the spacing there, so each method looks worse than it
will be. Leaving out three frames in a row as well shows how fast the error falls with the spacing, and extrapolates it
to the spacing of the whole series. Most of the frames are kept each time, because a method that fits an object to all
frames must be judged with nearly as many as it will have.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from ..errors import TsgError
from ..tilt_series import TiltSeries
from .angles import lower_neighbour
from .fitted_series import FittedSeries
from .nonnegative import lowest_quadratic
from .residual import white_noise_bound

STEEPEST = 8.0  # highest power of the spacing for a squared error: a cubic spline's error is of fourth order
ENOUGH = 12  # left-out frames by which methods are judged, if a series has that many
USUAL, POWERS_SPREAD = 2.0, 1.0  # prior for the power, and the spread of powers
NOISE_ERRORS = 4.0  # standard errors allowed for noise: counted electrons scatter more than normal noise
FEW = 12  # frames of which one is left out at a time
LEAST_PAIRS = 3  # needed for a standard error
OF_OBJECT = frozenset(
    {"sirt_reprojection", "reprojection", "kriging", "informed", "atoms", "dynamical"}
)  # fitted to all frames
LIKE_PAIRS = 4  # pairs against which the power of a fitted object counts as much as the usual one
LEAST_WEIGHT = 0.1  # of a method in a blend
RIDGE = 1e-4  # of the mean squared error, added to each method's own: methods that agree share their weight
Predict = Callable[[str, TiltSeries, np.ndarray], np.ndarray]


@dataclass(frozen=True, eq=False, kw_only=True)
class LeftOut:
    """Predictions of left-out frames.

    tilt_deg    (n,) of the frames
    spacing_deg (n,) `effective_spacing_deg` to the frames that were kept
    truth       (n, n_y, n_x), as measured
    predicted   (n_method, n, n_y, n_x)
    near        (n,) True if both neighbours were kept, False if the nearest kept frames were two away
    of_object   (n_method,) True for methods that fit one object to all frames; None for none of them
    """

    tilt_deg: np.ndarray
    spacing_deg: np.ndarray
    truth: np.ndarray
    predicted: np.ndarray
    near: np.ndarray
    of_object: np.ndarray | None = None


@dataclass(frozen=True, eq=False, kw_only=True)
class ErrorTrend:
    """Expected squared errors (n_method,) at any spacing: `mse` at `spacing_deg`, a power of the spacing above `floor`.

    floor        noise of the frames, which does not depend on the spacing
    correlation  (n_method, n_method) between the errors of the methods
    allowed      the methods, by their indices, that blends are made of; None for all
    """

    spacing_deg: float
    mse: np.ndarray
    power: np.ndarray
    floor: float
    correlation: np.ndarray
    allowed: tuple[int, ...] | None = None

    def at(self, spacing_deg: float) -> np.ndarray:
        """Expected mean squared error (n_method,) of each method at an effective spacing."""
        return self.floor + (self.mse - self.floor).clip(0) * (spacing_deg / self.spacing_deg) ** self.power

    def blend(self, spacing_deg: float) -> tuple[np.ndarray, float]:
        """Weights (n_method,), >= 0 with sum 1, for the lowest expected squared error at a spacing, and that error.

        Averaging correlated errors gains nothing, so they get no extra weight. A method whose weight would be below a
        tenth gets none: it gains half a decibel at most, and may cost any number of decibels if the best method is
        further ahead than expected.
        """
        weights = self._best_weights(spacing_deg)
        weights = np.where(weights < LEAST_WEIGHT, 0.0, weights)
        weights /= weights.sum()
        return weights, self.blended(weights, spacing_deg)

    def blended(self, weights: np.ndarray, spacing_deg: float) -> float:
        """Expected squared error of a blend."""
        return float(weights @ self._covariance(spacing_deg) @ weights)

    def _best_weights(self, spacing_deg: float) -> np.ndarray:
        """Weights (n_method,) of the blend of lowest expected squared error."""
        weights = np.zeros(len(self.mse))
        among = np.arange(len(self.mse)) if self.allowed is None else np.array(self.allowed)
        covariance = self._covariance(spacing_deg)[np.ix_(among, among)]
        size = np.sqrt(np.diag(covariance) + np.finfo(float).tiny)
        scaled = covariance / (size[:, None] * size) + RIDGE * np.eye(len(among))
        found = lowest_quadratic(scaled, size.min() / size) / size  # its direction is that of the weights with sum 1
        weights[among] = found / found.sum()
        return weights

    def _covariance(self, spacing_deg: float) -> np.ndarray:
        """Covariance between the errors of the methods: the shared noise, plus a part set by the spacing."""
        size = np.sqrt(self.mse)
        growth = (spacing_deg / self.spacing_deg) ** (self.power / 2)
        beyond_noise = (self.correlation * size[:, None] * size - self.floor) * growth[:, None] * growth
        covariance = self.floor + beyond_noise
        np.fill_diagonal(covariance, self.at(spacing_deg))
        return covariance


def effective_spacing_deg(measured_deg: np.ndarray, tilt_deg: np.ndarray) -> np.ndarray:
    """2 sqrt(d1 d2) of the distances to the measured angles on both sides; in the middle of a gap, the gap itself.

    The error of linear interpolation is proportional to d1 d2, so one number describes the gap and the place in it.
    """
    lower = lower_neighbour(measured_deg, tilt_deg)
    return 2 * np.sqrt(((tilt_deg - measured_deg[lower]) * (measured_deg[lower + 1] - tilt_deg)).clip(0))


def folds(n: int) -> Iterator[tuple[np.ndarray, np.ndarray, bool]]:
    """Indices to keep, indices to predict, and whether the direct neighbours of the latter are kept.

    Near frames have their direct neighbours kept: every fourth frame is left out, in as many folds as give `ENOUGH`
    frames, at most four, which leave out every inner frame once. Of `FEW` frames or fewer only one is left out at a
    time: a fit of atoms that has eight frames may fail with six. Far frames are the middle of three frames left out in
    a row, in series of at least seven frames. They are every second near frame, so that near and far differ only in
    distance. The first and last frames are always kept, since nothing is extrapolated.
    """
    every, inner = np.arange(n), np.arange(1, n - 1)
    near_ones = [inner[first::4] for first in range(min(4, -(-4 * ENOUGH // max(n - 2, 1))))]
    for out in near_ones if n > FEW else inner[:, None]:
        if len(out):
            yield np.setdiff1d(every, out), out, True
    for near in near_ones if n >= 7 else ():
        out = near[(near > 1) & (near < n - 2)][::2]  # the ends are at least two away
        if len(out):
            yield np.setdiff1d(every, np.concatenate([out - 1, out, out + 1])), out, False


def leave_out(
    series: TiltSeries, methods: Sequence[str], predict: Predict
) -> tuple[LeftOut | None, tuple[str, ...], dict[str, str]]:
    """Predictions of left-out frames, the methods that apply, and the reasons why others do not.

    `predict(method, series, tilt_deg)` returns frames. A method that raises TsgError with all neighbours kept does not
    apply. A method that fails only in the folds with wider gaps, because too few frames are left, gets NaN there.
    The predictions are None for a series of two frames, since neither can be left out.
    """
    parts = list(folds(len(series)))
    n_out = sum(len(out) for _, out, _ in parts)
    predicted = np.full((len(methods), n_out, *series.frames.shape[1:]), np.nan, np.float32)
    spacing_deg, failed, first = [], {}, 0
    for kept, out, near in parts:
        known = series.fold(kept) if isinstance(series, FittedSeries) else series.subset(kept)
        tilt_deg = series.tilt_deg[out]
        spacing_deg.append(effective_spacing_deg(known.tilt_deg, tilt_deg))
        for i, method in enumerate(methods):
            if method in failed:
                continue
            try:
                predicted[i, first : first + len(out)] = predict(method, known, tilt_deg)
            except TsgError as error:
                if near:
                    failed[method] = str(error)
        first += len(out)
    applying = tuple(m for m in methods if m not in failed)
    if not parts or not applying:
        return None, applying, failed
    left = np.concatenate([out for _, out, _ in parts])
    left_out = LeftOut(
        tilt_deg=series.tilt_deg[left],
        spacing_deg=np.concatenate(spacing_deg),
        truth=series.frames[left],
        predicted=predicted[[m not in failed for m in methods]] if failed else predicted,
        near=np.concatenate([np.full(len(out), near) for _, out, near in parts]),
        of_object=np.array([method in OF_OBJECT for method in applying]),
    )
    return left_out, applying, failed


def error_trend(left_out: LeftOut) -> ErrorTrend:
    """The trend of every method's error with the spacing: a power law through frames with near and with far neighbours.

    Levels are geometric means over the frames, like a mean of PSNR. Otherwise a single frame along a zone axis, which
    no method can predict, would dominate. For the same reason every frame has equal weight in the correlations. The
    noise in the left-out frames themselves is excluded from the law, and no error falls below it. That noise is at
    least as strong as white noise may be, and as what would remain of the errors at no spacing at all.
    """
    near = left_out.near
    n_method, n_out = left_out.predicted.shape[:2]
    mse, shared = np.empty((n_method, n_out)), np.zeros((n_method, n_method))
    for k in range(n_out):  # one frame at a time: errors of all predictions would need as much memory again
        error = _error(left_out, slice(None), k)
        mse[:, k] = (error**2).mean(axis=(1, 2))
        if near[k]:
            shared += np.einsum("iyx,jyx->ij", error, error) / (mse[:, k].mean() or 1.0)
    level = _typical(mse[:, near])
    white = min(_noise(left_out, i) for i in range(n_method))
    floor = min(max(white, _remaining(left_out, mse)), *level)
    size = np.sqrt(np.diag(shared))
    correlation = np.divide(shared, size[:, None] * size, out=np.eye(len(size)), where=size[:, None] * size > 0)
    return ErrorTrend(
        spacing_deg=float(np.exp(np.log(left_out.spacing_deg[near].clip(1e-6)).mean())),
        mse=level,
        power=_powers(left_out, mse, floor),
        floor=floor,
        correlation=correlation,
    )


def carried_gain_dB(left_out: LeftOut, weights: np.ndarray, *, over: int, spacing_deg: float) -> tuple[float, float]:
    """Expected gain of a blend over one method, averaged over frames, and its standard error.

    What the near frames show, and as much more at this spacing as they show more than the far ones. Without three pairs
    of near and far frames the error is infinite.
    """
    used = np.flatnonzero(weights)
    gain_dB = np.empty(len(left_out.truth))
    for k in range(len(gain_dB)):
        error = weights[used] @ _error(left_out, used, k).reshape(len(used), -1)
        one = _error(left_out, over, k)
        gain_dB[k] = 10 * np.log10(max(np.square(one).mean(), 1e-300) / max(np.square(error).mean(), 1e-300))
    near, far = _pairs(left_out)
    told = np.isfinite(gain_dB[far])
    near, far, shown = near[told], far[told], gain_dB[left_out.near]
    if len(near) < LEAST_PAIRS:
        return float(shown.mean()), np.inf
    more = gain_dB[near] - gain_dB[far]
    far_deg, near_deg = (np.exp(np.log(left_out.spacing_deg[of].clip(1e-6)).mean()) for of in (far, near))
    steps = np.log(near_deg / spacing_deg) / np.log(far_deg / near_deg)
    error_dB = np.sqrt(shown.var(ddof=1) / len(shown) + steps**2 * more.var(ddof=1) / len(more))
    return float(shown.mean() + steps * more.mean()), float(error_dB)


def _pairs(left_out: LeftOut) -> tuple[np.ndarray, np.ndarray]:
    """Indices (n,) of the frames left out with near, and with far neighbours kept."""
    near_ones = {tilt: k for k, tilt in enumerate(left_out.tilt_deg) if left_out.near[k]}
    pairs = [(near_ones[t], k) for k, t in enumerate(left_out.tilt_deg) if not left_out.near[k] and t in near_ones]
    return tuple(np.array(pairs, int).reshape(-1, 2).T)


def _powers(left_out: LeftOut, mse: np.ndarray, floor: float) -> np.ndarray:
    """Powers (n_method,) of the spacing, from frames left out both with near and with far neighbours kept.

    How hard a frame is depends on its angle. The power from the pairs of errors (n_method, n) is therefore weighted
    against the usual power: the smaller its variance, from the scatter of the pairs, is compared with that of powers in
    general, the more it counts. The error of a fitted object jumps when most of its frames are gone, alike in all
    pairs, so that their scatter does not tell: its power counts no more than the number of pairs against `LIKE_PAIRS`.
    """
    near, far = _pairs(left_out)
    usual = np.full(len(mse), USUAL)
    if len(near) < LEAST_PAIRS:
        return usual
    step = _step(left_out, near, far)
    above, beyond = ((_typical(mse[:, of]) - floor).clip(0) for of in (near, far))
    ratio = np.divide(beyond, above, out=np.ones(len(mse)), where=above > 0)
    found = (np.log(ratio.clip(1e-12)) / step).clip(0, STEEPEST)
    each = np.log(np.maximum(mse[:, far], 1e-300) / np.maximum(mse[:, near], 1e-300)) / step
    variance = each.var(axis=1, ddof=1) / len(near)
    share = POWERS_SPREAD**2 / (POWERS_SPREAD**2 + variance)
    if left_out.of_object is not None:
        share[left_out.of_object] = share[left_out.of_object].clip(max=len(near) / (len(near) + LIKE_PAIRS))
    return np.where(np.isfinite(found), share * found + (1 - share) * usual, usual)


def _remaining(left_out: LeftOut, mse: np.ndarray) -> float:
    """What remains at no spacing at all of the errors (n_method, n), in the method with least of it.

    Recorded noise is rarely white: the scan, the detector and the alignment blur it. But it is the same at every
    spacing, while the error of a method falls at least with the usual power. Where the errors of far frames exceed
    those of near ones by less, the rest was not caused by the spacing.
    """
    near, far = _pairs(left_out)
    if len(near) < LEAST_PAIRS:
        return 0.0
    growth = np.exp(USUAL * _step(left_out, near, far))
    above, beyond = (_typical(mse[:, of]) for of in (near, far))
    rest = (growth * above - beyond) / (growth - 1)
    told = rest[np.isfinite(rest)]
    return max(0.0, float(told.min())) if len(told) else 0.0


def _step(left_out: LeftOut, near: np.ndarray, far: np.ndarray) -> float:
    """Logarithm of how many times further away the neighbours of the far frames are."""
    return float(np.log(left_out.spacing_deg[far].clip(1e-6) / left_out.spacing_deg[near].clip(1e-6)).mean())


def _noise(left_out: LeftOut, method: int) -> float:
    """The largest variance of white noise that is compatible with a method's errors in the near frames."""
    near = np.flatnonzero(left_out.near)
    return white_noise_bound((_error(left_out, method, k) for k in near), standard_errors=NOISE_ERRORS)


def _typical(mse: np.ndarray) -> np.ndarray:
    """Geometric mean (n_method,) over frames (n_method, n); no error counts as less than a millionth of the mean."""
    smallest = 1e-6 * mse.mean(axis=1, keepdims=True) + np.finfo(float).tiny
    return np.exp(np.log(np.maximum(mse, smallest)).mean(axis=1))


def _error(left_out: LeftOut, methods: int | slice, k: int) -> np.ndarray:
    """Errors of left-out frame k by one method or several."""
    return left_out.predicted[methods, k].astype(np.float64) - left_out.truth[k]
