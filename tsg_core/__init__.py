"""Sparse-angle electron tomography: simulate, thin out, predict, reconstruct and judge tilt series."""

__version__ = "0.1.0"
