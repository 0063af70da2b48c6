"""How close the inner loops come to what the machine can do.

    python benchmarks/throughput.py
    python benchmarks/throughput.py --only training sirt --threads 2

The machine's peaks are measured first: a product of square matrices in float32 (GEMM), and a triad of arrays that no
cache holds, a = b + s c (stream). The operations and the least traffic of each loop are counted; traffic counts every
array once for each pass over it, as if caches held the rest. `bound` is the time that the peaks allow, the longer of
both, over the time taken. Times are those of the processor, summed over threads; the peaks are those of one thread.
"""

import argparse
import time
from collections.abc import Callable

import numba
import numpy as np
import tables
import torch
from torch.utils.flop_counter import FlopCounterMode

from tsg_core.interpolation.informed.network import shipped_net
from tsg_core.interpolation.informed.views import N_CHANNELS
from tsg_core.losses import tsgnet_loss
from tsg_core.model import PUBLISHED_CHANNELS, SMALL_CHANNELS, TSGNet
from tsg_core.reconstruction.projection import Box, system_matrix
from tsg_core.reconstruction.projector import MatrixProjector, TorchProjector
from tsg_core.reconstruction.ray_sums import N_ROWS, RaySums

FLOAT, COMPLEX = 4, 8  # bytes
Loop = tuple[Callable[[], object], float, float]  # the loop, its operations, its traffic in bytes


@numba.njit(fastmath=True, nogil=True)
def triad(a, b, c, s):
    for i in range(len(a)):
        a[i] = b[i] + s * c[i]


def stream_bytes_per_s() -> float:
    a, b, c = np.ones((3, 2**24), np.float32)
    return 3 * a.nbytes / seconds(lambda: triad(a, b, c, np.float32(0.5)))


def gemm_flop_per_s(n: int = 1024) -> float:
    a, b = torch.rand(2, n, n)
    return 2 * n**3 / seconds(lambda: a @ b)


def seconds(work: Callable[[], object], *, least_s: float = 0.2) -> float:
    """Processor seconds of a call, the fastest of several that take `least_s` together; the first one warms up."""
    work()
    best, spent = np.inf, 0.0
    while spent < least_s:
        begun_s = time.process_time()
        work()
        best, spent = min(best, time.process_time() - begun_s), spent + time.process_time() - begun_s
    return best


def sirt(projector, *, n_px: int, n_tilt: int = 60, n_rows: int = 32) -> Loop:
    """Projection and back-projection of a block of slices; the matrix is read once for each."""
    matrix = system_matrix(tilt_deg=np.linspace(-90, 87, n_tilt), n_x=n_px)
    A, x, y = projector(matrix), *(np.ones((n, n_rows), np.float32) for n in matrix.shape[::-1])
    if projector is TorchProjector:
        x, y = torch.from_numpy(x), torch.from_numpy(y)
    traffic = 2 * (2 * FLOAT * matrix.nnz + FLOAT * n_rows * sum(matrix.shape))
    return lambda: (A(x), A.T(y)), 4 * matrix.nnz * n_rows, traffic


def ray_sums(*, n_px: int, n_tilt: int = 12) -> Loop:
    """The same with weights on the fly; a sum is spread over two pixels of each tilt."""
    A = RaySums(np.linspace(-80, 80, n_tilt), n_pixels=n_px, box=Box(n_px, n_px))
    x, y = np.ones((n_px**2, N_ROWS), np.float32), np.ones((n_tilt * n_px, N_ROWS), np.float32)
    return lambda: (A(x), A.T(y)), 8 * x.size * n_tilt, FLOAT * (3 * x.size + 2 * y.size)


def structure_factor(*, n_atoms: int = 1000, n_k: int = 220) -> Loop:
    """The product behind an incoherent frame: exponentials of atoms along y times those along x."""
    y, x = torch.rand(2, n_atoms, n_k, dtype=torch.complex64)
    return lambda: y.T @ x, 8 * n_atoms * n_k**2, COMPLEX * (2 * n_atoms * n_k + n_k**2)


def detection_product(*, n_waves: int = 512, n_pixels: int = 4000) -> Loop:
    """The product behind a detection matrix: amplitudes of waves times those of others, over the detector."""
    waves = torch.rand(n_waves, n_pixels, dtype=torch.complex64)
    return lambda: waves @ waves.mH, 8 * n_waves**2 * n_pixels, COMPLEX * (2 * waves.numel() + n_waves**2)


def propagation(*, n_waves: int = 16, n_px: int = 240) -> Loop:
    """A slice of multislice: two transforms and two products of every wave; 5 n log2(n) operations for a transform."""
    waves, factor = torch.rand(n_waves, n_px, n_px, dtype=torch.complex64), torch.rand(n_px, n_px)
    flops = waves.numel() * (2 * 5 * np.log2(n_px**2) + 4)
    return lambda: torch.fft.ifft2(torch.fft.fft2(waves * factor) * factor), flops, 8 * COMPLEX * waves.numel()


def training(channels, *, batch: int = 4, crop_px: int = 64) -> Loop:
    """Forward and backward pass of TSGNet with the published loss."""
    model = TSGNet(channels=channels)
    a, target, b = torch.rand(3, batch, 1, crop_px, crop_px)
    step = lambda: sum(tsgnet_loss(model, a, b, target, torch.full((batch,), 0.5))).backward()  # noqa: E731
    return step, counted(step), 0.0


def informed(*, n_px: int = 128) -> Loop:
    net, channels = shipped_net(), torch.rand(1, N_CHANNELS, n_px, n_px)
    with torch.no_grad():
        flops = counted(lambda: net(channels))
    return torch.no_grad()(lambda: net(channels)), flops, 0.0


def counted(work: Callable[[], object]) -> float:
    """Operations of the convolutions and products in it."""
    with FlopCounterMode(display=False) as counter:
        work()
    return float(counter.get_total_flops())


LOOPS: dict[str, Callable[[], Loop]] = {
    "sirt, sparse, 128 px": lambda: sirt(MatrixProjector, n_px=128),
    "sirt, torch, 128 px": lambda: sirt(TorchProjector, n_px=128),
    "sirt, sparse, 512 px": lambda: sirt(MatrixProjector, n_px=512, n_tilt=12),
    "sirt, torch, 512 px": lambda: sirt(TorchProjector, n_px=512, n_tilt=12),
    "ray sums, 512 px": lambda: ray_sums(n_px=512),
    "incoherent, structure factor": structure_factor,
    "multislice, propagation": propagation,
    "multislice, product": detection_product,
    "training, small": lambda: training(SMALL_CHANNELS),
    "training, published": lambda: training(PUBLISHED_CHANNELS),
    "informed network": informed,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", default=[""], help="parts of the names of the loops")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    flop_per_s, bytes_per_s = gemm_flop_per_s(), stream_bytes_per_s()
    print(f"peaks: GEMM {flop_per_s / 1e9:.1f} Gflop/s, stream {bytes_per_s / 1e9:.1f} GB/s\n")
    print(f"{'loop':29} {'Gflop/s':>8} {'of GEMM':>8} {'GB/s':>6} {'of stream':>10} {'bound':>6}  held by")
    found = {}
    for name, prepared in LOOPS.items():
        if not any(part in name for part in options.only):
            continue
        loop, flops, traffic = prepared()
        spent = seconds(loop)
        of_gemm, of_stream = flops / flop_per_s / spent, traffic / bytes_per_s / spent
        held = "stream" if of_stream > of_gemm else "GEMM"
        found[name] = {"flop_per_s": flops / spent, "bytes_per_s": traffic / spent, "bound": max(of_gemm, of_stream)}
        print(
            f"{name:29} {flops / spent / 1e9:8.1f} {of_gemm:8.0%} {traffic / spent / 1e9:6.1f} {of_stream:10.0%} "
            f"{max(of_gemm, of_stream):6.0%}  {held}",
            flush=True,
        )
    tables.keep("throughput", "loops", found)
    tables.keep("throughput", "peaks", {"GEMM": {"flop_per_s": flop_per_s}, "stream": {"bytes_per_s": bytes_per_s}})


if __name__ == "__main__":
    main()
