"""Calibration of sigma by hand, and on a normal distribution."""

import numpy as np
import pytest

from fathom.core import InputError
from fathom.eval.sigma import sigma_calibration


def array(*values):
    return np.array(values, np.float64)


def test_by_hand():
    found = sigma_calibration(array(1, -3, 0, np.nan, 9), array(1, 2, 5, 1, np.nan))
    assert found.within == (2 / 3, 1, 1)
    assert found.rms == pytest.approx(np.sqrt((1 + 2.25 + 0) / 3))
    assert found.median == 1
    assert found.pixels == 3
    assert found.expected == pytest.approx((0.6827, 0.9545, 0.9973), abs=1e-4)


def test_a_true_word_is_seen_as_one():
    rng = np.random.default_rng(0)
    sigma = rng.uniform(0.1, 3, 20000)
    found = sigma_calibration(rng.normal(0, sigma), sigma)
    assert found.within == pytest.approx(found.expected, abs=0.01)
    assert found.rms == pytest.approx(1, abs=0.02)
    assert found.median == pytest.approx(0.6745, abs=0.02)


def test_nothing_and_nonsense(unchecked):
    found = sigma_calibration(array(), array())
    assert found.pixels == 0
    assert np.isnan(found.rms)
    with pytest.raises(InputError, match="length"):
        sigma_calibration(array(1), array(1, 2))
    with pytest.raises(InputError, match="not positive"):
        sigma_calibration(array(1), array(0))
