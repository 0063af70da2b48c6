"""The commands of `tsg`, one a file; each imports what it needs when it is called, so that `tsg --help` stays quick."""
