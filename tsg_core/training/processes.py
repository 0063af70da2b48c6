"""How many processes train together: as many as torchrun or SLURM's srun started, or else as many as are asked for."""

import logging
import os

import torch
from lightning_fabric import Fabric
from lightning_fabric.plugins.environments import SLURMEnvironment

from ..errors import TsgError


def started_processes() -> tuple[int, int]:
    """Processes on each machine, and number of machines, if torchrun or srun started this one; else 0, 0."""
    if torch.distributed.is_torchelastic_launched():
        here = int(os.environ["LOCAL_WORLD_SIZE"])
        return here, int(os.environ["WORLD_SIZE"]) // here
    if SLURMEnvironment.detect():
        n_nodes = int(os.environ.get("SLURM_NNODES", "1"))
        return int(os.environ["SLURM_NTASKS"]) // n_nodes, n_nodes
    return 0, 0


def bf16_is_fast(*, on_gpu: bool) -> bool:
    """Whether products in bfloat16 are faster than in float32: on a CPU only if it multiplies matrices of them (AMX).

    With AVX-512 alone, which has bfloat16 too, a training step takes a third longer (benchmarks/training.py).
    """
    return torch.cuda.is_bf16_supported() if on_gpu else torch.cpu.get_capabilities().get("amx_bf16", False)


def launched_fabric(*, accelerator: str, devices: int | str | None, precision: str) -> Fabric:
    """A Fabric of all processes that train; `devices` start them here, unless torchrun or srun did.

    `precision` "auto" is bf16-mixed where that is faster. Raises TsgError if `devices` is another number than was
    started.
    """
    here, n_nodes = started_processes()
    if here and devices not in (None, here):
        raise TsgError(f"devices={devices}, but {here} were started on each machine; leave it out")
    on_gpu = accelerator in ("cuda", "gpu") or (accelerator == "auto" and torch.cuda.is_available())
    if precision == "auto":
        precision = "bf16-mixed" if bf16_is_fast(on_gpu=on_gpu) else "32-true"
    logging.getLogger("lightning_fabric.utilities.rank_zero").setLevel(logging.WARNING)  # it announces precision
    fabric = Fabric(accelerator=accelerator, devices=here or devices or 1, num_nodes=n_nodes or 1, precision=precision)
    fabric.launch()
    return fabric
