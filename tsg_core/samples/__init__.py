"""Tilt series and frames shipped with the package: multislice ones, and one like an experiment with its truth."""
