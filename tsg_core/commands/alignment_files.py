"""Alignments of other programs, from and to files, for the frames of a recording in the order of its file."""

from pathlib import Path

import click
import numpy as np

from ..errors import TsgError
from ..formats import StoredAlignment, StoredSeries, read_alignment, write_alignment
from ..formats.angles import SAME_EXPOSURE_deg, disagreement
from ..preparation.known_alignment import KnownAlignment


def known_alignment(path: Path, recording: StoredSeries) -> KnownAlignment:
    """The alignment in a file; says what of it was passed over.

    Raises TsgError where the file states the angles of the frames in another order.
    """
    found = read_alignment(path, n_frames=len(recording.tilt_in_file_deg))
    remarks = list(found.remarks)
    if found.tilt_deg is not None:
        stated_deg = found.tilt_deg[recording.places]
        if clash := disagreement(recording.tilt_deg, stated_deg):
            raise TsgError(f"{path} is not of these frames in this order: {clash}, {recording.path.name} first")
        apart_deg = np.abs(stated_deg - recording.tilt_deg).max()
        if apart_deg > 10 * SAME_EXPOSURE_deg:
            remarks.append(
                f"{path.name} states angles that differ by up to {apart_deg:.2g} deg; --tilts {path} uses these"
            )
    for remark in remarks:
        click.echo(f"note: {remark}")
    return KnownAlignment(
        tilt_deg=recording.tilt_deg,
        matrix=found.matrix[recording.places],
        shift_px=found.shift_px[recording.places],
        shape=recording.shape[1:],
        pixel_size_A=recording.pixel_size_A,
        source=path.name,
    )


def write_known(known: KnownAlignment, path: Path, recording: StoredSeries, *, overwrite: bool) -> None:
    """Write an alignment for the recording; says which of its frames it leaves out."""
    tilt_deg = recording.tilt_in_file_deg
    matrix, shift_px = np.full((len(tilt_deg), 2, 2), np.nan), np.full((len(tilt_deg), 2), np.nan)
    matrix[recording.places], shift_px[recording.places] = known.matrix, known.shift_px
    stored = StoredAlignment(matrix=matrix, shift_px=shift_px, tilt_deg=tilt_deg)
    write_alignment(stored, path, shape=known.shape, overwrite=overwrite)
    out = np.flatnonzero(~np.isfinite(matrix).all(axis=(1, 2))).tolist()
    click.echo(
        f"wrote {path}: the alignment of {len(tilt_deg) - len(out)} frames, in the order of {recording.path.name}"
        + (f"; left out, by number from 0: {', '.join(map(str, out))}" if out else "")
    )
