"""More Global Matching against its slow twin, and what it is for."""

import classical_twins as twins
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fathom.classical import moreglobal
from fathom.classical.engine import LARGEST_P2, Match, penalties, semiglobal
from fathom.classical.memory import predict
from fathom.classical.sgm import SGM, sgm_evidence
from fathom.core.errors import ResourceError, UsageError


def pair_of(seed, height, width):
    rng = np.random.default_rng(seed)
    right = rng.integers(0, 256, (height, width)).astype(np.uint16)
    left = np.roll(right, int(rng.integers(-3, 4)), axis=1)
    left = np.where(rng.random(left.shape) < 0.1, rng.integers(0, 256, left.shape), left)
    return left.astype(np.uint16), right


def same(match, expected):
    for name, found, wanted in zip(Match._fields, match, expected, strict=True):
        np.testing.assert_array_equal(found, wanted, err_msg=name)


@settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    seed=st.integers(0, 2**31),
    height=st.integers(1, 9),
    width=st.integers(1, 21),
    first=st.integers(-12, 12),
    levels=st.integers(1, 40),
    paths=st.sampled_from([4, 8]),
    threads=st.sampled_from([1, 2, 4]),
    p1=st.integers(1, 40),
    gradient=st.sampled_from([0.0, 16.0]),
    tile=st.sampled_from([(5, 3), (1, 1), (128, 32)]),
)
def test_equals_the_slow_twin(
    monkeypatch, seed, height, width, first, levels, paths, threads, p1, gradient, tile
):
    monkeypatch.setattr(moreglobal, "_TILE", tile)
    left, right = pair_of(seed, height, width)
    gray = left.astype(np.uint8)
    penalty = penalties(p1, LARGEST_P2, gradient)
    match = semiglobal(
        left, right, gray, first, levels, p1, penalty, paths, threads, more_global=True
    )
    volume = twins.costs(left, right, first, levels)
    total = twins.more_global_sums(volume, gray, penalty, p1, paths)
    same(match, twins.winners(total, first, paths, volume))


def test_threads_and_tiles_do_not_change_the_result(motorcycle, monkeypatch):
    pair = motorcycle.pair
    left, right = (v.gray[100:190, 100:300].astype(np.uint16) for v in (pair.left, pair.right))
    gray, penalty = left.astype(np.uint8), penalties(25, 190, 16)
    results = []
    for threads, tile in (
        (1, (128, 32)),
        (2, (64, 32)),
        (4, (16, 8)),
        (3, (17, 5)),
        (1, (999, 99)),
    ):
        monkeypatch.setattr(moreglobal, "_TILE", tile)
        results.append(
            semiglobal(left, right, gray, -5, 70, 25, penalty, 8, threads, more_global=True)
        )
    for other in results[1:]:
        same(other, results[0])


def test_a_match_is_carried_around_the_corner():
    # Only one pixel, off the row and off the column of the other, is textured. A path along a line
    # never meets both; a traversal with two predecessors spreads over the quadrant.
    volume = np.full((6, 6, 8), 30)
    volume[0, 0, 5] = 0
    gray, penalty = np.zeros((6, 6), np.uint8), penalties(5, 100, 0)
    paths = twins.sums(volume, gray, penalty, 5, 8)
    traversals = twins.more_global_sums(volume, gray, penalty, 5, 8)
    assert np.ptp(paths[2, 5]) == 0
    assert traversals[2, 5].argmin() == 5


def test_it_is_an_option_of_sgm(motorcycle):
    pair, truth = motorcycle.pair, motorcycle.truth.values
    known = np.isfinite(truth)
    bad = {}
    for mgm in (False, True):
        found = SGM(mgm=mgm)(pair).values
        bad[mgm] = np.mean(np.abs(found - truth)[known] > 2)
    assert bad[True] < 1.1 * bad[False] < 0.1
    assert bad[True] != bad[False]


def test_more_paths_than_traversals_are_refused():
    with pytest.raises(UsageError, match=r"paths = 16: .*expected 4 or 8 with mgm"):
        SGM(mgm=True, paths=16)


def test_its_costs_are_counted_in_the_memory(motorcycle):
    whole = predict(500, 741, 128, mgm=True)
    assert whole - predict(500, 741, 128) == 500 * 741 * 128
    limit = predict(500, 741, 64) + 1000
    sgm_evidence(motorcycle.pair, SGM(max_disparity=64, memory_limit=limit, coarse_to_fine=False))
    with pytest.raises(ResourceError, match="MB"):
        sgm_evidence(
            motorcycle.pair,
            SGM(max_disparity=64, memory_limit=limit, coarse_to_fine=False, mgm=True),
        )
