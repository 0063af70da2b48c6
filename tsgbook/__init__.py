"""The book around `tsg_core`: running its chapters, storing their results and building the pages."""
