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
# # 9. Your own sample
#
# You have a tilt series from a microscope: raw, noisy, not aligned, with few angles. This chapter takes it from the file to
# the volume: look at it, prepare and align it, ask *its own frames* whether prediction helps, predict what is missing, with
# an uncertainty, and reconstruct. If you give no file, the chapter uses a shipped series. It resembles an experiment but is
# simulated, so that here, and only here, each step can be compared with the truth.
#
# | | |
# |---|---|
# | **You need** | nothing for a first reading; for your own sample a tilt series in [a known format](../book/formats.md), with its angles |
# | **You learn** | what to look at before any computation; what alignment does; how to judge a method without knowing the truth |
# | **Next** | the [solutions](10_solutions.ipynb) of all exercises, or [another crystal](../book/another_crystal.md) |
#
# The same from a terminal:
#
# ```bash
# tsg show series.mrc -o sheet.png
# tsg prepare series.mrc --hot-pixels -o aligned.mrc
# tsg densify aligned.mrc -o dense.mrc
# tsg reconstruct dense.mrc -o volume.mrc
# ```
#
# **Three things to change for your own file**, marked below by *Yours*: the path among the parameters, the settings of the
# preparation, and the methods that compete.

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
series_path = ""
tilts_path = ""
pixel_size_A = 0.0
step_deg = 2.0
method = "auto"
candidates = ["linear", "cubic", "tsgnet"]
n_iterations = 100
recording = False

# %% tags=["hide-input"]
import numpy as np
import pandas as pd

from tsg_core import formats, interpolation, reconstruction
from tsg_core.evaluation import image_metrics
from tsg_core.interpolation import uncertainty
from tsg_core.pictures import preparation
from tsg_core.pictures.contact_sheet import contact_sheet
from tsg_core.preparation import checks, steps
from tsg_core.reconstruction import projection
from tsg_core.samples.experiment import experiment_like
from tsg_core.samples.recorded import needle_path
from tsgbook import chapters as names
from tsgbook.artifacts import Artifacts
from tsgbook.figures import plotting
from tsgbook.figures import volumes as volume_figures

plotting.use_book_style()
store = Artifacts(artifacts)

# %% [markdown]
# ## Read it
#
# *Yours:* give `series_path` above. Angles come from the file, from a `.rawtlt`, `.tlt` or `.mdoc` beside it, or from the text
# file `tilts_path`. Give a pixel size (other than 0) only if the file states none. The shipped series shows an alloy particle
# and a small silver one on a flake of carbon. It has detector counts with an offset, hot pixels and noise, a fading beam,
# drifting frames, and a tilt axis that is inclined and off centre.

# %%
if series_path:
    raw = formats.read_series(
        series_path,
        tilts=tilts_path or None,
        pixel_size_A=pixel_size_A or None,
    )
    truth = None
else:
    raw, truth = experiment_like()
pd.Series(checks.facts(raw), name="as recorded").to_frame()

# %% [markdown]
# ## Look at it first
#
# This is the sheet that `tsg show` draws. Is the tilt axis vertical? Does the object stay inside the frames? Is one frame much
# brighter than its neighbours? Does the centre of mass follow a smooth wave? Here it doesn't: the frames drifted.
# [When something looks wrong](../book/troubleshooting.md) leads from symptoms to causes.

# %%
plotting.show(
    contact_sheet(raw),
    "The series as recorded.",
    alt=f"Up to 24 of {len(raw)} frames with their angles, and below them "
    "the histogram of intensities, the mean intensity and the centre of "
    "mass of each frame, the middle row of every frame, and a sketch of a "
    "positive tilt.",
)

# %% tags=["hide-input"]
warnings = checks.warnings_of(raw)
plotting.say(
    "\n".join(f"- {warning}" for warning in warnings)
    or "No single frame calls for care. What happens *between* frames, such as drift, is "
    "for the eye: see the centre of mass on the sheet."
)

# %% [markdown]
# ## Prepare it
#
# One call runs all steps in a fixed order, and each reports in a sentence what it did. *Yours:* turn on what your recording
# needs: `turn=True` if the tilt axis lies along the rows, `flip_angles=True` if your microscope counts angles the other way,
# `binning=2` for large frames, `alignment=None` if the series is aligned already.

# %%
settings = steps.PreparationSettings(hot_pixels=True)
prepared = steps.prepare(raw, settings=settings, say=plotting.say)
series = prepared.series
drawn = preparation.step_figures(prepared)


def show_step(name, caption, *, alt):
    if name in drawn:
        plotting.show(drawn[name], caption, alt=alt)


# %% [markdown]
# Hot pixels come first, while each is a single pixel: later steps would smear them.

# %%
show_step(
    "hot pixels",
    "The frame with the most hot pixels: before, after, and what changed.",
    alt="A frame with circles around isolated bright pixels, the same "
    "frame without them, and their difference: single dots.",
)

# %% [markdown]
# The background is what the detector reports without any electrons. Left in, it would be reconstructed as matter.

# %%
show_step(
    "background",
    "The level that is subtracted, and a frame afterwards.",
    alt="Left: histogram of all pixels with a line at the level, near its "
    "peak. Right: the least tilted frame, with a vacuum about zero.",
)

# %% [markdown]
# Alignment moves every frame to where it belongs. In the sinogram, lines torn by the drift become waves.

# %%
show_step(
    "alignment",
    "The middle row of every frame, and the mean over all tilts, before "
    "and after the alignment.",
    alt="Before, the sinogram is torn from frame to frame and the mean is "
    "blurred; after, its curves are smooth waves and the mean is sharp.",
)

# %% [markdown]
# An inclined tilt axis does no harm in the middle row; the farther a slice lies from it, the greater the harm.

# %%
show_step(
    "axis",
    "A slice off the middle: from the frames as recorded, after the shifts "
    "alone, and after shifts and axis.",
    alt="Three grey slices. As recorded the object is a smear; with shifts "
    "it has an outline; with shifts and axis its parts are sharp.",
)

# %% [markdown]
# How good is the alignment? For your series the only measure is the reprojection residual: the part of the frames that a
# volume made from them fails to explain. For the shipped series the true shifts are known. They are compared apart from a
# translation of the object, which no alignment can know and which does not harm the volume.

# %%
if prepared.alignment:
    shifts = preparation.shift_figure(
        prepared.alignment,
        true_shift_px=truth and truth.shift_px,
    )
    plotting.show(
        shifts,
        "The shifts that the alignment found.",
        alt="Shift of each frame along x and y against the tilt"
        + (", beside the true shifts." if truth else "."),
    )

# %% tags=["hide-input"]
if truth and prepared.alignment:
    axis_error_deg = abs(prepared.alignment.axis_deg - truth.axis_deg)
    plotting.say(
        "The shifts are right to "
        f"{truth.shift_error_px(prepared.alignment):.3f} pixels (root mean "
        "square), the inclination of the tilt axis to "
        f"{axis_error_deg:.2f}°."
    )

# %% [markdown]
# ## Would prediction help *this* series?
#
# You can ask this without knowing the truth: leave measured frames out, predict them from the rest, and compare. The method
# `auto` does so at twice and at four times the spacing. It extrapolates the error of each method to the real spacing of the
# series, and weights the methods accordingly, at each angle by its distance from the measured ones. *Yours:* with an empty
# list of `candidates` all applicable methods compete, which takes some minutes; a `method` other than `auto` is used
# directly. Measured frames stay unchanged, bit for bit.

# %%
wanted_deg = np.arange(
    np.ceil(series.tilt_deg[0]),
    series.tilt_deg[-1],
    step_deg,
)
dense_tilt_deg = np.union1d(series.tilt_deg, wanted_deg)
if truth:
    dense_tilt_deg = np.union1d(dense_tilt_deg, truth.left_out.tilt_deg)
found = interpolation.densify_with_uncertainty(
    series,
    tilt_deg=dense_tilt_deg,
    methods=(candidates or None) if method == "auto" else [method],
)
dense = found.series
baseline = interpolation.densify(
    series, tilt_deg=dense_tilt_deg, method="linear"
)

# %% [markdown]
# What the left-out frames say about each method: the score at twice the spacing, where it was tested, and the score expected
# at the real spacing.

# %%
choice = dense.metadata["choice"]
columns = {
    "left_out_psnr_dB": "left-out frames (dB)",
    "expected_psnr_dB": "expected (dB)",
    "weight": "weight half-way",
    "reason": "does not apply because",
}
table = pd.DataFrame(choice["left_out"]).set_index("method")
table = table.reindex(columns=list(columns)).rename(columns=columns)
table.style.format("{:.2f}", subset=list(table.columns[:3]), na_rep="")

# %% tags=["hide-input"]
n_predicted = int((~dense.measured).sum())
plotting.say(
    f"By left-out frames, {choice['verdict']}. The denser series has "
    f"{len(dense)} frames: {dense.measured.sum()} measured and "
    f"{n_predicted} predicted. The scores are against noisy frames, so "
    "noise bounds what any method can reach."
)

# %% [markdown]
# ## Predicted frames, and how far to trust them
#
# Each predicted frame is shown with its standard deviation, learnt from the errors in left-out frames: it is larger at edges
# than in the vacuum.

# %%
predicted = np.flatnonzero(~dense.measured)
chosen = predicted[np.linspace(0, n_predicted - 1, 6).astype(int)[1:-1]]
titles = [f"{dense.tilt_deg[i]:.1f}°, predicted" for i in chosen]
plotting.show(
    plotting.show_frames(
        dense.frames[chosen], titles, pixel_size_A=dense.pixel_size_A
    ),
    "Predicted frames.",
    alt="Grey frames at "
    + ", ".join(f"{dense.tilt_deg[i]:.1f}°" for i in chosen)
    + " that nobody measured.",
)

# %%
if found.sigma is not None:
    figure = plotting.show_frames(
        found.sigma[np.searchsorted(predicted, chosen)],
        [f"{dense.tilt_deg[i]:.1f}°" for i in chosen],
        pixel_size_A=dense.pixel_size_A,
        cmap="viridis",
        colour_bar="counts",
    )
    plotting.show(
        figure,
        "Standard deviations of the predicted frames above.",
        alt="Maps on one scale: small in the vacuum, larger at the edges "
        "of the particles and on bright columns.",
    )

# %% [markdown]
# ## Against the truth, for once
#
# The simulated experiment includes clean frames at angles that were left out of it. They are moved to where the alignment put
# the object, and compared in the area that every frame recorded. Your own sample has no such frames, and the chapter skips
# this step.

# %%
if truth and prepared.alignment:
    expected = truth.left_out_beside(prepared.alignment)
    field = (slice(None), *prepared.alignment.report.field)
    clean = expected.frames * truth.counts_per_intensity

    def error_of(frames):
        return np.sqrt(((frames - clean)[field] ** 2).mean())

    at_truth = np.isin(dense.tilt_deg, expected.tilt_deg)
    predictions = {
        "linear": baseline.frames[at_truth],
        method: dense.frames[at_truth],
    }
    errors = {
        name: error_of(frames) for name, frames in predictions.items()
    }

# %% tags=["hide-input"]
if truth and prepared.alignment:
    sigma = found.sigma[
        np.isin(dense.tilt_deg[predicted], expected.tilt_deg)
    ]
    held = uncertainty.coverage(
        predictions[method][field],
        sigma[field],
        clean[field],
        levels=(0.5, 0.9),
    )
    plotting.say(
        f"Root mean square error at the {len(expected)} angles that nobody "
        f"measured: {errors['linear']:.0f} counts by linear interpolation, "
        f"{errors[method]:.0f} by {method}, where the brightest pixel has "
        f"{clean.max():.0f}. The stated intervals of 50 % and 90 % hold "
        f"{held[0.5]:.0%} and {held[0.9]:.0%} of the clean pixels; they "
        "are meant for frames with the noise of a measurement."
    )

# %%
if truth and prepared.alignment:
    at = int(np.abs(expected.tilt_deg).argmin())
    differences = [
        frames[at] - clean[at] for frames in predictions.values()
    ]
    reach = np.quantile(np.abs(differences[0]), 0.998)
    figure = plotting.show_frames(
        differences,
        [f"{name}, {expected.tilt_deg[at]:.1f}°" for name in errors],
        pixel_size_A=dense.pixel_size_A,
        vmin=-reach,
        vmax=reach,
        cmap="RdBu_r",
        colour_bar="error (counts)",
    )
    plotting.show(
        figure,
        f"Errors of the frame at {expected.tilt_deg[at]:.1f}°.",
        alt="Two maps of prediction minus truth on one scale. Root mean "
        "square over all angles: "
        + ", ".join(
            f"{name} {error:.0f} counts" for name, error in errors.items()
        )
        + ".",
    )

# %% [markdown]
# ## Reconstruct

# %%
volumes = {
    name: reconstruction.sirt(frames, n_iterations=n_iterations)
    for name, frames in (
        ("measured", series),
        ("with linear", baseline),
        ("with predicted", dense),
    )
}
plotting.show(
    volume_figures.orthogonal_slices(
        volumes, voxel_size_A=series.pixel_size_A
    ),
    "Three slices through the middle of each volume.",
    alt="Grey slices, a row for each plane and a column for each volume: "
    f"{', '.join(volumes)}. Streaks are strongest in the volume of the "
    "measured frames.",
)

# %% [markdown]
# Which volume is better? Project each volume at the unmeasured angles and compare with the clean frames. A volume that
# explains only its own frames fails there.

# %%
if truth and prepared.alignment:
    missed = {
        name: error_of(
            projection.project(volume, tilt_deg=expected.tilt_deg)
        )
        for name, volume in volumes.items()
    }
    plotting.say(
        "The volume of the measured frames misses them by "
        f"{missed['measured']:.0f} counts (root mean square), that of "
        "measured and linearly interpolated ones by "
        f"{missed['with linear']:.0f}, and that of measured and predicted "
        f"ones by {missed['with predicted']:.0f}."
    )


# %% [markdown]
# ## Store it
#
# The aligned series, the denser series with flags for measured frames, its standard deviations and the volume go to a folder
# of their own.


# %%
def keep(folder, *, aligned, dense, sigma, volume):
    folder.mkdir(exist_ok=True)
    aligned.write(folder / "aligned.mrc", overwrite=True)
    dense.write(folder / "dense.mrc", overwrite=True)
    if sigma is not None:
        sigma_series = interpolation.sigma_series(
            sigma,
            tilt_deg=dense.tilt_deg,
            measured=dense.measured,
            pixel_size_A=dense.pixel_size_A,
        )
        sigma_series.write(folder / "dense_sigma.mrc", overwrite=True)
    formats.write_volume(
        volume,
        folder / "volume.mrc",
        voxel_size_A=aligned.pixel_size_A,
        overwrite=True,
    )


# %%
kept = store.make(
    names.OWN_SAMPLE,
    keep,
    parameters={
        "aligned": series,
        "dense": dense,
        "sigma": found.sigma,
        "volume": volumes["with predicted"],
    },
    inputs=[series_path, tilts_path],
)
plotting.say(
    "Kept: "
    + ", ".join(f"`{path.name}`" for path in sorted(kept.iterdir()))
)

# %% [markdown]
# ## A real recording
#
# The shipped series is simulated; does the same hold for a recording? The package ETSpy includes a HAADF series of a
# needle: 77 raw frames, one every two degrees, with the tilt axis along x. If ETSpy is installed and `recording` is true, the
# steps of this chapter run on that file. Every second frame counts as measured. The others are the judges, whichever way
# their verdict falls.

# %%
needle_file = needle_path() if recording else None
if needle_file is None:
    remedy = "install `etspy==1.3.0`" if recording else "set `recording`"
    plotting.say(f"Skipped; {remedy} to see it.")
else:
    needle = steps.prepare(
        formats.read_series(needle_file),
        settings=steps.PreparationSettings(turn=True, binning=2),
        say=plotting.say,
    ).series

# %%
if needle_file is not None:
    known = needle.subset(np.arange(0, len(needle), 2))
    at_needle = {"tilt_deg": needle.tilt_deg}
    recorded_methods = [
        "linear",
        "cubic",
        "smooth",
        "reprojection",
        "kriging",
    ]
    denser = {
        "linear": interpolation.densify(
            known, method="linear", **at_needle
        ),
        "auto": interpolation.densify_with_uncertainty(
            known, methods=recorded_methods, **at_needle
        ).series,
    }
    judges = needle.frames[1::2]
    scores_dB = {
        name: image_metrics(
            dense_needle.frames[1::2], judges, peak=needle.intensity_scale
        ).psnr_dB.mean()
        for name, dense_needle in denser.items()
    }

# %% tags=["hide-input"]
if needle_file is not None:
    gain_dB = scores_dB["auto"] - scores_dB["linear"]
    plotting.say(
        f"From {len(known)} of {len(needle)} frames, `auto` predicts the others to {scores_dB['auto']:.2f} dB, linear "
        f"interpolation to {scores_dB['linear']:.2f} dB: a {'gain' if gain_dB > 0 else 'loss'} of {abs(gain_dB):.2f} dB. "
        f"What `auto` said beforehand: {denser['auto'].metadata['choice']['verdict']}."
    )

# %% [markdown]
# And the volumes, beside that of all the frames that were recorded.

# %%
if needle_file is not None:
    needle_volumes = {
        name: reconstruction.sirt(frames, n_iterations=n_iterations)
        for name, frames in (
            ("every second frame", known),
            ("with linear", denser["linear"]),
            ("with predicted", denser["auto"]),
            ("all recorded", needle),
        )
    }
    pictures = volume_figures.orthogonal_slices(
        needle_volumes, voxel_size_A=needle.pixel_size_A
    )

# %% tags=["hide-input"]
if needle_file is not None:
    whole = needle_volumes["all recorded"]
    away = {
        name: np.linalg.norm(volume - whole) / np.linalg.norm(whole)
        for name, volume in needle_volumes.items()
    }
    plotting.say(
        f"From the volume of all recorded frames, that of every second one differs by {away['every second frame']:.1%}, "
        f"with linearly interpolated frames by {away['with linear']:.1%}, with predicted ones by {away['with predicted']:.1%}."
    )

# %% [markdown]
# ## What to be careful about
#
# - A predicted frame is not a measurement: it adds no dose and no new information, only assumptions. Keep the flags with the
#   data.
# - The missing wedge remains: nothing is predicted outside the measured range, and the volume stays stretched along the beam.
#   `extrapolate=True` (`tsg densify --extrapolate`) goes on with methods that fit an object. The errors grow with the distance,
#   and what is wrong with the object along the beam stays wrong.
# - No number above tells a volume from its mirror image. You must know which way your microscope counts angles, or measure it
#   once with an object of known handedness.
# - An object that leaves the frames at some tilts, or a film that fills them, is aligned less accurately than the shipped one.
#   The sentence on the alignment says when this is in doubt.

# %% [markdown]
# ## Take away
#
# - Look first; prepare and align next; only then ask whether prediction helps *this* series.
# - Left-out frames answer that without the truth.
# - Keep measured and predicted frames apart, and know the sign of your angles.
#
# ## Check yourself
#
# **1.** Why are hot pixels replaced first?
#
# ```{dropdown} Answer 1
# While each is a single pixel: shifting and binning would smear it over its neighbours.
# ```
#
# **2.** How can you judge a method without the truth?
#
# ```{dropdown} Answer 2
# Leave measured frames out, predict them from the others, and compare.
# ```
#
# **3.** Left-out frames have twice the spacing of the series. What must be corrected?
#
# ```{dropdown} Answer 3
# The error: it is extrapolated to the real spacing, from the errors at twice and at four times the spacing.
# ```
#
# **4.** Which number shows that the angles have the wrong sign?
#
# ```{dropdown} Answer 4
# None: you get the mirror image. You must know your microscope, or look at an object of known handedness.
# ```
#
# **5.** Does a predicted frame add information?
#
# ```{dropdown} Answer 5
# No: it adds assumptions. Keep the flags that tell measured from predicted frames.
# ```
#
# ## Exercises
#
# 1. *No alignment.* Set `alignment=None` in the settings. Which method suffers most in the leave-out table?
# 2. *A simpler alignment.* Import `AlignmentSettings` from `tsg_core.preparation.alignment` and use
#    `AlignmentSettings(method="correlation")`. How large are the errors of the shifts along and across the tilt axis, compared with
#    those of the full alignment, and why do the errors of a correlation add up?
# 3. *The wrong sign.* Set `flip_angles=True`. Which of the numbers that need no truth change?
# 4. *All methods.* Let more methods compete: `candidates = ["linear", "cubic", "reprojection", "kriging"]`. Does the order of
#    the table agree with the errors against the truth? (An empty list means all methods, which takes minutes.)
#
# Try first; then compare with the [solutions](10_solutions.ipynb), which were run for these pages.
