"""sigma of a disparity from its confidence, and of a depth from that."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fathom.core import Disparity, Source, StereoRig
from fathom.core.uncertainty import DEFAULT_SIGMA_D, SUBPIXEL_NOISE, sigma_of_confidence

RIG = StereoRig.simple(4, 1, 100.0, 0.2)


def as_map(*values: float) -> np.ndarray:
    return np.array([values], np.float32)


def test_hand_computed_values():
    # 1 - c = 1/e gives b = 1, so sigma = sqrt(2); 1 - c = 1/e^2 half of it.
    c = as_map(1 - math.exp(-1), 1 - math.exp(-2))
    assert sigma_of_confidence(c)[0] == pytest.approx([2**0.5, 2**0.5 / 2], rel=1e-5)


@given(st.floats(0.05, 0.999))
def test_it_is_the_laplace_law_whose_share_within_one_pixel_is_the_confidence(c):
    sigma = float(sigma_of_confidence(as_map(c))[0, 0])
    scale = sigma / math.sqrt(2)
    assert 1 - math.exp(-1 / scale) == pytest.approx(np.float32(c), abs=2e-3)


def test_the_share_that_a_laplace_law_promises_is_met():
    rng = np.random.default_rng(0)
    confidence = rng.uniform(0.3, 0.98, 200_000).astype(np.float32)
    error = rng.laplace(0, -1 / np.log(1 - confidence))
    assert np.mean(np.abs(error) <= 1) == pytest.approx(confidence.mean(), abs=0.005)
    sigma = sigma_of_confidence(confidence[None])[0]
    assert np.mean(np.abs(error) <= sigma) == pytest.approx(0.757, abs=0.005)
    assert np.mean(np.abs(error) <= 2 * sigma) == pytest.approx(0.941, abs=0.005)


def test_ends_are_finite_and_ordered():
    sigma = sigma_of_confidence(as_map(0, 0.01, 0.5, 0.99, 1))[0]
    assert np.all(np.diff(sigma) <= 0)
    assert sigma[0] == sigma[1] < 28
    assert sigma[-1] == pytest.approx(SUBPIXEL_NOISE, rel=1e-3)


def test_depth_carries_sigma_from_confidence_filled_pixels_included():
    confidence = as_map(1 - math.exp(-2), 0.2, 0.0, 0.9)
    source = np.array([[Source.MATCHED, Source.FILLED, Source.UNKNOWN, Source.MATCHED]], np.uint8)
    values = as_map(10, 10, np.nan, -1)
    depth = Disparity(values, confidence, source).to_depth(RIG)
    # Z = 100 * 0.2 / 10 = 2 m; sigma = Z^2 / (f b) * sigma_d = 0.2 m a pixel
    assert depth.sigma[0, 0] == pytest.approx(0.2 * 2**0.5 / 2, rel=1e-5)
    assert depth.sigma[0, 1] == pytest.approx(0.2 * 2**0.5 / -math.log(0.8), rel=1e-5)
    assert np.isnan(depth.sigma[0, 2:]).all()
    assert depth.sigma.dtype == np.float32


def test_without_confidence_the_stated_default():
    depth = Disparity(as_map(10, 5, 1, 2)).to_depth(RIG)
    np.testing.assert_allclose(depth.sigma, depth.values**2 / 20 * DEFAULT_SIGMA_D, rtol=1e-5)


def test_a_given_sigma_d_wins_over_the_confidence():
    depth = Disparity(as_map(10, 5, 1, 2), as_map(0.1, 0.5, 0.9, 1)).to_depth(RIG, sigma_d=0.25)
    np.testing.assert_allclose(depth.sigma, depth.values**2 / 20 * 0.25, rtol=1e-5)


def test_sigma_stays_finite_at_the_edge_of_infinity():
    depth = Disparity(as_map(1e-30, 1e-35, 1, 1), as_map(0.5, 0.5, 0.5, 0.5)).to_depth(RIG)
    assert np.isfinite(depth.sigma[depth.known]).all()


def test_the_propagation_agrees_with_a_simulation():
    rng = np.random.default_rng(1)
    d = rng.normal(10, 0.05, 100_000).astype(np.float32)[None]
    rig = StereoRig.simple(100_000, 1, 100.0, 0.2)
    expected = Disparity(np.full_like(d, 10)).to_depth(rig, sigma_d=0.05).sigma[0, 0]
    assert float(rig.depth_of(d).std()) == pytest.approx(float(expected), rel=0.02)
