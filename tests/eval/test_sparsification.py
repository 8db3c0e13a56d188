"""Sparsification and calibration, against numbers worked out by hand and a plain twin."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fathom.core import Disparity, InputError, UsageError
from fathom.eval.sparsification import (
    area_under,
    ause,
    calibration_error,
    errors_and_confidence,
    oracle_auc,
    oracle_curve,
    reliability,
    sparsification_auc,
    sparsification_curve,
    wrong_curve,
    wrong_oracle,
)


def array(*values):
    return np.array(values, np.float64)


def test_the_curve_by_hand():
    wrong = array(1, 0, 0, 1)
    # removed first: 0.1 (wrong), then 0.5 (right), then 0.6 (wrong), kept to the end: 0.9
    confidence = array(0.1, 0.9, 0.5, 0.6)
    np.testing.assert_allclose(sparsification_curve(wrong, confidence, 4), [2 / 4, 1 / 3, 1 / 2, 0])
    np.testing.assert_allclose(sparsification_curve(wrong, -wrong, 4), [1 / 2, 1 / 3, 0, 0])
    area = (0.5 / 2 + 1 / 3 + 1 / 2 + 0) / 3
    assert sparsification_auc(wrong, confidence, 4) == pytest.approx(area)
    best = (0.5 / 2 + 1 / 3) / 3
    assert oracle_auc(wrong, 4) == pytest.approx(best)
    assert ause(wrong, confidence, 4) == pytest.approx(area - best)


def test_part_of_a_pixel_is_removed_where_the_share_asks_for_it():
    # half of three pixels is one and a half: the wrong one and half of the next
    curve = sparsification_curve(array(1, 0, 0), array(0.1, 0.5, 0.9), 2)
    np.testing.assert_allclose(curve, [1 / 3, 0])
    curve = sparsification_curve(array(0, 1, 0), array(0.1, 0.5, 0.9), 2)
    np.testing.assert_allclose(curve, [1 / 3, 0.5 / 1.5])


def test_a_constant_confidence_is_chance_in_any_order():
    wrong = array(1, 1, 0, 0, 0, 0, 0, 0)
    for order in (wrong, wrong[::-1].copy()):
        np.testing.assert_allclose(sparsification_curve(order, np.ones(8), 5), 0.25)
        assert sparsification_auc(order, np.ones(8)) == pytest.approx(0.25)


def test_errors_in_pixels_are_averaged():
    np.testing.assert_allclose(sparsification_curve(array(4, 2), array(0, 1), 2), [3, 2])
    assert area_under(array(3, 2)) == 2.5


def test_nothing_at_all():
    none = np.zeros(0)
    assert np.isnan(sparsification_curve(none, none)).all()
    assert np.isnan(calibration_error(none > 0, none))


def test_reliability_by_hand():
    good = np.array([True, False, True, True])
    confidence = array(0.2, 0.4, 0.9, 1.0)
    rows = reliability(good, confidence, 2)
    np.testing.assert_allclose(rows, [[0.3, 0.5, 2], [0.95, 1.0, 2]])
    assert calibration_error(good, confidence, 2) == pytest.approx((0.2 * 2 + 0.05 * 2) / 4)
    rows = reliability(good, confidence, 4)
    assert np.isnan(rows[2, :2]).all()
    assert rows[2, 2] == 0
    assert calibration_error(good, confidence, 4) == pytest.approx((0.8 + 0.4 + 0.05 * 2) / 4)


def test_only_pixels_known_in_both_are_judged():
    nan = np.nan
    estimate = Disparity(
        np.array([[1, 2, nan, 4]], np.float32), np.array([[0.1, 0.2, 0, 0.4]], np.float32)
    )
    truth = Disparity(np.array([[1.5, nan, 3, 2]], np.float32))
    errors, confidence = errors_and_confidence(estimate, truth)
    np.testing.assert_allclose(errors, [0.5, 2])
    np.testing.assert_allclose(confidence, [0.1, 0.4], rtol=1e-6)
    mask = np.array([[True, True, True, False]])
    assert len(errors_and_confidence(estimate, truth, mask)[0]) == 1


def test_what_cannot_be_judged(unchecked):
    one = Disparity(np.ones((1, 2), np.float32))
    with pytest.raises(InputError, match="no confidence"):
        errors_and_confidence(one, one)
    with pytest.raises(InputError, match="size"):
        errors_and_confidence(Disparity(np.ones((2, 2), np.float32)), one)
    with pytest.raises(InputError, match="length"):
        sparsification_curve(array(1), array(1, 2))
    with pytest.raises(InputError, match="NaN"):
        sparsification_curve(array(1), array(np.nan))
    with pytest.raises(UsageError, match="steps = 1"):
        sparsification_curve(array(1), array(1), 1)
    with pytest.raises(UsageError, match="bins = 0"):
        reliability(np.array([True]), array(1), 0)
    with pytest.raises(InputError, match=r"0\.\.1"):
        reliability(np.array([True]), array(1.5))

    one_float = np.ones(1, np.float32)
    with pytest.raises(InputError, match="length"):
        wrong_curve(np.array([True, False]), one_float)
    with pytest.raises(InputError, match=r"0\.\.1"):
        wrong_curve(np.array([True]), -one_float)
    with pytest.raises(UsageError, match="steps = 1"):
        wrong_curve(np.array([True]), one_float, 1)
    with pytest.raises(UsageError, match="steps = 0"):
        wrong_oracle(1, 2, 0)
    with pytest.raises(UsageError, match="steps = 1"):
        oracle_curve(array(1), 1)
    with pytest.raises(InputError, match="NaN"):
        oracle_curve(array(np.nan))


@settings(max_examples=80, deadline=None)
@given(
    n=st.integers(0, 60),
    steps=st.integers(2, 9),
    levels=st.integers(1, 40),
    seed=st.integers(0, 10**6),
)
def test_the_fast_curves_equal_the_plain_ones(n, steps, levels, seed):
    rng = np.random.default_rng(seed)
    wrong = rng.random(n) < 0.4
    confidence = (rng.integers(0, levels + 1, n) / levels).astype(np.float32)
    confidence[rng.random(n) < 0.1] = -0.0  # -0 is 0
    plain = sparsification_curve(wrong.astype(np.float64), confidence.astype(np.float64), steps)
    np.testing.assert_allclose(wrong_curve(wrong, confidence, steps), plain, atol=1e-12)
    oracle = sparsification_curve(wrong.astype(np.float64), -wrong.astype(np.float64), steps)
    np.testing.assert_allclose(wrong_oracle(int(wrong.sum()), n, steps), oracle, atol=1e-12)
    errors = np.round(rng.random(n), 1)
    oracle = sparsification_curve(errors, -errors, steps)
    np.testing.assert_allclose(oracle_curve(errors, steps), oracle, atol=1e-12)


def curve_twin(wrong, confidence, steps):
    """Each pixel cut into `steps` crumbs, equal confidences replaced by their mean."""
    level = np.array([wrong[confidence == c].mean() for c in confidence])
    crumbs = np.repeat(level[np.argsort(confidence)], steps)
    n = len(wrong)
    return [crumbs[i * n :].mean() for i in range(steps)]


@settings(max_examples=60, deadline=None)
@given(n=st.integers(1, 30), steps=st.integers(2, 9), seed=st.integers(0, 10**6))
def test_the_curve_equals_its_twin_and_no_confidence_beats_the_oracle(n, steps, seed):
    rng = np.random.default_rng(seed)
    wrong = (rng.random(n) < 0.4).astype(np.float64)
    confidence = rng.integers(0, 6, n) / 5
    curve = sparsification_curve(wrong, confidence, steps)
    np.testing.assert_allclose(curve, curve_twin(wrong, confidence, steps), atol=1e-9)
    assert ause(wrong, confidence, steps) >= -1e-12
    shuffled = rng.permutation(n)
    again = sparsification_curve(wrong[shuffled], confidence[shuffled], steps)
    np.testing.assert_allclose(again, curve, atol=1e-9)
    # only the order counts
    np.testing.assert_array_equal(sparsification_curve(wrong, 7 * confidence + 3, steps), curve)


@settings(max_examples=60, deadline=None)
@given(n=st.integers(1, 50), bins=st.integers(1, 12), seed=st.integers(0, 10**6))
def test_bins_hold_every_pixel_once_and_a_true_word_costs_nothing(n, bins, seed):
    rng = np.random.default_rng(seed)
    good = rng.random(n) < 0.5
    confidence = rng.random(n)
    rows = reliability(good, confidence, bins)
    assert rows[:, 2].sum() == n
    assert 0 <= calibration_error(good, confidence, bins) <= 1
    assert calibration_error(good, good.astype(np.float64), bins) == pytest.approx(0)
