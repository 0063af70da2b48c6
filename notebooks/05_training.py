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
crop_px = 64
validate_every = 20
seed = 1

# %%
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from tsg_core import chapters as names
from tsg_core import datasets, plotting, prediction, results, sampling, training
from tsg_core.artifacts import Artifacts
from tsg_core.microscope import MICROSCOPES

plotting.use_book_style()
store = Artifacts(artifacts)


def all_series(split):
    return [s for m in MICROSCOPES for s in datasets.Dataset(store.path(names.series_name(split, m)))]


training_series, validation_series = all_series("training"), all_series("validation")
plotting.say(
    f"{len(training_series)} training series and {len(validation_series)} validation series, both microscopes together."
)

# %% [markdown]
# ## One sample
#
# Two measured frames $i$ and $i + g$, and a frame between them as the target. All frames of a series are divided by one number, the
# brightest pixel of the series; nothing is scaled by the target. Crops and flips multiply what is there, but only flips that a
# tilt series allows: mirroring rows (y) leaves the geometry as it is, mirroring columns (x) is the same object tilted the
# other way, so the two outer frames change places.

# %%
settings = training.TrainingSettings(
    n_steps=n_steps, batch_size=batch_size, crop_px=crop_px, validate_every=validate_every, seed=seed
)
SAMPLES_HERE

# %% [markdown]
# ## Train
#
# Interrupt it at any time: the checkpoint holds the optimiser, the averaged weights and the state of the random numbers, and the next run goes on
# from there, to the same result.

# %%
store.make(
    names.TSGNET,
    lambda folder: training.train(
        training_series, validation=validation_series, settings=settings, folder=folder,
        model=TSGNet(channels=tuple(channels), linear_start=True),
    ),
    parameters={"channels": channels, "n_steps": n_steps, "batch_size": batch_size, "crop_px": crop_px,
                "validate_every": validate_every, "seed": seed},
    inputs=[names.series_name(split, m) for split in ("training", "validation") for m in MICROSCOPES],
    code=(training,),
)

# %% [markdown]
# ## Did it learn?
#
# The validation particles are not in the training set. The dashed line is linear interpolation on the same frames: that,
# not zero, is where usefulness begins.

# %%
