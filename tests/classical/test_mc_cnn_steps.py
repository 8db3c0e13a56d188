"""The steps from MC-CNN's costs to a map, against plain loops, and where the answer is known."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fathom.classical.aggregate import cross_arms
from fathom.classical.mc_cnn import (
    STEPS,
    McCnnSteps,
    continue_border,
    disparity_of_costs,
    guide,
    interpolate,
    mirrored,
    near_mean,
)
from fathom.classical.path_costs import PathPenalties
from fathom.classical.refine_occlusion import Kind
from fathom.classical.volume import CostVolume, columns_inside
from fathom.core import Source, UsageError, View

PLAIN = McCnnSteps(PathPenalties(0.2, 0.5, 0.5), blur_sigma=0.5, blur_limit=1.0)


def inside(costs, first):
    """The volume with inf where the match is outside."""
    out = costs.astype(np.float32)
    for i in range(costs.shape[2]):
        start, end = columns_inside(costs.shape[1], first + i)
        out[:, :start, i] = np.inf
        out[:, end:, i] = np.inf
    return CostVolume(out, first)


def noise(height, width, levels, first, seed=0):
    return inside(np.random.default_rng(seed).random((height, width, levels)), first)


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 4), st.integers(1, 9), st.integers(1, 6), st.integers(-5, 6))
def test_the_mirror_s_costs_one_by_one_and_twice_mirrored_is_once_not(height, width, levels, first):
    volume = noise(height, width, levels, first)
    out = mirrored(volume)
    for x in range(width):
        for i in range(levels):
            at = width - 1 - x + first + i
            wanted = volume.costs[:, at, i] if 0 <= at < width else np.full(height, np.inf)
            np.testing.assert_array_equal(out.costs[:, x, i], wanted)
    np.testing.assert_array_equal(mirrored(out).costs, volume.costs)


def test_the_border_takes_the_column_before_it_where_both_have_a_cost():
    volume = noise(2, 6, 5, -1)
    out = continue_border(volume, 2)
    np.testing.assert_array_equal(out.costs[:, :4], volume.costs[:, :4])
    for x in (4, 5):
        for i in range(5):
            both = np.isfinite(volume.costs[0, [3, x], i]).all()
            np.testing.assert_array_equal(out.costs[:, x, i], volume.costs[:, 3 if both else x, i])
    np.testing.assert_array_equal(np.isinf(out.costs), np.isinf(volume.costs))
    assert continue_border(volume, 0) is volume and continue_border(volume, 6) is volume


def slow_interpolation(values, kinds):
    height, width = values.shape
    out = values.copy()
    for y in range(height):
        for x in range(width):
            if kinds[y, x] != Kind.OCCLUDED:
                continue
            known = [k for k in range(width) if kinds[y, k] == Kind.KNOWN]
            left = [k for k in known if k < x]
            at = max(left) if left else min(known, default=None)
            out[y, x] = np.nan if at is None else values[y, at]
    done = out.copy()
    steps = [
        (a, b)
        for a in (-1, -0.5, 0, 0.5, 1)
        for b in (-1, -0.5, 0, 0.5, 1)
        if max(abs(a), abs(b)) == 1
    ]
    assert len(steps) == 16
    for y in range(height):
        for x in range(width):
            if kinds[y, x] != Kind.MISMATCHED:
                continue
            found = []
            for dy, dx in steps:
                v, u, k = y, x, 0
                while 0 <= v < height and 0 <= u < width and kinds[v, u] == Kind.MISMATCHED:
                    k += 1
                    v, u = int(np.floor(y + k * dy + 0.5)), int(np.floor(x + k * dx + 0.5))
                if 0 <= v < height and 0 <= u < width and not np.isnan(out[v, u]):
                    found.append(out[v, u])
            done[y, x] = sorted(found)[len(found) // 2] if found else np.nan
    return done


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 7), st.integers(1, 8), st.integers(0, 999))
def test_interpolation_pixel_by_pixel(height, width, seed):
    rng = np.random.default_rng(seed)
    values = rng.integers(0, 30, (height, width)).astype(np.float32)
    kinds = rng.choice(3, (height, width), p=(0.5, 0.2, 0.3)).astype(np.uint8)
    np.testing.assert_array_equal(interpolate(values, kinds), slow_interpolation(values, kinds))


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 7), st.integers(1, 9), st.floats(0.4, 2.5), st.integers(0, 99))
def test_the_mean_of_what_is_near_pixel_by_pixel(height, width, sigma, seed):
    rng = np.random.default_rng(seed)
    values = rng.choice([3.0, 3.5, 4.25, 9.0, 9.75, np.nan], (height, width)).astype(np.float32)
    out = near_mean(values, sigma, 1.0)
    radius = int(np.ceil(3 * sigma))
    for y in range(height):
        for x in range(width):
            total = weight = 0.0
            for v in range(max(0, y - radius), min(height, y + radius + 1)):
                for u in range(max(0, x - radius), min(width, x + radius + 1)):
                    if abs(values[v, u] - values[y, x]) < 1:
                        w = np.exp(-((v - y) ** 2 + (u - x) ** 2) / (2 * sigma**2))
                        total, weight = total + w * values[v, u], weight + w
            wanted = total / weight if weight else np.nan
            np.testing.assert_allclose(out[y, x], wanted, rtol=1e-5)


def test_the_guide_is_what_the_network_sees():
    image = np.random.default_rng(0).integers(0, 256, (5, 7, 3)).astype(np.uint8)
    gray = image @ np.array((0.299, 0.587, 0.114))
    wanted = (gray - gray.mean()) / gray.std(ddof=1)
    np.testing.assert_allclose(guide(View(image)), wanted, rtol=1e-5, atol=1e-6)
    assert not guide(View(np.full((4, 4), 200, np.uint8))).any()


def test_the_pixel_next_to_one_belongs_to_its_cross_whatever_it_looks_like():
    row = np.array([[[0, 9, 0, 0, 9, 9]]], np.float32)
    ends = cross_arms(row, 4, 1.0)[1, 0]
    assert ends.tolist() == [0, 0, 1, 0, 1, 0]
    assert cross_arms(row, 4, 1.0, least=1)[1, 0].tolist() == [3, 1, 1, 1, 1, 0]


def scene(height=70, width=110):
    """Costs of a wall at 2.25 px with a box at 10 px before it, both views agreeing: a parabola
    over the disparities, and noise where the box hides a point from the right view. The last filter
    takes in what is 6 px off."""
    rng = np.random.default_rng(0)
    right_of = {}
    truth = np.full((height, width), 2.25)
    truth[10:60, 40:90] = 10
    hidden = np.zeros((height, width), bool)
    for y in range(height):
        for x in range(width):
            place = x - round(truth[y, x])
            if right_of.get((y, place), (-1, 0))[0] < truth[y, x]:
                right_of[y, place] = (truth[y, x], x)
    for y in range(height):
        for x in range(width):
            place = x - round(truth[y, x])
            hidden[y, x] = place < 0 or right_of[y, place][1] != x
    steps = np.arange(14)
    costs = np.minimum(0.05 * (steps - truth[..., None]) ** 2, 1)
    costs[hidden] = 0.6 + 0.4 * rng.random((int(hidden.sum()), 14))
    return inside(costs, 0), truth, hidden


@pytest.mark.parametrize(
    "name", ["mc-cnn-fast kitti2015", "mc-cnn-accurate kitti2012", "mc-cnn-accurate middlebury"]
)
def test_a_scene_with_a_box_before_a_wall(name):
    volume, truth, hidden = scene()
    flat = np.zeros(truth.shape, np.float32)
    flat[truth == 10] = 3
    right = np.zeros(truth.shape, np.float32)
    right[10:60, 30:80] = 3
    found = disparity_of_costs(volume, flat, right, STEPS[name], border=2)
    out = found.disparity
    assert out.range == (0.0, 13.0) and not np.isnan(out.values).any()
    seen = ~hidden
    seen[:, :4] = False
    good = np.abs(out.values - truth) <= 0.5
    away = seen.copy()  # a median of 5x5 rounds the corners of the box
    away[7:63, 37:93] = False
    assert good[away].all()
    assert good[seen].mean() > 0.9
    assert good[25:45, 50:80].all()
    # what only the left camera sees takes the wall's disparity, and is said to be filled
    beside = np.zeros_like(hidden)
    beside[14:56, 32:40] = True
    assert hidden[beside].any()
    assert np.median(np.abs(out.values - truth)[hidden & beside]) < 1
    assert (out.source[hidden & beside] == Source.FILLED).mean() > 0.7
    assert (out.source[seen] == Source.MATCHED).mean() > 0.9
    assert np.nanmax(found.difference[seen & (out.source == Source.MATCHED)]) < 2


def test_negative_disparities_and_the_same_bits_for_any_number_of_threads():
    volume, truth, _ = scene()
    flat = np.zeros(truth.shape, np.float32)
    there = disparity_of_costs(volume, flat, flat, PLAIN, threads=1)
    moved = inside(np.where(np.isfinite(volume.costs), volume.costs, 1.0), -6)
    shifted = disparity_of_costs(moved, flat, flat, PLAIN, threads=3)
    middle = np.s_[:, 30:80]
    np.testing.assert_allclose(
        shifted.disparity.values[middle], there.disparity.values[middle] - 6, atol=0.3
    )
    again = disparity_of_costs(volume, flat, flat, PLAIN, threads=4)
    np.testing.assert_array_equal(again.disparity.values, there.disparity.values)


def test_views_that_agree_nowhere_leave_everything_unknown():
    volume = inside(np.zeros((4, 6, 3)), 8)
    out = disparity_of_costs(volume, *[np.zeros((4, 6), np.float32)] * 2, PLAIN).disparity
    assert np.isnan(out.values).all() and (out.source == Source.UNKNOWN).all()


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"before": 17}, "before = 17: is no number of passes"),
        ({"after": -1}, "after = -1: is no number of passes"),
        ({"blur_sigma": 0.0}, "blur_sigma = 0.0: is out of range"),
        ({"blur_limit": 101.0}, "blur_limit = 101.0: is out of range"),
    ],
)
def test_steps_that_cannot_be(wrong, message):
    with pytest.raises(UsageError, match=message):
        McCnnSteps(PathPenalties(1, 2, 0.1), **wrong)
