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
# The network sees two measured frames and a time, and is told the frame between. Rate, offset and time are drawn anew for
# each sample, so one model learns every gap at once.
#
# | | |
# |---|---|
# | **You need** | [Chapter 4](04_model.ipynb) |
# | **You learn** | what a training sample is; which symmetries of a tilt series may be used; how to read a training curve, and which data may choose a model |
# | **Next** | [Chapter 6](06_prediction.ipynb) predicts the frames that were left out |

# %% tags=["parameters"]
artifacts = "../artifacts/smoke"
channels = [16, 24, 36, 48]
n_steps = 60
batch_size = 4
crop_px = 48
learning_rate = 1.0e-3
validate_every = 20
seed = 1

# %% tags=["hide-input"]
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from tsg_core import chapters as names
from tsg_core import datasets, plotting, results, training
from tsg_core.artifacts import Artifacts
from tsg_core.microscope import MICROSCOPES
from tsg_core.model import TSGNet

plotting.use_book_style()
store = Artifacts(artifacts)


def all_series(split):
    return [
        s
        for m in MICROSCOPES
        for s in datasets.Dataset(store.path(names.series_name(split, m)))
    ]


training_series, validation_series = all_series("training"), all_series("validation")
plotting.say(
    f"{len(training_series)} training series and {len(validation_series)} validation series, both microscopes together."
)

# %% [markdown]
# ## One sample
#
# Two measured frames $i$ and $i + g$, and a frame between them as the target. All frames of a series are divided by one number, the
# brightest pixel of the measured frames; nothing is scaled by the target. Crops and flips multiply what is there, but only flips that a
# tilt series allows: mirroring rows (y) leaves the geometry as it is, mirroring columns (x) is the same object tilted the
# other way, so the two outer frames change places.

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
plotting.show_frames(
    np.array(pictures), titles, pixel_size_A=series.pixel_size_A, columns=3
)
plt.show()

# %% [markdown]
# ## Train
#
# Interrupt it at any time: the checkpoint holds the optimiser, the averaged weights and the state of the random numbers, and the next
# run goes on from there, to the same result.

# %%
settings = training.TrainingSettings(
    n_steps=n_steps,
    batch_size=batch_size,
    crop_px=crop_px,
    learning_rate=learning_rate,
    validate_every=validate_every,
    seed=seed,
)


def train(folder):
    training.train(
        training_series,
        validation=validation_series,
        settings=settings,
        folder=folder,
        model=TSGNet(channels=tuple(channels), linear_start=True),
    )


store.make(
    names.TSGNET,
    train,
    parameters={
        "channels": channels,
        "n_steps": n_steps,
        "batch_size": batch_size,
        "crop_px": crop_px,
        "learning_rate": learning_rate,
        "validate_every": validate_every,
        "seed": seed,
    },
    inputs=[
        names.series_name(split, m)
        for split in ("training", "validation")
        for m in MICROSCOPES
    ],
    code=(training,),
)
history = pd.read_csv(store.path(names.TSGNET) / "history.csv")
recorded = results.recorded("training_history")

# %% [markdown]
# ## Did it learn?
#
# The validation particles are not in the training set. The dashed line is linear interpolation on the same frames: that,
# not zero, is where usefulness begins.


# %% tags=["hide-input"]
def training_curves(history, title):
    figure, axes = plt.subplots(1, 2, figsize=(9, 3.2))
    axes[0].plot(history.step, history.loss, color="#0072B2")
    axes[0].set(xlabel="step", ylabel="training loss", title=title)
    validated = history.dropna(subset="validation_psnr_dB")
    axes[1].plot(
        validated.step,
        validated.validation_psnr_dB,
        "o-",
        ms=3,
        color=plotting.COLOURS["tsgnet"],
        label="TSGNet",
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
    plt.show()


training_curves(history, "This run")

# %% tags=["hide-input"]
results.show(
    recorded, lambda h: training_curves(h, "Recorded run of the profile `book`")
)


# %% tags=["hide-input"]
def sentence(history):
    validated = history.dropna(subset="validation_psnr_dB")
    best = validated.loc[validated.validation_psnr_dB.idxmax()]
    if best.step == 0:
        return (
            f"After {history.step.max():.0f} steps no validation is above that of the start, which is linear interpolation: "
            "this training is too short, and the network that is kept is the untrained one."
        )
    return (
        f"After {history.step.max():.0f} steps the best validation PSNR is {best.validation_psnr_dB:.2f} dB (step {best.step:.0f}), "
        f"{best.validation_psnr_dB - best.linear_psnr_dB:+.2f} dB against linear interpolation."
    )


plotting.say("This run: " + sentence(history))
results.show(
    recorded,
    lambda h: plotting.say("Recorded run of the profile `book`: " + sentence(h)),
)

# %% [markdown]
# The weights that were best on the validation particles are the ones that are kept. Choosing them on the test set would make the test
# set part of the training.
#
# ## Exercises
#
# 1. *Is the exchange needed?* Mirror columns *without* exchanging the outer frames. Is that still a tilt series of some object? Of which one?
# 2. *One rate.* Train on rate 6 only. Compare its validation PSNR at rates 3, 6 and 12 with that of the model for all rates.
#
# ```{dropdown} Solution of 1
# It is. The mirrored column is $-(x\cos\theta + z\sin\theta) = (-x)\cos\theta + (-z)\sin\theta$: the object turned by half a turn about the tilt axis,
# at the same tilts. An image that is a plain sum over atoms can't tell front from back, so both kinds of mirror are allowed. Once the beam channels,
# entrance and exit differ and only one of them remains exact.
# ```
