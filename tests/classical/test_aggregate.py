"""Aggregation of costs against plain loops, and what each way promises."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fathom.classical import aggregate
from fathom.classical.aggregate import bilateral, box, cross_arms, cross_based, guided
from fathom.classical.costs import cost_volume
from fathom.classical.volume import CostVolume, columns_inside, intensities
from fathom.core import InputError, StereoPair, UsageError, View


def blotched(height, width, seed=0):
    """A pair of patches with noise, so that arms have all lengths."""
    rng = np.random.default_rng(seed)
    images = []
    for _ in range(2):
        patches = rng.integers(0, 4, (height // 3 + 1, width // 3 + 1, 3)) * 60
        image = patches.repeat(3, 0).repeat(3, 1)[:height, :width]
        images.append((image + rng.integers(0, 12, image.shape)).astype(np.uint8))
    return StereoPair(*map(View, images))


def volume_of(pair, first, end):
    return cost_volume(pair, "absolute", first, end)


def inside_planes(volume):
    """Index, disparity, first column, end, and the plane with its outside columns repeated."""
    _, width, levels = volume.shape
    for i in range(levels):
        disparity = volume.first + i
        start, stop = columns_inside(width, disparity)
        if start < stop:
            plane = volume.costs[:, start:stop, i].astype(float)
            full = np.pad(plane, ((0, 0), (start, width - stop)), mode="edge")
            yield i, disparity, start, stop, full


def outside_is_inf(volume, out):
    np.testing.assert_array_equal(np.isinf(volume.costs), np.isinf(out.costs))
    assert out.first == volume.first


def window_of(image, y, x, radius):
    padded = np.pad(image, [(radius, radius)] * 2 + [(0, 0)] * (image.ndim - 2), mode="edge")
    return padded[y : y + 2 * radius + 1, x : x + 2 * radius + 1]


def test_box_equals_plain_loops():
    pair = blotched(8, 11)
    volume = volume_of(pair, -3, 14)
    out = box(volume, 5)
    outside_is_inf(volume, out)
    for i, _, start, stop, full in inside_planes(volume):
        for y in range(8):
            for x in range(start, stop):
                assert out.costs[y, x, i] == pytest.approx(
                    window_of(full, y, x, 2).mean(), rel=1e-5
                )


@pytest.mark.parametrize("color", [False, True])
def test_guided_equals_its_linear_model(color):
    """In each window the costs are fitted by a linear function of the guide (Hosni, eq. 5-7)."""
    pair = blotched(9, 10)
    volume = volume_of(pair, -1, 3)
    out = guided(volume, pair.left, window=5, epsilon=6.5, color=color)
    outside_is_inf(volume, out)
    guide = intensities(pair.left, color=color).transpose(1, 2, 0).astype(float)
    for i, _, start, stop, full in inside_planes(volume):
        slope, offset = np.zeros(guide.shape), np.zeros(full.shape)
        for y in range(9):
            for x in range(10):
                g = window_of(guide, y, x, 2).reshape(25, -1)
                p = window_of(full, y, x, 2).reshape(25)
                spread = (g - g.mean(0)).T @ (g - g.mean(0)) / 25 + 6.5 * np.eye(g.shape[1])
                shared = (g - g.mean(0)).T @ (p - p.mean()) / 25
                slope[y, x] = np.linalg.solve(spread, shared)
                offset[y, x] = p.mean() - slope[y, x] @ g.mean(0)
        for y in range(9):
            for x in range(start, stop):
                a = window_of(slope, y, x, 2).reshape(25, -1).mean(0)
                expected = a @ guide[y, x] + window_of(offset, y, x, 2).mean()
                assert out.costs[y, x, i] == pytest.approx(expected, rel=1e-3, abs=1e-2)


def test_bilateral_equals_plain_loops():
    pair = blotched(7, 9)
    volume = volume_of(pair, -2, 3)
    out = bilateral(volume, pair.left, window=5, gamma_color=9.0, gamma_space=3.0)
    outside_is_inf(volume, out)
    guide = intensities(pair.left, color=True).transpose(1, 2, 0).astype(float)
    for i, _, start, stop, full in inside_planes(volume):
        for y in range(7):
            for x in range(start, stop):
                step = np.abs(window_of(guide, y, x, 2) - guide[y, x]).mean(axis=2)
                far = np.hypot(*np.mgrid[-2:3, -2:3])
                weight = np.exp(-step / 9 - far / 3)
                expected = (weight * window_of(full, y, x, 2)).sum() / weight.sum()
                assert out.costs[y, x, i] == pytest.approx(expected, rel=1e-4)


def arms_twin(guide, y, x, arm, tau):
    """Pixels reached to the left, right, up and down."""
    channels, height, width = guide.shape
    out = []
    for dy, dx in ((0, -1), (0, 1), (-1, 0), (1, 0)):
        n = 0
        while n < arm:
            yy, xx = y + (n + 1) * dy, x + (n + 1) * dx
            if not (0 <= yy < height and 0 <= xx < width):
                break
            if max(abs(guide[c, yy, xx] - guide[c, y, x]) for c in range(channels)) >= tau:
                break
            n += 1
        out.append(n)
    return out


def region_twin(guide, y, x, arm, tau):
    """All pixels of the cross-based region of one view (Zhang et al. 2009, equation 4)."""
    up, down = arms_twin(guide, y, x, arm, tau)[2:]
    region = set()
    for yy in range(y - up, y + down + 1):
        back, on = arms_twin(guide, yy, x, arm, tau)[:2]
        region |= {(yy, xx) for xx in range(x - back, x + on + 1)}
    return region


def test_arms_equal_plain_loops():
    guide = intensities(blotched(8, 13).left, color=True)
    arms = cross_arms(guide, 4, 20)
    for y in range(8):
        for x in range(13):
            assert arms[:, y, x].tolist() == arms_twin(guide, y, x, 4, 20)


@settings(max_examples=15, deadline=None)
@given(
    height=st.integers(1, 8),
    width=st.integers(1, 10),
    first=st.integers(-12, 9),
    arm=st.integers(1, 6),
    tau=st.sampled_from([5, 20, 300]),
    color=st.booleans(),
)
def test_cross_based_means_over_what_both_views_reach(height, width, first, arm, tau, color):
    pair = blotched(height, width, seed=width)
    volume = volume_of(pair, first, first + 3)
    left, right = (intensities(v, color=color) for v in (pair.left, pair.right))
    expected = volume.costs.astype(float)
    for _ in range(2):
        before = expected.copy()
        for i, disparity, start, stop, _ in inside_planes(volume):
            for y in range(height):
                for x in range(start, stop):
                    here = region_twin(left, y, x, arm, tau)
                    there = region_twin(right, y, x - disparity, arm, tau)
                    both = {(v, u) for v, u in here if (v, u - disparity) in there}
                    expected[y, x, i] = np.mean([before[v, u, i] for v, u in both])
    out = cross_based(volume, pair, arm=arm, tau=tau, iterations=2, color=color)
    outside_is_inf(volume, out)
    np.testing.assert_allclose(out.costs, expected, rtol=1e-5)


@pytest.mark.parametrize("name", ["box", "guided", "bilateral", "cross"])
def test_constant_costs_stay_and_threads_change_nothing(name):
    pair = blotched(20, 40)
    costs = np.where(np.isinf(volume_of(pair, 0, 20).costs), np.inf, 3).astype(np.float32)
    ways = {
        "box": lambda v, n: box(v, 7, threads=n),
        "guided": lambda v, n: guided(v, pair.left, threads=n),
        "bilateral": lambda v, n: bilateral(v, pair.left, window=5, threads=n),
        "cross": lambda v, n: cross_based(v, pair, threads=n),
    }
    out = ways[name](CostVolume(costs), 1)
    np.testing.assert_allclose(out.costs, costs, rtol=1e-3)
    volume = volume_of(pair, 0, 20)
    a, b = ways[name](volume, 1), ways[name](volume, 3)
    np.testing.assert_array_equal(a.costs, b.costs)


def test_an_edge_of_the_image_is_an_edge_of_the_costs():
    """Costs of a step under an image of a step: box blurs it, the adaptive ways keep it."""
    image = np.zeros((20, 20, 3), np.uint8)
    image[:, 10:] = 200
    pair = StereoPair(View(image), View(image))
    costs = np.where(np.arange(20) < 10, 0, 8).astype(np.float32)
    volume = CostVolume(np.tile(costs, (20, 1))[..., None])
    assert box(volume, 9).costs[10, 9, 0] > 3
    for out in (
        guided(volume, pair.left, window=9),
        bilateral(volume, pair.left, window=9),
        cross_based(volume, pair),
    ):
        assert (volume.costs[..., 0] == costs).all()
        assert out.costs[10, 9, 0] < 0.1
        assert out.costs[10, 10, 0] > 7.9


def test_what_cannot_be_is_refused_in_one_line(unchecked):
    pair = blotched(6, 8)
    volume = volume_of(pair, 0, 3)
    for call in (
        lambda: box(volume, 2),
        lambda: guided(volume, pair.left, epsilon=0),
        lambda: bilateral(volume, pair.left, window=43),
        lambda: bilateral(volume, pair.left, gamma_color=-1),
        lambda: cross_based(volume, pair, arm=0),
        lambda: cross_based(volume, pair, tau=0.0),
        lambda: cross_based(volume, pair, iterations=0),
    ):
        with pytest.raises(UsageError):
            call()
    with pytest.raises(InputError, match="8x6"):
        guided(volume, View(np.zeros((6, 9), np.uint8)))
    arms = cross_arms(intensities(pair.left), 3, 20)
    with pytest.raises(InputError, match="arms"):
        aggregate.cross_support(arms + np.uint8(5), arms, 1)
    with pytest.raises(InputError, match="plane"):
        aggregate.cross_support(arms, arms, 1)(np.zeros((3, 3), np.float32), 0)
