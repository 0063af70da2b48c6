"""The command `tsg`: run the chapters, build the book, train, make one's own tilt series denser, reconstruct it."""

import signal
import sys
from pathlib import Path

import click

from .errors import TsgError

PROFILE_HELP = "smoke, book or paper, or the path of a YAML file of your own."


def main() -> None:
    """Run the command; a mistake in what was asked for is one line on stderr and status 2, Ctrl-C is status 130."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as batch systems end a job: like Ctrl-C
    try:
        sys.exit(tsg.main(standalone_mode=False))
    except click.ClickException as error:
        error.show()
        sys.exit(2)
    except TsgError as error:
        click.echo(f"tsg: {error}", err=True)
        sys.exit(2)
    except (KeyboardInterrupt, click.Abort):
        click.echo("tsg: interrupted; the same command goes on from here", err=True)
        sys.exit(130)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="tsg")
def tsg() -> None:
    """Sparse-angle electron tomography: the book and the tools inside it."""


@tsg.command()
@click.option("--profile", default="smoke", show_default=True, help=PROFILE_HELP)
@click.option("--only", metavar="CHAPTER", help="Run this chapter alone: its name, its number or a part of its name.")
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Replace a parameter; may be repeated.")
@click.option("--force", is_flag=True, help="Run and make anew even what is current.")
@click.option("--dry-run", is_flag=True, help="Only say what would run, why, and how much work it would be.")
def run(profile: str, only: str | None, overrides: tuple[str, ...], force: bool, dry_run: bool) -> None:
    """Run the chapters that are not current, in order."""
    from .pipeline import Run, describe
    from .profiles import load_profile

    chapters = Run(load_profile(profile, overrides=overrides))
    if dry_run:
        from .estimates import estimate

        click.echo(describe(chapters.plan(only=only, force=force)))
        click.echo(estimate(chapters.profile, root=chapters.root))
    else:
        chapters.run(only=only, force=force)


@tsg.command()
@click.option("--profile", default="smoke", show_default=True, help=PROFILE_HELP)
@click.option("-o", "--out", type=click.Path(path_type=Path), help="Folder of the pages; _build where not given.")
def build(profile: str, out: Path | None) -> None:
    """Build the book's pages from the chapters as they were run."""
    from .book import build_book
    from .pipeline import Run
    from .profiles import load_profile

    chapters = Run(load_profile(profile))
    outdated = chapters.outdated()
    for name, why in outdated.items():
        click.echo(f"note: {name} is not current ({why})", err=True)
    artifacts = chapters.folder.parent
    html = build_book(profile=chapters.profile.name, artifacts=artifacts, out=out or chapters.root / "_build")
    click.echo(f"open {html / 'index.html'}")


@tsg.command()
@click.option("--profile", default="book", show_default=True, help=PROFILE_HELP)
def record(profile: str) -> None:
    """Keep the tables and the first page's figure of a complete run, for the pages and the README."""
    from .overview import write_overview
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


def _input_and_output(command):
    options = (
        click.argument("source", metavar="IN", type=click.Path(path_type=Path)),
        click.option("--tilts", type=click.Path(path_type=Path), help="Text file of angles in degrees, one a line."),
        click.option("--pixel-size", "pixel_size_A", type=float, metavar="A", help="Pixel size where IN has none."),
        click.option("-o", "--output", required=True, type=click.Path(path_type=Path), help="File to write."),
        click.option("--overwrite", is_flag=True, help="Replace the output if it exists."),
    )
    for option in reversed(options):
        command = option(command)
    return command


@tsg.command()
@click.option("--recipe", required=True, help="A recipe's name, or its YAML file; a wrong name lists them all.")
@click.option("--work", type=click.Path(path_type=Path), help="Folder of the work; else artifacts/training/NAME.")
@click.option(
    "--devices",
    default=1,
    type=click.IntRange(min=1),
    show_default=True,
    help="How many processors or graphics cards train together.",
)
@click.option("--ship", is_flag=True, help="Train no further: put the best weights so far into the package.")
def train(recipe: str, work: Path | None, devices: int, ship: bool) -> None:
    """Train a network by a recipe, going on from where it was interrupted."""
    from .prediction import model_metadata
    from .profiles import find_root
    from .recipes import load_recipe, train_recipe

    chosen = load_recipe(recipe)
    work = work or find_root() / "artifacts" / "training" / chosen.name
    if ship:
        from .shipping import ship as put_into_package

        click.echo(f"wrote {put_into_package(chosen, work=work)}")
        return
    path = train_recipe(chosen, work=work, devices=devices)
    best = model_metadata(path)["notes"]
    scores = f"{best['validation_psnr_dB']:.2f} dB (linear {best['linear_psnr_dB']:.2f})"
    click.echo(f"wrote {path}: best in validation at step {best['step']}, {scores}")


@tsg.command()
@_input_and_output
@click.option("--step", type=float, metavar="DEG", help="Predict at every multiple of this angle; 1 where not given.")
@click.option("--at", type=click.Path(path_type=Path), help="Predict at the angles in this file instead.")
@click.option("--method", default="auto", show_default=True, help="How to predict; a wrong name lists them all.")
@click.option("--checkpoint", help="Network of the method tsgnet: a shipped one's name, or a file.")
def densify(source, tilts, pixel_size_A, output, overwrite, step, at, method, checkpoint) -> None:
    """Predict missing frames of the tilt series IN; measured ones stay as they are.

    The method auto leaves out measured frames, predicts them by every method that applies, and says which did best.
    """
    import numpy as np

    if step is not None and at is not None:
        raise TsgError("--step and --at exclude each other; give one of them")
    if step is not None and not 0 < step < 180:
        raise TsgError(f"--step {step:g} must lie between 0 and 180 degrees")
    _check_output(source, output, overwrite)
    from .formats import read_angles, read_series
    from .interpolation import densify as make_denser
    from .tilt_series import SAME_ANGLE_deg

    series = read_series(source, tilts=tilts, pixel_size_A=pixel_size_A)
    low_deg, high_deg = series.tilt_deg[[0, -1]]
    if at is not None:
        wanted_deg = np.unique(read_angles(at))
    else:
        step = step or 1.0
        wanted_deg = step * np.arange(np.ceil(low_deg / step), np.floor(high_deg / step) + 1)
    new_deg = [angle for angle in wanted_deg if np.abs(series.tilt_deg - angle).min() > SAME_ANGLE_deg]
    dense = make_denser(series, tilt_deg=np.union1d(series.tilt_deg, new_deg), method=method, checkpoint=checkpoint)
    dense.write(output, overwrite=overwrite)
    if "choice" in dense.metadata:
        _say_choice(dense.metadata["choice"])
    click.echo(f"wrote {output}: {dense.measured.sum()} measured and {(~dense.measured).sum()} predicted frames")


def _say_choice(choice: dict) -> None:
    """What leaving out measured frames said of each method, and the verdict."""
    click.echo(f"{'method':18s} {'left-out frames':>16s} {'expected':>10s} {'weight':>7s}")
    for row in choice["left_out"]:
        if row.get("reason"):
            click.echo(f"{row['method']:18s} {row['reason']}")
        else:  # of two measured frames none is left out: there are no scores
            scores = (row.get("left_out_psnr_dB"), row.get("expected_psnr_dB"))
            left_out, expected = (f"{score:.1f} dB" if score is not None else "" for score in scores)
            click.echo(f"{row['method']:18s} {left_out:>16s} {expected:>10s} {row['weight']:7.2f}")
    click.echo(choice["verdict"])


@tsg.command()
@_input_and_output
@click.option("--iterations", default=100, show_default=True, type=int, help="Iterations of SIRT.")
@click.option("--engine", default="sparse", show_default=True, help="sparse, torch, astra or tomopy.")
def reconstruct(source, tilts, pixel_size_A, output, overwrite, iterations, engine) -> None:
    """Reconstruct a volume from the tilt series IN by SIRT."""
    _check_output(source, output, overwrite)
    from .formats import read_series, write_volume
    from .reconstruction import sirt

    series = read_series(source, tilts=tilts, pixel_size_A=pixel_size_A)
    volume = sirt(series, n_iterations=iterations, engine=engine)
    write_volume(volume, output, voxel_size_A=series.pixel_size_A, overwrite=overwrite)
    n_y, n_z, n_x = volume.shape
    click.echo(f"wrote {output}: {n_x} x {n_y} x {n_z} voxels (x, y, z) of {series.pixel_size_A:.4g} A")


def _check_output(source: Path, output: Path, overwrite: bool) -> None:
    """Refuse before the work what could not be written after it."""
    if not source.exists():
        raise TsgError(f"{source} does not exist")
    if output.exists() and output.samefile(source):
        raise TsgError(f"{output} is the input, which is never touched; choose another name")
    if output.exists() and not overwrite:
        raise TsgError(f"{output} exists; choose another name or give --overwrite")
    if not output.parent.is_dir():
        raise TsgError(f"{output} cannot be written: the folder {output.parent} does not exist")


if __name__ == "__main__":
    main()
