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
# # 8. From two frames to one object
#
# Interpolation uses the two frames next to the missing one. But all frames of a tilt series show the same object. This chapter
# follows the methods from the first view to the second, tests them on frames that no method's own model made, and asks how
# far each can be trusted.
#
# | | |
# |---|---|
# | **You need** | [Chapter 6](06_prediction.ipynb) for the methods; of the computed results only those of [Chapter 2](02_simulation.ipynb) |
# | **You learn** | what each method assumes and how it fails; why the residual of an object cannot always be carried over; how much an inverse crime flatters a method; when fitted atoms can be trusted; whether stated uncertainties hold |
# | **Next** | [Chapter 9](09_your_own_sample.ipynb) does all this with a series of your own |

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
particles = ["Ag 75, decahedron"]
microscopes = ["non_aberrated"]
spacings_deg = [24.0]
n_test_particles = 1
test_rates = [6]
test_rates_each = 1
methods = [
    "linear",
    "cubic",
    "tsgnet",
    "reprojection",
    "kriging",
    "informed",
    "atoms",
]
volume_gaps = [12]
n_volume_particles = 1
volume_methods = ["linear", "tsgnet", "atoms"]
total_doses_per_A2 = [1e5]
dose_methods = ["atoms"]
seed = 1

# %% tags=["hide-input"]
from functools import partial
from itertools import product

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from ase.cluster import Icosahedron
from scipy.fft import dctn
from scipy.ndimage import gaussian_filter

# %% tags=["hide-input"]
from tsg_core import evaluation
from tsg_core.errors import TsgError
from tsg_core.evaluation import atom_peaks
from tsg_core.interpolation import kriging
from tsg_core.interpolation import methods as prediction
from tsg_core.interpolation.angles import spline_weights
from tsg_core.interpolation.atoms.fit import AtomSettings, fit_atoms
from tsg_core.interpolation.fitted_object import fitted_object
from tsg_core.interpolation.fitted_series import FittedSeries
from tsg_core.interpolation.informed import network
from tsg_core.microscope import MICROSCOPES
from tsg_core.reconstruction import projection
from tsg_core.samples import multislice_series
from tsg_core.simulation import datasets, noise, simulate_tilt_series
from tsg_core.structures import random_rotation
from tsg_core.tilt_series import TiltSeries
from tsgbook import chapters as names
from tsgbook import results
from tsgbook.artifacts import Artifacts
from tsgbook.experiments import atom_limits, frames_and_volumes, off_model
from tsgbook.experiments import dose as dose_arms

# %% tags=["hide-input"]
from tsgbook.figures import atoms as atom_figures
from tsgbook.figures import plotting, solids

plotting.use_book_style()
store = Artifacts(artifacts)
test = {
    m: datasets.Dataset(store.path(names.series_name("test", m)))
    for m in microscopes
}


def psnr_dB(frames, targets, peak):
    return evaluation.image_metrics(
        frames, targets.frames, peak=peak
    ).psnr_dB


# %% [markdown]
# ## What each method assumes
#
# | method | assumption | where it fails |
# |---|---|---|
# | linear, cubic | the value of each pixel changes evenly | columns of atoms move: two ghosts of half the strength appear between two frames |
# | tsgnet | what it learnt from other samples carries over, and two frames contain enough | atoms that meet or part between the two frames |
# | reprojection | all frames show one object; what it misses changes slowly | few frames leave the object undetermined |
# | kriging | the same, but the frames show how long the residual persists | the same |
# | informed | a network corrects the reprojection, and weights the fitted atoms if there are any, as in training | samples and microscopes unlike those of the training |
# | atoms | the object is a set of atoms | a sample without atoms, frames that do not resolve them, light atoms beside heavy ones |
# | dynamical | the same, and their elements and, to a few percent, the microscope are known | the same, or a microscope far from the stated one; large particles take hours |
# | auto | measured frames that are left out show how far to trust each of the others; it blends the best | too few frames to leave any out |
#
# The frames in this chapter are multislice frames: electrons pass the potential of every atom, slice by slice. Only `dynamical`
# uses that model, with another potential and other slices. Here is one frame half-way between two measured ones, and below it
# where each method is too high (red) or too low (blue). The second of these rows, for methods that see all frames, has a scale
# five times as fine.

# %%
shown_methods = [m for m in methods if m != "auto"]
series = multislice_series.reference_series(particles[0], "non_aberrated")
measured, targets = off_model.spacing_case(
    series, spacing_deg=max(spacings_deg)
)
guesses, refused = {}, {}
for method in shown_methods:
    try:
        guesses[method] = prediction.predict(
            method, measured, targets.tilt_deg
        )
    except TsgError as error:
        refused[method] = str(error)

# %% tags=["hide-input"]
k = len(targets) // 2
peak = series.intensity_scale
scores = {m: psnr_dB(g, targets, peak)[k] for m, g in guesses.items()}
truth = targets.frames[k]
figure = plotting.show_frames(
    [truth, *(g[k] for g in guesses.values())],
    [
        f"truth, {targets.tilt_deg[k]:.0f}°",
        *(f"{m}\n{scores[m]:.1f} dB" for m in guesses),
    ],
    pixel_size_A=series.pixel_size_A,
    columns=4,
)
plotting.show(
    figure,
    f"{particles[0]}, non-aberrated: a multislice frame half-way between "
    f"two measured ones {max(spacings_deg):g}° apart, and its predictions.",
    alt="Grey frames: the truth and the prediction by each method, "
    + ", ".join(f"{m} {scores[m]:.1f} dB" for m in guesses)
    + ".",
)

# %% tags=["hide-input"]
limit = 0.6 * np.abs(guesses["linear"][k] - truth).max()
near = [m for m in guesses if m in ("linear", "cubic", "tsgnet")]
for group, finer in ((near, 1), ([m for m in guesses if m not in near], 5)):
    figure = plotting.show_frames(
        [guesses[m][k] - truth for m in group],
        [f"{m} − truth" for m in group],
        pixel_size_A=series.pixel_size_A,
        vmin=-limit / finer,
        vmax=limit / finer,
        cmap="RdBu_r",
        colour_bar="difference",
        columns=4,
    )
    plotting.show(
        figure,
        "Where the predictions are too bright (red) and too dark (blue)"
        + (f"; a scale {finer} times as fine." if finer > 1 else "."),
        alt=f"Maps of prediction minus truth for {', '.join(group)}.",
    )
for method, reason in refused.items():
    plotting.say(f"**{method}** does not apply: {reason}.")

# %% [markdown]
# Methods that fit one object need enough views of it. Here is the same series with a frame only every 60°:

# %%
few, few_targets = off_model.spacing_case(series, spacing_deg=60.0)
few_scores = pd.DataFrame(
    off_model.method_scores(few, few_targets, ["reprojection", "atoms"])
)
plotting.say(
    f"{len(few)} frames, 60° apart: "
    + "; ".join(
        f"{row.method} {row.reason or f'{row.psnr_dB:.1f} dB'}"
        for row in few_scores.itertuples()
    )
    + "."
)

# %% [markdown]
# And here is a sample without atoms: a smooth body whose frames are plain projections. `reprojection` has no trouble with it;
# `atoms` must notice by itself that it does not apply.


# %%
def smooth_body(n=64, tilt_deg=np.arange(-90.0, 91.0, 6.0)):
    """Frames of a random smooth density in a sphere."""
    grid = np.indices((n, n, n)) - (n - 1) / 2
    lumps = gaussian_filter(
        np.random.default_rng(seed).normal(size=(n, n, n)), 4
    )
    inside = gaussian_filter(
        (np.sqrt((grid**2).sum(0)) < 0.32 * n).astype(float), 2
    )
    volume = (inside * (1 + 20 * lumps).clip(0)).astype(np.float32)
    return TiltSeries(
        projection.project(volume, tilt_deg=tilt_deg), tilt_deg, 0.5
    )


# %%
body = smooth_body()
body_measured, body_targets = off_model.spacing_case(body, spacing_deg=12.0)
body_scores = pd.DataFrame(
    off_model.method_scores(
        body_measured, body_targets, ["reprojection", "atoms"]
    )
)
figure = plotting.show_frames(
    body.frames[:: len(body) // 4][:4],
    [f"{t:.0f}°" for t in body.tilt_deg[:: len(body) // 4][:4]],
    pixel_size_A=body.pixel_size_A,
)
plotting.show(
    figure,
    "Projections of a smooth body.",
    alt="Four grey frames of a cloudy ball without atoms.",
)
plotting.say(
    "; ".join(
        f"**{row.method}** {row.reason or f'{row.psnr_dB:.1f} dB'}"
        for row in body_scores.itertuples()
    )
    + "."
)

# %% [markdown]
# A method that refuses is worth more than one that guesses: the choice `auto` continues without it.
#
# ## One object, and what it misses
#
# `reprojection` fits a volume to all frames and projects it. The part of a measured frame that the volume does not explain, its
# *residual*, is also signal, and must be carried over to the missing angles. A spline does this well as long as the residual
# changes slowly. Does it?
#
# At 35 mrad without aberration the probe is a point, and the residual is the effect of channelling on single columns. At
# 25 mrad with $C_s$ = 100 µm the probe has a halo many ångström wide, which contains most of its intensity. A crystal scatters
# a beam strongly if the beam runs along its planes: the strength as a function of angle is its *rocking curve*. Geometrical
# optics shows how the halo maps it: a ray that enters at an angle $\alpha$ lands $C_s \alpha^3$ away from the focus, so the
# halo around an atom is a map of the rocking curve over ±25 mrad. Two frames 3° apart (52 mrad) show two different pieces of
# that curve. For rays, they share nothing but what the whole curve has in common: its mean.
#
# Waves are less strict than rays, so we ask the frames. A dot is the correlation between the residuals of two frames that many
# degrees apart, in a band of low or high spatial frequencies: on the left as they are, on the right minus their mean over all
# frames.


# %%
def misses(series):
    """Residuals of the object fitted to a series, and the object."""
    fitted = fitted_object(series)
    return series.frames - fitted.frames(series.tilt_deg), fitted


def autocorrelation(frames, band, *, n_lags=9):
    """Correlation of frames with those 0, 1, ... places on, in a band."""
    n_y, n_x = frames.shape[1:]
    radius = np.hypot(np.arange(n_y)[:, None] / n_y, np.arange(n_x) / n_x)
    inside = (radius >= band[0]) & (radius < band[1])
    spectra = dctn(frames.astype(float), axes=(1, 2), norm="ortho")[
        :, inside
    ]
    pairs = [
        (spectra[: len(spectra) - lag], spectra[lag:])
        for lag in range(n_lags)
    ]
    return [
        (a * b).sum() / np.sqrt((a**2).sum() * (b**2).sum() + 1e-30)
        for a, b in pairs
    ]


# %% tags=["hide-input"]
bands = {
    "low": (0.0, kriging.EDGES[0]),
    "high": (kriging.EDGES[2], kriging.EDGES[4]),
}
wide = multislice_series.reference_series(particles[0], "aberrated")
sharp = series
step_deg = float(wide.tilt_deg[1] - wide.tilt_deg[0])
correlations = {}
for microscope, whole in (("aberrated", wide), ("non-aberrated", sharp)):
    left, _ = misses(whole)
    for band, edges in bands.items():
        correlations[microscope, band] = [
            autocorrelation(frames, edges)
            for frames in (left, left - left.mean(axis=0))
        ]

# %% tags=["hide-input"]
figure, axes = plt.subplots(1, 2, figsize=(8.5, 3), sharey=True)
for (microscope, band), both in correlations.items():
    for axis, values in zip(axes, both, strict=True):
        axis.plot(
            step_deg * np.arange(len(values)),
            values,
            "o-" if microscope == "aberrated" else "s--",
            ms=4,
            color="#D55E00" if band == "low" else "#0072B2",
            alpha=1.0 if microscope == "aberrated" else 0.5,
            label=f"{microscope}, {band} frequencies",
        )
titles = ("the residual", "less its mean over the frames")
for axis, title in zip(axes, titles, strict=True):
    axis.axhline(0, color="#999999", lw=0.8)
    axis.set(xlabel="apart (deg)", title=title)
axes[0].set_ylabel("correlation")
axes[1].legend(fontsize=8)
plotting.show(
    figure,
    "Correlation of the residuals of two frames against the angle between "
    "them: as they are (left), and less their mean (right).",
    alt="Four lines that fall from one at 0°. "
    + "; ".join(
        f"{m}, {band} frequencies, less the mean: {values[1][1]:.2f} at "
        f"{step_deg:.0f}°"
        for (m, band), values in correlations.items()
    )
    + ".",
)

# %% tags=["hide-input"]
for (microscope, band), (as_it_is, less_mean) in correlations.items():
    plotting.say(
        f"- {microscope}, {band} frequencies: {as_it_is[1]:.2f} at "
        f"{step_deg:.0f}° and {as_it_is[2]:.2f} at {2 * step_deg:.0f}°; "
        f"less the mean {less_mean[1]:.2f} and {less_mean[2]:.2f}."
    )

# %% [markdown]
# The residual of the sharp probe is forgotten about as fast, because its cone is even wider. But it is a much smaller part of its
# frames: see the column *not at all* of the table below.
#
# If frames share only the mean, the mean is the best guess. A spline through the values is a worse guess, because it follows
# what will not come back. `kriging` asks the measured frames themselves. For each band of frequencies it finds how long values
# persist, how much all frames have in common, and how much is noise, by the likelihood of a Gaussian process over the angle
# {cite:p}`rasmussen2006`. It follows what persists, and returns to the mean beyond. Here is the same object with its residual
# carried over in four ways:


# %%
def carried_in_four_ways(whole, spacing_deg):
    """Mean PSNR in dB of frames predicted with the same object."""
    measured, targets = off_model.spacing_case(
        whole, spacing_deg=spacing_deg
    )
    left, fitted = misses(measured)
    angles = {
        "measured_deg": measured.tilt_deg,
        "tilt_deg": targets.tilt_deg,
    }
    spline = spline_weights(*angles.values())
    ways = {
        "not at all": 0.0,
        "spline": np.tensordot(spline, left, axes=1),
        "mean": left.mean(axis=0),
        "kriging": kriging.kriged(left, **angles),
    }
    frames = fitted.frames(targets.tilt_deg)
    peak = whole.intensity_scale
    return {
        w: psnr_dB(frames + c, targets, peak).mean()
        for w, c in ways.items()
    }


# %%
carried = pd.DataFrame(
    [
        {
            "microscope": name,
            "measured every": "12°",
            **carried_in_four_ways(s, 12.0),
        }
        for name, s in (("aberrated", wide), ("non-aberrated", sharp))
    ]
)
carried.style.format(precision=2).hide(axis="index").set_caption(
    f"PSNR (dB), {particles[0]}, by how the residual is carried over"
)

# %% [markdown]
# ## The halo, computed
#
# If the object consists of atoms, its halo need not be guessed from other frames. `dynamical` takes the atoms that `atoms` has
# found, tells their elements from their weights, and computes their frames by multislice with the detection matrix of
# [Chapter 2](02_simulation.ipynb). A gain, an offset and a blur bring these frames to the scale of the measured ones; kriging
# carries over what is left. It is worth as much as the positions are: atoms that are 10 pm off scatter into another halo.
#
# Here is a cluster of 13 atoms, 5 pm off the sites of an icosahedron, in the aberrated microscope. The frames come from
# Kirkland's potential in slices of 1.5 Å; the model has Lobato's potential in slices of 3 Å, and knows neither the positions nor
# the elements.


# %%
def cluster():
    """Copper and gold on the sites of an icosahedron, 5 pm off them."""
    rng = np.random.default_rng(seed)
    atoms = random_rotation(Icosahedron("Cu", 2), seed=seed)
    atoms.positions += rng.normal(0, 0.05, atoms.positions.shape)
    atoms.positions -= atoms.positions.mean(axis=0)
    atoms.symbols[rng.permutation(len(atoms))[:5]] = "Au"
    return atoms


def recorded(tilt_deg):
    """Its multislice frames."""
    return simulate_tilt_series(
        cluster(),
        microscope=MICROSCOPES["aberrated"],
        tilt_deg=tilt_deg,
        shape=40,
        field_of_view_A=12.0,
        engine="multislice",
        parametrization="kirkland",
        slice_thickness_A=1.5,
    )


cluster_measured = FittedSeries.of(recorded(np.arange(-48.0, 49.0, 12.0)))
cluster_between = recorded(np.array([6.0]))

# %%
by_method = {
    method: prediction.predict(
        method, cluster_measured, cluster_between.tilt_deg
    )
    for method in ("linear", "kriging", "atoms", "dynamical")
}
peak = cluster_measured.intensity_scale
scores = {
    m: psnr_dB(f, cluster_between, peak).mean()
    for m, f in by_method.items()
}
errors = [
    np.abs(f[0] - cluster_between.frames[0]) for f in by_method.values()
]

# %% tags=["hide-input"]
figure = plotting.show_frames(
    [cluster_between.frames[0], *(10 * error for error in errors)],
    ["truth", *(f"{m}, error × 10" for m in by_method)],
    pixel_size_A=cluster_between.pixel_size_A,
)
plotting.show(
    figure,
    "A multislice frame of the cluster, and ten times the error of each "
    "prediction of it, on one grey scale.",
    alt="Five grey frames. The errors become darker from left to right: "
    + ", ".join(f"{m} {score:.1f} dB" for m, score in scores.items())
    + ".",
)
found = cluster_measured.dynamical.elements
plotting.say(
    "; ".join(f"**{m}** {score:.1f} dB" for m, score in scores.items())
    + f". {len(found.symbols)} atoms were found: "
    + ", ".join(f"{(found.symbols == e).sum()} {e}" for e in found.clusters)
    + f". {found.remark[:1].upper()}{found.remark[1:]}."
)

# %% [markdown]
# The weights tell elements to about a tenth of the atomic number, and neighbours in the periodic table scatter almost alike. If you
# know the elements, name them: `tsg densify --elements Cu,Au`, or `densify(series, ..., elements=("Cu", "Au"))`.
#
# ## Off their own model, and on it
#
# Testing a method on frames of its own model is called an **inverse crime** {cite:p}`kaipio2007`. The incoherent engine of
# [Chapter 2](02_simulation.ipynb) is a convolution, and `reprojection` and `atoms` fit objects through a convolution. Their
# gain there shows what they gain if the model is true. We therefore score every method twice: on multislice frames, and on
# incoherent frames of the test particles. Trust the first column of numbers. The particles differ between the columns, so
# methods that fit no object differ, too. The inverse crime is worth only the additional difference of the methods that do
# (exercise 1 uses equal particles). The test particles are scored at the rates of Chapter 6, which are divided among them: each
# particle gets some of the rates, and each rate about equally many particles. Incoherent frames have no halo, so `dynamical` is
# scored on multislice frames only. These differ from its own in the potential and the slices. It is told the microscope that made
# them, though, which a user knows only to a few percent.


# %%
def multislice_cases():
    for name, spacing_deg, particle in product(
        microscopes, spacings_deg, particles
    ):
        yield off_model.SparseCase(
            model="multislice",
            particle=particle,
            microscope=name,
            spacing_deg=spacing_deg,
            load=partial(
                multislice_series.reference_series, particle, name
            ),
        )


def incoherent_cases(test):
    for microscope, dataset in test.items():
        step_deg = float(np.diff(dataset.tilt_deg[:2])[0])
        for i, name in enumerate(dataset.names[:n_test_particles]):
            for rate in off_model.share_of(
                test_rates, to=i, each=test_rates_each
            ):
                yield off_model.SparseCase(
                    model="incoherent",
                    particle=f"{i} {name}",
                    microscope=microscope,
                    spacing_deg=2 * rate * step_deg,
                    load=partial(dataset.__getitem__, i),
                )


# %%
def score_methods(folder, *, test, methods):
    score = partial(off_model.off_model_metrics, folder=folder)
    score(multislice_cases(), methods=methods)
    others = [m for m in methods if m != "dynamical"]
    score(incoherent_cases(test), methods=others)


store.make(
    names.OFF_MODEL_METRICS,
    score_methods,
    parameters={"test": test, "methods": methods},
)
table = off_model.read_off_model(store.path(names.OFF_MODEL_METRICS))
recorded = results.recorded("off_model_metrics")
show_runs = partial(
    results.show, recorded, this_run=table, profile=store.folder.name
)


# %% tags=["hide-input"]
def readable(gains):
    rows = gains.reset_index()
    rows["microscope"] = rows["microscope"].str.replace("_", "-")
    rows["spacing_deg"] = rows["spacing_deg"].map("{:g}°".format)
    return rows.rename(columns={"spacing_deg": "measured every"})


def on_multislice(table):
    gains = off_model.gains_table(table[table.model == "multislice"])
    rows = readable(gains.droplevel("model"))
    mean = {"particle": "mean", "microscope": "", "measured every": ""}
    mean |= gains.fillna(0.0).mean().to_dict()
    rows = pd.concat([rows, pd.DataFrame([mean])], ignore_index=True)
    best_first = gains.fillna(0.0).mean().sort_values(ascending=False).index
    rows = rows[["particle", "microscope", "measured every", *best_first]]
    signed = rows[best_first].map(
        lambda v: "–" if np.isnan(v) else f"{v:+.1f}"
    )
    return rows.assign(**signed)


show_runs(
    on_multislice,
    caption="Gain over linear (dB) on multislice frames, best method "
    "first; – where a method does not apply",
)


# %% tags=["hide-input"]
def both_models(table):
    means = off_model.mean_gains(table)[["multislice", "incoherent"]]
    means["difference"] = means["incoherent"] - means["multislice"]
    means = means.sort_values("multislice", ascending=False)
    signed = means.map("{:+.1f}".format, na_action="ignore")
    return signed.fillna("–").reset_index()


show_runs(
    both_models,
    caption="Mean gain over linear (dB) off the methods' own model and "
    "on it",
)


# %% tags=["hide-input"]
def where(case):
    _, particle, microscope, spacing_deg = case
    name = microscope.replace("_", "-")
    return f"{particle}, {name}, every {spacing_deg:g}°"


def refusals(table):
    refused = table[table.reason.astype(str) != ""]
    return [
        f"- {row.method} refuses {row.particle}, "
        f"{row.microscope.replace('_', '-')}, every {row.spacing_deg:g}°: "
        f"{row.reason}."
        for row in refused.itertuples()
    ]


# %% tags=["hide-input"]
def in_words(table):
    off = off_model.mean_gains(table)["multislice"].sort_values(
        ascending=False
    )
    lines = [
        "- On multislice frames, mean gain over linear: "
        + ", ".join(f"{m} {v:+.1f} dB" for m, v in off.items())
        + "."
    ]

    of_neighbours = {"linear", "cubic", "tsgnet"}
    present = [m for m in table.method.unique() if m not in of_neighbours]
    by_model = (
        table.groupby("model", sort=False) if "auto" in present else ()
    )
    for model, rows in by_model:
        case, gain_dB = off_model.worst_of(rows)
        lines.append(
            f"- The worst of `auto` on {model} frames, against the better "
            f"of linear and cubic: **{gain_dB:+.2f} dB** ({where(case)})."
        )
    multislice = table[table.model == "multislice"]
    for method in present:
        case, behind_dB = off_model.furthest_behind(
            multislice, method=method
        )
        lines.append(
            f"- {method} stands furthest behind the best method by "
            f"{abs(behind_dB):.1f} dB ({where(case)})."
        )
    return "\n".join(lines + refusals(table))


# %% tags=["hide-input"]
show_runs(lambda t: plotting.say(in_words(t)))

# %% [markdown]
# ## Atoms: found against true
#
# `atoms` goes furthest: it fits positions and weights, and a term for channelling, to all frames at once. Every second PRISM
# frame, one every 12°, is enough for the particle below. Turn it: open circles are true atoms, points are found atoms, and the
# colour shows their error.

# %%
prism, true_A = multislice_series.prism_series()
sparse = prism.subset(slice(None, None, 2))
found = fit_atoms(sparse)
match = atom_peaks.match_atoms(found.positions_A, true_A)
pairs = match.pairs
apart_pm = 100 * np.linalg.norm(
    found.positions_A[pairs[:, 0]] - true_A[pairs[:, 1]], axis=1
)
plotting.say(
    f"From {len(sparse)} frames: {match.matched} of {len(true_A)} atoms, "
    f"{match.invented} that are not there, {match.rmsd_pm:.1f} pm off "
    "(root mean square)."
)

# %% tags=["hide-input"]
solids.show_found_atoms(
    true_A,
    found.positions_A[pairs[:, 0]],
    apart_pm,
    np.delete(found.positions_A, pairs[:, 0], axis=0),
    f"{len(true_A)} atoms of ytterbium: true (circles) and found (points).",
    alt=f"Positions in a box with axes x, y and z. {match.matched} points "
    "lie inside circles; their colours show errors of up to "
    f"{apart_pm.max():.1f} pm.",
)

# %% [markdown]
# ## The danger: atoms that are not there
#
# A model with enough atoms explains any frame, noise included. If we keep found atoms whether or not the frames agree on them,
# they become pure inventions as soon as there is noise. The table is from the package's own benchmark. It compares fits to the
# same noisy frames with and without this question:

# %%
limits = atom_limits.limits_table()
dose = limits[limits.variable == "dose_per_A2"]
false = dose.pivot_table(
    index="value",
    columns="variant",
    values=["invented", "recall"],
    dropna=False,
)
danger = pd.DataFrame(
    {
        "dose (e/Å²)": [f"{d:,.0f}" for d in false.index],
        "false atoms, unasked": false["invented"]["unjudged"].map(
            "{:.0f}".format
        ),
        "false atoms, asked": false["invented"]["usual"].map(
            "{:.1f}".format
        ),
        "true atoms found, unasked": false["recall"]["unjudged"].map(
            "{:.0%}".format
        ),
        "true atoms found, asked": false["recall"]["usual"].map(
            "{:.0%}".format
        ),
    }
)
danger.style.hide(axis="index")

# %%
worst = dose[dose.variant == "unjudged"].sort_values("invented").iloc[-1]
plotting.say(
    f"Unasked, {worst.invented:.0f} atoms are invented beside the "
    f"{worst.n_true} true ones at {worst.value:,.0f} e/Å². Asked, at most "
    f"{dose[dose.variant == 'usual'].invented.max():.0f} at any dose."
)

# %% [markdown]
# The question is: *do the frames agree on it?* Every single frame says what weight an atom at that place should have. For a
# true atom the answers scatter around its weight; for noise they scatter around zero. An atom stays if their mean is farther
# from zero than chance would bring any place in the whole volume; `false_alarms` is the number of atoms that chance may add to
# the volume. A fit that explains too little of the frames' detail (`LEAST_EXPLAINED`) is refused as a whole: the crosses below.

# %%
plotting.show(
    atom_figures.show_limits(limits),
    "Limits of the method: atoms found, false atoms and RMSD as one "
    "property of the series worsens. Points are single repeats, lines "
    "their means, crosses refusals.",
    alt="Eighteen small plots. Atoms are found, without false ones, down "
    "to a limit in dose, tilt step, tilt range and error of the tilts, "
    "beyond which the series is refused. Without asking the frames to "
    "agree, false atoms rise into the hundreds.",
)

# %% [markdown]
# In each column one property of the series worsens. The dashed line is the error that the method itself states. Is it right? If
# so, half of the coordinates lie inside the 50 % interval.

# %%
noisy = noise.with_dose(sparse, dose_per_A2=1e4, seed=seed)
errors = {
    "no noise": atom_limits.deviations(found, true_A),
    "10⁴ e/Å² a frame": atom_limits.deviations(fit_atoms(noisy), true_A),
}
plotting.show(
    atom_figures.show_calibration(errors),
    "Are the stated errors right? Coordinates inside the interval of each "
    "stated probability; the grey diagonal is perfect.",
    alt="A rising line without noise and one with noise, beside "
    "the diagonal. "
    + ", ".join(
        f"{name}: {atom_figures.covered(*values, levels=[0.9])[0]:.0%} "
        "within 90 %"
        for name, values in errors.items()
    )
    + ".",
)
plotting.say(
    "Within the stated interval of 90 % lie "
    + ", ".join(
        f"{atom_figures.covered(*values, levels=[0.9])[0]:.0%} ({name})"
        for name, values in errors.items()
    )
    + " of the coordinates."
)

# %% [markdown]
# The opposite mistake is just as silent. An atom lighter than `least_weight` of the median counts as an artefact, but in an alloy
# light atoms are not artefacts. Where the elements are named (`tsg densify --elements Al,Au`), the setting falls below the weight
# of the lightest. Here is an ordered alloy of copper and gold with three vacancies, for two values of this setting:


# %%
def found_in(particle, microscope, *, settings, spacing_deg):
    """Atoms found, as a line of text; the truth is known."""
    series = multislice_series.reference_series(particle, microscope)
    measured, targets = off_model.spacing_case(
        series, spacing_deg=spacing_deg
    )
    try:
        model = fit_atoms(measured, settings=settings)
    except TsgError as refused:
        return f"refused: {refused}"
    true_A = multislice_series.reference_atoms(particle).positions
    match = atom_peaks.match_atoms(model.positions_A, true_A)
    score = psnr_dB(
        model.predict(targets.tilt_deg), targets, series.intensity_scale
    )
    return (
        f"{match.matched} of {len(true_A)} atoms, {match.invented} that "
        f"are not there, {match.rmsd_pm:.1f} pm off; predicted frames "
        f"{score.mean():.1f} dB"
    )


alloy = multislice_series.PARTICLES[-1]
for least_weight in (0.4, 0.1):
    text = found_in(
        alloy,
        "non_aberrated",
        settings=AtomSettings(least_weight=least_weight),
        spacing_deg=24.0,
    )
    plotting.say(f"- `least_weight={least_weight}`: {text}.")

# %% [markdown]
# Well-predicted frames do not prove that all atoms were found: the residual carries what the atoms leave. Look at the weights,
# and at what is left.
#
# Under the aberrated probe, 16 Å wide, the question is a different one: which part of the frames shows where atoms are? Nearly
# everything that a model misses is the halo, slow variations of the image that change with every diffracted beam. A sum of
# squares counts these, and ignores the fine detail, which is a thousand times weaker. The fit therefore weights every spatial
# frequency by the inverse of the power of the residuals there, which it learns along the way: **whitened** least squares. Here
# are the same frames, plain and whitened:

# %%
for whitened in (False, True):
    text = found_in(
        particles[0],
        "aberrated",
        settings=AtomSettings(whitened=whitened),
        spacing_deg=24.0,
    )
    plotting.say(
        f"- {'whitened' if whitened else 'plain'} least squares: {text}."
    )

# %% [markdown]
# ## What it does to the volume
#
# Frames are predicted for the sake of the volume. We take incoherent frames of the test particles, whose true density is known,
# and reconstruct with SIRT: from every frame (Reference), from one frame every few degrees (Sparse), and from those together with
# predicted frames at every angle in between (Mix). A smaller Chamfer distance from the Reference's surface is better, and so is a
# finer detail (the length at which the Fourier shell correlation with the true density falls to one half). Atoms are maxima of
# the volume.

# %%
store.make(
    names.OBJECT_VOLUMES,
    frames_and_volumes.volume_metrics,
    parameters={
        "data": test,
        "gaps": volume_gaps,
        "n_offsets": 1,
        "mix_methods": volume_methods,
        "n_iterations": 100,
        "n_points": 20_000,
        "n_particles": n_volume_particles,
        "seed": seed,
    },
)
volumes = frames_and_volumes.read_table(store.path(names.OBJECT_VOLUMES))


# %% tags=["hide-input"]
def of_volumes(table):
    """Means over the particles, a row for each microscope, gap and arm."""
    kept = table[table.arm.isin(["Reference", "Sparse", "Mix (all)"])]
    kept = kept.assign(
        arm=(kept.arm + " " + kept.method).str.strip(),
        detail_A=1 / kept.true_cutoff_per_A.replace(0, np.nan),
        missing=100 * kept.missing / kept.atoms,
        invented=100 * kept.invented / kept.atoms,
        microscope=kept.microscope.str.replace("_", "-"),
    )
    columns = {
        "chamfer_A": "Chamfer distance (Å)",
        "detail_A": "detail (Å)",
        "missing": "missing per 100 atoms",
        "invented": "invented per 100 atoms",
    }
    means = kept.groupby(["microscope", "gap", "arm"], sort=False)[
        list(columns)
    ].mean()
    means = means.rename(columns=columns).reset_index()
    return means[["arm", "microscope", "gap", *columns.values()]]


results.show(
    results.recorded("object_volumes"),
    lambda t: of_volumes(t).style.hide(axis="index").format(precision=2),
    this_run=volumes,
    profile=store.folder.name,
    caption="Means over particles",
)

# %% [markdown]
# The fair question is that of dose: should the same electrons go into few frames, from which the others are predicted, or into
# all frames? The table shows the distance of each volume from the Reference, minus that of all frames at the same total dose.
# Negative is better than measuring everything.

# %%
store.make(
    names.OBJECT_DOSE,
    dose_arms.dose_metrics,
    parameters={
        "data": test,
        "total_doses_per_A2": total_doses_per_A2,
        "gaps": [1, *volume_gaps],
        "mix_methods": dose_methods,
        "n_particles": n_volume_particles,
        "n_iterations": 100,
        "n_points": 20_000,
        "seed": seed,
    },
)
dosed = frames_and_volumes.read_table(store.path(names.OBJECT_DOSE))


# %% tags=["hide-input"]
def by_dose(table):
    rows = dose_arms.against_all_frames(table, seed=seed)
    rows["microscope"] = rows["microscope"].str.replace("_", "-")
    rows["dose_per_A2"] = rows["dose_per_A2"].map("{:,.0f}".format)
    columns = {
        "arm": "arm",
        "microscope": "microscope",
        "dose_per_A2": "total dose (e/Å²)",
        "gap": "gap",
        "mean": "less all frames' distance (Å)",
    }
    return rows[list(columns)].rename(columns=columns)


results.show(
    results.recorded("object_dose"),
    lambda t: by_dose(t).style.hide(axis="index").format(precision=3),
    this_run=dosed,
    profile=store.folder.name,
    caption="Equal total dose",
)

# %% [markdown]
# ## How sure is a predicted frame?
#
# Two methods state a standard deviation for every pixel. `auto` learns it from the frames that it leaves out. `informed` learnt it
# in training, and widens it if it is too small for the errors in left-out frames. This excess is assumed not to shrink with the
# spacing, since it comes from what the training never showed. Neither method has seen the frames between the measured ones. The
# 90 % normal interval should contain 90 % of the pixels of these frames.


# %% tags=["hide-input"]
def coverage_table(table):
    rows = off_model.coverages(table).map("{:.0%}".format).reset_index()
    rows["microscope"] = rows["microscope"].str.replace("_", "-")
    return rows.rename(
        columns=lambda c: (
            c.replace("coverage_", "within ") + " %" * ("_" in c)
        )
    )


show_runs(
    coverage_table,
    caption="Pixels whose true value lies in the stated interval",
)

# %% [markdown]
# A fraction above the stated one means that the method is more careful than necessary; a fraction below it means that the
# intervals are too narrow. Means over cases hide that single series can be far off.
#
# `informed` was trained on incoherent frames of twenty particles with gaps of 2° to 24°, then on a mixture of these with
# multislice frames of 24 others with gaps of 8° to 24° (`benchmarks/train_informed.py`). Half of the incoherent series have a
# random part of the channelling correction, and a third are alloys; half of all series have noise. The network sees the
# reprojection, what the object misses in the four nearest measured frames, the interpolated frames and, if atoms can be fitted,
# their frame and what they miss. For a third of its targets the atoms were hidden from it. These are its gains on the validation
# particles (five and four) over the reprojection, without and with atoms, and over the atoms' own frames:

# %%
gains = pd.read_csv(network.GAINS)
for (engine, microscope, with_atoms), of_all in gains.groupby(
    ["engine", "microscope", "atoms"]
):
    by_gap = of_all.groupby("gap")[["gain_dB", "gain_over_atoms_dB"]].mean()
    for column, over in (
        ("gain_dB", "the reprojection"),
        ("gain_over_atoms_dB", "the atoms"),
    ):
        of_gaps = by_gap[column].dropna()
        if len(of_gaps):
            plotting.say(
                f"- {engine}, {microscope.replace('_', '-')}, "
                f"{'with' if with_atoms else 'without'} atoms, over "
                f"{over}: {of_gaps.mean():+.1f} dB in the mean over the "
                f"gaps, at worst {of_gaps.min():+.2f} dB, at a gap of "
                f"{of_gaps.idxmin()}°; {(of_gaps < -0.1).sum()} of "
                f"{len(of_gaps)} gaps lose more than 0.1 dB."
            )

# %% [markdown]
# ## When to trust which method
#
# | your series | trust | because |
# |---|---|---|
# | frames so dense that nothing moves by more than its own width | cubic | of the methods that are exact there, it assumes the least |
# | any object, ten or more aligned frames | reprojection | it needs only projections |
# | the same, with a wide probe or a crystal near its zone axes | kriging | the residual does not persist from frame to frame |
# | single atoms resolved, frames up to tens of degrees apart | atoms | few numbers, determined by all frames; and it says when it does not apply. In an alloy of light and heavy elements, check `least_weight` first |
# | the same, in a small particle whose microscope is known to a few percent | dynamical | multislice of the atoms has the halo, which frames a few degrees away do not show |
# | a sample like those of the training | informed, tsgnet | what was learnt carries over; only tables like the one above show how far |
# | unknown, or noisy | auto | left-out frames of *your* series decide; it uses linear if nothing gains |
#
# Whatever the method: judge it by frames off its own model, not by frames on it. And a prediction without a stated uncertainty
# is a guess.

# %% [markdown]
# ## Take away
#
# - All frames show one object. A method that uses this beats one that looks at two neighbours.
# - What the object misses must be carried over, and only as far as it persists. The halo of a wide probe does not persist: it
#   must be computed from the atoms.
# - Ask of every fitted atom whether the frames agree on it, and of every stated interval whether it holds.
#
# ## Check yourself
#
# **1.** What do `reprojection` and linear interpolation assume about frames that are not neighbours?
#
# ```{dropdown} Answer 1
# Reprojection: they show the same object and help. Linear: nothing, it ignores them.
# ```
#
# **2.** Why can a spline through the residuals be worse than their mean?
#
# ```{dropdown} Answer 2
# It follows values that the next frame has forgotten, and adds their noise.
# ```
#
# **3.** A fit finds more atoms than there are. Which question separates true from invented ones?
#
# ```{dropdown} Answer 3
# Do the single frames agree on it? For noise their answers scatter around zero.
# ```
#
# **4.** Which method would you trust first with a large smooth object in ten frames?
#
# ```{dropdown} Answer 4
# `reprojection`: it needs projections of one object, and neither atoms nor training.
# ```
#
# **5.** Only 70 % of the pixels lie in the stated 90 % intervals. What follows?
#
# ```{dropdown} Answer 5
# The intervals are too narrow: the method is less sure than it says.
# ```
#
# ## Exercises
#
# 1. *A fairer crime.* The two columns show different particles. Simulate the particle of the first table with the incoherent
#    engine (`simulation.simulate_tilt_series(multislice_series.reference_atoms(name), ...)`, the same angles and pixels) and
#    score it. How much of the difference is the model's?
# 2. *Halo.* The ray at $\alpha$ lands $C_s \alpha^3$ from the focus. How far is that at 25 mrad and 100 µm? Can two rays of
#    one beam differ by 3°?
# 3. *Trust the interval?* Subtract the frames of `choice.predict_automatically` from the true ones, divide by its standard
#    deviations, and draw the histogram. Is it normal? Where in the frames are the tails?
#
# Try first; then compare with the [solutions](10_solutions.ipynb), which were run for these pages.
