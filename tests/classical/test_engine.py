"""The semi-global engine against its slow twin, and independence of threads and tiles."""

import classical_twins as twins
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fathom.classical import engine
from fathom.classical.engine import LARGEST_P2, penalties, semiglobal
from fathom.classical.memory import predict

FIELDS = ("disparity", "best", "margin", "difference")


def pair_of(seed, height, width, depth=8):
    rng = np.random.default_rng(seed)
    right = rng.integers(0, 2**depth, (height, width)).astype(np.uint16)
    left = np.roll(right, int(rng.integers(-3, 4)), axis=1)
    left = np.where(rng.random(left.shape) < 0.1, rng.integers(0, 2**depth, left.shape), left)
    return left.astype(np.uint16), right


def slow(left, right, gray, first, levels, p1, penalty, paths):
    """The twin, with the eight knight moves that make sixteen paths."""
    volume = twins.costs(left, right, first, levels)
    total = twins.sums(volume, gray, penalty, p1, min(paths, 8))
    if paths == 16:
        for dy, dx in ((1, 2), (1, -2), (2, 1), (2, -1), (-1, 2), (-1, -2), (-2, 1), (-2, -1)):
            total = total + twins.path(volume, gray, penalty, p1, dy, dx)
    return twins.winners(total, first, paths, volume)


def same(match, expected):
    for name, found, wanted in zip(FIELDS, match, expected, strict=True):
        np.testing.assert_array_equal(found, wanted, err_msg=name)


@settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    seed=st.integers(0, 2**31),
    height=st.integers(1, 9),
    width=st.integers(1, 23),
    first=st.integers(-12, 12),
    levels=st.integers(1, 40),
    paths=st.sampled_from([4, 8, 16]),
    threads=st.sampled_from([1, 2, 4]),
    p1=st.integers(1, 40),
    gradient=st.sampled_from([0.0, 16.0]),
    depth=st.sampled_from([2, 8, 16]),
)
def test_equals_the_slow_twin(
    monkeypatch, seed, height, width, first, levels, paths, threads, p1, gradient, depth
):
    monkeypatch.setattr(engine, "_TILE", (5, 3))
    left, right = pair_of(seed, height, width, depth)
    gray = (left >> max(0, depth - 8)).astype(np.uint8)
    penalty = penalties(p1, LARGEST_P2, gradient)
    match = semiglobal(left, right, gray, first, levels, p1, penalty, paths, threads)
    same(match, slow(left, right, gray, first, levels, p1, penalty, paths))


@pytest.mark.parametrize(
    ("size", "first", "levels"),
    [((1, 30), 0, 64), ((20, 9), -8, 33), ((7, 31), -31, 62), ((7, 9), 5, 1), ((7, 50), 0, 65)],
)
def test_odd_sizes_and_wide_ranges_equal_the_slow_twin(size, first, levels):
    left, right = pair_of(1, *size)
    gray = left.astype(np.uint8)
    penalty = penalties(25, 190, 16)
    match = semiglobal(left, right, gray, first, levels, 25, penalty, 8, 2)
    same(match, slow(left, right, gray, first, levels, 25, penalty, 8))


def test_threads_and_tiles_do_not_change_the_result(motorcycle, monkeypatch):
    pair = motorcycle.pair
    left, right = (v.gray[100:260, 100:400].astype(np.uint16) for v in (pair.left, pair.right))
    gray = left.astype(np.uint8)
    penalty = penalties(25, 190, 16)
    results = []
    for threads, tile in (
        (1, (64, 32)),
        (2, (64, 32)),
        (4, (64, 32)),
        (3, (17, 5)),
        (1, (999, 999)),
    ):
        monkeypatch.setattr(engine, "_TILE", tile)
        results.append(semiglobal(left, right, gray, -5, 70, 25, penalty, 8, threads))
    for other in results[1:]:
        same(other, results[0])


@pytest.mark.parametrize("paths", [4, 16])
def test_other_numbers_of_paths_ignore_threads_and_tiles(motorcycle, monkeypatch, paths):
    pair = motorcycle.pair
    left, right = (v.gray[100:160, 100:300].astype(np.uint16) for v in (pair.left, pair.right))
    gray, penalty = left.astype(np.uint8), penalties(25, 190, 16)
    results = []
    for threads, tile in ((1, (64, 32)), (2, (64, 32)), (4, (16, 8)), (3, (17, 5)), (1, (999, 99))):
        monkeypatch.setattr(engine, "_TILE", tile)
        results.append(semiglobal(left, right, gray, -5, 70, 25, penalty, paths, threads))
    for other in results[1:]:
        same(other, results[0])


def test_a_kept_volume_does_not_show_in_the_next_result():
    left, right = pair_of(3, 12, 40)
    gray, penalty = left.astype(np.uint8), penalties(25, 190, 16)
    fresh = semiglobal(left, right, gray, 0, 30, 25, penalty, 8, 1)
    semiglobal(*pair_of(4, 30, 60), np.zeros((30, 60), np.uint8), 0, 64, 25, penalty, 16, 1)
    same(semiglobal(left, right, gray, 0, 30, 25, penalty, 8, 1), fresh)


def test_penalties_fall_with_the_gradient_and_stay_above_a_step():
    table = penalties(20, 190, 10)
    assert table[0] == 190
    assert table[10] == 95
    assert table[255] == 30
    assert (np.diff(table.astype(int)) <= 0).all()
    assert (penalties(20, 190, 0) == 190).all()
    assert (penalties(100, 120, 1) == 120).all()
    assert penalties(20, 190, 5e-324)[[0, 1]].tolist() == [190, 30]


def test_the_memory_named_is_what_the_volume_takes_and_little_more():
    volume = 2 * 500 * 741 * 128
    assert volume < predict(500, 741, 128) < 1.5 * volume
