"""The chapters of the book: what each makes, and which earlier ones it needs. Artifact names are defined only here."""

from dataclasses import dataclass
from fnmatch import fnmatch

from tsg_core.errors import TsgError

TRAINING_PARTICLES = "training_particles.extxyz"
VALIDATION_PARTICLES = "validation_particles.extxyz"
TEST_PARTICLES = "test_particles.extxyz"
SIMULATED_MICROSCOPES = "microscopes.yaml"
TSGNET = "tsgnet"
FRAME_METRICS = "frame_metrics"
VOLUME_METRICS = "volume_metrics"
EXAMPLE_VOLUMES = "example_volumes.npz"
EXAMPLE_SLICES = "example_slices.npz"
DOSE_METRICS = "dose_metrics"
OWN_SAMPLE = "own_sample"
OFF_MODEL_METRICS = "off_model_metrics"
OBJECT_VOLUMES = "object_volumes"
OBJECT_DOSE = "object_dose"


def series_name(split: str, microscope: str) -> str:
    """Name of the tilt series of the "training", "validation" or "test" particles with a microscope."""
    return f"{split}_{microscope}.zarr"


@dataclass(frozen=True, kw_only=True)
class Chapter:
    """A notebook of the book. `makes` holds names of artifacts, or patterns if there is one for each microscope."""

    name: str
    makes: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()

    @property
    def number(self) -> int:
        return int(self.name[:2])


CHAPTERS = (
    Chapter(
        name="01_structures",
        makes=(TRAINING_PARTICLES, VALIDATION_PARTICLES, TEST_PARTICLES),
    ),
    Chapter(
        name="02_simulation",
        makes=(SIMULATED_MICROSCOPES, *(series_name(split, "*") for split in ("training", "validation", "test"))),
        needs=("01_structures",),
    ),
    Chapter(name="03_sparsity", needs=("02_simulation",)),
    Chapter(name="04_model", needs=("02_simulation",)),
    Chapter(name="05_training", makes=(TSGNET,), needs=("02_simulation",)),
    Chapter(name="06_prediction", makes=(FRAME_METRICS,), needs=("02_simulation", "05_training")),
    Chapter(
        name="07_reconstruction",
        makes=(VOLUME_METRICS, DOSE_METRICS, EXAMPLE_VOLUMES, EXAMPLE_SLICES),
        needs=("02_simulation",),
    ),
    Chapter(name="08_one_object", makes=(OFF_MODEL_METRICS, OBJECT_VOLUMES, OBJECT_DOSE), needs=("02_simulation",)),
    Chapter(name="09_your_own_sample", makes=(OWN_SAMPLE,)),
    Chapter(name="10_solutions"),
)


def maker_of(artifact: str) -> str | None:
    """Name of the chapter that makes an artifact."""
    for chapter in CHAPTERS:
        if any(fnmatch(artifact, pattern) for pattern in chapter.makes):
            return chapter.name
    return None


def find_chapter(text: str, *, chapters: tuple[Chapter, ...] = CHAPTERS) -> Chapter:
    """The chapter with this full name, number ("5", "05") or unique part of a name; else a TsgError that lists all."""
    if text.isdecimal():
        found = [chapter for chapter in chapters if chapter.number == int(text)]
    else:
        found = [chapter for chapter in chapters if chapter.name == text]
        found = found or [chapter for chapter in chapters if text.lower() in chapter.name]
    if not text or len(found) != 1:
        what = "no chapter is" if not found else "several chapters are"
        listed = ", ".join(chapter.name for chapter in (found or chapters))
        raise TsgError(f"{what} called {text!r}; choose one of {listed}")
    return found[0]
