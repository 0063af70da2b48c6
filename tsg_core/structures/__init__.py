"""Structures built with ASE: nanoparticles, and samples that go on outside the frames (films, lamellae, needles)."""

from .amorphous import amorphous
from .extended import film, lamella, needle, on_carbon, width_seen_A
from .particles import (
    FCC_SURFACES,
    TEST_ELEMENTS,
    TRAINING_ELEMENTS,
    bounding_diameter_A,
    random_rotation,
    test_particles,
    training_particles,
)

__all__ = [
    "FCC_SURFACES",
    "TEST_ELEMENTS",
    "TRAINING_ELEMENTS",
    "amorphous",
    "bounding_diameter_A",
    "film",
    "lamella",
    "needle",
    "on_carbon",
    "random_rotation",
    "test_particles",
    "training_particles",
    "width_seen_A",
]
