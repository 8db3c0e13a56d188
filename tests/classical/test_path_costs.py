"""Semi-global sums over given costs, against the recurrence written out pixel by pixel."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fathom.classical.path_costs import PathPenalties, path_costs
from fathom.classical.volume import CostVolume, columns_inside
from fathom.core import InputError, UsageError

USUAL = PathPenalties(0.4, 1.1, 0.5, 3.0, 6.0, 1.5)


def volume(height, width, levels, first=0, seed=0):
    rng = np.random.default_rng(seed)
    costs = rng.random((height, width, levels), dtype=np.float32)
    for i in range(levels):
        start, end = columns_inside(width, first + i)
        costs[:, :start, i] = np.inf
        costs[:, end:, i] = np.inf
    return CostVolume(costs, first)


def guides(height, width, seed=0):
    rng = np.random.default_rng(seed + 100)
    return [rng.random((height, width)).astype(np.float32) for _ in range(2)]


def slow(given, left, right, p):
    """The mean over four directions of L_r, as the authors' code has it."""
    height, width, levels = given.shape
    mean = np.zeros(given.shape)
    for dy, dx in ((0, 1), (0, -1), (1, 0), (-1, 0)):
        paths = np.full(given.shape, np.inf)
        rows = range(height) if dy >= 0 else range(height - 1, -1, -1)
        columns = range(width) if dx >= 0 else range(width - 1, -1, -1)
        for y in rows:
            for x in columns:
                v, u = y - dy, x - dx
                before = paths[v, u] if 0 <= v < height and 0 <= u < width else None
                for i in range(levels):
                    cost = float(given.costs[y, x, i])
                    if before is None or not np.isfinite(before).any():
                        paths[y, x, i] = cost
                        continue
                    match = x - given.first - i
                    inside = 0 <= match < width and 0 <= match - dx < width
                    steps = [
                        abs(left[y, x] - left[v, u]),
                        abs(right[y, match] - right[v, match - dx]) if inside else np.inf,
                    ]
                    edges = sum(s >= np.float32(p.edge) for s in steps)
                    by = (1, p.one_edge, p.both_edges)[edges]
                    low = before.min()
                    ways = [before[i], low + p.p2 / by]
                    if i > 0:
                        ways.append(before[i - 1] + p.p1 / by / (p.ground if dy == 1 else 1))
                    if i + 1 < levels:
                        ways.append(before[i + 1] + p.p1 / by / (p.ground if dy == -1 else 1))
                    paths[y, x, i] = cost + min(ways) - low
        mean += paths / 4
    return mean


@settings(max_examples=25, deadline=None)
@given(
    st.integers(1, 6), st.integers(1, 9), st.integers(1, 7), st.integers(-4, 5), st.integers(0, 99)
)
def test_the_recurrence_pixel_by_pixel(height, width, levels, first, seed):
    given = volume(height, width, levels, first, seed)
    left, right = guides(height, width, seed)
    out = path_costs(given, left, right, USUAL, threads=1)
    assert out.first == first
    np.testing.assert_allclose(out.costs, slow(given, left, right, USUAL), rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(np.isinf(out.costs), np.isinf(given.costs))


def test_more_columns_than_are_walked_side_by_side():
    given, views = volume(4, 37, 5), guides(4, 37)
    out = path_costs(given, *views, USUAL)
    np.testing.assert_allclose(out.costs, slow(given, *views, USUAL), rtol=1e-5, atol=1e-5)


def test_any_number_of_threads_gives_the_same_bits():
    given, views = volume(21, 40, 9), guides(21, 40)
    one = path_costs(given, *views, USUAL, threads=1)
    np.testing.assert_array_equal(one.costs, path_costs(given, *views, USUAL, threads=5).costs)


def test_smoothness_carries_a_disparity_over_a_gap_and_edges_let_it_jump():
    costs = np.full((1, 12, 6), 0.5, np.float32)
    costs[0, :4, 1] = 0
    costs[0, 8:, 4] = 0
    flat = np.zeros((1, 12), np.float32)
    step = np.where(np.arange(12) < 6, 0, 1).astype(np.float32)[None]
    # no match lies outside: only what paths do is looked at
    out = path_costs(CostVolume(costs, -20), flat, flat, PathPenalties(1, 3, 0.5, 4, 8))
    between = path_costs(CostVolume(costs, -20), step, step, PathPenalties(1, 3, 0.5, 4, 8))
    won = between.costs[0].argmin(axis=1)
    assert won[:6].tolist() == [1] * 6 and won[6:].tolist() == [4] * 6
    assert set(out.costs[0].argmin(axis=1)) <= {1, 2, 3, 4}


def test_the_ground_rises_towards_the_camera():
    """Down a road the disparity rises: that step costs less than falling."""
    costs = np.full((2, 1, 3), 1.0, np.float32)
    costs[0, 0, 1] = 0
    flat = np.zeros((2, 1), np.float32)
    out = path_costs(CostVolume(costs, -1), flat, flat, PathPenalties(0.8, 9, 0.5, ground=2))
    down = out.costs[1, 0] * 4 - 3 * 1.0  # three of four paths begin there, or come from below
    assert down[2] == pytest.approx(1.4) and down[0] == pytest.approx(1.8)


@pytest.mark.parametrize(
    "wrong", [{"p1": 0.0}, {"p2": np.inf}, {"edge": -1.0}, {"both_edges": 0.0}, {"ground": np.nan}]
)
def test_penalties_that_are_none(wrong):
    with pytest.raises(UsageError, match=f"{next(iter(wrong))}.* is out of range"):
        PathPenalties(**{"p1": 1.0, "p2": 2.0, "edge": 1.0, **wrong})


def test_a_jump_that_costs_less_than_a_step():
    with pytest.raises(UsageError, match="is below p1"):
        PathPenalties(2.0, 1.0, 0.1)


def test_guides_of_another_size(unchecked):
    with pytest.raises(
        InputError, match="right = '5x3': differs in size from the volume; expected 4x3"
    ):
        path_costs(
            volume(3, 4, 2), np.zeros((3, 4), np.float32), np.zeros((3, 5), np.float32), USUAL
        )
