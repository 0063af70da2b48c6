"""Volumes from tilt series: SIRT, OS-SART, CGLS, filtered back-projection, total variation and OS-EM.

Volumes are (n_y, n_z, n_x) float32 with n_z = n_x. Every index ascends with its coordinate. The unit is intensity per
pixel of path, so that `project(volume, tilt_deg=series.tilt_deg)` gives frames in the units of the series. If the
vacuum lies below zero by more than its noise, this offset is subtracted with a warning, unless `allow_negative` is set.
`axis_shift_px` is the column of the tilt axis relative to the middle of the frame.
"""

from .algebraic import ENGINES, cgls, os_sart, sirt
from .expectation_maximisation import os_em
from .filtered_back_projection import fbp
from .projection import project
from .slabs import in_slabs, lazy_slabs
from .total_variation import tv

__all__ = ["ENGINES", "cgls", "fbp", "in_slabs", "lazy_slabs", "os_em", "os_sart", "project", "sirt", "tv"]
