"""Workers and processes that die, and volumes that do not fit: `benchmarks/scale.py` at small size."""

import subprocess
import sys

import pytest
from conftest import ROOT


def scale(*arguments) -> list[list[str]]:
    """The words of each line that the benchmark prints; it fails if results differ."""
    command = [sys.executable, ROOT / "benchmarks" / "scale.py", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    return [line.split() for line in done.stdout.splitlines()]


@pytest.mark.long
def test_a_killed_worker_costs_its_tasks_and_no_more():
    *_, two, killed, adapting = scale("workers", "--particles", 4, "--pixels", 32)
    assert all(line[-4] == "48" and line[-2:] == ["the", "same"] for line in (two, killed, adapting))
    assert 1 <= int(killed[-3]) <= 12


@pytest.mark.long
def test_a_killed_process_of_two_is_replaced_by_torchrun_and_the_curve_is_that_of_one():
    assert [line[0] for line in scale("training", "--steps", 12)[2:]] == ["one", "two,", "two,"]


@pytest.mark.long
def test_a_volume_that_does_not_fit_is_reconstructed_under_a_limit():
    lines = scale("memory", "--rows", 1024, "--pixels", 96, "--memory", 0.03)
    assert lines[-1][-4:] == ["refused", "with", "status", "2"]
