"""The commands of `tsg`, one per file; each imports what it needs only when called, so that `tsg --help` stays fast."""
