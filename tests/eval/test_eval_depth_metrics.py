"""Depth metrics by hand, and against numpy written out."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fathom.core import InputError, UsageError
from fathom.eval import depth_metrics as dm

NAN = np.nan


def row(*values):
    return np.array(values, np.float32)


TRUTH = row(1, 2, 4, 8)
FOUND = row(2, 2, 3, NAN)
MEANS = (
    dm.mean_absolute_error,
    dm.mean_square_error,
    dm.root_mean_square_error,
    dm.abs_rel,
    dm.sq_rel,
    dm.rmse_log,
    dm.log10,
    dm.silog,
    dm.scale_invariant_error,
)


def test_by_hand():
    a, b = math.log(2), math.log(3 / 4)
    assert dm.mean_absolute_error(FOUND, TRUTH) == pytest.approx((1 + 0 + 1) / 3)
    assert dm.mean_square_error(FOUND, TRUTH) == pytest.approx(2 / 3)
    assert dm.root_mean_square_error(FOUND, TRUTH) == pytest.approx(math.sqrt(2 / 3))
    assert dm.abs_rel(FOUND, TRUTH) == pytest.approx((1 + 0 + 0.25) / 3)
    assert dm.sq_rel(FOUND, TRUTH) == pytest.approx((1 + 0 + 0.25) / 3)
    assert dm.sq_rel(row(6), row(4)) == pytest.approx(1)  # 4 / 4, not 4 / 16
    assert dm.rmse_log(FOUND, TRUTH) == pytest.approx(math.sqrt((a * a + b * b) / 3))
    assert dm.log10(FOUND, TRUTH) == pytest.approx((math.log10(2) + math.log10(4 / 3)) / 3)
    spread = (a * a + b * b) / 3 - ((a + b) / 3) ** 2
    assert dm.silog(FOUND, TRUTH) == pytest.approx(100 * math.sqrt(spread))
    assert dm.scale_invariant_error(FOUND, TRUTH) == pytest.approx(spread)
    half = (a * a + b * b) / 3 - 0.5 * ((a + b) / 3) ** 2
    assert dm.scale_invariant_error(FOUND, TRUTH, 0.5) == pytest.approx(half)


def test_delta_counts_unknown_as_wrong_and_is_strict():
    assert dm.delta(FOUND, TRUTH, 1) == pytest.approx(1 / 4)
    assert dm.delta(FOUND, TRUTH, 2) == pytest.approx(2 / 4)  # 4 / 3 < 1.5625
    assert dm.delta(FOUND, TRUTH, 3) == pytest.approx(2 / 4)  # 2 > 1.953
    assert dm.delta(row(1.25), row(1), 1) == 0  # not below 1.25
    with pytest.raises(UsageError, match="power = 0"):
        dm.delta(FOUND, TRUTH, 0)


def test_nothing_is_nan():
    none = row()
    for metric in (*MEANS, dm.delta):
        assert np.isnan(metric(none, none))
    for metric in MEANS:
        assert np.isnan(metric(row(NAN), row(1)))
    assert dm.delta(row(NAN), row(1)) == 0


def test_what_cannot_be_judged(unchecked):
    with pytest.raises(InputError, match="length"):
        dm.abs_rel(row(1), row(1, 2))
    with pytest.raises(InputError, match="estimate = -1"):
        dm.abs_rel(row(-1), row(1))
    with pytest.raises(InputError, match="truth = 0"):
        dm.delta(row(1), row(0))


@settings(max_examples=50, deadline=None)
@given(n=st.integers(1, 40), seed=st.integers(0, 10**6), factor=st.floats(0.1, 10))
def test_silog_is_blind_to_a_factor_and_relative_errors_to_the_unit(n, seed, factor):
    rng = np.random.default_rng(seed)
    truth = rng.uniform(0.5, 80, n).astype(np.float32)
    found = (truth * rng.uniform(0.7, 1.4, n)).astype(np.float32)
    scaled = (found * np.float32(factor)).astype(np.float32)
    assert dm.silog(scaled, truth) == pytest.approx(dm.silog(found, truth), abs=1e-3)
    mm = [(v * np.float32(1000)).astype(np.float32) for v in (found, truth)]
    assert dm.abs_rel(*mm) == pytest.approx(dm.abs_rel(found, truth), rel=1e-4)
    assert dm.sq_rel(*mm) == pytest.approx(1000 * dm.sq_rel(found, truth), rel=1e-3)
