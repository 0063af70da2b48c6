"""How close frames, volumes and atoms are to the truth."""

from .metrics import (
    ImageMetrics,
    PreparedVolume,
    VolumeMetrics,
    chamfer_distance,
    compare_prepared,
    compare_volumes,
    image_metrics,
    object_points,
    otsu_threshold,
    prepare_volume,
    psnr_dB,
    rms_error,
)
from .spectra import ShellCorrelation, fourier_shell_correlation

__all__ = [
    "ImageMetrics",
    "PreparedVolume",
    "ShellCorrelation",
    "VolumeMetrics",
    "chamfer_distance",
    "compare_prepared",
    "compare_volumes",
    "fourier_shell_correlation",
    "image_metrics",
    "object_points",
    "otsu_threshold",
    "prepare_volume",
    "psnr_dB",
    "rms_error",
]
