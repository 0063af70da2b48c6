"""Tasks on workers: in order, each with its result once, also if workers die; the scheduler and how it is named."""

import sys
from functools import partial
from threading import Lock

import distributed
import pytest
import yaml
from worker_tasks import begun, die, pages_asked_for, refuse, write

from tsg_core.errors import TsgError
from tsg_core.tools import cluster, progress
from tsg_core.tools.cluster import SLURM_FILE, VARIABLE, check_scheduler, mapped, slurm_cluster


@pytest.fixture(scope="module")
def here():
    """Two workers in threads of this process."""
    options = {"threads_per_worker": 1, "processes": False, "dashboard_address": ":0"}
    with distributed.LocalCluster(n_workers=2, **options) as workers, distributed.Client(workers):
        yield


def test_without_a_scheduler_tasks_are_done_here_one_after_another(monkeypatch):
    monkeypatch.delenv(VARIABLE, raising=False)
    assert list(mapped(pow, [(2, 3), (3, 2)], label="power")) == [((2, 3), 8), ((3, 2), 9)]


@pytest.fixture
def two(monkeypatch):
    """The scheduler of two processes, which `mapped` starts."""
    monkeypatch.setenv(VARIABLE, "local:2")
    client = cluster._client()
    with client.cluster, client:
        yield client.cluster.scheduler


def test_one_worker_of_two_is_killed_and_nothing_is_lost_or_doubled(tmp_path, two):
    ended = [result for _, result in mapped(write, [(tmp_path, n) for n in range(10)], label="file")]
    assert sorted(ended) == list(range(10))
    files = {path.name: path.read_text() for path in tmp_path.glob("*.txt")}
    assert files == {f"{n}.txt": f"result {n}" for n in range(10)}
    numbers = [n for n, _ in begun(tmp_path)]
    first_process = dict(reversed(begun(tmp_path)))
    again = {n for n in numbers if numbers.count(n) > 1}
    assert 4 in again and {first_process[n] for n in again} == {first_process[4]}, "only what the killed one had begun"
    at_first = list(dict.fromkeys(numbers))
    # but for what waited with the killed worker
    assert max(abs(place - n) for place, n in enumerate(at_first)) <= 4, "tasks begin in the order given"
    two.allowed_failures = 0
    with pytest.raises(TsgError, match="a task was given up, since all workers that took it died, the last at tcp:"):
        list(mapped(die, [()], label="nothing"))


def test_workers_keep_memory_for_the_next_array(two):
    [(_, pages)] = mapped(pages_asked_for, [(100,)], label="arrays")
    assert pages < 5_000  # 48,800 if each array has new ones


def test_what_a_task_raises_ends_the_loop_and_the_other_tasks(here):
    with pytest.raises(TsgError, match="two is refused"):
        list(mapped(refuse, [(n,) for n in range(5)], label="number"))


def test_what_cannot_be_sent_is_refused(here):
    with pytest.raises(TsgError, match="cannot be sent to other processes"):
        list(mapped(partial(print, Lock()), [()], label="lock"))


def test_a_task_shows_no_progress_of_its_own_and_starts_no_workers(here, tmp_path, monkeypatch):
    monkeypatch.setenv(progress.FILE_VARIABLE, str(tmp_path / "progress"))

    def nested(n):
        return [result for _, result in mapped(abs, [(n,), (-n,)], label="inner")], progress.is_hidden()

    lines = []
    for _, (results, was_hidden) in mapped(nested, [(1,), (2,)], label="outer", done=3):
        lines.append((tmp_path / "progress").read_text())
        assert results[0] == results[1] and was_hidden
    assert lines[0].startswith("outer 4/5") and not progress.is_hidden()


@pytest.mark.parametrize("named", ["local:1", "local:0-4", "slurm", f"slurm:{SLURM_FILE}", "tcp://node1:8786"])
def test_names_of_schedulers(named):
    assert check_scheduler(named) == named


@pytest.mark.parametrize(
    ("named", "said"),
    [
        ("processes", "the scheduler 'processes' is not known; give local:4"),
        ("local:0", "'local:0' is not known"),
        ("slurm:missing.yaml", "missing.yaml does not exist; .*slurm.yaml shows"),
    ],
)
def test_wrong_names_of_schedulers(named, said):
    with pytest.raises(TsgError, match=said):
        check_scheduler(named)


def test_a_scheduler_that_does_not_answer(monkeypatch):
    monkeypatch.setattr(cluster, "_ANSWER_s", 0.2)
    with pytest.raises(TsgError, match="no scheduler answers at tcp://127.0.0.1:9"):
        cluster._started("tcp://127.0.0.1:9")


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "dask_jobqueue", None)
    with pytest.raises(TsgError, match=r'is not installed: pip install -e "\.\[cluster\]"'):
        slurm_cluster()


def test_slurm_jobs_are_as_the_shipped_settings_and_those_of_the_file_say(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # for the folder of their logs
    own = tmp_path / "own.yaml"
    settings = {"queue": "gpu", "cores": 2, "processes": 2, "scheduler_options": {"dashboard_address": ":0"}}
    own.write_text(yaml.safe_dump(settings | {"adapt": {"maximum_jobs": 3}}))
    with slurm_cluster(own) as jobs:
        script = jobs.job_script()
        lines = script.splitlines()
        assert lines[0] == "#!/usr/bin/env bash"
        assert {"#SBATCH -p gpu", "#SBATCH --cpus-per-task=2", "#SBATCH --mem=30G", "#SBATCH -t 04:00:00"} <= set(lines)
        assert "source .venv/bin/activate" in lines
        assert lines[-1].startswith(f"{sys.executable} -m distributed.cli.dask_worker tcp://")
        assert all(part in lines[-1] for part in ("--nthreads 1 ", "--nworkers 2 ", "--lifetime 220m"))
        assert jobs._adaptive.maximum == 3 * 2 and jobs._adaptive.minimum == 0
    own.write_text("cores: 8\nwall_time: 1\n")
    with pytest.raises(TsgError, match=r"own.yaml holds what dask_jobqueue.SLURMCluster cannot use: .*wall_time"):
        slurm_cluster(own)
