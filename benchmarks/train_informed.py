"""Train the network of the method `informed`: `python benchmarks/train_informed.py` (two hours)."""

from pathlib import Path

import click
from safetensors.torch import load_file

from tsgbook.networks.informed_cases import Cases, CaseSettings, write_cases, write_multislice_cases
from tsgbook.networks.informed_training import InformedSettings, ship, train_informed
from tsgbook.networks.recipes import RecipeData

DATA = RecipeData(
    n_training=20,
    n_validation=5,
    n_pixels=64,
    pixel_sizes_A=(0.25, 0.3, 0.35, 0.4, 0.45),
    relative_diameter=(0.35, 0.75),
    tilt_step_deg=1.0,
    seed=700,
)


@click.command()
@click.option("--work", "folder", default="artifacts/training/informed", show_default=True, type=Path)
@click.option("--steps", default=9000, show_default=True)
@click.option("--start", type=click.Path(exists=True), help="Initial weights, possibly of a network with fewer inputs.")
@click.option("--rate", default=InformedSettings.learning_rate, show_default=True, help="The highest learning rate.")
@click.option(
    "--multislice",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder of the packed sets training.npz and validation.npz; cases of them are added.",
)
@click.option(
    "--cases",
    "n_cases",
    default=CaseSettings.n_cases,
    show_default=True,
    help="Incoherent series of each particle to train with.",
)
@click.option("--cases-only", is_flag=True, help="Make the cases and stop.")
def main(folder, steps, start, rate, multislice, n_cases, cases_only):
    """Make the cases, train, and put the best weights into the package; resume after an interruption."""
    settings = CaseSettings(data=DATA, n_cases=n_cases)
    validation, training = (
        _cases(settings, folder / "cases", multislice, validation=choice) for choice in (True, False)
    )
    if not cases_only:
        held_out = Cases(validation)
        path = train_informed(
            Cases(training),
            held_out,
            settings=InformedSettings(n_steps=steps, learning_rate=rate),
            folder=folder,
            start=None if start is None else load_file(start),
        )
        for written in ship(path, held_out):
            click.echo(f"wrote {written}")


def _cases(settings: CaseSettings, folder: Path, multislice: Path | None, *, validation: bool) -> list[Path]:
    """Files of all cases for one use; those of multislice frames, which take longest, first."""
    more = [] if multislice is None else write_multislice_cases(settings, multislice, folder, validation=validation)
    return more + write_cases(settings, folder, validation=validation)


if __name__ == "__main__":
    main()
