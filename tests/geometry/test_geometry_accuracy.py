"""The formulas of the error budget, by hand and against the geometry itself."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fathom.core import StereoRig, UsageError
from fathom.geometry.accuracy import (
    accuracy_at,
    baseline_for,
    depth_for,
    depth_sigma,
    disparities_for,
    focal_for,
    lateral_resolution,
    measurable_range,
    sigma_d_for,
)

RIG = StereoRig.simple(1280, 960, 700.0, 0.12)  # f b = 84 m px
POSITIVE = st.floats(0.01, 1000)


def test_one_depth_by_hand():
    a = accuracy_at(RIG, 5.0)
    assert a.disparity == pytest.approx(84 / 5)
    assert a.sigma == pytest.approx(25 * 0.25 / 84)
    assert a.relative == pytest.approx(5 * 0.25 / 84)
    assert a.nearer == pytest.approx(84 / (16.8 + 0.25))
    assert a.farther == pytest.approx(84 / (16.8 - 0.25))
    assert a.step == pytest.approx(25 / 84)
    assert a.lateral == pytest.approx(5 / 700)
    assert a.calibration == pytest.approx(25 * 0.1 / 84)
    assert a.focal == pytest.approx(5 * 0.1 / 700)
    assert a.baseline == pytest.approx(5 * 0.001 / 0.12)
    assert set(a.as_dict()) >= {"depth_m", "disparity_px", "sigma_m", "relative", "baseline_m"}


@given(st.floats(0.5, 20), st.floats(-20, 40))
def test_first_order_terms_are_what_a_changed_rig_does(depth, doffs):
    rig = StereoRig.simple(1280, 960, 700.0, 0.12, doffs=doffs)
    a = accuracy_at(rig, depth, calibration_error=1e-3, focal_error=1e-2, baseline_error=1e-6)
    d = a.disparity

    def z(focal=700.0, baseline=0.12, shift=0.0):
        return focal * baseline / (d + doffs + shift)

    assert z() == pytest.approx(depth)
    assert abs(z(shift=1e-3) - depth) == pytest.approx(a.calibration, rel=1e-2)
    assert z(focal=700.01) - depth == pytest.approx(a.focal, rel=1e-4)
    assert z(baseline=0.120001) - depth == pytest.approx(a.baseline, rel=1e-3)


def test_where_sigma_reaches_beyond_infinity():
    assert accuracy_at(RIG, 1000.0).farther == math.inf


def test_range_of_a_search():
    span = measurable_range(RIG, 128)
    assert span.nearest == pytest.approx(84 / 127)
    assert span.farthest == pytest.approx(84 / 0.5)  # two sigma_d from infinity
    span = measurable_range(RIG, 128, min_disparity=10)
    assert span.farthest == pytest.approx(84 / 10)
    rig = StereoRig.simple(741, 500, 1000.0, 0.2, doffs=30)
    span = measurable_range(rig, 70)
    assert (span.nearest, span.farthest) == pytest.approx((200 / 99, 200 / 30))


@given(st.floats(0.3, 50), st.floats(-20, 40))
def test_the_disparities_for_a_depth_reach_it_and_one_less_does_not(nearest, doffs):
    rig = StereoRig.simple(1280, 960, 700.0, 0.12, doffs=doffs)
    count = disparities_for(rig, nearest)
    if count > 1:
        assert 84 / (count - 1 + doffs) <= nearest * (1 + 1e-9)
        assert count - 2 + doffs <= 0 or 84 / (count - 2 + doffs) > nearest * (1 - 1e-9)


def test_which_baseline_for_one_percent_at_twenty_metres():
    # b = Z sigma_d / (relative f) = 20 * 0.25 / (0.01 * 700)
    b = baseline_for(0.01, 20, 700, 0.25)
    assert b == pytest.approx(5 / 7)
    assert depth_sigma(20, 700, b, 0.25) == pytest.approx(0.2)


@given(POSITIVE, POSITIVE, POSITIVE, st.floats(0.01, 5))
def test_the_inverse_questions_undo_the_formula(depth, focal, baseline, sigma_d):
    relative = depth_sigma(depth, focal, baseline, sigma_d) / depth
    assert baseline_for(relative, depth, focal, sigma_d) == pytest.approx(baseline)
    assert focal_for(relative, depth, baseline, sigma_d) == pytest.approx(focal)
    assert depth_for(relative, focal, baseline, sigma_d) == pytest.approx(depth)
    assert sigma_d_for(relative, depth, focal, baseline) == pytest.approx(sigma_d)


@pytest.mark.parametrize(
    "call",
    [
        lambda: depth_sigma(0.0, 1.0, 1.0, 1.0),
        lambda: depth_sigma(1.0, -1.0, 1.0, 1.0),
        lambda: lateral_resolution(math.nan, 1.0),
        lambda: baseline_for(0.0, 1.0, 1.0, 1.0),
        lambda: focal_for(1.0, math.inf, 1.0, 1.0),
        lambda: depth_for(1.0, 1.0, 1.0, 0.0),
        lambda: sigma_d_for(1.0, 1.0, 1.0, -2.0),
        lambda: disparities_for(RIG, 0.0),
        lambda: accuracy_at(RIG, -1.0),
        lambda: accuracy_at(RIG, 1.0, baseline_error=-1.0),
        lambda: accuracy_at(RIG, 1.0, calibration_error=math.nan),
        lambda: measurable_range(RIG, 0),
        lambda: measurable_range(RIG, 8, sigma_d=0.0),
        lambda: measurable_range(StereoRig.simple(9, 9, 9.0, 1.0, doffs=-50.0), 20),
    ],
)
def test_numbers_that_make_no_sense_are_named(call):
    with pytest.raises(UsageError, match="expected"):
        call()


@pytest.mark.parametrize("depth", [1e300, 1e-300])
def test_numbers_beyond_all_sense(depth):
    rig = StereoRig.simple(640, 480, 700.0, 0.12)
    with pytest.raises(UsageError, match=r"depth = .* is out of range; expected 1e-12 to 1e\+12"):
        accuracy_at(rig, depth)
