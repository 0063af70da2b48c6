"""The comparison of CPU and GPU."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "gpu.py"


def run(*arguments: str) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, SCRIPT, *arguments], capture_output=True, text=True)


def test_a_path_agrees_with_itself_on_the_cpu():
    done = run("--device", "cpu", "--small", "--only", "incoherent", "training")
    rows = [line for line in done.stdout.splitlines() if line.startswith(("| incoherent", "| training"))]
    assert done.returncode == 0, done.stderr
    assert len(rows) == 2
    assert all("| 0.0e+00 | agrees |" in row for row in rows)


@pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU is present")
def test_a_machine_without_gpu_is_told_so():
    done = run()
    assert done.returncode == 0
    assert done.stdout == "PyTorch sees no GPU on this machine: the paths were not compared\n"
