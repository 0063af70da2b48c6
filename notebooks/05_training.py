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
# long training follow; later chapters use its network.
#
# | | |
# |---|---|
# | **You need** | [Chapter 4](04_model.ipynb) |
# | **You learn** | what a training sample is; which symmetries of a tilt series may be used; which loss weights all gaps equally; how to read a training curve, and which data may be used to choose a model |
# | **Next** | [Chapter 6](06_prediction.ipynb) predicts the frames that were left out |

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
seed = 1

# %% tags=["hide-input"]
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from tsg_core import training
from tsg_core.microscope import MICROSCOPES
from tsg_core.model import TSGNet, shipped
from tsg_core.simulation import datasets
from tsgbook import chapters as names
from tsgbook.artifacts import Artifacts
from tsgbook.experiments.summary import with_interval
from tsgbook.figures import plotting

plotting.use_book_style()
store = Artifacts(artifacts)


def all_series(split):
    return [
        s
        for m in MICROSCOPES
        for s in datasets.Dataset(store.path(names.series_name(split, m)))
    ]


training_series, validation_series = (
    all_series("training"),
    all_series("validation"),
)
plotting.say(
    f"{len(training_series)} training series and {len(validation_series)} "
    "validation series, both microscopes together."
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
# The error of linear interpolation at a small gap is a thousandth of that at a large gap. In a mean of squared or absolute
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

# %%
settings = training.TrainingSettings(
    n_steps=n_steps,
    batch_size=batch_size,
    crop_px=crop_px,
    loss=loss,
    learning_rate=learning_rate,
    validate_every=validate_every,
    seed=seed,
)
architecture = {
    "channels": tuple(channels),
    "linear_start": True,
    "motion_scaled": motion_scaled,
    "he_start": True,
}


# %%
def train_network(folder, *, series, validation, settings, architecture):
    training.train(
        series,
        validation=validation,
        settings=settings,
        folder=folder,
        model=TSGNet(**architecture),
    )


store.make(
    names.TSGNET,
    train_network,
    parameters={
        "series": training_series,
        "validation": validation_series,
        "settings": settings,
        "architecture": architecture,
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
# The weights that did best on the validation particles are kept. Choosing them with the test set would make the test set
# part of the training.
#
# ## The shipped network
#
# A useful network needs more particles, pixel sizes and steps than a chapter can wait for. The book ships one that was trained beforehand with
#
# ```bash
# tsg train --recipe small
# ```
#
# which resumes after every interruption and ends with the same weights. The recipe, the weights, the curves and a model card
# are in `tsg_core/model/weights`. These are the curves of that training:

# %% tags=["hide-input"]
for name in shipped.shipped():
    long = pd.read_csv(shipped.shipped_file(name, shipped.HISTORY))
    training_curves(long, f"The shipped network “{name}”")
    plotting.say(f"“{name}”: {sentence(long)}")

# %% [markdown]
# The gain over linear interpolation on its own validation particles, rate by rate. These particles have the elements and
# shapes of the training, but the network was never trained with them. Bands and brackets are 95 % intervals over particles.


# %% tags=["hide-input"]
def gain_by_rate(table, name):
    figure, axis = plt.subplots(figsize=(5.4, 3.2))
    by_rate = table[table.rate != "all"].astype({"rate": int})
    for microscope, rows in by_rate.groupby("microscope"):
        label = microscope.replace("_", "-")
        (line,) = axis.plot(rows.rate, rows.gain, "o-", ms=3, label=label)
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
        "microscope. "
        + plotting.values_in_words(
            by_rate, x="rate", y="gain", by="microscope"
        ),
    )


# %% tags=["hide-input"]
def gains_in_words(table):
    over_all = table[table.rate == "all"].set_index("microscope")
    return "; ".join(
        f"{m.replace('_', '-')}: {r.linear_psnr_dB:.2f} dB by linear "
        f"interpolation, {r.psnr_dB:.2f} dB by the network, gain "
        f"{with_interval(r.gain, r.gain_low, r.gain_high)} dB"
        for m, r in over_all.iterrows()
    )


# %%
for name in shipped.shipped():
    gains = pd.read_csv(shipped.shipped_file(name, shipped.VALIDATION))
    gain_by_rate(gains, name)
    plotting.say(f"Mean over all rates, “{name}”: {gains_in_words(gains)}.")

# %% [markdown]
# These particles selected the step whose weights were kept, so the numbers are slightly too good.
# [Chapter 6](06_prediction.ipynb) uses other elements and other shapes.
#
# ## Exercises
#
# 1. *Is the exchange needed?* Mirror columns *without* exchanging the outer frames. Is that still a tilt series of some object? Of which one?
# 2. *One rate.* Train on rate 6 only. Compare its validation PSNR at rates 3, 6 and 12 with that of the model for all rates.
# 3. *Which loss?* Train once with `loss="published"` and once with `loss="gain"`, and compare the gain at rates 1 and 12.
#
# ```{dropdown} Solution of 1
# It is. The mirrored column is $-(x\cos\theta + z\sin\theta) = (-x)\cos\theta + (-z)\sin\theta$: the object rotated by half a
# turn about the tilt axis, at the same tilts. An image that is a plain sum over atoms can't tell front from back, so both
# kinds of mirror are allowed. With channelling, entrance and exit differ, and only one of them remains exact.
# ```
