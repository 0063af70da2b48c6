"""Other packages on the same frames: volumes against the truth, and frames between the measured ones.

    python benchmarks/rivals.py reconstruction
    python benchmarks/rivals.py prediction --recorded FOLDER    recorded films, too; see benchmarks/extended.py

Each rival runs with three stated settings, and the best by the truth is printed, which favours those that have three.
A rival that is not installed is left out with a line that says how to get it. Every run is timed alone, after a first
small one that imports and compiles; memory is what it adds to that of the process. What is finished is kept in a file,
so that the same command goes on after an interruption. Neural fields train for `--seconds` of the processor.
"""

import functools
import warnings
from pathlib import Path

import click
import numpy as np
import rivals_prediction
import rivals_reconstruction
import tables
from kept import Kept
from rival import OURS, Cost, Rival, measured
from rivals_cases import PREDICTION, RECONSTRUCTION, Case, Sparse
from scipy.stats import norm

from tsg_core.errors import TsgError
from tsg_core.evaluation import fourier_shell_correlation, image_metrics, otsu_threshold, psnr_dB
from tsg_core.evaluation.atom_peaks import find_atoms, match_atoms
from tsg_core.evaluation.true_density import true_density
from tsg_core.interpolation.uncertainty import coverage
from tsg_core.reconstruction import project
from tsg_core.tilt_series import TiltSeries

MATCH_A = 1.0
NEAR_A = 0.75  # true maxima count even this close to a brighter one
LEVEL = 0.9
TRUTH = ("tsg_core.simulation.series", "tsg_core.evaluation.atom_peaks", "tsg_core.evaluation.true_density")
OWN = ("tsg_core.interpolation.choice", "tsg_core.reconstruction", *TRUTH)


def volume_scores(made: rivals_reconstruction.Made, case: Sparse) -> dict[str, float]:
    """Against the true density, after one factor that fits best, since packages have units of their own.

    psnr_dB, resolution_A (Fourier shell correlation of 0.5), and atoms: `recall`, `invented`, `rmsd_pm`.
    """
    voxel_A, n_y, n_x = case.measured.pixel_size_A, *case.measured.frames.shape[1:]
    found = {}
    positions_A = made.positions_A
    if made.volume is not None:
        volume = np.asarray(made.volume, np.float32)
        truth = true_density(case.atoms, microscope=case.microscope, shape=(n_y, n_x, n_x), voxel_size_A=voxel_A)
        factor = float((volume * truth).sum() / (volume**2).sum())
        found["psnr_dB"] = float(psnr_dB(np.mean((factor * volume - truth) ** 2), truth.max()))
        curve = fourier_shell_correlation(volume, truth, voxel_size_A=voxel_A)
        found["resolution_A"] = curve.resolution_A(threshold=0.5)
        positions_A = find_atoms(volume, voxel_size_A=voxel_A).positions_A
    match = match_atoms(positions_A, case.atoms.positions, within_A=MATCH_A)
    return found | {"recall": match.recall, "invented": match.invented, "rmsd_pm": match.rmsd_pm}


def frame_scores(made: rivals_prediction.Predicted, case: Sparse) -> dict[str, float]:
    """Against the true frames: PSNR, invented maxima and, with standard deviations, how often 90 % intervals hold.

    invented   only where pixels are small enough to show atoms
    admitted   invented maxima at which the interval holds the true value
    covered    fraction of pixels whose interval does
    """
    frames, sigma = made
    truth, pixel_A = case.targets.frames, case.targets.pixel_size_A
    found = {"psnr_dB": float(image_metrics(frames, truth, peak=case.peak).psnr_dB.mean())}
    if sigma is not None:
        held = np.abs(frames - truth) <= norm.ppf((1 + LEVEL) / 2) * sigma
        found["covered"] = coverage(frames, sigma, truth, levels=(LEVEL,))[LEVEL]
    if pixel_A <= MATCH_A:
        places = [invented_maxima(f, t, pixel_size_A=pixel_A) for f, t in zip(frames, truth, strict=True)]
        found["invented"] = sum(map(len, places))
        if sigma is not None:
            found["admitted"] = sum(int(h[y, x]) for h, place in zip(held, places, strict=True) for y, x in place)
    return found


def invented_maxima(frame: np.ndarray, truth: np.ndarray, *, pixel_size_A: float) -> np.ndarray:
    """Pixels (n, 2) of maxima above Otsu's threshold of the true frame that have no true maximum within 1 A.

    True maxima count from half the threshold on, and close to brighter ones, so that only what is not there counts.
    """
    level = otsu_threshold(truth)
    found = find_atoms(frame[None], voxel_size_A=pixel_size_A, threshold=level).positions_A
    real = find_atoms(
        truth[None], voxel_size_A=pixel_size_A, threshold=level / 2, min_distance_A=max(NEAR_A, pixel_size_A)
    ).positions_A
    alone = np.setdiff1d(np.arange(len(found)), match_atoms(found, real, within_A=MATCH_A).pairs[:, 0])
    centre = (np.array(frame.shape) - 1) / 2
    return np.rint(found[alone][:, [2, 0]] / pixel_size_A + centre).astype(int).clip(0, np.array(frame.shape) - 1)


def run_reconstruction(rival: Rival, case: Sparse, setting: dict) -> tuple[dict[str, float], Cost]:
    made, cost = measured(lambda: rival.run(case.measured, **setting))
    return volume_scores(made, case), cost


def run_prediction(rival: Rival, case: Sparse, setting: dict) -> tuple[dict[str, float], Cost]:
    made, cost = measured(lambda: rival.run(case.measured, case.targets.tilt_deg, **setting))
    return frame_scores(made, case), cost


@functools.cache
def warmed(run, rival: Rival) -> None:
    """A first run on a small ball, whose result does not count."""
    tilt_deg = np.arange(-60.0, 61.0, 10.0)
    z, y, x = np.mgrid[:16, :16, :16] - 7.5
    frames = project(np.exp(-(x**2 + y**2 + (z - 2) ** 2) / 8).astype(np.float32), tilt_deg=tilt_deg)
    small = TiltSeries(frames, tilt_deg, 0.5)
    try:
        extra = () if run is run_reconstruction else (small.tilt_deg[:-1] + 5.0,)
        rival.run(small, *extra, **rival.told(seconds=0.0)[0])
    except TsgError:
        pass  # a ball is no atom


def scores(run, rival: Rival, load, setting: dict) -> dict:
    """The scores and the cost of one setting; or the `reason` why there are none."""
    warmed(run, rival)
    try:
        found, cost = run(rival, load(), setting)
    except Exception as error:  # whatever a package raises is a result of the comparison
        return {"reason": f"{type(error).__name__}: {' '.join(str(error).split())[:140]}"}
    return found | vars(cost)


def best(run, rival: Rival, case: Case, *, kept: Kept, folder: Path | None, seconds: float) -> tuple[dict, dict]:
    """The setting that is closest to the truth, and its scores."""
    load = functools.cache(lambda: case.load(folder))
    made = []
    for setting in rival.told(seconds=seconds):
        key = f"{run.__name__}, {case.name}, {rival.name}, {rival.label}, {said(setting)}"
        modules = OWN if rival.package == OURS else TRUTH
        made.append((setting, kept.of(key, lambda s=setting: scores(run, rival, load, s), modules=modules)))
    return max(made, key=lambda one: (one[1].get("psnr_dB", -np.inf), one[1].get("recall", -np.inf)))


def said(setting: dict) -> str:
    return " ".join(
        f"{name}={value:g}" if isinstance(value, float) else f"{name}={value}" for name, value in setting.items()
    )


def present(rivals: tuple[Rival, ...], names: tuple[str, ...], *, seconds: float) -> list[Rival]:
    """The rivals that can run, after a line for each: its version and settings, or why it is left out."""
    chosen = named(rivals, names)
    for rival in chosen:
        settings = "; ".join(said(setting) or "as it comes" for setting in rival.told(seconds=seconds))
        click.echo(rival.missing() or f"{rival.name} ({rival.label}): {settings}")
    return [rival for rival in chosen if not rival.missing()]


def named(things, parts: tuple[str, ...]) -> list:
    """Those whose name holds one of the parts; all of them if there are no parts."""
    return [thing for thing in things if not parts or any(part in thing.name for part in parts)]


def cell(found: dict, name: str, form: str) -> str:
    """A number in its column, or a dash."""
    value = found.get(name, np.nan)
    width = form.split(".")[0].lstrip("+")
    return f"{'-':>{width}}" if np.isnan(value) else f"{value:{form}}"


def table(run, cases, rivals, columns: dict[str, tuple[str, str]], *, options) -> list[tuple[str, dict]]:
    """A block for each case: a row for each rival at its best setting, or why it has none; returns names and scores."""
    rows = []
    for case in cases:
        heads = " ".join(f"{title:>{form.split('.')[0].lstrip('+')}}" for title, form in columns.values())
        click.echo(f"\n{case.name}\n{'':20} {heads}  setting")
        linear_dB, of_case = None, {}
        for rival in rivals:
            setting, found = best(run, rival, case, **options)
            if "reason" in found:
                click.echo(f"{rival.name:20} {found['reason']}")
                continue
            linear_dB = found["psnr_dB"] if rival is rivals_prediction.LINEAR else linear_dB
            found = found | ({"gain_dB": found["psnr_dB"] - linear_dB} if linear_dB is not None else {})
            cells = " ".join(cell(found, name, form) for name, (_, form) in columns.items())
            click.echo(f"{rival.name:20} {cells}  {said(setting)}")
            rows.append((rival.name, found))
            of_case[rival.name] = found | {"setting": said(setting)}
        tables.keep(f"rivals_{run.__name__.removeprefix('run_')}", case.name, of_case)
    return rows


def who_invents(rows: list[tuple[str, dict]]) -> None:
    """Over all cases in which a rival had frames: its mean gain, what it invented, and how much of that it admits."""
    click.echo(f"\n{'who invents':20} {'cases':>6} {'gain':>7} {'invented':>8}  admitted")
    for name in dict(rows):
        own = [found for other, found in rows if other == name]
        gain = cell({"gain": np.mean([found.get("gain_dB", np.nan) for found in own])}, "gain", "+7.2f")
        invented = sum(found.get("invented", 0) for found in own)
        stated = [found["admitted"] for found in own if "admitted" in found]
        knows = f"{sum(stated)} of {invented}" if stated else "states no errors"
        click.echo(f"{name:20} {len(own):6} {gain} {invented:8}  {knows}")


COST = {"processor_s": ("cpu s", "7.1f"), "memory_MB": ("MB", "6.0f")}
VOLUMES = {
    "psnr_dB": ("dB", "6.2f"),
    "resolution_A": ("FSC A", "6.2f"),
    "recall": ("recall", "6.2f"),
    "invented": ("false", "6.0f"),
    "rmsd_pm": ("pm", "6.1f"),
    **COST,
}
FRAMES = {
    "psnr_dB": ("dB", "6.2f"),
    "gain_dB": ("gain", "+7.2f"),
    "invented": ("invented", "8.0f"),
    "admitted": ("admitted", "8.0f"),
    "covered": ("in 90 %", "7.3f"),
    **COST,
}


@click.group()
@click.option("--kept", default="artifacts/rivals.jsonl", show_default=True, type=Path, help="File of finished runs.")
@click.option("--case", "cases", multiple=True, help="Part of the names of the cases; can be repeated.")
@click.option("--rival", "names", multiple=True, help="Part of the names of the rivals; can be repeated.")
@click.option("--seconds", default=60.0, show_default=True, help="Processor time for each training of a neural field.")
@click.pass_context
def main(context, kept, cases, names, seconds):
    """Other packages on the same frames."""
    warnings.simplefilter("ignore")
    context.obj = {"kept": kept, "cases": cases, "names": names, "seconds": seconds}


@main.command()
@click.pass_obj
def reconstruction(chosen):
    """Volumes against the true density."""
    rivals = present(rivals_reconstruction.RIVALS, chosen["names"], seconds=chosen["seconds"])
    cases = named(RECONSTRUCTION, chosen["cases"])
    options = {"kept": Kept(chosen["kept"]), "folder": None, "seconds": chosen["seconds"]}
    table(run_reconstruction, cases, rivals, VOLUMES, options=options)


@main.command()
@click.option("--recorded", "folder", type=Path, help="Folder of recorded series; none are shipped.")
@click.pass_obj
def prediction(chosen, folder):
    """Frames half-way between measured ones against the true frames."""
    rivals = present(rivals_prediction.RIVALS, chosen["names"], seconds=chosen["seconds"])
    cases = [case for case in named(PREDICTION, chosen["cases"]) if folder or not case.recorded]
    options = {"kept": Kept(chosen["kept"]), "folder": folder, "seconds": chosen["seconds"]}
    who_invents(table(run_prediction, cases, rivals, FRAMES, options=options))


if __name__ == "__main__":
    main()
