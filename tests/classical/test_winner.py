"""Winner takes all against plain loops, and by hand."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fathom.classical.costs import cost_volume
from fathom.classical.volume import CostVolume, columns_inside
from fathom.classical.winner import take_winner
from fathom.core import StereoPair, UsageError, View


def random_volume(height, width, levels, first, seed, steps=1000):
    rng = np.random.default_rng(seed)
    costs = rng.integers(0, steps, (height, width, levels)).astype(np.float32)
    for i in range(levels):
        start, stop = columns_inside(width, first + i)
        costs[:, :start, i] = np.inf
        costs[:, stop:, i] = np.inf
    return CostVolume(costs, first)


def twin(volume):
    """Disparity, best, second, margin and right view of whole disparities."""
    height, width, levels = volume.shape
    out = np.zeros((5, height, width))
    for y in range(height):
        for x in range(width):
            row = volume.costs[y, x]
            best = min(range(levels), key=lambda i: row[i])
            others = [row[i] for i in range(levels) if abs(i - best) > 1]
            second = min(others, default=np.inf)
            found = np.isfinite(row[best])
            out[0, y, x] = volume.first + best if found else np.nan
            out[1, y, x], out[2, y, x] = row[best], second
            out[3, y, x] = second - row[best] if found else 0
            seen = [
                (volume.costs[y, x + volume.first + i, i], volume.first + i)
                for i in range(levels)
                if 0 <= x + volume.first + i < width
            ]
            cost, disparity = min(seen, default=(np.inf, 0))
            out[4, y, x] = disparity if np.isfinite(cost) else np.nan
    return out


@settings(max_examples=60, deadline=None)
@given(
    height=st.integers(1, 20),
    width=st.integers(1, 40),
    levels=st.integers(1, 12),
    first=st.integers(-45, 45),
    seed=st.integers(0, 99),
    steps=st.sampled_from([3, 1000]),
)
def test_the_winner_equals_plain_loops(height, width, levels, first, seed, steps):
    volume = random_volume(height, width, levels, first, seed, steps)
    found = take_winner(volume, subpixel="none", threads=1)
    for name, values, expected in zip(found._fields, found, twin(volume), strict=True):
        np.testing.assert_array_equal(values, expected.astype(np.float32), name)


def test_any_memory_order_and_number_of_threads_gives_the_same():
    volume = random_volume(50, 33, 7, -2, seed=5)
    turned = np.ascontiguousarray(volume.costs.transpose(2, 0, 1)).transpose(1, 2, 0)
    first = take_winner(volume, threads=1)
    for other in (take_winner(volume, threads=3), take_winner(CostVolume(turned, -2))):
        for a, b in zip(first, other, strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(
    ("subpixel", "expected"),
    [
        # costs 6, 1, 4 around disparity 1: l = 5, r = 3
        ("none", 1.0),
        ("parabola", 1 + (5 - 3) / (2 * (5 + 3))),
        ("equiangular", 1 + (5 - 3) / (2 * 5)),
    ],
)
def test_sub_pixel_by_hand(subpixel, expected):
    # three pixels so that x = 2 sees disparities 0, 1 and 2
    costs = np.full((1, 3, 3), np.inf, np.float32)
    costs[0, 2] = (6, 1, 4)
    costs[0, 1, :2] = (6, 1)
    costs[0, 0, 0] = 2
    found = take_winner(CostVolume(costs), subpixel=subpixel)
    assert found.disparity[0, 2] == pytest.approx(expected)
    # no neighbour inside on one side: the whole disparity stays
    assert found.disparity[0, 1] == 1
    assert found.second.tolist() == [[np.inf, np.inf, np.inf]]


def test_an_identical_pair_has_disparity_zero():
    image = np.random.default_rng(0).integers(0, 256, (20, 30)).astype(np.uint8)
    pair = StereoPair(View(image), View(image))
    found = take_winner(cost_volume(pair, "absolute", -3, 6, window=7))
    assert np.abs(found.disparity).max() <= 0.5
    assert (found.right == 0).all()


def test_an_unknown_curve_is_refused(unchecked):
    with pytest.raises(UsageError, match="parabola"):
        take_winner(random_volume(2, 2, 2, 0, 0), subpixel="parabla")
