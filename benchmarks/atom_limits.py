"""The limits of the method `atoms` as a table: `python benchmarks/atom_limits.py` (about ten minutes on one core).

Every finished case is written to the file that `--out` names; a second run continues where the first one stopped.
`--ship` stores the table in the package, where the figures find it.
"""

from itertools import chain
from pathlib import Path

import click
import pandas as pd

from tsgbook.experiments.atom_limits import TABLE_FILE, disturbed_limits, found_at, prism_limits, unjudged_limits

COLUMNS = ["recall", "invented", "rmsd_pm", "stated_pm", "explained", "within_1_sigma", "within_2_sigma"]


@click.command()
@click.option("--out", type=click.Path(path_type=Path), default="atom_limits.csv", show_default=True)
@click.option("--seeds", default=2, show_default=True, help="repeats of random cases")
@click.option("--ship", is_flag=True, help="store the table in the package")
def main(out, seeds, ship):
    """Print recall, false atoms and RMSD against dose, spacing, wedge, tilt errors, vacancies and displacements."""
    rows = pd.read_csv(out).to_dict("records") if out.exists() else []
    done = {(row["variable"], row["value"], row["variant"], row["seed"]) for row in rows}
    for limit in chain(prism_limits(seeds=seeds), disturbed_limits(seeds=seeds), unjudged_limits()):
        if limit.name not in done:
            rows.append(found_at(limit))
            pd.DataFrame(rows).to_csv(out, index=False, float_format="%.4g")
    table = pd.DataFrame(rows)
    mean = table.groupby(["variable", "variant", "value"])[[c for c in COLUMNS if c in table]].mean()
    click.echo(mean.to_string(float_format=lambda x: f"{x:.3f}", na_rep=""))
    for row in table[table["refused"].notna()].itertuples() if "refused" in table else ():
        click.echo(f"{row.variable} {row.value:g}, {row.variant}: {row.refused}")
    if ship:
        table.to_csv(TABLE_FILE, index=False, float_format="%.4g")
        click.echo(f"wrote {TABLE_FILE}")


if __name__ == "__main__":
    main()
