"""Alignment by hand and against numpy's least squares."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fathom.core import InputError, UsageError
from fathom.eval.alignment import align, median_scale, scale_and_shift

NAN = np.nan


def grid(*values):
    return np.array([values], np.float32)


ALL = np.ones((1, 4), bool)


def test_none_changes_nothing():
    found = grid(1, NAN, 3, 4)
    same, done = align("none", found, grid(1, 2, 3, 4), ALL)
    assert same is found
    assert str(done) == "none"


def test_median_by_hand():
    found, done = align("median", grid(1, 2, 3, NAN), grid(10, 22, 30, 7), ALL)
    np.testing.assert_allclose(found, grid(11, 22, 33, NAN))
    assert (done.scale, done.shift, done.pixels) == (11, 0, 3)
    assert str(done) == "median (scale 11)"
    # only pixels inside the mask are fitted to
    found, done = align("median", grid(1, 2, 3, 4), grid(5, 2, 3, 4), np.array([[1, 0, 0, 0]]) > 0)
    assert done.scale == 5


def test_depth_and_inverse_depth_recover_what_was_done():
    truth = grid(1, 2, 4, 8)
    found, done = align("depth", (truth - 3) / 2, truth, ALL)
    np.testing.assert_allclose(found, truth, rtol=1e-6)
    assert (done.scale, done.shift) == (pytest.approx(2), pytest.approx(3))
    assert str(done) == "depth (scale 2, shift 3)"
    found, done = align("inverse-depth", 5 / truth + 7, truth, ALL)
    np.testing.assert_allclose(found, truth, rtol=1e-5)
    assert done.scale == pytest.approx(0.2)


def test_what_is_no_depth_after_the_fit():
    truth, wild = grid(1, 2, 3, 4), np.array([[True, True, True, False]])
    far_out = grid(1, 2, 3, -9)
    found, _ = align("depth", far_out, truth, wild)
    assert np.isnan(found[0, 3])
    found, _ = align("depth", far_out, truth, wild, (0.5, 3.5))
    np.testing.assert_allclose(found, grid(1, 2, 3, 0.5))
    # inverse depth below zero lies at the far end; unknown stays unknown
    inverse = grid(1, 1 / 2, 1 / 3, -1)
    found, _ = align("inverse-depth", inverse, truth, wild)
    assert np.isnan(found[0, 3])
    found, _ = align("inverse-depth", inverse, truth, wild, (0.5, 80))
    np.testing.assert_allclose(found, grid(1, 2, 3, 80), rtol=1e-5)
    found, _ = align("inverse-depth", grid(1, 1 / 2, 1 / 3, NAN), truth, wild, (0.5, 80))
    assert np.isnan(found[0, 3])


def test_what_cannot_be_fitted(unchecked):
    truth = grid(1, 2, 3, 4)
    with pytest.raises(UsageError, match="did you mean median"):
        align("medain", truth, truth, ALL)
    with pytest.raises(InputError, match="constant"):
        align("depth", grid(2, 2, 2, 2), truth, ALL)
    with pytest.raises(InputError, match="too few"):
        align("depth", truth, truth, np.array([[1, 0, 0, 0]]) > 0)
    with pytest.raises(InputError, match="too few"):
        median_scale(np.zeros(0), np.zeros(0))
    with pytest.raises(InputError, match="inverse depth"):
        median_scale(np.array([-1.0]), np.array([1.0]))


@settings(max_examples=50, deadline=None)
@given(n=st.integers(2, 40), seed=st.integers(0, 10**6))
def test_least_squares_equals_numpys(n, seed):
    rng = np.random.default_rng(seed)
    v, z = rng.normal(size=n), rng.normal(size=n)
    expected = np.linalg.lstsq(np.stack([v, np.ones(n)], 1), z, rcond=None)[0]
    np.testing.assert_allclose(scale_and_shift(v, z), expected, rtol=1e-7, atol=1e-9)
