"""The commands of the book: run its chapters, build its pages, record its tables, train its networks."""

from pathlib import Path

import click

from tsg_core.commands.options import scheduler

PROFILE_HELP = "smoke, book or paper, or the path of a YAML file of your own."


@click.command()
@click.option("--profile", default="smoke", show_default=True, help=PROFILE_HELP)
@click.option("--only", metavar="CHAPTER", help="Run this chapter alone: its name, its number or a part of its name.")
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Replace a parameter; may be repeated.")
@click.option("--force", is_flag=True, help="Run again and make again even what is current.")
@scheduler
@click.option("--dry-run", is_flag=True, help="Only say what would run, why, and how much work it would be.")
@click.option(
    "--nodes", default=1, type=click.IntRange(min=1), help="With --dry-run: machines like this one that share the work."
)
def run(profile: str, only: str | None, overrides: tuple[str, ...], force: bool, dry_run: bool, nodes: int) -> None:
    """Run the chapters that are not current, in order."""
    from .pipeline import Run, describe
    from .profiles import load_profile

    chapters = Run(load_profile(profile, overrides=overrides))
    if dry_run:
        from .estimates import estimate

        click.echo(describe(chapters.plan(only=only, force=force)))
        click.echo(estimate(chapters.profile, root=chapters.root, n_nodes=nodes))
    else:
        chapters.run(only=only, force=force)


@click.command()
@click.option("--profile", default="smoke", show_default=True, help=PROFILE_HELP)
@click.option("-o", "--out", type=click.Path(path_type=Path), help="Folder for the pages; default _build.")
@click.option("--pdf", is_flag=True, help="Also print the pages to book.pdf, by the system's Chromium.")
def build(profile: str, out: Path | None, pdf: bool) -> None:
    """Build the pages of the book from the chapters that were run."""
    from .build import build_book
    from .pipeline import Run
    from .profiles import load_profile

    chapters = Run(load_profile(profile))
    outdated = chapters.outdated()
    for name, why in outdated.items():
        click.echo(f"note: {name} is not current ({why})", err=True)
    artifacts = chapters.folder.parent
    html = build_book(profile=chapters.profile.name, artifacts=artifacts, out=out or chapters.root / "_build")
    click.echo(f"open {html / 'index.html'}")
    if pdf:
        from .pdf import print_book

        click.echo(f"wrote {print_book(html, toc=chapters.root / '_toc.yml', out=html.parent / 'book.pdf')}")


@click.command()
@click.option("--profile", default="book", show_default=True, help=PROFILE_HELP)
def record(profile: str) -> None:
    """Store the tables and the first page's figure of a complete run, for the pages and the README."""
    from .figures.overview import write_overview
    from .pipeline import Run
    from .profiles import load_profile
    from .readme import fill_readme
    from .results import record as record_results

    chosen = load_profile(profile)
    run = Run(chosen)
    written = record_results(chosen, root=run.root)
    written += [fill_readme(run.root / "README.md", root=run.root)]
    written += [write_overview(run.store, run.root / "book" / "_static" / "overview.png")]
    for path in written:
        click.echo(f"wrote {path}")


@click.command()
@click.option("--recipe", required=True, help="Name of a recipe, or its YAML file; a wrong name lists all names.")
@click.option("--work", type=click.Path(path_type=Path), help="Working folder; default artifacts/training/NAME.")
@click.option(
    "--devices",
    type=click.IntRange(min=1),
    help="Number of processors or graphics cards that train together; one, or as many as torchrun or srun started.",
)
@scheduler
@click.option("--data-only", is_flag=True, help="Do not train; simulate the data, before several processes train.")
@click.option("--ship", is_flag=True, help="Do not train; put the best weights so far into the package.")
def train(recipe: str, work: Path | None, devices: int | None, data_only: bool, ship: bool) -> None:
    """Train a network by a recipe, resuming an interrupted training.

    --scheduler is for the simulation of the data; --devices, torchrun and srun are for the training.
    """
    from lightning_fabric.utilities.rank_zero import rank_zero_only

    from tsg_core.model.file import model_metadata

    from .networks.recipes import DATA, load_recipe, make_data, train_recipe
    from .profiles import find_root

    chosen = load_recipe(recipe)
    work = work or find_root() / "artifacts" / "training" / chosen.name
    if ship:
        from .networks.shipping import ship as put_into_package

        click.echo(f"wrote {put_into_package(chosen, work=work)}")
        return
    if data_only:
        n_series = sum(map(len, make_data(chosen, work=work)))
        click.echo(f"{work / DATA}: {n_series} tilt series")
        return
    path = train_recipe(chosen, work=work, devices=devices)
    best = model_metadata(path)["notes"]
    scores = f"{best['validation_psnr_dB']:.2f} dB (linear {best['linear_psnr_dB']:.2f})"
    rank_zero_only(click.echo)(f"wrote {path}: best in validation at step {best['step']}, {scores}")
