"""Independent tasks: one after another in this process, or by dask.distributed in many processes and on many machines.

The variable TSG_SCHEDULER, or the option --scheduler that sets it, says where:

local:4             four processes on this machine
local:0-4           none to four, as many as there is work for
slurm, slurm:FILE   jobs of SLURM, as many as there is work for; FILE replaces settings of slurm.yaml beside this module
tcp://HOST:PORT     the scheduler of a cluster that runs already

If this process has a `distributed.Client` already, that one is used.
"""

import os
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from ..errors import TsgError
from .progress import hidden, is_hidden, track
from .threads import n_threads
from .yaml_files import read_yaml

VARIABLE = "TSG_SCHEDULER"
SLURM_FILE = Path(__file__).with_name("slurm.yaml")
_KNOWN = re.compile(r"local:(\d+)(?:-(\d+))?|slurm(?::(.+))?|(?:tcp|tls|ucx|ws|wss)://.+")
_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")
_TRIM = "MALLOC_TRIM_THRESHOLD_"
_ANSWER_s = 20


def mapped(
    function: Callable[..., Any], tasks: Sequence[tuple], *, label: str, done: int = 0
) -> Iterator[tuple[tuple, Any]]:
    """Yield every task, a tuple of arguments, with the result of `function(*task)`, in the order in which they end.

    They begin in the order given, and progress is shown; `done` of them were finished earlier. A task whose worker dies
    is done again by another one, so what it writes must appear whole or not at all, and paths must be absolute and on a
    disk that all workers share. Raises what a task raises, and TsgError for a scheduler that cannot be reached or used,
    and for a task that several workers did not survive.
    """
    client = None if is_hidden() else _client()
    if client is None:
        for task in track(tasks, label=label, done=done):
            yield task, function(*task)
    else:
        yield from track(_on(client, function, tasks), label=label, total=len(tasks) + done, done=done)


def check_scheduler(named: str) -> str:
    """The text if it names a scheduler as this module's page says; else TsgError."""
    found = _KNOWN.fullmatch(named)
    if not found or (found[1] and max(map(int, filter(None, found.group(1, 2)))) == 0):
        raise TsgError(f"the scheduler {named!r} is not known; give local:4, slurm, slurm:FILE or tcp://HOST:PORT")
    if found[3] and not Path(found[3]).is_file():
        raise TsgError(f"{found[3]} does not exist; {SLURM_FILE} shows what such a file holds")
    return named


def slurm_cluster(path: str | Path | None = None) -> Any:
    """A dask_jobqueue.SLURMCluster that adapts to the work, by the settings in slurm.yaml and, above them, in `path`.

    `.job_script()` shows the script of each job. Raises TsgError if dask-jobqueue is missing, or for wrong settings.
    """
    settings = read_yaml(SLURM_FILE)
    own = {} if path is None else read_yaml(Path(path))
    if not isinstance(own, dict):
        raise TsgError(f"{path} holds no settings; {SLURM_FILE} shows some")
    settings |= own
    adapt = settings.pop("adapt")
    with _installed():
        from dask_jobqueue import SLURMCluster
    try:
        cluster = SLURMCluster(**settings)
        cluster.adapt(**adapt)
    except (TypeError, ValueError) as error:
        raise TsgError(f"{path or SLURM_FILE} holds what dask_jobqueue.SLURMCluster cannot use: {error}") from error
    return cluster


def _client() -> Any:
    """The client of this process, started if a scheduler is named; None if there is none."""
    if "distributed" in sys.modules:
        with suppress(ValueError):
            return sys.modules["distributed"].default_client()
    named = os.environ.get(VARIABLE)
    return _started(check_scheduler(named)) if named else None


def _started(named: str) -> Any:
    with _installed():
        from distributed import Client
    kind, _, rest = named.partition(":")
    if kind == "local":
        return Client(_local_cluster(*map(int, rest.split("-"))))
    if kind == "slurm":
        return Client(slurm_cluster(rest or None))
    try:
        return Client(named, timeout=_ANSWER_s)
    except OSError as error:
        raise TsgError(f"no scheduler answers at {named}; start one by `dask scheduler`") from error


def _local_cluster(least: int, most: int | None = None) -> Any:
    """Processes that share the cores of this machine."""
    import dask
    from distributed import LocalCluster

    # dask has freed memory handed back at once, so that every array would have new pages: up to a third of the time
    dask.config.set({f"distributed.nanny.pre-spawn-environ.{_TRIM}": None})
    threads = dict.fromkeys(_THREADS, str(max(1, n_threads() // (most or least))))
    n_workers = least if most is None else 0
    cluster = LocalCluster(n_workers=n_workers, threads_per_worker=1, dashboard_address=":0", env=threads)
    if most is not None:
        cluster.adapt(minimum=least, maximum=most)
    return cluster


def _on(client: Any, function: Callable[..., Any], tasks: Sequence[tuple]) -> Iterator[tuple[tuple, Any]]:
    from concurrent.futures import CancelledError
    from pickle import PicklingError

    from distributed import KilledWorker, as_completed

    try:  # a task of its own: sent once, however large what it holds, and done again if all who had it die
        function = client.submit(_itself, function, pure=False)
    except (TypeError, AttributeError, PicklingError) as error:
        raise TsgError(
            f"this work cannot be sent to other processes ({error}); leave the scheduler out, or write the series as "
            ".zarr first"
        ) from error
    futures = {client.submit(_run, function, *t, pure=False, priority=-n): t for n, t in enumerate(tasks)}
    try:
        for future, result in as_completed(list(futures), with_results=True):  # fetched before a worker can die
            yield futures.pop(future), result
    except KilledWorker as error:
        raise TsgError(
            f"a task was given up, since all workers that took it died, the last at {error.last_worker.address}; if "
            "memory was short, take fewer workers or give each of them more"
        ) from error
    except CancelledError as error:
        raise TsgError("the scheduler was lost; what was finished is kept, and the same command goes on") from error
    finally:
        client.cancel(list(futures))


def _itself(function: Callable[..., Any]) -> Callable[..., Any]:
    return function


def _run(function: Callable[..., Any], *task: Any) -> Any:
    with hidden():
        return function(*task)


@contextmanager
def _installed() -> Iterator[None]:
    """Where packages of the extra `cluster` are imported: TsgError if one is missing."""
    try:
        yield
    except ImportError as error:
        raise TsgError(f'{error.name} is not installed: pip install -e ".[cluster]"') from error
