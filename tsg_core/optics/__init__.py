"""The electron probe, what atoms scatter of it, and how pixels sample the image."""
