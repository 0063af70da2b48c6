"""The page on clusters: its commands exist, its scripts are bash, and its settings are those of SLURM."""

import re
import shlex
import subprocess

import pytest
from conftest import ROOT

from tsg_core.tools.cluster import check_scheduler, slurm_cluster
from tsgbook.cli import tsg

SCRIPTS = sorted((ROOT / "book" / "scale").glob("train*"))
PAGE = (ROOT / "book" / "scale.md").read_text(encoding="utf-8")
# of sbatch, with what their values look like
DIRECTIVES = {
    "job-name": r"[\w-]+", "nodes": r"\d+", "ntasks-per-node": r"\d+", "gpus-per-node": r"\d+", "cpus-per-task": r"\d+",
    "mem": r"\d+[MG]", "time": r"(\d+-)?\d+:\d\d:\d\d", "requeue": "", "open-mode": "append|truncate",
}  # fmt: skip


def calls(text):
    """The arguments of each call of tsg, by itself or after srun or torchrun."""
    lines = text.replace("\\\n", " ").splitlines()
    found = [re.search(r"^(?:srun |torchrun .*-m )?(?:tsg|tsgbook\.cli) (.*)$", line) for line in lines]
    return [shlex.split(match[1], comments=True) for match in found if match]


@pytest.mark.parametrize("text", [PAGE, *(path.read_text() for path in SCRIPTS)])
def test_commands_and_options_exist(text, monkeypatch):
    monkeypatch.setattr("tsg_core.tools.cluster.check_scheduler", lambda named: named)
    assert calls(text)
    for command, *arguments in calls(text):
        monkeypatch.setenv("TSG_SCHEDULER", "")
        tsg.commands[command].make_context(command, arguments)  # an error, if it has no such option


def test_schedulers_of_the_page_are_known():
    named = re.findall(r"--scheduler ([\w:.]+)", PAGE)
    assert len(named) > 3
    for scheduler in named:
        check_scheduler(re.sub(":(FILE|cluster.yaml)$", f":{ROOT}/book/scale/cluster.yaml", scheduler))


def test_scripts_are_bash_with_directives_that_sbatch_knows():
    assert [path.name for path in SCRIPTS] == ["train.sbatch", "train_torchrun.sh"]
    for path in SCRIPTS:
        subprocess.run(["bash", "-n", path], check=True)
        lines = path.read_text().splitlines()
        told = [re.fullmatch(r"#SBATCH --([\w-]+)(?:=(.*))?", line) for line in lines if line.startswith("#SBATCH")]
        assert all(re.fullmatch(DIRECTIVES[match[1]], match[2] or "") for match in told)
        assert bool(told) == (path.suffix == ".sbatch")
        data, training = calls(path.read_text())
        assert data == [*training, "--data-only"], "made first, by one process"


def test_the_pages_settings_make_a_job(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # for the folder of its logs
    with slurm_cluster(ROOT / "book" / "scale" / "cluster.yaml") as jobs:
        script = jobs.job_script().splitlines()
    assert {"#SBATCH -p compute", "#SBATCH -A microscopy", "#SBATCH -t 12:00:00"} <= set(script)
    assert "--lifetime 700m" in script[-1] and "--nworkers 8 " in script[-1]
