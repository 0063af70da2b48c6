"""The electron probe, how atoms scatter it, and how pixels sample the image."""
