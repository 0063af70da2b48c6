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
# # 2. Simulation: from atoms to a tilt series
#
# A scanning transmission electron microscope (STEM) focuses electrons to a probe, moves it over the sample, and counts
# the electrons that reach a ring-shaped detector at high angles (HAADF, *high-angle annular dark field*). This chapter
# simulates such images for every particle at every tilt, with two microscopes: one with spherical aberration, one
# without.
#
# | | |
# |---|---|
# | **You need** | [Chapter 1](01_structures.ipynb); Fourier transforms |
# | **You learn** | how the probe, the scattering power of the atoms and their thermal motion make an image; what the fast model leaves out; how dose affects the image |
# | **Next** | [Chapter 3](03_sparsity.ipynb) leaves most frames out |

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
n_pixels = 48
field_of_view_A = 19.2
tilt_step_deg = 2.0
engine = "incoherent"
microscopes = ["aberrated", "non_aberrated"]
seed = 1

# %% tags=["hide-input"]
import ase.io
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from ase.data import atomic_numbers

from tsg_core import simulation, structures
from tsg_core.evaluation import spectra
from tsg_core.microscope import MICROSCOPES
from tsg_core.optics import channelling, probe, scattering
from tsg_core.pictures.slices import draw_scale_bar
from tsg_core.samples import multislice_frames
from tsg_core.simulation import datasets, detection_matrix, noise
from tsg_core.simulation.from_files import (
    microscopes_from,
    write_microscopes,
)
from tsgbook import chapters as names
from tsgbook.artifacts import Artifacts
from tsgbook.figures import plotting, solids

plotting.use_book_style()
store = Artifacts(artifacts)
tilt_deg = np.arange(-90.0, 90.0 + tilt_step_deg / 2, tilt_step_deg)
chosen_microscopes = microscopes_from(microscopes)
sharpest = list(chosen_microscopes)[-1]  # in figures of one microscope

# %% [markdown]
# ## Two microscopes
#
# Both run at 200 keV and are focused at the specimen (defocus 0). The **non-aberrated** one converges the beam to 35 mrad
# with a perfect lens; the **aberrated** one converges it to 25 mrad, with a spherical aberration of 100 µm. The detector
# is an annulus. Its inner angle of 45 mrad lies outside the cones of both probes, which makes it a dark-field detector.
#
# The parameter `microscopes` names those that are simulated. Give numbers for one of your own, for example
# `"mine: convergence_mrad=30, Cs_um=5, defocus_A=20"`; what you leave out keeps the value of
# [`Microscope`](../book/api/structures.md). [Another crystal, another microscope](../book/another_crystal.md) shows it in full.

# %%
pd.DataFrame(
    {
        name: {
            "energy (keV)": f"{m.energy_keV:g}",
            "wavelength (pm)": f"{100 * m.wavelength_A:.3f}",
            "convergence (mrad)": f"{m.convergence_mrad:g}",
            "Cs (µm)": f"{m.Cs_um:g}",
            "detector (mrad)": f"{m.detector_inner_mrad:g} to "
            f"{m.detector_outer_mrad:g}",
            "Nyquist scan step (Å)": f"{m.nyquist_sampling_A:.3f}",
        }
        for name, m in chosen_microscopes.items()
    }
)

# %% [markdown]
# ## The probe
#
# A perfect lens makes a spot as small as diffraction allows. Spherical aberration bends the outer rays too strongly: they
# miss the focus by up to $C_s\alpha^3$, so part of the intensity goes into a wide halo. Square-root grey values make it
# visible; the curve on the right shows which part of the beam lies within a radius.


# %% tags=["hide-input"]
def probes():
    extent_A, n = 48.0, len(chosen_microscopes) + 1
    figure, axes = plt.subplots(1, n, figsize=(3 * n, 3))
    for axis, (name, microscope) in zip(
        axes, chosen_microscopes.items(), strict=False
    ):
        intensity = probe.probe_intensity(
            microscope, extent_A=extent_A, gpts=480
        )
        axis.imshow(
            np.sqrt(intensity),
            extent=[-extent_A / 2, extent_A / 2] * 2,
            cmap="magma",
        )
        axis.set(title=name.replace("_", "-"), xlabel="x (Å)")
        axis.axis((-18, 18, -18, 18))
        axes[-1].plot(
            *probe.encircled_energy(microscope),
            label=name.replace("_", "-"),
        )
    axes[-1].set(
        xlabel="radius (Å)",
        ylabel="part of the beam inside",
        xlim=(0, 24),
        ylim=(0, 1.02),
    )
    axes[-1].legend()
    return figure


# %% tags=["hide-input"]
plotting.show(
    probes(),
    "The probes (square root of the intensity), and the part of the beam "
    "within a radius.",
    alt="The aberrated probe is a bright core in a halo that fills half "
    "the picture; the non-aberrated probe is a point. Its curve of "
    "encircled energy reaches one almost at once, the other one only "
    "far outside.",
)

# %% [markdown]
# The halo has a practical consequence: an image must be computed on a field wide enough for the probe, or the tails wrap
# round and reappear on the other side.

# %%
for name, microscope in chosen_microscopes.items():
    r50, r99 = (
        probe.probe_radius_A(microscope, fraction=f) for f in (0.5, 0.99)
    )
    plotting.say(
        f"The {name.replace('_', '-')} probe holds half of its electrons "
        f"within {r50:.2f} Å and 99 % of them within {r99:.1f} Å."
    )

# %% [markdown]
# ## How strongly an atom scatters
#
# How much an atom scatters into the annulus is given by a cross-section: the squared scattering factor, integrated over the
# angles of the detector. Textbooks say that it grows as $Z^2$ (Rutherford), or about $Z^{1.7}$ with screening. Here it is
# computed for each element from tabulated scattering factors, and a straight line is fitted to the results.

# %%
elements = ["Al", "Cu", "Ag", "Xe", "Yb", "Ir", "Pt", "Au"]
Z = np.array([atomic_numbers[e] for e in elements])
figure, axis = plt.subplots(figsize=(5.5, 3.2))
for name, microscope in chosen_microscopes.items():
    sigma_A2 = np.array(
        [scattering.haadf_cross_section_A2(e, microscope) for e in elements]
    )
    power = np.polyfit(np.log(Z), np.log(sigma_A2), 1)[0]
    axis.loglog(
        Z,
        sigma_A2,
        "o-",
        label=f"{name.replace('_', '-')}: $Z^{{{power:.2f}}}$",
    )
for z, s, e in zip(Z, sigma_A2, elements, strict=True):
    axis.annotate(
        e, (z, s), xytext=(3, -10), textcoords="offset points", fontsize=8
    )
axis.set(xlabel="atomic number Z", ylabel="cross-section (Å²)")
axis.legend()
plotting.show(
    figure,
    "Cross-section for scattering into the detector against the "
    "atomic number.",
    alt="Log-log plot from aluminium to gold. The points of each "
    f"microscope lie on a straight line; its slope is about {power:.1f}.",
)

# %% [markdown]
# ## The incoherent image
#
# At high angles the waves from different atoms add up with nearly random phases. Then intensities add, not amplitudes,
# and the image is a plain convolution:
#
# $$ I(\mathbf r) = \sum_n \sigma_{Z_n} \, \big(|\psi|^2 * G_{Z_n}\big)(\mathbf r - \mathbf r_n) $$ (incoherent-image)
#
# with the probe's intensity $|\psi|^2$ (integral 1), the cross-section $\sigma_Z$ and a narrow spot $G_Z$, which describes
# the width of the scattering of the atom itself and of its thermal motion. In Fourier space each atom is a phase factor, so
# its position enters exactly: nothing is rounded to a pixel. The value of a pixel is the mean over its area, as a probe
# that sweeps the pixel would record it. The focus (defocus 0) lies in the plane of the tilt axis, and each atom sees the
# probe at its own depth.
#
# It leaves out **channelling**: the first atoms of a column focus electrons onto the next ones, and scatter them away before
# they reach the last. Along a zone axis a column is then no longer the sum of its atoms. The multislice engine
# (`engine="multislice"`) includes channelling, at a cost of seconds per frame; so do abTEM's engines (`"abtem_multislice"`,
# `"abtem_prism"`), at a cost of minutes.

# %%
particles = ase.io.read(store.path(names.TEST_PARTICLES), index=":")
example = max(particles, key=len)
settings = {
    "tilt_deg": tilt_deg,
    "shape": (n_pixels, n_pixels),
    "field_of_view_A": field_of_view_A,
    "engine": engine,
}
series = {
    name: simulation.simulate_tilt_series(
        example, microscope=microscope, **settings
    )
    for name, microscope in chosen_microscopes.items()
}

# %% tags=["hide-input"]
chosen = [int(np.argmin(abs(tilt_deg - a))) for a in (-60, -30, 0, 30, 60)]
seen = {
    "aberrated": "a blurred core in a wide halo",
    "non_aberrated": "sharp columns of atoms",
}
for name, s in series.items():
    figure = plotting.show_frames(
        s.frames[chosen],
        [f"{tilt_deg[i]:.0f}°" for i in chosen],
        pixel_size_A=s.pixel_size_A,
        colour_bar="fraction of beam",
    )
    plotting.show(
        figure,
        f"{example.info['name']} by the "
        f"{name.replace('_', '-')} microscope.",
        alt=f"Five grey frames at tilts from {tilt_deg[chosen[0]]:.0f}° to "
        f"{tilt_deg[chosen[-1]]:.0f}°: "
        f"{seen.get(name, 'its columns of atoms')}.",
    )

# %% [markdown]
# The same atoms give two very different series: sharp columns that come and go as atoms line up, and a sharp core in a
# wide halo. Move through both with the slider.

# %%
plotting.show_tilts(
    series,
    f"{example.info['name']} by both microscopes, each on its own "
    "grey scale.",
    every=5,
    common_scale=False,
    alt="Two grey frames side by side. As the tilt changes, columns of "
    "atoms appear and dissolve in the non-aberrated frame; the aberrated "
    "one changes little.",
)

# %% [markdown]
# ## How far is it from multislice?
#
# **Multislice** cuts the particle into slices and lets the electron wave pass one slice after the other; it thus follows
# every deflection and its interference. **PRISM** gets the same image from plane waves that are propagated once for all
# probe positions. Both come from abTEM and take minutes for a frame. A few frames of small particles are shipped with the
# package (`python benchmarks/multislice_frames.py` makes them again). Their atoms are at rest, and so are those of the fast
# frames beside them. Their potential is sampled as coarsely as the outer angle of the detector allows. A finer sampling
# (`sampling_A`) changes the totals by some per cent and leaves the pattern unchanged.
#
# Here are two orientations of one gold icosahedron: along a two-fold axis, where atoms form columns, and turned off it. The number
# $r$ is Pearson's coefficient of correlation with the PRISM frame.

# %% tags=["hide-input"]
cases = {case.name: case for case in multislice_frames.CASES}
likeness = {
    name: multislice_frames.likeness(case)
    for name, case in cases.items()
    if case.microscope != "printed_detector"
}


# %% tags=["hide-input"]
def show_likeness(name):
    like = likeness[name]
    top = like.reference.max()
    figure, axes = plt.subplots(1, 5, figsize=(9.5, 2.2))
    images = {
        "PRISM": like.reference,
        f"incoherent, r = {like.r('incoherent'):.3f}": like.incoherent,
        f"channelling, r = {like.r('channelling'):.3f}": like.channelling,
    }
    for axis, (title, image) in zip(axes, images.items(), strict=False):
        axis.imshow(image, vmin=0, vmax=top)
        axis.set_title(title, fontsize=9)
    engines = ("incoherent", "channelling")
    for axis, engine in zip(axes[3:], engines, strict=True):
        difference = getattr(like, engine) - like.reference
        picture = axis.imshow(
            difference, cmap="RdBu_r", vmin=-top / 2, vmax=top / 2
        )
        axis.set_title(f"{engine} − PRISM", fontsize=9)
    figure.colorbar(picture, ax=axes[4], label="fraction of beam")
    for axis in axes:
        axis.set_axis_off()
    plotting.show(
        figure,
        f"{name.replace('_', '-')}: PRISM, both fast engines, and their "
        "differences.",
        alt="Three frames that look alike, and maps of two differences; r "
        f"with PRISM is {like.r('incoherent'):.3f} without channelling, "
        f"{like.r('channelling'):.3f} with it.",
    )


# %% tags=["hide-input"]
on_axis, off_axis = (
    f"Au 147, {place}, non_aberrated"
    for place in ("along 2-fold", "off axis")
)
show_likeness(on_axis)
show_likeness(off_axis)

# %% [markdown]
# Off the axis the fast image is right almost everywhere. Along the axis it makes the long columns too bright: there, the
# scattering of an atom depends on the atoms above it.
#
# At which scale do they differ? Compare the power spectra of the image and of the differences, averaged over rings of equal
# spatial frequency:

# %% tags=["hide-input"]
figure, axes = plt.subplots(1, 2, figsize=(9, 3), sharey=True)
for axis, name in zip(axes, (on_axis, off_axis), strict=True):
    like = likeness[name]
    spectra_of = {
        "PRISM": like.reference,
        "incoherent − PRISM": like.incoherent - like.reference,
        "channelling − PRISM": like.channelling - like.reference,
    }
    for label, image in spectra_of.items():
        k, power = spectra.radial_power_spectrum(
            image, pixel_size_A=like.pixel_size_A
        )
        axis.semilogy(k[1:], power[1:], label=label)
    edge = 1 / (2 * MICROSCOPES["non_aberrated"].nyquist_sampling_A)
    axis.set(xlabel="spatial frequency (1/Å)", xlim=(0, min(edge, k[-1])))
    axis.set_title(name.split(", ")[1])
axes[0].set_ylabel("power")
axes[1].legend()
plotting.show(
    figure,
    "Power spectra of a PRISM frame and of the differences from it, along "
    "a two-fold axis (left) and off it (right).",
    alt="Three falling curves in each plot. The differences lie below the "
    "frame at nearly all spatial frequencies, that with channelling lowest "
    "on the left.",
)

# %% [markdown]
# ## Multislice of any probe from one calculation
#
# Multislice is linear: a wave leaves the particle as the sum of what its plane waves have become. A probe at $\mathbf r$ is a
# sum of plane waves $\mathbf q$ with amplitudes $a_{\mathbf q}\, e^{-2\pi i\, \mathbf q\cdot\mathbf r}$, which the lens sets,
# and a detector counts the square of the wave. Every frame therefore has the form
#
# $$ I(\mathbf r) = \sum_{\mathbf q, \mathbf p} a_{\mathbf q}^{*}\, D_{\mathbf q \mathbf p}\, a_{\mathbf p}\; e^{2\pi i\, (\mathbf q - \mathbf p)\cdot\mathbf r} $$ (detection-matrix)
#
# The **detection matrix** $D$ describes everything that the particle, its tilt and the detector do; it is computed once, plane
# wave by plane wave. Focus, aberrations and aperture appear only in $a$. The sum over all pairs of waves with equal difference
# is a Fourier component of the image, so one fast Fourier transform gives all scan points. Up to here nothing is approximated.
#
# Only what meets the particle is scattered to the ring. The probe may therefore be cut, smoothly, beside the particle: the
# matrix of a small box serves a probe of any width. This is the engine `multislice`. Below is one of its frames, for a probe
# much wider than its box (dashed), with abTEM's multislice of the whole probe for comparison. The page
# [Speed and memory](../book/speed.md) shows how the time grows with the box.

# %%
wide = cases["Ir fcc, off axis, aberrated"]
reference = likeness[wide.name].reference
sampled_alike = {"sampling_A": 0.098}  # as the frame that is shipped
frame = multislice_frames.case_series(
    wide, engine="multislice", **sampled_alike
)
height_A, width_A = detection_matrix.box_of(wide.atoms(), **sampled_alike)


# %% tags=["hide-input"]
def one_matrix():
    probe_pixels, probe_field_A = 200, 40.0
    halo = probe.probe_intensity(
        MICROSCOPES[wide.microscope],
        extent_A=probe_field_A,
        gpts=probe_pixels,
    )
    figure, axes = plt.subplots(1, 3, figsize=(9, 3.2))
    half_A = probe_field_A / 2
    axes[0].imshow(halo**0.25, extent=(-half_A, half_A, half_A, -half_A))
    x, y, _ = wide.atoms().positions.T
    axes[0].plot(x, y, ".", color="w", markersize=2)
    corner = (-width_A / 2, -height_A / 2)
    axes[0].add_patch(
        plt.Rectangle(
            corner, width_A, height_A, fill=False, ls="--", color="w"
        )
    )
    axes[0].set_title("probe (4th root), atoms, box", fontsize=9)
    axes[0].set(xlabel="x (Å)", ylabel="y (Å)")
    for axis, (title, image) in zip(
        axes[1:],
        {"one matrix": frame.frames[0], "abTEM": reference}.items(),
        strict=True,
    ):
        axis.imshow(image, vmin=0, vmax=reference.max())
        axis.set_title(title, fontsize=9)
        axis.set_axis_off()
    return figure


# %% tags=["hide-input"]
plotting.show(
    one_matrix(),
    "A probe wider than the box of its matrix (left); the frame from one "
    "detection matrix (middle) and by abTEM (right).",
    alt="Left: the fourth root of the aberrated probe, with a dashed box "
    "around the atoms that is much smaller than the halo. Middle and "
    "right: two frames that cannot be told apart.",
)

# %%
r = np.corrcoef(frame.frames[0].ravel(), reference.ravel())[0, 1]
plotting.say(
    f"Both frames correlate with r = {r:.5f}, their totals differ by "
    f"{abs(frame.frames.sum() / reference.sum() - 1):.1%}; abTEM took "
    f"{likeness[wide.name].reference_s / 60:.0f} minutes for its frame."
)

# %% [markdown]
# ## Channelling
#
# A nucleus attracts electrons, so each atom is a weak lens. It focuses the beam onto the next atom below it, which then
# scatters more than it would alone. A few atoms farther down, much of the beam has been scattered out of the column, and the
# last atoms see less than their share. Turn the particle with the slider and watch the columns form.

# %%
particle = cases[on_axis].atoms()
solids.show_particle(
    particle,
    f"{len(particle)} atoms of gold between tilts of −45° and 45°.",
    tilt_deg=np.arange(-45, 46, 5.0),
    alt="A gold icosahedron as spheres in a box. At 0° atoms lie on top of "
    "each other along the beam; at other tilts these columns dissolve.",
)

# %% [markdown]
# The option `channelling=True` of the fast engine multiplies the scattering of each atom by
#
# $$ c_n = \exp \sum_m s_m \sum_{jk} h_{jk} \, e^{-d_{nm}^2 / 2 w_j^2} \, e^{-|z_n - z_m| / D_k} $$ (channelling)
#
# with the lateral distance $d_{nm}$ to another atom, the distance along the beam, and the strength $s_m$ of that atom. A
# part that grows with the atoms above is blurred, since long columns look wider than short ones. The coefficients $h_{jk}$,
# one set for atoms above and one for atoms below, were fitted once to PRISM frames of gold, copper, platinum and silver;
# frames of the other elements were not used. It is a correction, not a theory. The factors in one column show what it has
# learned:

# %% tags=["hide-input"]
x, y, depth_A = particle.positions.T
strengths = channelling.strengths_of(
    np.array(particle.get_chemical_symbols()), MICROSCOPES["non_aberrated"]
)
sharp, spread = channelling.shipped_coefficients().factors(
    particle.positions, strengths
)
factors = sharp + spread

# %% tags=["hide-input"]
figure, axis = plt.subplots(figsize=(5.5, 3))
columns = np.round(np.stack([x, y], axis=1), 1)
places, column_of, lengths = np.unique(
    columns, axis=0, return_inverse=True, return_counts=True
)
for length in sorted(set(lengths.tolist()))[-3:]:
    inside = column_of == np.flatnonzero(lengths == length)[0]
    order = np.argsort(-depth_A[inside])
    axis.plot(
        depth_A.max() - depth_A[inside][order],
        factors[inside][order],
        "o-",
        label=f"column of {length}",
    )
axis.axhline(1, color="k", lw=1, ls="--", label="an atom alone")
axis.set(xlabel="depth below the first atom (Å)", ylabel="factor $c_n$")
axis.legend()
plotting.show(
    figure,
    "Factor of the scattering of each atom against its depth, for "
    "three columns.",
    alt="A line for each length of column. The factor begins below one at "
    "the first atom, rises above one in the middle of the column and "
    "falls at its end.",
)

# %% [markdown]
# The middle atoms of a column gain, and the last one loses again: first focusing, then depletion. The first atom, which has
# nothing above it, gets less than its share. This shows that the coefficients fit images, in which only the sum of a column
# is seen, and not the physics of single atoms.
#
# The table shows all shipped frames: Pearson's $r$ and the total intensity relative to PRISM (to multislice for the aberrated
# probe, which is too wide for PRISM's windows), and the time for a frame (for abTEM, measured when the frames were made; for
# the others, measured now). *Phonons* are frozen displacements over which PRISM averages; the fast engine uses the same mean
# displacement as a blur.

# %%
table = pd.DataFrame(
    {
        "frame": name.replace("_", "-"),
        "used in the fit": cases[name].used_in_fit,
        "r": like.r("incoherent"),
        "r, channelling": like.r("channelling"),
        "total": like.total_ratio("incoherent"),
        "total, channelling": like.total_ratio("channelling"),
        "abTEM (s)": like.reference_s,
        "fast (ms)": 1e3 * like.incoherent_s,
        "channelling (ms)": 1e3 * like.channelling_s,
        "abTEM / fast": like.reference_s / like.incoherent_s,
    }
    for name, like in likeness.items()
)
table.style.format(
    "{:.3f}", subset=["r", "r, channelling", "total", "total, channelling"]
).format("{:.1f}", subset=["fast (ms)", "channelling (ms)"]).format(
    "{:,.0f}", subset=["abTEM (s)", "abTEM / fast"]
).hide(axis="index")

# %%
held_out = table[~table["used in the fit"]]
on_axes = held_out[held_out["frame"].str.contains("along.*non-aberrated$")]
off_axes = table[table["frame"].str.contains("off axis, non-aberrated")]
plotting.say(
    "Off the axes the fast engine's total intensity is "
    f"{off_axes['total'].min():.2f} to {off_axes['total'].max():.2f} times "
    "multislice's; along them, where channelling adds or takes away, "
    f"{table['total'].min():.2f} to {table['total'].max():.2f} times. On "
    "the frames along an axis that were not used in the fit, r rises from "
    f"{on_axes['r'].mean():.3f} to {on_axes['r, channelling'].mean():.3f} "
    f"on average (lowest {on_axes['r, channelling'].min():.3f}). The fast "
    f"engine needs a {table['abTEM / fast'].median():,.0f}th of abTEM's "
    "time (median of the table)."
)

# %% [markdown]
# ## A detector from 0 to 45 mrad
#
# The TSGNet paper prints an annular detector of 0 to 45 mrad. The cone of the 35 mrad beam lies inside it, so nearly every electron is
# counted, wherever the probe is; only those scattered beyond 45 mrad are missing. This is a bright-field image, with dark
# atoms on a bright background, and not an HAADF image. This book uses a true dark-field annulus, whose inner angle is the
# paper's outer one. The fast engine refuses a detector inside the cone; PRISM shows both.

# %% tags=["hide-input"]
printed = multislice_frames.stored_frame(
    cases["Ir fcc, off axis, printed_detector"]
)[0]
dark_field = likeness["Ir fcc, off axis, non_aberrated"]
figure, axes = plt.subplots(1, 2, figsize=(6.5, 2.7))
m = MICROSCOPES["non_aberrated"]
for axis, image, title in (
    (
        axes[0],
        dark_field.reference,
        f"{m.detector_inner_mrad:g} to {m.detector_outer_mrad:g} mrad",
    ),
    (axes[1], printed, "0 to 45 mrad, as printed"),
):
    picture = axis.imshow(image)
    axis.set(title=title)
    axis.set_axis_off()
    figure.colorbar(picture, ax=axis, label="fraction of beam")
    draw_scale_bar(
        axis, image.shape, dark_field.pixel_size_A, colour="#D55E00"
    )
plotting.show(
    figure,
    "The same particle with a dark-field detector (left) and with the "
    "detector from 0 to 45 mrad (right), by PRISM.",
    alt="Left: bright atoms on black. Right: dark atoms on a bright "
    "background, with a contrast of a few per cent of the beam.",
)

# %% [markdown]
# ## Dose
#
# Each electron counts once, so the count in a pixel with $N$ expected electrons has the standard deviation $\sqrt N$.
# A beam-sensitive particle bears only a certain total dose; the fewer frames share it, the cleaner each one is. This
# trade-off is what the whole book is about.

# %%
doses = [1e5, 1e4, 1e3, 1e2]
middle = int(np.argmin(abs(tilt_deg)))
noisy = [
    simulation.simulate_tilt_series(
        example,
        microscope=chosen_microscopes[sharpest],
        **{**settings, "tilt_deg": tilt_deg[[middle]]},
        dose_per_A2=d,
        seed=seed,
    ).frames[0]
    for d in doses
]
figure = plotting.show_frames(
    np.array(noisy),
    [f"{d:,.0f} e/Å²" for d in doses],
    pixel_size_A=series[sharpest].pixel_size_A,
    vmax=series[sharpest].frames[middle].max(),
)
plotting.show(
    figure,
    "One frame at four doses.",
    alt="Four grey frames. At the highest dose every column of atoms is "
    "clear; at the lowest single electrons appear as scattered "
    "bright pixels.",
)

# %% [markdown]
# ## What else a recording adds
#
# Counting statistics are not everything. Scan lines jump, the particle drifts between frames, the support film also
# scatters, and hydrocarbons build up under the beam. Each effect is a function of a series and a seed in
# `tsg_core.simulation.noise`. Each can be left out, and the clean series stays unchanged.

# %%
clean = series[sharpest]
top = float(clean.frames.max())
spoiled = {
    "clean": clean,
    "detector noise": noise.with_detector(
        clean, dark_sigma=0.05 * top, seed=seed
    ),
    "scan jitter 0.3 Å": noise.with_scan_jitter(
        clean, sigma_A=0.3, seed=seed
    ),
    "drift 1 Å": noise.with_drift(clean, sigma_A=1.0, seed=seed),
    "carbon film": noise.with_carbon_film(
        clean, intensity=0.2 * top, seed=seed
    ),
    "contamination": noise.with_contamination(
        clean, intensity_per_frame=top / len(clean), width_A=3.0
    ),
}

# %% tags=["hide-input"]
chosen_frame = int(np.argmin(abs(tilt_deg - 60)))
figure = plotting.show_frames(
    np.array([s.frames[chosen_frame] for s in spoiled.values()]),
    list(spoiled),
    pixel_size_A=clean.pixel_size_A,
    vmax=top,
    columns=3,
)
plotting.show(
    figure,
    f"What a recording adds to the frame at {tilt_deg[chosen_frame]:.0f}°.",
    alt="Six grey frames: clean, with grain from the detector, with torn "
    "rows from scan jitter, shifted by drift, on the bright ground of a "
    "carbon film, and with a veil of contamination.",
)

# %% [markdown]
# ## Samples that go on outside the frame
#
# Particles in vacuum are the exception. Films, lamellae and supports fill the frame and go on outside it: what a frame shows
# at its sides changes with the tilt. `tsg_core.structures` builds such samples, amorphous or crystalline, as wide as rays
# through the frame reach at the highest tilt. Atoms beyond the frame add the tails of the probe to its sides.

# %%
frame_A, film_tilts_deg = 16.0, np.array([0.0, 30.0, 60.0])
reach = {
    "field_of_view_A": frame_A,
    "tilt_deg": film_tilts_deg,
    "margin_A": 6.0,
}
size = {
    "thickness_A": 15.0,
    "width_A": structures.width_seen_A(thickness_A=50.0, **reach),
    "height_A": frame_A + 12.0,
    "seed": seed,
}
seed_crystal = structures.needle(
    "Ag", diameter_A=8.0, length_A=8.0, seed=seed
)
samples = {
    "amorphous Ta film": structures.film("Ta", **size),
    "Au lamella": structures.lamella("Au", **size),
    "W needle": structures.needle(
        "W", diameter_A=9.0, length_A=28.0, seed=seed
    ),
    "Ag on carbon": structures.on_carbon(seed_crystal, **size),
}

# %%
beyond_the_frame = {
    name: simulation.simulate_tilt_series(
        atoms,
        microscope=MICROSCOPES["non_aberrated"],
        tilt_deg=film_tilts_deg,
        shape=64,
        field_of_view_A=frame_A,
    )
    for name, atoms in samples.items()
}

# %% tags=["hide-input"]
figure = plotting.show_frames(
    np.concatenate(
        [s.frames / s.frames.max() for s in beyond_the_frame.values()]
    ),
    [f"{name}, {t:.0f}°" for name in samples for t in film_tilts_deg],
    pixel_size_A=beyond_the_frame["W needle"].pixel_size_A,
    columns=len(film_tilts_deg),
)
plotting.show(
    figure,
    "Samples that go on outside the frame, at three tilts, each from black "
    "to its brightest pixel.",
    alt="Rows of three grey frames: an amorphous film and a lamella that fill "
    "the frame, a needle that crosses it from top to bottom, and a crystal "
    "on the faint ground of a carbon film.",
)

# %% [markdown]
# A film's mean intensity grows with the path of the beam through it, as $1/\cos\theta$. A needle along the tilt axis looks
# equally thick at every tilt, which is why needles have no missing wedge.

# %% tags=["hide-input"]
film_mean = beyond_the_frame["amorphous Ta film"].frames.mean(axis=(1, 2))
needle_mean = beyond_the_frame["W needle"].frames.mean(axis=(1, 2))
plotting.say(
    f"From 0° to 60° the film's mean grows by a factor of {film_mean[2] / film_mean[0]:.3f}, where 1 / cos gives "
    f"{1 / np.cos(np.deg2rad(60)):.3f}; the needle's changes by a factor of {needle_mean[2] / needle_mean[0]:.3f}."
)

# %% [markdown]
# ## The data sets
#
# Now we simulate every particle with each microscope at all tilts. The frames go to chunked Zarr stores, one for each use
# and microscope, with a manifest of their origin. An interrupted run continues with the particle it had reached.

# %%
SPLITS = {
    "training": names.TRAINING_PARTICLES,
    "validation": names.VALIDATION_PARTICLES,
    "test": names.TEST_PARTICLES,
}
store.make(
    names.SIMULATED_MICROSCOPES,
    write_microscopes,
    parameters={"microscopes": chosen_microscopes},
)
for split, particle_file in SPLITS.items():
    split_particles = ase.io.read(store.path(particle_file), index=":")
    for name, microscope in chosen_microscopes.items():
        store.make(
            names.series_name(split, name),
            datasets.write_dataset,
            parameters={
                "particles": split_particles,
                "microscope": microscope,
                "seed": seed,
                **settings,
            },
        )

# %%
rows = []
for split in SPLITS:
    for name in chosen_microscopes:
        dataset = datasets.Dataset(
            store.path(names.series_name(split, name))
        )
        provenance = store.provenance(names.series_name(split, name))
        first = dataset[0]
        rows.append(
            {
                "use": split,
                "microscope": name.replace("_", "-"),
                "particles": len(dataset),
                "frames a particle": len(first),
                "pixels": f"{first.frames.shape[2]} × "
                f"{first.frames.shape[1]}",
                "pixel (Å)": first.pixel_size_A,
                "seconds": provenance["duration_s"],
            }
        )
pd.DataFrame(rows).style.format(
    {"pixel (Å)": "{:.3f}", "seconds": "{:.1f}"}
).hide(axis="index")

# %% [markdown]
# ## Take away
#
# - Probe, cross-section and thermal blur make the incoherent image; it is fast, and right off the zone axes.
# - Channelling is what it leaves out: look for it wherever atoms stand in columns.
# - Dose is counted in electrons per area and frame. Fewer frames may have more each.
#
# ## Check yourself
#
# **1.** What makes a detector a dark-field detector?
#
# ```{dropdown} Answer 1
# Its inner angle is larger than the convergence angle, so that no electron of the direct beam reaches it.
# ```
#
# **2.** Why does spherical aberration make a halo and not just a wider spot?
#
# ```{dropdown} Answer 2
# The miss grows as $C_s\alpha^3$: inner rays still meet in the focus, only the outer ones land far away.
# ```
#
# **3.** Which effect does a sum over single atoms leave out?
#
# ```{dropdown} Answer 3
# Channelling: an atom changes the beam that the atoms below it see.
# ```
#
# **4.** You double the dose of a frame. By which factor does the relative noise of a pixel fall?
#
# ```{dropdown} Answer 4
# By $\sqrt 2$: the counts double, their standard deviation grows by $\sqrt 2$.
# ```
#
# **5.** The image is band-limited at $2\alpha/\lambda$. Why does that matter for the scan?
#
# ```{dropdown} Answer 5
# A scan step of $\lambda/4\alpha$ (Nyquist) loses nothing; finer pixels can be interpolated afterwards.
# ```
#
# ## Exercises
#
# 1. *Defocus.* Which defocus shrinks the aberrated probe most? Let the criterion be the radius within which 50, 90 or 99 % of
#    the beam lie: `probe.probe_radius_A(microscope, fraction=...)` for defoci from 0 to 800 Å, which
#    `dataclasses.replace(ABERRATED, defocus_A=...)` sets. Why do the three criteria disagree?
# 2. *An imperfect source.* Give the non-aberrated microscope `source_size_A=0.8`, and then `defocus_spread_A=40`. Which of the
#    two lowers the centre of the probe more, and which leaves the part of the beam beyond 3 Å as it was?
# 3. *Away from the axis.* Turn the gold particle by 0 to 10 degrees and compare the fast frames with and without
#    `channelling=True`. At which angle has the relative change fallen to half of that on the axis? Compare this with the angle
#    at which two atoms of a column no longer overlap.
#
# Try first; then compare with the [solutions](10_solutions.ipynb), which were run for these pages.
