"""Least-squares fit of atoms to the frames of a tilt series: the parameters, the frames, one minimisation.

Parameters are a dict of tensors. The tilt determines the place of an atom along and across the beam. An atom adds its
weight to a frame, times the effect of the atoms above and below it, times the gain of the frame.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ...geometry import rotate_about_y
from ...optics.channelling import LARGEST_EXPONENT, Channelling
from .rendering import AtomRenderer
from .whitening import Whitening

Parameters = Mapping[str, Tensor]
OBJECT = ("positions_A", "log_weight", "sigma_A", "offset")
# usual size of the others: a mild pull towards zero, which also fixes what the frames leave undetermined
SPREADS = {"channelling": 1.0, "log_gain": 0.1, "shift_A": 0.5, "tilt_error_rad": 0.01}
BATCH_VALUES = 10_000_000  # numbers kept by one pass over some tilts: limits the memory and stays in the cache
HISTORY = 20  # steps from which L-BFGS infers the curvature
PORTION = 5  # iterations between checks of the gain
LEAST_GAIN = 1e-4  # relative gain in a portion below which the fit has converged
STEP_A = 0.01  # between images whose difference gives a slope
SMALLEST_STEP = 1e-5  # in the parameters' units; below it rounding dominates

# lateral Gaussians and depth decays of the channelling term: 18 coefficients for atoms above and below
TERMS = Channelling(
    lateral_A=(0.25, 0.5, 1.0),
    depth_A=(3.0, 12.0, 1000.0),
    above=(),
    below=(),
    spread=(),
    spread_A=0.0,
)
N_TERMS = 2 * len(TERMS.lateral_A) * len(TERMS.depth_A)


def start_parameters(
    positions_A: np.ndarray,
    *,
    sigma_A: float,
    n_tilt: int,
    offset: float = 0.0,
    device: str = "cpu",
) -> dict:
    """Atoms of weight 1 on a constant, and nothing else."""
    n_atoms = len(positions_A)
    values = {
        "positions_A": positions_A,
        "log_weight": np.zeros(n_atoms),
        "sigma_A": sigma_A,
        "offset": offset,
        "channelling": np.zeros(N_TERMS),
        "log_gain": np.zeros(n_tilt),
        "shift_A": np.zeros((n_tilt, 2)),
        "tilt_error_rad": np.zeros(n_tilt),
    }
    return {
        name: torch.as_tensor(np.array(value), dtype=torch.float32, device=device) for name, value in values.items()
    }


def without_frames(p: Parameters, *, n_tilt: int) -> dict:
    """The same object for other tilts, with the mean gain, no shift and no tilt error."""
    own = ("log_gain", "shift_A", "tilt_error_rad")
    return {name: v.new_zeros((n_tilt, *v.shape[1:])) if name in own else v for name, v in p.items()}


@dataclass(frozen=True, kw_only=True, eq=False)
class AtomFrames:
    """How atoms are rendered at some tilts, and the frames (n_tilt, n_y, n_x) to compare them with, if any.

    Frames are in units in which atoms weigh about 1. `whitening` is the weight of each spatial frequency.
    """

    renderer: AtomRenderer
    tilt_deg: np.ndarray
    frames: Tensor | None = None
    whitening: Whitening | None = None

    def __len__(self) -> int:
        return len(self.tilt_deg)

    def rendered(
        self,
        p: Parameters,
        tilts=slice(None),
        *,
        features=None,
        moves: Tensor | None = None,
    ) -> Tensor:
        """Frames of the parameters at some of the tilts.

        `features` (n_tilt, n_atoms, N_TERMS) describes the neighbours for the channelling term, None for no term;
        `moves` (n_tilt, n_atoms, 3) changes column, row and logarithm of the weight in single frames.
        """
        nominal = torch.as_tensor(
            np.deg2rad(self.tilt_deg[tilts]),
            dtype=torch.float32,
            device=p["offset"].device,
        )
        angle = (nominal + p["tilt_error_rad"][tilts])[:, None]
        x, y, z = p["positions_A"].T
        columns_A, depths_A = rotate_about_y(x, z, torch.cos(angle), torch.sin(angle))
        columns_A, rows_A = (
            columns_A + p["shift_A"][tilts, :1],
            y + p["shift_A"][tilts, 1:],
        )
        exponent = p["log_weight"] + p["log_gain"][tilts, None]
        if features is not None:
            exponent = exponent + (features[tilts] @ p["channelling"]).clamp(-LARGEST_EXPONENT, LARGEST_EXPONENT)
        if moves is not None:
            columns_A, rows_A, exponent = (
                columns_A + moves[..., 0],
                rows_A + moves[..., 1],
                exponent + moves[..., 2],
            )
        return self.renderer(columns_A, rows_A, depths_A, exponent.exp(), p["sigma_A"]) + p["offset"]

    def whole(self, p: Parameters, *, features: Tensor | None = None) -> Tensor:
        """`rendered` at all tilts, without gradients."""
        with torch.no_grad():
            return torch.cat([self.rendered(p, tilts, features=features) for tilts in self.batches(p)])

    def batches(self, p: Parameters) -> Iterator[slice]:
        """Tilts in portions that limit the memory."""
        step = max(1, BATCH_VALUES // (2 * self.renderer.values_per_tilt(len(p["log_weight"]))))
        return (slice(i, min(i + step, len(self))) for i in range(0, len(self), step))

    def features(self, p: Parameters) -> Tensor:
        """Features (n_tilt, n_atoms, N_TERMS) of the neighbours above and below each atom, at their current places."""
        x, y, z = p["positions_A"].detach().cpu().double().numpy().T
        weight = p["log_weight"].detach().exp().cpu().double().numpy()
        strengths = np.sqrt(weight / weight.mean())
        tilts = []
        for tilt_rad in np.deg2rad(self.tilt_deg):
            column_A, depth_A = rotate_about_y(x, z, np.cos(tilt_rad), np.sin(tilt_rad))
            tilts.append(TERMS.features(np.stack([column_A, y, depth_A], axis=1), strengths).astype(np.float32))
        return torch.from_numpy(np.stack(tilts)).to(p["offset"].device)

    def seen(self, p: Parameters) -> np.ndarray:
        """Whether each frame shows the middle of each atom (n_tilt, n_atoms)."""
        return self.renderer.seen(p["positions_A"].detach().cpu().double().numpy(), tilt_deg=self.tilt_deg)[0]

    def spots(self, sigma_A: float) -> tuple[Tensor, Tensor]:
        """Image (n_y, n_x) of one atom of weight 1 in the middle of a frame, and its slope along x (per angstrom)."""
        columns_A = torch.tensor([[0.0], [-STEP_A], [STEP_A]], device=self.renderer.device)
        middle = torch.zeros_like(columns_A)
        with torch.no_grad():
            image, left, right = self.renderer(columns_A, middle, middle, middle + 1, middle.new_tensor(sigma_A))
        return image, (right - left) / (2 * STEP_A)

    def overlap(self, p: Parameters) -> tuple[float, float]:
        """Sums of whitened squares of the image of a single atom, and of its slope along x (per angstrom)."""
        image, slope = self.spots(float(p["sigma_A"]))
        return self.whitening.energy(image), self.whitening.energy(slope)

    def residuals(self, p: Parameters, *, features: Tensor | None = None) -> Tensor:
        """The frames minus the rendered ones, (n_tilt, n_y, n_x)."""
        return self.frames - self.whole(p, features=features)

    def scores(self, p: Parameters, *, features: Tensor | None = None) -> Tensor:
        """Derivatives (n_tilt, n_atoms, 3) of half the misfit by column, row and log weight of each atom in each frame.

        Once the fit has converged, they add up to about zero over all frames. Their spread from frame to frame shows
        how well the frames agree.
        """
        parts = []
        for tilts in self.batches(p):
            shape = (tilts.stop - tilts.start, len(p["log_weight"]), 3)
            moves = torch.zeros(shape, device=p["offset"].device, requires_grad=True)
            rendered = self.rendered(p, tilts, features=features, moves=moves)
            difference = self.whitening.weighted(rendered.detach() - self.frames[tilts])
            parts.append(torch.autograd.grad(rendered, moves, difference)[0])
        return torch.cat(parts)

    def fitted(
        self,
        start: Parameters,
        *,
        free: tuple[str, ...],
        n_iterations: int,
        features=None,
    ) -> dict:
        """Parameters after at most `n_iterations` of L-BFGS; only those named in `free` change.

        Each parameter is scaled to the unit in which it changes the frames as much as any other, for isolated atoms.
        With this scaling, tens of iterations suffice.
        """
        start = {name: value.detach() for name, value in start.items()}
        units = self._units(start, features=features)
        misfit = self.whitening.energy(self.residuals(start, features=features)) / self.frames.numel()
        scale = 1 / max(misfit, 1e-12)
        sizes = [start[name].numel() for name in free]
        moved = torch.zeros(sum(sizes), device=self.frames.device, requires_grad=True)

        def now() -> dict:
            parts = zip(free, moved.split(sizes), strict=True)
            steps = {name: _times(units[name], part).view_as(start[name]) for name, part in parts}
            if "channelling" in steps:
                steps["log_weight"] = steps["log_weight"] - features.mean(dim=0) @ steps["channelling"]
            return start | {name: start[name] + step for name, step in steps.items()}

        optimiser = torch.optim.LBFGS(
            [moved],
            max_iter=PORTION,
            history_size=HISTORY,
            tolerance_grad=0,
            tolerance_change=SMALLEST_STEP,
            line_search_fn="strong_wolfe",
        )

        def cost_and_gradient() -> float:
            optimiser.zero_grad()
            p = now()
            pull = 0.5 * sum((p[name] / SPREADS[name]).square().sum() for name in free if name in SPREADS)
            cost = torch.as_tensor(pull) + 0 * moved.sum()
            cost.backward()
            cost = float(cost.detach())
            for tilts in self.batches(start):
                difference = self.rendered(now(), tilts, features=features) - self.frames[tilts]
                part = 0.5 * scale * self.whitening.coefficients(difference).square().sum(dtype=torch.float64)
                part.backward()
                cost += float(part.detach())
            if np.isfinite(cost):
                return cost
            moved.grad.zero_()  # if a step is so long that weights overflow, the line search turns back here
            return 10 * scale * misfit * self.frames.numel()

        before = np.inf
        for _ in range(0, n_iterations, PORTION):
            cost = optimiser.step(cost_and_gradient)  # the cost before the portion
            if before - cost < LEAST_GAIN * cost:
                break
            before = cost
        found = {name: value.detach() for name, value in now().items()}
        return found | {"sigma_A": found["sigma_A"].clamp(min=self.renderer.least_sigma_A)}  # no gradient below

    def _units(self, p: Parameters, *, features: Tensor | None) -> dict[str, float | Tensor]:
        """The change of each parameter that changes the frames as much as adding 1 to an atom's log weight."""
        spot, slope = self.overlap(p)
        n_atoms, n_tilt = len(p["log_weight"]), len(self)
        width_A, share = (spot / slope) ** 0.5, (n_tilt / n_atoms) ** 0.5
        reach_A = float(p["positions_A"].square().sum(dim=1).mean().sqrt())
        units = {
            "positions_A": 2**0.5 * width_A,
            "log_weight": 1.0,
            "sigma_A": width_A / n_atoms**0.5,
            "offset": (spot / self.whitening.energy(torch.ones_like(self.frames[0]))) ** 0.5,
            "log_gain": share,
            "shift_A": share * width_A,
            "tilt_error_rad": share * width_A / max(reach_A, width_A),
        }
        if features is not None:
            # of an atom, over the tilts: its weight absorbs what all tilts share
            varied = (features - features.mean(dim=0)).flatten(0, 1).double()
            curvature = varied.T @ varied / n_tilt + torch.eye(N_TERMS, dtype=torch.float64, device=features.device)
            units["channelling"] = torch.linalg.inv(torch.linalg.cholesky(curvature)).T.float()
        return units


def _times(unit: float | Tensor, part: Tensor) -> Tensor:
    return unit @ part if isinstance(unit, Tensor) else unit * part
