"""Metrics by hand."""

import numpy as np
import pytest

from fathom.core import Disparity, InputError, UsageError
from fathom.eval.metrics import (
    bad,
    completeness,
    d1,
    end_point_error,
    error_quantile,
    root_mean_square,
    share_known,
)

TRUTH = Disparity(np.array([[1.0, 2.0, 3.0, np.nan, 5.0]], np.float32))
ESTIMATE = Disparity(np.array([[1.5, np.nan, 6.0, 9.0, 5.0]], np.float32))


def test_by_hand():
    assert end_point_error(ESTIMATE, TRUTH) == pytest.approx((0.5 + 3 + 0) / 3)
    assert bad(ESTIMATE, TRUTH, 1) == pytest.approx(2 / 4)  # the unknown one and the one off by 3
    assert bad(ESTIMATE, TRUTH, 3) == pytest.approx(1 / 4)  # 3 is not above 3
    assert share_known(ESTIMATE, TRUTH) == pytest.approx(3 / 4)
    mask = np.array([[True, False, False, True, True]])
    assert bad(ESTIMATE, TRUTH, 1, mask) == 0
    assert end_point_error(ESTIMATE, TRUTH, mask) == pytest.approx(0.25)


def test_nothing_to_judge_is_nan():
    nothing = np.zeros((1, 5), bool)
    assert np.isnan(bad(ESTIMATE, TRUTH, 1, nothing))
    assert np.isnan(share_known(ESTIMATE, TRUTH, nothing))
    assert np.isnan(end_point_error(Disparity(np.full((1, 5), np.nan, np.float32)), TRUTH))


def test_other_sizes_are_refused():
    with pytest.raises(InputError, match="differs in size"):
        bad(Disparity(np.zeros((2, 5), np.float32)), TRUTH, 1)


def test_rms_d1_and_quantiles_by_hand():
    assert root_mean_square(ESTIMATE, TRUTH) == pytest.approx(np.sqrt((0.25 + 9 + 0) / 3))
    # 3 px off is not above 3 px: only the unknown pixel is wrong
    assert d1(ESTIMATE, TRUTH) == pytest.approx(1 / 4)
    truth = Disparity(np.array([[10.0, 100.0, 100.0, -100.0]], np.float32))
    found = Disparity(np.array([[13.5, 104.0, 106.0, -106.0]], np.float32))
    # 3.5 of 10 is wrong; 4 of 100 is within 5 %; 6 of 100 is beyond both, of either sign
    assert d1(found, truth) == pytest.approx(3 / 4)
    errors = Disparity(np.arange(10, dtype=np.float32)[None])
    zero = Disparity(np.zeros((1, 10), np.float32))
    # ETH3D's rank: floor(10 * 0.5) = 5, counted from 0
    assert [error_quantile(errors, zero, p) for p in (50, 90, 95, 99, 100)] == [5, 9, 9, 9, 9]
    assert np.isnan(error_quantile(Disparity(np.full((1, 10), np.nan, np.float32)), zero, 50))
    with pytest.raises(UsageError, match="percent = 101"):
        error_quantile(errors, zero, 101)


def test_completeness_counts_what_was_measured():
    source = np.array([[1, 0, 2, 1, 1]], np.uint8)
    found = Disparity(ESTIMATE.values, source=source)
    # truth at 4 pixels: measured, unknown, filled, measured
    assert completeness(found, TRUTH) == pytest.approx(2 / 4)
    assert share_known(found, TRUTH) == pytest.approx(3 / 4)
    assert completeness(ESTIMATE, TRUTH) == pytest.approx(3 / 4)  # without codes all is measured
    assert np.isnan(completeness(found, TRUTH, np.zeros((1, 5), bool)))
    assert np.isnan(root_mean_square(found, TRUTH, np.zeros((1, 5), bool)))
    assert np.isnan(d1(found, TRUTH, np.zeros((1, 5), bool)))
