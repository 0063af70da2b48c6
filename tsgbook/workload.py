"""How much there is to do in a profile: numbers of frames, steps, volumes and series."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Parameters = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True, kw_only=True)
class Workload:
    """Counts of what the chapters make.

    n_frames           simulated frames of n_px x n_px pixels, all particles and microscopes
    n_trained          pixels times samples times steps of the training
    n_predicted        frames predicted by each of the methods and networks
    n_measured         measured frames of all sparse series from which these are predicted
    n_volumes          by SIRT, from about n_tilt frames each
    n_one_object       sparse series that the methods of one object predict, with n_one_measured frames in all
    """

    n_px: int
    n_tilt: int
    n_frames: int
    n_trained: float
    n_predicted: int
    n_measured: float
    n_volumes: int
    n_one_object: int
    n_one_measured: float


def workload(parameters: Parameters) -> Workload:
    structures, frames, training = (parameters[name] for name in ("01_structures", "02_simulation", "05_training"))
    prediction, one_object = parameters["06_prediction"], parameters["08_one_object"]
    n_tilt = round(180 / frames["tilt_step_deg"]) + 1
    n_particles = sum(structures[f"n_{split}"] for split in ("training", "validation", "test"))
    n_microscopes = len(frames["microscopes"])
    n_test_series = structures["n_test"] * n_microscopes

    offsets = {rate: min(prediction["n_offsets"], 2 * rate) for rate in prediction["rates"]}
    n_predicted = n_test_series * sum(n * max(n_tilt // (2 * rate), 1) for rate, n in offsets.items())
    n_measured = n_test_series * sum(n * (n_tilt / (2 * rate) + 1) for rate, n in offsets.items())

    n_test = min(one_object["n_test_particles"], structures["n_test"])
    n_of_kind = {spacing: len(one_object["particles"]) for spacing in one_object["spacings_deg"]}
    n_sparse = sum(n_of_kind.values()) + n_test * one_object["test_rates_each"]
    n_mean = sum(n * (180 / spacing + 1) for spacing, n in n_of_kind.items())
    rates = one_object["test_rates"]
    n_mean += n_test * one_object["test_rates_each"] * sum(n_tilt / (2 * rate) + 1 for rate in rates) / len(rates)
    return Workload(
        n_px=frames["n_pixels"],
        n_tilt=n_tilt,
        n_frames=n_particles * n_microscopes * n_tilt,
        n_trained=training["n_steps"] * training["batch_size"] * training["crop_px"] ** 2,
        n_predicted=n_predicted,
        n_measured=n_measured,
        n_volumes=_volumes(parameters, n_test_series=n_test_series, n_microscopes=n_microscopes),
        n_one_object=n_sparse * len(one_object["microscopes"]),
        n_one_measured=n_mean * len(one_object["microscopes"]),
    )


def per_pixel(channels) -> float:
    """A number to which the work of a TSGNet with these channels is proportional, for each pixel."""
    return sum(n**2 / 4**level for level, n in enumerate(channels))


def _volumes(parameters: Parameters, *, n_test_series: int, n_microscopes: int) -> int:
    volumes = parameters["07_reconstruction"]
    gaps = [gap for gap in volumes["gaps"] if gap > 1]
    fills = {gap: (1 if gap == 2 else 2) * len(volumes["mix_methods"]) for gap in gaps}  # gap 2 lacks midpoints alone
    n_volumes = n_test_series * (1 + sum(min(volumes["n_offsets"], gap) * (1 + fills[gap]) for gap in gaps))
    of_doses = sum(1 + (len(volumes["dose_methods"]) if gap > 1 else 0) for gap in volumes["dose_gaps"])
    return n_volumes + len(volumes["total_doses_per_A2"]) * n_microscopes * volumes["dose_particles"] * of_doses
