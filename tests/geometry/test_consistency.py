"""Left-right difference and flying pixels, against plain loops and by hand."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from fathom.geometry.consistency import flying_pixels, left_right_difference

SMALL = hnp.arrays(
    np.float32,
    st.tuples(st.integers(1, 5), st.integers(1, 9)),
    elements=st.one_of(st.just(float("nan")), st.floats(-6, 9, width=32)),
)


def slow_left_right(left, right):
    out = np.full(left.shape, np.nan, np.float32)
    for y in range(left.shape[0]):
        for x in range(left.shape[1]):
            if math.isnan(left[y, x]):
                continue
            target = int(np.rint(np.float32(x) - left[y, x]))
            if 0 <= target < left.shape[1]:
                out[y, x] = abs(left[y, x] - right[y, target])
    return out


@given(SMALL, st.integers(0, 10))
def test_left_right_difference_is_its_slow_twin(left, seed):
    right = np.random.default_rng(seed).normal(2, 3, left.shape).astype(np.float32)
    np.testing.assert_array_equal(left_right_difference(left, right), slow_left_right(left, right))


def slow_flying(d, step):
    flags = np.zeros(d.shape, bool)
    height, width = d.shape
    for y in range(height):
        for x in range(width):
            if math.isnan(d[y, x]):
                continue
            rows, values, support = [], [], 0
            for dy in (-1, 0, 1):
                for dx in (-1, 0, 1):
                    v = d[y, x]
                    if 0 <= y + dy < height and 0 <= x + dx < width:
                        near = d[y + dy, x + dx]
                        if not math.isnan(near):
                            v = near
                            support += abs(dy) + abs(dx) == 1
                    rows.append([1, dx, dy])
                    values.append(v)
            a, b = np.array(rows, float), np.array(values, float)
            fit, *_ = np.linalg.lstsq(a, b, rcond=None)
            residual = np.abs(a @ fit - b).max()
            steep = abs(fit[1]) > step or abs(fit[2]) > step
            flags[y, x] = residual > step / 3 or steep or support < 2
    return flags


@given(SMALL)
def test_flying_pixels_is_its_slow_twin(d):
    # A hair off the thresholds, so that float32 and float64 agree on which side a value lies.
    np.testing.assert_array_equal(flying_pixels(d, 1.00007), slow_flying(d, 1.00007))


def test_a_slanted_plane_does_not_fly_and_a_step_does():
    y, x = np.mgrid[:20, :30]
    plane = (5 + 0.4 * x + 0.3 * y).astype(np.float32)
    inner = (slice(1, -1), slice(1, -1))
    assert not flying_pixels(plane)[inner].any()
    step = np.where(x < 15, 10, 14).astype(np.float32)
    flags = flying_pixels(step)
    assert flags[:, 14:16].all()
    assert not flags[:, :14].any()
    assert not flags[:, 16:].any()


def test_a_lonely_pixel_flies_and_unknown_ones_are_not_flagged():
    d = np.full((5, 5), np.nan, np.float32)
    d[2, 2] = 3
    flags = flying_pixels(d)
    assert flags[2, 2]
    assert flags.sum() == 1


@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (7, 1)])
def test_thin_maps(shape):
    assert flying_pixels(np.ones(shape, np.float32)).shape == shape
