"""Tilt series and frames that come with the package: by multislice, and one like an experiment beside its truth."""
