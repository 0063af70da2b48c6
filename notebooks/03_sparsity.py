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
# # 3. Angular sparsity: leaving frames out
#
# Every frame costs dose. If the sample bears only a few frames, the angles between them are missing. This chapter defines
# exactly which frames are kept. It shows how the missing ones affect a sinogram, a reconstruction, and simple interpolation
# between the remaining frames.
#
# | | |
# |---|---|
# | **You need** | [Chapter 2](02_simulation.ipynb) |
# | **You learn** | gap, offset and rate; why an atom's path in a sinogram is a sine curve; the angular sampling criterion; why linear interpolation makes ghosts |
# | **Next** | [Chapter 4](04_model.ipynb) introduces a network that predicts the frames between |

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
gap = 3

# %% tags=["hide-input"]
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from tsg_core import evaluation, interpolation, reconstruction, sparsity
from tsg_core.pictures.preparation import show_sinogram
from tsg_core.simulation import datasets
from tsgbook import chapters as names
from tsgbook.artifacts import Artifacts
from tsgbook.figures import plotting
from tsgbook.simulated import simulated_microscopes

plotting.use_book_style()
store = Artifacts(artifacts)
microscope = list(simulated_microscopes(store))[-1]
dataset = datasets.Dataset(
    store.path(names.series_name("test", microscope))
)
particle = max(range(len(dataset)), key=lambda i: len(dataset.atoms(i)))
series = dataset[particle]

# %% [markdown]
# ## Gap and offset
#
# With a **gap** $g$ and an **offset** $o$ we keep the frames
#
# $$ F_g^{(o)} = \{ f_i : i \equiv o \pmod g \} . $$
#
# A gap of 1 is the full series. Each gap has $g$ offsets, and every frame belongs to exactly one of them.

# %%
for offset in range(gap):
    kept = sparsity.sparse_indices(len(series), gap=gap, offset=offset)
    print(
        f"gap {gap}, offset {offset}: {len(kept)} frames, "
        f"{', '.join(map(str, kept[:5]))}, ... {kept[-1]}"
    )

# %% tags=["hide-input"]
figure, axis = plt.subplots(figsize=(8, 2.6))
for row, g in enumerate((1, 2, 4, 6, 12)):
    kept = sparsity.sparse_indices(len(series), gap=g)
    axis.vlines(series.tilt_deg[kept], row + 0.1, row + 0.9, lw=1)
    axis.text(
        series.tilt_deg[-1] + 3,
        row + 0.5,
        f"{len(kept)} frames",
        va="center",
        fontsize=8,
    )
axis.set(
    xlabel="tilt (deg)",
    yticks=np.arange(5) + 0.5,
    yticklabels=[f"gap {g}" for g in (1, 2, 4, 6, 12)],
)
axis.spines["left"].set_visible(False)
plotting.show(
    figure,
    "Which tilts remain at a gap of 1, 2, 4, 6 and 12.",
    alt="Five rows of vertical lines between −90° and 90°, one row for "
    "each gap. At a gap of 1 the lines touch; at a gap of 12 only a "
    "few are left.",
)

# %% [markdown]
# ## What the gap does to a sinogram
#
# Take one row of pixels from every frame and stack them: a **sinogram**. Since the tilt axis is y, an atom never leaves its
# row, and its column follows $x\cos\theta + z\sin\theta$, a sine curve. Predicting a missing frame means completing these curves.

# %%
figure, axes = plt.subplots(1, 3, figsize=(9, 3.6), sharey=True)
for axis, g in zip(axes, (1, 6, 12), strict=True):
    show_sinogram(
        series.subset(sparsity.sparse_indices(len(series), gap=g)),
        axis=axis,
        title=f"gap {g}",
    )
plotting.show(
    figure,
    "Sinograms of one row of pixels at three gaps.",
    alt="Three grey pictures, tilt against column. At a gap of 1 atoms "
    "draw smooth sine curves. At 6 the curves are stairs, and at 12 "
    "separate blocks.",
)

# %% [markdown]
# ## How dense must a series be?
#
# Two neighbouring projections at tilts $\Delta\theta$ apart sample the object's Fourier transform on two lines through the origin.
# At the spatial frequency $1/d$, that of details of size $d$, these are $\Delta\theta / d$ apart ($\Delta\theta$ in radians), while
# an object of diameter $D$ needs samples no farther apart than $1/D$. This is Crowther's criterion:
#
# $$ \Delta\theta \le \frac{d}{D} . $$ (crowther)

# %%
diameter_A = (
    2 * np.linalg.norm(dataset.atoms(particle).positions, axis=1).max()
)
step_deg = float(np.diff(series.tilt_deg).mean())
plotting.say(
    f"The particle shown here is {diameter_A:.1f} Å across. To resolve 2 Å "
    "everywhere in it, Crowther's criterion asks for a frame every "
    f"{np.rad2deg(2 / diameter_A):.1f}°; at a gap of {gap} there is one "
    f"every {gap * step_deg:.0f}°."
)

# %% [markdown]
# An atomic structure is far from an arbitrary object, so a prediction may know more than the criterion assumes. What it
# must *not* do is invent: we return to this in [Chapter 7](07_reconstruction.ipynb).
#
# ## Between two frames
#
# In the midpoint protocol of the paper, at **rate** $r$ the frames $i$ and $i + 2r$ are measured (a gap of $2r$) and the frame
# $i + r$ is to be predicted. The obvious guess is the mean of the two, linear interpolation. Watch what it does to atoms that moved.

# %%
rate = 6
trios = sparsity.midpoint_trios(len(series), rate=rate, offset=0)
before, middle, after = trios[len(trios) // 2]
measured = series.subset(np.union1d(trios[:, 0], trios[:, 2]))
guesses = {
    m: interpolation.densify(
        measured, tilt_deg=series.tilt_deg[[middle]], method=m
    ).frames[0]
    for m in ("linear", "cubic", "reprojection")
}

# %% tags=["hide-input"]
frames = [
    series.frames[before],
    series.frames[middle],
    series.frames[after],
    *guesses.values(),
]
titles = [
    f"measured {series.tilt_deg[before]:.0f}°",
    f"truth {series.tilt_deg[middle]:.0f}°",
    f"measured {series.tilt_deg[after]:.0f}°",
    *guesses,
]
figure = plotting.show_frames(
    np.array(frames), titles, pixel_size_A=series.pixel_size_A, columns=6
)
plotting.show(
    figure,
    "Two measured frames and the true frame half-way between them; three "
    f"predictions of it at rate {rate}.",
    alt="Six grey frames. In the linear prediction atoms appear twice at "
    "half the brightness; the cubic spline and the reprojection are nearer "
    "to the truth.",
)

# %% [markdown]
# Linear interpolation shows every atom twice, at half its brightness: a **ghost** where it was and a ghost where it will be. The
# cubic spline uses more frames and does better while the steps are small. *Reprojection* first reconstructs a rough volume
# from all measured frames and projects it at the missing angle. Then it adds what the volume failed to explain,
# interpolated from the neighbours. In this way atoms in front and behind can move in opposite directions.
#
# ## How the error grows with the rate

# %%
rows = []
for r in (1, 2, 3, 4, 6, 8, 12):
    trios = sparsity.midpoint_trios(len(series), rate=r, offset=0)
    measured = series.subset(np.union1d(trios[:, 0], trios[:, 2]))
    truth = series.frames[trios[:, 1]]
    for m in guesses:
        guess = interpolation.densify(
            measured, tilt_deg=series.tilt_deg[trios[:, 1]], method=m
        ).frames
        psnr_dB = evaluation.image_metrics(
            guess, truth, peak=series.frames.max()
        ).psnr_dB
        rows.append({"rate": r, "method": m, "PSNR (dB)": psnr_dB.mean()})
table = pd.DataFrame(rows)
figure, axis = plt.subplots(figsize=(5.5, 3.2))
plotting.plot_with_interval(
    axis, table, x="rate", y="PSNR (dB)", by="method"
)
axis.set(ylabel="PSNR (dB)")
axis.legend()
plotting.show(
    figure,
    f"PSNR of predicted midpoints against the rate; one series of "
    f"{dataset.names[particle]}.",
    alt="A falling line for each method. "
    + plotting.values_in_words(table, x="rate", y="PSNR (dB)", by="method"),
)

# %% [markdown]
# One particle proves nothing; [Chapter 6](06_prediction.ipynb) does this for all test particles and both microscopes, with intervals.
# On the page [Live](../book/live.md) you set spacing and noise yourself.
#
# ## What the gap does to a volume

# %%
volumes = {}
for g in (1, 6, 12):
    kept = sparsity.sparse_indices(len(series), gap=g)
    volumes[f"gap {g}, {len(kept)} frames"] = reconstruction.sirt(
        series.subset(kept)
    )
slices = np.array([v[v.shape[0] // 2] for v in volumes.values()])
figure = plotting.show_frames(
    slices,
    list(volumes),
    pixel_size_A=series.pixel_size_A,
    vmax=slices.max(),
)
plotting.show(
    figure,
    "Slices of SIRT volumes across the tilt axis; z points down, x to "
    "the right.",
    alt="Three grey slices with atoms as bright spots. With all frames the "
    "background is dark; the fewer the frames, the more bright streaks "
    "run through it.",
)

# %% [markdown]
# The streaks come from the missing angles: each measured frame smears its intensity along its own beam, and only many
# frames together cancel outside the atoms.

# %% [markdown]
# ## Take away
#
# - A gap and an offset say exactly which frames are kept; a rate says which one is predicted.
# - Larger objects and finer detail need smaller tilt steps: $\Delta\theta \le d / D$.
# - Linear interpolation makes ghosts where atoms move by more than their width.
#
# ## Check yourself
#
# **1.** A series has 181 frames. How many frames has offset 2 at a gap of 12?
#
# ```{dropdown} Answer 1
# 15: the indices 2, 14, ..., 170.
# ```
#
# **2.** At rate 3, which frames are measured, and which is predicted?
#
# ```{dropdown} Answer 2
# Frames $i$ and $i + 6$ are measured, $i + 3$ is predicted.
# ```
#
# **3.** Why does an atom never leave its row of the frame?
#
# ```{dropdown} Answer 3
# The tilt axis is y, along the row index. A rotation about y changes only x and z.
# ```
#
# **4.** How does the tilt step that a particle needs change if it is twice as large?
#
# ```{dropdown} Answer 4
# It halves: $\Delta\theta \le d / D$.
# ```
#
# **5.** What does linear interpolation show where an atom moved by more than its width?
#
# ```{dropdown} Answer 5
# Two ghosts of half the brightness, at the old and at the new place, and nothing in between.
# ```
#
# ## Exercises
#
# 1. *Every frame once.* Show that the offsets of a gap share no frame and together contain all frames, for every gap from 1
#    to 12.
# 2. *Crowther by eye.* Fill discs of 22, 44 and 88 pixels in diameter with small spots, project them at steps of 2° to 18°, and
#    reconstruct by `reconstruction.fbp(series, allow_negative=True)`. From which step on does the slice inside the disc differ by
#    15 % from that of a series at 0.5°? Compare the three steps with equation {eq}`crowther`.
#
# Try first; then compare with the [solutions](10_solutions.ipynb), which were run for these pages.
