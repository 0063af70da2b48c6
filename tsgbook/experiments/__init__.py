"""The experiments of the chapters; each gives a table that a chapter shows."""
