"""The experiments of the chapters, each a table that a chapter shows."""
