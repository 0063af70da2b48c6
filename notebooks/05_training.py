# ---
# jupyter:
#   jupytext:
#     cell_metadata_filter: tags
#     formats: ipynb,py:percent
#     notebook_metadata_filter: jupytext,kernelspec
#     text_representation:
#       extension: .py
#       format_name: percent
#       format_version: '1.3'
#       jupytext_version: 1.19.6
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 5. Training: one model for all rates
#
# The network sees two measured frames and a time, and learns from the true frame in between. Rate, offset and time are
# drawn anew for each sample, so one model learns all gaps at once. A short training shows how this works. The curves of the
# long trainings follow; later chapters use the shipped network *small*.
#
# | | |
# |---|---|
# | **You need** | [Chapter 4](04_model.ipynb) |
# | **You learn** | what a training sample is; which symmetries of a tilt series may be used; which loss weights all gaps equally; how to read a training curve, and which data may be used to choose a model |
# | **Next** | [Chapter 6](06_prediction.ipynb) predicts the frames that were left out |

# %% tags=["remove-cell"]
# Stops where the project is missing.
from importlib.util import find_spec

if find_spec("tsg_core") is None:
    raise ModuleNotFoundError(
        "tsg_core is missing in this kernel; in a copy of the repository "
        "run: pip install -e .[book] -c constraints.txt"
    )

# %% tags=["parameters"]
artifacts = "artifacts/smoke"
channels = [16, 24, 36, 48]
motion_scaled = True
n_steps = 60
batch_size = 4
crop_px = 48
loss = "gain"
learning_rate = 1.0e-3
validate_every = 20
accelerator = "auto"
devices = 1
precision = "auto"
seed = 1

# %% tags=["hide-input"]
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch

from tsg_core import training
from tsg_core.model import TSGNet, shipped
from tsg_core.simulation import datasets
from tsgbook import chapters as names
from tsgbook.artifacts import Artifacts
from tsgbook.experiments.summary import with_interval
from tsgbook.figures import plotting
from tsgbook.simulated import simulated_microscopes

plotting.use_book_style()
store = Artifacts(artifacts)


def all_series(split):
    return [
        s
        for m in simulated_microscopes(store)
        for s in datasets.Dataset(store.path(names.series_name(split, m)))
    ]


training_series, validation_series = (
    all_series("training"),
    all_series("validation"),
)
plotting.say(
    f"{len(training_series)} training series and {len(validation_series)} "
    "validation series, all microscopes together."
)

# %% [markdown]
# ## One sample
#
# A sample consists of two measured frames $i$ and $i + g$, and a frame between them as the target. All frames of a series
# are divided by one number, the brightest pixel of the measured frames; nothing is scaled by the target. Crops and flips
# give more samples, but only flips that a tilt series allows. Mirroring rows (y) preserves the geometry. Mirroring columns
# (x) shows the same object tilted the other way, so the two outer frames change places.

# %%
series = training_series[0]
middle = len(series) // 2
first, last = middle - 6, middle + 6
trio = series.frames[[first, middle, last]] / series.intensity_scale
pictures = [*trio, *trio[:, ::-1], *trio[::-1, :, ::-1]]
titles = [
    f"{label}{part}"
    for label in ("", "y mirrored: ", "x mirrored: ")
    for part in ("frame a", "target", "frame b")
]
figure = plotting.show_frames(
    np.array(pictures), titles, pixel_size_A=series.pixel_size_A, columns=3
)
plotting.show(
    figure,
    "One sample (top), with rows mirrored (middle) and with columns "
    "mirrored (bottom).",
    alt="Nine grey frames in three rows: frame a, the target and frame b. "
    "In the last row, with columns mirrored, frames a and b have "
    "changed places.",
)

# %% [markdown]
# ## A loss that weights all gaps equally
#
# The squared error of linear interpolation at a small gap is a thousandth of that at a large gap. In a mean of squared or absolute
# errors, only the large gaps count. We therefore compare every sample with linear interpolation *of the same frames*, and
# take the logarithm:
#
# $$ L = \Big\langle \log \frac{\lVert \hat f - f \rVert^2}{\lVert f_\text{linear} - f \rVert^2} \Big\rangle . $$ (gain)
#
# Zero is linear interpolation; $-1$ is a gain of $10 / \ln 10 \approx 4.3$ dB, at any gap. Gains beyond 40 dB earn nothing
# more, so that no single easy sample dominates.
#
# ## Train
#
# The initial weights matter as much as the loss. With PyTorch's default, every layer weakens what passes through it. The
# prediction then hardly depends on the coarse levels, and even thousands of steps may never activate them. We draw the
# weights so that what passes a layer keeps its size {cite:p}`he2015delving` (`he_start`).
#
# You can interrupt the training at any time. The checkpoint holds the optimiser, the averaged weights and the state of the
# random numbers, and the next run continues from there, with the same result.
#
# `accelerator` ("cpu", "cuda") and `precision` ("32-true", "bf16-mixed", "16-mixed") are those of Lightning Fabric: "auto" takes
# a GPU if there is one, and bfloat16 for the convolutions where that is faster: on a GPU that has it, and on a processor that
# multiplies matrices of it (AMX).

# %%
settings = training.TrainingSettings(
    n_steps=n_steps,
    batch_size=batch_size,
    crop_px=crop_px,
    loss=loss,
    learning_rate=learning_rate,
    validate_every=validate_every,
    precision=precision,
    seed=seed,
)
architecture = {
    "channels": tuple(channels),
    "linear_start": True,
    "motion_scaled": motion_scaled,
    "he_start": True,
}


# %%
on_gpu = torch.cuda.is_available() and accelerator in (
    "auto",
    "cuda",
    "gpu",
)
plotting.say(
    f"Trained on: {torch.cuda.get_device_name() if on_gpu else 'the CPU'}, "
    f"{torch.get_num_threads()} thread(s) for what stays on the CPU; "
    f"accelerator `{accelerator}`, precision `{precision}`."
)

# %%


def train_network(
    folder, *, series, validation, settings, architecture, **where
):
    training.train(
        series,
        validation=validation,
        settings=settings,
        folder=folder,
        model=TSGNet(**architecture),
        **where,
    )


store.make(
    names.TSGNET,
    train_network,
    parameters={
        "series": training_series,
        "validation": validation_series,
        "settings": settings,
        "architecture": architecture,
        "accelerator": accelerator,
        "devices": devices,
    },
)
history = pd.read_csv(store.path(names.TSGNET) / "history.csv")

# %% [markdown]
# ## Did it learn?
#
# The validation particles are not in the training set. The dashed line is linear interpolation on the same frames: a
# network is useful only above this line.


# %% tags=["hide-input"]
def training_curves(history, title):
    figure, axes = plt.subplots(1, 2, figsize=(9, 3.2))
    axes[0].plot(history.step, history.loss, color="#0072B2")
    axes[0].set(xlabel="step", ylabel="training loss")
    validated = history.dropna(subset="validation_psnr_dB")
    axes[1].plot(
        validated.step,
        validated.validation_psnr_dB,
        **{"marker": "o", "ms": 3, "label": "TSGNet"},
        color=plotting.COLOURS["tsgnet"],
    )
    axes[1].plot(
        validated.step,
        validated.linear_psnr_dB,
        "k--",
        lw=1,
        label="linear interpolation",
    )
    axes[1].set(xlabel="step", ylabel="validation PSNR (dB)")
    axes[1].legend()
    for axis in axes:
        axis.locator_params(axis="x", nbins=5)
    plotting.show(
        figure,
        f"{title}: training loss (left) and validation PSNR (right).",
        alt="Two plots against the step: the training loss, and the "
        "validation PSNR of the network beside that of linear "
        f"interpolation (dashed). {sentence(history)}",
    )


# %% tags=["hide-input"]
def sentence(history):
    validated = history.dropna(subset="validation_psnr_dB")
    best = validated.loc[validated.validation_psnr_dB.idxmax()]
    if best.step == 0:
        return (
            f"after {history.step.max():,.0f} steps no validation is above "
            "that of the start, which is linear interpolation: this "
            "training is too short, and the network that is kept is the "
            "untrained one."
        )
    return (
        f"after {history.step.max():,.0f} steps the best validation PSNR "
        f"is {best.validation_psnr_dB:.2f} dB (step {best.step:,.0f}), "
        f"{best.validation_psnr_dB - best.linear_psnr_dB:+.2f} dB against "
        "linear interpolation."
    )


# %% tags=["hide-input"]
training_curves(history, "The short training of this run")
plotting.say("This run: " + sentence(history))

# %% [markdown]
# ### Several devices
#
# Several GPUs, or several processes on a CPU, train together by *distributed data parallel* (DDP): each holds a copy of the
# network and sees a part of every batch, and their gradients are averaged before each step. Every process must start the same
# program, which a notebook is not; so the parameter `devices` stays 1 here, and trainings by several devices are scripts:
#
# ```bash
# tsg train --recipe published --devices 2
# ```
#
# [Beyond one machine](../book/scale.md) has the scripts for torchrun and SLURM. Two processes on this computer's CPU show that
# the sum is the same: three steps of a tiny network on every fifth frame of the first series, by one process and by two. The
# samples of a step depend on the seed alone, so both see the same batches.

# %% tags=["hide-input"]
SCRIPT = """
import sys
import torch
from safetensors.torch import save_file
from tsg_core.model import TSGNet
from tsg_core.tilt_series import TiltSeries
from tsg_core.training import TrainingSettings, train
folder, devices = sys.argv[1], int(sys.argv[2])
series = [TiltSeries.read(f"{folder}/series.npz")]
settings = TrainingSettings(n_steps=3, batch_size=4, crop_px=16, max_rate=2, validate_every=3, precision="32-true")
torch.manual_seed(1)
model = TSGNet(channels=(4, 6, 8, 10))
save_file(model.state_dict(), f"{folder}/start.safetensors")
train(series, validation=series, settings=settings, folder=f"{folder}/out", model=model, accelerator="cpu", devices=devices)
"""

# %% tags=["hide-input"]
import subprocess
import sys
import tempfile
from pathlib import Path

from safetensors.torch import load_file

from tsgbook.profiles import find_root


def weights_by(n_processes):
    """The weights before and after, by name."""
    with tempfile.TemporaryDirectory() as folder:
        few = training_series[0].subset(slice(None, None, 5))
        few.write(f"{folder}/series.npz")
        script = Path(folder) / "train.py"
        script.write_text(SCRIPT)
        command = [sys.executable, str(script), folder, str(n_processes)]
        done = subprocess.run(
            command, capture_output=True, text=True, cwd=find_root()
        )
        if done.returncode:
            raise RuntimeError(done.stderr[-2000:])
        files = ("start.safetensors", "out/model.safetensors")
        return [load_file(f"{folder}/{file}") for file in files]


def largest_difference(weights, others):
    return max(
        float((w - others[n]).abs().max()) for n, w in weights.items()
    )


# %% tags=["hide-input"]
(start, alone), (_, together) = weights_by(1), weights_by(2)
moved = largest_difference(alone, start)
apart = largest_difference(alone, together)
assert apart < 1e-3 * moved
plotting.say(
    f"Three steps move the weights by up to {moved:.1e}. By one process and by two they end {apart:.1e} apart: rounding."
)

# %% [markdown]
# The weights that did best on the validation particles are kept. Choosing them with the test set would make the test set
# part of the training.
#
# ## The shipped networks
#
# A useful network needs more particles, pixel sizes and steps than a chapter can wait for. The book ships networks that were
# trained beforehand: *small*, which later chapters use as `tsgnet`, and *published*, which has the size of the paper's.
#
# ```bash
# tsg train --recipe small
# ```
#
# trains the first anew; it resumes after every interruption and ends with the same weights. Recipes, weights, curves and model
# cards are in `tsg_core/model/weights`.
#
# Each training has two parts. The first uses the simple image model, which is cheap: a hundred particles at five pixel sizes. The
# second goes on from its weights with a mixture: half of the samples are multislice frames of 24 other particles, so that the
# network also meets channelling ([chapter 2](02_simulation.ipynb)). The particles are few, because a multislice series takes
# minutes. These are the curves of the second parts; they count from their own first step:

# %% tags=["hide-input"]
for name in shipped.shipped():
    long = pd.read_csv(shipped.shipped_file(name, shipped.HISTORY))
    training_curves(long, f"The shipped network “{name}”")
    plotting.say(f"“{name}”: {sentence(long)}")

# %% [markdown]
# Now the gain of each over linear interpolation on its own validation particles, rate by rate, with frames of both image models.
# These particles have the elements and shapes of the training, but the network was never trained with them. Bands and brackets
# are 95 % intervals over particles. The multislice series has a frame every 4°, so it has only some of the rates.


# %% tags=["hide-input"]
def gain_by_rate(table, name):
    figure, axis = plt.subplots(figsize=(5.4, 3.2))
    by_rate = table[table.rate != "all"].astype({"rate": int})
    by_rate["frames"] = (
        by_rate.microscope.str.replace("_", "-") + ", " + by_rate.engine
    )
    for label, rows in by_rate.groupby("frames"):
        dashes = "--" if "multislice" in label else "-"
        (line,) = axis.plot(
            rows.rate, rows.gain, "o" + dashes, ms=3, label=label
        )
        band = {"color": line.get_color(), "alpha": 0.15, "lw": 0}
        axis.fill_between(rows.rate, rows.gain_low, rows.gain_high, **band)
    axis.axhline(0, color="k", lw=1, ls="--")
    axis.set(xlabel="rate", ylabel="gain over linear (dB)")
    axis.legend(fontsize=8)
    plotting.show(
        figure,
        f"Gain of the shipped network “{name}” over linear interpolation "
        "on its validation particles, with 95 % intervals.",
        alt="Gain in dB against the rate, a line with a band for each "
        "microscope and image model. "
        + plotting.values_in_words(
            by_rate, x="rate", y="gain", by="frames"
        ),
    )


# %% tags=["hide-input"]
def gains_in_words(table):
    return "; ".join(
        f"{r.microscope.replace('_', '-')}, {r.engine}: "
        f"{r.linear_psnr_dB:.2f} dB by linear interpolation, "
        f"{r.psnr_dB:.2f} dB by the network, gain "
        f"{with_interval(r.gain, r.gain_low, r.gain_high)} dB"
        for r in table[table.rate == "all"].itertuples()
    )


# %%
for name in shipped.shipped():
    gains = pd.read_csv(shipped.shipped_file(name, shipped.VALIDATION))
    gain_by_rate(gains, name)
    plotting.say(f"Mean over all rates, “{name}”: {gains_in_words(gains)}.")

# %% [markdown]
# These particles selected the step whose weights were kept, so the numbers are slightly too good.
# [Chapter 6](06_prediction.ipynb) uses other elements and other shapes.

# %% [markdown]
# ## Take away
#
# - A loss relative to linear interpolation gives small gaps the same weight as large ones.
# - Choose with the validation set; the dashed line of linear interpolation is what a network must beat.
#
# ## Check yourself
#
# **1.** Why is everything divided by the brightest *measured* pixel, and not by that of the target?
#
# ```{dropdown} Answer 1
# In use the target is missing. A scale taken from it would tell the network something that it cannot know.
# ```
#
# **2.** What does a value of −1 of the gain loss mean?
#
# ```{dropdown} Answer 2
# The squared error is $e^{-1}$ of that of linear interpolation: a gain of 4.3 dB.
# ```
#
# **3.** The training loss falls, but the validation PSNR does not rise. What happens?
#
# ```{dropdown} Answer 3
# The network learns its training particles by heart, or learns what does not help at the rates of the validation.
# ```
#
# **4.** Why are the numbers of the shipped network on its validation particles slightly too good?
#
# ```{dropdown} Answer 4
# These particles chose the step whose weights were kept.
# ```
#
# **5.** Which mirror image of a tilt series needs the two outer frames to change places to stay exact even with channelling?
#
# ```{dropdown} Answer 5
# The one of the columns (x): the mirrored object turns the other way.
# ```
#
# ## Exercises
#
# 1. *Is the exchange needed?* Mirror columns *without* exchanging the outer frames. Is that still a tilt series of some
#    object? Of which one? What does `channelling=True` change?
# 2. *One rate.* Train on rate 6 only: `TrainingSettings(min_rate=6, max_rate=6, midpoint=1.0, ...)` draws no other samples.
#    Compare the gain over linear at rates 3, 6 and 12 with that of the network for all rates.
# 3. *Which loss?* Train once with `loss="published"` and once with `loss="gain"`, and compare the gain at rates 1 and 12.
#
# Try first; then compare with the [solutions](10_solutions.ipynb), which were run for these pages.
