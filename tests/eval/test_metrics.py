"""Metrics by hand."""

import numpy as np
import pytest

from fathom.core import Disparity, InputError
from fathom.eval.metrics import bad, end_point_error, share_known

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
