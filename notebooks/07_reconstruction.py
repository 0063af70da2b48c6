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
# # 7. Reconstruction: is the volume better?
#
# Better frames are a means to an end: the volume. This chapter reconstructs each test particle from all frames, from the
# measured frames alone, and from measured and predicted frames together. Then it asks which volume is nearer to the one
# from all frames, to the true density, and to the atoms.
#
# | | |
# |---|---|
# | **You need** | [Chapter 6](06_prediction.ipynb) |
# | **You learn** | how SIRT works; Reference, Sparse and Mix; how to compare objects, densities and atoms; what such a comparison can prove; whether few good frames beat many noisy ones |
# | **Next** | [Chapter 8](08_one_object.ipynb) follows the methods from two frames to the one object that all frames show |

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
gaps = [2, 12]
n_offsets = 1
mix_methods = ["tsgnet"]
n_iterations = 100
n_points = 15000
example_gaps = [2, 12]
total_doses_per_A2 = [1.0e6]
dose_gaps = [1, 6]
dose_methods = ["tsgnet"]
dose_particles = 2
seed = 1

# %% tags=["hide-input"]
from functools import partial

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from tsg_core import evaluation
from tsg_core.evaluation import statistics, true_density
from tsg_core.errors import TsgError
from tsg_core.interpolation import densify
from tsg_core.interpolation.atoms.fit import fit_atoms
from tsg_core.reconstruction import fbp, sirt, tv
from tsg_core.simulation import datasets
from tsg_core.tilt_series import TiltSeries

# %% tags=["hide-input"]
from tsgbook import chapters as names
from tsgbook import results
from tsgbook.artifacts import Artifacts
from tsgbook.experiments import (
    arms,
    dose,
    example_volumes,
    frames_and_volumes,
    multislice_table,
    volume_tables,
)
from tsgbook.figures import plotting, solids
from tsgbook.figures import volumes as volume_figures
from tsgbook.profiles import find_root
from tsgbook.simulated import simulated_microscopes

plotting.use_book_style()
store = Artifacts(artifacts)
test = {
    m: datasets.Dataset(store.path(names.series_name("test", m)))
    for m in simulated_microscopes(store)
}
sharpest = list(test)[-1]  # in figures of one microscope

# %% [markdown]
# ## SIRT
#
# Let $A$ be the matrix that projects a volume $x$ to all frames $b$. The *simultaneous iterative reconstruction technique* repeats
#
# $$ x \leftarrow x + C A^\mathsf{T} R\, (b - A x) , $$ (sirt)
#
# where $R$ and $C$ divide by the sums of each row and column of $A$. Each iteration spreads what is not yet explained back
# along the beams. The tilt axis is y, so every row of pixels is a separate problem with the same $A$; all rows are solved
# at once.

# %%
series = test[sharpest][0]
residuals = {}
for g in (1, 6):
    kept = arms.sparse(series, gap=g)
    curve = []
    sirt(
        kept,
        n_iterations=n_iterations,
        callback=lambda i, r: curve.append(r),
    )
    residuals[f"gap {g}, {len(kept)} frames"] = curve
figure, axis = plt.subplots(figsize=(5, 2.8))
for label, curve in residuals.items():
    axis.semilogy(np.arange(1, len(curve) + 1), curve, label=label)
axis.set(xlabel="iteration", ylabel="residual ‖b − Ax‖ / ‖b‖")
axis.legend()
plotting.show(
    figure,
    "Residual of SIRT against the iteration, for two gaps.",
    alt="Two falling lines on a logarithmic scale, steep at first and "
    "flat later. "
    + "; ".join(
        f"{name}: {curve[-1]:.1e} at the end"
        for name, curve in residuals.items()
    )
    + ".",
)

# %% [markdown]
# A small residual alone means little: fewer frames are *easier* to explain. What matters is the volume that they leave open.
#
# ## Reference, Sparse, Mix
#
# | arm | frames |
# |---|---|
# | **Reference** | all frames of the series |
# | **Sparse** | the measured frames, $F_g^{(o)}$ |
# | **Mix (midpoint)** | the measured frames, and one predicted frame between each pair |
# | **Mix (all)** | the measured frames, and a predicted frame at every missing angle |
# | **Twice as dense** | Mix (midpoint) with measured frames in place of the predicted ones: the fair rival at an equal number of frames |
#
# At a gap of 2 both fills are the same series. If *linear* is among the methods, it is a control: if linearly interpolated
# frames do as well, the network has achieved nothing.
#
# ## Two yardsticks
#
# The paper compares with the **Reference**. That is fair to all arms, but the Reference has errors of its own, from the
# probe, the step between its angles, and SIRT. A simulation knows more. The **true density** represents every atom by a
# Gaussian with a standard deviation of 0.3 Å. Its voxels add up to the cross-section of the atom for scattering into the
# detector, so that it has the scale of a reconstruction. It is the same for both microscopes and contains no probe.

# %%
example = test[sharpest]
atoms = example.atoms(0)
reference = sirt(series, n_iterations=n_iterations)
truth = true_density.true_density(
    atoms,
    microscope=example.microscope,
    shape=reference.shape,
    voxel_size_A=series.pixel_size_A,
)
plotting.say(
    f"{example.names[0]}: the Reference adds up to {reference.sum():.3f}, "
    f"the true density to {truth.sum():.3f}."
)

# %% [markdown]
# ## Comparing objects
#
# [Otsu's threshold](../book/glossary.md) splits a volume into object and background. Points are drawn uniformly inside both objects, $P$ and $Q$. With
# $d(p, Q) = \min_{q \in Q} |p - q|$, the distance from a point to the nearest point of the other cloud,
#
# $$ \text{Chamfer} = \frac12\Big(\frac{1}{|P|}\sum_{p \in P} d(p, Q) + \frac{1}{|Q|}\sum_{q \in Q} d(q, P)\Big), \qquad
#    \text{RMS} = \sqrt{\frac12\Big(\frac{1}{|P|}\sum_{p \in P} d(p, Q)^2 + \frac{1}{|Q|}\sum_{q \in Q} d(q, P)^2\Big)} . $$
#
# RMS gives distant points more weight: a speck of noise away from the particle counts. Two samples of the *same* object do
# not have distance zero; a gap of 1 shows this floor. Points can also be drawn on the surface of the objects, which ignores
# what happens inside.

# %%
sparse_volume = sirt(arms.sparse(series, gap=6), n_iterations=n_iterations)
for surface in (False, True):
    clouds = [
        evaluation.object_points(
            v,
            n_points=n_points,
            voxel_size_A=series.pixel_size_A,
            seed=k,
            surface=surface,
        )
        for k, v in enumerate((sparse_volume, reference))
    ]
    plotting.say(
        f"{'Surface' if surface else 'Volume'} points, Sparse at a gap of "
        "6 against Reference: Chamfer "
        f"{evaluation.chamfer_distance(*clouds):.3f} Å, RMS "
        f"{evaluation.rms_error(*clouds):.3f} Å."
    )

# %% [markdown]
# ## The experiment
#
# The sections called *Figure 3* and *Figure 4* repeat those figures of the TSGNet paper. We reconstruct every arm of every test
# particle and measure each volume with both yardsticks. A series that belongs to two
# arms is reconstructed once.

# %%
store.make(
    names.VOLUME_METRICS,
    frames_and_volumes.volume_metrics,
    parameters={
        "data": test,
        "gaps": gaps,
        "n_offsets": n_offsets,
        "mix_methods": mix_methods,
        "n_iterations": n_iterations,
        "n_points": n_points,
        "seed": seed,
    },
)
table = frames_and_volumes.read_table(store.path(names.VOLUME_METRICS))
recorded = results.recorded("volume_metrics")
show_runs = partial(
    results.show, recorded, this_run=table, profile=store.folder.name
)

# %% [markdown]
# ## Figure 3: distance from the Reference against the gap


# %% tags=["hide-input"]
def figure_3(table):
    plotting.show(
        volume_figures.against_gap(table, seed=seed),
        "Distance from the Reference against the gap: means over "
        f"{table.particle.nunique()} particles with 95 % intervals.",
        alt="Four plots: Chamfer distance and RMS error for both "
        "microscopes. All lines rise with the gap. Non-aberrated, "
        + volume_figures.in_words(table, "chamfer_A"),
    )


show_runs(figure_3)

# %% [markdown]
# ## Who wins, and by how much
#
# The table shows the difference Mix − Sparse for the same particle and gap, in ångström of Chamfer distance, with the 95 %
# interval over particles. Negative means that the predicted frames brought the object nearer to the Reference. If the
# interval contains zero, this run can't tell.


# %%
def winners(table):
    plotting.say(volume_tables.who_wins_sentences(table, seed=seed))
    return volume_tables.who_wins(table, seed=seed)


show_runs(winners, caption="Mix − Sparse (Å)")

# %% [markdown]
# ## Against the truth
#
# The same arms are now compared with the true density. Here the Reference is one arm among others, the point at a gap of 1,
# and it can lose.

# %% tags=["hide-input"]
AGAINST_TRUTH = {
    "true_chamfer_A": "Chamfer distance (Å)",
    "true_nrmse": "normalised RMS error",
    "true_ssim": "SSIM",
}


def figure_truth(table):
    plotting.show(
        volume_figures.against_gap(table, AGAINST_TRUTH, seed=seed),
        "The same arms against the true density; a gap of 1 is "
        "the Reference.",
        alt="Six plots: Chamfer distance, normalised RMS error and SSIM "
        "for both microscopes against the gap. Non-aberrated, "
        + volume_figures.in_words(table, "true_chamfer_A"),
    )


show_runs(figure_truth)

# %% [markdown]
# An aberrated volume stays far from the truth at every gap: its frames show something else, the density blurred by the
# probe, and no number of frames removes the probe.
#
# ## What the paper claims
#
# Each claim has a measure, and a verdict from the intervals of this run. *Yes* and *no* need an interval on one side of
# zero. Two of the claims say "as good as", which no interval around zero can prove; for these, Mix may miss its rival by a
# tenth of what the rival gains over Sparse. Distances are averaged over the gaps, so that the largest gaps, where objects
# are farthest apart, weigh most; the verdict at each gap is given as well. Intervals from a handful of particles are too
# narrow, since resampling can't know what it never saw: the verdicts of a small profile are only a demonstration.
#
# | claim | measure |
# |---|---|
# | Mix is as good as a series of twice the angular density | Chamfer distance of Mix (all) at gap $g$ minus that of Sparse at $g/2$ |
# | At an equal number of frames Mix is equal or better | Mix (midpoint) minus Twice as dense |
# | Similarity falls with the gap | slope of the distance against the gap |
# | Similarity levels off beyond a gap of six | that slope beyond six minus half the slope before |
# | Non-aberrated volumes are smoother, aberrated ones finer | roughness: sum of the length of the gradient over sum of the density, inside the particle (2.5 Å around the nuclei) |
# | Aberrated volumes have more background artefacts | rms of the density outside the particle over rms inside |
# | Fewer artefacts in Mix than in Sparse | rms of the difference from the Reference outside the particle, over rms of the Reference inside |

# %% [markdown]
# ### One claim, step by step
#
# Take the second claim, for one microscope and one method. First, the distance of each particle from its Reference, at
# every gap from 4 on: by Mix, by a series that *measured* as many frames, and by Sparse.

# %%
claimant = mix_methods[-1]
rows = table[(table.microscope == sharpest) & (table.gap >= 4)]
arms_compared = {
    "Mix": rows[(rows.arm == "Mix (midpoint)") & (rows.method == claimant)],
    "measured": rows[rows.arm == "Twice as dense"],
    "Sparse": rows[rows.arm == "Sparse"],
}
distance_A = pd.DataFrame(
    {
        arm: of_arm.groupby(["particle", "gap"]).chamfer_A.mean()
        for arm, of_arm in arms_compared.items()
    }
)
per_particle_A = distance_A.groupby("particle").mean()
per_particle_A.style.format("{:.3f}")

# %% [markdown]
# Second, what Mix misses in each particle, and what it may miss: a tenth of what the measured series gains over Sparse.
# The claim holds if the interval of *missed − allowed* over the particles ends at or below zero; it fails if it does not,
# and the interval of *missed* lies above zero. In between, these particles can't tell.

# %%
missed_A = per_particle_A["Mix"] - per_particle_A["measured"]
gained_A = per_particle_A["Sparse"] - per_particle_A["measured"]
allowed_A = 0.1 * gained_A.clip(lower=0)
missed = statistics.paired_difference(missed_A, 0 * missed_A, seed=seed)
beyond = statistics.paired_difference(missed_A, allowed_A, seed=seed)
if beyond.high <= 0:
    judged = "yes"
elif missed.low > 0:
    judged = "no"
else:
    judged = "not resolved"
plotting.say(
    f"Mix by {claimant} misses {missed.mean:.3f} Å [{missed.low:.3f}, "
    f"{missed.high:.3f}] in the mean over {len(missed_A)} particles, and "
    f"may miss {allowed_A.mean():.3f} Å. The verdict: **{judged}**."
)

# %% [markdown]
# The table judges every claim in this way, for both microscopes and all methods.


# %%
def claims(table):
    plotting.say(volume_tables.claims_sentences(table, seed=seed))
    return volume_tables.claims_table(table, seed=seed)


show_runs(claims, caption="The claims")

# %% [markdown]
# Read "rougher" and "background" with the probe in mind. Roughness is limited by the detail that the probe transfers, and an
# aberrated probe transfers little. The tails of the probe reach outside the particle in every frame, so part of that
# background is not an artefact of the reconstruction.
#
# ## Atoms
#
# A lucky threshold can flatter the distance between whole objects. It can't flatter atoms: a local maximum above Otsu's
# threshold, refined by a Gaussian fit, either lies within 1 Å of a nucleus or it doesn't. *Missing* atoms have no such
# maximum; *invented* atoms are maxima without a nucleus. A network that draws a convincing atom where there is none would
# be caught here.


# %% tags=["hide-input"]
def atoms_found(table):
    widest = int(table.gap.max())
    plotting.show(
        volume_figures.atoms_against_gap(table, seed=seed),
        "Missing and invented atoms, and the RMSD of the matched ones, "
        "against the gap.",
        alt="Six plots, a row for each microscope, with a line for "
        "each arm. "
        + volume_tables.atoms_sentences(table, seed=seed).replace("*", ""),
    )
    plotting.say(volume_tables.atoms_sentences(table, seed=seed))
    atoms = volume_tables.atoms_table(table, gap=widest, seed=seed)
    return atoms.style.hide(axis="index")


show_runs(atoms_found, caption="Atoms at the largest gap")

# %% [markdown]
# ## The paper's physics
#
# The frames above are incoherent. The shipped multislice particles of [chapter 6](06_prediction), one frame every 4°, repeat
# the experiment in the physics of the paper, with a frame measured every 16° or 24°. The tables hold what
# `python benchmarks/multislice_tables.py volumes` has recorded: Mix − Sparse in ångström of Chamfer distance, first from the
# Reference of all frames, then from the true density.

# %%
in_degrees = multislice_table.read_volumes(
    find_root() / results.FOLDER / multislice_table.VOLUMES_FOLDER
)
volume_tables.who_wins(in_degrees, seed=seed).style.hide(
    axis="index"
).set_caption("From the Reference; the gap is in degrees")

# %%
volume_tables.who_wins(
    in_degrees, column="true_chamfer_A", seed=seed
).style.hide(axis="index").set_caption(
    "From the true density; the gap is in degrees"
)

# %% [markdown]
# ## Figure 4: what the volumes look like
#
# A slice of one particle across the tilt axis: from the measured frames alone (top), and with predicted frames (bottom).
# Grey is the square root of the density, so that streaks show beside bright atoms.

# %%
store.make(
    names.EXAMPLE_SLICES,
    example_volumes.example_slices,
    parameters={
        "data": test,
        "gaps": example_gaps,
        "method": mix_methods[-1],
        "n_iterations": n_iterations,
    },
)
for microscope, dataset in test.items():
    figure = volume_figures.slices_by_gap(
        example_volumes.read_slices(
            store.path(names.EXAMPLE_SLICES), microscope
        ),
        pixel_size_A=series.pixel_size_A,
    )
    plotting.show(
        figure,
        f"{dataset.names[0]}, {microscope.replace('_', '-')}: a slice "
        "across the tilt axis from the measured frames (top) and with "
        "predicted ones (bottom), "
        f"{len(series.frames[0]) * series.pixel_size_A:.0f} Å wide.",
        alt="Two rows of grey slices at gaps "
        f"{', '.join(map(str, example_gaps))}. Streaks between the atoms "
        "become stronger with the gap, in the upper row more than in "
        "the lower one.",
    )

# %% [markdown]
# Now one gap in full: three slices through the middle, and the surface at Otsu's threshold.

# %%
example_gap = gaps[len(gaps) // 2]
store.make(
    names.EXAMPLE_VOLUMES,
    example_volumes.example_volumes,
    parameters={
        "series": series,
        "gap": example_gap,
        "method": mix_methods[-1],
        "n_iterations": n_iterations,
    },
)
with np.load(store.path(names.EXAMPLE_VOLUMES)) as stored:
    volumes = dict(stored)
figure = volume_figures.orthogonal_slices(
    volumes, voxel_size_A=series.pixel_size_A
)
plotting.show(
    figure,
    f"{example.names[0]}, gap {example_gap}: three slices through "
    "the middle.",
    alt="Grey slices, a row for each plane and a column for each of "
    f"{', '.join(volumes)}. Across the tilt axis Sparse has streaks "
    "between the atoms.",
)

# %% tags=["hide-input"]
solids.show_surfaces(
    volumes,
    f"Surfaces at Otsu's threshold, gap {example_gap}. Drag to turn; the "
    "menu switches between the volumes.",
    levels={k: evaluation.otsu_threshold(v) for k, v in volumes.items()},
    voxel_size_A=series.pixel_size_A,
    alt=f"Surfaces of {', '.join(volumes)}: clusters of blobs, each an "
    "atom or a group of atoms that is not resolved.",
)

# %% [markdown]
# ## Up to which detail? Fourier shell correlation
#
# Compare two volumes in Fourier space, shell by shell of spatial frequency: where their correlation falls, their agreement
# ends. The usual threshold is 0.5 for a comparison with a known truth, and 0.143 for two equally noisy volumes. Sparse
# angles don't affect all directions equally. Along the tilt axis every frame carries every frequency; across it only the
# measured tilts do. A correlation inside a cone around a direction shows this.

# %%
cones = {
    "cone along the tilt axis": (0, 1, 0),
    "cone across it, along x": (1, 0, 0),
}
shells = {
    "all directions": {
        name: evaluation.fourier_shell_correlation(
            v, truth, voxel_size_A=series.pixel_size_A
        )
        for name, v in volumes.items()
    }
} | {
    title: {
        name: evaluation.fourier_shell_correlation(
            volumes[name],
            truth,
            voxel_size_A=series.pixel_size_A,
            direction=direction,
        )
        for name in volumes
    }
    for title, direction in cones.items()
}

# %% tags=["hide-input"]
plotting.show(
    volume_figures.shell_correlations(shells),
    "Fourier shell correlation with the true density: all directions, and "
    "cones along and across the tilt axis. The thin lines are the "
    "thresholds 0.5 and 0.143.",
    alt="Three plots of correlation against spatial frequency, a falling "
    f"line for each of {', '.join(volumes)}. The table below states where "
    "the lines cross the thresholds.",
)

# %%
volume_tables.resolutions_table(shells).style.hide(axis="index")

# %% [markdown]
# ## The missing wedge
#
# So far the tilts reached ±90°. A usual holder stops at ±60° or ±70°. A frame at tilt $\theta$ holds the frequencies on the
# plane through the tilt axis that contains the direction $(\cos\theta, 0, \sin\theta)$. With $|\theta| \le 60°$, a wedge around
# the beam's direction z is in no frame, a third of all frequencies. No method *measures* them. What a volume contains
# there comes from its assumptions alone.


# %%
def up_to(whole, limit_deg):
    return whole.subset(np.abs(whole.tilt_deg) <= limit_deg + 1e-6)


limits_deg = (90, 70, 60)
middle = series.frames.shape[1] // 2
limited = {
    f"±{a}°": sirt(up_to(series, a), n_iterations=n_iterations)
    for a in limits_deg
}
cuts = np.array([v[middle] for v in limited.values()])
titles = [
    f"{name}, {len(up_to(series, a))} frames"
    for name, a in zip(limited, limits_deg, strict=True)
]
plotting.show(
    plotting.show_frames(
        cuts, titles, pixel_size_A=series.pixel_size_A, vmax=cuts.max()
    ),
    "Slices across the tilt axis (z down, x to the right) from frames up to "
    "three largest tilts.",
    alt="Three slices of one particle. With tilts to ±90° its atoms are "
    "round; the smaller the largest tilt, the longer and the fainter they "
    "are along z.",
)

# %% [markdown]
# Atoms grow longer along z, the direction of the beam at 0°. The reason is seen in Fourier space: between the dashed lines the
# limited volumes hold next to nothing.

# %%
figure, axes = plt.subplots(
    1, len(limited), figsize=(2.6 * len(limited), 2.8)
)
edge_per_A = 1 / (2 * series.pixel_size_A)
brightest = None
for axis, (name, volume), limit in zip(
    axes, limited.items(), limits_deg, strict=True
):
    power = np.abs(np.fft.fftshift(np.fft.fft2(volume.sum(axis=0)))) + 1e-12
    brightest = brightest or np.log10(power.max())
    axis.imshow(
        np.log10(power),
        extent=(-edge_per_A, edge_per_A, edge_per_A, -edge_per_A),
        vmin=brightest - 4,
        vmax=brightest,
        cmap="magma",
    )
    if limit < 90:
        k_x = edge_per_A / np.tan(np.deg2rad(limit)) * np.array([-1, 1])
        for side in (-1, 1):
            axis.plot(side * k_x, [-edge_per_A, edge_per_A], "w--", lw=1)
    axis.set(title=name, xlabel="$k_x$ (1/Å)", ylabel="$k_z$ (1/Å)")
plotting.show(
    figure,
    "The same volumes in Fourier space (logarithm of the amplitude). Dashed: "
    "the largest tilts; the wedge lies above and below.",
    alt="Three maps of spatial frequencies. The first is filled in all "
    "directions. In the others a dark wedge around the vertical axis opens "
    "between the dashed lines, wider for ±60° than for ±70°.",
)

# %% [markdown]
# What can be done about it? From frames up to ±60°, and only every third of them, we reconstruct with five methods:
#
# | method | what it assumes about the wedge |
# |---|---|
# | FBP, filtered back-projection | nothing: the frequencies are zero |
# | SIRT | density is not negative |
# | TV, total variation | density is not negative, and flat in patches |
# | Mix | as SIRT; predicted frames lie *between* measured ones and do not touch the wedge |
# | atoms | the object is a set of atoms. Those that were found give frames at *all* angles, from which SIRT makes the volume |

# %%
held = up_to(series, 60)
measured = held.subset(slice(None, None, 3))
by_method = {
    "FBP": fbp(measured),
    "SIRT": sirt(measured, n_iterations=n_iterations),
    "TV": tv(
        measured, weight=0.01 * measured.intensity_scale, n_iterations=80
    ),
    "Mix": sirt(
        densify(measured, tilt_deg=held.tilt_deg, method="reprojection"),
        n_iterations=n_iterations,
    ),
}
try:
    if len(atoms) > 500:
        raise TsgError(f"{len(atoms)} atoms would take too long here")
    fitted = fit_atoms(measured)
    frames = TiltSeries(
        fitted.predict(series.tilt_deg),
        series.tilt_deg,
        series.pixel_size_A,
    )
    by_method["atoms"] = sirt(frames, n_iterations=n_iterations)
except TsgError as refused:
    plotting.say(f"*atoms* does not take part: {refused}.")

# %%
cuts = np.array([truth[middle], *(v[middle] for v in by_method.values())])
plotting.show(
    plotting.show_frames(
        cuts,
        ["truth", *by_method],
        pixel_size_A=series.pixel_size_A,
        vmax=0.7 * cuts[0].max(),
        columns=6,
    ),
    f"Slices from {len(measured)} frames up to ±60° by several methods, beside "
    "the truth.",
    alt="Slices side by side. Atoms are round in the truth, long along z by "
    "filtered back-projection, SIRT and Mix, and nearly round by total "
    "variation and by fitted atoms.",
)

# %%
directions = {
    "along x": (1, 0, 0),
    "along the tilt axis y": (0, 1, 0),
    "along the beam z": (0, 0, 1),
}


def agreement(volume, direction):
    """Mean correlation with the truth in a cone of 20 deg, from 0.2 to 0.7 per angstrom."""
    shells = evaluation.fourier_shell_correlation(
        volume, truth, voxel_size_A=series.pixel_size_A, direction=direction
    )
    band = (shells.frequency_per_A > 0.2) & (shells.frequency_per_A < 0.7)
    return shells.correlation[band].mean()


in_cones = pd.DataFrame(
    {
        where: {m: agreement(v, d) for m, v in by_method.items()}
        for where, d in directions.items()
    }
)
in_cones.style.format("{:.2f}").set_caption(
    "Correlation with the true density, by direction"
)

# %%
beam = in_cones["along the beam z"]
plotting.say(
    f"Along the beam, inside the wedge, the correlation with the truth is {beam['FBP']:.2f} by FBP, {beam['SIRT']:.2f} by SIRT "
    f"and {beam['Mix']:.2f} by Mix. The best is {beam.idxmax()} with {beam.max():.2f}: what fills a wedge is an assumption that "
    "happens to be true. Where it is not, the same method fills it with something else, and no frame objects."
)

# %% [markdown]
# For a series of your own, `tsg densify --extrapolate` predicts frames beyond the measured range by the methods that fit an object,
# and says what to expect of them by predicting frames left out at both *ends* of the series. `tsg show` states the wedge of a
# recording.

# %% [markdown]
# ## The same dose, spread differently
#
# So far, leaving out a frame only lost information. In an experiment it also saves *dose*: a sample bears a limited number
# of electrons, and a series of fewer frames can give more of them to each. The fair question is then not "what do predicted
# frames add to a sparse series?" but: **for one total dose, is it better to measure all angles noisily, or to measure few
# angles well and predict the rest?**
#
# Every series below received the same total number of electrons. The yardstick is the Reference without noise.

# %%
store.make(
    names.DOSE_METRICS,
    dose.dose_metrics,
    parameters={
        "data": test,
        "total_doses_per_A2": total_doses_per_A2,
        "gaps": dose_gaps,
        "mix_methods": dose_methods,
        "n_particles": dose_particles,
        "n_iterations": n_iterations,
        "n_points": n_points,
        "seed": seed,
    },
)
dosed = frames_and_volumes.read_table(store.path(names.DOSE_METRICS))


# %% tags=["hide-input"]
def at_equal_dose(table):
    sentences = volume_tables.dose_sentences(table, seed=seed)
    plotting.show(
        volume_figures.against_dose(table, seed=seed),
        "Distance from the Reference against the number of frames that "
        "share a dose.",
        alt="A plot for each microscope and dose, with a line for "
        "each arm. " + sentences.replace("*", ""),
    )
    plotting.say(sentences)
    return volume_tables.dose_table(table, seed=seed)


results.show(
    results.recorded("dose_metrics"),
    at_equal_dose,
    caption="At equal total dose",
    this_run=dosed,
    profile=store.folder.name,
)

# %% [markdown]
# Two effects explain these numbers. SIRT with a fixed number of iterations fits noise, and the fewer electrons a frame has,
# the more noise it fits. A predicted frame, on the other hand, is an average of measured frames, and hence smoother than any
# of them. Part of the gain of Mix is therefore denoising, which a regularised reconstruction of all frames might gain as
# well.

# %% [markdown]
# ## Take away
#
# - Judge a volume by the truth where it is known. The Reference has errors of its own.
# - At equal dose, few good frames can beat many noisy ones. Part of that gain is denoising.
# - The number of iterations is a setting, not a detail: SIRT fits noise if you let it.
#
# ## Check yourself
#
# **1.** What is the difference between Reference and truth?
#
# ```{dropdown} Answer 1
# The Reference is a volume from all frames, with the errors of probe, angles and SIRT. The truth is the density that was simulated.
# ```
#
# **2.** Two clouds of points are drawn from one object. Why is their Chamfer distance not zero?
#
# ```{dropdown} Answer 2
# The nearest neighbour of a point is some distance away: the floor falls with the cube root of the number of points.
# ```
#
# **3.** A residual of SIRT from 15 frames is smaller than that from 181 frames. Is its volume better?
#
# ```{dropdown} Answer 3
# No: fewer frames are easier to explain. What matters is what they leave open.
# ```
#
# **4.** Why may a few good frames beat many noisy ones at equal dose?
#
# ```{dropdown} Answer 4
# SIRT fits the noise of every frame; predicted frames are averages of measured ones and smoother. It depends on dose and gap.
# ```
#
# **5.** Frames exist from −60° to 60° only. In which direction is the volume stretched, and why?
#
# ```{dropdown} Answer 5
# Along the beam: the frequencies in a wedge around it are in no frame.
# ```
#
# ## Exercises
#
# 1. *Floor.* Double `n_points`. By which factor does the Chamfer distance at a gap of 1 fall, and why not by two? (Think of
#    the mean distance to the nearest neighbour in three dimensions.)
# 2. *Semi-convergence.* Reconstruct a series without noise, and with a dose of 1000 and of 100 e/Å² a frame
#    (`noise.with_dose(series, dose_per_A2=..., seed=1)`), with 1, 3, 10, 30 and 100 iterations. Which volume is nearest to the
#    true density, and how does the best number of iterations depend on the dose?
# 3. *A flattering yardstick.* At a gap of 2, Twice as dense is the Reference itself. Why can the paper's first claim be
#    tested there by the distance from the true density, but not by the distance from the Reference?
# 4. *Cones.* Put the cone of the directional correlation on a measured tilt $\theta$, direction
#    $(\cos\theta, 0, \sin\theta)$, and then half-way between two measured tilts, with a half angle below half the step.
#    What does Mix change, and where?
#
# Try first; then compare with the [solutions](10_solutions.ipynb), which were run for these pages.
