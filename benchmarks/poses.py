"""Frames predicted with and without `--fit-pose`: `python benchmarks/poses.py` (some minutes).

Gaussian spots in a ball inside the frames, or in a film that goes on outside them, are recorded every six degrees.
`aligned` series are perfect. `disturbed` ones have shifts of half a pixel, angles misread by 0.3 degrees and gains of
3 percent, all at random; in `1/cos` series the brightness of a frame falls by the root of 1/cos of its tilt, as it may
in a thick film. Noise is in standard deviations of the frames. Frames half-way between are predicted by `reprojection`
and compared with perfect ones: PSNR in dB, its peak the brightest of these.
"""

from dataclasses import dataclass

import click
import numpy as np

from tsg_core.evaluation.metrics import psnr_dB
from tsg_core.geometry import pixel_centres_A, tilted_positions, translation_of
from tsg_core.interpolation import densify
from tsg_core.tilt_series import TiltSeries

MEASURED_deg, BETWEEN_deg = np.arange(-60.0, 61.0, 6.0), np.arange(-57.0, 58.0, 6.0)
N_Y, N_X, SIGMA_px, THICKNESS_px = 24, 40, 1.5, 16.0
DENSITY = 0.004  # spots of the film in a cubic pixel
SHIFT_px, ERROR_deg, GAIN = 0.5, 0.3, 0.03
METHOD = "reprojection"


@dataclass(frozen=True, kw_only=True)
class Case:
    """An object ("ball" or "film"), what is wrong with its frames, and their noise."""

    kind: str
    wrong: str
    noise: float = 0.0
    seed: int = 0

    def __str__(self) -> str:
        return f"{self.kind}, {self.wrong}, noise {self.noise:g}"


CASES = (
    *(Case(kind=kind, wrong="aligned", noise=noise) for kind in ("ball", "film") for noise in (0.0, 0.2)),
    *(Case(kind=kind, wrong="disturbed", noise=noise) for kind in ("ball", "film") for noise in (0.0, 0.2)),
    Case(kind="film", wrong="disturbed", noise=0.05, seed=1),
    Case(kind="ball", wrong="disturbed", noise=0.05, seed=1),
    Case(kind="film", wrong="1/cos"),
    Case(kind="film", wrong="1/cos", noise=0.2),
)


def spots(case: Case) -> tuple[np.ndarray, np.ndarray]:
    """Places (n, 3) in pixels and weights (n,)."""
    rng = np.random.default_rng(case.seed)
    if case.kind == "ball":
        places = rng.normal(size=(60, 3))
        places *= 9 * rng.random((60, 1)) ** (1 / 3) / np.linalg.norm(places, axis=1, keepdims=True)
    else:
        reach = np.array([6 * N_X, N_Y + 8 * SIGMA_px, THICKNESS_px])
        places = rng.uniform(-reach / 2, reach / 2, (int(DENSITY * reach.prod()), 3))
    return places, rng.uniform(0.5, 1.5, len(places))


def frames_of(case: Case, tilt_deg: np.ndarray, shift_px: np.ndarray) -> np.ndarray:
    """Frames (n_tilt, n_y, n_x) of the spots, displaced by shifts (n_tilt, 2) along y and x."""
    places, weights = spots(case)
    column, row, _ = np.moveaxis(tilted_positions(places, tilt_deg=tilt_deg), -1, 0)
    along_y, along_x = (
        np.exp(-((pixel_centres_A(n, pixel_size_A=1.0) - place[..., None]) ** 2) / (2 * SIGMA_px**2))
        for n, place in ((N_Y, row + shift_px[:, :1]), (N_X, column + shift_px[:, 1:]))
    )
    return np.einsum("tay,tax,a->tyx", along_y, along_x, weights, optimize=True)


def recorded(case: Case) -> TiltSeries:
    rng, n = np.random.default_rng(100 + case.seed), len(MEASURED_deg)
    shift_px, error_deg, gain = np.zeros((n, 2)), np.zeros(n), np.ones(n)
    if case.wrong == "disturbed":
        shift_px, error_deg = rng.normal(0, SHIFT_px, (n, 2)), rng.normal(0, ERROR_deg, n)
        shift_px -= translation_of(shift_px, tilt_deg=MEASURED_deg)  # the object stays in its place
        error_deg -= error_deg.mean()
        gain = rng.normal(1, GAIN, n)
        gain /= gain.mean()
    if case.wrong == "1/cos":
        gain = np.sqrt(np.cos(np.deg2rad(MEASURED_deg)))
    frames = frames_of(case, MEASURED_deg + error_deg, shift_px) * gain[:, None, None]
    return TiltSeries(frames + case.noise * frames.std() * rng.standard_normal(frames.shape), MEASURED_deg, 1.0)


@click.command()
@click.option("--only", default="", help="part of the names of the cases")
def main(only):
    """Print PSNR without and with fitted poses, the gain, and what the fit says."""
    click.echo(f"{'series':28}{'as recorded':>12}{'fitted':>8}{'gain':>7}  said")
    for case in (case for case in CASES if only in str(case)):
        series = recorded(case)
        truth = frames_of(case, BETWEEN_deg, np.zeros((len(BETWEEN_deg), 2)))
        if case.wrong == "1/cos":
            truth *= np.sqrt(np.cos(np.deg2rad(BETWEEN_deg)))[:, None, None]
        found = [densify(series, tilt_deg=BETWEEN_deg, method=METHOD, fit_pose=fit) for fit in (False, True)]
        dB = [float(psnr_dB(((f.frames - truth) ** 2).mean(axis=(1, 2)), truth.max()).mean()) for f in found]
        click.echo(f"{case!s:28}{dB[0]:12.2f}{dB[1]:8.2f}{dB[1] - dB[0]:+7.2f}  {found[1].history[-1].split(' (')[0]}")


if __name__ == "__main__":
    main()
