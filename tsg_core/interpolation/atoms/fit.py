"""One object behind all frames: atoms, fitted to a tilt series through its projection geometry.

An atom has a position and a weight; all atoms share the probe and a blur. A channelling term scales the contribution of
each atom to a frame for the effect of the atoms above and below it. Frames at other tilts are rendered from the atoms.
"""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import lru_cache

import numpy as np
import torch
from scipy.ndimage import gaussian_filter
from scipy.spatial import cKDTree

from ...errors import TsgError
from ...microscope import Microscope
from ...optics.scattering import haadf_cross_section_A2
from ...reconstruction.extent import Extent, extent_of, supposed_extent
from ...tilt_series import TiltSeries, microscope_of
from ..residual import white_noise_bound
from .elements import checked_names
from .errors import MIN_FRAMES, AtomErrors, atom_errors, least_agreement
from .least_squares import OBJECT, AtomFrames, start_parameters
from .model import AtomModel
from .rendering import AtomRenderer, detail
from .search import candidates, kept, merged, places_around, start_atoms
from .whitening import Whitening

COARSEST_PIXEL_A = 1.0  # larger pixels hold several atoms
START_SIGMA_A = 0.15  # of an atom, in addition to the probe
START_PROBE_SIGMA_A = 0.45  # of an unknown probe
LARGEST_SIGMA_A = 0.8  # a wider spot is not an atom
LEAST_EXPLAINED = 0.7  # of the variance of the frames' detail of atomic size
NOISE_VALUES = 2**18  # made, to see how much of white noise has the size of atoms, at the frames' edges too
BEYOND_NOISE = 4.0  # standard errors of that variance, and of the noise, by which it must exceed noise
SPOT_SIGMA_A = 0.4  # about that of an atom's image
WIDEST_SPOT = 0.42  # sigma over the distance between neighbours at which two Gaussians merge into one
CLOSEST_A = 1.0  # between atoms that are searched if none farther apart explain the frames, as in carbon
MAX_ROUNDS = 10  # of merging, dropping and adding
FEW = 0.01  # of the atoms of an extended object, near whose sides a few come and go in every round
ENOUGH_TO_STAY, ENOUGH_TO_ADD = 0.5, 0.75  # during the search, as a fraction of the agreement required in the end
BRIGHTNESS = ("log_weight", "sigma_A", "offset", "log_gain", "channelling")
WHITENED = 0.5  # part of the whitening during the search, when atoms are still too far off for all of it
NOWHERE = np.zeros((0, 3))
NO_AGREEMENT = "no peak is one that the frames agree upon: the atoms' method does not apply"


class NotAtoms(TsgError):
    """The object, or what the frames show of it, is not a set of atoms; use another method."""


@dataclass(frozen=True, kw_only=True)
class AtomSettings:
    """How atoms are fitted.

    whitened        weight each frequency by how quiet the residuals are (see `whitening`); else plain least squares
    channelling     scale each atom for the atoms above and below it, with 18 further fitted coefficients
    frame_gain      fit a gain for every frame, 1 on average, for an unsteady beam
    frame_shift     fit a shift in x and y for every frame, for imperfect alignment
    tilt_error      fit an error for every tilt angle; a common error rotates the whole object and stays undetermined
    min_distance_A  closer atoms count as one; if those found are refused, `CLOSEST_A` is tried
    least_weight    relative to the median; lighter atoms count as artefacts
    false_alarms    atoms that chance alone may add to the whole volume; with infinity, frames need not agree
    n_iterations    of L-BFGS in each round, at most; twice as many with the channelling term, which converges slowly
    device          PyTorch device

    Raises TsgError for numbers that are not positive.
    """

    whitened: bool = True
    channelling: bool = True
    frame_gain: bool = False
    frame_shift: bool = False
    tilt_error: bool = False
    min_distance_A: float = 1.5
    least_weight: float = 0.1
    false_alarms: float = 0.01
    n_iterations: int = 30
    device: str = "cpu"

    def __post_init__(self):
        for name in ("min_distance_A", "least_weight", "n_iterations"):
            if not 0 < getattr(self, name) < np.inf:
                raise TsgError(f"{name}={getattr(self, name)} must be a positive number")
        if not self.false_alarms > 0:
            raise TsgError(f"false_alarms={self.false_alarms} must be a positive number")

    @classmethod
    def usual(cls, *, names: str | Sequence[str] | None, microscope: Microscope | None) -> "AtomSettings":
        """The usual settings; if the elements of the object are named, its lightest atoms are no artefacts.

        Raises TsgError for names that are no elements.
        """
        if not names or microscope is None:
            return cls()
        weights_A2 = [haadf_cross_section_A2(name, microscope) for name in checked_names(names)]
        return cls(least_weight=min(cls.least_weight, 0.5 * min(weights_A2) / max(weights_A2)))

    @property
    def free(self) -> tuple[str, ...]:
        """Parameters fitted from the second round on, besides those of the channelling term."""
        chosen = {"log_gain": self.frame_gain, "shift_A": self.frame_shift, "tilt_error_rad": self.tilt_error}
        return OBJECT + tuple(name for name, fitted in chosen.items() if fitted)


def fit_atoms(
    series: TiltSeries, *, settings: AtomSettings | None = None, microscope: Microscope | None = None
) -> AtomModel:
    """Fit the atoms of the object that the measured frames show.

    The probe is that of `microscope`, by default the one in the series' metadata, or else a Gaussian whose width is
    fitted. Atoms start at the peaks of a volume; positions, weights, blur and offset are fitted. Between rounds, atoms
    are merged, dropped and added; only those on which the frames agree remain (see `search`). Nothing is random.
    Without `settings`, they are the usual ones for the elements that `metadata["elements"]` names, if it does.

    Raises NotAtoms if the frames are too few, too coarse or empty, or show something other than atoms, and TsgError for
    a device that PyTorch does not have, and for names that are no elements.
    """
    microscope = microscope or microscope_of(series)
    settings = settings or AtomSettings.usual(names=series.metadata.get("elements"), microscope=microscope)
    series = series.measured_only()
    _check_device(settings.device)
    _check_frames(series)
    _check_detail(series)
    fit = _found(series, settings=settings, microscope=microscope)
    if settings.channelling:
        fit = fit.searched(free=(*settings.free, "channelling"), channelling=True)
    return fit.settled().model()


@dataclass(frozen=True, kw_only=True, eq=False)
class _Fit:
    """A fit in progress; every step returns a new one."""

    series: TiltSeries
    settings: AtomSettings
    frames: AtomFrames
    p: dict[str, torch.Tensor]
    unit: float
    free: tuple[str, ...] = OBJECT
    features: torch.Tensor | None = None
    dropped_A: np.ndarray = field(default_factory=lambda: NOWHERE)

    @classmethod
    def start(cls, series: TiltSeries, *, settings: AtomSettings, microscope: Microscope | None) -> "_Fit":
        sigma_A = START_PROBE_SIGMA_A if microscope is None else START_SIGMA_A
        extent = supposed_extent(series)
        series = replace(series, metadata={**series.metadata, "extent": extent})
        found = start_atoms(
            series, microscope=microscope, sigma_A=sigma_A, min_distance_A=settings.min_distance_A, extent=extent
        )
        if len(found.height) == 0:
            raise NotAtoms("the volume of these frames has no peaks: the atoms' method does not apply")
        renderer = AtomRenderer(
            shape=series.frames.shape[1:],
            pixel_size_A=series.pixel_size_A,
            microscope=microscope,
            extended=extent is not None,
            device=settings.device,
        )
        seen, reach_A = renderer.seen(found.positions_A, tilt_deg=series.tilt_deg)
        renderer = replace(renderer, depth_A=reach_A + 2.0)
        background = float(np.percentile(series.frames, 1))
        unit = float((series.frames - background).sum(axis=(1, 2)).mean()) / (seen.sum() / len(series))
        scaled = torch.from_numpy(series.frames / np.float32(unit)).to(settings.device)
        plain = Whitening.of(scaled, scaled, part=0)
        frames = AtomFrames(renderer=renderer, tilt_deg=series.tilt_deg, frames=scaled, whitening=plain)
        p = start_parameters(
            found.positions_A, sigma_A=sigma_A, offset=background / unit, n_tilt=len(series), device=settings.device
        )
        return cls(series=series, settings=settings, frames=frames, p=p, unit=unit)

    @property
    def extent(self) -> Extent | None:
        return extent_of(self.series)

    @property
    def positions_A(self) -> np.ndarray:
        return self.p["positions_A"].cpu().double().numpy()

    @property
    def weights(self) -> np.ndarray:
        return self.p["log_weight"].exp().cpu().double().numpy()

    def refined(
        self, *, free: tuple[str, ...], channelling: bool = False, whitened: float = 1.0, rough: bool = False
    ) -> "_Fit":
        """Fit once more, with residuals whitened to this degree; a rough fit takes half the iterations."""
        part = whitened if self.settings.whitened else 0.0
        missed = self.frames.residuals(self.p, features=self.features)
        frames = replace(self.frames, whitening=Whitening.of(missed, self.frames.frames, part=part))
        features = frames.features(self.p) if channelling else None
        n_iterations = self.settings.n_iterations * (2 if channelling else 1) // (2 if rough else 1)
        p = frames.fitted(self.p, free=free, n_iterations=n_iterations, features=features)
        return replace(self, p=p, free=free, features=features, frames=frames)

    def with_atoms(self, positions_A: np.ndarray, weights: np.ndarray) -> "_Fit":
        if len(weights) == 0:
            raise NotAtoms(NO_AGREEMENT)
        device = self.p["offset"].device
        changed = {"positions_A": positions_A, "log_weight": np.log(weights.clip(1e-6))}
        tensors = {k: torch.as_tensor(v, dtype=torch.float32, device=device) for k, v in changed.items()}
        return replace(self, p=self.p | tensors, features=None)

    def errors(self) -> AtomErrors:
        return atom_errors(self.frames, self.p, features=self.features)

    def doubtful(self, *, share: float) -> np.ndarray:
        """Atoms (n,) that do not reach this fraction of the agreement that rules out chance."""
        n_places = places_around(self.positions_A, min_distance_A=self.settings.min_distance_A)
        alarms = self.settings.false_alarms
        n_seen = self.frames.seen(self.p).sum(axis=0)
        least = share * least_agreement(n_seen, n_places=n_places, false_alarms=alarms)
        agreement = np.where(n_seen < MIN_FRAMES, np.inf, self.errors().agreement)
        return ~kept(self.weights, agreement, least_weight=self.settings.least_weight, least_agreement=least)

    def searched(self, *, free: tuple[str, ...], channelling: bool = False) -> "_Fit":
        """Revise and refine in turn until nothing changes, or little in an extended object."""
        fit = self.refined(free=free, channelling=channelling, whitened=WHITENED)
        for _ in range(MAX_ROUNDS):
            revised, n_changed = fit.revised()
            if n_changed <= self.few(len(fit.weights)):
                break
            rough = self.extent is not None
            fit = revised.refined(free=free, channelling=channelling, whitened=WHITENED, rough=rough)
        return replace(fit, dropped_A=NOWHERE)

    def few(self, n_atoms: int) -> float:
        """So many atoms of this number may come and go when the search ends."""
        return 0 if self.extent is None else FEW * n_atoms

    def revised(self) -> tuple["_Fit", int]:
        """Merge atoms, drop hopeless ones, and add those that the residuals show; and how many these were.

        Without the channelling term the frames agree less, so half the agreement is enough to stay. A dropped atom is
        not added again.
        """
        hopeless = self.doubtful(share=ENOUGH_TO_STAY)
        dropped_A = np.concatenate([self.dropped_A, self.positions_A[hopeless]])
        near_A = self.settings.min_distance_A
        positions_A, weights = merged(self.positions_A[~hopeless], self.weights[~hopeless], within_A=near_A)
        if len(weights) == 0:
            raise NotAtoms(NO_AGREEMENT)
        more_A, more = candidates(
            self.frames.residuals(self.p, features=self.features),
            self.frames.spots(float(self.p["sigma_A"]))[0],
            whitening=self.frames.whitening,
            series=self.series,
            positions_A=np.concatenate([positions_A, dropped_A]),
            min_distance_A=near_A,
            least_weight=self.settings.least_weight * float(np.median(weights)),
            false_alarms=self.settings.false_alarms,
            share=ENOUGH_TO_ADD,
            extent=self.extent,
        )
        changed = self.with_atoms(np.concatenate([positions_A, more_A]), np.concatenate([weights, more]))
        return replace(changed, dropped_A=dropped_A), len(more) + len(hopeless) - len(weights)

    def settled(self) -> "_Fit":
        """Drop atoms until the frames agree on all of them; then fit everything except positions once more.

        The finest detail determines where atoms are, but not how bright the frames are.
        """
        channelling = self.features is not None
        fit = self.refined(free=self.free, channelling=channelling)
        while (doubtful := fit.doubtful(share=1.0)).any():
            fit = fit.with_atoms(fit.positions_A[~doubtful], fit.weights[~doubtful])
            fit = fit.refined(free=self.free, channelling=channelling)
            if doubtful.sum() <= self.few(len(doubtful)):
                break
        bright = tuple(name for name in self.free if name in BRIGHTNESS)
        fit = fit.refined(free=bright, channelling=channelling, whitened=WHITENED, rough=True)
        fit.check()
        return fit

    def explained(self) -> float:
        """Fraction of the variance of the frames' detail explained, without white noise and detail finer than atoms."""
        pixel_size_A = self.series.pixel_size_A
        frames = self.frames.frames.cpu().numpy()
        rest = self.frames.residuals(self.p, features=self.features).cpu().numpy()
        noise = white_noise_bound(rest) * _noise_passed(frames.shape[1:], pixel_size_A)
        unexplained, all_of_it = (float(_atomic(a, pixel_size_A).var()) - noise for a in (rest, frames))
        return 1 - unexplained / max(all_of_it, 1e-30)

    def check(self) -> None:
        sigma_A = float(self.p["sigma_A"])
        if sigma_A > LARGEST_SIGMA_A:
            raise NotAtoms(f"the spots are {sigma_A:.2f} A wide (sigma), too wide for atoms: the method does not apply")
        if len(self.weights) > 1:
            apart_A = float(np.median(cKDTree(self.positions_A).query(self.positions_A, k=2)[0][:, 1]))
            if sigma_A > WIDEST_SPOT * apart_A:
                raise NotAtoms(
                    f"spots of sigma {sigma_A:.2f} A lie {apart_A:.2f} A apart and merge: "
                    "the atoms' method does not apply"
                )
        explained = self.explained()
        if explained < LEAST_EXPLAINED:
            outside = "; the object goes on outside the frames" if self.extent else ""
            raise NotAtoms(
                f"{len(self.weights)} atoms explain {explained:.0%} of the frames' detail, less than "
                f"{LEAST_EXPLAINED:.0%}: the atoms' method does not apply{outside}"
            )

    def model(self) -> AtomModel:
        errors, p = (self.errors(), {name: value.cpu().double().numpy() for name, value in self.p.items()})
        fixed = self.frames.seen(self.p).sum(axis=0) >= MIN_FRAMES
        cross_section_A2 = (self.weights * self.unit * self.series.pixel_size_A**2)[fixed]
        return AtomModel(
            positions_A=p["positions_A"][fixed],
            position_error_A=errors.position_A[fixed],
            cross_section_A2=cross_section_A2,
            cross_section_error_A2=cross_section_A2 * errors.log_weight[fixed],
            sigma_A=max(float(p["sigma_A"]), self.frames.renderer.least_sigma_A),
            offset=float(p["offset"]) * self.unit,
            channelling=None if self.features is None else p["channelling"],
            gain=np.exp(p["log_gain"]),
            shift_A=p["shift_A"],
            tilt_error_deg=np.rad2deg(p["tilt_error_rad"]),
            explained=self.explained(),
            series=self.series,
            _fixed=fixed,
            _frames=self.frames,
            _parameters=self.p,
            _unit=self.unit,
        )


def _found(series: TiltSeries, *, settings: AtomSettings, microscope: Microscope | None) -> _Fit:
    """Atoms that explain the frames, as yet without channelling; closer ones where those farther apart do not."""
    fit = _Fit.start(series, settings=settings, microscope=microscope)
    fit = fit.refined(free=OBJECT, whitened=0, rough=True).searched(free=settings.free)
    try:
        fit.check()
    except NotAtoms:
        if settings.min_distance_A > CLOSEST_A:
            with suppress(NotAtoms):
                return _found(fit.series, settings=replace(settings, min_distance_A=CLOSEST_A), microscope=microscope)
        raise
    return fit


def _check_device(device: str) -> None:
    try:
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise TsgError(f"device={device!r} is not one that PyTorch has here; the CPU always is") from error


def _check_frames(series: TiltSeries) -> None:
    if len(series) < MIN_FRAMES:
        raise NotAtoms(f"{len(series)} measured frames do not fix atoms in space; at least {MIN_FRAMES} are needed")
    if series.pixel_size_A > COARSEST_PIXEL_A:
        raise NotAtoms(
            f"pixels of {series.pixel_size_A:g} A do not show atoms one by one; "
            f"they may be {COARSEST_PIXEL_A:g} A at most"
        )
    if np.ptp(series.frames) <= 1e-6 * np.abs(series.frames).max(initial=0.0):
        raise NotAtoms("the frames are empty or constant: they show no atoms")


def _check_detail(series: TiltSeries) -> None:
    """Refuse frames whose detail of atomic size is no more than white noise has by chance."""
    frames = series.frames / np.ptp(series.frames)  # whose squares no unit makes too small for single precision
    pixel_size_A = series.pixel_size_A
    passed = _noise_passed(frames.shape[1:], pixel_size_A)
    variance = float(_atomic(frames, pixel_size_A).var())
    noise = white_noise_bound(frames, standard_errors=BEYOND_NOISE) * passed
    chance = variance * np.sqrt(2 / max(frames.size * passed, 1))
    if variance - noise < BEYOND_NOISE * chance:
        raise NotAtoms("the frames show no detail of atomic size beyond noise: the atoms' method does not apply")


@lru_cache
def _noise_passed(shape: tuple[int, int], pixel_size_A: float) -> float:
    """Fraction of the variance of white noise that has the size of atoms; so many pixels are independent in it."""
    n_frames = int(np.ceil(NOISE_VALUES / np.prod(shape)))
    noise = np.random.default_rng(0).standard_normal((n_frames, *shape), np.float32)
    return float(_atomic(noise, pixel_size_A).var())


def _atomic(frames: np.ndarray, pixel_size_A: float) -> np.ndarray:
    """The part of frames (n, n_y, n_x) that has the size of atoms."""
    sigma_px = SPOT_SIGMA_A / pixel_size_A
    return gaussian_filter(detail(frames, pixel_size_A=pixel_size_A), (0, sigma_px, sigma_px))
