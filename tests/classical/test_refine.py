"""Refinement of maps, each against a plain twin, and what all of them keep."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fathom.classical import refine
from fathom.core import Disparity, InputError, Source, UsageError, View
from fathom.eval.metrics import bad

NAN = np.nan


def rows(*lines):
    return Disparity(np.array(lines, np.float32))


def sample(seed, height=9, width=11, levels=5, unknown=0.3):
    """A random map with few values, a random picture with few colours, and all layers."""
    rng = np.random.default_rng(seed)
    values = rng.integers(0, levels, (height, width)).astype(np.float32)
    values[rng.random(values.shape) < unknown] = NAN
    known = ~np.isnan(values)
    confidence = np.where(known, rng.random(values.shape), 0).astype(np.float32)
    source = np.where(known, Source.MATCHED, Source.UNKNOWN).astype(np.uint8)
    image = View((rng.integers(0, 4, (height, width, 3)) * 20).astype(np.uint8))
    return Disparity(values, confidence, source, (0, 31)), image


SMOOTHERS = {
    "median 3": lambda d, image: refine.median(d, 3),
    "median 7": lambda d, image: refine.median(d, 7),
    "weighted median": lambda d, image: refine.weighted_median(d, image, 2, 10),
    "bilateral": lambda d, image: refine.bilateral(d, image, 2),
    "edge-aware": refine.edge_aware_smooth,
}
smoothers = pytest.mark.parametrize("smooth", list(SMOOTHERS.values()), ids=list(SMOOTHERS))


@smoothers
@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    height=st.integers(1, 12),
    width=st.integers(1, 14),
    unknown=st.sampled_from([0.0, 0.3, 0.9, 1.0]),
)
def test_smoothing_keeps_layers_range_and_what_is_unknown(smooth, seed, height, width, unknown):
    before, image = sample(seed, height, width, unknown=unknown)
    after = smooth(before, image)
    np.testing.assert_array_equal(after.known, before.known)
    np.testing.assert_array_equal(after.confidence, before.confidence)
    np.testing.assert_array_equal(after.source, before.source)
    assert after.range == before.range
    if before.known.any():
        assert np.nanmin(after.values) >= np.nanmin(before.values)
        assert np.nanmax(after.values) <= np.nanmax(before.values)


@smoothers
def test_smoothing_keeps_a_constant_map_and_repeats(smooth):
    disparity, image = sample(3)
    constant = Disparity(np.where(disparity.known, np.float32(7.25), np.float32(NAN)))
    np.testing.assert_allclose(smooth(constant, image).values, constant.values, atol=1e-5)
    once, twice = (smooth(disparity, image).values for _ in range(2))
    np.testing.assert_array_equal(once, twice)


@smoothers
def test_unknown_pixels_have_no_say(smooth):
    # a hole of NaN and one of any number that is marked unknown must be the same
    disparity, image = sample(4, unknown=0.5)
    far = Disparity(disparity.values + np.float32(1000), disparity.confidence)
    np.testing.assert_allclose(
        smooth(far, image).values - 1000, smooth(disparity, image).values, atol=2e-3
    )


def median_twin(values, size):
    out, r = values.copy(), size // 2
    padded = np.pad(values, r, mode="edge")
    for y, x in zip(*np.nonzero(~np.isnan(values)), strict=True):
        window = padded[y : y + size, x : x + size]
        inside = sorted(window[~np.isnan(window)])
        out[y, x] = inside[(len(inside) - 1) // 2]
    return out


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    size=st.sampled_from([3, 5, 7]),
    unknown=st.sampled_from([0.0, 0.02, 0.3]),
)
def test_median_equals_its_twin(seed, size, unknown):
    disparity, _ = sample(seed, unknown=unknown)
    found = refine.median(disparity, size).values
    np.testing.assert_array_equal(found, median_twin(disparity.values, size))


def weighted_median_twin(disparity, image, radius, sigma):
    values, rgb = disparity.values, image.rgb8.astype(int)
    out = values.copy()
    for y, x in zip(*np.nonzero(disparity.known), strict=True):
        window = np.s_[max(0, y - radius) : y + radius + 1, max(0, x - radius) : x + radius + 1]
        known = ~np.isnan(values[window])
        far = np.abs(rgb[window] - rgb[y, x]).sum(axis=2)[known]
        weight = np.rint(65536 * np.exp(-far / (3 * sigma))).astype(int)
        inside = values[window][known]
        heavy = [v for v in sorted(set(inside)) if 2 * weight[inside <= v].sum() >= weight.sum()]
        out[y, x] = heavy[0]
    return out


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    radius=st.integers(1, 4),
    sigma=st.sampled_from([0.5, 10.0, 1000.0]),
    levels=st.sampled_from([2, 6, 1000]),
)
def test_weighted_median_equals_its_twin_on_any_number_of_threads(seed, radius, sigma, levels):
    disparity, image = sample(seed, 20, 9, levels)
    twin = weighted_median_twin(disparity, image, radius, sigma)
    for threads in (1, 3):
        found = refine.weighted_median(disparity, image, radius, sigma, threads).values
        np.testing.assert_array_equal(found, twin)


def bilateral_twin(disparity, image, radius, space, color):
    values, rgb, out = disparity.values, image.rgb8.astype(float), disparity.values.copy()
    height, width = values.shape
    for y, x in zip(*np.nonzero(disparity.known), strict=True):
        total = mean = 0.0
        for dy in range(-radius, radius + 1):
            for dx in range(-radius, radius + 1):
                # beyond the border the nearest pixel counts again, at its own distance
                v, u = min(max(y + dy, 0), height - 1), min(max(x + dx, 0), width - 1)
                if dy**2 + dx**2 > radius**2 or np.isnan(values[v, u]):
                    continue
                c = np.abs(rgb[v, u] - rgb[y, x]).sum()
                w = np.exp(-(dy**2 + dx**2) / (2 * space**2) - c**2 / (2 * color**2))
                w *= max(disparity.confidence[v, u], 1e-3)
                total, mean = total + w, mean + w * values[v, u]
        out[y, x] = mean / total
    return out


@pytest.mark.parametrize("radius", [1, 2, 3])
def test_bilateral_equals_its_twin(radius):
    disparity, image = sample(radius)
    found = refine.bilateral(disparity, image, radius, 1.5, 30).values
    np.testing.assert_allclose(found, bilateral_twin(disparity, image, radius, 1.5, 30), atol=2e-3)


def test_edges_of_the_image_stop_the_smoothing_and_confidence_weighs():
    image = np.full((20, 40, 3), 30, np.uint8)
    image[:, 20:] = 220
    values = np.full((20, 40), 5, np.float32)
    values[:, 20:] = 25
    values[10, 10] = 9
    smooth = refine.edge_aware_smooth(Disparity(values), View(image), 500, 5).values
    assert np.abs(smooth[:, :20] - 5).max() < 0.5
    assert np.abs(smooth[:, 20:] - 25).max() < 0.5
    flat = View(np.full((20, 40, 3), 30, np.uint8))
    assert (
        np.abs(refine.edge_aware_smooth(Disparity(values), flat, 500, 5).values - values).max() > 3
    )
    doubt = np.ones((20, 40), np.float32)
    doubt[10, 10] = 0
    trusted = refine.edge_aware_smooth(Disparity(values), View(image), 1, 5).values
    doubted = refine.edge_aware_smooth(Disparity(values, doubt), View(image), 1, 5).values
    assert abs(doubted[10, 10] - 5) < 0.2 * abs(trusted[10, 10] - 5)


def test_left_right_check_by_hand():
    left = Disparity(
        np.array([[1, 1, 1, 2, 1.4, NAN]], np.float32),
        np.full((1, 6), 0.5, np.float32),
        np.array([[1, 1, 1, 1, 1, 0]], np.uint8),
        (0, 3),
    )
    right = rows([1, 0, NAN, 1, 1, 1])
    # x 0 leaves the image; 1 meets 1; 2 meets 0; 3 meets 0 (2 off); 4 meets d 1 at x 3; 5 unknown
    found = refine.left_right_check(left, right, 1)
    np.testing.assert_array_equal(found.known, [[False, True, True, False, True, False]])
    np.testing.assert_allclose(found.confidence, [[0, 0.5, 0.5, 0, 0.5, 0]])
    np.testing.assert_array_equal(found.source, [[0, 1, 1, 0, 1, 0]])
    assert found.range == (0, 3)
    strict = refine.left_right_check(left, right, 0.3)
    np.testing.assert_array_equal(strict.known, [[False, True, False, False, False, False]])
    # the right pixel that is met is unknown
    assert not refine.left_right_check(rows([0, 0, 0, 0]), rows([NAN] * 4)).known.any()


def test_uniqueness_by_hand():
    best = np.array([[100, 100, 100, 0, 50]], np.uint16)
    second = np.array([[110, 109, 100, 0, 60]], np.uint16)
    found = refine.uniqueness(rows([1, 1, 1, 1, NAN]), best, second, 10)
    np.testing.assert_array_equal(found.known, [[True, False, False, True, False]])
    assert refine.uniqueness(rows([1]), best[:, :1], np.full((1, 1), np.inf), 50).known.all()
    assert refine.uniqueness(rows([1]), best[:, 2:3], second[:, 2:3], 0).known.all()


def speckle_twin(values, size, step):
    """Flood fill from every pixel."""
    out = values.copy()
    height, width = values.shape
    for y, x in zip(*np.nonzero(~np.isnan(values)), strict=True):
        island, todo = {(y, x)}, [(y, x)]
        while todo:
            v, u = todo.pop()
            for a, b in ((v - 1, u), (v + 1, u), (v, u - 1), (v, u + 1)):
                inside = 0 <= a < height and 0 <= b < width and (a, b) not in island
                if inside and abs(values[a, b] - values[v, u]) <= step:
                    island.add((a, b))
                    todo.append((a, b))
        if len(island) <= size:
            out[y, x] = NAN
    return out


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    size=st.integers(0, 12),
    step=st.sampled_from([0.0, 1.0, 2.0]),
    offset=st.sampled_from([-300.0, 0.0, 1e4]),
)
def test_speckles_equal_their_twin(seed, size, step, offset):
    disparity, _ = sample(seed, levels=4, unknown=0.2)
    shifted = Disparity(disparity.values + np.float32(offset), disparity.confidence)
    found = refine.remove_speckles(shifted, size, step)
    np.testing.assert_array_equal(found.values, speckle_twin(shifted.values, size, step))
    assert (found.confidence[~found.known] == 0).all()


def test_speckles_of_a_very_wide_range():
    values = np.zeros((6, 6), np.float32)
    values[2, 2], values[4, 4] = 1e6, -1e6
    found = refine.remove_speckles(Disparity(values), 1, 2)
    assert np.count_nonzero(~found.known) == 2


@pytest.mark.parametrize(
    ("call", "field"),
    [
        (lambda d, v: refine.left_right_check(d, d, -1), "threshold"),
        (lambda d, v: refine.uniqueness(d, d.values, d.values, -1), "percent"),
        (lambda d, v: refine.remove_speckles(d, -1), "size"),
        (lambda d, v: refine.remove_speckles(d, 5, -1.0), "step"),
        (lambda d, v: refine.median(d, 4), "size"),
        (lambda d, v: refine.median(d, 33), "size"),
        (lambda d, v: refine.median(d, 2.5), "size"),
        (lambda d, v: refine.weighted_median(d, v, 0), "radius"),
        (lambda d, v: refine.weighted_median(d, v, 16), "radius"),
        (lambda d, v: refine.weighted_median(d, v, 3, 0), "sigma"),
        (lambda d, v: refine.weighted_median(d, v, 3, threads=0), "threads"),
        (lambda d, v: refine.bilateral(d, v, 0.5), "radius"),
        (lambda d, v: refine.bilateral(d, v, 3, NAN), "sigma_space"),
        (lambda d, v: refine.bilateral(d, v, 3, 1, -1), "sigma_color"),
        (lambda d, v: refine.edge_aware_smooth(d, v, 0), "strength"),
        (lambda d, v: refine.edge_aware_smooth(d, v, 5, np.inf), "sigma_color"),
    ],
)
def test_bad_parameters_are_named(unchecked, call, field):
    with pytest.raises(UsageError, match=field):
        call(*sample(0))


def test_sizes_that_do_not_fit_are_named(unchecked):
    disparity, image = sample(0)
    small = rows([1, 2])
    with pytest.raises(InputError, match="right"):
        refine.left_right_check(disparity, small)
    with pytest.raises(InputError, match="second"):
        refine.uniqueness(small, np.ones((1, 2)), np.ones((2, 2)), 5)
    for smooth in (refine.weighted_median, refine.bilateral, refine.edge_aware_smooth):
        with pytest.raises(InputError, match="image"):
            smooth(small, image)


def test_a_weighted_median_repairs_edges_of_the_real_pair(motorcycle):
    # the truth's edges smeared by a box: the picture says where they belong
    import cv2

    truth = motorcycle.truth
    flat = np.where(truth.known, truth.values, np.float32(np.nanmedian(truth.values)))
    smeared = Disparity(cv2.boxFilter(flat, -1, (5, 5)))
    window = np.s_[150:300, 250:450]
    image = View(motorcycle.pair.left.image[window])
    part, goal = Disparity(smeared.values[window]), Disparity(truth.values[window])
    assert bad(refine.weighted_median(part, image, 4), goal, 2) < 0.9 * bad(part, goal, 2)
