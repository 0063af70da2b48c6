"""The command `tsg`: run the chapters, build the book, train networks, and process your own sample."""

import codecs
import logging
import re
import signal
import sys

import click

from tsg_core.commands.densify import densify
from tsg_core.commands.evaluate import evaluate
from tsg_core.commands.prepare import prepare
from tsg_core.commands.reconstruct import reconstruct
from tsg_core.commands.show import show
from tsg_core.commands.simulate import simulate
from tsg_core.commands.tune import tune
from tsg_core.errors import TsgError
from tsg_core.tools.files import readable_name

from .commands import build, record, run, train

# how torch, threads and the loader of libraries say that there is no memory
NO_MEMORY = "(can't|cannot|Cannot) allocate memory|can't start new thread|failed to map segment|CUDA out of memory"


def _as_older_systems(error: UnicodeError) -> tuple[bytes, int]:
    """For what cannot be printed: the letter that a byte of an older system's name stood for, or a question mark."""
    return readable_name(error.object[error.start : error.end]).encode(error.encoding, "replace"), error.end


codecs.register_error("as_older_systems", _as_older_systems)


def main() -> None:
    """Run the command; a mistake in the request gives one line on stderr and status 2, Ctrl-C gives status 130."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # batch systems end a job this way: treat it like Ctrl-C
    for stream in (sys.stdout, sys.stderr):  # names of files may hold bytes that no encoding of today has
        stream.reconfigure(errors="as_older_systems")
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)  # zarr leaves tasks behind if it cannot read an array
    try:
        sys.exit(tsg.main(standalone_mode=False))
    except click.ClickException as error:
        error.show()
        sys.exit(2)
    except TsgError as error:
        click.echo(f"tsg: {_in_options(str(error))}", err=True)
        sys.exit(2)
    except (KeyboardInterrupt, click.Abort):
        click.echo("tsg: interrupted; the same command goes on from here", err=True)
        sys.exit(130)
    except (MemoryError, RuntimeError, ImportError, OSError) as error:
        if not (isinstance(error, MemoryError) or re.search(NO_MEMORY, str(error))):
            raise
        click.echo(f"tsg: {_out_of_memory(error)}", err=True)
        sys.exit(2)


def _out_of_memory(error: Exception) -> str:
    details = f" ({' '.join(str(error).split())[:200]})" if str(error) else ""
    on_disk = ", or keep them on the disk: --memory, with an output in .zarr" if "reconstruct" in sys.argv else ""
    return f"out of memory{details}; close other programs, or bin the frames{on_disk}"


def _in_options(message: str) -> str:
    """The message with the options of the command that was called in the place of the parameters that Python has."""
    called = next((tsg.commands[word] for word in sys.argv[1:] if word in tsg.commands), None)
    for parameter in called.params if called else ():
        if isinstance(parameter, click.Option):
            longest = max(parameter.opts, key=len)
            message = re.sub(rf"\b{re.escape(parameter.name)}=(?=\S)", f"{longest} ", message)
    return message


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="tsg")
def tsg() -> None:
    """Sparse-angle electron tomography: the book and the tools inside it."""


for command in (run, build, record, train, show, prepare, tune, densify, reconstruct, evaluate, simulate):
    tsg.add_command(command)


if __name__ == "__main__":
    main()
