"""Where what a series is read with comes from: a line each, which travels in the metadata."""

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
