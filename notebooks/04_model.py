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
# TSGNet predicts the frame at a time $t$ between two measured frames. It borrows from video interpolation (IFRNet): estimate, from coarse
# to fine, how every pixel of the missing frame moved from each of the two, **warp** both there, **blend** them, and add a **residual** for
# what motion can't explain. "Angular-sparsity-invariant" means that one network serves every gap.
#
# | | |
# |---|---|
# | **You need** | [Chapter 3](03_sparsity.ipynb); convolutional networks at the level of a first course |
# | **You learn** | how features, flows, mask and residual work together; why a transparent object is a hard case for flow; what the loss rewards |
# | **Next** | [Chapter 5](05_training.ipynb) trains it |

# %% tags=["parameters"]
artifacts = "../artifacts/smoke"
channels = [16, 24, 36, 48]

# %% tags=["hide-input"]
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch

from tsg_core import chapters as names
from tsg_core import datasets, interpolation, losses, plotting, prediction, sparsity
from tsg_core.artifacts import Artifacts
from tsg_core.model import TSGNet

plotting.use_book_style()
store = Artifacts(artifacts)
torch.manual_seed(0)
# %% [markdown]
# ## One encoder, four levels
#
# Both frames pass through the same encoder. Each level halves the size and sees twice as far. The decoder starts at the
# coarsest level, where a large motion is a small one, and hands flows and features down to finer ones.

# %%
published = TSGNet(residual_channels=3)
network = TSGNet(channels=tuple(channels), linear_start=True)


def parameters_of(model):
    return {
        name: sum(p.numel() for p in block.parameters())
        for name, block in model.named_children()
    }


table = pd.DataFrame(
    {"published size": parameters_of(published), "this run": parameters_of(network)}
)
table.loc["all"] = table.sum()
table.style.format("{:,.0f}")

# %% [markdown]
# What flows through it, for a pair of 64 × 64 frames, read from the module itself while it runs:

# %%
shapes = []
for name, block in network.named_modules():
    if (
        name.startswith("decoder")
        and "." not in name
        or name.startswith("encoder.pyramid")
        and name.count(".") == 1
    ):
        block.register_forward_hook(
            lambda m, x, y, name=name: shapes.append(
                (name, tuple(x[0].shape), tuple(y.shape))
            )
        )
with torch.inference_mode():
    network(torch.rand(1, 1, 64, 64), torch.rand(1, 1, 64, 64), 0.5)
pd.DataFrame(
    [
        {
            "block": name,
            "channels in": x[1],
            "channels out": y[1],
            "size in": f"{x[3]} × {x[2]}",
            "size out": f"{y[3]} × {y[2]}",
        }
        for name, x, y in shapes
    ]
).style.hide(axis="index")

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
# time. Our networks start exactly there, so every step of training is a step away from the baseline, and a short training cannot
# fall far below it.

# %%
dataset = datasets.Dataset(store.path(names.series_name("validation", "non_aberrated")))
series = dataset[0]
trios = sparsity.midpoint_trios(len(series), rate=6, offset=0)
measured = series.subset(np.union1d(trios[:, 0], trios[:, 2]))
targets_deg = series.tilt_deg[trios[:, 1]]
untrained = prediction.predict_frames(network, measured, tilt_deg=targets_deg)
linear = interpolation.densify(measured, tilt_deg=targets_deg, method="linear").frames
plotting.say(
    f"Largest difference between the untrained network and linear interpolation: "
    f"{np.abs(untrained - linear).max() / series.frames.max():.1e} of the brightest pixel."
)

# %% [markdown]
# ## Why this is harder than video
#
# In a video a pixel shows one surface, which moves one way. A particle is **transparent**: a pixel sums all atoms along the beam.
# When the particle tilts, the atoms in front move to one side and those behind to the other. Two atoms on one line, one
# above the tilt axis and one below, show it; nothing else is needed.

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
axis.set(
    xlabel="column (Å)",
    ylabel="intensity",
    title="Two atoms, 8 Å above and below the tilt axis, at −15°, 0° and +15°",
)
axis.legend()
plt.show()

# %% [markdown]
# At ±15° the two atoms appear on either side, *in both frames alike*. The frames are equal, so any flow between them sees
# nothing move, and yet the atoms cross in between. What is lacking is not a better flow but knowledge of the object: other frames, or what a
# network has learnt of particles. The residual is where TSGNet can put it.
#
# ## How far does it see?
#
# The gradient of one predicted pixel with respect to an input frame shows which pixels it depends on.

# %%
probe_net = TSGNet(channels=tuple(channels))
frame = torch.rand(1, 1, 192, 192, requires_grad=True)
probe_net(frame, torch.rand(1, 1, 192, 192), 0.5)[0, 0, 96, 96].backward()
# the mean that is subtracted touches every pixel by the same tiny amount: take that off
sensitivity = frame.grad[0, 0].abs().numpy()
reached = np.nonzero((sensitivity > 1.5 * np.median(sensitivity)).any(axis=0))[0]
plotting.say(
    f"A predicted pixel depends on a window of about {reached.max() - reached.min() + 1} pixels, "
    f"an atom's whole path for moderate gaps."
)

# %% [markdown]
# ## What the loss rewards
#
# $L = L_r + \eta L_g$ with $\eta = 0.01$. $L_r$ is a **Charbonnier** distance, an absolute error with a rounded tip, plus a **census**
# distance, which compares each pixel with its 7 × 7 neighbours and so looks at structure rather than brightness. $L_g$ asks the
# decoder's features to look like the encoder's features of the true frame.

# %%
d = torch.linspace(-0.02, 0.02, 201)
curve = [losses.charbonnier(v[None], torch.zeros(1)).item() for v in d]
figure, axes = plt.subplots(1, 2, figsize=(8, 2.6))
axes[0].plot(d.numpy(), d.abs().numpy(), "k--", lw=1, label="absolute error")
axes[0].plot(d.numpy(), curve, label="Charbonnier")
axes[0].set(xlabel="error", ylabel="penalty")
axes[0].legend()
target = torch.tensor(series.frames[len(series) // 2] / series.frames.max())[None, None]
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
axes[1].set(xlabel="shift (pixels) or brightness (10 %)", ylabel="census distance")
axes[1].legend()
plt.show()

# %% [markdown]
# The census distance punishes a shift by a pixel far more than a change of brightness by several per cent. For tomography
# the position of an atom matters more than the exact grey value, and that is what the term is for.
#
# ## Exercises
#
# 1. *One flow per pixel.* Extend the two-atom example to three measured frames. Does the cubic spline through them find the crossing?
# 2. *Ablation.* Set the flows to zero for good (only residual and mask remain) and train as in Chapter 5. How much of the gain is left?
#
# ```{dropdown} Hint for 2
# Register a forward hook on each decoder that zeroes the first four channels of its output.
# ```
