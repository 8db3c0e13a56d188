"""The score without truth: by hand, and what must never win by it."""

import numpy as np
import pytest

from fathom.core import Disparity, InputError, StereoPair, View
from fathom.eval.agreement import consistency_cost, window_correlation
from fathom.geometry.consistency import left_right_difference

NAN = np.nan


def textured(height=40, width=120, shift=6, seed=0):
    rng = np.random.default_rng(seed)
    wide = rng.integers(0, 256, (height, width + shift, 3)).astype(np.uint8)
    return StereoPair(View(wide[:, :width]), View(wide[:, shift:]))


def constant(pair, value):
    return Disparity(np.full(pair.shape, value, np.float32))


def test_the_right_map_costs_almost_nothing():
    pair = textured()
    # 6 of 120 columns look outside of the right image and cost 1/2
    outside = 0.5 * 6 / 120
    assert consistency_cost(constant(pair, 6), constant(pair, 6), pair) == pytest.approx(
        outside, abs=0.01
    )


def test_unknown_is_half_and_contradiction_is_one():
    pair = textured()
    unknown = constant(pair, NAN)
    assert consistency_cost(unknown, constant(pair, 6), pair) == 0.5
    assert consistency_cost(constant(pair, 6), unknown, pair) == 0.5
    assert consistency_cost(constant(pair, 0), constant(pair, 5), pair) == 1


def test_degenerate_maps_lose_to_the_right_one():
    pair = textured()
    right = consistency_cost(constant(pair, 6), constant(pair, 6), pair)
    for value in (0, 3, 9):
        # a constant map agrees with itself everywhere, yet explains nothing
        cost = consistency_cost(constant(pair, value), constant(pair, value), pair)
        assert cost == pytest.approx(0.5, abs=0.05)
        assert cost > right + 0.3
    noise = np.random.default_rng(1).uniform(0, 20, (2, *pair.shape)).astype(np.float32)
    assert consistency_cost(Disparity(noise[0]), Disparity(noise[1]), pair) > 0.6


def correlation_twin(left, right, disparity):
    height, width = left.shape
    a, out = left.astype(float), np.full(left.shape, NAN)
    x = np.arange(width) - np.nan_to_num(disparity)
    b = np.array([np.interp(x[y], np.arange(width), right[y].astype(float)) for y in range(height)])
    pa, pb = (np.pad(v, 2, mode="edge") for v in (a, b))
    for y, u in zip(*np.nonzero(~np.isnan(disparity)), strict=True):
        wa, wb = pa[y : y + 5, u : u + 5], pb[y : y + 5, u : u + 5]
        both = (wa * wb).mean() - wa.mean() * wb.mean() + 4
        if -0.5 <= x[y, u] <= width - 0.5:
            out[y, u] = both / np.sqrt((wa.var() + 4) * (wb.var() + 4))
    return out


def test_correlation_equals_its_twin():
    rng = np.random.default_rng(2)
    left, right = rng.integers(0, 256, (2, 9, 20)).astype(np.uint8)
    disparity = rng.uniform(-3, 8, left.shape).astype(np.float32)
    disparity[rng.random(left.shape) < 0.2] = NAN
    found = window_correlation(left, right, disparity)
    np.testing.assert_allclose(found, correlation_twin(left, right, disparity), atol=0.02)


def test_flat_windows_are_alike_and_a_gain_does_not_matter():
    flat = np.full((9, 12), 90, np.uint8)
    zero = np.zeros((9, 12), np.float32)
    np.testing.assert_allclose(window_correlation(flat, flat + np.uint8(40), zero), 1, atol=1e-3)
    left = np.random.default_rng(3).integers(0, 120, (9, 12)).astype(np.uint8)
    np.testing.assert_allclose(window_correlation(left, 2 * left, zero), 1, atol=0.01)


def test_the_truth_of_the_real_pair_beats_what_is_worse(motorcycle):
    pair, truth = motorcycle.pair, motorcycle.truth
    values = np.where(truth.known, truth.values, np.float32(NAN))
    # the right view's truth: every left pixel drawn where it lands, near ones last
    right = np.full(pair.shape, NAN, np.float32)
    y, x = np.nonzero(truth.known)
    order = np.argsort(values[y, x])
    y, x = y[order], x[order]
    u = np.rint(x - values[y, x]).astype(int)
    inside = u >= 0
    right[y[inside], u[inside]] = values[y, x][inside]
    assert np.nanmedian(left_right_difference(values, right)) < 0.1
    true = consistency_cost(Disparity(values), Disparity(right), pair)
    assert true < 0.2
    off = consistency_cost(Disparity(values + 1.5), Disparity(right + 1.5), pair)
    assert off > true + 0.05
    coarse = [Disparity(np.rint(v / 8) * 8) for v in (values, right)]
    assert consistency_cost(*coarse, pair) > true + 0.05


def test_maps_of_another_size_are_named():
    pair = textured()
    small = Disparity(np.zeros((2, 2), np.float32))
    with pytest.raises(InputError, match="left"):
        consistency_cost(small, constant(pair, 1), pair)
    with pytest.raises(InputError, match="right"):
        consistency_cost(constant(pair, 1), small, pair)
