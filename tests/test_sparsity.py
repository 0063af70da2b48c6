"""Measured frames against the paper's examples."""

import numpy as np
import pytest

from tsg_core.errors import TsgError
from tsg_core.sparsity import midpoint_trios, sparse_indices


def test_the_papers_example_of_gap_three():
    assert sparse_indices(181, gap=3)[:4].tolist() == [0, 3, 6, 9]
    assert sparse_indices(181, gap=3, offset=1)[:3].tolist() == [1, 4, 7]


@pytest.mark.parametrize("gap", range(1, 13))
def test_offsets_share_no_frame_and_miss_none(gap):
    together = np.concatenate([sparse_indices(181, gap=gap, offset=o) for o in range(gap)])
    assert np.sort(together).tolist() == list(range(181))


@pytest.mark.parametrize("rate", range(1, 13))
def test_every_trio_is_equally_spaced_and_offsets_partition_them(rate):
    trios = midpoint_trios(181, rate=rate)
    assert len(trios) == 181 - 2 * rate
    assert (np.diff(trios, axis=1) == rate).all() and trios.min() == 0 and trios.max() == 180
    parts = np.concatenate([midpoint_trios(181, rate=rate, offset=o) for o in range(2 * rate)])
    assert sorted(map(tuple, parts)) == sorted(map(tuple, trios))


def test_one_offset_measures_each_frame_once():
    trios = midpoint_trios(181, rate=6, offset=5)
    assert trios[0].tolist() == [5, 11, 17] and (trios[1:, 0] == trios[:-1, 2]).all()


@pytest.mark.parametrize("gap", [0, 13, -1, 2.5, True])
def test_a_gap_outside_1_to_12_is_refused(gap):
    with pytest.raises(TsgError, match=f"gap={gap}"):
        sparse_indices(181, gap=gap)


def test_bad_offsets_rates_and_short_series_are_refused():
    with pytest.raises(TsgError, match="offset=3"):
        sparse_indices(181, gap=3, offset=3)
    with pytest.raises(TsgError, match="leaves 1 of 5"):
        sparse_indices(5, gap=6)
    with pytest.raises(TsgError, match="rate=13"):
        midpoint_trios(181, rate=13)
    with pytest.raises(TsgError, match="needs at least 9"):
        midpoint_trios(8, rate=4)
    with pytest.raises(TsgError, match="offset=8"):
        midpoint_trios(181, rate=4, offset=8)


def test_the_shortest_series():
    assert sparse_indices(5, gap=4).tolist() == [0, 4]
    assert midpoint_trios(9, rate=4).tolist() == [[0, 4, 8]]
