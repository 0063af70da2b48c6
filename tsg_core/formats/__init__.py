"""Tilt series and volumes as files; the suffix names the format.

A series is a stack of frames (n_tilt, n_y, n_x) whose row index runs along the tilt axis y. Stacks whose tilt axis
lies elsewhere must be turned first. A positive tilt moves what lies nearer to the electron source (larger z) to larger
x. If a microscope counts the other way, change the sign of the angles; otherwise the volume is a mirror image. The page
on formats says for each format what is read from where, and what is written.
"""

from .alignments import StoredAlignment, read_alignment, write_alignment
from .angles import read_angles
from .series import check_writable, open_series, read_series, write_series
from .stored import StoredSeries
from .volumes import check_volume_writable, read_volume, write_volume

__all__ = [
    "StoredAlignment",
    "StoredSeries",
    "check_volume_writable",
    "check_writable",
    "open_series",
    "read_alignment",
    "read_angles",
    "read_series",
    "read_volume",
    "write_alignment",
    "write_series",
    "write_volume",
]
