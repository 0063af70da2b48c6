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

Parameters = Mapping[str, Mapping[str, Any]]
NO_RUN = "Times become known when the chapters have run once: tsg run --profile smoke"
MULTISLICE = (
    "Frames by multislice: the shipped frames' times on two cores scaled by the field's area, a lower bound. "
    "The fast engine's time: --set engine=incoherent"
)


def estimate(profile: Profile, *, root: Path) -> str:
    """A table with the work and time of each chapter, and the run from which times are scaled."""
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
    return "\n".join(lines)


def work_of(parameters: Parameters) -> dict[str, tuple[str, float]]:
    """The work of chapters that the parameters change: in words, and an amount to which their time is proportional."""
    structures, frames, training = (parameters[name] for name in ("01_structures", "02_simulation", "05_training"))
    prediction, volumes = parameters["06_prediction"], parameters["07_reconstruction"]
    one_object = parameters["08_one_object"]
    n_px, n_tilt = frames["n_pixels"], round(180 / frames["tilt_step_deg"]) + 1
    n_particles = sum(structures[f"n_{split}"] for split in ("training", "validation", "test"))
    n_microscopes = len(frames["microscopes"])
    n_frames, n_test_series = n_particles * n_microscopes * n_tilt, structures["n_test"] * n_microscopes

    n_steps, batch, crop_px = training["n_steps"], training["batch_size"], training["crop_px"]
    per_px = sum(channels**2 / 4**level for level, channels in enumerate(training["channels"]))
    n_px_trained = n_steps * batch * crop_px**2

    offsets = {rate: min(prediction["n_offsets"], 2 * rate) for rate in prediction["rates"]}
    n_predicted = n_test_series * sum(n * max(n_tilt // (2 * rate), 1) for rate, n in offsets.items())
    n_methods = len(prediction["methods"]) + len(prediction["networks"])

    gaps = [gap for gap in volumes["gaps"] if gap > 1]
    fills = {gap: (1 if gap == 2 else 2) * len(volumes["mix_methods"]) for gap in gaps}  # gap 2 lacks midpoints alone
    n_volumes = n_test_series * (1 + sum(min(volumes["n_offsets"], gap) * (1 + fills[gap]) for gap in gaps))
    of_doses = sum(1 + (len(volumes["dose_methods"]) if gap > 1 else 0) for gap in volumes["dose_gaps"])
    n_volumes += len(volumes["total_doses_per_A2"]) * n_microscopes * volumes["dose_particles"] * of_doses
    n_updates = n_volumes * n_tilt * volumes["n_iterations"]

    n_test = min(one_object["n_test_particles"], structures["n_test"])
    n_sparse = len(one_object["particles"]) * len(one_object["spacings_deg"]) + n_test * one_object["test_rates_each"]
    n_sparse, n_object_methods = n_sparse * len(one_object["microscopes"]), len(one_object["methods"])
    return {
        "02_simulation": (f"{n_frames:,} frames of {n_px} x {n_px} px ({frames['engine']})", n_frames * n_px**2),
        "05_training": (f"{n_steps:,} steps of {batch} x {crop_px} x {crop_px} px", n_px_trained * per_px),
        "06_prediction": (f"{n_predicted:,} frames by each of {n_methods} methods", n_predicted * n_methods * n_px**3),
        "07_reconstruction": (f"{n_volumes:,} SIRT volumes of {n_px} x {n_px} x {n_px} voxels", n_updates * n_px**3),
        "08_one_object": (f"{n_object_methods} methods on {n_sparse:,} sparse series", n_sparse * n_object_methods),
    }


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
