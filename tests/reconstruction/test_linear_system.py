"""Subsets of the tilts, and the memory that a volume needs."""

import numpy as np
from phantoms import TILT_deg, series_of, spots

from tsg_core.reconstruction.linear_system import needed_bytes, subsets_of
from tsg_core.reconstruction.projection import system_matrix


def test_subsets_share_out_the_tilts_and_hold_their_rows_of_the_matrix():
    series = series_of(spots(n_y=1))
    subsets = subsets_of(series, n_subsets=4, axis_shift_px=0.5)
    assert sorted(np.concatenate([s.tilts for s in subsets])) == list(range(len(TILT_deg)))
    for subset in subsets:
        alone = system_matrix(tilt_deg=TILT_deg[subset.tilts], n_x=24, axis_shift_px=0.5)
        assert (subset.A.matrix != alone).nnz == 0


def test_matrices_are_made_once():
    first, again = (subsets_of(series_of(spots(n_y=1)), n_subsets=4) for _ in range(2))
    assert all(a.A.matrix is b.A.matrix for a, b in zip(first, again, strict=True))


def test_neighbours_do_not_follow_one_another():
    firsts = [s.tilts[0] for s in subsets_of(series_of(spots(n_y=1)), n_subsets=8)]
    assert np.abs(np.diff(firsts)).min() > 1


def test_memory_grows_with_rows_and_holds_the_matrix_twice_while_it_is_made():
    one, two = (needed_bytes(181, n_y, 512) for n_y in (256, 512))
    assert one < two < 2 * one
    assert needed_bytes(181, 512, 512) < 6e9
    assert needed_bytes(181, 1, 512) > 2 * 8 * 1.6 * 181 * 512**2
