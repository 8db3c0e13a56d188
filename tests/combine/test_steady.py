"""Frames of a video held steady: lines, static pixels, moving cameras, cuts, smoothing."""

import numpy as np
import pytest

from fathom.combine.steady import (
    SAME,
    Hold,
    Line,
    fitted_line,
    flow_between,
    held,
    smoothed,
    warped,
)
from fathom.core import Depth, RelativeDepth

H, W = 96, 128
RNG = np.random.default_rng(1)


def texture(shift: int = 0) -> np.ndarray:
    """A smooth random picture, moved to the right by whole pixels."""
    import cv2

    wide = np.random.default_rng(7).integers(0, 255, (H, W + 40)).astype(np.uint8)
    soft = cv2.GaussianBlur(wide, (0, 0), 2.5)
    stretched = cv2.normalize(soft, None, 0, 255, cv2.NORM_MINMAX)
    return np.ascontiguousarray(stretched[:, 20 - shift : 20 - shift + W])


@pytest.fixture(scope="module")
def truth():
    ramp = np.linspace(0.2, 1, H, dtype=np.float32)[:, None] * np.ones((1, W), np.float32)
    ramp[30:50, 40:70] += 0.5
    return ramp


def relative(values):
    return RelativeDepth(values.astype(np.float32), "affine_inverse")


def test_a_line_is_found_though_a_third_is_wrong():
    v = RNG.uniform(0, 1, 3000).astype(np.float32)
    y = (2 * v + 0.5).astype(np.float32)
    y[:1000] = RNG.uniform(-3, 8, 1000)
    y[1000:1010] = np.nan
    line = fitted_line(v, y, only_scale=False)
    assert line == pytest.approx((2, 0.5), abs=1e-3)
    assert fitted_line(v + 1, (3 * (v + 1)).astype(np.float32), only_scale=True) == pytest.approx(
        (3, 0), abs=1e-5
    )


@pytest.mark.parametrize(
    ("v", "y"),
    [
        (np.ones(5), np.ones(5)),
        (np.ones(100), np.ones(100)),
        (np.linspace(0, 1, 100), -np.linspace(0, 1, 100)),
        (np.full(100, np.nan), np.ones(100)),
    ],
)
def test_no_line(v, y):
    assert fitted_line(v.astype(np.float32), y.astype(np.float32), only_scale=False) is None


def test_a_standing_camera_holds_scale_and_shift_exactly(truth):
    gray, before, path = texture(), None, []
    for factor, shift in ((1, 0), (1.3, 0.2), (0.7, -0.1), (1.1, 0)):
        found, before, _ = held(relative(factor * truth + shift), gray, before)
        np.testing.assert_allclose(found.values, truth, atol=1e-4)
        path.append(before.motion)
    assert path == ["first", "static", "static", "static"]


def test_metres_are_only_multiplied(truth):
    gray = texture()
    first, before, _ = held(Depth(truth, 0.1 * truth), gray, None)
    found, hold, _ = held(Depth(1.2 * truth, 0.12 * truth), gray, before)
    np.testing.assert_allclose(found.values, truth, rtol=1e-5)
    np.testing.assert_allclose(found.sigma, first.sigma, rtol=1e-5)
    assert hold.line.shift == 0


def test_what_moves_before_a_standing_camera_is_left_out(truth):
    before_gray, gray = texture(), texture()
    gray[20:60, 10:60] = texture(9)[20:60, 10:60]  # another surface came in, nearer
    moved = truth.copy()
    moved[20:60, 10:60] = 3
    _, before, _ = held(relative(truth), before_gray, None)
    found, hold, _ = held(relative(1.5 * moved + 0.3), gray, before)
    assert hold.motion == "static"
    np.testing.assert_allclose(found.values, moved, atol=1e-3)


def test_a_moving_camera_keeps_most_of_the_correction_and_lets_a_rest_go(truth):
    import cv2

    shifted = cv2.warpAffine(truth, np.float32([[1, 0, 6], [0, 1, 0]]), (W, H), borderMode=1)
    _, before, _ = held(relative(truth), texture(), None)
    found, hold, flow = held(relative(1.4 * shifted), texture(6), before)
    assert hold.motion == "moving"
    assert hold.line.scale == pytest.approx((1 / 1.4) ** 0.9, rel=0.02)
    inner = flow.offset[20:-20, 30:-30, 0]
    assert np.median(inner) == pytest.approx(-6, abs=0.3)
    again = warped(truth, flow)[20:-20, 30:-30]
    known = np.isfinite(again)
    assert known.mean() > 0.8
    off = np.abs(again - shifted[20:-20, 30:-30])[known]
    assert np.median(off) < 0.01
    assert found.shape == truth.shape


def test_a_cut_begins_anew_and_nothing_to_fit_keeps_the_last(truth):
    other = RNG.integers(0, 255, (H, W)).astype(np.uint8)
    _, before, _ = held(relative(truth), texture(), None)
    found, hold, _ = held(relative(2 * truth), other, before)
    assert hold.motion == "cut"
    np.testing.assert_array_equal(found.values, 2 * truth)
    kept = Hold(truth, texture(), Line(2.0, 0.5), "static")
    flat, hold, _ = held(relative(np.ones((H, W))), texture(), kept)
    assert (hold.motion, hold.line) == ("unsure", kept.line)
    np.testing.assert_allclose(flat.values, 2.5)
    assert held(relative(truth[:50]), texture()[:50], kept)[1].line == SAME


def test_smoothing_takes_out_noise_and_keeps_what_came_in(truth):
    noise = RNG.normal(0, 0.02, (2, H, W)).astype(np.float32)
    now = truth + noise[1]
    now[60:80, 60:90] = 3.0
    flow = flow_between(texture(), texture())
    assert flow.good.all()
    found = smoothed(relative(now), Hold(truth + noise[0], texture()), flow)
    calm = np.ones((H, W), bool)
    calm[58:82, 58:92] = False
    assert np.std((found.values - truth)[calm]) < 0.8 * 0.02
    np.testing.assert_array_equal(found.values[60:80, 60:90], 3.0)
    unknown = Hold(np.full((H, W), np.nan, np.float32), texture())
    assert smoothed(relative(now), unknown, flow).values is not None
