"""A tilt series in a file: angles and pixel size are known, frames are read on demand."""

import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import TsgError
from ..geometry import binned_frames
from ..tilt_series import TiltSeries, noted_in
from ..tools.files import readable, readable_name
from ..tools.memory import check_memory
from .angles import SAME_EXPOSURE_deg, check_angles
from .checks import conspicuous
from .frames import ALL_ROWS, BinnedFrames, ChangedFrames, Frames
from .order import order_fault
from .signs import settle_signs
from .sources import Sources
from .stack import Stack
from .trust import find_angles


@dataclass(frozen=True, eq=False)
class StoredSeries:
    """A series in a file, in order of its angles; only `load` reads frames.

    tilt_deg      (n_tilt,) strictly ascending
    pixel_size_A  edge of the square pixels
    measured      (n_tilt,) True where a frame was recorded
    metadata      as a TiltSeries has it, with the history of reading
    """

    path: Path
    tilt_deg: np.ndarray
    pixel_size_A: float
    measured: np.ndarray
    metadata: Mapping[str, Any]
    _frames: Frames = field(repr=False)
    _order: np.ndarray = field(repr=False)  # where in the file the frames lie
    _tilt_in_file_deg: np.ndarray = field(repr=False)
    _is_foreign: bool = field(repr=False)
    _are_angles_given: bool = field(repr=False)

    def __len__(self) -> int:
        return len(self.tilt_deg)

    @property
    def places(self) -> np.ndarray:
        """(n_tilt,) number of each frame in the file, from 0."""
        return self._order.copy()

    @property
    def tilt_in_file_deg(self) -> np.ndarray:
        """(n_in_file,) the angles in the order of the frames in the file, also of those left out."""
        return self._tilt_in_file_deg.copy()

    @property
    def shape(self) -> tuple[int, int, int]:
        """(n_tilt, n_y, n_x)"""
        return (len(self), *self._frames.shape[1:])

    @property
    def dtype(self) -> np.dtype:
        """Type of the numbers in the file."""
        return self._frames.dtype

    @property
    def nbytes(self) -> int:
        """Memory that the whole series takes once it is loaded."""
        return 4 * math.prod(self.shape)

    def load(
        self, *, indices: Sequence[int] | np.ndarray | None = None, binning: int = 1, rows: slice = ALL_ROWS
    ) -> TiltSeries:
        """Read the series, or part of it, as float32.

        indices  frames in the order of their angles, or a mask
        rows     slice of rows (y): slabs of rows can be processed one after the other
        binning  means of so many by so many pixels; what is left over at the end of rows and columns is dropped

        Only the requested frames are read, one at a time. Numbers that float32 cannot hold (integers beyond 2^24,
        float64) are rounded, and the history says so; the rounding, one part in 2^24, is far below the shot noise of
        any count. Raises TsgError for a truncated file, values that are not finite, and frames of a foreign file whose
        order differs from that of its angles.
        """
        if not (isinstance(binning, int | np.integer) and binning >= 1):
            raise TsgError(f"binning={binning} must be a whole number of pixels, 1 or more")
        chosen = self._chosen(indices)
        n_y, n_x = len(range(self.shape[1])[rows]) // binning, self.shape[2] // binning
        if rows.step not in (None, 1) or 0 in (len(chosen), n_y, n_x):
            raise TsgError(f"{self.path}: {len(chosen)} frames of {n_y} x {n_x} pixels are asked for")
        check_memory(
            4 * len(chosen) * n_y * n_x + self.dtype.itemsize * len(range(self.shape[1])[rows]) * self.shape[2],
            f"{self.path}: reading {len(chosen)} frames of {n_y} x {n_x} pixels",
            remedy="leave some out (--exclude), or bin them on reading (in Python, open_series(path).load(binning=2))",
        )
        frames, found = np.empty((len(chosen), n_y, n_x), np.float32), _Found(self)
        with naming(self.path), readable(self.path):
            for i in np.argsort(self._order[chosen]):  # in the order in which they lie in the file
                frame = self._frames.read(int(self._order[chosen[i]]), rows)
                frames[i] = found.single(frame if binning == 1 else binned_frames(frame, binning), frame, chosen[i], i)
        pixel_size_A = self.pixel_size_A * binning
        with naming(self.path):
            series = TiltSeries(frames, self.tilt_deg[chosen], pixel_size_A, self.measured[chosen], self.metadata)
        told = found.sentences()
        told += self._order_faults(frames) if indices is None and self._is_foreign else []
        for sentence in [*told, *self._parts(len(series), rows)]:
            series = series.noted(sentence)
        if binning > 1:
            series = series.noted(
                f"Binned by {binning} to pixels of {pixel_size_A:.4g} A.",
                since={"pixel_size": f"{binning} of these became one"},
            )
        return series

    @property
    def frames(self) -> "LazyFrames":
        """The frames (n_tilt, n_y, n_x) for what looks at one after the other: each is read when its turn comes."""
        return LazyFrames(self)

    def looked_through(self) -> "StoredSeries":
        """The series after one look at every frame, with what `load` would find told in the history; TsgError as there.

        It can then take the place of a TiltSeries in whatever goes through frames one by one, or slab by slab.
        """
        found = _Found(self)
        with naming(self.path), readable(self.path):
            for i in np.argsort(self._order).tolist():
                frame = self._frames.read(int(self._order[i]))
                if not np.isfinite(found.single(frame, frame, i, i)).all():
                    raise TsgError(f"frame {i} (tilt {self.tilt_deg[i]:g} deg) holds values that are not finite")
        series = replace(self, _is_foreign=False)
        for sentence in found.sentences() + (self._order_faults(self.frames) if self._is_foreign else []):
            series = series.noted(sentence)
        return series

    def only_rows(self, rows: slice) -> TiltSeries:
        """These rows of all frames, read into memory."""
        return self.load(indices=np.arange(len(self)), rows=rows)

    def changed(
        self, each: Callable[[np.ndarray, int], np.ndarray], sentence: str, *, since: Mapping[str, str] | None = None
    ) -> "StoredSeries":
        """The series with `each(frame, i)` in the place of frame i whenever it is read; see `TiltSeries.changed`."""
        numbers = {int(place): i for i, place in enumerate(self._order)}
        return replace(self.noted(sentence, since=since), _frames=ChangedFrames(self._frames, each, numbers))

    def binned(self, factor: int) -> "StoredSeries":
        """The series with means over squares of `factor` pixels, taken whenever frames are read."""
        return replace(self, _frames=BinnedFrames(self._frames, factor), pixel_size_A=factor * self.pixel_size_A)

    @property
    def history(self) -> tuple[str, ...]:
        """What was done to the series, in order, one sentence for each step."""
        return tuple(self.metadata.get("history", ()))

    def noted(self, sentence: str, *, since: Mapping[str, str] | None = None) -> "StoredSeries":
        """The series with a sentence more in its history; see `TiltSeries.noted`."""
        return replace(self, metadata=noted_in(self.metadata, sentence, since=since))

    def _order_faults(self, frames: np.ndarray) -> list[str]:
        """What shows that frames and angles do not belong together: an error, unless the angles were given."""
        fault = order_fault(frames, self.tilt_deg, self._order)
        if not fault:
            return []
        said = f"the frames do not seem to fit their angles, from {self.metadata['sources']['angles']}: {fault}"
        if self._are_angles_given:
            return [f"{said[0].upper()}{said[1:]}. Angles are taken in the order of the frames in the file."]
        raise TsgError(
            f"{self.path}: {said}, as after sorting; give the angles, in the order of the frames "
            "in the file, by --tilts"
        )

    def _chosen(self, indices: Sequence[int] | np.ndarray | None) -> np.ndarray:
        everything = np.arange(len(self))
        if indices is None:
            return everything
        try:
            return np.sort(everything[np.asarray(indices, None if len(indices) else int)])
        except IndexError:
            raise TsgError(f"{self.path} has {len(self)} frames; indices={indices} do not fit") from None

    def _parts(self, n_frames: int, rows: slice) -> Iterator[str]:
        """Sentences on what of the series was read."""
        start, stop, _ = rows.indices(self.shape[1])
        if n_frames < len(self):
            yield f"{n_frames} of {len(self)} frames were read."
        if stop - start < self.shape[1]:
            yield f"Rows {start} to {stop - 1} of {self.shape[1]} were read."


class LazyFrames:
    """The frames of a stored series, float32, read anew whenever they are gone through."""

    def __init__(self, series: StoredSeries):
        self._series = series
        self.shape = series.shape
        self.size = math.prod(series.shape)

    def __len__(self) -> int:
        return len(self._series)

    def __iter__(self) -> Iterator[np.ndarray]:
        return map(self.__getitem__, range(len(self)))

    def __getitem__(self, i: int) -> np.ndarray:
        series = self._series
        with naming(series.path), readable(series.path):
            return _as_float32(series._frames.read(int(series._order[i])), series.tilt_deg[i])

    def min(self) -> np.float32:
        return min(frame.min() for frame in self)


class _Found:
    """What is noticed of frames while they are read."""

    def __init__(self, series: StoredSeries):
        self.series, self.faults, self.is_rounded = series, {}, False

    def single(self, frame: np.ndarray, as_stored: np.ndarray, tilt: int, i: int) -> np.ndarray:
        """The frame as float32; `as_stored` is it before binning, and i its number among those that are read."""
        tilt_deg = self.series.tilt_deg[tilt]
        single = _as_float32(frame, tilt_deg)
        if frame is as_stored and not np.can_cast(frame.dtype, np.float32):
            self.is_rounded |= bool((single != frame).any())
        if self.series._is_foreign and (fault := conspicuous(as_stored)):
            self.faults[i] = f"Frame {i} (tilt {tilt_deg:g} deg) {fault}; leave it out if it harms."
        return single

    def sentences(self) -> list[str]:
        rounded = f"Numbers of {self.series.dtype} were rounded to float32, by one part in 2^24 at most."
        return [*([rounded] if self.is_rounded else []), *(self.faults[i] for i in sorted(self.faults))]


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Put the name of the file in front of an error that does not name it."""
    try:
        yield
    except TsgError as error:
        raise (error if str(path) in str(error) else TsgError(f"{path}: {error}")) from error.__cause__


def stored_series(
    stack: Stack,
    path: Path,
    *,
    tilts: str | Path | Sequence[float] | None = None,
    pixel_size_A: float | None = None,
    exclude: Sequence[int] = (),
) -> StoredSeries:
    """The stack as a series, with angles found, checked and sorted; TsgError if it cannot be a tilt series."""
    shape, dtype = stack.frames.shape, stack.frames.dtype
    if len(shape) != 3 or 0 in shape:
        raise TsgError(f"{path} holds an array of shape {shape}; a tilt series is (n_tilt, n_y, n_x)")
    if dtype.kind not in "biuf":
        raise TsgError(f"{path} holds numbers of the kind {dtype}; the intensities of a tilt series are real numbers")
    kept = _kept(shape[0], exclude, path)
    if stack.metadata is None:
        settle_signs(stack)

    def check(tilt_deg: np.ndarray, source: str) -> None:
        same_deg = SAME_EXPOSURE_deg if stack.metadata is None else 0
        named = {"names": stack.frame_names, "repeats": stack.repeats}
        try:
            check_angles(tilt_deg, shape[0], source, kept=kept, same_deg=same_deg, **named)
        except TsgError as error:
            volume = f" ({path} looks like a volume: {stack.volume})" if stack.volume else ""
            axis = "" if stack.frame_names else _other_axis(shape, tilt_deg.size)
            raise TsgError(f"{error}{axis}{volume}") from None

    tilt_deg, source = find_angles(stack, path, tilts=tilts, check=check)
    if pixel_size_A is None and stack.pixel_size_A is None:
        raise TsgError(f"{path} {stack.no_pixel_size}; give it by --pixel-size (pixel_size_A in Python)")
    order = kept[np.argsort(tilt_deg[kept], kind="stable")]
    measured = np.ones(shape[0], bool) if stack.measured is None else np.asarray(stack.measured, bool)
    if measured.shape != (shape[0],):
        raise TsgError(f"{path} says of {measured.size} frames whether they were measured, and holds {shape[0]}")
    told = [] if pixel_size_A is None else [f"The pixel size was given as {pixel_size_A:g} A."]
    if len(exclude):
        angles = ", ".join(f"{angle:g}" for angle in tilt_deg[list(exclude)])
        told.append(f"Frames {', '.join(map(str, exclude))} of the file, at {angles} deg, were left out.")
    if (np.diff(order) < 0).any():
        told.append("The frames were sorted by angle.")
    sources = _sources(stack, path, source, tilts, pixel_size_A)
    return StoredSeries(
        path=path,
        tilt_deg=tilt_deg[order],
        pixel_size_A=float(stack.pixel_size_A if pixel_size_A is None else pixel_size_A),
        measured=measured[order],
        metadata=_metadata(stack, path, sources, told, is_given=tilts is not None or pixel_size_A is not None),
        _frames=stack.frames,
        _order=order,
        _tilt_in_file_deg=tilt_deg,
        _is_foreign=stack.metadata is None,
        _are_angles_given=tilts is not None,
    )


def _sources(stack: Stack, path: Path, angles: str, tilts, pixel_size_A: float | None) -> Sources:
    """Where angles, pixel size, intensities and axis come from."""
    angles = readable_name(angles.replace(f"{path.parent}{os.sep}", ""))
    axis = "the convention, vertical: nothing states it"
    if stack.axis_deg is not None:
        stated = f"{stack.axis_from} states {stack.axis_deg:g} deg from the vertical"
        axis = f"the convention, vertical, where {stated}"
    found = Sources(
        angles=angles if tilts is None else f"{angles}, as given",
        pixel_size=stack.pixel_size_from if pixel_size_A is None else "the one given",
        intensity=stack.intensity_from or f"numbers of {stack.frames.dtype.name} as they are stored",
        axis=axis,
    )
    kept = (stack.metadata or {}).get("sources", {})  # of the file that was read first
    given = {"angles": tilts, "pixel_size": pixel_size_A}
    return replace(found, **{name: kept[name] for name in found.as_dict() if name in kept and given.get(name) is None})


def _metadata(stack: Stack, path: Path, sources: Sources, told: Sequence[str], *, is_given: bool) -> dict[str, Any]:
    """What the file kept of the series, or else where it comes from; with what was told of reading it."""
    kept = stack.metadata
    if kept is None:
        dtype, name = stack.frames.dtype.name, readable_name(path.name)
        read = f"Read {stack.frames.shape[0]} frames of {dtype} from the {stack.kind} {name}"
        kept = {"source_file": name, "source_dtype": dtype, "sources": {}}
        told = [*map(readable_name, (f"{read}; tilt angles from {sources.angles}.", *stack.remarks)), *told]
    history = (*kept.get("history", ()), *told)
    if "sources" in kept or is_given:
        kept = kept | {"sources": sources.as_dict()}
    return kept | ({"history": history} if history else {})


def _other_axis(shape: tuple[int, int, int], n_tilt: int) -> str:
    """That another axis than the first is as long as the list of angles, as the end of a sentence; empty if none is."""
    if n_tilt == shape[0] or n_tilt not in shape[1:]:
        return ""
    return f"; the array is {shape}: if the tilts run along the axis of {n_tilt}, move it to the front"


def _kept(n_frames: int, exclude: Sequence[int], path: Path) -> np.ndarray:
    wrong = [i for i in exclude if not 0 <= i < n_frames]
    if wrong:
        raise TsgError(f"{path} has the frames 0 to {n_frames - 1}; {wrong[0]} cannot be left out")
    return np.delete(np.arange(n_frames), list(map(int, exclude)))


def _as_float32(frame: np.ndarray, tilt_deg: float) -> np.ndarray:
    with np.errstate(over="ignore"):
        single = frame.astype(np.float32, copy=False)
    if not np.can_cast(frame.dtype, np.float32) and (np.isinf(single) & np.isfinite(frame)).any():
        brightest = np.abs(frame[np.isfinite(frame)]).max()
        raise TsgError(f"the frame at {tilt_deg:g} deg holds {brightest:g}, more than float32 can; scale it first")
    return single
