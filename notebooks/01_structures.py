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
# # 1. Structures: particles to learn from, and particles for the test
#
# Electron tomography looks at one nanoparticle from many sides. Before we can ask how few sides are enough, we need
# particles in which we know every atom. This chapter builds them with [ASE](https://ase-lib.org): one family to train a
# network, and another family, with other elements and other shapes, to test it.
#
# | | |
# |---|---|
# | **You need** | a little Python; crystal structures at the level of a first course |
# | **You learn** | how multiply twinned and single-crystal particles differ, why the test set shares neither element nor shape with the training set, what a uniform random rotation is |
# | **Next** | [Chapter 2](02_simulation.ipynb) turns each particle into a tilt series |

# %% tags=["remove-cell"]
# Stops where the project is missing.
from importlib.util import find_spec

if find_spec("tsg_core") is None:
    raise ModuleNotFoundError(
        "tsg_core is missing in this kernel; in a copy of the repository "
        "run: pip install -e .[book] -c constraints.txt"
    )

# %% [markdown]
# The next cell holds this chapter's parameters. A profile (`smoke`, `book` or `paper`) replaces their values when the
# book is run; change them here when you run the notebook by hand. Elements, shapes and sizes are those of the test particles;
# `structure_path` may name a file with a crystal or a particle of your own, which then takes their place. See
# [Another crystal, another microscope](../book/another_crystal.md).

# %% tags=["parameters"]
artifacts = "artifacts/smoke"
n_training = 6
n_validation = 2
n_test = 4
diameter_A = [8.0, 12.5]
elements = ["Yb", "Ir", "Xe", "Al"]
shapes = ["fcc"]
structure_path = ""
seed = 3

# %% tags=["hide-input"]
import ase.cluster
import ase.io
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from tsg_core import structures
from tsg_core.simulation.from_files import particles_from
from tsgbook import chapters as names
from tsgbook.artifacts import Artifacts
from tsgbook.figures import plotting, solids

plotting.use_book_style()
store = Artifacts(artifacts)

# %% [markdown]
# ## Particles to learn from
#
# Small particles of platinum, silver, gold and copper like to be *twinned*. An **icosahedron** consists of twenty
# tetrahedral grains around one point, a **decahedron** of five around one axis; an **octahedron** is a single crystal.
# Together they show a network many local arrangements, along and off their symmetry axes.

# %%
size = {"seed": seed + 1, "diameter_A": tuple(diameter_A)}
if structure_path:
    test = particles_from(structure_path, n_test, say=plotting.say, **size)
else:
    test = structures.test_particles(
        n_test, elements=elements, shapes=shapes, **size
    )
test_elements = {e for a in test for e in a.get_chemical_symbols()}
training = structures.training_particles(
    n_training + n_validation,
    seed=seed,
    diameter_A=tuple(diameter_A),
    without=sorted(test_elements),
)


# %% tags=["hide-input"]
def overview(particles, use):
    return [
        {
            "use": use,
            "particle": a.info["name"],
            "atoms": len(a),
            "diameter (Å)": structures.bounding_diameter_A(a),
        }
        for a in particles
    ]


table = pd.DataFrame(
    overview(training[:n_training], "training")
    + overview(training[n_training:], "validation")
    + overview(test, "test")
)
table.style.format({"diameter (Å)": "{:.1f}"}).hide(axis="index")

# %% tags=["hide-input"]
gallery = {
    f"{name} of {len(atoms)} atoms": atoms
    for name, atoms in {
        "Icosahedron": ase.cluster.Icosahedron("Au", 4),
        "Decahedron": ase.cluster.Decahedron("Pt", 3, 3, 0),
        "Octahedron": ase.cluster.Octahedron("Ag", 6),
    }.items()
}
plotting.show(
    solids.gallery(gallery),
    "The three shapes of the training family, here of gold, platinum "
    "and silver.",
    alt="Three clusters of atoms drawn as spheres. The icosahedron is "
    "nearly round, with twenty triangular faces. The decahedron is a flat "
    "bipyramid with five sides. The octahedron is two square pyramids "
    "base to base.",
)

# %% [markdown]
# ## Particles for the test
#
# By default the test particles are truncated **fcc** polyhedra of ytterbium, iridium, xenon and aluminium: elements and
# outlines that training never sees. A method that has only memorised the look of gold icosahedra will fail on them, which is
# the point. If you choose other elements, they are left out of the training. The *validation* particles come from the training
# family. Every choice (when to stop, which network) is made with them. Chapters 2 and 3 show test particles as examples; no choice
# rests on them before the tables of Chapter 6.

# %%
training_elements = {e for a in training for e in a.get_chemical_symbols()}
assert not training_elements & test_elements
plotting.say(
    "Elements in training and validation: "
    f"{', '.join(sorted(training_elements))}. Elements in the test set: "
    f"{', '.join(sorted(test_elements))}. None is shared."
)

# %% [markdown]
# ## How light and heavy particles differ
#
# A HAADF detector sees heavy nuclei best. The scattering of one atom grows with nearly the square of its atomic number
# $Z$, so aluminium gives a far fainter picture than the same number of iridium atoms. Methods must cope with both.


# %% tags=["hide-input"]
def composition():
    figure, axis = plt.subplots(figsize=(6, 3))
    for use, particles, marker in (
        ("training", training, "o"),
        ("test", test, "s"),
    ):
        for a in particles:
            axis.scatter(
                a.numbers.mean(),
                len(a),
                marker=marker,
                color="#0072B2" if use == "training" else "#D55E00",
            )
            axis.annotate(
                a.info["element"],
                (a.numbers.mean(), len(a)),
                xytext=(4, 3),
                textcoords="offset points",
                fontsize=8,
            )
    axis.scatter(
        [], [], marker="o", color="#0072B2", label="training and validation"
    )
    axis.scatter([], [], marker="s", color="#D55E00", label="test")
    axis.set(xlabel="atomic number Z (mean)", ylabel="atoms")
    axis.legend()
    return figure


# %% tags=["hide-input"]
plotting.show(
    composition(),
    "What the particles are made of: number of atoms against "
    "atomic number.",
    alt="Scatter plot of the number of atoms of each particle against its "
    "atomic number. Training and validation: "
    f"{', '.join(sorted(training_elements))}; test: "
    f"{', '.join(sorted(test_elements))}.",
)

# %% [markdown]
# ## One random rotation each
#
# On the support film a particle lies as it fell. We therefore rotate each particle by a rotation drawn **uniformly** from
# all rotations, SO(3). Drawing three Euler angles uniformly would crowd the poles. SciPy instead draws four normally
# distributed components and normalises them to a unit quaternion, which has no preferred direction.

# %%
training = [
    structures.random_rotation(a, seed=seed + i)
    for i, a in enumerate(training)
]
test = [
    structures.random_rotation(a, seed=seed + len(training) + i)
    for i, a in enumerate(test)
]

# %% [markdown]
# Is it uniform? The rotated $z$ axis points to a place on a sphere. Under uniform rotations, the $z$ coordinate of this
# place is uniform between −1 and 1 (Archimedes' hat-box theorem). The histogram of many draws should be flat.

# %%
from ase import Atoms

pole = Atoms("H", positions=[[0.0, 0.0, 1.0]])
heights = [
    structures.random_rotation(pole, seed=s).positions[0, 2]
    for s in range(2000)
]
figure, axis = plt.subplots(figsize=(5, 2.2))
axis.hist(heights, bins=20, color="#0072B2", alpha=0.8)
axis.axhline(len(heights) / 20, color="k", lw=1, ls="--", label="uniform")
axis.set(xlabel="z of the turned pole", ylabel="draws")
axis.legend(loc="lower right")
plotting.show(
    figure,
    f"Heights of a pole turned by {len(heights)} random rotations.",
    alt="Histogram of the z coordinate of the turned pole. All twenty bars "
    "are about as high as the dashed line of a uniform distribution.",
)

# %% [markdown]
# ## A particle and its tilt
#
# Turn the first test particle with the slider. The **tilt axis is y**; the beam comes down along −z. An atom at
# $(x, y, z)$ appears, at tilt $\theta$, in column
#
# $$ u = x\cos\theta + z\sin\theta $$
#
# and in row $y$, which never changes. Everything in this book (simulation, reprojection, reconstruction) uses this one
# formula; see [the conventions](../book/conventions.md).

# %%
solids.show_particle(
    test[0],
    f"{test[0].info['name']} between tilts of −90° and 90°. Drag to look "
    "from elsewhere; the slider tilts the particle.",
    tilt_deg=np.arange(-90, 91, 10.0),
    alt=f"The {len(test[0])} atoms of the particle as spheres in a box "
    "with axes x, y and z. A line along y is the tilt axis, an arrow from "
    "above is the beam.",
)

# %% [markdown]
# ## Store them
#
# The particles go to the run's folder of artifacts, in the extended XYZ format that most atomistic programs read. `store.make` calls a function with a path and
# with these parameters. It calls it again only when the function, its parameters or the code behind them have changed: whatever you do to the particles
# above, the file holds what the pages show.


# %%
def write_particles(path, *, particles):
    ase.io.write(path, particles, format="extxyz")


for name, particles in (
    (names.TRAINING_PARTICLES, training[:n_training]),
    (names.VALIDATION_PARTICLES, training[n_training:]),
    (names.TEST_PARTICLES, test),
):
    store.make(name, write_particles, parameters={"particles": particles})

# %% [markdown]
# ## Take away
#
# - The test shares no element and no shape with training and validation: a test on relatives proves little.
# - Small particles are mostly surface, and often twinned; a rotation must be drawn uniformly from SO(3), not angle by angle.
#
# ## Check yourself
#
# **1.** Why do the test particles have other elements *and* other shapes than the training particles?
#
# ```{dropdown} Answer 1
# Because a method that has memorised the look of its training particles would otherwise pass the test.
# ```
#
# **2.** An icosahedron of gold is called multiply twinned. What is twinned?
#
# ```{dropdown} Answer 2
# Its twenty tetrahedral grains are single crystals that meet at twin planes. No one lattice runs through the particle.
# ```
#
# **3.** With which particles may you decide when to stop training?
#
# ```{dropdown} Answer 3
# With the validation particles. A choice made with the test set makes the test set part of the training.
# ```
#
# **4.** Two particles have equally many atoms, one of Al ($Z = 13$), one of Ir ($Z = 77$). About how many times brighter is iridium in HAADF?
#
# ```{dropdown} Answer 4
# $(77/13)^2 \approx 35$ times by Rutherford's law, somewhat less with screening.
# ```
#
# **5.** Under uniform random rotations, how often does the pole of a particle point to within 10 % of the top, $z > 0.9$?
#
# ```{dropdown} Answer 5
# In 5 % of the draws: $z$ is uniform between −1 and 1 (Archimedes).
# ```
#
# ## Exercises
#
# 1. *Surface and bulk.* In an icosahedron of $n$ shells, which fraction of the atoms lies at the surface? Use
#    `ase.cluster.Icosahedron("Au", n)` for n = 2 to 8 and count atoms with fewer than twelve neighbours.
# 2. *Bad rotations.* Draw the three Euler angles uniformly and repeat the histogram above. Where do the poles crowd, and what
#    should be drawn uniformly instead?
#
# Try first; then compare with the [solutions](10_solutions.ipynb), which were run for these pages.
