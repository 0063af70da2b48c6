"""Arrays in a temporary file: what was put in comes out again."""

import numpy as np

from tsg_core.tools.stored_arrays import StoredArrays


def test_arrays_come_back_in_any_order():
    arrays = np.random.default_rng(0).random((5, 3, 4)).astype(np.float32)
    stored = StoredArrays(5, (3, 4), what="five arrays")
    for k in (3, 0, 4, 1, 2):
        stored[k] = arrays[k]
    np.testing.assert_array_equal(stored[4], arrays[4])
    np.testing.assert_array_equal(stored.stack([2, 0, 2]), arrays[[2, 0, 2]])
    stored[0] = arrays[1, :, ::-1]  # not contiguous
    np.testing.assert_array_equal(stored[0], arrays[1, :, ::-1])
