"""Frames at unmeasured tilts, by every method of this book, and the choice among the methods."""

from .densify import METHODS, Densified, densify, densify_with_uncertainty, sigma_series

__all__ = ["METHODS", "Densified", "densify", "densify_with_uncertainty", "sigma_series"]
