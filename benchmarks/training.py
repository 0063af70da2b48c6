"""Speed of TSGNet: a training step and a prediction, compared with a plain implementation of the same network.

    python benchmarks/training.py            # table of both networks
    python benchmarks/training.py --small    # the small network alone

The plain implementation reads the paper literally: contiguous tensors, float32, a separate call to encode each frame
and to warp each feature, and all patches of the census terms in memory at once. Both implementations get the same
weights; their predictions and losses are compared before they are timed. They take turns, and the fastest round counts,
so that other load on the machine affects the ratio least.
"""

import argparse
import resource
import time

import numpy as np
import tables
import torch
import torch.nn.functional as F

from tsg_core.interpolation.tsgnet import predict_frames
from tsg_core.losses import tsgnet_loss
from tsg_core.model import PUBLISHED_CHANNELS, SMALL_CHANNELS, TSGNet
from tsg_core.tilt_series import TiltSeries

BATCH_SIZE = 8


def plain_warp(x, flow):
    n_y, n_x = x.shape[2:]
    rows, columns = torch.meshgrid(torch.arange(n_y), torch.arange(n_x), indexing="ij")
    grid = torch.stack([(columns + flow[:, 0]) * 2 / (n_x - 1) - 1, (rows + flow[:, 1]) * 2 / (n_y - 1) - 1], dim=3)
    return F.grid_sample(x, grid, mode="bilinear", padding_mode="border", align_corners=True)


def plain_forward(model, frame_a, frame_b, t):
    mean = torch.cat([frame_a, frame_b], dim=3).mean(dim=(1, 2, 3), keepdim=True)
    features_a, features_b = model.encoder(frame_a - mean), model.encoder(frame_b - mean)
    t_plane = t.reshape(-1, 1, 1, 1).expand(-1, 1, *features_a[3].shape[2:])
    output = model.decoder4(torch.cat([features_a[3], features_b[3], t_plane], dim=1))
    decoder_features = []
    flow_a, flow_b = output[:, :2], output[:, 2:4]
    for level, decoder in ((2, model.decoder3), (1, model.decoder2), (0, model.decoder1)):
        feature = output[:, 4:]
        decoder_features.append(feature)
        warped_a, warped_b = plain_warp(features_a[level], flow_a), plain_warp(features_b[level], flow_b)
        output = decoder(torch.cat([feature, warped_a, warped_b, flow_a, flow_b], dim=1))
        flow_a = output[:, :2] + 2 * F.interpolate(flow_a, scale_factor=2, mode="bilinear", align_corners=False)
        flow_b = output[:, 2:4] + 2 * F.interpolate(flow_b, scale_factor=2, mode="bilinear", align_corners=False)
    mask = torch.sigmoid(output[:, 4:5])
    warped_a, warped_b = plain_warp(frame_a - mean, flow_a), plain_warp(frame_b - mean, flow_b)
    prediction = mask * warped_a + (1 - mask) * warped_b + mean + output[:, 5:]
    return prediction.clamp(0), decoder_features, mean


def plain_census(x, y, patch):
    def differences(frames):
        n, c, n_y, n_x = frames.shape
        patches = F.unfold(frames.reshape(n * c, 1, n_y, n_x), patch, padding=patch // 2)
        d = patches.reshape(n * c, patch**2, n_y, n_x) - frames.reshape(n * c, 1, n_y, n_x)
        return d / torch.sqrt(0.81 + d**2)

    q2 = (differences(x) - differences(y)) ** 2
    border = patch // 2
    mask = F.pad(torch.ones(x.shape[2] - 2 * border, x.shape[3] - 2 * border), [border] * 4)
    return ((q2 / (0.1 + q2)).mean(dim=1) * mask).mean()


def plain_loss(model, frame_a, frame_b, target, t):
    prediction, features, mean = plain_forward(model, frame_a, frame_b, t)
    charbonnier = torch.sqrt((prediction - target) ** 2 + 1e-6).mean()
    true_features = model.encoder(target - mean)[2::-1]
    geometry = sum(plain_census(x, y, 3) for x, y in zip(features, true_features, strict=False))
    return charbonnier + plain_census(prediction, target, 7) + 0.01 * geometry


def our_loss(model, *frames_and_t):
    return sum(tsgnet_loss(model, *frames_and_t))


class Step:
    """A training step of one implementation."""

    def __init__(self, channels, crop_px, *, loss, memory_format, bf16):
        torch.manual_seed(0)
        self.model = TSGNet(channels=channels).to(memory_format=memory_format)
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=1e-6)
        generator = torch.Generator().manual_seed(0)
        frames = torch.rand(3, BATCH_SIZE, 1, crop_px, crop_px, generator=generator)
        self.inputs = (*frames, torch.linspace(0.1, 0.9, BATCH_SIZE))
        self.loss, self.bf16 = loss, bf16

    def __call__(self) -> float:
        self.optimizer.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=self.bf16):
            loss = self.loss(self.model, *self.inputs)
        loss.backward()
        self.optimizer.step()
        return loss.item()


def fastest_s(calls: dict, *, rounds: int) -> dict:
    """Seconds of the fastest of several rounds in which the calls take turns, after a warm-up round."""
    seconds = {name: [] for name in calls}
    for _ in range(rounds + 1):
        for name, call in calls.items():
            started = time.perf_counter()
            call()
            seconds[name].append(time.perf_counter() - started)
    return {name: min(s[1:]) for name, s in seconds.items()}


def training_steps(name: str, channels, crop_px: int, *, rounds: int) -> dict[str, dict]:
    steps = {
        "plain": Step(channels, crop_px, loss=plain_loss, memory_format=torch.contiguous_format, bf16=False),
        "float32": Step(channels, crop_px, loss=our_loss, memory_format=torch.channels_last, bf16=False),
        "bf16": Step(channels, crop_px, loss=our_loss, memory_format=torch.channels_last, bf16=True),
    }
    first = {variant: step() for variant, step in steps.items()}
    np.testing.assert_allclose(first["float32"], first["plain"], rtol=1e-4)
    np.testing.assert_allclose(first["bf16"], first["plain"], rtol=2e-2)
    seconds = fastest_s(steps, rounds=rounds)
    for variant, s in seconds.items():
        ratio = seconds["plain"] / s
        print(f"| {name} | {crop_px} | {variant} | {s:.3f} | {BATCH_SIZE / s:.1f} | {ratio:.2f} |", flush=True)
    return {f"{name}, {crop_px} px, {variant}": {"step_s": s} for variant, s in seconds.items()}


def predictions(name: str, channels) -> dict[str, dict]:
    """90 frames of 128 px, and one frame of 512 and of 1024 px with the memory they need."""
    model = TSGNet(channels=channels).eval().to(memory_format=torch.channels_last)
    rng, rows = np.random.default_rng(0), {}
    for n_px, n_measured in ((128, 91), (512, 2), (1024, 2)):
        series = TiltSeries(rng.random((n_measured, n_px, n_px), np.float32), np.arange(n_measured) * 2.0, 0.5)
        between_deg = series.tilt_deg[:-1] + 1.0
        seconds = fastest_s({"": lambda s=series, a=between_deg: predict_frames(model, s, tilt_deg=a)}, rounds=2)[""]
        peak_GB = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
        print(f"| {name} | {len(between_deg)} x {n_px} px | {seconds:.2f} | {peak_GB:.2f} |", flush=True)
        rows[f"{name}, {len(between_deg)} x {n_px} px"] = {"wall_s": seconds, "peak_GB": peak_GB}
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--small", action="store_true", help="the small network alone")
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    networks = {"small": SMALL_CHANNELS} | ({} if arguments.small else {"published": PUBLISHED_CHANNELS})
    print(f"{torch.get_num_threads()} threads, batches of {BATCH_SIZE}\n")
    print("Prediction; memory is the process's highest so far\n")
    print("| network | frames | s | GB |\n|---|---|---|---|")
    rows = {}
    for name, channels in networks.items():
        rows |= predictions(name, channels)
    tables.keep("training", "prediction", rows)
    print("\nTraining step\n\n| network | crop (px) | variant | s | samples/s | of plain |\n|---|---|---|---|---|---|")
    rows = {}
    for name, channels in networks.items():
        for crop_px in (64, 96):
            rows |= training_steps(name, channels, crop_px, rounds=arguments.rounds)
    tables.keep("training", f"a step of {BATCH_SIZE} samples", rows)


if __name__ == "__main__":
    main()
