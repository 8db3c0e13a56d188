"""Confidence of semi-global matching from its witnesses."""

import numpy as np

from fathom.classical.confidence import sgm_confidence, witnesses


def evidence(height=20, width=30):
    disparity = np.full((height, width), 10, np.float32)
    margin = np.full((height, width), 200, np.uint16)
    best = np.full((height, width), 160, np.uint16)
    difference = np.zeros((height, width), np.float32)
    return disparity, margin, best, difference


def at(change=None):
    """Confidence of the middle pixel after `change` was made to the evidence."""
    layers = evidence()
    if change is not None:
        change(*layers)
    return sgm_confidence(*layers, 8)[10, 15]


def test_each_witness_counts_in_the_right_direction():
    def narrow(disparity, margin, best, difference):
        margin[:] = 8

    def dear(disparity, margin, best, difference):
        best[:] = 900

    def torn(disparity, margin, best, difference):
        difference[:] = 3

    def outside(disparity, margin, best, difference):
        difference[:] = np.nan

    def alone(disparity, margin, best, difference):
        disparity[10, 15] = 14

    assert at() > 0.9
    for change in (narrow, dear, torn, outside, alone):
        assert at(change) < at() - 0.01, change.__name__
    assert at(outside) < at(torn)


def test_witnesses_by_hand():
    disparity, margin, best, difference = evidence()
    difference[0, 0], difference[0, 1], difference[0, 2] = np.nan, 9, 0.5
    layers = witnesses(disparity, margin, best, difference, 8)
    assert layers.shape == (5, 20, 30)
    np.testing.assert_allclose(layers[:, 5, 5], [1, np.log(26), 0, 0, 160 / 128], rtol=1e-6)
    np.testing.assert_allclose(layers[2, 0, :3], [4, 4, 0.5])


def test_four_and_eight_paths_are_on_one_scale():
    disparity, margin, best, difference = evidence()
    eight = sgm_confidence(disparity, margin, best, difference, 8)
    four = sgm_confidence(disparity, margin // 2, best // 2, difference, 4)
    np.testing.assert_allclose(four, eight, rtol=1e-6)


def test_confidence_stays_between_0_and_1_for_extreme_evidence():
    rng = np.random.default_rng(0)
    shape = (12, 12)
    found = sgm_confidence(
        rng.normal(0, 1e4, shape).astype(np.float32),
        rng.integers(0, 2**16, shape).astype(np.uint16),
        rng.integers(0, 2**16, shape).astype(np.uint16),
        rng.exponential(1e4, shape).astype(np.float32),
        8,
    )
    assert found.dtype == np.float32
    assert ((found >= 0) & (found <= 1)).all()
