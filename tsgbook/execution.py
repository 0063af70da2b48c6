"""Executing one notebook by papermill, in a kernel of the running Python."""

import asyncio
import logging
import os
import re
import signal
import threading
from collections.abc import Callable
from pathlib import Path

from nbformat import NotebookNode

from tsg_core.errors import TsgError
from tsg_core.tools.progress import FILE_VARIABLE

_POLL_s = 0.2
_GRACE_s = 20.0  # for a kernel to clean up after Ctrl-C
_ANSI = re.compile(r"\x1b\[[0-9;]*m")


class CellFailed(Exception):
    """A cell raised: `index` in the executed notebook, `kind` and `message` of the exception, `traceback` as text."""

    def __init__(self, index: int, source: str, kind: str, message: str, traceback: str):
        super().__init__(f"{kind}: {message}")
        self.index, self.source, self.kind, self.message, self.traceback = index, source, kind, message, traceback


def execute(
    notebook: NotebookNode,
    *,
    output: Path,
    folder: Path,
    progress_file: Path,
    on_cell: Callable[[int], None] = lambda index: None,
    on_tick: Callable[[], None] = lambda: None,
) -> NotebookNode:
    """Execute the notebook in `folder`; `output` holds its current state after every cell.

    `on_cell(index)` is called when a cell begins, `on_tick()` several times a second. Ctrl-C interrupts the cell, ends
    the kernel and raises KeyboardInterrupt. Raises CellFailed if a cell raises, and TsgError if the kernel dies.
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
    executed: list[NotebookNode] = []
    failure: list[BaseException] = []

    def work() -> None:
        try:
            executed.append(
                papermill.execute_notebook(
                    notebook,
                    str(output).replace("{", "{{").replace("}", "}}"),  # papermill treats it as a format
                    kernel_name="python3",
                    language="python",
                    progress_bar=False,
                    start_timeout=120,
                    iopub_timeout=60,
                    km=kernel,
                    extra_arguments=["--log-level=ERROR"],
                    resources={"metadata": {"path": str(folder)}},
                    on_cell_start=lambda cell, cell_index: on_cell(cell_index),
                )
            )
        except BaseException as error:
            failure.append(error)

    before = os.environ.get(FILE_VARIABLE)
    os.environ[FILE_VARIABLE] = str(progress_file)  # the kernel inherits it
    try:
        _run_interruptibly(work, kernel, on_tick)
    finally:
        os.environ.pop(FILE_VARIABLE) if before is None else os.environ.update({FILE_VARIABLE: before})
    if not failure:
        return executed[0]
    error = failure[0]
    if isinstance(error, PapermillExecutionError):
        traceback = _ANSI.sub("", "\n".join(error.traceback))
        index = error.cell_index
        raise CellFailed(index, error.source, error.ename, _ANSI.sub("", error.evalue), traceback) from None
    if isinstance(error, DeadKernelError):
        raise TsgError("the kernel died, most often for lack of memory; close other programs and run again") from None
    raise error


def _run_interruptibly(work: Callable[[], None], kernel, on_tick: Callable[[], None]) -> None:
    """Run `work` in a thread; on Ctrl-C interrupt the kernel, end it, and raise KeyboardInterrupt."""
    thread = threading.Thread(target=work, name="notebook", daemon=True)
    thread.start()
    try:
        while thread.is_alive():
            thread.join(_POLL_s)
            on_tick()
    except KeyboardInterrupt:
        _signal(kernel, signal.SIGINT)
        try:
            thread.join(_GRACE_s)
        finally:  # also after a second Ctrl-C
            if thread.is_alive():
                _signal(kernel, signal.SIGKILL)
                thread.join(_GRACE_s)
        raise
    finally:  # papermill leaves a given kernel running; its work is done, and its outputs are here
        _signal(kernel, signal.SIGKILL)
        if kernel.provisioner is not None:
            asyncio.run(kernel.provisioner.wait())
        kernel.cleanup_connection_file()


def _signal(kernel, number: int) -> None:
    if kernel.provisioner is not None and kernel.provisioner.has_process:
        asyncio.run(kernel.provisioner.send_signal(number))
