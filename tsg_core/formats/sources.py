"""The sources of a series' angles, pixel size, intensities and axis: one line each, kept in the metadata."""

from dataclasses import asdict, dataclass


@dataclass(frozen=True, kw_only=True)
class Sources:
    """Ends of sentences: "tilt angles from ...", "pixel size from ...", "intensities: ...", "tilt axis: ..."."""

    angles: str
    pixel_size: str
    intensity: str
    axis: str

    def as_dict(self) -> dict[str, str]:
        """Plain text, which every format keeps."""
        return asdict(self)
