"""The object as a set of atoms: found, fitted to all frames at once, and rendered at the wanted tilts."""
