"""The paper's Table 1 and Figure 2 in its own physics: midpoints of the shipped multislice test set, by every method.

The table in the folder grows by one row for each microscope, particle, spacing and method. The paper's rate r, in steps
of one degree, measures a frame every 2 r degrees: its rates 4, 8 and 12 are the spacings 8, 16 and 24 degrees. Methods
that take long are scored at some of the midpoints, and linear interpolation beside them at the same ones.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path

import numpy as np
import pandas as pd
from ase import Atoms

from tsg_core.errors import TsgError
from tsg_core.evaluation.metrics import ImageMetrics, image_metrics
from tsg_core.interpolation.choice import predict_automatically
from tsg_core.interpolation.fitted_series import FittedSeries
from tsg_core.interpolation.methods import predict
from tsg_core.microscope import MICROSCOPES, Microscope
from tsg_core.samples.multislice_sets import MultisliceSet, multislice_set
from tsg_core.tilt_series import TiltSeries

from .frames_and_volumes import volume_metrics
from .off_model import BASELINE, spacing_case
from .summary import PAPER_TABLE_1, gain_over, over_particles, with_interval
from .tables import drop_rows, grow_table, read_table

FOLDER, VOLUMES_FOLDER = "multislice_test", "multislice_volumes"  # in that of the recorded results
SPACINGS_deg = (8.0, 16.0, 24.0)  # the paper's rates 4, 8 and 12
METHODS = (
    "linear", "cubic", "tsgnet", "tsgnet published", "reprojection", "kriging",
    "informed", "atoms", "dynamical", "auto",
)  # fmt: skip
STEP_deg = 4  # between frames of the shipped test set
VOLUME_GAPS = (4, 6)  # in frames
SLOW = ("dynamical", "auto")  # a minute or more for a few frames
KEYS = ["microscope", "particle", "spacing_deg", "method"]
NUMBERS = ("mse", "psnr_dB", "ssim", "gain")


@dataclass(frozen=True, kw_only=True)
class Case:
    """A particle of the test set in a microscope, with a frame measured every `spacing_deg`."""

    microscope: str
    particle: int
    spacing_deg: float

    def load(self) -> tuple[FittedSeries, TiltSeries, float]:
        """Measured frames, those half-way between them, and the peak: the brightest pixel of the whole series."""
        series = _test_set(self.microscope)[self.particle]
        measured, targets = spacing_case(series, spacing_deg=self.spacing_deg)
        return FittedSeries.of(measured), targets, float(series.frames.max())

    def name(self, method: str) -> tuple:
        return self.microscope, particle_name(_test_set(self.microscope), self.particle), self.spacing_deg, method


def particle_name(particles: MultisliceSet, i: int) -> str:
    """Numbered, since several are of one kind."""
    return f"{i} {particles.atoms(i).info['name']}"


def cases_of(*, microscopes: Sequence[str], particles: Sequence[int], spacings_deg: Sequence[float]) -> list[Case]:
    """All combinations, particle by particle. Raises TsgError for a particle that the set does not hold."""
    n = len(_test_set(microscopes[0]))
    if wrong := [i for i in particles if not 0 <= i < n]:
        raise TsgError(f"the test set holds particles 0 to {n - 1}; there is no number {wrong[0]}")
    return [
        Case(microscope=microscope, particle=i, spacing_deg=spacing_deg)
        for i in particles
        for microscope in microscopes
        for spacing_deg in spacings_deg
    ]


def score_frames(folder: Path, cases: Sequence[Case], *, methods: Sequence[str], n_slow: int) -> None:
    """Write a row for each case and method that the table in `folder` lacks: means over the midpoints.

    `gain` is the PSNR minus that of linear interpolation at the same midpoints. The methods `SLOW` are scored at
    `n_slow` of them, evenly spread. A method that does not apply predicts what linear interpolation does, and its
    refusal is the `reason`.
    Raises TsgError for an unknown method.
    """
    for method in methods:
        if method not in METHODS:
            raise TsgError(f"method {method!r} is not known; choose of {', '.join(METHODS)}")
    work = {case.name(method): (case, method) for case in cases for method in methods}
    grow_table(folder, partial(_rows, n_slow=n_slow), work, keys=KEYS, label="predicting")


def forget(folder: Path, *, methods: Sequence[str], cases: Sequence[Case]) -> None:
    """Drop the rows of these cases and methods from the table, so that they are scored again."""
    drop_rows(folder, {case.name(method) for case in cases for method in methods}, keys=KEYS)


def read_frames(folder: Path) -> pd.DataFrame:
    """The table that `score_frames` wrote, with the element of each particle."""
    table = read_table(folder)
    return table.assign(element=table["particle"].str.split().str[1])


def mean_gains(table: pd.DataFrame, *, by: Sequence[str] = ("microscope", "method"), seed: int = 0) -> pd.DataFrame:
    """`NUMBERS` averaged over the spacings of each particle, then over particles, with 95 % bootstrap intervals.

    `spacings` and `targets` count the spacings and the predicted frames that are in the mean.
    """
    means = over_particles(table, by=by, columns=NUMBERS, seed=seed)
    counts = table.groupby(list(by), sort=False).agg(spacings=("spacing_deg", "nunique"), targets=("targets", "sum"))
    return means.join(counts, on=list(by))


def everywhere(table: pd.DataFrame) -> pd.DataFrame:
    """The rows of methods that are scored for every particle at every spacing, as linear interpolation is.

    Only their means over particles and spacings can be compared: a wide spacing leaves more to gain than a narrow one.
    """
    n_rows = table.groupby(["microscope", "method"])["psnr_dB"].transform("size")
    of_linear = table[table["method"] == BASELINE].groupby("microscope").size()
    return table[n_rows == table["microscope"].map(of_linear)]


def gains_table(table: pd.DataFrame, *, incoherent: pd.DataFrame, seed: int = 0) -> pd.DataFrame:
    """Texts for the book: a row for each microscope and method, best first, with gains over linear in dB.

    Columns for each spacing and, of methods scored `everywhere`, for the mean of the spacings, with PSNR and SSIM; then
    the gain at the same rates in the table `incoherent` of `frames_and_volumes.frame_metrics`, and the gain that the
    paper prints.
    """
    keys = ["microscope", "method"]
    means = mean_gains(table, seed=seed).sort_values("gain", ascending=False).set_index(keys)
    columns = {
        f"every {spacing_deg:g}°": _texts(mean_gains(rows, seed=seed).set_index(keys))
        for spacing_deg, rows in table.groupby("spacing_deg")
    }
    whole = mean_gains(everywhere(table), seed=seed).set_index(keys)
    same = incoherent[incoherent["rate"].isin([spacing_deg / 2 for spacing_deg in SPACINGS_deg])]
    same = gain_over(same, column="psnr_dB", of="method", baseline=BASELINE)
    paper = PAPER_TABLE_1.set_index(keys)["psnr_dB"].unstack()
    columns |= {
        "mean": _texts(whole),
        "PSNR": whole["psnr_dB"].map("{:.1f}".format),
        "SSIM": whole["ssim"].map("{:.3f}".format),
        "particles": means["particles"].astype(str),
        "frames": means["targets"].astype(str),
        "incoherent": _texts(over_particles(same, by=keys, columns=["gain"], seed=seed).set_index(keys)),
        "paper": paper.sub(paper[BASELINE], axis=0).stack().map("{:.1f}".format),
    }
    rows = pd.DataFrame(columns).reindex(means.index).drop(BASELINE, level="method").fillna("–").reset_index()
    return _spelt(rows)


def gains_by_element(table: pd.DataFrame) -> pd.DataFrame:
    """Texts for the book: gains over linear in dB of the methods scored `everywhere`, a column for each element."""
    means = mean_gains(everywhere(table), by=["microscope", "element", "method"])
    wide = means.pivot_table(index=["microscope", "method"], columns="element", values="gain", sort=False)
    wide = wide.drop(BASELINE, level="method")
    return _spelt(wide.map("{:+.1f}".format, na_action="ignore").fillna("–").reset_index())


def _texts(means: pd.DataFrame) -> pd.Series:
    columns = means[["gain", "gain_low", "gain_high"]].to_numpy()
    return pd.Series([with_interval(*values, digits=1) for values in columns], index=means.index)


def _spelt(rows: pd.DataFrame) -> pd.DataFrame:
    """Microscopes together, their names as in the text."""
    rows = rows.assign(microscope=rows["microscope"].str.replace("_", "-"))
    return rows.sort_values("microscope", kind="stable", ignore_index=True).rename_axis(columns=None)


def score_volumes(
    folder: Path, *, microscopes: Sequence[str], methods: Sequence[str], n_particles: int, n_points: int
) -> None:
    """Volumes of Sparse, Mix and Twice as dense at two gaps, by `frames_and_volumes.volume_metrics`.

    A gap counts frames, `STEP_deg` apart.
    """
    volume_metrics(
        folder,
        {microscope: _Particles(_test_set(microscope)) for microscope in microscopes},
        gaps=VOLUME_GAPS,
        n_offsets=1,
        mix_methods=methods,
        n_iterations=100,
        n_points=n_points,
        n_particles=n_particles,
    )


def read_volumes(folder: Path) -> pd.DataFrame:
    """The table that `score_volumes` wrote, with each gap in degrees."""
    table = read_table(folder)
    return table.assign(gap=STEP_deg * table["gap"])


@dataclass(frozen=True)
class _Particles:
    """The test set in one microscope, as the experiments of `frames_and_volumes` ask for a data set."""

    of: MultisliceSet

    @property
    def names(self) -> list[str]:
        return [self.of.atoms(i).info["name"] for i in range(len(self.of))]

    @property
    def microscope(self) -> Microscope:
        return MICROSCOPES[self.of.microscope]

    def __getitem__(self, i: int) -> TiltSeries:
        return self.of[i]

    def atoms(self, i: int) -> Atoms:
        return self.of.atoms(i)


def _rows(case: Case, method: str, *, n_slow: int) -> list[dict]:
    measured, targets, peak = _loaded(case)
    if method in SLOW:
        targets = targets.subset(spread(len(targets), n_wanted=n_slow))
    metrics = partial(image_metrics, truth=targets.frames, peak=peak)
    frames, reason = _frames(method, measured, targets.tilt_deg)
    found, linear = metrics(frames), metrics(predict(BASELINE, measured, targets.tilt_deg))
    gain = float((found.psnr_dB - linear.psnr_dB).mean())
    return [{"measured": len(measured), "targets": len(targets), **_means(found), "gain": gain, "reason": reason}]


@lru_cache(maxsize=1)  # what one method learns of a series serves the next
def _loaded(case: Case) -> tuple[FittedSeries, TiltSeries, float]:
    return case.load()


def spread(n: int, *, n_wanted: int) -> np.ndarray:
    """At most so many of the indices 0..n-1, each in the middle of an equal part of them."""
    n_wanted = min(n, n_wanted)
    return ((np.arange(n_wanted) + 0.5) * n / n_wanted).astype(int)


def _means(metrics: ImageMetrics) -> dict[str, float]:
    return {name: float(getattr(metrics, name).mean()) for name in ("mse", "psnr_dB", "ssim")}


def _frames(method: str, measured: FittedSeries, tilt_deg: np.ndarray) -> tuple[np.ndarray, str]:
    try:
        if method == "auto":
            return predict_automatically(measured, tilt_deg=tilt_deg).frames, ""
        name, _, network = method.partition(" ")
        return predict(name, measured, tilt_deg, checkpoint=network or None), ""
    except TsgError as refused:
        return predict(BASELINE, measured, tilt_deg), str(refused)


def _test_set(microscope: str) -> MultisliceSet:
    return multislice_set("test", microscope)
