"""A tilt series: frames together with their tilt angles and pixel size."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from .errors import TsgError
from .microscope import Microscope

SAME_ANGLE_deg = 1e-6  # angles closer than this are the same angle


@dataclass(frozen=True, eq=False)
class TiltSeries:
    """Frames of one object at several tilts about the y axis, along which the row index runs.

    frames        (n_tilt, n_y, n_x), kept as float32; simulated frames are fractions of the incident beam
    tilt_deg      (n_tilt,) strictly ascending
    pixel_size_A  edge of the square pixels
    measured      (n_tilt,) True where a frame was recorded, False where it was predicted
    metadata      origin of the series: microscope, engine, dose, source file, ...; `history`, a tuple of sentences,
                  lists in order what was done to it

    Raises TsgError if shapes disagree, angles repeat or descend, or values are not finite.
    """

    frames: np.ndarray
    tilt_deg: np.ndarray
    pixel_size_A: float
    measured: np.ndarray = None  # type: ignore[assignment]  # all of them where none are named
    metadata: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self):
        frames = np.asarray(self.frames, np.float32)
        tilt_deg = np.asarray(self.tilt_deg, np.float64)
        measured = np.ones(len(tilt_deg), bool) if self.measured is None else np.asarray(self.measured, bool)
        if frames.ndim != 3 or 0 in frames.shape:
            raise TsgError(f"frames of shape {frames.shape} must have the axes (n_tilt, n_y, n_x)")
        if tilt_deg.shape != (len(frames),) or measured.shape != (len(frames),):
            raise TsgError(f"{len(frames)} frames come with {tilt_deg.size} tilt angles and {measured.size} flags")
        if not np.isfinite(tilt_deg).all():
            raise TsgError("tilt angles must be finite numbers")
        if (np.diff(tilt_deg) <= 0).any():
            i = int(np.argmax(np.diff(tilt_deg) <= 0))
            raise TsgError(
                f"tilt angles must ascend without repeats; {tilt_deg[i]:g} is followed by {tilt_deg[i + 1]:g} deg"
            )
        for i, frame in enumerate(frames):  # one frame at a time: a mask for the whole series would be large
            if not np.isfinite(frame).all():
                raise TsgError(f"frame {i} (tilt {tilt_deg[i]:g} deg) holds values that are not finite")
        if not (np.isfinite(self.pixel_size_A) and self.pixel_size_A > 0):
            raise TsgError(f"pixel_size_A={self.pixel_size_A} must be a positive number")
        for name, value in (("frames", frames), ("tilt_deg", tilt_deg), ("measured", measured)):
            object.__setattr__(self, name, value)
        object.__setattr__(self, "pixel_size_A", float(self.pixel_size_A))

    def __len__(self) -> int:
        return len(self.frames)

    @property
    def intensity_scale(self) -> float:
        """Brightest pixel of the measured frames: the only scale by which methods may divide a series."""
        return float(self.frames.max(axis=(1, 2))[self.measured].max(initial=0.0))  # frames[measured] would be a copy

    def measured_only(self) -> "TiltSeries":
        """A series of the measured frames alone; the series itself if all its frames are measured."""
        return self if self.measured.all() else self.subset(self.measured)

    def subset(self, indices: Sequence[int] | np.ndarray) -> "TiltSeries":
        """The frames at these ascending indices, or where a mask is True."""
        return replace(
            self, frames=self.frames[indices], tilt_deg=self.tilt_deg[indices], measured=self.measured[indices]
        )

    def only_rows(self, rows: slice) -> "TiltSeries":
        """The series with these rows of its frames."""
        return replace(self, frames=self.frames[:, rows])

    def changed(
        self, each: Callable[[np.ndarray, int], np.ndarray], sentence: str, *, since: Mapping[str, str] | None = None
    ) -> "TiltSeries":
        """The series with `each(frame, i)` in the place of frame i (n_y, n_x); `sentence` and `since` as in `noted`."""
        frames = np.empty_like(self.frames)
        for i, frame in enumerate(self.frames):
            frames[i] = each(frame, i)
        return self.noted(sentence, since=since, frames=frames)

    @property
    def history(self) -> tuple[str, ...]:
        """What was done to the series, in order, one sentence for each step."""
        return tuple(self.metadata.get("history", ()))

    def noted(self, sentence: str, *, since: Mapping[str, str] | None = None, **changes: Any) -> "TiltSeries":
        """The series with these fields replaced; `sentence`, which says what was done, is added to its history.

        `since` says what it changed of the angles, pixel_size, intensity or axis whose sources reading told.
        """
        metadata = {**changes.pop("metadata", self.metadata), "history": self.history}
        metadata = noted_in(metadata, sentence, since=since)
        return replace(self, metadata=metadata, **changes)

    @classmethod
    def read(
        cls,
        path: str | Path,
        *,
        tilts: str | Path | Sequence[float] | None = None,
        pixel_size_A: float | None = None,
        exclude: Sequence[int] = (),
        image: int | str | None = None,
    ) -> "TiltSeries":
        """Read a series as `formats.read_series` does; `tilts` and `pixel_size_A` override what the file says."""
        from .formats import read_series

        return read_series(path, tilts=tilts, pixel_size_A=pixel_size_A, exclude=exclude, image=image)

    def write(self, path: str | Path, *, overwrite: bool = False) -> Path:
        """Write the series, whole or not at all, in the format that the suffix names."""
        from .formats import write_series

        return write_series(self, path, overwrite=overwrite)

    @classmethod
    def from_hyperspy(
        cls, signal: Any, *, tilts: str | Path | Sequence[float] | None = None, pixel_size_A: float | None = None
    ) -> "TiltSeries":
        """The series in a HyperSpy signal (lazy or not) or an ETSpy TomoStack, which is not changed.

        The navigation axis is the tilt in degrees, unless `metadata.Tomography.tilts` or a TomoStack's `tilts` give the
        angles. Raises TsgError as `formats.read_series` does.
        """
        from .formats.signals import series_of_signal

        return series_of_signal(signal, tilts=tilts, pixel_size_A=pixel_size_A)

    def to_hyperspy(self, *, etspy: bool = False) -> Any:
        """A HyperSpy Signal2D, or an ETSpy TomoStack, with axes in degrees and nm; `from_hyperspy` reads it back.

        Raises TsgError if the package is not installed (pip install hyperspy, pip install etspy).
        """
        from .formats.signals import to_signal

        return to_signal(self, etspy=etspy)


def noted_in(metadata: Mapping[str, Any], sentence: str, *, since: Mapping[str, str] | None = None) -> dict[str, Any]:
    """The metadata of a series with what `TiltSeries.noted` adds to them."""
    noted = {**metadata, "history": (*metadata.get("history", ()), sentence)}
    if since and (told := noted.get("sources")):
        noted["sources"] = told | {name: f"{told[name]}; {what}" for name, what in since.items() if name in told}
    return noted


def microscope_of(series: TiltSeries) -> Microscope | None:
    """The microscope that a simulation recorded in the metadata of a series; None if there is none."""
    recorded = series.metadata.get("microscope")
    return Microscope(**recorded) if isinstance(recorded, Mapping) else recorded
