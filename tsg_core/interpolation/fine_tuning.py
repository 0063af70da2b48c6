"""A shipped network trained further on the user's own series; it must prove itself on frames that it has not seen.

No truth is needed: of three measured frames, the network gets the outer two and predicts the middle one. Whether tuning
helps is tested first: a network is tuned on every second frame and predicts the others. Only if it does so better than
the untuned network is a network tuned on all frames.
"""

import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..errors import TsgError
from ..evaluation.metrics import image_metrics
from ..model.file import load_model
from ..model.network import STRIDE, TSGNet
from ..model.shipped import network
from ..tilt_series import TiltSeries
from ..training.loop import TrainingSettings, train
from .angles import linear
from .tsgnet import predict_frames

WORTH_dB = 0.05  # a gain below this is none
FEWEST = 9  # frames: every second one still gives three trios


@dataclass(frozen=True, kw_only=True)
class FineTuning:
    """The result of tuning: PSNR in dB of frames left out of it, and the network, tuned on all frames.

    `model` is None unless the tuned network is better than the untuned one by 0.05 dB.
    """

    linear_dB: float
    untuned_dB: float
    tuned_dB: float
    model: TSGNet | None

    @property
    def verdict(self) -> str:
        """The same as a sentence."""
        helps = "tuning does not help" if self.model is None else "tuning helps"
        others = f"untuned {self.untuned_dB:.2f} dB, linear {self.linear_dB:.2f} dB"
        return f"{helps}: {self.tuned_dB:.2f} dB on frames left out of it, {others}"


def fine_tune(series: TiltSeries, *, checkpoint=None, n_steps: int = 100, seed: int = 0) -> FineTuning:
    """Tune a network (as `model.shipped.network` accepts it) on the measured frames of a series; see the module.

    Raises TsgError for fewer than nine measured frames, or frames smaller than 16 pixels.
    """
    measured = series.measured_only()
    if len(measured) < FEWEST:
        raise TsgError(f"{len(measured)} measured frames are too few to tune a network; at least {FEWEST} are needed")
    untuned = network(checkpoint)
    shown = measured.subset(np.arange(0, len(measured), 2))
    left_out = np.arange(1, len(measured) - 1, 2)
    left_out = left_out[measured.tilt_deg[left_out] < shown.tilt_deg[-1]]
    truth, tilt_deg = measured.frames[left_out], measured.tilt_deg[left_out]

    def score_dB(frames: np.ndarray) -> float:
        return float(image_metrics(frames, truth, peak=measured.intensity_scale or 1.0).psnr_dB.mean())

    tuned = _tuned(untuned, shown, n_steps=n_steps, seed=seed)
    linear_dB, untuned_dB, tuned_dB = map(
        score_dB,
        (
            linear(shown, tilt_deg),
            predict_frames(untuned, shown, tilt_deg=tilt_deg),
            predict_frames(tuned, shown, tilt_deg=tilt_deg),
        ),
    )
    helps = tuned_dB >= untuned_dB + WORTH_dB
    model = _tuned(untuned, measured, n_steps=n_steps, seed=seed) if helps else None
    return FineTuning(linear_dB=linear_dB, untuned_dB=untuned_dB, tuned_dB=tuned_dB, model=model)


def _tuned(model: TSGNet, series: TiltSeries, *, n_steps: int, seed: int) -> TSGNet:
    """The network after some steps at a low learning rate, on trios of neighbouring frames."""
    crop_px = min(64, min(series.frames.shape[1:]) // STRIDE * STRIDE)
    if crop_px == 0:
        raise TsgError(f"frames of {series.frames.shape[2]} x {series.frames.shape[1]} px are smaller than {STRIDE}")
    settings = TrainingSettings(
        n_steps=n_steps,
        crop_px=crop_px,
        learning_rate=3e-5,
        final_learning_rate=1e-6,
        loss="gain",
        max_rate=1,
        midpoint=1.0,
        ema_decay=0.98,
        seed=seed,
        validate_every=n_steps,
        checkpoint_every=n_steps,
    )
    with tempfile.TemporaryDirectory() as folder:
        return load_model(train([series], validation=[series], settings=settings, folder=Path(folder), model=model))
