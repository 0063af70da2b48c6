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
# # 6. Prediction: every method beside every other
#
# Now the test particles come in, for the first and only time. At every rate each method gets the same measured frames and predicts the same
# midpoints. This reproduces Table 1 and Figure 2 of the TSGNet paper, with the baselines that the paper left out.
#
# | | |
# |---|---|
# | **You need** | [Chapter 5](05_training.ipynb) |
# | **You learn** | what each method assumes; how to compare methods fairly; what an interval over particles says |
# | **Next** | [Chapter 7](07_reconstruction.ipynb) asks what better frames do for the volume |

# %% tags=["parameters"]
artifacts = "../artifacts/smoke"
methods = ["linear", "cubic", "sirt_reprojection", "reprojection", "tsgnet"]
rates = [1, 3, 6, 12]
n_offsets = 1
seed = 1

# %% tags=["hide-input"]
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from tsg_core import chapters as names
from tsg_core import (
    comparison,
    datasets,
    evaluation,
    interpolation,
    plotting,
    results,
    sparsity,
    summary,
)
from tsg_core.artifacts import Artifacts
from tsg_core.microscope import MICROSCOPES

plotting.use_book_style()
store = Artifacts(artifacts)
checkpoint = store.path(names.TSGNET) / "model.safetensors"
test = {
    m: datasets.Dataset(store.path(names.series_name("test", m))) for m in MICROSCOPES
}

# %% [markdown]
# ## The methods
#
# | method | what it assumes | what it uses |
# |---|---|---|
# | linear | intensity changes evenly between two frames | the two neighbours |
# | cubic | intensity changes smoothly | a spline through all measured frames |
# | sirt_reprojection | the frames are projections of one volume | a SIRT volume of all measured frames, projected at the target |
# | reprojection | the same, and what the volume misses changes evenly | that projection plus the interpolated residual of the measured frames |
# | tsgnet | atoms move as they did in training | the two neighbours and the trained weights |
#
# All see frames divided by one number, the brightest pixel of the *measured* frames. The errors use one peak for all methods: the brightest pixel of
# the particle's full series.
#
# ## Run them all

# %%
store.make(
    names.FRAME_METRICS,
    lambda folder: comparison.frame_metrics(
        test,
        folder,
        methods=methods,
        rates=rates,
        n_offsets=n_offsets,
        checkpoint=checkpoint,
    ),
    parameters={"methods": methods, "rates": rates, "n_offsets": n_offsets},
    inputs=[names.TSGNET, *(names.series_name("test", m) for m in MICROSCOPES)],
    code=(comparison,),
)
table = comparison.read_table(store.path(names.FRAME_METRICS))
recorded = results.recorded("frame_metrics")

# %% [markdown]
# ## Table 1: averages over the rates
#
# Means over the test particles with 95 % bootstrap intervals; *gain* is the paired difference in PSNR to linear interpolation on the same frames.


# %% tags=["hide-input"]
def table_1(table):
    gains = summary.gain_over(table, column="psnr_dB", of="method", baseline="linear")
    means = summary.over_particles(
        gains,
        by=["microscope", "method"],
        columns=["mse", "psnr_dB", "ssim", "gain"],
        seed=seed,
    )
    return pd.DataFrame(
        {
            "microscope": means.microscope.str.replace("_", "-"),
            "method": means.method,
            "MSE": means.mse.map("{:.2e}".format),
            "PSNR (dB)": [
                summary.with_interval(*v)
                for v in means[["psnr_dB", "psnr_dB_low", "psnr_dB_high"]].to_numpy()
            ],
            "SSIM": [
                summary.with_interval(*v, digits=3)
                for v in means[["ssim", "ssim_low", "ssim_high"]].to_numpy()
            ],
            "gain (dB)": [
                summary.with_interval(*v)
                for v in means[["gain", "gain_low", "gain_high"]].to_numpy()
            ],
        }
    )


table_1(table).style.hide(axis="index").set_caption(
    f"This run: {table.particle.nunique()} particles, rates {rates}"
)

# %% tags=["hide-input"]
results.show(recorded, table_1, caption="Recorded run of the profile book")

# %% [markdown]
# The paper's printed values, averaged over rates 1 to 12 on its 99 test particles:

# %% tags=["hide-input"]
paper = summary.PAPER_TABLE_1.assign(
    microscope=summary.PAPER_TABLE_1.microscope.str.replace("_", "-")
)
paper.rename(columns={"mse": "MSE", "psnr_dB": "PSNR (dB)", "ssim": "SSIM"}).style.hide(
    axis="index"
).format({"MSE": "{:.2e}", "PSNR (dB)": "{:.2f}", "SSIM": "{:.2f}"})

# %% [markdown]
# Absolute values can't be compared across these tables. MSE scales with the square of the intensity unit, PSNR with the choice of its peak, and both with
# the part of the frame that is empty: a small particle in a large field has many pixels that anybody predicts well. What can be compared is
# the *difference* between two methods on the same frames.
#
# ## Figure 2: errors against the rate


# %% tags=["hide-input"]
def figure_2(table, title):
    metrics = {"mse": "MSE", "psnr_dB": "PSNR (dB)", "ssim": "SSIM"}
    means = summary.over_particles(
        table, by=["microscope", "method", "rate"], columns=list(metrics), seed=seed
    )
    figure, axes = plt.subplots(2, 3, figsize=(10, 5.6), sharex=True)
    for row, microscope in zip(axes, MICROSCOPES, strict=True):
        for axis, (column, label) in zip(row, metrics.items(), strict=True):
            plotting.plot_with_interval(
                axis,
                means[means.microscope == microscope],
                x="rate",
                y=column,
                by="method",
            )
            axis.set(ylabel=label, title=microscope.replace("_", "-"))
        row[0].set_yscale("log")
    axes[0, 1].legend(fontsize=8)
    figure.suptitle(title)
    plt.show()


figure_2(table, "This run")

# %% tags=["hide-input"]
results.show(recorded, lambda t: figure_2(t, "Recorded run of the profile `book`"))

# %% [markdown]
# ## In words


# %% tags=["hide-input"]
def sentence(table, microscope):
    gains = summary.gain_over(
        table[table.microscope == microscope],
        column="psnr_dB",
        of="method",
        baseline="linear",
    )
    means = summary.over_particles(
        gains, by=["method"], columns=["gain"], seed=seed
    ).set_index("method")
    best = means.gain.idxmax()
    texts = [
        f"{m} gains {summary.with_interval(*means.loc[m, ['gain', 'gain_low', 'gain_high']])} dB over linear"
        for m in means.index
        if m != "linear"
    ]
    return f"- **{microscope.replace('_', '-')}**: {'; '.join(texts)}. Best on average: **{best}**."


plotting.say("\n".join(sentence(table, m) for m in MICROSCOPES))

# %% [markdown]
# ## What the errors look like
#
# One test particle at a rate of six, the frame where TSGNet loses most against the truth: the worst case, not the prettiest.

# %%
microscope = "non_aberrated"
series = test[microscope][0]
trios = sparsity.midpoint_trios(len(series), rate=6, offset=0)
measured = series.subset(np.union1d(trios[:, 0], trios[:, 2]))
targets = trios[:, 1]
guesses = {
    m: interpolation.densify(
        measured, tilt_deg=series.tilt_deg[targets], method=m, checkpoint=checkpoint
    ).frames
    for m in methods
}
worst = int(
    np.argmin(
        evaluation.image_metrics(
            guesses["tsgnet"], series.frames[targets], peak=series.frames.max()
        ).psnr_dB
    )
)
truth = series.frames[targets[worst]]
plotting.show_frames(
    np.array([truth, *(g[worst] for g in guesses.values())]),
    [f"truth, {series.tilt_deg[targets[worst]]:.0f}°", *guesses],
    pixel_size_A=series.pixel_size_A,
    columns=6,
)
plt.show()
limit = np.abs(guesses["linear"][worst] - truth).max()
plotting.show_frames(
    np.array([g[worst] - truth for g in guesses.values()]),
    [f"{m} − truth" for m in guesses],
    pixel_size_A=series.pixel_size_A,
    vmin=-limit,
    vmax=limit,
    cmap="RdBu_r",
)
plt.show()

# %% [markdown]
# Now the whole series, truth and predictions side by side; every second frame would have been missing.

# %%
full = sparsity.midpoint_trios(len(series), rate=3, offset=0)
sparse_series = series.subset(np.union1d(full[:, 0], full[:, 2]))
inside = (series.tilt_deg >= sparse_series.tilt_deg[0]) & (
    series.tilt_deg <= sparse_series.tilt_deg[-1]
)
shown = series.subset(np.flatnonzero(inside))
compared = {"truth": shown} | {
    m: interpolation.densify(
        sparse_series, tilt_deg=shown.tilt_deg, method=m, checkpoint=checkpoint
    )
    for m in ("linear", "tsgnet", "reprojection")
}
plotting.show_plotly(
    plotting.tilt_slider_figure(
        compared,
        every=3,
        title=f"{test[microscope].names[0]}, a measured frame every {np.diff(sparse_series.tilt_deg)[0]:.0f}°",
    )
)

# %% [markdown]
# ## By element

# %%
by_element = table.assign(element=table.particle.str.split().str[1])
pivot = by_element.pivot_table(
    index=["microscope", "element"], columns="method", values="psnr_dB"
)[methods]
pivot.style.format("{:.1f}").highlight_max(axis=1, props="font-weight: bold")

# %% [markdown]
# ## Exercises
#
# 1. *A fairer linear?* Linear interpolation knows nothing of its own error. Predict with the mean of *four* frames, weighted to reproduce a cubic
#    polynomial in the tilt, and place it in the table.
# 2. *Peak.* Recompute the PSNR with the brightest pixel of each single frame as its peak. Which methods change places? Why is a peak taken from
#    the target a bad idea?
#
# ```{dropdown} Solution of 2
# None change places within a frame, since the same number is added to all methods' values. The average over frames does change: frames along a
# zone axis, with a high peak, gain weight. A peak from the target also can't be known when the target is missing.
# ```
