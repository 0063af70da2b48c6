"""How long a profile would take by the measured cost of a unit of each kind of work."""

from collections.abc import Mapping
from math import pi
from pathlib import Path

from tsg_core.samples.multislice_frames import multislice_s_per_A2
from tsg_core.tools.digests import read_json

from .display import time_in_words
from .workload import Parameters, Workload, per_pixel, workload

SCALING = Path("benchmarks/results/scaling.json")  # processor seconds of a unit of each law
GPU = Path("benchmarks/results/gpu.json")  # how many times faster a GPU is than the processors beside it
CORES = 2  # of the machine whose hours are told
NETWORK, SIRT, OBJECT = "tsgnet", "sirt_reprojection", {"reprojection", "kriging", "informed", "atoms", "auto"}
NOT_MEASURED = "What a unit of work costs is not known here: python benchmarks/scaling.py"
NO_GPU = "A GPU was not measured: python benchmarks/gpu.py, where there is one."


def by_unit_costs(parameters: Parameters, *, root: Path, n_nodes: int = 1) -> str:
    """A table with the hours of each chapter on two cores, on a GPU, and on machines that share the work.

    Particles, series and volumes are independent of one another, so machines divide all of the work among them; a
    training divides its batches. What no law counts (figures, tables, points of volumes) is left out.
    """
    laws = (read_json(root / SCALING) or {}).get("laws", {})
    if not laws:
        return NOT_MEASURED
    gains = read_json(root / GPU) or {}
    rows = []
    for chapter, amounts in amounts_of(parameters).items():
        cores_s = seconds_of(amounts, laws)
        gpu_s = seconds_of(amounts, laws, gains=gains) if gains else None
        rows.append((chapter, cores_s, gpu_s, None if cores_s is None else cores_s / n_nodes))
    all_s = (None if None in column else sum(column) for column in list(zip(*rows, strict=True))[1:])
    heads = ("chapter", f"{CORES} cores", "one GPU", f"{n_nodes} machine{'s' if n_nodes > 1 else ''} of {CORES} cores")
    cells = [heads] + [(name, *map(time_in_words, times)) for name, *times in [*rows, ("all", *all_s)]]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = ["  ".join(f"{cell:{width}}" for cell, width in zip(row, widths, strict=True)).rstrip() for row in cells]
    return "\n".join(
        ["By measured costs of a unit of work, scaled to this profile:", *lines, *([] if gains else [NO_GPU])]
    )


def seconds_of(
    amounts: Mapping[str, float], laws: Mapping[str, Mapping], *, gains: Mapping[str, float] | None = None
) -> float | None:
    """Seconds on `CORES` cores; work that `gains` names is that many times faster. None if a law was not measured.

    The work "seconds" counts seconds of two cores themselves.
    """
    if any(name not in laws for name in amounts if name != "seconds"):
        return None
    units = {name: law["seconds"] / CORES for name, law in laws.items()} | {"seconds": 1.0}
    return sum(amount * units[name] / (gains or {}).get(name, 1.0) for name, amount in amounts.items())


def amounts_of(parameters: Parameters) -> dict[str, dict[str, float]]:
    """The work of the chapters in the units of the laws."""
    load, training = workload(parameters), parameters["05_training"]
    prediction, one_object = parameters["06_prediction"], parameters["08_one_object"]
    n_iterations = parameters["07_reconstruction"]["n_iterations"]
    methods = [*prediction["methods"], *[NETWORK] * len(prediction["networks"])]
    sizes = {"channels": training["channels"], "n_iterations": n_iterations, "n_px": load.n_px}
    return {
        "02_simulation": _of_simulation(parameters, load),
        "05_training": {"training": load.n_trained * per_pixel(training["channels"])},
        "06_prediction": _of_methods(methods, load.n_measured, load.n_predicted, **sizes),
        "07_reconstruction": {"sirt": load.n_volumes * load.n_tilt * n_iterations * load.n_px**3},
        "08_one_object": _of_methods(one_object["methods"], load.n_one_measured, load.n_one_measured, **sizes),
    }


def _of_simulation(parameters: Parameters, load: Workload) -> dict[str, float]:
    frames = parameters["02_simulation"]
    area_A2 = frames["field_of_view_A"] ** 2
    if frames["engine"] != "incoherent":
        return {"seconds": load.n_frames * multislice_s_per_A2() * area_A2}
    return {"incoherent": load.n_frames * _atoms_of(parameters["01_structures"]) * area_A2}


def _atoms_of(structures: Mapping) -> float:
    """Mean number of atoms in spheres of all allowed diameters, of the elements of the profile: an upper bound."""
    from ase.data import atomic_numbers, reference_states

    low_A, high_A = structures["diameter_A"]
    volume_A3 = pi / 6 * (high_A**4 - low_A**4) / (4 * (high_A - low_A))
    edges_A = [reference_states[atomic_numbers[element]]["a"] for element in structures["elements"]]
    return volume_A3 * sum(4 / edge_A**3 for edge_A in edges_A) / len(edges_A)


def _of_methods(
    methods, n_measured: float, n_predicted: float, *, channels, n_iterations: int, n_px: int
) -> dict[str, float]:
    """The work of predicting n_predicted frames from series with n_measured frames in all, by each of the methods."""
    amounts = {"linear": 0.0, "reprojection": 0.0, "sirt": 0.0, "tsgnet": 0.0}
    for method in methods:
        if method in OBJECT:
            amounts["reprojection"] += n_measured * n_px**3
        elif method == SIRT:
            amounts["sirt"] += n_measured * n_iterations * n_px**3
        elif method == NETWORK:
            amounts["tsgnet"] += n_predicted * n_px**2 * per_pixel(channels)
        else:
            amounts["linear"] += n_predicted * n_px**2
    return {name: amount for name, amount in amounts.items() if amount}
