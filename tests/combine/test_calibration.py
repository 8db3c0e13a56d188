"""Confidences that become true."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fathom.combine.calibration import Calibration, fit
from fathom.core import InputError


def drawn(scale, offset, count=40_000, seed=0):
    """Confidences of a net, and outcomes that follow `Calibration(scale, offset)` of them."""
    rng = np.random.default_rng(seed)
    said = rng.uniform(0.02, 0.98, count).astype(np.float32)
    return said, rng.random(count) < Calibration(scale, offset)(said)


@settings(deadline=None)  # the first call imports scipy
@given(st.floats(0.2, 3), st.floats(-2, 2))
def test_the_law_that_made_the_outcomes_is_found(scale, offset):
    found = fit(*drawn(scale, offset))
    assert found.scale == pytest.approx(scale, rel=0.1, abs=0.06)
    assert found.offset == pytest.approx(offset, abs=0.12)


def test_a_true_confidence_stays_and_the_order_is_kept():
    found = fit(*drawn(1, 0))
    assert (found.scale, found.offset) == pytest.approx((1, 0), abs=0.05)
    said = np.linspace(0.01, 1, 50, dtype=np.float32)
    assert (np.diff(Calibration(0.4, -3)(said)) > 0).all()
    assert Calibration()(said)[:-1] == pytest.approx(said[:-1], abs=1e-4)


def test_nothing_known_stays_nothing_and_the_ends_are_finite():
    ends = Calibration(2, 1)(np.array([0, 1, 0.5], np.float32))
    assert ends[0] == 0 and 0.999 < ends[1] <= 1 and ends[2] == pytest.approx(0.731, abs=1e-3)


def test_weights_count():
    said = np.full(100, 0.5, np.float32)
    right = np.arange(100) < 90
    even = np.where(right, 1 / 90, 1 / 10).astype(np.float32)
    assert fit(said, right)(said[:1])[0] == pytest.approx(0.9, abs=0.01)
    assert fit(said, right, even)(said[:1])[0] == pytest.approx(0.5, abs=0.01)


def test_confidences_that_mean_the_opposite_lose_their_say():
    said, right = drawn(1, 0)
    found = fit(said, ~right)
    assert found.scale == 1e-4 and found(said[:9]) == pytest.approx(1 - right.mean(), abs=1e-3)


@pytest.mark.parametrize("right", [np.ones(5, bool), np.zeros(5, bool), np.zeros(0, bool)])
def test_one_kind_of_pixel_is_not_enough(right):
    with pytest.raises(InputError, match=r"tells nothing about being wrong|no pixel with truth"):
        fit(np.full(right.size, 0.5, np.float32), right)


@pytest.mark.parametrize(
    "said", [{}, {"scale": 0, "offset": 1}, {"scale": "x", "offset": 1}, 3, {"scale": 1}]
)
def test_what_is_no_calibration(said):
    assert Calibration.of({}, "w.safetensors") is None
    with pytest.raises(InputError, match=r"w.safetensors.*holds no calibration"):
        Calibration.of({"calibration": said}, "w.safetensors")
