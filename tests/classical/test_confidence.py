"""Confidence of semi-global matching from its witnesses."""

import numpy as np
import pytest

from fathom.classical.confidence import (
    FILLED_WEIGHTS,
    WEIGHTS,
    local_deviation,
    sgm_confidence,
    with_filled,
    witnesses,
)
from fathom.core import Disparity, Source


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


def test_the_tables_say_what_the_weights_of_the_witnesses_say():
    rng = np.random.default_rng(1)
    shape = (70, 40)
    layers = (
        rng.normal(20, 1, shape).astype(np.float32),
        rng.integers(0, 900, shape).astype(np.uint16),
        rng.integers(0, 1200, shape).astype(np.uint16),
        np.where(rng.random(shape) < 0.1, np.nan, rng.exponential(1, shape)).astype(np.float32),
    )
    for paths in (4, 8, 16):
        score = np.tensordot(np.array(WEIGHTS, np.float32), witnesses(*layers, paths), axes=1)
        found = sgm_confidence(*layers, paths)
        np.testing.assert_allclose(found, 1 / (1 + np.exp(-score)), rtol=1e-4, atol=1e-6)


def deviation_twin(values, y, x):
    """Population standard deviation in the 15x15 window, mirrored at the border."""
    padded = np.pad(np.nan_to_num(values), 7, mode="reflect")
    return padded[y : y + 15, x : x + 15].std()


@pytest.mark.parametrize("threads", [1, 3])
def test_filled_pixels_by_distance_and_deviation(threads):
    rng = np.random.default_rng(2)
    values = rng.normal(300, 2, (200, 40)).astype(np.float32)
    source = np.full(values.shape, Source.MATCHED, np.uint8)
    source[60:70, 10:20] = Source.FILLED
    source[0] = Source.UNKNOWN
    values[0] = np.nan
    trust = rng.random(values.shape).astype(np.float32)
    found = with_filled(Disparity(values, None, source), trust, threads).confidence
    np.testing.assert_array_equal(found[0], 0)
    np.testing.assert_array_equal(found[1:60], trust[1:60])
    for y, x in ((60, 10), (63, 14), (64, 15), (69, 19)):
        distance = 1 + min(y - 60, 69 - y, x - 10, 19 - x)
        deviation = deviation_twin(values, y, x)
        score = np.dot(FILLED_WEIGHTS, [1, np.log1p(distance), np.log1p(deviation)])
        assert found[y, x] == pytest.approx(1 / (1 + np.exp(-score)), rel=1e-5)


def test_deviation_does_not_depend_on_the_rows_asked_for():
    values = np.random.default_rng(3).normal(500, 3, (50, 30)).astype(np.float32)
    whole = local_deviation(values, 0, 50)
    np.testing.assert_allclose(local_deviation(values, 20, 35), whole[20:35], rtol=1e-9)
    assert whole[25, 15] == pytest.approx(deviation_twin(values, 25, 15), rel=1e-6)


def test_nothing_filled_leaves_the_trust_as_it_is():
    values = np.array([[1, np.nan]], np.float32)
    found = with_filled(Disparity(values), np.full((1, 2), 0.5, np.float32))
    np.testing.assert_array_equal(found.confidence, [[0.5, 0]])
