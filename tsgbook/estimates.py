"""How much work, disk space and time a profile would take, scaled from the last runs on this machine."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tsg_core.microscope import MICROSCOPES
from tsg_core.samples.multislice_frames import multislice_s_per_A2

from .artifacts import Artifacts
from .chapters import CHAPTERS, maker_of
from .profiles import Profile

Parameters = Mapping[str, Mapping[str, Any]]
SIZES = ((1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB"), (1, "B"))
TIMES = ((365 * 86400, "years"), (86400, "days"), (3600, "h"), (60, "min"))


@dataclass(frozen=True, kw_only=True)
class Work:
    """The work of a chapter: in words, as an amount to which its time is proportional, and the pixels it stores."""

    text: str = ""
    amount: float = 1.0
    pixels: float = 0.0


def estimate(profile: Profile, *, root: Path) -> str:
    """A table with the work, disk space and time of each chapter, and the run from which times are scaled."""
    source, stamps = _last_run(root, first=profile.name)
    rows, total_s, total_bytes = [("chapter", "work", "disk", "time")], 0.0, 0.0
    for chapter in CHAPTERS:
        work = work_of(chapter.name, profile.parameters)
        seconds = _seconds(chapter.name, work, profile.parameters, stamps, root / "artifacts" / source)
        total_bytes += 4.0 * work.pixels
        total_s += seconds or 0
        rows.append((chapter.name, work.text, _size(4.0 * work.pixels), "?" if seconds is None else _time(seconds)))
    rows.append(("all", "", _size(total_bytes), _time(total_s) if stamps else "?"))
    widths = [max(len(row[k]) for row in rows) for k in range(4)]
    lines = ["  ".join(text.ljust(w) for text, w in zip(row, widths, strict=True)).rstrip() for row in rows]
    if stamps:
        lines.append(f"Times are scaled from the last run of {source} on this machine: as if on its processors alone.")
        lines.append("Disk is that of the frames before compression: an upper bound.")
    else:
        lines.append("Times become known when the chapters have run once: tsg run --profile smoke")
    if profile.parameters["02_simulation"].get("engine", "incoherent") != "incoherent":
        lines.append(
            "Frames by multislice: the shipped frames' times on two cores scaled by the field's area, a lower bound. "
            "The fast engine's time: --set engine=incoherent"
        )
    return "\n".join(lines)


def work_of(chapter: str, parameters: Parameters) -> Work:
    """The work of a chapter, given the parameters of all chapters."""
    formula = {
        "02_simulation": _simulation,
        "05_training": _training,
        "06_prediction": _prediction,
        "07_reconstruction": _reconstruction,
        "08_one_object": _off_model,
    }.get(chapter)
    return formula(parameters, parameters[chapter]) if formula else Work()


def _simulation(parameters: Parameters, own: Mapping[str, Any]) -> Work:
    n_particles = sum(parameters["01_structures"][f"n_{split}"] for split in ("training", "validation", "test"))
    frames = n_particles * len(MICROSCOPES) * _n_tilt(parameters)
    n_pixels = own["n_pixels"]
    text = f"{frames:,} frames of {n_pixels} x {n_pixels} px ({own['engine']})"
    return Work(text=text, amount=frames * n_pixels**2, pixels=frames * n_pixels**2)


def _training(parameters: Parameters, own: Mapping[str, Any]) -> Work:
    n_steps, batch, crop = own["n_steps"], own["batch_size"], own["crop_px"]
    per_pixel = sum(c * c / 4**level for level, c in enumerate(own["channels"]))
    return Work(text=f"{n_steps:,} steps of {batch} x {crop} x {crop} px", amount=n_steps * batch * crop**2 * per_pixel)


def _prediction(parameters: Parameters, own: Mapping[str, Any]) -> Work:
    n_series, n_tilt = _n_test_series(parameters), _n_tilt(parameters)
    sets = [(rate, min(own["n_offsets"], 2 * rate)) for rate in own["rates"]]
    predicted = sum(offsets * max(n_tilt // (2 * rate), 1) for rate, offsets in sets) * n_series
    n_methods = len(own["methods"]) + len(own["networks"])
    n_sets = sum(offsets for _, offsets in sets) * n_series
    text = f"{predicted:,} frames by each of {n_methods} methods, from {n_sets:,} sparse series"
    return Work(text=text, amount=predicted * n_methods * parameters["02_simulation"]["n_pixels"] ** 3)


def _reconstruction(parameters: Parameters, own: Mapping[str, Any]) -> Work:
    n_pixels, volumes = parameters["02_simulation"]["n_pixels"], 1
    for gap in (g for g in own["gaps"] if g > 1):
        fills = 1 if gap == 2 else 2  # one series if only the midpoint is missing
        volumes += min(own["n_offsets"], gap) * (1 + fills * len(own["mix_methods"]))
    volumes *= _n_test_series(parameters)
    of_dose = sum(1 + (len(own["dose_methods"]) if gap > 1 else 0) for gap in own["dose_gaps"])
    volumes += len(own["total_doses_per_A2"]) * len(MICROSCOPES) * own["dose_particles"] * of_dose
    text = f"{volumes:,} SIRT volumes of {n_pixels} x {n_pixels} x {n_pixels} voxels"
    return Work(text=text, amount=volumes * _n_tilt(parameters) * n_pixels**3 * own["n_iterations"])


def _off_model(parameters: Parameters, own: Mapping[str, Any]) -> Work:
    n_test = min(own["n_test_particles"], parameters["01_structures"]["n_test"])
    n_multislice = len(own["particles"]) * len(own["spacings_deg"])
    n_series = (n_multislice + n_test * own["test_rates_each"]) * len(own["microscopes"])
    text = f"{len(own['methods'])} methods on {n_series:,} sparse series"
    return Work(text=text, amount=n_series * len(own["methods"]))


def _n_tilt(parameters: Parameters) -> int:
    return round(180 / parameters["02_simulation"]["tilt_step_deg"]) + 1


def _n_test_series(parameters: Parameters) -> int:
    return parameters["01_structures"]["n_test"] * len(MICROSCOPES)


def _last_run(root: Path, *, first: str) -> tuple[str, dict[str, dict[str, Any]]]:
    """Name and stamps of the most relevant complete run: this profile, else book, else smoke."""
    for name in (first, "book", "smoke"):
        files = [root / "artifacts" / name / "executed" / f"{chapter.name}.json" for chapter in CHAPTERS]
        if all(file.is_file() for file in files):
            return name, {file.stem: json.loads(file.read_text(encoding="utf-8")) for file in files}
    return "", {}


def _seconds(
    chapter: str, work: Work, parameters: Parameters, stamps: Mapping[str, Mapping[str, Any]], folder: Path
) -> float | None:
    """Time of a chapter: that of its artifacts, scaled by the work, plus that of the rest (figures), unscaled."""
    if not stamps:
        return None
    before = {name: stamp["parameters"] for name, stamp in stamps.items()}
    store = Artifacts(folder)
    artifacts_s = sum(store.provenance(n)["duration_s"] for n in store.names() if maker_of(n) == chapter)
    rest_s = max(stamps[chapter]["duration_s"] - artifacts_s, 0.0)
    settings = parameters["02_simulation"]
    if chapter == "02_simulation" and settings["engine"] != before[chapter]["engine"]:
        if settings["engine"] == "incoherent":
            return None
        frames = work.pixels / settings["n_pixels"] ** 2
        return rest_s + frames * multislice_s_per_A2() * settings["field_of_view_A"] ** 2
    return rest_s + artifacts_s * work.amount / work_of(chapter, before).amount


def _size(n_bytes: float) -> str:
    return next((f"{n_bytes / unit:.3g} {name}" for unit, name in SIZES if n_bytes >= unit), "")


def _time(seconds: float) -> str:
    return next((f"{seconds / unit:.3g} {name}" for unit, name in TIMES if seconds >= 2 * unit), f"{seconds:.0f} s")
