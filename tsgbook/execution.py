"""Executing one notebook by papermill, in a kernel of the running Python."""

import asyncio
import logging
import os
import re
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

from nbformat import NotebookNode

from tsg_core.errors import TsgError
from tsg_core.tools.progress import FILE_VARIABLE

_POLL_s = 0.2
_GRACE_s = 20.0  # for a kernel to clean up after Ctrl-C
_TRACEBACK_LINES = 12
_ANSI = re.compile(r"\x1b\[[0-9;]*m")


def execute(
    notebook: NotebookNode,
    *,
    parameters: Mapping[str, Any],
    output: Path,
    folder: Path,
    progress_file: Path,
    on_cell: Callable[[str], None] = lambda cell_id: None,
    on_tick: Callable[[], None] = lambda: None,
    watch: Callable[[int], None] = lambda pid: None,
) -> NotebookNode:
    """Execute the notebook with these parameters in `folder`; `output` holds its current state after every cell.

    `on_cell(id)` is called when a cell begins, `on_tick()` and `watch(pid of the kernel)` several times a second.
    Ctrl-C interrupts the cell, ends the kernel and raises KeyboardInterrupt. Raises TsgError if a cell raises (that
    of a cell is passed on) or the kernel dies.
    """
    import papermill
    from jupyter_client import AsyncKernelManager
    from jupyter_client.kernelspec import KernelSpecManager
    from nbclient.exceptions import DeadKernelError
    from papermill.exceptions import PapermillExecutionError

    for name in ("papermill", "traitlets"):  # they report their own housekeeping
        logging.getLogger(name).setLevel(logging.ERROR)
    # without folders to search, "python3" is the running interpreter, whatever kernels are installed
    kernel = AsyncKernelManager(kernel_name="python3", kernel_spec_manager=KernelSpecManager(kernel_dirs=[]))
    kernel.kernel_spec.env[FILE_VARIABLE] = str(progress_file)
    with ThreadPoolExecutor(1) as pool:
        executed = pool.submit(
            papermill.execute_notebook,
            notebook,
            str(output).replace("{", "{{").replace("}", "}}"),  # papermill treats it as a format
            parameters=dict(parameters),
            kernel_name="python3",
            language="python",
            progress_bar=False,
            start_timeout=120,
            iopub_timeout=60,
            km=kernel,
            extra_arguments=["--log-level=ERROR"],
            resources={"metadata": {"path": str(folder)}},
            on_cell_start=lambda cell, cell_index: on_cell(cell.id),
        )
        try:
            while not wait([executed], _POLL_s).done:
                on_tick()
                if (pid := getattr(kernel.provisioner, "pid", None)) is not None:
                    watch(pid)
            return executed.result()
        except KeyboardInterrupt:
            if kernel.has_kernel:
                asyncio.run(kernel.interrupt_kernel())
            wait([executed], _GRACE_s)
            raise
        except PapermillExecutionError as error:
            raise TsgError(_what_failed(error, output)) from None
        except DeadKernelError:
            raise TsgError("the kernel died, mostly for lack of memory; close other programs and run again") from None
        finally:  # papermill leaves a given kernel running
            asyncio.run(kernel.shutdown_kernel(now=True))


def _what_failed(error: Any, output: Path) -> str:
    if error.ename == "TsgError":
        return _ANSI.sub("", error.evalue)
    first = next((line for line in error.source.splitlines() if line.strip()), "")
    lines = _ANSI.sub("", "\n".join(error.traceback)).rstrip().splitlines()[-_TRACEBACK_LINES:]
    what = f"{error.ename} in the cell that begins {first!r}; the notebook so far is {os.path.relpath(output)}"
    return "\n".join([what, *(f"  {line}" for line in lines)])
