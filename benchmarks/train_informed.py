"""Training of the network behind the method `informed`: `python benchmarks/train_informed.py` (an hour), resumable."""

from pathlib import Path

import click

from tsg_core.informed_training import Cases, CaseSettings, InformedSettings, ship, train_informed, write_cases
from tsg_core.microscope import MICROSCOPES
from tsg_core.recipes import RecipeData

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
@click.option("--steps", default=5000, show_default=True)
@click.option("--cases-only", is_flag=True, help="Make the cases and stop.")
def main(folder, steps, cases_only):
    """Make the cases, train, and put the best weights into the package."""
    settings = CaseSettings(data=DATA)
    validation, training = (write_cases(settings, folder / "cases", validation=choice) for choice in (True, False))
    if not cases_only:
        path = train_informed(
            Cases(training), Cases(validation), settings=InformedSettings(n_steps=steps), folder=folder
        )
        for written in ship(path, {name: Cases(_of(name, validation)) for name in MICROSCOPES}):
            click.echo(f"wrote {written}")


def _of(microscope: str, paths: list[Path]) -> list[Path]:
    """The files of one microscope: aberrated is the end of non_aberrated, too."""
    return [path for path in paths if path.stem.split("_", 3)[3] == microscope]


if __name__ == "__main__":
    main()
