"""Files with several pictures: what they are, and which one to take. The first one is never taken by default."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ..errors import TsgError
from .frames import ALL_ROWS, ArrayFrames, Frames, RawFrames
from .stack import Stack

_FEW = 12  # pictures that a message lists


@dataclass(frozen=True)
class Picture:
    """One of several pictures or stacks in a file: its name, and its shape and kind for prose."""

    name: str
    content: str


@dataclass(frozen=True)
class ChosenFrames:
    """Some planes of a stack, in the order of `planes`."""

    frames: Frames
    planes: Sequence[int]

    @property
    def shape(self) -> tuple[int, int, int]:
        return (len(self.planes), *self.frames.shape[1:])

    @property
    def dtype(self) -> np.dtype:
        return self.frames.dtype

    def read(self, i: int, rows: slice = ALL_ROWS) -> np.ndarray:
        return self.frames.read(self.planes[i], rows)


def chosen_number(path: Path, pictures: Sequence[Picture], image: str | None) -> int:
    """The number of the picture that `image`, a number or a name, chooses.

    Raises TsgError with the list of them where there are several and none is chosen.
    """
    if image is None and len(pictures) == 1:
        return 0
    fitting = [i for i, picture in enumerate(pictures) if image is not None and image in (str(i), picture.name)]
    if len(fitting) == 1:
        return fitting[0]
    listed = "; ".join(" ".join(filter(None, (str(i), p.name, p.content))) for i, p in enumerate(pictures[:_FEW]))
    more = f"; and {len(pictures) - _FEW} more" if len(pictures) > _FEW else ""
    if image is None:
        raise TsgError(f"{path} holds {len(pictures)} pictures; choose one by --image N of: {listed}{more}")
    raise TsgError(f"{path} holds no picture {image!r}; choose one by --image N of: {listed}{more}")


def choose_stack(stack: Stack, path: Path, image: str | None) -> Stack:
    """The single stack in a file, or the chosen one from an array with one more axis."""
    shape = stack.frames.shape
    if len(shape) == 4:
        content = f"{' x '.join(map(str, shape[1:]))} {stack.frames.dtype}"
        number = chosen_number(path, [Picture("", content)] * shape[0], image)
        return replace(stack, frames=_part(stack.frames, number))
    if image not in (None, "0"):
        raise TsgError(f"{path} holds one stack, 0; there is no {image!r} to choose by --image")
    return stack


def _part(frames: Frames, number: int) -> Frames:
    if isinstance(frames, RawFrames):
        n_bytes = int(np.prod(frames.shape[1:])) * frames.dtype.itemsize
        return RawFrames(frames.path, frames.offset + number * n_bytes, frames.shape[1:], frames.dtype)
    return ArrayFrames(frames.array[number])
