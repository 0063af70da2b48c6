"""How much work, disk space and time a profile would take, scaled from the last runs on this machine."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.filesize import decimal

from tsg_core.samples.multislice_frames import multislice_s_per_A2
from tsg_core.tools.digests import read_json

from .artifacts import Artifacts
from .chapters import CHAPTERS, maker_of
from .display import time_in_words
from .profiles import Profile
from .unit_costs import by_unit_costs
from .workload import Parameters, per_pixel, workload

NO_RUN = "Times become known when the chapters have run once: tsg run --profile smoke"
MULTISLICE = (
    "Frames by multislice: the shipped frames' times on two cores scaled by the field's area, a lower bound. "
    "The fast engine's time: --set engine=incoherent"
)


def estimate(profile: Profile, *, root: Path, n_nodes: int = 1) -> str:
    """Tables with the work and time of each chapter: scaled from the last run, and from measured unit costs.

    `n_nodes` machines like this one share what can be shared; see `unit_costs.by_unit_costs`.
    """
    source, stamps = _last_run(root, first=profile.name)
    work = work_of(profile.parameters)
    times = _times(profile.parameters, stamps, Artifacts(root / "artifacts" / source)) if stamps else {}
    rows = [(c.name, work[c.name][0] if c.name in work else "", time_in_words(times.get(c.name))) for c in CHAPTERS]
    all_s = sum(seconds or 0 for seconds in times.values()) if times else None
    rows = [("chapter", "work", "time"), *rows, ("all", "", time_in_words(all_s))]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [f"{name:{widths[0]}}  {text:{widths[1]}}  {time}" for name, text, time in rows]
    scaled = f"Times are scaled from the last run of {source} on this machine: as if on its processors alone."
    lines.append(scaled if stamps else NO_RUN)
    lines.append(f"Frames take at most {decimal(round(4 * work['02_simulation'][1]))} of disk space.")
    if profile.parameters["02_simulation"]["engine"] != "incoherent":
        lines.append(MULTISLICE)
    lines += ["", by_unit_costs(profile.parameters, root=root, n_nodes=n_nodes)]
    return "\n".join(lines)


def work_of(parameters: Parameters) -> dict[str, tuple[str, float]]:
    """The work of chapters that the parameters change: in words, and an amount to which their time is proportional."""
    load, training = workload(parameters), parameters["05_training"]
    n_px, n_iterations = load.n_px, parameters["07_reconstruction"]["n_iterations"]
    n_methods = sum(len(parameters["06_prediction"][name]) for name in ("methods", "networks"))
    n_object_methods, n_sparse = len(parameters["08_one_object"]["methods"]), load.n_one_object
    n_steps, batch, crop_px = (training[name] for name in ("n_steps", "batch_size", "crop_px"))
    words = {
        "02_simulation": f"{load.n_frames:,} frames of {n_px} x {n_px} px ({parameters['02_simulation']['engine']})",
        "05_training": f"{n_steps:,} steps of {batch} x {crop_px} x {crop_px} px",
        "06_prediction": f"{load.n_predicted:,} frames by each of {n_methods} methods",
        "07_reconstruction": f"{load.n_volumes:,} SIRT volumes of {n_px} x {n_px} x {n_px} voxels",
        "08_one_object": f"{n_object_methods} methods on {n_sparse:,} sparse series",
    }
    amounts = {
        "02_simulation": load.n_frames * n_px**2,
        "05_training": load.n_trained * per_pixel(training["channels"]),
        "06_prediction": load.n_predicted * n_methods * n_px**3,
        "07_reconstruction": load.n_volumes * load.n_tilt * n_iterations * n_px**3,
        "08_one_object": n_sparse * n_object_methods,
    }
    return {chapter: (words[chapter], amounts[chapter]) for chapter in words}


def _last_run(root: Path, *, first: str) -> tuple[str, dict[str, dict[str, Any]]]:
    """Name and stamps of the most relevant complete run: this profile, else book, else smoke."""
    for name in (first, "book", "smoke"):
        folder = root / "artifacts" / name / "executed"
        stamps = {chapter.name: read_json(folder / f"{chapter.name}.json") for chapter in CHAPTERS}
        if all(stamps.values()):
            return name, stamps
    return "", {}


def _times(
    parameters: Parameters, stamps: Mapping[str, Mapping[str, Any]], store: Artifacts
) -> dict[str, float | None]:
    """Seconds of each chapter: those of its artifacts, scaled by the work, plus the rest (figures), unscaled."""
    before = {name: {**parameters[name], **stamp["parameters"]} for name, stamp in stamps.items()}
    work, work_before = work_of(parameters), work_of(before)
    times: dict[str, float | None] = {}
    for name, stamp in stamps.items():
        artifacts_s = sum(store.provenance(n)["duration_s"] for n in store.names() if maker_of(n) == name)
        scale = work[name][1] / work_before[name][1] if name in work else 1
        times[name] = max(stamp["duration_s"] - artifacts_s, 0.0) + artifacts_s * scale
    frames = parameters["02_simulation"]
    if frames["engine"] != before["02_simulation"]["engine"]:
        n_frames = work["02_simulation"][1] / frames["n_pixels"] ** 2
        by_multislice_s = n_frames * multislice_s_per_A2() * frames["field_of_view_A"] ** 2
        times["02_simulation"] = None if frames["engine"] == "incoherent" else by_multislice_s
    return times
