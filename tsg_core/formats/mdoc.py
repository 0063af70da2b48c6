"""SerialEM's text file .mdoc, which describes a stack or a folder of frames.

Global lines `Key = value` come first, then titles `[T = ...]`, then a section `[ZValue = n]` a frame. A stack that is
written here gets one, with the line `Measured` in each section, 0 where the frame was predicted. IMOD and SerialEM pass
over keys that they do not know.
"""

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..errors import TsgError
from ..tilt_series import TiltSeries
from .texts import number_of, read_text

_WHOLE = re.compile(r"-?[0-9]{1,18}")
_SECTION = re.compile(r"\[\s*(\w+)\s*=\s*(.*?)\s*\]\s*$")


@dataclass(frozen=True)
class Mdoc:
    path: Path
    stated: dict[str, str]
    titles: tuple[str, ...]
    sections: tuple[dict[str, str], ...]

    @property
    def tilt_deg(self) -> np.ndarray:
        """The angle of each section, in the order of the sections' numbers, which are those of the frames."""
        numbers = [section[""] for section in self.sections]
        twice = next((number for number in numbers if numbers.count(number) > 1), None)
        if twice is not None:
            raise TsgError(f"{self.path} has the section {twice} more than once: it is that of several series")
        pieces = {tuple(section.get("PieceCoordinates", "0 0").split()[:2]) for section in self.sections}
        if len(pieces) > 1:
            raise TsgError(
                f"{self.path} lists the pieces of montages ({len(pieces)} PieceCoordinates); "
                "assemble each frame first, with blendmont of IMOD"
            )
        return np.array([self._number(section, "TiltAngle") for section in self.sections])

    @property
    def pixel_size_A(self) -> float | None:
        for lines in (self.stated, *self.sections[:1]):
            if "PixelSpacing" in lines:
                spacing_A = self._number(lines, "PixelSpacing")
                return spacing_A if spacing_A > 0 else None
        return None

    @property
    def measured(self) -> np.ndarray | None:
        """Which frames were recorded; None if the file does not say."""
        if not self.sections or any("Measured" not in section for section in self.sections):
            return None
        return np.array([section["Measured"] != "0" for section in self.sections])

    def _number(self, lines: dict[str, str], key: str) -> float:
        where = f"section {lines['']} of {self.path}" if "" in lines else str(self.path)
        try:
            return number_of(lines[key])
        except KeyError:
            raise TsgError(f"{where} has no {key}") from None
        except ValueError:
            raise TsgError(f"{where} has the {key} {lines[key]!r}, which is not a number") from None


def read_mdoc(path: str | Path) -> Mdoc:
    """The sections in the order of their numbers, each with its number under the empty key."""
    path = Path(path)
    text = read_text(path)
    stated, titles, sections = {}, [], []
    current = stated
    for line in text.splitlines():
        if opened := _SECTION.match(line.strip()):
            name, value = opened.groups()
            if name == "T":
                titles.append(value)
            else:
                current = {"": value}
                if name in ("ZValue", "FrameSet"):
                    sections.append(current)
        elif "=" in line:
            key, value = line.split("=", 1)
            current[key.strip()] = value.strip()
    if not sections:
        raise TsgError(f"{path} has no section [ZValue = ...]")
    if all(_WHOLE.fullmatch(section[""]) for section in sections):
        sections.sort(key=lambda section: int(section[""]))
    return Mdoc(path, stated, tuple(titles), tuple(sections))


def mdoc_text(series: TiltSeries, *, image_file: str) -> str:
    """The .mdoc of a stack: angles, pixel size and flags in full precision, and the history as titles."""
    n_y, n_x = series.frames.shape[1:]
    lines = [
        f"PixelSpacing = {series.pixel_size_A!r}",
        f"ImageFile = {image_file}",
        f"ImageSize = {n_x} {n_y}",
        "DataMode = 2",
        "",
        *(f"[T = {' '.join(sentence.split())}]\n" for sentence in series.history),
    ]
    for i, (angle, measured) in enumerate(zip(series.tilt_deg.tolist(), series.measured, strict=True)):
        lines += [f"[ZValue = {i}]", f"TiltAngle = {angle!r}", f"Measured = {int(measured)}", ""]
    return "\n".join(lines)
