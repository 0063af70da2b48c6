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
# # 8. Your own sample
#
# You have a tilt series from a microscope, aligned, with few angles. This chapter reads it, tests on *its own frames* whether prediction helps, makes the series
# denser, and reconstructs a volume. Give your file below; without one, the chapter makes a series that behaves like an experiment.
#
# | | |
# |---|---|
# | **You need** | an aligned series with the tilt axis along y (vertical in the frames), and its angles |
# | **You learn** | how to judge a method without any truth: leave frames out that you do have |
#
# The same from a terminal:
#
# ```bash
# tsg densify series.mrc --tilts angles.rawtlt --step 1 -o dense.mrc
# tsg reconstruct dense.mrc -o volume.mrc
# ```

# %% tags=["parameters"]
artifacts = "../artifacts/smoke"
series_path = ""
tilts_path = ""
step_deg = 2.0
method = "auto"
n_iterations = 100

# %% tags=["hide-input"]
import ase.io
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from tsg_core import chapters as names
from tsg_core import (
    evaluation,
    formats,
    interpolation,
    plotting,
    reconstruction,
    simulation,
)
from tsg_core.artifacts import Artifacts
from tsg_core.microscope import NON_ABERRATED
from tsg_core.tilt_series import TiltSeries

plotting.use_book_style()
store = Artifacts(artifacts)

# %% [markdown]
# ## Read the series
#
# `TiltSeries.read` takes MRC stacks (`.mrc`, `.st`, `.ali`), TIFF stacks, NumPy and Zarr files. Angles come from the header, from a `.rawtlt` or `.tlt` beside the file, or
# from the file you name.


# %% tags=["hide-input"]
def experiment_like():
    """A particle with a missing wedge, irregular angles and shot noise."""
    particle = ase.io.read(store.path(names.TEST_PARTICLES), index=0)
    rng = np.random.default_rng(8)
    tilt_deg = np.arange(-70, 71, 5.0) + rng.uniform(-0.3, 0.3, 29)
    return simulation.simulate_tilt_series(
        particle,
        microscope=NON_ABERRATED,
        tilt_deg=tilt_deg,
        shape=(64, 64),
        field_of_view_A=22.4,
        dose_per_A2=2e4,
        seed=8,
    )


series = (
    TiltSeries.read(series_path, tilts=tilts_path or None)
    if series_path
    else experiment_like()
)
plotting.say(
    f"{len(series)} frames of {series.frames.shape[2]} × {series.frames.shape[1]} pixels of {series.pixel_size_A:.3g} Å, "
    f"from {series.tilt_deg[0]:.1f}° to {series.tilt_deg[-1]:.1f}°, "
    f"{np.diff(series.tilt_deg).mean():.1f}° apart on average."
)

# %% [markdown]
# ## Look at it first
#
# Is the tilt axis vertical, does it pass through the middle, does the total intensity stay even? A line through the sinogram's centre
# of mass shows a wrong axis at a glance: it should follow a sine curve around the middle.

# %%
chosen = np.linspace(0, len(series) - 1, 5).astype(int)
plotting.show_frames(
    series.frames[chosen],
    [f"{series.tilt_deg[i]:.0f}°" for i in chosen],
    pixel_size_A=series.pixel_size_A,
)
plt.show()
figure, axes = plt.subplots(1, 2, figsize=(8, 3.2))
plotting.show_sinogram(series, axis=axes[0], title="middle row")
axes[1].plot(
    series.tilt_deg,
    series.frames.sum((1, 2)) / series.frames.sum((1, 2)).mean(),
    "o-",
    ms=3,
)
axes[1].set(xlabel="tilt (deg)", ylabel="total intensity / mean", ylim=(0, None))
plt.show()

# %% [markdown]
# ## Would prediction help *this* series?
#
# No truth is needed to ask. Leave out every second frame, predict those from the rest, and compare with what was measured. The spacing is then twice
# yours, so the scores are lower than what you will get; the *order* of the methods is what you read from it.

# %%
kept, left_out = (
    series.subset(np.arange(0, len(series), 2)),
    series.subset(np.arange(1, len(series) - 1, 2)),
)
inside = left_out.tilt_deg < kept.tilt_deg[-1]
left_out = left_out.subset(inside)
rows = []
for candidate in ("linear", "cubic", "sirt_reprojection", "reprojection", "tsgnet"):
    guess = interpolation.densify(
        kept,
        tilt_deg=left_out.tilt_deg,
        method=candidate,
    )
    metrics = evaluation.image_metrics(
        guess.frames, left_out.frames, peak=series.intensity_scale
    )
    rows.append(
        {
            "method": candidate,
            "PSNR (dB)": metrics.psnr_dB.mean(),
            "SSIM": metrics.ssim.mean(),
        }
    )
scores = pd.DataFrame(rows).set_index("method")
scores.style.format("{:.2f}")

# %%
best = scores["PSNR (dB)"].idxmax()
gain_dB = scores.loc[best, "PSNR (dB)"] - scores.loc["linear", "PSNR (dB)"]
advice = (
    f"**{best}** predicts the left-out frames best, {gain_dB:.1f} dB above linear."
    if best != "linear"
    else "Linear is as good here as anything."
)
plotting.say(
    f"{advice} Both are compared with noisy frames, so noise bounds what any method can reach."
)

# %% [markdown]
# ## Make it denser
#
# Measured frames stay as they are, bit for bit, and are marked as measured. The method `auto` repeats the test above at several spacings,
# extrapolates each method's error to the spacing that the series really has, and takes for every angle what it expects to be nearest, also `atoms`
# where the sample shows atoms. Name another method in the parameters to insist on it.

# %%
dense_tilt_deg = np.union1d(
    series.tilt_deg,
    np.arange(np.ceil(series.tilt_deg[0]), series.tilt_deg[-1], step_deg),
)
dense = interpolation.densify(
    series,
    tilt_deg=dense_tilt_deg,
    method=method,
)
plotting.say(
    f"{len(dense)} frames: {dense.measured.sum()} measured and {(~dense.measured).sum()} predicted."
)
if method == "auto":
    plotting.say(f"The choice: {dense.metadata['choice']['verdict']}.")

# %% [markdown]
# ## Reconstruct and keep

# %%
volumes = {
    "measured only": reconstruction.sirt(series, n_iterations=n_iterations),
    "measured and predicted": reconstruction.sirt(dense, n_iterations=n_iterations),
}
for axis_name, cut in (
    ("across the tilt axis", lambda v: v[v.shape[0] // 2]),
    ("along the tilt axis", lambda v: v[:, v.shape[1] // 2]),
):
    figure = plotting.show_frames(
        np.array([cut(v) for v in volumes.values()]),
        list(volumes),
        pixel_size_A=series.pixel_size_A,
    )
    figure.suptitle(f"Slice {axis_name}")
    plt.show()


# %%
def keep(folder):
    folder.mkdir(exist_ok=True)
    dense.write(folder / "dense.mrc", overwrite=True)
    formats.write_volume(
        volumes["measured and predicted"],
        folder / "volume.mrc",
        voxel_size_A=series.pixel_size_A,
        overwrite=True,
    )


store.make(
    names.OWN_SAMPLE,
    keep,
    parameters={
        "series_path": series_path,
        "tilts_path": tilts_path,
        "step_deg": step_deg,
        "method": method,
        "n_iterations": n_iterations,
    },
    inputs=[names.TEST_PARTICLES],
    code=(interpolation, reconstruction, simulation, formats),
)

# %% [markdown]
# ## What to be careful about
#
# - A predicted frame is no measurement: it adds no dose and no new information, only assumptions. Keep the flags with the data.
# - The missing wedge stays: nothing is predicted outside the measured range, and the volume stays stretched along the beam.
# - A misaligned series makes every method that uses many frames worse, reprojection first of all. Align first.
#
# ## Exercises
#
# 1. *Wrong axis.* Shift all frames by two pixels in x (`np.roll`). Which method suffers most in the leave-out table?
# 2. *Half the dose.* Halve `dose_per_A2` above. At which dose does linear interpolation become the best choice, and why?
