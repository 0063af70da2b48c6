"""Predicting missing frames of a tilt series with a trained TSGNet."""

import numpy as np
import torch
from torch import Tensor

from ..errors import TsgError
from ..model.network import STRIDE, TSGNet, displacement_px, pair_mean
from ..tilt_series import SAME_ANGLE_deg, TiltSeries
from ..tools.progress import track
from .angles import lower_neighbour

TILE_PX = 512  # memory: about 0.4 GB for each frame of this size, at the published widths
OVERLAP_PX = 128


def predict_frames(
    model: TSGNet,
    series: TiltSeries,
    *,
    tilt_deg: np.ndarray,
    batch_size: int = 8,
    tile_px: int = TILE_PX,
    device: str | torch.device | None = None,
) -> np.ndarray:
    """Frames (n, n_y, n_x) at the angles `tilt_deg` (n,), float32, in the units of `series`.

    Each frame is predicted from the two measured frames nearest below and above its angle; t is the fraction of the way
    between them. All frames are divided by one number, the brightest measured pixel. Frames larger than `tile_px` are
    predicted in overlapping tiles. The device is that of the model unless one is named.

    Raises TsgError for fewer than two measured frames, or an angle that is measured or outside the measured range.
    """
    tilt_deg = np.atleast_1d(np.asarray(tilt_deg, np.float64))
    lower, t = _neighbours(series, tilt_deg)
    device = torch.device(device) if device else next(model.parameters()).device
    model = model.to(device=device, memory_format=torch.channels_last).eval()
    scale = series.intensity_scale or 1.0
    measured = series.measured_only().frames
    prediction = np.empty((len(tilt_deg), *series.frames.shape[1:]), np.float32)
    batches = [slice(i, i + batch_size) for i in range(0, len(tilt_deg), batch_size)]
    for batch in track(batches, label="frames predicted"):
        frame_a, frame_b = (_to_tensor(measured[lower[batch] + k], scale, device) for k in (0, 1))
        with torch.inference_mode():
            frames = predict_tiled(model, frame_a, frame_b, torch.as_tensor(t[batch]), tile_px=tile_px)
        prediction[batch] = frames.mean(dim=1).float().cpu().numpy() * scale
    return prediction


def predict_tiled(
    model: TSGNet, frame_a: Tensor, frame_b: Tensor, t: Tensor, *, tile_px: int = TILE_PX, overlap_px: int = OVERLAP_PX
) -> Tensor:
    """model(frame_a, frame_b, t); large frames are predicted tile by tile, with tiles blended over the overlap.

    Every tile gets the mean and the displacement of the whole frames, as if there were no tiles.
    """
    n_y, n_x = frame_a.shape[2:]
    whole = {"mean": pair_mean(frame_a, frame_b), "moved_px": displacement_px(frame_a, frame_b)}
    if max(n_y, n_x) <= tile_px:
        return model(frame_a, frame_b, t, **whole)
    if not 0 <= overlap_px < tile_px or tile_px % STRIDE or overlap_px % STRIDE:
        raise TsgError(f"tile_px={tile_px} and overlap_px={overlap_px} must be multiples of {STRIDE}, the first larger")
    total = weight = 0.0
    for y, weight_y in _tiles(n_y, tile_px, overlap_px):
        for x, weight_x in _tiles(n_x, tile_px, overlap_px):
            tile = model(frame_a[..., y, x], frame_b[..., y, x], t, **whole)
            window = weight_y[:, None] * weight_x
            if isinstance(total, float):
                total, weight = tile.new_zeros(*tile.shape[:2], n_y, n_x), tile.new_zeros(n_y, n_x)
            total[..., y, x] += tile * window.to(tile)
            weight[y, x] += window.to(tile)
    return total / weight


def _tiles(n: int, tile_px: int, overlap_px: int) -> list[tuple[slice, Tensor]]:
    """Slices that cover n pixels, starting on the network's stride, and weights that fade over the overlap.

    The fade omits the eighth of the overlap nearest to the edge of a tile, where padding has the most effect.
    """
    last = max(-(-(n - tile_px) // STRIDE) * STRIDE, 0)
    starts = [*range(0, last, tile_px - overlap_px), last]
    bare = overlap_px // 8
    ramp = ((torch.arange(overlap_px) + 0.5 - bare) / max(overlap_px - 2 * bare, 1)).clamp(1e-6, 1)
    tiles = []
    for start in starts:
        stop = min(start + tile_px, n)
        weight = torch.ones(stop - start)
        if start > 0:
            weight[:overlap_px] = ramp[: len(weight)]
        if stop < n:
            weight[len(weight) - overlap_px :] = ramp.flip(0)
        tiles.append((slice(start, stop), weight))
    return tiles


def _neighbours(series: TiltSeries, tilt_deg: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Index of the measured frame below each angle, and the fraction of the way to the next one."""
    known_deg = series.tilt_deg[series.measured]
    if len(known_deg) < 2:
        raise TsgError(f"the series has {len(known_deg)} measured frames; two are needed to predict one between them")
    outside = ~((tilt_deg > known_deg[0]) & (tilt_deg < known_deg[-1]))
    if outside.any():
        raise TsgError(
            f"tilt {tilt_deg[outside][0]:g} deg is not between the measured {known_deg[0]:g} and {known_deg[-1]:g} deg"
        )
    lower = lower_neighbour(known_deg, tilt_deg)
    to_lower, to_upper = tilt_deg - known_deg[lower], known_deg[lower + 1] - tilt_deg
    taken = np.minimum(to_lower, to_upper) <= SAME_ANGLE_deg
    if taken.any():
        raise TsgError(f"tilt {tilt_deg[taken][0]:g} deg is measured already; predict the angles between")
    return lower, (to_lower / (to_lower + to_upper)).astype(np.float32)


def _to_tensor(frames: np.ndarray, scale: float, device: torch.device) -> Tensor:
    return torch.from_numpy(frames / np.float32(scale))[:, None].to(device)
