"""Shipping a trained network: weights, curves, gains on the validation particles, and a model card."""

import shutil
from pathlib import Path

import numpy as np
import pandas as pd

from tsg_core.errors import TsgError
from tsg_core.microscope import MICROSCOPES, Microscope
from tsg_core.model.file import load_model, model_metadata, save_model
from tsg_core.model.network import TSGNet
from tsg_core.model.shipped import CARD, FOLDER, HISTORY, VALIDATION, WEIGHTS
from tsg_core.samples.multislice_sets import set_particles
from tsg_core.structures import TRAINING_ELEMENTS
from tsg_core.tilt_series import TiltSeries
from tsg_core.tools.files import existing, replaced_when_whole
from tsg_core.tools.progress import track
from tsg_core.training.loop import HISTORY_FILE, MODEL_FILE
from tsg_core.training.samples import largest_rate

from ..experiments.frames_and_volumes import midpoint_metrics
from ..experiments.summary import gain_over, over_particles, with_interval
from .recipes import DATA, RECIPE, TRAINING, Recipe

HALF_ABOVE_BYTES = 10e6  # larger files store the weights in 16 bits
ALL_RATES = "all"


def ship(recipe: Recipe, *, work: Path) -> Path:
    """Copy the best weights trained in `work` so far to the package's folder `weights`, with history, gains and card.

    Returns the folder. Raises TsgError if nothing is trained yet, or if another recipe was.
    """
    trained = work / TRAINING / MODEL_FILE
    if not trained.exists():
        raise TsgError(f"nothing is trained in {work} yet; first: tsg train --recipe {recipe.name}")
    model, notes = load_model(trained), model_metadata(trained)["notes"]
    if model.architecture != recipe.untrained().architecture:
        raise TsgError(f"{trained} is of another network than the recipe {recipe.name}; train by the recipe first")
    history = pd.read_csv(existing(work / TRAINING / HISTORY_FILE))
    folder = FOLDER / recipe.name
    folder.mkdir(parents=True, exist_ok=True)
    if recipe.path != folder / RECIPE:
        shutil.copyfile(recipe.path, folder / RECIPE)
        if recipe.start is not None:
            shutil.copyfile(recipe.first().path, folder / recipe.start)
    files = [folder / name for name in (WEIGHTS, HISTORY, VALIDATION, CARD)]
    with replaced_when_whole(*files, overwrite=True) as (weights, curves, validation, card):
        half = 4 * sum(p.numel() for p in model.parameters()) > HALF_ABOVE_BYTES
        save_model(model, weights, notes=notes | {"recipe": recipe.name}, half=half)
        history.to_csv(curves, index=False)
        gains = validation_gains(load_model(weights), recipe, work=work)
        gains.to_csv(validation, index=False)
        card.write_text(_card(recipe, model, notes, history, gains, half=half), encoding="utf-8")
    return folder


def validation_gains(model: TSGNet, recipe: Recipe, *, work: Path) -> pd.DataFrame:
    """PSNR of the midpoint frames of the recipe's validation particles, compared with linear interpolation.

    There is a row for each engine, microscope and rate, and one for the mean over all rates: `linear_psnr_dB`,
    `psnr_dB`, their paired difference `gain` with its 95 % bootstrap interval over particles (`gain_low`, `gain_high`),
    and `particles`. A rate is half a gap, in frames; of multislice frames, which are several degrees apart, in degrees.
    """
    predictors = {"linear": ("linear", None), "tsgnet": ("tsgnet", model)}
    limits = {"max_rate": recipe.settings.max_rate, "max_gap_deg": recipe.settings.max_gap_deg}
    data, folder = recipe.data, work / DATA
    sets = [*data.incoherent_sets(folder, validation=True), *data.multislice_sets(folder, validation=True)]
    rows = []
    for dataset, i in track([(d, i) for d in sets for i in range(len(d))], label="validating"):
        series = dataset[i]
        engine = series.metadata["engine"]
        labels = {"engine": engine, "microscope": _name_of(series)}
        labels["particle"] = f"{engine}, {series.pixel_size_A:g} A, {i}"
        unit = round(float(np.diff(series.tilt_deg).mean())) if engine == "multislice" else 1
        for rate in range(1, largest_rate(series, **limits) + 1):
            found = midpoint_metrics(series, rate=rate, n_offsets=1, predictors=predictors)
            rows += [labels | {"rate": rate * unit, "method": name, **metrics} for name, metrics in found.items()]
    table = pd.DataFrame(rows)
    linear = table[table["method"] == "linear"]["psnr_dB"].repeat(2).to_numpy()
    gains = gain_over(table, column="psnr_dB", of="method", baseline="linear").assign(linear_psnr_dB=linear)
    gains = gains[gains["method"] == "tsgnet"]
    columns = ["linear_psnr_dB", "psnr_dB", "gain"]
    by_rate = over_particles(gains, by=["engine", "microscope", "rate"], columns=columns)
    overall = over_particles(gains, by=["engine", "microscope"], columns=columns).assign(rate=ALL_RATES)
    return pd.concat([by_rate, overall])[
        ["engine", "microscope", "rate", *columns, "gain_low", "gain_high", "particles"]
    ]


def _name_of(series: TiltSeries) -> str:
    there = Microscope(**series.metadata["microscope"])
    return next(name for name, microscope in MICROSCOPES.items() if microscope == there)


def _card(recipe: Recipe, model: TSGNet, notes: dict, history: pd.DataFrame, gains: pd.DataFrame, *, half: bool) -> str:
    data, settings = recipe.data, recipe.settings
    step, best = int(history["step"].iloc[-1]), notes["step"]
    network = model.architecture | dict(recipe.network)
    low, high = data.relative_diameter
    noise = "without noise" if settings.dose_per_A2 is None else (
        "half of them with Poisson noise of {:g} to {:g} electrons per A^2".format(*settings.dose_per_A2)
    )  # fmt: skip
    unfinished = "" if step == settings.n_steps else (
        f"\n**The training was not finished when these weights were taken: {step:,} of {settings.n_steps:,} steps.**\n"
    )  # fmt: skip
    return f"""# TSGNet `{recipe.name}`

{recipe.description}
{unfinished}
| | |
|---|---|
| parameters | {sum(p.numel() for p in model.parameters()):,}, stored in {16 if half else 32} bits |
| network | {", ".join(f"{key} {value}" for key, value in network.items())} |
| training data | {data.n_training} particles (icosahedra, decahedra, octahedra of {", ".join(TRAINING_ELEMENTS)}), \
each with both microscopes; incoherent image model, {noise}; frames of {data.n_pixels} x {data.n_pixels} px, \
{data.tilt_step_deg:g}° apart from -90° to 90° |{_further_rows(recipe)}
| sampling | pixels of {", ".join(f"{size:g}" for size in data.pixel_sizes_A)} A; particles {low:g} to {high:g} of the \
frame's width |
| loss | {settings.loss} (`losses.py`), gaps of 2 to {2 * settings.max_rate} frames |
| steps | {step:,} of {settings.n_steps:,}, batches of {settings.batch_size} crops of {settings.crop_px} px; \
learning rate {settings.learning_rate:g} falling to {settings.final_learning_rate:g} |
| weights kept | averaged weights of step {best:,}, the best in validation: {notes["validation_psnr_dB"]:.2f} dB, \
linear interpolation {notes["linear_psnr_dB"]:.2f} dB |
| curves | `history.csv`: loss and validation over the steps |

## Gain over linear interpolation

Measured on midpoint frames of the {data.n_validation} validation particles. The network was not trained with them, but
they have the training elements and shapes, and they selected the step. A rate is half a gap. PSNR is in dB, with the
brightest pixel of the particle's series as its peak; the 95 % bootstrap intervals are over particles
(`validation.csv`). Chapter 6 of the book measures the gain on elements and shapes that the network has never met.

{_gains_table(gains)}

## Limits

- The network sees only two measured frames. It cannot know atoms that both of them hide.
- It was trained with simulated frames of small metal particles, {noise}. Drift, misaligned frames and other materials
  are untested.
- {_image_models(recipe)}
- Gaps beyond {2 * settings.max_rate * data.tilt_step_deg:g}°, and pixel sizes far from those above, are untested.

## Repeat it

```bash
tsg train --recipe {recipe.name}           # resumes after an interruption
tsg train --recipe {recipe.name} --ship    # writes this folder
```

## Licence

MIT, like the rest of this project.
"""


def _further_rows(recipe: Recipe) -> str:
    """Rows of the card about the multislice frames and the first weights; each begins with its line break."""
    rows = []
    if recipe.data.multislice_share:
        n = {name: len(set_particles(name)) for name in ("training", "validation")}
        rows.append(
            f"multislice frames | {recipe.data.multislice_share:.0%} of the samples: {n['training']} particles of the "
            f"same elements and shapes ({n['validation']} for validation), both microscopes, made by "
            "`benchmarks/multislice_sets.py`"
        )
    if recipe.start:
        rows.append(f"first weights | those of the recipe `{recipe.start}`")
    return "".join(f"\n| {row} |" for row in rows)


def _image_models(recipe: Recipe) -> str:
    if recipe.data.multislice_share:
        return "Its multislice frames show atoms at rest; thermal diffuse scattering is untested."
    return (
        "It was trained with the incoherent image model. It has never met channelling, which dominates near zone axes."
    )


def _gains_table(gains: pd.DataFrame) -> str:
    lines = ["| frames | microscope | rate | linear | TSGNet | gain |", "|---|---|---|---|---|---|"]
    for _, row in gains.iterrows():
        gain = with_interval(row["gain"], row["gain_low"], row["gain_high"])
        microscope = row["microscope"].replace("_", "-")
        lines.append(
            f"| {row['engine']} | {microscope} | {row['rate']} | {row['linear_psnr_dB']:.2f} | {row['psnr_dB']:.2f} "
            f"| {gain} |"
        )
    return "\n".join(lines)
