"""Every path that takes a device, on the CPU and on a GPU: do they agree, and what does the GPU gain?

    python benchmarks/gpu.py                           # all paths on cuda, below 8 minutes
    python benchmarks/gpu.py --only sirt atoms
    python benchmarks/gpu.py --device cpu --small      # the script itself, without a GPU

Each path runs twice on the GPU and the second run counts, since the first one also starts the device. A difference is
the largest one, relative to the largest value on the CPU. The script ends with status 1 if a difference is too large.
The ratios of the times go to `benchmarks/results/gpu.json`, from which `tsg run --dry-run` estimates what a GPU gains.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from tsg_core.interpolation.atoms.fit import AtomSettings, fit_atoms
from tsg_core.interpolation.tsgnet import predict_frames
from tsg_core.microscope import NON_ABERRATED
from tsg_core.model import SMALL_CHANNELS, TSGNet
from tsg_core.reconstruction import sirt
from tsg_core.simulation import simulate_tilt_series
from tsg_core.structures import test_particles
from tsg_core.tilt_series import TiltSeries
from tsg_core.tools.digests import read_json, write_json
from tsg_core.training import HISTORY_FILE, TrainingSettings, train
from tsgbook.unit_costs import GPU

ROOT = Path(__file__).parents[1]
LAWS = {"prediction": "tsgnet"}  # other names of paths in the unit costs
NO_GPU = "PyTorch sees no GPU on this machine: the paths were not compared"


@dataclass(frozen=True, kw_only=True)
class Size:
    """Of the work: the numbers of pixels, tilts and steps."""

    n_pixels: int = 128
    n_tilt: int = 91
    n_multislice: int = 4
    n_steps: int = 60
    n_iterations: int = 100
    diameter_A: float = 20.0

    @property
    def tilt_deg(self) -> np.ndarray:
        return np.linspace(-90, 90, self.n_tilt)

    @property
    def particle(self):
        return test_particles(1, seed=1, diameter_A=(self.diameter_A, 1.4 * self.diameter_A))[0]


SMALL = Size(n_pixels=48, n_tilt=13, n_multislice=1, n_steps=4, n_iterations=5, diameter_A=8.0)


def simulated(size: Size, *, device: str, tilt_deg: np.ndarray | None = None, engine: str = "incoherent") -> TiltSeries:
    return simulate_tilt_series(
        size.particle,
        microscope=NON_ABERRATED,
        tilt_deg=size.tilt_deg if tilt_deg is None else tilt_deg,
        shape=size.n_pixels,
        field_of_view_A=2 * size.diameter_A,
        engine=engine,
        device=device,
    )


def incoherent(size: Size, device: str) -> np.ndarray:
    return simulated(size, device=device).frames


def multislice(size: Size, device: str) -> np.ndarray:
    tilts = np.linspace(-60, 60, size.n_multislice + 1)[:-1]
    return simulated(size, device=device, tilt_deg=tilts, engine="multislice").frames


def volume_by_sirt(size: Size, device: str) -> np.ndarray:
    """The engine `torch` takes a GPU by itself; the CPU's volume is that of the engine `sparse`."""
    series = simulated(size, device="cpu")
    return sirt(series, n_iterations=size.n_iterations, engine="sparse" if device == "cpu" else "torch")


def atoms(size: Size, device: str) -> np.ndarray:
    """Positions by ascending y; frames every third of the series' tilts."""
    series = simulated(size, device="cpu")
    model = fit_atoms(series.subset(range(0, len(series), 3)), settings=AtomSettings(device=device))
    return model.positions_A[np.lexsort(np.round(model.positions_A, 1).T[::-1])]


def training(size: Size, device: str) -> np.ndarray:
    """Loss of every step in float32, from the same weights and samples."""
    series = [simulated(size, device="cpu")]
    settings = TrainingSettings(
        n_steps=size.n_steps, batch_size=8, crop_px=32, precision="32-true", log_every=1, validate_every=size.n_steps
    )
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as folder:
        train(
            series,
            validation=series,
            settings=settings,
            folder=folder,
            model=TSGNet(channels=SMALL_CHANNELS, linear_start=True),
            accelerator="cpu" if device == "cpu" else "gpu",
        )
        return pd.read_csv(Path(folder) / HISTORY_FILE)["loss"].dropna().to_numpy()


def prediction(size: Size, device: str) -> np.ndarray:
    torch.manual_seed(0)
    model = TSGNet().eval()
    series = simulated(size, device="cpu")
    return predict_frames(model, series, tilt_deg=(series.tilt_deg[1:] + series.tilt_deg[:-1]) / 2, device=device)


# what each path computes, and the difference that float32 and another order of sums explain
PATHS: dict[str, tuple[Callable[[Size, str], np.ndarray], float]] = {
    "incoherent": (incoherent, 1e-4),
    "multislice": (multislice, 1e-3),
    "sirt": (volume_by_sirt, 1e-3),
    "atoms": (atoms, 1e-2),
    "training": (training, 5e-2),
    "prediction": (prediction, 1e-3),
}


def timed(work: Callable[[], np.ndarray]) -> tuple[np.ndarray, float]:
    start = time.perf_counter()
    result = work()  # an array of NumPy: the device has finished
    return result, time.perf_counter() - start


def compared(name: str, size: Size, device: str) -> tuple[bool, float]:
    """Print the row of one path; whether CPU and device agree, and how many times faster the device is."""
    work, tolerance = PATHS[name]
    on_cpu, cpu_s = timed(lambda: work(size, "cpu"))
    work(size, device)
    on_device, device_s = timed(lambda: work(size, device))
    if on_device.shape == on_cpu.shape:
        difference = float(np.abs(on_device - on_cpu).max() / np.abs(on_cpu).max())
    else:
        difference = np.inf  # another number of atoms
    agrees = difference <= tolerance
    verdict = "agrees" if agrees else "DIFFERS"
    print(
        f"| {name} | {cpu_s:.2f} | {device_s:.2f} | {cpu_s / device_s:.1f} | {difference:.1e} | {verdict} |", flush=True
    )
    return agrees, cpu_s / device_s


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--only", nargs="+", choices=PATHS, default=list(PATHS))
    parser.add_argument("--small", action="store_true", help="seconds of work, to try the script")
    arguments = parser.parse_args()
    if arguments.device != "cpu" and not torch.cuda.is_available():
        print(NO_GPU)
        return 0
    device = "the CPU" if arguments.device == "cpu" else torch.cuda.get_device_name(arguments.device)
    print(f"{torch.get_num_threads()} threads of the CPU, and {device}\n")
    print("| path | CPU s | device s | ratio | difference | |\n|---|---|---|---|---|---|")
    size = SMALL if arguments.small else Size()
    found = {name: compared(name, size, arguments.device) for name in arguments.only}
    if arguments.device != "cpu" and not arguments.small:
        path = ROOT / GPU
        path.parent.mkdir(exist_ok=True)
        write_json(path, (read_json(path) or {}) | {LAWS.get(name, name): ratio for name, (_, ratio) in found.items()})
    return int(not all(agrees for agrees, _ in found.values()))


if __name__ == "__main__":
    sys.exit(main())
