"""Objects that go on outside the frames: the gain of predicted frames from a box that holds the object.

    python benchmarks/extended.py                          simulated films, a minute or two
    python benchmarks/extended.py --recorded FOLDER        recorded films, too; a few minutes
    python benchmarks/extended.py --recorded FOLDER --all  `auto` also tries networks and atoms

Every second, third or fourth frame counts as measured, and the others are predicted. PSNR is the mean in dB; its peak
is the 99.99th percentile of the frames. `inside` is the reprojection of an object as wide as the frames, `extended`
that of an object in the box that is found, and `auto` the blend of the methods in the table. `thick` is the thickness
found, in widths of the frame. Simulated films consist of random Gaussian spots and are up to six frames wide. Noise is
in standard deviations of the frames; predictions are compared with noise-free frames. `promised` is the gain of `auto`
over linear that its left-out frames, noise and all, let us expect.

FOLDER holds series of Y. Yuan et al., Nature Materials 21, 95 (2022), from the supplementary data of that paper:
film_example_projections.mat with film_example_angles.mat, and ta_film_area1.mat with ta_film_angles.mat. No licence
allows passing them on. The needle in the package etspy is used if that is installed.
"""

import argparse
import importlib.util
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from scipy.io import loadmat

from tsg_core.geometry import pixel_centres_A, rotate_about_y
from tsg_core.interpolation.choice import Choice, predict_automatically
from tsg_core.interpolation.methods import predict
from tsg_core.reconstruction.extent import with_extent
from tsg_core.tilt_series import TiltSeries

METHODS = ("linear", "cubic", "smooth", "reprojection", "kriging")
RECORDED = {
    "film example": ("film_example_projections.mat", "film_example_angles.mat"),
    "Ta film, area 1": ("ta_film_area1.mat", "ta_film_angles.mat"),
}
PIXEL_A = 0.322  # of the recorded films, about
NEEDLE = "tests/test_data/HAADF_Aligned.hspy"


def made_film(*, step_deg: float, to_deg: float, n_x: int, thick: float, noise: float) -> tuple[TiltSeries, TiltSeries]:
    """A film, `thick` frames thick, as it is recorded, and without noise."""
    rng = np.random.default_rng(1)
    n_y, sigma_px = 24, 1.6
    tilt_deg = np.arange(-to_deg, to_deg + 1e-6, step_deg)
    reach = np.array([6 * n_x, n_y + 8 * sigma_px, thick * n_x])
    x, y, z = rng.uniform(-reach / 2, reach / 2, (int(0.004 * reach.prod()), 3)).T
    tilt = np.deg2rad(tilt_deg)[:, None]
    column, _ = rotate_about_y(x, z, np.cos(tilt), np.sin(tilt))
    along_x = np.exp(-((pixel_centres_A(n_x, pixel_size_A=1.0) - column[..., None]) ** 2) / (2 * sigma_px**2))
    along_y = np.exp(-((pixel_centres_A(n_y, pixel_size_A=1.0) - y[:, None]) ** 2) / (2 * sigma_px**2))
    frames = np.einsum("tax,ay,a->tyx", along_x, along_y, rng.uniform(0.5, 1.5, len(x)), optimize=True)
    clean = TiltSeries(frames, tilt_deg, PIXEL_A)
    noisy = frames + noise * frames.std() * rng.standard_normal(frames.shape)
    return replace(clean, frames=noisy), clean


def recorded(folder: Path) -> Iterator[tuple[str, TiltSeries]]:
    """The films in the folder; their tilt axis lies along the second axis of the arrays, their angles are unsorted."""
    for name, (frames_file, angles_file) in RECORDED.items():
        if not (folder / frames_file).is_file():
            print(f"{name}: {folder / frames_file} is not there")
            continue
        frames, angles = (
            next(v for k, v in loadmat(folder / file).items() if not k.startswith("_"))
            for file in (frames_file, angles_file)
        )
        order = np.argsort(angles[:, 1])
        yield name, TiltSeries(frames.transpose(2, 1, 0)[order], angles[order, 1], PIXEL_A)
    if importlib.util.find_spec("etspy"):
        needle = TiltSeries.read(Path(importlib.util.find_spec("etspy").origin).parent / NEEDLE)
        yield "needle of etspy", replace(needle, frames=np.ascontiguousarray(needle.frames.transpose(0, 2, 1)))


def cases(folder: Path | None) -> Iterator[tuple[str, TiltSeries, TiltSeries, int]]:
    """Name, the series as recorded, what to compare with, and which frames count as measured: every so many."""
    for thick, noise in ((0.5, 0.0), (0.5, 0.1), (0.5, 0.3), (1.0, 0.1)):
        noisy, clean = made_film(step_deg=1.5, to_deg=66, n_x=48, thick=thick, noise=noise)
        for every in (2, 4):
            yield f"made, {thick:g} thick, noise {noise:g}", noisy, clean, every
    for name, series in recorded(folder) if folder else ():
        for every in (2, 3, 4):
            yield name, series, series, every


def scores(series: TiltSeries, truth: TiltSeries, every: int, *, methods) -> dict[str, float]:
    """PSNR in dB of every method, and of `auto`; how many frames were measured, and how thick the object was found."""
    measured = np.arange(0, len(series), every)
    between = np.setdiff1d(np.arange(measured[-1]), measured)
    known, tilt_deg, wanted = series.subset(measured), series.tilt_deg[between], truth.frames[between]
    peak = float(np.percentile(truth.frames, 99.99))

    def psnr_dB(frames: np.ndarray) -> float:
        return float(np.mean(-10 * np.log10(((frames - wanted) ** 2).mean(axis=(1, 2)) / peak**2)))

    told = with_extent(known)
    extent = told.metadata.get("extent")
    found = {method: psnr_dB(predict(method, told, tilt_deg)) for method in METHODS}
    alone = replace(known, metadata={"extent": None})
    found["inside"] = psnr_dB(predict("reprojection", alone, tilt_deg)) if extent else found["reprojection"]
    automatic = predict_automatically(told, tilt_deg=tilt_deg, methods=methods)
    spacing_deg = float(np.median(np.diff(known.tilt_deg)))
    found["auto"], found["promised"] = psnr_dB(automatic.frames), promised_gain_dB(automatic.choice, spacing_deg)
    width_A = series.frames.shape[2] * series.pixel_size_A
    return found | {"frames": len(known), "thick": extent.thickness_A / width_A if extent else np.nan}


def promised_gain_dB(choice: Choice, spacing_deg: float) -> float:
    """What left-out frames let the blend be expected to gain over linear interpolation, against frames with noise."""
    weights = np.array(list(choice.weights.values()))
    linear = choice.trend.at(spacing_deg)[list(choice.weights).index("linear")]
    return float(10 * np.log10(linear / choice.trend.blended(weights, spacing_deg)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--recorded", type=Path, metavar="FOLDER", help="folder of recorded series")
    parser.add_argument("--all", action="store_true", help="auto tries networks and atoms as well")
    parser.add_argument("--only", default="", help="series whose name holds this")
    options = parser.parse_args()
    columns = ("linear", "cubic", "smooth", "inside", "reprojection", "kriging", "auto")
    titles = ("linear", "cubic", "smooth", "inside", "extended", "kriging", "auto")
    heads = " ".join(f"{title:>8}" for title in titles)
    print(f"{'series':28} every frames thick {heads}  auto over linear, promised, best")
    for name, series, truth, every in cases(options.recorded):
        if options.only not in name:
            continue
        found = scores(series, truth, every, methods=None if options.all else METHODS)
        thick = "    -" if np.isnan(found["thick"]) else f"{found['thick']:5.2f}"
        best = max(found[method] for method in METHODS)
        numbers = " ".join(f"{found[column]:8.2f}" for column in columns)
        gains = f"{found['auto'] - found['linear']:+17.2f} {found['promised']:+9.2f} {found['auto'] - best:+5.2f}"
        print(f"{name:28} {every:5d} {found['frames']:6d} {thick} {numbers} {gains}", flush=True)


if __name__ == "__main__":
    main()
