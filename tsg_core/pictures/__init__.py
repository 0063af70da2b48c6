"""What the command `tsg` draws: contact sheets, slices of volumes, the steps of a preparation, and the report."""
