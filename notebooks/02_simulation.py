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
# what reaches a ring-shaped detector at high angles (HAADF, *high-angle annular dark field*). This chapter simulates
# such images for every particle at every tilt, with two microscopes: one with spherical aberration, one without.
#
# | | |
# |---|---|
# | **You need** | [Chapter 1](01_structures.ipynb); Fourier transforms |
# | **You learn** | how the probe, the atoms' scattering power and their thermal motion make an image; what the fast model leaves out; what dose does to it |
# | **Next** | [Chapter 3](03_sparsity.ipynb) leaves most frames out |

# %% tags=["parameters"]
artifacts = "../artifacts/smoke"
n_pixels = 48
field_of_view_A = 19.2
tilt_step_deg = 2.0
engine = "incoherent"
seed = 1

# %% tags=["hide-input"]
import ase.io
from ase.data import atomic_numbers
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from tsg_core import chapters as names
from tsg_core import datasets, plotting, probe, scattering, simulation
from tsg_core.artifacts import Artifacts
from tsg_core.microscope import MICROSCOPES

plotting.use_book_style()
store = Artifacts(artifacts)
tilt_deg = np.arange(-90.0, 90.0 + tilt_step_deg / 2, tilt_step_deg)

# %% [markdown]
# ## Two microscopes
#
# Both run at 200 keV. The **non-aberrated** one converges the beam to 35 mrad with a perfect lens; the **aberrated** one to 25 mrad
# with a spherical aberration of 100 µm, both focused at the specimen (defocus 0). The detector is an annulus; the inner
# angle of 45 mrad lies outside both probes' cones, which makes it a dark-field detector.

# %%
pd.DataFrame(
    {
        name: {
            "energy (keV)": m.energy_keV,
            "wavelength (pm)": 100 * m.wavelength_A,
            "convergence (mrad)": m.convergence_mrad,
            "Cs (µm)": m.Cs_um,
            "detector (mrad)": f"{m.detector_inner_mrad:g} to {m.detector_outer_mrad:g}",
            "Nyquist scan step (Å)": m.nyquist_sampling_A,
        }
        for name, m in MICROSCOPES.items()
    }
)

# %% [markdown]
# ## The probe
#
# A perfect lens makes a spot as small as diffraction allows. Spherical aberration bends the outer rays too strongly: they
# miss the focus by up to $C_s\alpha^3$, so a part of the intensity goes into a wide halo. Square-root grey values
# make it visible; the curve beside shows which part of the beam lies within a radius.

# %%
extent_A, gpts = 48.0, 480
figure, axes = plt.subplots(1, 3, figsize=(9, 3))
for axis, (name, microscope) in zip(axes, MICROSCOPES.items(), strict=False):
    intensity = probe.probe_intensity(microscope, extent_A=extent_A, gpts=gpts)
    axis.imshow(
        np.sqrt(intensity), extent=[-extent_A / 2, extent_A / 2] * 2, cmap="magma"
    )
    axis.set(
        title=name.replace("_", "-"), xlabel="x (Å)", xlim=(-18, 18), ylim=(-18, 18)
    )
    radius_A, fraction = probe.encircled_energy(microscope)
    axes[2].plot(radius_A, fraction, label=name.replace("_", "-"))
axes[2].set(
    xlabel="radius (Å)", ylabel="part of the beam inside", xlim=(0, 24), ylim=(0, 1.02)
)
axes[2].legend()
plt.show()

# %% [markdown]
# The halo has a practical side: an image must be computed on a field wide enough to hold the probe, or its tails wrap round
# and come in again from the other side.

# %%
for name, microscope in MICROSCOPES.items():
    r50, r99 = (probe.probe_radius_A(microscope, fraction=f) for f in (0.5, 0.99))
    plotting.say(
        f"The {name.replace('_', '-')} probe holds half of its electrons within {r50:.2f} Å and 99 % of them within {r99:.1f} Å."
    )

# %% [markdown]
# ## How strongly an atom scatters
#
# The part of the beam that an atom scatters into the annulus is a cross-section: the squared scattering factor, integrated over the
# detector's angles. A textbook says it goes as $Z^2$ (Rutherford), screened to about $Z^{1.7}$. Here it is computed from tabulated
# scattering factors for each element, and the straight line is fitted to them.

# %%
elements = ["Al", "Cu", "Ag", "Xe", "Yb", "Ir", "Pt", "Au"]
Z = np.array([atomic_numbers[e] for e in elements])
figure, axis = plt.subplots(figsize=(5.5, 3.2))
for name, microscope in MICROSCOPES.items():
    sigma_A2 = np.array(
        [scattering.haadf_cross_section_A2(e, microscope) for e in elements]
    )
    power = np.polyfit(np.log(Z), np.log(sigma_A2), 1)[0]
    axis.loglog(
        Z, sigma_A2, "o-", label=f"{name.replace('_', '-')}: $Z^{{{power:.2f}}}$"
    )
for z, s, e in zip(Z, sigma_A2, elements, strict=True):
    axis.annotate(e, (z, s), xytext=(3, -10), textcoords="offset points", fontsize=8)
axis.set(xlabel="atomic number Z", ylabel="cross-section (Å²)")
axis.legend()
plt.show()

# %% [markdown]
# ## The incoherent image
#
# At high angles the waves from different atoms add up with nearly random phases. Then intensities add, not amplitudes,
# and the image is a plain convolution:
#
# $$ I(\mathbf r) = \sum_n \sigma_{Z_n} \, \big(|\psi|^2 * G_{Z_n}\big)(\mathbf r - \mathbf r_n) $$ (incoherent-image)
#
# with the probe's intensity $|\psi|^2$ (integral 1), the cross-section $\sigma_Z$ and a narrow spot $G_Z$, the width of the atom's own
# scattering and of its thermal motion. In Fourier space each atom is a phase factor, so its position enters exactly: nothing is
# rounded to a pixel.
# A pixel holds the mean over its area, as a probe swept across it would record. The focus (defocus 0) lies on the plane of the tilt axis, and
# each atom sees the probe at its own depth.
#
# What it leaves out: electrons that follow an atomic column (**channelling**) are focused by the first atoms onto the
# next ones, and scattered away before they reach the last. Along a zone axis a column is then no longer the sum of its atoms. The multislice and
# PRISM engines (`engine="multislice"`, `engine="prism"`) include it, at a price of seconds to minutes a frame.

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
    name: simulation.simulate_tilt_series(example, microscope=microscope, **settings)
    for name, microscope in MICROSCOPES.items()
}
chosen = [int(np.argmin(abs(tilt_deg - a))) for a in (-60, -30, 0, 30, 60)]
for name, s in series.items():
    figure = plotting.show_frames(
        s.frames[chosen],
        [f"{tilt_deg[i]:.0f}°" for i in chosen],
        pixel_size_A=s.pixel_size_A,
        colour_bar="fraction of beam",
    )
    figure.suptitle(f"{example.info['name']}, {name.replace('_', '-')}")
    plt.show()

# %% [markdown]
# The same atoms, two very different series: sharp columns that come and go as they line up, against a sharp core in a
# wide halo. Move through both with the slider.

# %%
plotting.show_plotly(
    plotting.tilt_slider_figure(series, every=5, title=example.info["name"])
)

# %% [markdown]
# ## Dose
#
# Each electron counts once, so a pixel that expects $N$ electrons scatters around it with a standard deviation
# $\sqrt N$. Beam-sensitive particles bear some dose in total; the fewer frames share it, the cleaner each one is. That trade
# is what the whole book is about.

# %%
doses = [1e5, 1e4, 1e3, 1e2]
middle = int(np.argmin(abs(tilt_deg)))
noisy = [
    simulation.simulate_tilt_series(
        example,
        microscope=MICROSCOPES["non_aberrated"],
        **{**settings, "tilt_deg": tilt_deg[[middle]]},
        dose_per_A2=d,
        seed=seed,
    ).frames[0]
    for d in doses
]
figure = plotting.show_frames(
    np.array(noisy),
    [f"{d:,.0f} e/Å²" for d in doses],
    pixel_size_A=series["non_aberrated"].pixel_size_A,
    vmax=series["non_aberrated"].frames[middle].max(),
)
plt.show()

# %% [markdown]
# ## The data sets
#
# Now every particle, both microscopes, all tilts. The frames go to chunked Zarr stores, one for each use and
# microscope, with a manifest of what made them. An interrupted run goes on with the particle it had reached.

# %%
SPLITS = {
    "training": names.TRAINING_PARTICLES,
    "validation": names.VALIDATION_PARTICLES,
    "test": names.TEST_PARTICLES,
}
for split, particle_file in SPLITS.items():
    split_particles = ase.io.read(store.path(particle_file), index=":")
    for name, microscope in MICROSCOPES.items():
        store.make(
            names.series_name(split, name),
            lambda path: datasets.write_dataset(
                path, split_particles, microscope=microscope, seed=seed, **settings
            ),
            parameters={
                "n_pixels": n_pixels,
                "field_of_view_A": field_of_view_A,
                "tilt_step_deg": tilt_step_deg,
                "engine": engine,
                "seed": seed,
            },
            inputs=(particle_file,),
            code=(datasets,),
        )

# %%
rows = []
for split in SPLITS:
    for name in MICROSCOPES:
        dataset = datasets.Dataset(store.path(names.series_name(split, name)))
        provenance = store.provenance(names.series_name(split, name))
        first = dataset[0]
        rows.append(
            {
                "use": split,
                "microscope": name.replace("_", "-"),
                "particles": len(dataset),
                "frames a particle": len(first),
                "pixels": f"{first.frames.shape[2]} × {first.frames.shape[1]}",
                "pixel (Å)": first.pixel_size_A,
                "seconds": provenance["duration_s"],
            }
        )
pd.DataFrame(rows).style.format({"pixel (Å)": "{:.3f}", "seconds": "{:.1f}"}).hide(
    axis="index"
)

# %% [markdown]
# ## Exercises
#
# 1. *Defocus.* Which defocus shrinks the aberrated probe's halo most? Pass `defocus_A` to `Microscope` and plot the
#    encircled energy (Scherzer's optimum is a place to start).
# 2. *A printed detector.* The paper's text gives an annulus of 0 to 45 mrad. Set `detector_inner_mrad=0` and
#    `detector_outer_mrad=45` and compare the cross-sections' power of Z. Why is this not a HAADF detector?
#
# ```{dropdown} Solution of 2
# It contains the direct beam's cone. Nearly all electrons land on it whether an atom is there or not, so the image is bright
# with dark atoms: a bright-field image, in which the sum of equation {eq}`incoherent-image` has no meaning.
# ```
