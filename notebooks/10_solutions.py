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
# # 10. Solutions of the exercises
#
# Every exercise of the chapters, solved by code that was run for this page. Try first: an answer that you have only read is
# soon forgotten. The solutions make their own small data, need no other chapter and take seconds each, so that you can copy
# a cell and change it. The `assert` lines check the statements beside them.
#
# | | |
# |---|---|
# | **You need** | the chapter to which an exercise belongs; for the solutions, nothing that other chapters compute |
# | **You learn** | whether your own answer was right, and a way to find out without asking |
# | **Next** | a study of your own: with [another crystal](../book/another_crystal.md) or [your own sample](09_your_own_sample.ipynb) |

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
n_steps = 40
seed = 1

# %% tags=["hide-input"]
import tempfile
from dataclasses import replace
from itertools import pairwise

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from ase.cluster import Icosahedron
from ase.neighborlist import neighbor_list
from scipy.interpolate import CubicSpline
from scipy.spatial.transform import Rotation

# %% tags=["hide-input"]
from tsg_core import evaluation, interpolation, structures, training
from tsg_core.evaluation import true_density
from tsg_core.interpolation.choice import choose, predict_automatically
from tsg_core.interpolation.fitted_series import FittedSeries
from tsg_core.interpolation.methods import predict
from tsg_core.microscope import ABERRATED, NON_ABERRATED
from tsg_core.interpolation import tsgnet
from tsg_core.model import TSGNet
from tsg_core.model.file import load_model
from tsg_core.optics import probe
from tsg_core.preparation import steps
from tsg_core.preparation.alignment import AlignmentSettings
from tsg_core.preparation.transformation import axis_rotation, without_gauge
from tsg_core.reconstruction import fbp, sirt
from tsg_core.reconstruction.projection import project
from tsg_core.samples import multislice_frames, multislice_series
from tsg_core.samples.experiment import experiment_like
from tsg_core.simulation import noise, simulate_tilt_series
from tsg_core.sparsity import midpoint_trios, sparse_indices
from tsg_core.tilt_series import TiltSeries
from tsgbook.experiments import arms, off_model
from tsgbook.figures import plotting

plotting.use_book_style()

# %% [markdown]
# Most solutions use one small particle of iridium, seen by the non-aberrated microscope every two degrees.

# %%
FRAME = {"shape": 48, "field_of_view_A": 19.2}
TILT_DEG = np.arange(-90.0, 91.0, 2.0)


def series_of(
    atoms, *, microscope=NON_ABERRATED, tilt_deg=TILT_DEG, **options
):
    return simulate_tilt_series(
        atoms, microscope=microscope, tilt_deg=tilt_deg, **FRAME, **options
    )


particle = next(
    structures.random_rotation(a, seed=seed)
    for a in structures.test_particles(4, seed=seed, diameter_A=(9.0, 12.5))
    if a.info["element"] == "Ir"
)
series = series_of(particle)
peak = series.intensity_scale
plotting.say(
    f"The particle is {particle.info['name']}: {len(particle)} atoms."
)


# %%
def psnr_dB(guess, truth):
    return evaluation.image_metrics(guess, truth, peak=peak).psnr_dB.mean()


# %% [markdown]
# ## Chapter 1
#
# ### 1.1 Surface and bulk
#
# An atom inside has twelve neighbours. Neighbours along a shell are about 5 % farther apart than those along a radius, so
# the cutoff lies between the first and the second distance. The count agrees with the formula for magic numbers:
# $10 (n - 1)^2 + 2$ atoms of $\tfrac13 (10 n^3 - 15 n^2 + 11 n - 3)$ lie at the surface.

# %%
shells = range(2, 9)
fractions = []
for n in shells:
    atoms = Icosahedron("Au", n)
    first, _ = neighbor_list("ij", atoms, cutoff=3.4)
    n_surface = int((np.bincount(first, minlength=len(atoms)) < 12).sum())
    assert n_surface == 10 * (n - 1) ** 2 + 2
    assert len(atoms) == (10 * n**3 - 15 * n**2 + 11 * n - 3) // 3
    fractions.append(n_surface / len(atoms))
assert all(smaller < larger for larger, smaller in pairwise(fractions))
figure, axis = plt.subplots(figsize=(4.5, 2.6))
axis.plot(shells, fractions, "o-")
axis.set(xlabel="shells n", ylabel="fraction at the surface", ylim=(0, 1))
plotting.show(
    figure,
    "Atoms at the surface of icosahedra, as a fraction.",
    alt="Curve of the fraction of surface atoms against the number "
    "of shells: it falls steadily, more slowly for larger "
    "particles.",
)

# %%
plotting.say(
    f"With two shells {fractions[0]:.0%} of the atoms lie at the surface, with eight still {fractions[-1]:.0%}. The "
    "fraction falls as 3 / n: a particle of a few nanometres is mostly surface."
)

# %% [markdown]
# ### 1.2 Bad rotations
#
# If the Euler angles $(\alpha, \beta, \gamma)$ are uniform, the height of the pole is $h = \cos\beta$ with uniform
# $\beta$. Its density $1 / (\pi\sqrt{1 - h^2})$ diverges at $h = \pm 1$: particles would be seen along their pole too
# often. Draw $\cos\beta$ uniformly instead.

# %%
rng = np.random.default_rng(seed)
angles = rng.uniform(
    [0, 0, 0], [2 * np.pi, np.pi, 2 * np.pi], size=(20_000, 3)
)
wrong = Rotation.from_euler("ZYZ", angles).apply([0.0, 0.0, 1.0])[:, 2]
angles[:, 1] = np.arccos(rng.uniform(-1, 1, len(angles)))
right = Rotation.from_euler("ZYZ", angles).apply([0.0, 0.0, 1.0])[:, 2]
near_a_pole = {
    name: np.mean(np.abs(h) > 0.9)
    for name, h in (("wrong", wrong), ("right", right))
}
assert abs(near_a_pole["right"] - 0.1) < 0.01
assert abs(near_a_pole["wrong"] - 2 * np.arccos(0.9) / np.pi) < 0.01
h = np.linspace(-0.995, 0.995, 400)
figure, axis = plt.subplots(figsize=(5, 2.4))
for heights, label in ((wrong, "uniform angles"), (right, "uniform cos β")):
    axis.hist(heights, bins=40, density=True, alpha=0.6, label=label)
axis.plot(
    h, 1 / (np.pi * np.sqrt(1 - h**2)), "k", lw=1, label="1 / π√(1 − h²)"
)
axis.set(xlabel="height h of the pole", ylabel="density")
axis.legend(fontsize=8)
plotting.show(
    figure,
    "Heights of the pole by two ways to draw angles.",
    alt="Two histograms of heights between −1 and 1. Uniform "
    "cosines give a flat one; uniform angles crowd at both "
    "ends, along the drawn curve.",
)

# %% [markdown]
# ## Chapter 2
#
# ### 2.1 Defocus
#
# "Shrinks most" needs a criterion, since a defocus moves electrons from one part of the halo to another. Three radii, within
# which 50, 90 and 99 % of the beam lie, give three answers.

# %%
defoci_A = np.arange(0.0, 801.0, 100.0)
radii_A = {fraction: [] for fraction in (0.5, 0.9, 0.99)}
for d in defoci_A:
    focused = replace(ABERRATED, defocus_A=float(d))
    for fraction, radii in radii_A.items():
        radii.append(probe.probe_radius_A(focused, fraction=fraction))
best_A = {
    fraction: defoci_A[int(np.argmin(r))] for fraction, r in radii_A.items()
}
assert 0 < best_A[0.5] < best_A[0.9] < best_A[0.99]
figure, axis = plt.subplots(figsize=(5, 2.8))
for fraction, r in radii_A.items():
    axis.semilogy(
        defoci_A, r, "o-", ms=3, label=f"{fraction:.0%} of the beam"
    )
axis.set(xlabel="defocus (Å)", ylabel="radius (Å)")
axis.legend(fontsize=8)
plotting.show(
    figure,
    "Radius that holds a part of the beam, against the defocus.",
    alt="Three curves of a radius on a logarithmic scale against "
    "defocus, for 50, 90 and 99 % of the beam. Each has a "
    "minimum, at a defocus that grows with the fraction.",
)

# %%
scherzer_A = np.sqrt(1.5 * ABERRATED.Cs_um * 1e4 * ABERRATED.wavelength_A)
plotting.say(
    "The best defocus is "
    + ", ".join(
        f"{d:.0f} Å for {f:.0%} of the beam" for f, d in best_A.items()
    )
    + f". Scherzer's defocus of conventional microscopy, $\\sqrt{{1.5\\, C_s \\lambda}}$, is {scherzer_A:.0f} Å. The "
    "core is made by the inner rays and asks for less than the outermost rays. For atoms on a dark background, choose "
    "by the core."
)

# %% [markdown]
# ### 2.2 An imperfect source
#
# A finite source blurs the *intensity* of the probe with a Gaussian; a spread of the focus mixes probes of several foci. We
# compare the height of the centre, which says how sharp the core is, and what lies outside 3 Å, which is the tail.

# %%
probes = {
    "ideal": NON_ABERRATED,
    "source of 0.8 Å": replace(NON_ABERRATED, source_size_A=0.8),
    "focus spread of 40 Å": replace(NON_ABERRATED, defocus_spread_A=40.0),
}
rows = []
for name, microscope in probes.items():
    image = probe.probe_intensity(microscope, extent_A=24.0, gpts=240)
    outside = 1 - probe.fraction_within(microscope, radius_A=3.0)
    sharp = series_of(
        particle, microscope=microscope, tilt_deg=[0.0]
    ).frames[0]
    rows.append(
        {
            "probe": name,
            "centre": image.max(),
            "beyond 3 Å": outside,
            "image contrast": sharp.std() / sharp.mean(),
        }
    )

# %%
blurred = pd.DataFrame(rows).set_index("probe")
blurred["centre"] /= blurred.loc["ideal", "centre"]
source, spread = (
    blurred.loc["source of 0.8 Å"],
    blurred.loc["focus spread of 40 Å"],
)
assert source["centre"] < spread["centre"] < 1
ideal_tail = blurred.loc["ideal", "beyond 3 Å"]
assert abs(source["beyond 3 Å"] - ideal_tail) < abs(
    spread["beyond 3 Å"] - ideal_tail
)
blurred.style.format("{:.3f}")

# %% [markdown]
# The source blurs more, but only locally: the tails stay as they were. The spread of the focus changes the core less and
# moves electrons outwards, beyond the reach of the source's narrow Gaussian.
#
# ### 2.3 Away from the axis
#
# Neighbours in a column are about 2.9 Å apart, so a turn by 5° moves them by 0.25 Å relative to each other, and the ends of
# a column of five by more than 1 Å. The correction should fade on that scale.

# %%
gold = next(
    c
    for c in multislice_frames.CASES
    if c.particle == "Au 147" and c.orientation != "off axis"
)
turns_deg = np.arange(0.0, 11.0)
plain, corrected = (
    series_of(gold.atoms(), tilt_deg=turns_deg, channelling=on).frames
    for on in (False, True)
)
change = np.linalg.norm(corrected - plain, axis=(1, 2)) / np.linalg.norm(
    plain, axis=(1, 2)
)
half_deg = turns_deg[int(np.argmax(change < change[0] / 2))]
assert change[0] == change.max() and 0 < half_deg <= 10
figure, axis = plt.subplots(figsize=(4.5, 2.6))
axis.plot(turns_deg, change, "o-")
axis.set(xlabel="turned by (deg)", ylabel="relative change", ylim=(0, None))
plotting.show(
    figure,
    "How much the channelling correction changes a frame.",
    alt="Curve of the relative change against the angle between 0° "
    "and 10°: largest on the axis, it falls within a few "
    "degrees.",
)
plotting.say(
    f"On the axis the correction changes the frame by {change[0]:.0%}. It has fallen to less than half of that at "
    f"{half_deg:.0f}°, where neighbours are {2.88 * np.sin(np.deg2rad(half_deg)):.2f} Å apart in the image: "
    "about the width of the probe's core. What is left at 10° belongs to the wide terms."
)

# %% [markdown]
# ## Chapter 3
#
# ### 3.1 Every frame once
#
# The residue classes modulo $g$ partition the integers.

# %%
for gap in range(1, 13):
    parts = [sparse_indices(181, gap=gap, offset=o) for o in range(gap)]
    together = np.concatenate(parts)
    assert len(together) == len(set(together.tolist())) == 181
    assert np.array_equal(np.sort(together), np.arange(181))
plotting.say(
    "For every gap from 1 to 12 the offsets share no frame, and together they hold all 181."
)

# %% [markdown]
# ### 3.2 Crowther by eye
#
# We fill discs of three diameters $D$ with small spots, equally dense, and ask at which step the slice inside the disc differs by
# 15 % from that of a very dense series. Equation {eq}`crowther` says that the step times the diameter, $d = D\,\Delta\theta$, is
# then the same for all. Filtered back-projection assumes nothing about the object, as the criterion does.


# %%
def spots_in_a_disc(diameter_px, n=96, sigma_px=1.0):
    """A volume (1, n, n) with spots at random places in a disc."""
    generator = np.random.default_rng(seed)
    n_spots = round(0.036 * diameter_px**2)
    r = 0.5 * diameter_px * np.sqrt(generator.random(n_spots))
    phi = 2 * np.pi * generator.random(n_spots)
    grid = np.arange(n) - (n - 1) / 2
    return sum(
        np.exp(
            -((grid[:, None] - b) ** 2 + (grid - a) ** 2)
            / (2 * sigma_px**2)
        )
        for a, b in zip(r * np.cos(phi), r * np.sin(phi), strict=True)
    )[None].astype(np.float32)


# %%
def slice_of(disc, step_deg):
    tilt_deg = np.arange(-90.0, 90.0, step_deg)
    frames = project(disc, tilt_deg=tilt_deg)
    return fbp(TiltSeries(frames, tilt_deg, 1.0), allow_negative=True)[0]


steps_deg = np.array([2.0, 3.0, 4.0, 6.0, 9.0, 12.0, 18.0])
discs = {d: spots_in_a_disc(d) for d in (22, 44, 88)}
from_axis_px = np.hypot(
    *np.meshgrid(np.arange(96) - 47.5, np.arange(96) - 47.5)
)
slices, error = {}, {}
for d, disc in discs.items():
    dense, inside = slice_of(disc, 0.5), from_axis_px < d / 2
    slices |= {(d, s): slice_of(disc, s) for s in steps_deg}
    contrast = np.linalg.norm(dense[inside] - dense[inside].mean())
    error[d] = [
        np.linalg.norm((slices[d, s] - dense)[inside]) / contrast
        for s in steps_deg
    ]

# %%
limit_deg = {
    d: float(np.interp(0.15, e, steps_deg)) for d, e in error.items()
}
detail_px = np.array([d * np.deg2rad(s) for d, s in limit_deg.items()])
assert limit_deg[22] > 1.5 * limit_deg[44] > 2.25 * limit_deg[88]
assert detail_px.max() < 1.3 * detail_px.min()
for step in (4.0, 12.0):
    figure = plotting.show_frames(
        np.array([slices[d, step] for d in discs]),
        [f"D = {d} px, every {step:g}°" for d in discs],
        pixel_size_A=1.0,
        vmax=1.0,
    )
    plotting.show(
        figure,
        "Slices of three discs of spots by filtered back-projection.",
        alt="Three slices. Where the step is small for the size of the "
        "disc, spots are sharp on a dark ground; else streaks cross "
        "the disc.",
    )
plotting.say(
    "The slice differs by 15 % from a step of "
    + ", ".join(f"{s:.1f}° for D = {d} px" for d, s in limit_deg.items())
    + " on. $D\\,\\Delta\\theta$ is "
    + ", ".join(f"{d:.1f}" for d in detail_px)
    + " px: twice the diameter asks for half the step. Repeat it with `sirt`: it knows that density is not negative, which "
    "makes sparse objects such as these easier than the criterion says."
)

# %% [markdown]
# ## Chapter 4
#
# ### 4.1 One flow per pixel
#
# The same two atoms, seen every 30° and every 5°, with two more frames outside. Does a spline through four frames find the
# crossing?

# %%
x_A = np.linspace(-6, 6, 241)


def row_at(tilt_deg):
    u = 8 * np.sin(np.deg2rad(np.asarray(tilt_deg, float)))[..., None]
    return np.exp(-2 * (x_A - u) ** 2) + np.exp(-2 * (x_A + u) ** 2)


truth = row_at(0.0)
found_at_0 = {}
for step in (30.0, 5.0):
    four_deg = step * np.array([-1.5, -0.5, 0.5, 1.5])
    found_at_0[f"linear, every {step:g}°"] = row_at(four_deg[1:3]).mean(
        axis=0
    )
    found_at_0[f"spline, every {step:g}°"] = CubicSpline(
        four_deg, row_at(four_deg)
    )(0.0)
error = {
    k: np.linalg.norm(v - truth) / np.linalg.norm(truth)
    for k, v in found_at_0.items()
}
assert error["spline, every 30°"] > 0.8 and error["linear, every 30°"] > 0.8
assert error["spline, every 5°"] < error["linear, every 5°"] < 0.5

# %%
figure, axis = plt.subplots(figsize=(6, 2.6))
axis.plot(x_A, truth, "k", label="truth")
for label, values in found_at_0.items():
    axis.plot(x_A, values, label=f"{label}: error {error[label]:.0%}")
axis.set(xlabel="column (Å)", ylabel="intensity")
axis.legend(fontsize=8)
plotting.show(
    figure,
    "Two atoms between measured frames, by two interpolations "
    "at two steps.",
    alt="Curves of intensity against column. The truth is one peak "
    "in the middle. At 30° both interpolations show two peaks "
    "beside it; at 5° they come close.",
)

# %% [markdown]
# At 30° it does not: no measured frame holds any intensity at the crossing, and a spline can only mix what it is given.
# At 5° the atoms move by less than their width, and the spline is better than the mean. A method that knows both atoms as
# parts of one object would find the crossing from any two frames.
#
# ### 4.2 Ablation
#
# A forward hook on each decoder sets the first four channels of its output, the two flows, to zero. Both networks are
# trained alike, from the same weights, on two small series.

# %%
SIZE = {
    "channels": (8, 12, 16, 24),
    "linear_start": True,
    "motion_scaled": True,
    "he_start": True,
}


def network():
    torch.manual_seed(seed)
    return TSGNet(**SIZE)


def without_flows(model):
    """The network with all flows held at zero: only mask and residual remain."""

    def zero_flows(_module, _inputs, output):
        return torch.cat(
            [torch.zeros_like(output[:, :4]), output[:, 4:]], dim=1
        )

    for decoder in (
        model.decoder4,
        model.decoder3,
        model.decoder2,
        model.decoder1,
    ):
        decoder.register_forward_hook(zero_flows)
    return model


# %%
gold_and_silver = [
    structures.random_rotation(a, seed=seed + i)
    for i, a in enumerate(
        structures.training_particles(3, seed=seed, diameter_A=(9.0, 12.5))
    )
]
learnt_from = [series_of(a) for a in gold_and_silver[:2]]
validated_with = [series_of(gold_and_silver[2])]


def trained(model, **changes):
    """The best network of a short training."""
    settings = {
        "n_steps": n_steps,
        "batch_size": 4,
        "crop_px": 48,
        "loss": "gain",
        "seed": seed,
    }
    settings |= {"validate_every": max(1, n_steps // 4)} | changes
    with tempfile.TemporaryDirectory() as folder:
        path = training.train(
            learnt_from,
            validation=validated_with,
            settings=training.TrainingSettings(**settings),
            folder=folder,
            model=model,
        )
        return load_model(path)


# %%
def gain_dB(model, rate):
    """Mean gain over linear interpolation at the midpoints of the validation series."""
    whole = validated_with[0]
    trios = midpoint_trios(len(whole), rate=rate, offset=0)
    measured = whole.subset(np.union1d(trios[:, 0], trios[:, 2]))
    truth, angles = whole.frames[trios[:, 1]], whole.tilt_deg[trios[:, 1]]
    linear = interpolation.densify(
        measured, tilt_deg=angles, method="linear"
    ).frames
    found = tsgnet.predict_frames(model, measured, tilt_deg=angles)
    errors = [((f - truth) ** 2).mean(axis=(1, 2)) for f in (linear, found)]
    return float(10 * np.log10(errors[0] / errors[1]).mean())


# %%
whole_network = trained(network())
no_flows = without_flows(trained(without_flows(network())))
rates = (1, 3, 6, 12)
ablation = pd.DataFrame(
    {
        name: [gain_dB(m, r) for r in rates]
        for name, m in (("flows", whole_network), ("no flows", no_flows))
    },
    index=pd.Index(rates, name="rate"),
)
assert (
    abs(gain_dB(without_flows(network()), 6)) < 1e-3
)  # untrained, it is linear interpolation
assert ablation.abs().to_numpy().max() > 0.01  # both learnt something
ablation.style.format("{:+.2f}").set_caption("Gain over linear (dB)")

# %%
plotting.say(
    f"After {n_steps} steps the whole network gains {ablation['flows'].mean():+.2f} dB in the mean over the rates, that "
    f"without flows {ablation['no flows'].mean():+.2f} dB. A training this short shows the way to do it, not the answer: "
    "with `n_steps` in the thousands the difference says how much of the gain is motion."
)

# %% [markdown]
# ## Chapter 5
#
# ### 5.1 Is the exchange needed?
#
# It is not: without it the frames are still a tilt series. The mirrored column is
# $-(x\cos\theta + z\sin\theta) = (-x)\cos\theta + (-z)\sin\theta$: the object rotated by half a turn about the tilt
# axis, at the same tilts. An image that is a plain sum over atoms can't tell front from back, so both kinds of mirror are
# allowed. With channelling, entrance and exit differ, and only the exchange remains exact.


# %%
def as_mirrored(signs, *, channelling):
    turned = particle.copy()
    turned.positions *= signs
    return series_of(turned, channelling=channelling).frames


# %%
rows = []
for channelling in (False, True):
    mirrored = series_of(particle, channelling=channelling).frames[
        :, :, ::-1
    ]
    with_exchange = as_mirrored([-1, 1, 1], channelling=channelling)[::-1]
    without = as_mirrored([-1, 1, -1], channelling=channelling)
    rows.append(
        {"channelling": channelling}
        | {
            name: np.linalg.norm(mirrored - frames)
            / np.linalg.norm(mirrored)
            for name, frames in (
                ("with exchange", with_exchange),
                ("without", without),
            )
        }
    )
assert (
    max(
        rows[0]["with exchange"],
        rows[0]["without"],
        rows[1]["with exchange"],
    )
    < 1e-4
)
assert rows[1]["without"] > 1e-3
pd.DataFrame(rows).style.format(
    "{:.1e}", subset=["with exchange", "without"]
).hide(axis="index").set_caption("Difference from a real series, relative")

# %% [markdown]
# ### 5.2 One rate
#
# `TrainingSettings(min_rate=6, max_rate=6, midpoint=1.0)` draws samples of rate 6 only.

# %%
one_rate = trained(network(), min_rate=6, max_rate=6, midpoint=1.0)
specialist = pd.DataFrame(
    {
        "all rates": [gain_dB(whole_network, r) for r in (3, 6, 12)],
        "rate 6 alone": [gain_dB(one_rate, r) for r in (3, 6, 12)],
    },
    index=pd.Index((3, 6, 12), name="rate"),
)
plotting.say(
    "At rate 6 the specialist gains "
    f"{specialist.loc[6, 'rate 6 alone']:+.2f} dB and the network for all rates {specialist.loc[6, 'all rates']:+.2f} dB; "
    f"at rate 3, {specialist.loc[3, 'rate 6 alone']:+.2f} and {specialist.loc[3, 'all rates']:+.2f} dB. Judge a "
    "specialist at the rates that it never saw: there it can only hope that what it learnt carries over."
)
specialist.style.format("{:+.2f}").set_caption("Gain over linear (dB)")

# %% [markdown]
# ### 5.3 Which loss?
#
# `loss="published"` adds up absolute errors, which are largest at large gaps; `loss="gain"` compares each sample with linear
# interpolation of the same frames.

# %%
published_loss = trained(network(), loss="published")
losses_compared = pd.DataFrame(
    {
        "gain": [gain_dB(whole_network, r) for r in (1, 12)],
        "published": [gain_dB(published_loss, r) for r in (1, 12)],
    },
    index=pd.Index((1, 12), name="rate"),
)
first, last = losses_compared.loc[1], losses_compared.loc[12]
plotting.say(
    f"At rate 1 the loss *gain* brings {first['gain']:+.2f} dB and the published one {first['published']:+.2f} dB; at rate 12 "
    f"{last['gain']:+.2f} and {last['published']:+.2f} dB. So short a training decides nothing. In a long one watch rate 1: "
    "a loss that hardly counts small gaps leaves them as they are, however bad."
)
losses_compared.style.format("{:+.2f}").set_caption("Gain over linear (dB)")

# %% [markdown]
# ## Chapter 6
#
# ### 6.1 A fairer linear?
#
# Half-way between the middle two of four equidistant frames, the cubic polynomial through all four has the value
# $\tfrac{1}{16}(-f_1 + 9 f_2 + 9 f_3 - f_4)$. At the ends, where a frame is missing, take linear interpolation.


# %%
def at_rate(rate):
    trios = midpoint_trios(len(series), rate=rate, offset=0)
    measured = series.subset(np.union1d(trios[:, 0], trios[:, 2]))
    return measured, series.subset(trios[:, 1])


def four_frames(measured):
    f = measured.frames
    middles = (f[:-1] + f[1:]) / 2
    middles[1:-1] = (-f[:-3] + 9 * f[1:-2] + 9 * f[2:-1] - f[3:]) / 16
    return middles


# %%
rows = []
for rate in (1, 3, 6):
    measured, wanted = at_rate(rate)
    row = {
        "rate": rate,
        "four frames": psnr_dB(four_frames(measured), wanted.frames),
    }
    for method in ("linear", "cubic"):
        guess = interpolation.densify(
            measured, tilt_deg=wanted.tilt_deg, method=method
        )
        row[method] = psnr_dB(guess.frames, wanted.frames)
    rows.append(row)
fair = pd.DataFrame(rows).set_index("rate")
assert fair.loc[1, "linear"] < fair.loc[1, "four frames"]
cubic_in_t = 0.5 + np.linspace(-1, 1, 5)[:, None, None] ** 3 * np.ones(
    (1, 2, 2)
)
weights = four_frames(TiltSeries(cubic_in_t, np.arange(5.0), 1.0))[
    1:-1, 0, 0
]
assert np.allclose(
    weights, 0.5 + np.array([-0.25, 0.25]) ** 3, atol=1e-6
)  # exact for a cubic
fair.style.format("{:.1f}").set_caption("PSNR (dB)")

# %% [markdown]
# Four frames come close to the spline through all of them, and far beyond linear while steps are small. Where atoms move by
# more than their width, all three fail for the same reason: they mix pixels of other moments.
#
# ### 6.2 Peak
#
# Within a frame no methods change places, since the same number is added to the values of all. The average over frames does
# change: frames along a zone axis, with a high peak, gain weight. Besides, a peak from the target is unknown when the target
# is missing.

# %%
measured, wanted = at_rate(3)
one_peak, own_peaks = {}, {}
gain_of_peak = 20 * np.log10(wanted.frames.max(axis=(1, 2)) / peak)
for method in ("nearest", "linear", "cubic", "reprojection"):
    guess = interpolation.densify(
        measured, tilt_deg=wanted.tilt_deg, method=method
    ).frames
    one_peak[method] = evaluation.image_metrics(
        guess, wanted.frames, peak=peak
    ).psnr_dB
    own_peaks[method] = one_peak[method] + gain_of_peak
same_order = [
    sorted(one_peak, key=lambda m: one_peak[m][k])
    == sorted(own_peaks, key=lambda m: own_peaks[m][k])
    for k in range(len(wanted))
]
assert all(same_order) and gain_of_peak.max() <= 1e-6
table = pd.DataFrame({"one peak": one_peak, "own peaks": own_peaks}).map(
    np.mean
)
table.style.format("{:.1f}").set_caption(
    f"Mean PSNR (dB); the peaks of the frames differ by up to {-gain_of_peak.min():.1f} dB"
)

# %% [markdown]
# ## Chapter 7
#
# ### 7.1 Floor
#
# The distance to the nearest neighbour in a cloud of density $n$ is proportional to $n^{-1/3}$, so doubling the number of
# points multiplies the floor by $2^{-1/3} \approx 0.79$.

# %%
reference = sirt(series, n_iterations=60)
floors_A = []
for n_points in (5_000, 10_000, 20_000):
    clouds = [
        evaluation.object_points(
            reference,
            n_points=n_points,
            voxel_size_A=series.pixel_size_A,
            seed=k,
        )
        for k in (0, 1)
    ]
    floors_A.append(evaluation.chamfer_distance(*clouds))
ratios = [b / a for a, b in pairwise(floors_A)]
assert all(abs(r - 2 ** (-1 / 3)) < 0.03 for r in ratios)
plotting.say(
    "Floors of "
    + ", ".join(f"{f:.3f} Å" for f in floors_A)
    + f": each doubling multiplies them by {np.mean(ratios):.2f}."
)

# %% [markdown]
# ### 7.2 Semi-convergence
#
# We compare with the true density, which contains no reconstruction. At first every volume gains, since the particle takes
# shape. Then further iterations explain what does not belong to it: noise, and the earlier the more there is. The number of
# iterations is a regularisation. Even without noise the error rises at last, because atoms become sharper than the true
# density, whose width we chose.

# %%
truth_volume = true_density.true_density(
    particle,
    microscope=NON_ABERRATED,
    shape=reference.shape,
    voxel_size_A=series.pixel_size_A,
)
iterations = (1, 3, 10, 30, 100)
doses = {
    "no noise": None,
    "1000 e/Å² a frame": 1e3,
    "100 e/Å² a frame": 1e2,
}
error = {}
for label, dose in doses.items():
    frames = (
        noise.with_dose(series, dose_per_A2=dose, seed=seed)
        if dose
        else series
    )
    error[label] = np.array(
        [
            np.linalg.norm(sirt(frames, n_iterations=n) - truth_volume)
            / np.linalg.norm(truth_volume)
            for n in iterations
        ]
    )

# %%
best = {
    label: iterations[int(values.argmin())]
    for label, values in error.items()
}
clean, little, much = error.values()
assert (
    best["100 e/Å² a frame"] < best["1000 e/Å² a frame"] <= best["no noise"]
)
assert clean[-1] < little[-1] < much[-1] and (np.diff(clean[:3]) < 0).all()
figure, axis = plt.subplots(figsize=(4.6, 2.8))
for label, values in error.items():
    axis.semilogx(iterations, values, "o-", label=label)
axis.set(xlabel="iterations", ylabel="error against the truth")
axis.legend(fontsize=8)
plotting.show(
    figure,
    "Error against the truth, by number of iterations.",
    alt="Three curves against the iterations on a logarithmic axis. "
    "All fall first; the noisiest rises earliest and highest.",
)
plotting.say(
    "Of these numbers of iterations the best are "
    + ", ".join(f"{n} ({label})" for label, n in best.items())
    + f". At {iterations[-1]} the noisiest volume is {much[-1] / much.min():.1f} times as far from the truth as at its best."
)

# %% [markdown]
# ### 7.3 A flattering yardstick
#
# At a gap of 2 the rival is the yardstick itself. Its distance is only the sampling floor, and nothing can be better. The
# true density was not made from frames, so all arms are compared with something that none of them contains.

# %%
rival = arms.twice_as_dense(series, gap=2)
assert np.array_equal(rival.frames, series.frames)
of_arms = {
    "Reference": reference,
    "Sparse": sirt(arms.sparse(series, gap=2), n_iterations=60),
    "Mix (midpoint), reprojection": sirt(
        arms.mix(series, gap=2, fill="midpoint", method="reprojection"),
        n_iterations=60,
    ),
}

# %%
yardsticks = pd.DataFrame(
    {
        f"from {name} (Å)": {
            arm: evaluation.compare_volumes(
                volume,
                yardstick,
                voxel_size_A=series.pixel_size_A,
                n_points=20_000,
                seed=seed,
            ).chamfer_A
            for arm, volume in of_arms.items()
        }
        for name, yardstick in (
            ("the Reference", reference),
            ("the truth", truth_volume),
        )
    }
)
from_reference = yardsticks["from the Reference (Å)"]
assert from_reference.idxmin() == "Reference"
assert abs(from_reference["Reference"] - floors_A[-1]) < 0.01
yardsticks.style.format("{:.3f}")

# %% [markdown]
# ### 7.4 Cones
#
# In a measured direction Sparse and Reference agree, since the frequencies of that frame are those of the volume. Between
# two measured directions Sparse knows only the low frequencies, up to those at which neighbouring frames still overlap
# (Crowther's criterion, {cite:t}`crowther1970`). Mix can help only there.

# %%
gap = 6
sparse = arms.sparse(series, gap=gap)
measured_deg = sparse.tilt_deg[len(sparse) // 2]
between_deg = measured_deg + np.diff(sparse.tilt_deg)[0] / 2
compared = {
    "Sparse": sirt(sparse, n_iterations=60),
    "Mix": sirt(
        arms.mix(series, gap=gap, method="reprojection"), n_iterations=60
    ),
}

# %%
agreement = {}
for arm, volume in compared.items():
    for where, angle in (
        ("on a measured tilt", measured_deg),
        ("between", between_deg),
    ):
        direction = (
            np.cos(np.deg2rad(angle)),
            0.0,
            np.sin(np.deg2rad(angle)),
        )
        shells = evaluation.fourier_shell_correlation(
            volume,
            reference,
            voxel_size_A=series.pixel_size_A,
            direction=direction,
            half_angle_deg=4.0,
        )
        band = (shells.frequency_per_A > 0.4) & (
            shells.frequency_per_A < 0.9
        )
        agreement[arm, where] = shells.correlation[band].mean()
assert (
    agreement["Sparse", "on a measured tilt"]
    > agreement["Sparse", "between"]
)
assert agreement["Mix", "between"] > agreement["Sparse", "between"]
pd.Series(agreement).unstack().style.format("{:.3f}").set_caption(
    "Mean correlation with the Reference, 0.4 to 0.9 per Å"
)

# %% [markdown]
# ## Chapter 8
#
# ### 8.1 A fairer crime
#
# The same particle, the same angles and pixels; only the model of the image differs, so the whole difference between the
# columns comes from it. With channelling the simulation contains the term that `atoms` fits, and the crime would be
# complete for that method (add it to the list to see).

# %%
name = "Ag 75, decahedron"
multislice = multislice_series.reference_series(name, "non_aberrated")
options = {
    "microscope": NON_ABERRATED,
    "tilt_deg": multislice.tilt_deg,
    "shape": multislice.frames.shape[1:],
    "field_of_view_A": multislice_series.FIELD_OF_VIEW_A,
}
atoms = multislice_series.reference_atoms(name)
models = {
    "multislice": multislice,
    "incoherent": simulate_tilt_series(atoms, **options),
    "with channelling": simulate_tilt_series(
        atoms, channelling=True, **options
    ),
}

# %%
gains = {}
for model, whole in models.items():
    pair = off_model.spacing_case(whole, spacing_deg=12.0)
    scores = off_model.method_scores(
        *pair, ["cubic", "reprojection", "kriging"]
    )
    gains[model] = {
        row["method"]: row["gain"]
        for row in scores
        if row["method"] != "linear"
    }
crime = pd.DataFrame(gains)
flattered = crime["incoherent"] - crime["multislice"]
assert flattered["reprojection"] > flattered["cubic"]
crime.style.format("{:+.1f}").set_caption(
    "Gain over linear (dB), a frame measured every 12°"
)

# %%
plotting.say(
    f"The model flatters `reprojection` by {flattered['reprojection']:.1f} dB. The spline, which fits no object, changes by "
    f"{flattered['cubic']:+.1f} dB: that part is not the crime but the smoother frames of the simpler model."
)

# %% [markdown]
# ### 8.2 Halo
#
# Three degrees are more than the whole opening of the beam: no ray in one frame has a partner in the other at the same angle
# to the crystal. The halos are maps of neighbouring pieces of the rocking curve, without overlap. What still correlates at
# 3° is due to waves: diffraction blurs the piece that a ray maps, and a reflection has a width of its own.

# %%
alpha = ABERRATED.convergence_mrad * 1e-3
landing_A = ABERRATED.Cs_um * 1e4 * alpha**3
turn_mrad = 1e3 * np.deg2rad(3.0)
assert turn_mrad > 2 * ABERRATED.convergence_mrad
plotting.say(
    f"The outermost ray lands $C_s \\alpha^3$ = {landing_A:.1f} Å from the focus. Three degrees are {turn_mrad:.0f} mrad, "
    f"and the whole opening of the beam is {2 * ABERRATED.convergence_mrad:.0f} mrad: no two rays of one beam differ by 3°. "
    f"Even its two edges, {np.rad2deg(2 * alpha):.1f}° apart, land {2 * landing_A:.0f} Å from each other."
)

# %% [markdown]
# ### 8.3 Trust the interval?
#
# Errors in units of their stated standard deviation. A normal distribution has 68 % within one and 95 % within two.

# %%
known, wanted = off_model.spacing_case(multislice, spacing_deg=12.0)
automatic = predict_automatically(
    known,
    tilt_deg=wanted.tilt_deg,
    methods=("linear", "cubic", "reprojection"),
)
z = (wanted.frames - automatic.frames) / automatic.sigma
within = {
    level: float(np.mean(np.abs(z) < level))
    for level in (0.5, 1.0, 2.0, 4.0)
}
tails = np.abs(z) > 3
bright = wanted.frames > np.quantile(wanted.frames, 0.9)
assert np.isfinite(z).all() and 0.75 < within[2.0] <= 1

# %%
figure, axes = plt.subplots(1, 2, figsize=(8, 2.8))
axes[0].hist(
    z.ravel(), bins=np.linspace(-5, 5, 81), density=True, alpha=0.7
)
grid = np.linspace(-5, 5, 200)
axes[0].semilogy(
    grid, np.exp(-(grid**2) / 2) / np.sqrt(2 * np.pi), "k", lw=1
)
axes[0].set(
    xlabel="error / standard deviation", ylabel="density", ylim=(1e-4, 2)
)
picture = axes[1].imshow(
    (z**2).mean(axis=0) ** 0.5, cmap="viridis", vmin=0, vmax=2
)
figure.colorbar(picture, ax=axes[1], label="rms of error / σ")
axes[1].set_axis_off()
plotting.show(
    figure,
    "Errors over stated standard deviations: histogram, and "
    "root mean square by pixel.",
    alt="Left: a histogram on a logarithmic scale with a narrower "
    "middle and longer tails than the normal curve. Right: a "
    "map that is bright on the columns of atoms.",
)

# %%
plotting.say(
    "Within half a standard deviation, one, two and four lie "
    + ", ".join(f"{share:.1%}" for share in within.values())
    + f" of the pixels; a normal distribution has 38.3, 68.3, 95.4 and 100.0 %. Beyond three lie {tails.mean():.2%} of all "
    f"pixels and {tails[bright].mean():.2%} of the brightest tenth. The scale is set so that the intervals hold 90 % of the "
    "left-out pixels, which does not make other levels right."
)

# %% [markdown]
# ## Chapter 9
#
# ### 9.1 No alignment
#
# The shipped recording, binned by two to save time, aligned and not. Methods that fit one object to all frames suffer most:
# no object explains frames that jump. Interpolation between neighbours suffers from the jumps, too, but knows no others.

# %%
raw, truth_of_recording = experiment_like()
quick = steps.PreparationSettings(hot_pixels=True, binning=2)
prepared = {
    "aligned": steps.prepare(raw, settings=quick),
    "not aligned": steps.prepare(
        raw, settings=replace(quick, alignment=None)
    ),
    "wrong sign": steps.prepare(
        raw, settings=replace(quick, flip_angles=True)
    ),
}
METHODS = ("linear", "cubic", "reprojection", "kriging")


def left_out_dB(series, methods=METHODS):
    table = choose(series, methods=methods).table
    return table.set_index("method")["left_out_psnr_dB"].astype(float)


# %%
scores = pd.DataFrame(
    {name: left_out_dB(p.series) for name, p in prepared.items()}
)
lost_dB = scores["aligned"] - scores["not aligned"]
assert lost_dB["reprojection"] > lost_dB["linear"]
scores.style.format("{:.2f}").set_caption("Left-out frames: PSNR (dB)")

# %%
plotting.say(
    "Without alignment, "
    + ", ".join(
        f"{m} loses {v:.1f} dB"
        for m, v in lost_dB.sort_values(ascending=False).items()
    )
    + "."
)

# %% [markdown]
# ### 9.2 A simpler alignment
#
# Correlation compares a frame with the one before. The object has changed a little in between, and the best match is off by part
# of a pixel, in both directions. These steps add up from frame to frame, with nothing to correct them. The full alignment asks
# whether *all* frames can be projections of one object, and so ties frames together that are far apart. The errors are those of
# the shifts, apart from a translation of the object.

# %%
ways = {
    method: steps.prepare(
        raw,
        settings=steps.PreparationSettings(
            hot_pixels=True, alignment=AlignmentSettings(method=method)
        ),
    )
    for method in ("correlation", "full")
}


# %%
def shift_errors_px(found):
    error = without_gauge(
        found.shift_px - truth_of_recording.shift_px,
        tilt_deg=raw.tilt_deg,
        axis_deg=truth_of_recording.axis_deg,
    )
    along, across = (error @ axis_rotation(truth_of_recording.axis_deg)).T
    columns = {
        "along": along,
        "across": across,
        "from frame to frame": np.diff(error, axis=0),
    }
    return {
        f"{name} (px)": np.sqrt((values**2).mean())
        for name, values in columns.items()
    }


shift_errors = pd.DataFrame(
    {m: shift_errors_px(p.alignment) for m, p in ways.items()}
).T
assert (
    shift_errors.loc["full"] < 0.1 * shift_errors.loc["correlation"]
).all()
shift_errors.style.format("{:.3f}").set_caption(
    "Errors of the shifts, root mean square"
)

# %% [markdown]
# ### 9.3 The wrong sign
#
# None of the numbers that a recording can give: the frames with all angles negated are a perfect series of the mirror image.
# Only a comparison with the truth notices.

# %%
difference_dB = (scores["wrong sign"] - scores["aligned"]).abs()
assert difference_dB.max() < 0.3
volumes = {
    name: sirt(prepared[name].series, n_iterations=20)
    for name in ("aligned", "wrong sign")
}
flat = [
    volumes["aligned"],
    volumes["wrong sign"],
    volumes["wrong sign"][:, ::-1],
]
alike = [
    float(np.corrcoef(flat[0].ravel(), v.ravel())[0, 1]) for v in flat[1:]
]
assert alike[1] > 0.95 > alike[0]
plotting.say(
    f"The left-out scores differ by at most {difference_dB.max():.2f} dB. The volumes correlate with {alike[0]:.2f} as they "
    f"are, and with {alike[1]:.2f} after the second one is mirrored along the beam."
)

# %% [markdown]
# ### 9.4 All methods
#
# The table of 9.1 compares four methods; with an empty list of candidates all take part, which takes minutes. Does the order
# by left-out frames agree with that against the truth? We use the clean frames at angles that were left out of the recording.

# %%
whole = ways["full"]
expected = truth_of_recording.left_out_beside(whole.alignment)
field = (slice(None), *whole.alignment.report.field)
clean = expected.frames * truth_of_recording.counts_per_intensity
known = FittedSeries.of(whole.series)  # methods share what they fit to it
against_truth = {}
for method in METHODS:
    guess = predict(method, known, expected.tilt_deg)
    against_truth[method] = np.sqrt(((guess - clean)[field] ** 2).mean())
both = pd.DataFrame(
    {
        "left out (dB)": scores["aligned"],
        "error against the truth (counts)": against_truth,
    }
).sort_values("left out (dB)", ascending=False)
missed = both["error against the truth (counts)"]
assert (
    missed[["reprojection", "kriging"]].max()
    < missed[["linear", "cubic"]].min()
)
both.style.format("{:.2f}")

# %% [markdown]
# The order agrees, except for methods that are nearly equal. Left-out frames carry noise and have twice the spacing. Trust their
# order and large differences, not their values.
