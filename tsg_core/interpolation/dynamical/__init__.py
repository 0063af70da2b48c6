"""The object as a set of atoms whose frames are computed by multislice."""
