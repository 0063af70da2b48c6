"""Beyond one machine: workers, processes that train together, and series larger than memory.

    python benchmarks/scale.py workers      the same tilt series by one process, by two, and with one of two killed
    python benchmarks/scale.py training     the loss curve of one process, of two, and with one of two killed
    python benchmarks/scale.py memory       `tsg reconstruct` of a series whose volume does not fit under `ulimit -v`

Each command ends with an error if results differ. Wall times are those of whole commands, with the start and the end of
the processes.
"""

import os
import re
import resource
import signal
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np

WORKERS = {  # the scheduler, and whether one of them is killed
    "this process": ("", False),
    "two": ("local:2", False),
    "two, one killed": ("local:2", True),
    "none to two": ("local:0-2", False),
}
TORCHRUN = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")
TRAININGS = {  # how Python starts them, and whether one is killed
    "one": ((), False),
    "two, by torchrun": (TORCHRUN, False),
    "two, one killed": ((*TORCHRUN[:2], "--max-restarts", "1", *TORCHRUN[2:]), True),
}
METHODS = {"fbp": ("--method", "fbp"), "sirt": ("--method", "sirt", "--iterations", 2)}
SAME_CURVE, SAME_VOLUME = 1e-3, 1e-5  # largest relative differences


@click.group()
def main():
    """Measure what the page "Beyond one machine" states."""


@main.command()
@click.option("--particles", "n_particles", default=6, show_default=True)
@click.option("--pixels", default=64, show_default=True)
def workers(n_particles, pixels):
    """Simulate a data set, one chunk of 16 tilts a task."""
    print(f"{n_particles} particles, 181 frames of {pixels} x {pixels} px, {os.cpu_count()} cores")
    print(f"{'workers':>18} {'seconds':>8} {'of processors':>14} {'tasks':>6} {'given again':>12} {'frames':>9}")
    with tempfile.TemporaryDirectory() as folder:
        first = None
        for name, (scheduler, kill) in WORKERS.items():
            path = Path(folder) / f"{name}.zarr"
            code = f"import scale; scale.simulate({str(path)!r}, {n_particles}, {pixels}, kill={kill})"
            said, wall_s, busy_s = run([sys.executable, "-c", code], TSG_SCHEDULER=scheduler)
            frames = frames_of(path)
            first = frames if first is None else first
            if not np.array_equal(frames, first):
                raise SystemExit(f"{name}: the frames differ")
            tasks, again = said.split()[-2:]
            print(f"{name:>18} {wall_s:8.0f} {busy_s:14.0f} {tasks:>6} {again:>12} {'the same':>9}", flush=True)


def simulate(path: str, n_particles: int, pixels: int, *, kill: bool) -> None:
    """Write the data set; print the number of tasks, and of those given to a worker again. Has a process of its own."""
    from tsg_core.microscope import NON_ABERRATED
    from tsg_core.simulation.datasets import write_dataset
    from tsg_core.structures import training_particles

    if kill:
        threading.Thread(target=kill_a_worker, args=(Path(path),), daemon=True).start()
    particles = training_particles(n_particles, seed=1, diameter_A=(10, 14))
    options = {"tilt_deg": np.arange(-90.0, 91.0), "shape": pixels, "field_of_view_A": 20.0, "dose_per_A2": 1e5}
    write_dataset(path, particles, microscope=NON_ABERRATED, **options)
    given = []
    if "distributed" in sys.modules:
        log = sys.modules["distributed"].default_client().cluster.scheduler.transition_log
        given = [key for key, _, end, *_ in log if end == "processing" and str(key).startswith("_run")]
    print(n_particles * 12, len(given) - len(set(given)))


def kill_a_worker(path: Path) -> None:
    """Kill one of the workers as soon as two dozen chunks are there."""
    while len(list(path.glob("done/c/*/*"))) < 24:
        time.sleep(0.02)
    worker = next(iter(sys.modules["distributed"].default_client().cluster.workers.values()))
    os.kill(worker.process.pid, signal.SIGKILL)


def frames_of(path: Path) -> np.ndarray:
    from tsg_core.simulation.datasets import Dataset

    return np.stack([series.frames for series in Dataset(path)])


@main.command()
@click.option("--steps", default=30, show_default=True)
def training(steps):
    """Train a small network with 16 samples a step."""
    import pandas as pd

    from tsg_core.training import HISTORY_FILE

    print(f"{steps} steps of 16 samples of 48 x 48 px, gloo, {os.cpu_count()} cores")
    print(f"{'processes':>18} {'seconds':>8} {'of processors':>14} {'last loss':>10} {'curve differs by':>17}")
    with tempfile.TemporaryDirectory() as folder:
        first = None
        for name, (launch, kill) in TRAININGS.items():
            options = out, *_ = Path(folder) / name, steps, steps // 2 if kill else 0
            command = [sys.executable, *launch, __file__, "one-of", *map(str, options)]
            _, wall_s, busy_s = run(command, TORCH_DISABLE_SHARE_RDZV_TCP_STORE="1")  # as in train_torchrun.sh
            loss = pd.read_csv(out / HISTORY_FILE).loss.to_numpy()[1:]
            first = loss if first is None else first
            if len(loss) != steps or kill != (out / "died").exists():
                raise SystemExit(f"{name}: {len(loss)} steps of {steps}, or nothing was killed")
            apart = np.abs(loss / first - 1).max()
            if apart > SAME_CURVE:
                raise SystemExit(f"{name}: the curve differs by {apart:.1e}")
            print(f"{name:>18} {wall_s:8.0f} {busy_s:14.0f} {loss[-1]:10.5f} {apart:17.1e}", flush=True)


@main.command(hidden=True)
@click.argument("folder", type=Path)
@click.argument("steps", type=int)
@click.argument("die_at", type=int)
def one_of(folder, steps, die_at):
    """One of the processes that train; the second one dies at a step, the first time that it comes there."""
    import torch

    from tsg_core.model import TSGNet
    from tsg_core.samples.multislice_sets import multislice_set
    from tsg_core.training import TrainingSettings, loop, train

    torch.set_num_threads(1)
    update = loop._Run.update

    def dying(self, batch):
        mark = folder / "died"
        if die_at and self.step == die_at and os.environ.get("RANK") == "1" and not mark.exists():
            mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return update(self, batch)

    loop._Run.update = dying
    series = multislice_set("test", "non_aberrated")
    sizes = {"n_steps": steps, "batch_size": 16, "crop_px": 48, "max_rate": 4, "precision": "32-true"}
    torch.manual_seed(0)
    train(
        [series[i] for i in range(6)],
        validation=[series[6]],
        settings=TrainingSettings(**sizes, validate_every=steps, checkpoint_every=4, log_every=1),
        folder=folder,
        model=TSGNet(channels=(8, 12, 16, 20), linear_start=True),
        accelerator="cpu",
    )


@main.command()
@click.option("--rows", default=2048, show_default=True)
@click.option("--pixels", default=128, show_default=True)
@click.option("--memory", "memory_GB", default=0.06, show_default=True)
@click.option("--method", "methods", type=click.Choice(METHODS), multiple=True, default=["fbp"], show_default=True)
def memory(rows, pixels, memory_GB, methods):
    """Reconstruct a series of 61 frames from a Zarr into another: from the disk under a limit, and in memory."""
    from tsg_core.tilt_series import TiltSeries

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        frames = np.random.default_rng(0).random((61, rows, pixels), np.float32)
        tilt_deg = np.linspace(-75, 75, 61)
        series = TiltSeries(frames, tilt_deg, 1.0).write(folder / "series.zarr")
        few = TiltSeries(frames[:, :8], tilt_deg, 1.0).write(folder / "few.zarr")
        both_MB = (frames.nbytes + 4 * rows * pixels**2) / 1e6
        print(f"61 frames of {pixels} x {rows} px, {pixels} x {rows} x {pixels} voxels: {both_MB:.0f} MB in all")
        print(f"{'':29} {'seconds':>8} {'of processors':>14} {'MB':>6} {'of all':>7}")
        slabs = "--memory", memory_GB
        packages = reconstruct(few, folder / "packages.zarr", (*METHODS["fbp"], *slabs))
        limit_kB = packages.peak_addresses_kB + int(both_MB * 1e3 / 2)
        for method in methods:
            outs = [folder / f"{method}-{where}.zarr" for where in ("disk", "memory")]
            limited = reconstruct(series, outs[0], (*METHODS[method], *slabs), limit_kB=limit_kB)
            limited.show(f"{method}, from the disk, limited", packages, both_MB)
            reconstruct(series, outs[1], METHODS[method]).show(f"{method}, in memory", packages, both_MB)
            check_same(*outs)
        refused = reconstruct(series, folder / "refused.zarr", METHODS["fbp"], limit_kB=limit_kB)
        if not refused.status:
            raise SystemExit("the limit did not bind")
        print(f"in memory, limited (ulimit -v {limit_kB}): refused with status {refused.status}")


@dataclass(frozen=True, kw_only=True)
class Cost:
    """Of a command: its status, seconds, and peaks in kB of resident memory and of addresses."""

    status: int
    wall_s: float
    processor_s: float
    peak_kB: int
    peak_addresses_kB: int

    def show(self, name: str, packages: "Cost", both_MB: float) -> None:
        """Print it, without the memory that Python and its packages take."""
        if self.status:
            raise SystemExit(f"{name} ended with status {self.status}")
        MB = (self.peak_kB - packages.peak_kB) * 1024 / 1e6
        print(f"{name:>29} {self.wall_s:8.0f} {self.processor_s:14.0f} {MB:6.0f} {MB / both_MB:6.2f}x", flush=True)


def reconstruct(source: Path, out: Path, options, *, limit_kB: int | None = None) -> Cost:
    """Run the command, if need be with a limit of its addresses."""
    command = [sys.executable, "-m", "tsgbook.cli", "reconstruct", *map(str, (source, "-o", out, *options))]
    begun_s, before_s, found = time.perf_counter(), processor_s(), {}
    limit = None if limit_kB is None else lambda: resource.setrlimit(resource.RLIMIT_AS, (1024 * limit_kB,) * 2)
    # else each thread takes addresses for 64 MB, whether it needs them or not
    one_heap, silent = os.environ | {"MALLOC_ARENA_MAX": "1"}, subprocess.DEVNULL
    child = subprocess.Popen(command, stdout=silent, stderr=silent, preexec_fn=limit, env=one_heap)
    while child.poll() is None:
        status = Path(f"/proc/{child.pid}/status").read_text()
        found |= {key: int(value) for key, value in re.findall(r"(VmHWM|VmPeak):\s+(\d+) kB", status)}
        time.sleep(0.02)
    return Cost(
        status=child.returncode,
        wall_s=time.perf_counter() - begun_s,
        processor_s=processor_s() - before_s,
        peak_kB=found["VmHWM"],
        peak_addresses_kB=found["VmPeak"],
    )


def check_same(*paths: Path) -> None:
    """Print how far two volumes are apart."""
    from tsg_core.formats import read_volume

    a, b = (read_volume(path)[0] for path in paths)
    apart = np.abs(a - b).max() / np.abs(b).max()
    print(f"{'':29} the largest difference is {apart:.0e} of the brightest voxel", flush=True)
    if apart > SAME_VOLUME:
        raise SystemExit("the volumes differ")


def run(command: list[str], **variables: str) -> tuple[str, float, float]:
    """What a command prints, its wall time and its processor time."""
    begun_s, before_s = time.perf_counter(), processor_s()
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parent)} | variables
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    if done.returncode:
        raise SystemExit(done.stderr[-2000:])
    return done.stdout, time.perf_counter() - begun_s, processor_s() - before_s


def processor_s() -> float:
    """Of all processes that were started and have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    main()
