"""The book around `tsg_core`: runs its chapters, keeps their results and builds the pages."""
