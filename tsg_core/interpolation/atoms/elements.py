"""Elements of fitted atoms: their weights fall into clusters, and each cluster is an element.

Weights of one element scatter: by the standard errors of the fit, and by a relative spread that all elements share, for
what the model lacks. A mixture of normal distributions of the logarithm of the weights has both (McLachlan and Peel,
Finite Mixture Models, 2000); the number of clusters is that of the highest evidence (Schwarz, Ann. Stat. 6, 461, 1978).
Where the elements are named, the ratios between the weights of the clusters are those of the cross-sections, and only
one scale is free.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from ase.data import atomic_numbers, chemical_symbols
from scipy.special import logsumexp
from scipy.stats import norm

from ...errors import TsgError
from ...microscope import Microscope
from ...optics.scattering import haadf_cross_section_A2

MOST_CLUSTERS = 5
LEAST_SPREAD = 0.01  # of the weights of one element, relative
N_STEPS = 200  # of expectation maximisation
SURE = 10.0  # gain of the Bayesian information criterion that another cluster must bring: very strong evidence
CONFUSED = 0.25  # expected fraction of wrong atoms of an element from which on elements count as not told apart
LEAST_APART = 0.15  # of logarithms of weights: nearer clusters are of one element, in other places of the particle
LIGHTEST, HEAVIEST = 3, 92
_UNSTABLE = {43, 61, *range(84, 90), 91}
_ANCHORS = (3, 6, 13, 20, 29, 38, 47, 56, 64, 72, 79, 92)


@dataclass(frozen=True, eq=False, kw_only=True)
class Elements:
    """The elements of atoms.

    symbols    (n,) chemical symbols
    groups     (n,) the cluster of each atom
    clusters   one symbol for each cluster, lightest first
    means_A2   (n_cluster,) the weight of each cluster, and spread: the relative spread that all share
    wrong      (n_cluster,) fraction of the atoms of each cluster that is expected to be assigned to another one
    remark     what calls for care; may be empty
    """

    symbols: np.ndarray
    groups: np.ndarray
    clusters: tuple[str, ...]
    means_A2: np.ndarray
    spread: float
    wrong: np.ndarray
    remark: str = ""


def elements_of(
    weights_A2: np.ndarray,
    errors_A2: np.ndarray,
    *,
    microscope: Microscope | None,
    names: str | Sequence[str] | None = None,
    strict: bool = True,
) -> Elements:
    """The element of each atom, from its weight (n,) and the standard error of the weight (n,).

    `names` are the elements that the object contains; weights need only be proportional to cross-sections then. Without
    names, weights must be cross-sections, as they are where frames are fractions of the incident beam.
    Raises TsgError for names that are no elements, without names for weights that no element has, without a microscope,
    and, if `strict`, for elements that the weights cannot tell apart.
    """
    if names is not None and len(names := checked_names(names)) == 1:
        return _all_of(names[0], np.log(weights_A2))
    if microscope is None:
        raise TsgError(
            "elements are told apart by cross-sections, which depend on the microscope, and none is recorded with the "
            "frames"
        )
    logs, errors = np.log(weights_A2), errors_A2 / weights_A2
    if names is None:
        return _by_evidence(logs, errors, microscope)
    return _named(logs, errors, names, microscope, strict=strict)


def _all_of(name: str, logs: np.ndarray) -> Elements:
    return Elements(
        symbols=np.full(len(logs), name),
        groups=np.zeros(len(logs), int),
        clusters=(name,),
        means_A2=np.array([np.exp(logs.mean())]),
        spread=float(logs.std()),
        wrong=np.zeros(1),
    )


def checked_names(names: str | Sequence[str]) -> tuple[str, ...]:
    """Symbols of elements, each once; one text may hold several, separated by commas. Raises TsgError for others."""
    names = names.replace(",", " ").split() if isinstance(names, str) else names
    names = tuple(dict.fromkeys(str(name).strip() for name in names))
    for name in names:
        if name not in atomic_numbers or not 1 <= atomic_numbers[name] <= 103:
            raise TsgError(f"{name!r} is not the symbol of an element, such as Cu or Au")
    if not names:
        raise TsgError("elements names no element; name those of the object, such as 'Cu,Au'")
    return names


def _named(logs, errors, names: tuple[str, ...], microscope: Microscope, *, strict: bool) -> Elements:
    """The likeliest mixture whose clusters have the ratios of the cross-sections of these elements."""
    names = tuple(sorted(names, key=lambda name: haadf_cross_section_A2(name, microscope)))
    ratios = np.log([haadf_cross_section_A2(name, microscope) for name in names])
    starts = {float(np.quantile(logs, share) - ratio) for share in (0.05, 0.3, 0.5, 0.7, 0.95) for ratio in ratios}
    found = [_mixture(logs, errors, start + ratios, tied=True) for start in starts]
    highest = max(mixture.likelihood for mixture in found)
    # where only some of the named elements are there, several scales are as likely: cross-sections as they are, if any
    likely = [mixture for mixture in found if mixture.likelihood > highest - SURE / 2]
    best = min(likely, key=lambda mixture: (round(float(abs(mixture.means - ratios).max()), 6), -mixture.likelihood))
    wrong = best.wrong(errors)
    confused = [i for i in range(len(names) - 1) if wrong[i : i + 2].max() > CONFUSED and _overlap(best, i)]
    remark = ""
    if confused:
        light, heavy = names[confused[0]], names[confused[0] + 1]
        apart = np.expm1(ratios[confused[0] + 1] - ratios[confused[0]])
        remark = (
            f"weights cannot tell {light} and {heavy} apart: they differ by {apart:.1%}, and weights of one element "
            f"scatter by {best.scatter(errors):.1%}"
        )
        if strict:
            raise TsgError(f"{remark}; name only one of them")
    return _elements(best, errors, names, remark=remark)


def _overlap(mixture: "_Mixture", i: int) -> bool:
    """Whether clusters i and i + 1 both hold atoms: those without atoms confuse nothing."""
    return bool(mixture.shares[i : i + 2].min() > 0)


def _by_evidence(logs, errors, microscope: Microscope) -> Elements:
    """The mixture with the highest evidence; its clusters are the elements of the nearest cross-sections."""
    n = len(logs)
    best, least = None, np.inf
    for k in range(1, min(MOST_CLUSTERS, max(1, n // 3)) + 1):
        found = max((_mixture(logs, errors, start) for start in _starts(logs, k)), key=lambda m: m.likelihood)
        criterion = 2 * k * np.log(n) - 2 * found.likelihood
        apart = np.diff(found.means).min(initial=np.inf)
        if apart >= LEAST_APART and criterion < least - (SURE if best is not None else 0):
            best, least = found, criterion
    names = tuple(_nearest(float(np.exp(mean)), microscope) for mean in best.means)
    return _elements(best, errors, names, remark=_nearest_remark(names))


def rescaled(elements: Elements, gains: np.ndarray, microscope: Microscope) -> Elements:
    """The elements whose cross-sections are `gains` (n_cluster,) times those of the ones that were found.

    Frames computed from known atoms show by how much the weights, which lack diffraction, were wrong.
    """
    names = tuple(
        _nearest(float(gain) * haadf_cross_section_A2(name, microscope), microscope)
        for gain, name in zip(gains, elements.clusters, strict=True)
    )
    symbols = np.array(names)[elements.groups]
    return replace(elements, symbols=symbols, clusters=names, remark=_nearest_remark(names))


def _nearest_remark(names: tuple[str, ...]) -> str:
    found = ", ".join(f"{name} (Z = {atomic_numbers[name]})" for name in dict.fromkeys(names))
    return f"elements are those of the nearest cross-sections, {found}, to about a tenth of Z; name them to be sure"


def _nearest(weight_A2: float, microscope: Microscope) -> str:
    """The element whose cross-section is nearest; TsgError if the weight is none of an atom."""
    numbers, logs = _cross_sections(microscope)
    if not logs[0] - 0.5 < np.log(weight_A2) < logs[-1] + 0.2:
        raise TsgError(
            f"atoms of weight {weight_A2:.3g} A^2 are of no element, so the frames are not fractions of the incident "
            "beam; name the elements, as in --elements Cu,Au (in Python: elements='Cu,Au')"
        )
    about = int(numbers[np.abs(logs - np.log(weight_A2)).argmin()])
    near = [z for z in range(about - 2, about + 3) if LIGHTEST <= z <= HEAVIEST and z not in _UNSTABLE]
    symbols = [chemical_symbols[z] for z in near]
    return min(symbols, key=lambda name: abs(np.log(haadf_cross_section_A2(name, microscope) / weight_A2)))


@lru_cache(maxsize=8)
def _cross_sections(microscope: Microscope) -> tuple[np.ndarray, np.ndarray]:
    """Atomic numbers (n,) and the logarithms of their cross-sections (n,), interpolated between a few."""
    known = np.log([haadf_cross_section_A2(chemical_symbols[z], microscope) for z in _ANCHORS])
    numbers = np.array([z for z in range(LIGHTEST, HEAVIEST + 1) if z not in _UNSTABLE])
    return numbers, np.interp(np.log(numbers), np.log(_ANCHORS), known)


@dataclass(frozen=True, eq=False, kw_only=True)
class _Mixture:
    """Means (k,) and shares (k,) of clusters in logarithms of weights, their spread, and the log likelihood."""

    means: np.ndarray
    shares: np.ndarray
    spread: float
    likelihood: float
    belongs: np.ndarray

    def scatter(self, errors: np.ndarray) -> float:
        """Typical deviation of a weight from the mean of its cluster."""
        return float(np.sqrt(self.spread**2 + np.median(errors) ** 2))

    def wrong(self, errors: np.ndarray) -> np.ndarray:
        """Expected fraction (k,) of the atoms of each cluster that fall to its neighbours."""
        wrong, scatter = np.zeros(len(self.means)), self.scatter(errors)
        for i in range(len(self.means) - 1):
            half = (self.means[i + 1] - self.means[i]) / 2
            shift = scatter**2 * np.log(max(self.shares[i], 1e-9) / max(self.shares[i + 1], 1e-9)) / (2 * half + 1e-9)
            wrong[i] += norm.sf((half + shift) / scatter)
            wrong[i + 1] += norm.sf((half - shift) / scatter)
        return wrong.clip(0, 1)


def _elements(mixture: _Mixture, errors, names: tuple[str, ...], *, remark: str) -> Elements:
    of = mixture.belongs.argmax(axis=1)
    return Elements(
        symbols=np.array(names)[of],
        groups=of,
        clusters=names,
        means_A2=np.exp(mixture.means),
        spread=mixture.spread,
        wrong=mixture.wrong(errors),
        remark=remark,
    )


def _starts(logs: np.ndarray, k: int) -> list[np.ndarray]:
    """Means to start from: those of the parts between the widest gaps, and evenly spaced quantiles."""
    ordered = np.sort(logs)
    cuts = np.sort(np.argsort(np.diff(ordered))[len(ordered) - k :]) + 1 if k > 1 else []
    by_gaps = np.array([part.mean() for part in np.split(ordered, cuts)])
    return [by_gaps, np.quantile(logs, (np.arange(k) + 0.5) / k)]


def _mixture(logs: np.ndarray, errors: np.ndarray, means: np.ndarray, *, tied: bool = False) -> _Mixture:
    """Expectation maximisation from these means; with `tied`, only a shift of all of them is free."""
    k, n = len(means), len(logs)
    shares, spread = np.full(k, 1 / k), 0.05
    for _ in range(N_STEPS):
        variance = spread**2 + errors**2
        terms = _log_terms(logs, means, shares, variance)
        belongs = np.exp(terms - logsumexp(terms, axis=1, keepdims=True))
        weight = belongs / variance[:, None]
        off = logs[:, None] - means
        if tied:
            moved = np.full(k, (weight * off).sum() / weight.sum())
        else:
            moved = (weight * off).sum(axis=0) / weight.sum(axis=0).clip(1e-12)
        means, shares = means + moved, belongs.mean(axis=0)
        own = (belongs * (off - moved) ** 2).sum(axis=1) - errors**2
        spread = max(LEAST_SPREAD, float(np.sqrt(max(own.sum() / n, 0.0))))
        if np.abs(moved).max() < 1e-6:
            break
    terms = _log_terms(logs, means, shares, spread**2 + errors**2)
    order = np.argsort(means)
    total = logsumexp(terms, axis=1, keepdims=True)
    return _Mixture(
        means=means[order],
        shares=shares[order],
        spread=spread,
        likelihood=float(total.sum()),
        belongs=np.exp(terms - total)[:, order],
    )


def _log_terms(logs, means, shares, variance) -> np.ndarray:
    """Logarithms (n, k) of share times density."""
    off = logs[:, None] - means
    return np.log(shares.clip(1e-12)) - 0.5 * off**2 / variance[:, None] - 0.5 * np.log(2 * np.pi * variance[:, None])
