"""Threads and waves of tiles."""

import threading
import time

import pytest

from fathom.classical.parallel import run_blocks, run_wavefront, thread_count
from fathom.core import UsageError


@pytest.mark.parametrize("threads", [1, 2, 4, 50])
@pytest.mark.parametrize("count", [0, 1, 7])
def test_every_block_runs_once(threads, count):
    seen = []
    run_blocks(seen.append, count, threads)
    assert sorted(seen) == list(range(count))


@pytest.mark.parametrize("threads", [1, 2, 4, 9])
def test_a_cell_runs_after_its_left_and_upper_neighbour(threads):
    done, lock = set(), threading.Lock()

    def call(row, column):
        with lock:
            before = set(done)
        assert row == 0 or (row - 1, column) in before
        assert column == 0 or (row, column - 1) in before
        time.sleep(0.0005)
        with lock:
            done.add((row, column))

    run_wavefront(call, 6, 9, threads)
    assert done == {(r, c) for r in range(6) for c in range(9)}


@pytest.mark.parametrize("threads", [1, 3])
def test_errors_come_out_and_nobody_waits_for_ever(threads):
    def fail_blocks(i):
        if i == 3:
            raise ValueError("block 3")

    def fail_cell(row, column):
        if (row, column) == (1, 2):
            raise ValueError("cell")

    with pytest.raises(ValueError, match="block 3"):
        run_blocks(fail_blocks, 8, threads)
    with pytest.raises(ValueError, match="cell"):
        run_wavefront(fail_cell, 8, 8, threads)


def test_wavefronts_inside_a_busy_pool_end():
    def outer(_):
        run_wavefront(lambda row, column: None, 5, 5, 4)

    run_blocks(outer, 30, 20)


def test_thread_count():
    assert thread_count(None) >= 1
    assert thread_count(3) == 3
    for wrong in (0, -1, True):
        with pytest.raises(UsageError, match="threads"):
            thread_count(wrong)
