"""Sets of multislice tilt series: `python benchmarks/multislice_sets.py test` (45 minutes on one thread).

Each tilt is kept as soon as it is done; an interrupted call goes on where it was. The particles whose tilts are all
there are packed into one file at the end, or by `--pack-only` at any time. With `--scheduler local:2` two processes
share the tilts, with `--scheduler slurm:FILE` the jobs of a cluster; see the page "Beyond one machine".
"""

import time
from functools import partial
from pathlib import Path

import click
import torch

from tsg_core.commands.options import scheduler
from tsg_core.errors import TsgError
from tsg_core.samples.multislice_sets import SETS, make_tilt, missing_tilts, pack
from tsg_core.tools.cluster import mapped


@click.command()
@click.argument("names", nargs=-1, required=True, type=click.Choice(SETS))
@click.option("--work", "folder", default="artifacts/multislice_sets", show_default=True, type=Path)
@scheduler
@click.option("--device", default="cpu", show_default=True, help="cpu, or cuda for a GPU.")
@click.option("--every", default=1, show_default=True, help="Pack every second tilt or so.")
@click.option("--pack-only", is_flag=True, help="Compute nothing.")
def main(names, folder, device, every, pack_only):
    """Compute what is missing of the sets NAMES, one after the other, and pack each into FOLDER/NAME.npz."""
    for name in names:
        todo = [] if pack_only else missing_tilts(name, folder.absolute())
        work = partial(_timed, name, device=device)
        for n, ((*_, path), seconds) in enumerate(mapped(work, todo, label=name), start=1):
            click.echo(f"{name} {path.stem} {seconds:6.1f} s, {n} of {len(todo)}")
        try:
            n_packed = pack(name, folder, folder / f"{name}.npz", every=every)
            click.echo(f"{folder / name}.npz: {n_packed} particles")
        except TsgError as error:
            click.echo(f"note: {error}")


def _timed(name, *task, device):
    torch.set_num_threads(1)
    start = time.perf_counter()
    make_tilt(name, *task, device=device)
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
