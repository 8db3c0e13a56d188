"""Sub-pixel curves, against the curves themselves."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fathom.classical.refine_subpixel import (
    SUBPIXEL,
    equiangular,
    parabola,
    subpixel_offset,
    symmetric_v,
)
from fathom.core import UsageError

every = pytest.mark.parametrize("curve", list(SUBPIXEL.values()), ids=list(SUBPIXEL))


def three(before, at, after, dtype=np.float32):
    return (np.array([v], dtype) for v in (before, at, after))


def sampled(function, minimum):
    x = np.array([-1.0, 0.0, 1.0])
    return three(*function(x - minimum))


@pytest.mark.parametrize("minimum", [-0.5, -0.3, 0.0, 0.2, 0.49])
def test_each_curve_finds_its_own_minimum(minimum):
    found = parabola(*sampled(lambda x: 3 * x**2 + 7, minimum))
    assert found[0] == pytest.approx(minimum, abs=1e-5)
    found = equiangular(*sampled(lambda x: 5 * np.abs(x) + 2, minimum))
    assert found[0] == pytest.approx(minimum, abs=1e-5)


def test_by_hand():
    # l = 4, r = 2, k = 1/2: the minimum lies towards the cheaper right neighbour
    assert parabola(*three(14, 10, 12))[0] == pytest.approx(2 / 12)
    assert equiangular(*three(14, 10, 12))[0] == pytest.approx(2 / 8)
    assert symmetric_v(*three(14, 10, 12))[0] == pytest.approx(0.5 - 0.75 / 4)
    assert symmetric_v(*three(12, 10, 14))[0] == pytest.approx(-(0.5 - 0.75 / 4))


@every
def test_unsigned_costs_do_not_wrap(curve):
    assert curve(*three(9, 5, 9, np.uint8))[0] == 0
    assert curve(*three(200, 5, 6, np.uint8))[0] > 0.3
    # no minimum in the middle: 3 - 5 would be 254 in 8 bits
    assert curve(*three(3, 5, 9, np.uint8))[0] == 0


@every
def test_no_minimum_flat_or_unknown_costs_give_0(curve):
    for costs in [(1, 2, 3), (2, 2, 2), (np.inf, 1, 2), (np.nan, 1, 2), (np.inf, np.inf, np.inf)]:
        assert curve(*three(*costs))[0] == 0


@every
@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_offsets_stay_within_half_a_pixel_mirror_and_order(curve, seed):
    rng = np.random.default_rng(seed)
    before, at, after = rng.integers(0, 50, (3, 4, 5)).astype(np.uint16)
    at = np.minimum(at, np.minimum(before, after))
    offset = curve(before, at, after)
    assert offset.dtype == np.float32
    assert offset.shape == (4, 5)
    assert np.abs(offset).max() <= 0.5
    np.testing.assert_array_equal(curve(after, at, before), -offset)
    away = [np.abs(f(before, at, after)) for f in (parabola, equiangular, symmetric_v)]
    assert (away[0] <= away[1] + 1e-6).all()
    assert (away[1] <= away[2] + 1e-6).all()


def test_curves_by_name(unchecked):
    np.testing.assert_allclose(subpixel_offset("equiangular", *three(14, 10, 12)), [0.25])
    assert subpixel_offset("none", *three(14, 10, 12))[0] == 0
    with pytest.raises(UsageError, match="did you mean parabola"):
        subpixel_offset("parabel", *three(1, 1, 1))
    with pytest.raises(UsageError, match="differ in shape"):
        parabola(np.zeros(2), np.zeros(2), np.zeros(3))
