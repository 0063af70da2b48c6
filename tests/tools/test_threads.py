"""Work in threads gives what the same work gives one by one."""

import threading

import pytest

from tsg_core.tools.threads import in_threads


@pytest.mark.parametrize("threads", ["1", "2"])
def test_results_keep_the_order_of_any_items(threads, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", threads)
    assert in_threads(lambda pair: pair[0] - pair[1], zip(range(9), range(0, 18, 2), strict=True)) == [
        -i for i in range(9)
    ]
    with pytest.raises(ZeroDivisionError):
        in_threads(lambda i: 1 // i, range(3))


def test_a_single_thread_is_not_started(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert set(in_threads(lambda _: threading.current_thread(), range(3))) == {threading.main_thread()}
    assert in_threads(str, []) == []
