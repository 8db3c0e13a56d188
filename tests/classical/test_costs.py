"""Matching costs against plain loops, hand-computed values, and what they claim not to mind."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fathom.classical import costs
from fathom.classical.costs import COSTS, cost_volume
from fathom.classical.volume import CostVolume, columns_inside, intensities
from fathom.core import InputError, ResourceError, StereoPair, UsageError, View

WINDOWS = {"ncc": 5, "zncc": 5}


def random_pair(height, width, seed=0, dtype=np.uint8):
    rng = np.random.default_rng(seed)
    top = np.iinfo(dtype).max
    a, b = (rng.integers(0, top + 1, (height, width, 3)).astype(dtype) for _ in range(2))
    return StereoPair(View(a), View(b))


def at(image, y, x):
    """The value there, borders repeated outward."""
    h, w = len(image), len(image[0])
    return image[min(max(y, 0), h - 1)][min(max(x, 0), w - 1)]


def census_twin(image, y, x, columns, rows):
    shifts = [
        (j, k)
        for j in range(-(rows // 2), rows // 2 + 1)
        for k in range(-(columns // 2), columns // 2 + 1)
    ]
    return [at(image, y + j, x + k) < image[y][x] for j, k in shifts if (j, k) != (0, 0)]


def hamming_twin(left, right, y, x, xr, columns, rows):
    a, b = census_twin(left, y, x, columns, rows), census_twin(right, y, xr, columns, rows)
    return sum(i != j for i, j in zip(a, b, strict=True))


def slope(image, y, x):
    return (at(image, y, x + 1) - at(image, y, x - 1)) / 2


def half_pixels(image, y, x):
    here = image[y][x]
    return [here, (here + at(image, y, x - 1)) / 2, (here + at(image, y, x + 1)) / 2]


def sampling_twin(a, b, y, xa, xb):
    around = half_pixels(b, y, xb)
    return max(0, a[y][xa] - max(around), min(around) - a[y][xa])


def correlation_twin(left, right, y, x, xr, window, centred):
    r = window // 2
    shifts = [(j, k) for j in range(-r, r + 1) for k in range(-r, r + 1)]
    a = np.array([at(left, y + j, x + k) for j, k in shifts])
    b = np.array([at(right, y + j, xr + k) for j, k in shifts])
    if centred:
        a, b = a - a.mean(), b - b.mean()
    norm = np.sqrt((a * a).sum() * (b * b).sum())
    return 1 - (a * b).sum() / norm if norm > 1e-2 else 1.0


def pixel_twin(cost, left, right, y, x, xr):
    """One cost of one channel, intensities 0..255."""
    difference = abs(left[y][x] - right[y][xr])
    if cost == "absolute":
        return difference
    if cost == "squared":
        return difference**2
    if cost.startswith("census"):
        columns, rows = (int(n) for n in cost.split("-")[1].split("x"))
        return hamming_twin(left, right, y, x, xr, columns, rows)
    if cost == "birchfield-tomasi":
        return min(sampling_twin(left, right, y, x, xr), sampling_twin(right, left, y, xr, x))
    assert cost in ("ncc", "zncc")
    return correlation_twin(left, right, y, x, xr, WINDOWS[cost], cost == "zncc")


def joint_twin(cost, lefts, rights, y, x, xr):
    """The two costs that join means over the channels."""

    def mean(values):
        return float(np.mean(list(values)))

    both = list(zip(lefts, rights, strict=True))
    difference = mean(abs(a[y][x] - b[y][xr]) for a, b in both)
    if cost == "ad-census":
        census = mean(hamming_twin(a, b, y, x, xr, 9, 7) for a, b in both)
        return (1 - np.exp(-difference / 10)) + (1 - np.exp(-census / 30))
    step = mean(abs(slope(a, y, x) - slope(b, y, xr)) for a, b in both)
    return 0.1 * min(difference, 7) + 0.9 * min(step, 2)


def volume_twin(pair, cost, first, end, color):
    lefts, rights = (intensities(v, color=color).astype(float) for v in (pair.left, pair.right))
    height, width = pair.shape
    out = np.full((height, width, end - first), np.inf)
    for y in range(height):
        for x in range(width):
            for d in range(first, end):
                if not 0 <= x - d < width:
                    continue
                if cost in ("ad-census", "gradient"):
                    out[y, x, d - first] = joint_twin(cost, lefts, rights, y, x, x - d)
                else:
                    each = [
                        pixel_twin(cost, a, b, y, x, x - d)
                        for a, b in zip(lefts, rights, strict=True)
                    ]
                    out[y, x, d - first] = np.mean(each)
    return out


@pytest.mark.parametrize("cost", COSTS)
@pytest.mark.parametrize(
    ("height", "width", "first", "end", "color"),
    [(5, 9, 0, 4, False), (6, 7, -3, 3, True), (1, 8, -2, 12, False), (7, 1, -1, 2, False)],
)
def test_every_cost_equals_its_plain_loops(cost, height, width, first, end, color):
    pair = random_pair(height, width, seed=height)
    found = cost_volume(pair, cost, first, end, color=color, window=WINDOWS.get(cost))
    expected = volume_twin(pair, cost, first, end, color)
    assert found.costs.flags.c_contiguous
    assert found.range == (first, end - 1)
    np.testing.assert_allclose(found.costs, expected, rtol=1e-5, atol=1e-4)


@settings(max_examples=25, deadline=None)
@given(
    cost=st.sampled_from(COSTS),
    height=st.integers(1, 5),
    width=st.integers(1, 6),
    first=st.integers(-9, 5),
    levels=st.integers(1, 5),
    color=st.booleans(),
    wide=st.booleans(),
)
def test_any_shape_range_and_depth(cost, height, width, first, levels, color, wide):
    pair = random_pair(height, width, seed=width, dtype=np.uint16 if wide else np.uint8)
    end = first + levels
    found = cost_volume(pair, cost, first, end, color=color, window=WINDOWS.get(cost))
    expected = volume_twin(pair, cost, first, end, color)
    np.testing.assert_allclose(found.costs, expected, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("window", [3, 9])
def test_a_window_averages_the_costs_that_exist(window):
    pair = random_pair(9, 12)
    single = cost_volume(pair, "absolute", -2, 5).costs
    found = cost_volume(pair, "absolute", -2, 5, window=window).costs
    r = window // 2
    for i, d in enumerate(range(-2, 5)):
        start, stop = columns_inside(12, d)
        inner = np.pad(single[:, start:stop, i], r, mode="edge")
        for y in range(9):
            for x in range(stop - start):
                mean = inner[y : y + window, x : x + window].mean(dtype=float)
                assert found[y, start + x, i] == pytest.approx(mean, rel=1e-5)


@pytest.mark.parametrize("cost", COSTS)
def test_an_identical_pair_costs_nothing_at_zero(cost):
    view = random_pair(12, 14).left
    found = cost_volume(StereoPair(view, view), cost, 0, 3, window=WINDOWS.get(cost))
    np.testing.assert_allclose(found.costs[..., 0], 0, atol=1e-6)
    assert found.costs[:, 3:, 1].mean() > 0.1


@pytest.mark.parametrize("cost", COSTS)
def test_sixteen_bit_means_the_same_as_eight(cost):
    pair = random_pair(8, 11)
    wide = StereoPair(*(View(v.image.astype(np.uint16) * 257) for v in (pair.left, pair.right)))
    # in colour: the grey of 8 bits is rounded more coarsely
    a, b = (
        cost_volume(p, cost, 0, 4, window=WINDOWS.get(cost), color=True).costs for p in (pair, wide)
    )
    np.testing.assert_allclose(a, b, rtol=1e-6)


@pytest.mark.parametrize(
    ("cost", "gain", "offset"),
    [
        ("ncc", 2, 0),
        ("zncc", 2, 30),
        ("census-5x5", 2, 30),
        ("census-7x7", 2, 30),
        ("census-9x7", 3, 11),
    ],
)
def test_gain_and_offset_do_not_matter_to_those_that_say_so(cost, gain, offset):
    rng = np.random.default_rng(1)
    left, right = (rng.integers(0, 70, (12, 15)).astype(np.uint8) for _ in range(2))
    plain = StereoPair(View(left), View(right))
    changed = StereoPair(View(left), View((right * gain + offset).astype(np.uint8)))
    a, b = (cost_volume(p, cost, -2, 4, window=WINDOWS.get(cost)).costs for p in (plain, changed))
    np.testing.assert_allclose(a, b, atol=1e-5)


def test_sampling_does_not_matter_to_birchfield_tomasi():
    # the same ramp seen half a pixel apart: 10 grey levels a pixel
    ramp = np.arange(0, 200, 10)
    pair = StereoPair(
        View(np.tile(ramp, (2, 1)).astype(np.uint8)),
        View(np.tile(ramp + 5, (2, 1)).astype(np.uint8)),
    )
    assert (cost_volume(pair, "birchfield-tomasi", 0, 1).costs == 0).all()
    assert (cost_volume(pair, "absolute", 0, 1).costs == 5).all()


def test_hand_computed_values():
    left = np.array([[[10.0, 20.0]]], np.float32)
    right = np.array([[[13.0, 16.0]]], np.float32)
    assert costs.absolute_difference(left, right).tolist() == [[3, 4]]
    assert costs.squared_difference(left, right).tolist() == [[9, 16]]
    bits = costs.census_bits(np.array([[[1.0, 3.0, 2.0]]], np.float32), 3, 1)
    # left of 3 is darker, and so is its right; left of 2 is not, its right is 2 itself
    assert [int(b).bit_count() for b in bits[0, 0]] == [0, 2, 0]
    joined = costs.ad_census(np.array([[10.0]], np.float32), np.array([[0.0]], np.float32))
    assert joined[0, 0] == pytest.approx(1 - np.exp(-1))


def test_threads_do_not_change_a_bit():
    pair = random_pair(90, 40)
    a, b = (cost_volume(pair, "zncc", 0, 9, threads=n).costs for n in (1, 3))
    np.testing.assert_array_equal(a, b)


def test_what_cannot_be_is_refused_in_one_line(unchecked):
    pair = random_pair(4, 6)
    for name, arguments, options in (
        ("cost", ("abslute", 0, 4), {}),
        ("end", ("absolute", 4, 4), {}),
        ("window", ("absolute", 0, 4), {"window": 4}),
        ("window", ("ncc", 0, 4), {"window": 1.5}),
        ("threads", ("absolute", 0, 4), {"threads": 0}),
    ):
        with pytest.raises(UsageError, match=name):
            cost_volume(pair, *arguments, **options)
    with pytest.raises(ResourceError, match="MB"):
        cost_volume(pair, "absolute", 0, 4, memory_limit=100)
    for bad in (np.zeros((2, 2), np.float32), np.zeros((2, 2, 2)), np.zeros((0, 2, 2), np.float32)):
        with pytest.raises(InputError, match="costs"):
            CostVolume(bad)
