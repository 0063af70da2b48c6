"""Simulation of tilt series from structures: incoherent imaging, multislice, noise, and data sets of many series."""

from .series import ENGINES, simulate_tilt_series

__all__ = ["ENGINES", "simulate_tilt_series"]
