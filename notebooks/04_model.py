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
# # 4. The network: TSGNet
#
# TSGNet predicts the frame at a time $t$ between two measured frames. It follows video interpolation (IFRNet): estimate,
# from coarse to fine, how every pixel of the missing frame moved from each of the two; **warp** both frames there; **blend**
# them; and add a **residual** for what motion can't explain. "Angular-sparsity-invariant" means that one network serves
# every gap.
#
# | | |
# |---|---|
# | **You need** | [Chapter 3](03_sparsity.ipynb); convolutional networks at the level of a first course |
# | **You learn** | how features, flows, mask and residual work together; why a correction should grow with the motion; why a transparent object is a hard case for flow; what the paper's loss rewards |
# | **Next** | [Chapter 5](05_training.ipynb) trains it |

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

# %% tags=["hide-input"]
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch

from tsg_core import interpolation, losses, sparsity
from tsg_core.interpolation import tsgnet
from tsg_core.model import TSGNet, displacement_px
from tsg_core.model import shipped as weights
from tsg_core.simulation import datasets
from tsgbook import chapters as names
from tsgbook.artifacts import Artifacts
from tsgbook.figures import architecture, plotting
from tsgbook.simulated import simulated_microscopes

plotting.use_book_style()
store = Artifacts(artifacts)
microscopes = list(simulated_microscopes(store))
_ = torch.manual_seed(0)
# %% [markdown]
# ## One encoder, four levels
#
# Both frames pass through the same encoder. Each level halves the size and sees twice as far. The decoder starts at the
# coarsest level, where a large motion spans few pixels, and hands flows and features on to finer levels. The picture is
# drawn from the module itself, for a pair of 64 × 64 frames; every box states its numbers of input and output channels.

# %%
published = TSGNet(residual_channels=3)
network = TSGNet(
    channels=tuple(channels), linear_start=True, motion_scaled=True
)
plotting.show(
    architecture.draw(network, size_px=64),
    "The network of this chapter: a shared encoder (left) and "
    "decoders (right).",
    alt="Block diagram. Frames a and b enter an encoder of four levels, "
    "each half as large as the one above. Four decoders lead back up and "
    "hand flows and a feature to the next finer level; the last one blends "
    "the warped frames.",
)

# %% [markdown]
# The published network has the same blocks with more channels. Its output has three channels, since it was made for colour
# pictures; one is enough for ours.

# %%
columns = {
    "published": architecture.blocks(published),
    "this chapter's": architecture.blocks(network),
}
table = pd.DataFrame(
    {
        (size, what): {b.name: value(b) for b in found}
        for size, found in columns.items()
        for what, value in {
            "channels in": lambda b: b.channels_in,
            "channels out": lambda b: b.channels_out,
            "parameters": lambda b: b.parameters,
        }.items()
    }
)
table.loc["all", (slice(None), "parameters")] = [
    sum(b.parameters for b in found) for found in columns.values()
]
table.style.format("{:,.0f}", na_rep="")

# %% [markdown]
# A decoder gives four flow channels (two components towards each frame) and a feature for the next finer level. The last
# one gives the mask and the residual instead of a feature. The prediction is
#
# $$ \hat f_t = \sigma(m)\; w(f_a, \phi_a) + \big(1 - \sigma(m)\big)\; w(f_b, \phi_b) + \rho $$ (tsgnet)
#
# with the warp $w$, the flows $\phi$, the mask's logit $m$ and the residual $\rho$.
#
# ## Before any training: linear interpolation
#
# With flows and residual zero and the mask's logit offset by $\log\frac{1 - t}{t}$, equation {eq}`tsgnet` *is* linear interpolation in
# time. Our networks start exactly there, so training moves away from the baseline step by step, and a short training cannot
# fall far below it. The published network starts from random flows instead.

# %%
dataset = datasets.Dataset(
    store.path(names.series_name("validation", microscopes[-1]))
)
series = dataset[0]
trios = sparsity.midpoint_trios(len(series), rate=6, offset=0)
measured = series.subset(np.union1d(trios[:, 0], trios[:, 2]))
targets_deg = series.tilt_deg[trios[:, 1]]
untrained = tsgnet.predict_frames(network, measured, tilt_deg=targets_deg)
linear = interpolation.densify(
    measured, tilt_deg=targets_deg, method="linear"
).frames
plotting.say(
    "Largest difference between the untrained network and linear "
    "interpolation: "
    f"{np.abs(untrained - linear).max() / series.frames.max():.1e} of the "
    "brightest pixel."
)

# %% [markdown]
# ## A correction that grows with the motion
#
# One network must serve every gap, and small gaps need little: there linear interpolation is nearly right, and a correction
# that suits a large gap would spoil it. How wrong is linear interpolation? In the Taylor series of a moving frame, its error
# is of second order in the displacement. Two frames reveal by themselves how far things moved between them,
#
# $$ s = \frac{\lVert f_a - f_b \rVert}{\lVert \nabla \tfrac12 (f_a + f_b) \rVert} , $$ (displacement)
#
# in pixels. Here is the error of the midpoint, in the same unit of the gradient, for all validation particles, all
# microscopes and every rate:


# %% tags=["hide-input"]
def errors_of_linear(series, rate):
    """Displacement s and error of linear of each midpoint, in pixels."""
    a, c, b = sparsity.midpoint_trios(len(series), rate=rate, offset=0).T
    frame_a, frame_b = (
        torch.from_numpy(series.frames[k])[:, None] for k in (a, b)
    )
    moved_px = displacement_px(frame_a, frame_b).numpy().ravel()
    f = series.frames.reshape(len(series), -1)
    missed = np.linalg.norm(f[c] - (f[a] + f[b]) / 2, axis=1)
    return moved_px, moved_px * missed / np.linalg.norm(f[a] - f[b], axis=1)


# %% tags=["hide-input"]
errors = {}
for microscope in microscopes:
    data = datasets.Dataset(
        store.path(names.series_name("validation", microscope))
    )
    pairs = [
        errors_of_linear(one, rate)
        for one in data
        for rate in range(1, min(13, len(one) // 2))
    ]
    errors[microscope.replace("_", "-")] = [
        np.concatenate(values) for values in zip(*pairs, strict=True)
    ]

# %% tags=["hide-input"]
figure, axis = plt.subplots(figsize=(5.4, 3.6))
for microscope, (moved_px, error_px) in errors.items():
    axis.loglog(moved_px, error_px, ".", ms=2, label=microscope)
line = np.array([moved_px.min(), 2.0])
axis.loglog(line, 0.4 * line**2, "k--", lw=1, label="0.4 s²")
axis.set(
    xlabel="displacement s (pixels)", ylabel="error of linear (pixels)"
)
axis.legend(fontsize=8, markerscale=4)
plotting.show(
    figure,
    "Error of linear interpolation at midpoints against the displacement "
    "$s$, both in pixels.",
    alt="Log-log scatter plot for both microscopes. Below a displacement "
    "of one pixel the points follow the dashed line 0.4 s²; above it "
    "they level off.",
)

# %% tags=["hide-input"]
factors = {
    microscope: np.percentile(
        (error_px / moved_px**2)[moved_px < 1], [10, 50, 90]
    )
    for microscope, (moved_px, error_px) in errors.items()
}
plotting.say(
    "Where the displacement is below a pixel, the error is, in units "
    "of $s^2$: "
    + "; ".join(
        f"{m} {middle:.2f} (eight in ten frames: {low:.2f} to {high:.2f})"
        for m, (low, middle, high) in factors.items()
    )
    + "."
)

# %% [markdown]
# Our networks therefore multiply flows, logit and residual by $4 t (1 - t)\, s^2$ (`motion_scaled`). The factor
# $4 t (1 - t)$ is one half-way and zero at the measured frames, where there is nothing to correct. What remains for the
# layers to learn is of about the same size at every gap. The published network has no such factor: it must learn from
# examples that small gaps need small corrections.
#
# ## Why this is harder than video
#
# In a video a pixel shows one surface, which moves one way. A particle is **transparent**: a pixel sums all atoms along the beam.
# When the particle tilts, the atoms in front move to one side and those behind to the other. Two atoms in line, one above
# the tilt axis and one below, are enough to show this.

# %%
x_A = np.linspace(-6, 6, 121)
spot = lambda centre_A: np.exp(-0.5 * ((x_A - centre_A) / 0.5) ** 2)
tilt_a, tilt_mid, tilt_b = np.deg2rad([-15, 0, 15])
row = lambda tilt: spot(8 * np.sin(tilt)) + spot(-8 * np.sin(tilt))
figure, axis = plt.subplots(figsize=(6, 2.6))
axis.plot(x_A, row(tilt_mid), "k", label="truth: both atoms in line")
axis.plot(
    x_A,
    (row(tilt_a) + row(tilt_b)) / 2,
    color="#0072B2",
    label="mean of the two measured frames",
)
axis.set(xlabel="column (Å)", ylabel="intensity")
axis.legend()
plotting.show(
    figure,
    "Two atoms, 8 Å above and below the tilt axis: the truth at 0°, and "
    "the mean of the frames at −15° and +15°.",
    alt="The true profile has one peak of height 2 in the middle. The mean "
    "of the two measured frames has two peaks of height 1, about 2 Å to "
    "either side.",
)

# %% [markdown]
# At ±15° the two atoms appear on either side, *in both frames alike*. The frames are equal, so a flow between them sees no
# motion, and yet the atoms cross in between. What is missing is not a better flow but knowledge of the object: other frames,
# or what a network has learnt about particles. TSGNet can express such knowledge in the residual.
#
# ## How far does it see?
#
# The gradient of one predicted pixel with respect to an input frame shows which pixels it depends on. Where it is zero, the
# network can't look: this limits the *receptive field*, a matter of the design alone. Where it is small, the network hardly
# looks: this depends on the weights. Below is the gradient of the shipped network, whose training
# [Chapter 5](05_training.ipynb) shows.

# %%
shipped = weights.load_shipped()
pad = [(192 - n) // 2 for n in series.frames.shape[1:]]
frame_a, frame_b = (
    torch.from_numpy(np.pad(f, [(p, p) for p in pad]))[None, None]
    for f in measured.frames[len(measured) // 2 :][:2]
    / measured.intensity_scale
)
seen = architecture.sensitivity(shipped, frame_a, frame_b)
across = np.cumsum(seen.sum(axis=0)) / seen.sum()
low, high = np.searchsorted(across, [0.025, 0.975])
figure, axis = plt.subplots(figsize=(4.2, 3.6))
picture = axis.imshow(np.log10(seen + 1e-9), vmin=-6, vmax=-1, cmap="magma")
figure.colorbar(picture, label="log₁₀ |gradient|")
axis.set(xlabel="column (pixels)", ylabel="row (pixels)")
plotting.show(
    figure,
    "How much the middle pixel of a prediction depends on the pixels of a "
    "measured frame.",
    alt="Map of the logarithm of the gradient: a bright spot in the "
    "middle, which fades within a few tens of pixels.",
)
plotting.say(
    "A predicted pixel can depend on a window of "
    f"{architecture.receptive_field_px(network)} pixels, larger than the "
    "frames of most profiles. Of the shipped network's gradient, 95 % lie "
    f"within {high - low + 1} columns: it looks where atoms come from, and "
    "little beyond."
)

# %% [markdown]
# ## What the paper's loss rewards
#
# $L = L_r + \eta L_g$ with $\eta = 0.01$. $L_r$ is a **Charbonnier** distance, an absolute error with a rounded tip, plus a **census**
# distance, which compares each pixel with its 7 × 7 neighbours and so looks at structure rather than brightness. $L_g$ makes
# the decoder's features resemble the encoder's features of the true frame.


# %%
def both_losses():
    d = torch.linspace(-0.02, 0.02, 201)
    curve = [losses.charbonnier(v[None], torch.zeros(1)).item() for v in d]
    figure, axes = plt.subplots(1, 2, figsize=(8, 2.6))
    axes[0].plot(
        d.numpy(), d.abs().numpy(), "k--", lw=1, label="absolute error"
    )
    axes[0].plot(d.numpy(), curve, label="Charbonnier")
    axes[0].set(xlabel="error", ylabel="penalty")
    axes[0].legend()
    frame = series.frames[len(series) // 2] / series.frames.max()
    target = torch.tensor(frame)[None, None]
    gains = np.linspace(0.5, 1.5, 21)
    shifts = range(-5, 6)
    axes[1].plot(
        shifts,
        [losses.census(target.roll(k, 3), target).item() for k in shifts],
        label="shifted by pixels",
    )
    axes[1].plot(
        (gains - 1) * 10,
        [losses.census(g * target, target).item() for g in gains],
        label="brighter by 10 % steps",
    )
    axes[1].set(
        xlabel="shift (pixels) or brightness (10 %)",
        ylabel="census distance",
    )
    axes[1].legend()
    return figure


# %% tags=["hide-input"]
plotting.show(
    both_losses(),
    "The two parts of the loss: Charbonnier against the error (left), "
    "census distance against a shift and a change of brightness (right).",
    alt="Left: a V with a rounded tip beside the V of the absolute error. "
    "Right: the census distance rises steeply with a shift of one pixel, "
    "and hardly with a change of brightness by a few steps of 10 %.",
)

# %% [markdown]
# The census distance penalises a shift by a pixel far more than a change of brightness by several per cent. In tomography
# the position of an atom matters more than its exact grey value, which is why the term is there. Both terms are absolute,
# though. Errors at large gaps are tens of times those at small gaps, so a network for all rates learns from the large
# gaps alone. [Chapter 5](05_training.ipynb) trains with a loss that gives every rate equal weight.

# %% [markdown]
# ## Take away
#
# - TSGNet warps both frames, blends them and adds a residual; untrained, ours is linear interpolation.
# - A correction should grow with the motion. A particle is transparent, so no flow per pixel is exact.
#
# ## Check yourself
#
# **1.** Why can no flow describe a tilted particle exactly?
#
# ```{dropdown} Answer 1
# It is transparent: one pixel contains atoms above and below the axis, which move in opposite directions.
# ```
#
# **2.** What does the untrained network of this chapter predict?
#
# ```{dropdown} Answer 2
# Linear interpolation: its flows and residual are zero and its mask weights the frames by time.
# ```
#
# **3.** The error of linear interpolation is of second order in the displacement. What happens to it when the gap halves?
#
# ```{dropdown} Answer 3
# It falls to about a quarter, while the displacement is small.
# ```
#
# **4.** What is the residual for?
#
# ```{dropdown} Answer 4
# For what motion can't explain, such as two atoms that meet between the frames.
# ```
#
# **5.** Which loss punishes a shift by a pixel more than a wrong brightness?
#
# ```{dropdown} Answer 5
# The census distance, which compares each pixel with its neighbours.
# ```
#
# ## Exercises
#
# 1. *One flow per pixel.* Give the two-atom example four measured frames, 30° apart and then 5° apart, and put a cubic spline
#    through them (`scipy.interpolate.CubicSpline`). When does it find the crossing?
# 2. *Ablation.* Fix the flows at zero (only residual and mask remain) and train as in Chapter 5. How much of the gain is left?
#    A forward hook on each decoder can zero the first four channels of its output.
#
# Try first; then compare with the [solutions](10_solutions.ipynb), which were run for these pages.
