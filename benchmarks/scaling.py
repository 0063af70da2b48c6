"""Scaling laws: how the processor time of each kind of work grows with its sizes, and what a unit of it costs.

    python benchmarks/scaling.py                       all laws, minutes
    python benchmarks/scaling.py --only sirt training
    python benchmarks/scaling.py --recorded            the table of earlier measurements

One size of a law varies at a time. The exponent of a size is that of a power law through these measurements. The unit
cost is that of the measurement with the most work; the table tells the amount of work in words. `tsg run --dry-run`
estimates profiles from `benchmarks/results/scaling.json`, which this command writes together with the figure
`book/_static/scaling.svg`. Processor times are those of all threads; they hardly depend on other load on the machine.
"""

import argparse
import platform
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from atoms import FIT_ITERATIONS, particle, prepared_fit
from matplotlib.ticker import NullFormatter
from scipy.ndimage import gaussian_filter

from tsg_core.interpolation.fitted_series import FittedSeries
from tsg_core.interpolation.methods import predict
from tsg_core.losses import tsgnet_loss
from tsg_core.microscope import ABERRATED, NON_ABERRATED
from tsg_core.model import SMALL_CHANNELS, TSGNet
from tsg_core.reconstruction import sirt
from tsg_core.reconstruction.projection import project
from tsg_core.simulation import simulate_tilt_series
from tsg_core.tilt_series import TiltSeries
from tsg_core.tools.digests import read_json, write_json
from tsgbook.unit_costs import SCALING
from tsgbook.workload import per_pixel

ROOT = Path(__file__).parents[1]
FIGURE = ROOT / "book" / "_static" / "scaling.svg"
PIXEL_A = 0.15
SIRT_ITERATIONS = 4
SHORT_s = 8.0  # shorter work runs twice, since the first run fills caches


@dataclass(frozen=True, kw_only=True)
class Law:
    """A kind of work.

    sizes   each with the values that it takes; the first is taken while another size varies
    unit    what the amount of work counts
    amount  of work for sizes
    work    makes, for sizes, the function that is timed
    """

    sizes: dict[str, tuple[float, ...]]
    unit: str
    amount: Callable[..., float]
    work: Callable[..., Callable[[], object]]

    def cases(self) -> list[dict[str, float]]:
        base = {name: values[0] for name, values in self.sizes.items()}
        return [base] + [base | {name: value} for name, values in self.sizes.items() for value in values[1:]]


def incoherent(*, frames: int, atoms: int, box_A: float, pixels: int) -> Callable[[], object]:
    crystal = particle(atoms, element="Au")
    return lambda: simulate_tilt_series(
        crystal,
        microscope=NON_ABERRATED,
        tilt_deg=np.linspace(-80, 80, frames),
        shape=pixels,
        field_of_view_A=box_A,
        channelling=True,
    )


def training(*, batch: int, crop_px: int) -> Callable[[], object]:
    model = TSGNet(channels=SMALL_CHANNELS)
    a, target, b = torch.rand(3, batch, 1, crop_px, crop_px)
    return lambda: sum(tsgnet_loss(model, a, b, target, torch.full((batch,), 0.5))).backward()


def blobs(n_tilt: int, *, n_y: int, n_x: int, microscope=None) -> FittedSeries:
    volume = np.zeros((n_y, n_x, n_x), np.float32)
    rng = np.random.default_rng(0)
    volume[rng.integers(n_y // 4, 3 * n_y // 4, 60), *rng.integers(3 * n_x // 8, 5 * n_x // 8, (2, 60))] = 1
    volume = gaussian_filter(volume, 1.5)
    tilt_deg = np.linspace(-70, 70, n_tilt)
    metadata = {} if microscope is None else {"microscope": microscope}
    return FittedSeries.of(TiltSeries(project(volume, tilt_deg=tilt_deg), tilt_deg, PIXEL_A, metadata=metadata))


def sirt_iterations(*, tilts: int, rows: int, pixels: int) -> Callable[[], object]:
    series = blobs(tilts, n_y=rows, n_x=pixels)
    return lambda: sirt(series, n_iterations=SIRT_ITERATIONS, engine="sparse")


def atom_iterations(*, atoms: int, frames: int) -> Callable[[], object]:
    _, fit = prepared_fit(atoms, n_frames=frames)
    return lambda: fit(channelling=False)


def densify(method: str) -> Callable[..., Callable[[], object]]:
    """The prediction of a frame between each pair, including the fit of the object if there is one."""

    def work(*, frames: int, pixels: int) -> Callable[[], object]:
        if method == "reprojection":
            series = blobs(frames, n_y=pixels, n_x=pixels, microscope=ABERRATED)
        else:  # which the content does not matter to
            noise = np.random.default_rng(0).random((frames, pixels, pixels), np.float32)
            series = TiltSeries(noise, np.linspace(-70, 70, frames), PIXEL_A)
        between_deg = (series.tilt_deg[1:] + series.tilt_deg[:-1]) / 2
        return lambda: predict(method, series.subset(np.arange(frames)), between_deg)

    return work


def frame_pixels(*, frames: int, pixels: int) -> float:
    return frames * pixels**2


def frame_voxels(*, frames: int, pixels: int) -> float:
    return frames * pixels**3


WIDE = {"frames": (6, 12), "pixels": (192, 160, 256)}
LAWS: dict[str, Law] = {
    "incoherent": Law(
        sizes={"frames": (6, 12), "atoms": (500, 1000, 2000), "box_A": (45, 60, 75), "pixels": (128, 256, 512)},
        unit="frame x atom x A2 of its field",
        amount=lambda frames, atoms, box_A, pixels: frames * atoms * box_A**2,
        work=incoherent,
    ),
    "training": Law(
        sizes={"batch": (8, 4), "crop_px": (64, 48, 96)},
        unit="pixel x weight of the channels",
        amount=lambda batch, crop_px: batch * crop_px**2 * per_pixel(SMALL_CHANNELS),
        work=training,
    ),
    "sirt": Law(
        sizes={"tilts": (45, 90), "rows": (32, 64), "pixels": (128, 64, 96)},
        unit="iteration x tilt x voxel",
        amount=lambda tilts, rows, pixels: SIRT_ITERATIONS * tilts * rows * pixels**2,
        work=sirt_iterations,
    ),
    "atoms": Law(
        sizes={"atoms": (500, 250, 1000), "frames": (15, 31)},
        unit="iteration x atom x frame",
        amount=lambda atoms, frames: FIT_ITERATIONS * atoms * frames,
        work=atom_iterations,
    ),
    "linear": Law(
        sizes={"frames": (24, 48), "pixels": (256, 384, 512)},
        unit="frame x pixel",
        amount=frame_pixels,
        work=densify("linear"),
    ),
    "reprojection": Law(sizes=WIDE, unit="frame x voxel", amount=frame_voxels, work=densify("reprojection")),
    "tsgnet": Law(
        sizes=WIDE,
        unit="pixel x weight of the channels",
        amount=lambda frames, pixels: frames * pixels**2 * per_pixel(SMALL_CHANNELS),
        work=densify("tsgnet"),
    ),
}


def measured(law: Law) -> list[dict[str, float]]:
    """The cases with their amounts of work and processor seconds."""
    found = []
    for case in law.cases():
        run = law.work(**case)
        spent_s = processor_s(run)
        if spent_s < SHORT_s:
            spent_s = min(spent_s, processor_s(run))
        found.append(case | {"amount": law.amount(**case), "seconds": spent_s})
    return found


def processor_s(run: Callable[[], object]) -> float:
    begun_s = time.process_time()
    run()
    return time.process_time() - begun_s


def exponents(law: Law, found: list[dict[str, float]]) -> dict[str, float]:
    """Of a power law in each size, by least squares in logarithms."""
    base = law.cases()[0]
    told = {}
    for name in law.sizes:
        points = [p for p in found if all(p[other] == base[other] for other in base if other != name)]
        told[name] = float(np.polyfit(np.log([p[name] for p in points]), np.log([p["seconds"] for p in points]), 1)[0])
    return told


def draw(laws: dict[str, dict], path: Path) -> None:
    """Processor seconds over the amount of work, with the line that `tsg run --dry-run` extrapolates."""
    n_rows = -(-len(laws) // 3)
    figure, axes = plt.subplots(n_rows, 3, figsize=(9, 2.6 * n_rows), squeeze=False, layout="constrained")
    for ax in axes.ravel()[len(laws) :]:
        ax.remove()
    for ax, (name, law) in zip(axes.ravel(), laws.items(), strict=False):
        amounts, seconds = (np.array([p[key] for p in law["points"]]) for key in ("amount", "seconds"))
        ax.loglog(amounts, seconds, "o", ms=4)
        ends = np.array([amounts.min(), amounts.max()])
        ax.loglog(ends, law["seconds"] * ends, lw=1)
        ax.set(title=name, xlabel=law["unit"], ylabel="processor s")
        for axis, values in ((ax.xaxis, amounts), (ax.yaxis, seconds)):
            low, high = np.log10([values.min() / 1.2, values.max() * 1.2])
            axis.set_view_interval(10 ** np.floor(low), 10 ** np.ceil(high), ignore=True)  # labels at whole decades
            axis.set_minor_formatter(NullFormatter())
        ax.title.set_size(9), ax.xaxis.label.set_size(7), ax.yaxis.label.set_size(7)
    with plt.rc_context({"svg.fonttype": "none"}):  # letters as text: a sixth of the size
        figure.savefig(path, metadata={"Date": None})


def recorded(law: Law) -> dict:
    """What the file holds of a law: its unit, the seconds of one, the exponents of its sizes, all measurements."""
    found = measured(law)
    most = max(found, key=lambda point: point["amount"])
    seconds = most["seconds"] / most["amount"]
    return {"unit": law.unit, "seconds": seconds, "exponents": exponents(law, found), "points": found}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=LAWS, default=list(LAWS))
    parser.add_argument("--recorded", action="store_true", help="print what the file holds, without measuring")
    options = parser.parse_args()
    path = ROOT / SCALING
    laws = (read_json(path) or {}).get("laws", {})
    print(f"{'law':13} {'ns a unit':>10}  {'unit':31} exponents of the sizes")
    for name in options.only:
        if not options.recorded:
            laws[name] = recorded(LAWS[name])
            path.parent.mkdir(exist_ok=True)
            write_json(path, {"machine": platform.machine(), "laws": laws})
        law = laws[name]
        said = ", ".join(f"{size} {exponent:.2f}" for size, exponent in law["exponents"].items())
        print(f"{name:13} {1e9 * law['seconds']:10.3g}  {law['unit']:31} {said}", flush=True)
    draw({name: laws[name] for name in LAWS if name in laws}, FIGURE)


if __name__ == "__main__":
    main()
