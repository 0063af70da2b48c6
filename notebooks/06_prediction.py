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
# # 6. Prediction: all methods compared
#
# Now the test particles decide. Earlier chapters showed some of them as examples; here all of them are scored, once, and no
# choice follows from it. Their elements and shapes are in no training. At every rate
# each method gets the same measured frames and predicts the same midpoints. This reproduces Table 1 and Figure 2 of the
# TSGNet paper, with the baselines that the paper left out.
#
# | | |
# |---|---|
# | **You need** | [Chapter 5](05_training.ipynb) |
# | **You learn** | what each method assumes; how to compare methods fairly; what an interval over particles means; where a network loses |
# | **Next** | [Chapter 7](07_reconstruction.ipynb) asks what better frames do for the volume |

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
methods = [
    "nearest",
    "linear",
    "cubic",
    "flow",
    "sirt_reprojection",
    "reprojection",
]
networks = ["small"]
rates = [3, 12]
n_offsets = 1
seed = 1

# %% tags=["hide-input"]
from functools import partial

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from tsg_core import evaluation, interpolation, sparsity
from tsg_core.model import shipped
from tsg_core.samples.multislice_series import prism_series
from tsg_core.simulation import datasets
from tsgbook import chapters as names
from tsgbook import results
from tsgbook.artifacts import Artifacts
from tsgbook.experiments import (
    frames_and_volumes,
    multislice_table,
    summary,
)
from tsgbook.figures import plotting
from tsgbook.profiles import find_root
from tsgbook.simulated import simulated_microscopes

# %% tags=["hide-input"]
plotting.use_book_style()
store = Artifacts(artifacts)
test = {
    m: datasets.Dataset(store.path(names.series_name("test", m)))
    for m in simulated_microscopes(store)
}
sharpest = list(test)[-1]  # in figures of one microscope
checkpoints = {
    "tsgnet" if n == shipped.DEFAULT else f"tsgnet {n}": (
        store.path(names.TSGNET) / "model.safetensors"
        if n == "trained"
        else n
    )
    for n in networks
}

# %% [markdown]
# ## The methods
#
# | method | what it assumes | what it uses |
# |---|---|---|
# | nearest | nothing moves | the nearest frame |
# | linear | intensity changes evenly between two frames | the two neighbours |
# | cubic | intensity changes smoothly | a spline through all measured frames |
# | flow | every pixel shows one surface, which moves | the two neighbours, warped along their optical flow |
# | sirt_reprojection | the frames are projections of one volume | a SIRT volume of all measured frames, projected at the target |
# | reprojection | the same, and what the volume misses changes evenly | that projection plus the interpolated residual of the measured frames |
# | tsgnet | atoms move as they did in training | the two neighbours and the shipped weights of [Chapter 5](05_training.ipynb) |
#
# The parameter `networks` names the networks that take part: shipped ones, or `trained`, the one that Chapter 5 has just trained.
#
# All methods see frames divided by one number, the brightest pixel of the *measured* frames. The errors use one peak for all
# methods: the brightest pixel of the particle's full series.
#
# ## Run them all

# %%
store.make(
    names.FRAME_METRICS,
    frames_and_volumes.frame_metrics,
    parameters={
        "data": test,
        "methods": methods,
        "networks": checkpoints,
        "rates": rates,
        "n_offsets": n_offsets,
    },
)
table = frames_and_volumes.read_table(store.path(names.FRAME_METRICS))
recorded = results.recorded("frame_metrics")
show_runs = partial(
    results.show, recorded, this_run=table, profile=store.folder.name
)

# %% [markdown]
# ## Table 1: averages over the rates
#
# Means over the test particles with 95 % bootstrap intervals; *gain* is the paired difference in PSNR from linear
# interpolation on the same frames.


# %% tags=["hide-input"]
def with_intervals(means, name, *, digits=2):
    columns = means[[name, f"{name}_low", f"{name}_high"]].to_numpy()
    return [summary.with_interval(*v, digits=digits) for v in columns]


def table_1(table):
    gains = summary.gain_over(
        table, column="psnr_dB", of="method", baseline="linear"
    )
    means = summary.over_particles(
        gains,
        by=["microscope", "method"],
        columns=["mse", "psnr_dB", "ssim", "gain"],
        seed=seed,
    )
    means = means.sort_values("gain", ascending=False)
    means = means.sort_values("microscope", kind="stable")
    return pd.DataFrame(
        {
            "method": means.method,
            "microscope": means.microscope.str.replace("_", "-"),
            "gain (dB)": with_intervals(means, "gain"),
            "PSNR (dB)": with_intervals(means, "psnr_dB"),
            "SSIM": with_intervals(means, "ssim", digits=3),
            "MSE": means.mse.map("{:.2e}".format),
        }
    )


# %%
show_runs(table_1, caption="Averages over the rates, best first")

# %% [markdown]
# ## Compared with the paper
#
# The values printed in the paper are averages over rates 1 to 12 on its 99 test particles.


# %% tags=["hide-input"]
def beside_the_paper(table):
    keys = ["microscope", "method"]
    columns = ["mse", "psnr_dB", "ssim"]
    ours = summary.over_particles(
        table, by=keys, columns=columns, seed=seed
    )
    both = {
        "here": ours.set_index(keys)[columns],
        "paper": summary.PAPER_TABLE_1.set_index(keys)[columns],
    }
    for values in both.values():
        linear = values.xs("linear", level="method").psnr_dB
        values["gain"] = values.psnr_dB - linear.reindex(
            values.index, level=0
        )
        values["peak"] = np.sqrt(values.mse * 10 ** (values.psnr_dB / 10))
    joined = (
        pd.concat(both, axis=1).loc[both["paper"].index].swaplevel(axis=1)
    )
    return readable(joined)


# %% tags=["hide-input"]
def readable(joined):
    labels = {
        "psnr_dB": "PSNR (dB)",
        "gain": "gain (dB)",
        "ssim": "SSIM",
        "mse": "MSE",
        "peak": "implied peak",
    }
    joined = joined[list(labels)].rename(columns=labels, level=0)
    joined = joined.reset_index()
    joined["microscope"] = joined["microscope"].str.replace("_", "-")
    formats = {"MSE": "{:.2e}", "implied peak": "{:.1e}", "SSIM": "{:.3f}"}
    for column in joined.columns[2:]:
        joined[column] = joined[column].map(
            formats.get(column[0], "{:.2f}").format
        )
    return joined


# %%
show_runs(beside_the_paper, caption="Here and in the paper")

# %% [markdown]
# Read the gains, not the absolute values, which differ for four reasons:
#
# - **The unit of intensity.** MSE is proportional to its square. Our unit is the fraction of the incident beam.
# - **The peak.** A PSNR and an MSE together imply the peak, $P = \sqrt{\mathrm{MSE} \cdot 10^{\mathrm{PSNR}/10}}$,
#   approximately, since both are means. It is in the last columns. Twice the peak adds 6 dB to every method.
# - **The empty part of the frame.** A small particle in a large field leaves many pixels that any method predicts well.
# - **The samples.** The paper's particles are larger, and its frames have 512 × 512 pixels.
#
# ## Figure 2: errors against the rate


# %% tags=["hide-input"]
def figure_2(table):
    metrics = {"mse": "MSE", "psnr_dB": "PSNR (dB)", "ssim": "SSIM"}
    keys = ["microscope", "method", "rate"]
    means = summary.over_particles(
        table, by=keys, columns=list(metrics), seed=seed
    )
    lines = {"x": "rate", "by": "method"}
    present = list(dict.fromkeys(table.microscope))
    figure, axes = plt.subplots(
        len(present),
        3,
        figsize=(10, 2.8 * len(present)),
        sharex=True,
        squeeze=False,
    )
    for row, microscope in zip(axes, present, strict=True):
        rows = means[means.microscope == microscope]
        for axis, (column, label) in zip(row, metrics.items(), strict=True):
            plotting.plot_with_interval(axis, rows, y=column, **lines)
            axis.set(ylabel=label, title=microscope.replace("_", "-"))
        row[0].set_yscale("log")
    axes[0, 1].legend(fontsize=8)
    plotting.show(
        figure,
        "Errors of predicted midpoints against the rate: means over "
        f"{table.particle.nunique()} test particles with 95 % intervals.",
        alt="Six plots: MSE, PSNR and SSIM for both microscopes, a line "
        "for each method. All errors grow with the rate. Non-aberrated: "
        + plotting.values_in_words(rows, y="psnr_dB", **lines),
    )


# %%
show_runs(figure_2)

# %% [markdown]
# ## In words


# %% tags=["hide-input"]
def gains_of(table):
    return summary.gain_over(
        table, column="psnr_dB", of="method", baseline="linear"
    )


def sentence(table, microscope):
    gains = gains_of(table[table.microscope == microscope])
    means = summary.over_particles(
        gains, by=["method"], columns=["gain"], seed=seed
    )
    means = means[means.method != "linear"].sort_values(
        "gain", ascending=False
    )
    texts = [
        f"{row.method} "
        f"{summary.with_interval(row.gain, row.gain_low, row.gain_high)}"
        for row in means.itertuples()
    ]
    return f"- **{microscope.replace('_', '-')}**: {', '.join(texts)}."


# %% tags=["hide-input"]
def lowest(table, method):
    """The rate at which a method stands worst against linear."""
    gains = gains_of(table)
    means = summary.over_particles(
        gains[gains.method == method],
        by=["microscope", "rate"],
        columns=["gain"],
        seed=seed,
    )
    row = means.loc[means.gain.idxmin()]
    return (
        f"- **{method}** stands lowest at rate {row.rate}, "
        f"{row.microscope.replace('_', '-')}: "
        f"{summary.with_interval(row.gain, row.gain_low, row.gain_high)} "
        "dB."
    )


def in_words(table):
    learned = [m for m in table.method.unique() if m.startswith("tsgnet")]
    lines = [sentence(table, m) for m in dict.fromkeys(table.microscope)]
    lines += [lowest(table, method) for method in learned]
    return "\n".join(lines)


show_runs(
    lambda t: plotting.say(
        "Gain over linear interpolation in dB, best first:\n\n"
        + in_words(t)
    )
)

# %% [markdown]
# ## Where the network loses
#
# Means hide failures. Of all particles and rates, these are the ones with the smallest gain of the network over linear interpolation:

# %%
learned = next(iter(checkpoints))
cases = gains_of(table).query("method == @learned").nsmallest(5, "gain")
below = (gains_of(table).query("method == @learned").gain < 0).sum()
plotting.say(
    f"Below linear interpolation: {below} of "
    f"{(table.method == learned).sum()} combinations of particle, "
    "microscope and rate."
)
cases.assign(microscope=cases.microscope.str.replace("_", "-"))[
    ["particle", "microscope", "rate", "psnr_dB", "gain"]
].rename(
    columns={"psnr_dB": "PSNR (dB)", "gain": "gain (dB)"}
).style.format(precision=2).hide(axis="index")

# %% [markdown]
# Here is the first of them, with the frame in which the network does worst against linear interpolation: the truth, the
# prediction by every method, and below it where the prediction is too high (red) or too low (blue).

# %%
worst = cases.iloc[0]
series = test[worst.microscope][int(worst.particle.split()[0])]
trios = sparsity.midpoint_trios(len(series), rate=int(worst.rate), offset=0)
measured = series.subset(np.union1d(trios[:, 0], trios[:, 2]))
targets = trios[:, 1]


# %%
def densify(sparse, method, tilt_deg):
    return interpolation.densify(
        sparse,
        tilt_deg=tilt_deg,
        method="tsgnet" if method in checkpoints else method,
        checkpoint=checkpoints.get(method),
    )


guesses = {
    m: densify(measured, m, series.tilt_deg[targets]).frames
    for m in [*methods, *checkpoints]
}
peak = series.frames.max()
psnr_dB = {
    m: evaluation.image_metrics(
        g, series.frames[targets], peak=peak
    ).psnr_dB
    for m, g in guesses.items()
}

# %% tags=["hide-input"]
k = int(np.argmin(psnr_dB[learned] - psnr_dB["linear"]))
truth = series.frames[targets[k]]
figure = plotting.show_frames(
    np.array([truth, *(g[k] for g in guesses.values())]),
    [
        f"truth, {series.tilt_deg[targets[k]]:.0f}°",
        *(f"{m}\n{psnr_dB[m][k]:.1f} dB" for m in guesses),
    ],
    pixel_size_A=series.pixel_size_A,
    columns=4,
)
plotting.show(
    figure,
    f"{worst.particle}, {worst.microscope.replace('_', '-')}, rate "
    f"{worst.rate}: the frame in which the network does worst, and all "
    "predictions of it.",
    alt=f"Grey frames: the truth at {series.tilt_deg[targets[k]]:.0f}° and "
    "the prediction by each method with its PSNR, "
    + ", ".join(f"{m} {psnr_dB[m][k]:.1f} dB" for m in guesses)
    + ".",
)

# %% tags=["hide-input"]
limit = np.abs(guesses["linear"][k] - truth).max()
figure = plotting.show_frames(
    np.array([g[k] - truth for g in guesses.values()]),
    [f"{m} − truth" for m in guesses],
    pixel_size_A=series.pixel_size_A,
    vmin=-limit,
    vmax=limit,
    cmap="RdBu_r",
    colour_bar="difference",
    columns=4,
)
plotting.show(
    figure,
    "Where the predictions are too bright (red) and too dark (blue).",
    alt="Maps of prediction minus truth, one for each method, on one scale "
    "that linear interpolation fills.",
)

# %% [markdown]
# ## A whole series
#
# Now a whole series at a rate of three, truth and predictions side by side. Move the slider: linear interpolation flickers
# between sharp measured frames and doubled frames in between.

# %%
series = test[sharpest][0]
full = sparsity.midpoint_trios(len(series), rate=3, offset=0)
sparse_series = series.subset(np.union1d(full[:, 0], full[:, 2]))
inside = (series.tilt_deg >= sparse_series.tilt_deg[0]) & (
    series.tilt_deg <= sparse_series.tilt_deg[-1]
)
shown = series.subset(np.flatnonzero(inside))
compared = {"truth": shown} | {
    m: densify(sparse_series, m, shown.tilt_deg)
    for m in ("linear", learned, "reprojection")
}
plotting.show_tilts(
    compared,
    f"{test[sharpest].names[0]}, a measured frame every "
    f"{np.diff(sparse_series.tilt_deg)[0]:.0f}°.",
    every=3,
    alt="Four grey frames side by side: the truth, and predictions by "
    f"linear interpolation, {learned} and reprojection. Between measured "
    "frames the linear prediction shows every atom twice.",
)

# %% [markdown]
# ## By element
#
# Heavy atoms are bright points, light atoms are faint blurs. The table shows the mean PSNR over the rates, with the best of each row in bold:


# %% tags=["hide-input"]
def by_element(table):
    rows = table.assign(
        element=table.particle.str.split().str[1],
        microscope=table.microscope.str.replace("_", "-"),
    )
    means = rows.pivot_table(
        index=["microscope", "element"], columns="method", values="psnr_dB"
    )
    means = means[means.mean().sort_values(ascending=False).index]
    return means.style.format("{:.1f}").highlight_max(
        axis=1, props="font-weight: bold"
    )


show_runs(by_element, caption="PSNR in dB, best method first")

# %% [markdown]
# ## Off its own model
#
# `reprojection` fits an object through the same image model that made the frames, and so does `atoms` (atoms at positions,
# fitted to all frames), even more closely; on real frames it may add a term for channelling. Testing a method on frames of its own model is called an **inverse crime**: real
# electrons do not follow a convolution. The package ships a series made by another model, PRISM, which includes channelling:
# 77 atoms of ytterbium at 35 mrad. Its frames are 6° apart; every second or every fourth counts as measured, and the others
# are predicted. [Chapter 8](08_one_object.ipynb) does the same for multislice frames of both microscopes.

# %%
multislice_series, true_positions_A = prism_series()
rows = []
for every in (2, 4):
    known = multislice_series.subset(slice(None, None, every))
    wanted = multislice_series.subset(slice(every // 2, -1, every))
    row = {"measured every": f"{6 * every}°", "frames": len(known)}
    for method in ("linear", "cubic", "tsgnet", "reprojection", "atoms"):
        predicted = interpolation.densify(
            known, tilt_deg=wanted.tilt_deg, method=method
        )
        peak = multislice_series.intensity_scale
        metrics = evaluation.image_metrics(
            predicted.frames, wanted.frames, peak=peak
        )
        row[method] = np.mean(metrics.psnr_dB)
    rows.append(row)
multislice = pd.DataFrame(rows)
multislice.style.format(precision=1).hide(axis="index").set_caption(
    "PSNR (dB) of PRISM frames"
)

# %%
best = multislice.iloc[:, 2:].mean().sort_values(ascending=False)
plotting.say(
    "On PRISM frames, mean of both spacings, gain over linear: "
    + ", ".join(
        f"{m} {v - best['linear']:+.1f} dB"
        for m, v in best.items()
        if m != "linear"
    )
    + "."
)

# %% [markdown]
# ## The paper's physics
#
# The paper's frames are multislice frames; those above are not. The package therefore ships particles of the test elements by
# multislice: eight of them, in both microscopes, one frame every 4°. Kirkland's potential in slices of 2 Å is in no method:
# `dynamical` computes frames by multislice, too, but from Lobato's potential in slices of 3 Å. One frame every 8°, 16° or 24°
# counts as measured, as at the paper's rates 4, 8 and 12; the methods predict those half-way between. `dynamical` and `auto`
# take long and are scored at fewer frames, with linear interpolation at the same ones: compare gains, not PSNR. The table holds
# what `python benchmarks/multislice_tables.py frames` has scored; it counts the particles and the frames of each method. A mean
# over the spacings stands only where all of them were scored, since a wide spacing leaves more to gain.

# %%
scored = multislice_table.read_frames(
    find_root() / results.FOLDER / multislice_table.FOLDER
)
multislice_table.gains_table(
    scored,
    incoherent=table if recorded is None else recorded.table,
    seed=seed,
).style.hide(axis="index").set_caption(
    "Gain over linear (dB) on multislice frames by spacing, and its mean, "
    "with 95 % intervals over particles; the gain on the incoherent "
    "frames above at the same rates; the gain that the paper prints"
)

# %%
multislice_table.gains_by_element(scored).style.hide(
    axis="index"
).set_caption("Gain on multislice frames for each element (dB)")

# %% [markdown]
# ## Take away
#
# - Compare methods on the same frames, by paired gains over linear interpolation, with intervals over particles.
# - Methods that fit one object gain most on frames of their own model. Believe the gain on other frames.
# - Look at the worst cases: means hide them.
#
# ## Check yourself
#
# **1.** Two methods predict the same frames. Why is the interval of the *paired* difference narrower than those of both means?
#
# ```{dropdown} Answer 1
# Hard particles are hard for both: what they share cancels in the difference of each particle.
# ```
#
# **2.** What is an inverse crime?
#
# ```{dropdown} Answer 2
# A test on data made by the method's own model: it shows the gain that the method has if its model is true.
# ```
#
# **3.** A method gains 6 dB. By which factor is its mean squared error lower?
#
# ```{dropdown} Answer 3
# By about four: $10^{0.6}$.
# ```
#
# **4.** Why can't absolute PSNR values be compared with those of the paper?
#
# ```{dropdown} Answer 4
# They depend on the peak, on the empty part of the frames and on the samples. Gains on equal frames can be compared.
# ```
#
# **5.** When is `cubic` hard to beat?
#
# ```{dropdown} Answer 5
# When frames are so dense that atoms move by less than their width: then little is left to improve.
# ```
#
# ## Exercises
#
# 1. *A fairer linear?* Linear interpolation uses only two frames. Predict with the mean of *four* frames, weighted to
#    reproduce a cubic polynomial in the tilt, and add it to the table.
# 2. *Peak.* Recompute the PSNR with the brightest pixel of each single frame as its peak. Which methods change places? Why
#    is a peak taken from the target a bad idea?
#
# Try first; then compare with the [solutions](10_solutions.ipynb), which were run for these pages.
