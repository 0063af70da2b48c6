"""The paper's Table 1 on the multislice test set: `python benchmarks/multislice_tables.py frames` (many hours for all).

    python benchmarks/multislice_tables.py frames linear tsgnet informed     these methods, what is still missing
    python benchmarks/multislice_tables.py frames tsgnet informed --again    anew, after other weights
    python benchmarks/multislice_tables.py frames dynamical --particle 0 --spacing 16
    python benchmarks/multislice_tables.py show
    python benchmarks/multislice_tables.py volumes linear reprojection atoms --particles 4

Each row is written as soon as it is there, to the table that chapter 6 shows, so that an interrupted call continues.
"""

from pathlib import Path

import click

from tsg_core.errors import TsgError
from tsg_core.microscope import MICROSCOPES
from tsgbook import results
from tsgbook.experiments import multislice_table as test
from tsgbook.experiments.summary import over_particles, with_interval
from tsgbook.experiments.tables import read_table

FOLDER, VOLUMES = results.FOLDER / test.FOLDER, results.FOLDER / test.VOLUMES_FOLDER
work = click.option("--work", "folder", default=FOLDER, show_default=True, type=Path)


@click.group(help=__doc__)
def main():
    pass


@main.command()
@click.argument("methods", nargs=-1)
@click.option("--microscope", "microscopes", multiple=True, default=tuple(MICROSCOPES), show_default=True)
@click.option("--particle", "particles", multiple=True, type=int, default=tuple(range(8)), show_default=True)
@click.option("--spacing", "spacings_deg", multiple=True, type=float, default=test.SPACINGS_deg, show_default=True)
@click.option("--targets", default=3, show_default=True, help=f"frames by which {', '.join(test.SLOW)} are scored")
@click.option("--again", is_flag=True, help="Score these methods anew.")
@work
def frames(methods, microscopes, particles, spacings_deg, targets, again, folder):
    """Score METHODS, by default all, at tilts half-way between measured ones."""
    methods = methods or test.METHODS
    try:
        cases = test.cases_of(microscopes=microscopes, particles=particles, spacings_deg=spacings_deg)
        if again:
            test.forget(folder, methods=methods, cases=cases)
        test.score_frames(folder, cases, methods=methods, n_slow=targets)
    except TsgError as error:
        raise click.ClickException(str(error)) from error


@main.command()
@work
def show(folder):
    """Print the mean gains over linear, in dB, with 95 % intervals over particles."""
    table = test.read_frames(folder)
    for microscope, rows in table.groupby("microscope", sort=False):
        click.echo(f"{microscope}: gain over linear (dB) at each spacing, then the mean of the spacings")
        spacings, whole = sorted(rows["spacing_deg"].unique()), test.everywhere(rows)
        click.echo(f"{'':13s}" + "".join(f"{f'{s:g} deg':>22s}" for s in spacings) + f"{'mean':>22s}{'frames':>8s}")
        for method in (m for m in test.METHODS if m in set(rows["method"])):
            own = rows[rows["method"] == method]
            parts = [own[own["spacing_deg"] == s] for s in spacings] + [whole[whole["method"] == method]]
            texts = "".join(f"{_gain(part):>22s}" for part in parts)
            click.echo(f"{method:13s}{texts}{own['targets'].sum():8d}")
        click.echo()


@main.command()
@click.argument("methods", nargs=-1)
@click.option("--microscope", "microscopes", multiple=True, default=tuple(MICROSCOPES), show_default=True)
@click.option("--particles", default=8, show_default=True, help="the first ones of the test set")
@click.option("--points", default=100_000, show_default=True, help="of a cloud")
@click.option("--work", "folder", default=VOLUMES, show_default=True, type=Path)
def volumes(methods, microscopes, particles, points, folder):
    """Compare volumes with frames predicted by METHODS at gaps of 16 and 24 degrees; print means over particles."""
    methods = methods or ("linear", "tsgnet", "reprojection", "atoms")
    test.score_volumes(folder, microscopes=microscopes, methods=methods, n_particles=particles, n_points=points)
    table = read_table(folder)
    columns = ["chamfer_A", "true_chamfer_A", "rms_A"]
    means = over_particles(table, by=["microscope", "gap", "arm", "method"], columns=columns)
    click.echo(means.to_string(index=False, float_format="{:.3f}".format))


def _gain(rows) -> str:
    if not len(rows):
        return "-"
    mean = test.mean_gains(rows, by=["method"]).iloc[0]
    return f"{with_interval(mean.gain, mean.gain_low, mean.gain_high, digits=1)} ({mean.particles})"


if __name__ == "__main__":
    main()
