"""The comparison of CPU and GPU."""

import importlib.util
import sys
from pathlib import Path

import pytest
import torch

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "gpu.py"


@pytest.fixture
def run(monkeypatch, capsys):
    """Run the script in this process: (status, stdout)."""

    def call(*arguments: str) -> tuple[int, str]:
        spec = importlib.util.spec_from_file_location("gpu", SCRIPT)
        script = importlib.util.module_from_spec(spec)
        monkeypatch.setitem(sys.modules, "gpu", script)
        spec.loader.exec_module(script)
        monkeypatch.setattr(sys, "argv", [str(SCRIPT), *arguments])
        return script.main(), capsys.readouterr().out

    return call


def test_a_path_agrees_with_itself_on_the_cpu(run):
    status, said = run("--device", "cpu", "--small", "--only", "incoherent", "training")
    rows = [line for line in said.splitlines() if line.startswith(("| incoherent", "| training"))]
    assert status == 0
    assert len(rows) == 2
    assert all("| 0.0e+00 | agrees |" in row for row in rows)


@pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU is present")
def test_a_machine_without_gpu_is_told_so(run):
    assert run() == (0, "PyTorch sees no GPU on this machine: the paths were not compared\n")
