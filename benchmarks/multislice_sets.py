"""Sets of multislice tilt series: `python benchmarks/multislice_sets.py test` (45 minutes on one thread).

Each tilt is kept as soon as it is done; an interrupted call goes on where it was. The particles whose tilts are all
there are packed into one file at the end, or by `--pack-only` at any time. With `--scheduler local:2` two processes
share the tilts, with `--scheduler slurm:FILE` the jobs of a cluster; see the page "Beyond one machine".
"""

from pathlib import Path

import click

from tsg_core.commands.options import scheduler
from tsg_core.samples.multislice_sets import SETS, make_set, pack


@click.command()
@click.argument("names", nargs=-1, required=True, type=click.Choice(SETS))
@click.option("--work", "folder", default="artifacts/multislice_sets", show_default=True, type=Path)
@scheduler
@click.option("--device", default="cpu", show_default=True, help="cpu, or cuda for a GPU.")
@click.option("--every", default=1, show_default=True, help="Make and pack every second tilt or so.")
@click.option("--pack-only", is_flag=True, help="Compute nothing.")
def main(names, folder, device, every, pack_only):
    """Compute what is missing of the sets NAMES, one after the other, and pack each into FOLDER/NAME.npz."""
    for name in names:
        path = folder / f"{name}.npz"
        if pack_only:
            click.echo(f"{path}: {pack(name, folder, path, every=every)} particles")
        else:
            click.echo(make_set(name, folder, every=every, device=device))


if __name__ == "__main__":
    main()
