"""Mending: what is done to points, images and rigs, and what is left alone."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fathom.combine.check_fix import RowFix, fit_row_fix
from fathom.combine.check_matches import Matches
from fathom.combine.mend import mend_pair
from fathom.core import StereoPair, StereoRig, View

SIZE = (800, 600)


def warped(image, dy=0.0, roll=0.0, scale=1.0):
    """Moved down by dy pixels, turned clockwise by degrees, magnified, about the middle."""
    height, width = image.shape[:2]
    matrix = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), -roll, scale)
    matrix[1, 2] += dy
    return cv2.warpAffine(
        image, matrix, (width, height), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT
    )


def bent(image, k):
    height, width = image.shape[:2]
    y, x = np.mgrid[:height, :width].astype(np.float32)
    u, v = x - (width - 1) / 2, y - (height - 1) / 2
    r = k * (u * u + v * v) / (0.25 * (width**2 + height**2))
    return cv2.remap(image, x + r * u, y + r * v, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT)


def matched(move, count=300, seed=0):
    """Points of a rectified pair, the right ones moved by `move` (n, 2) -> (n, 2)."""
    rng = np.random.default_rng(seed)
    left = rng.uniform((100, 0), SIZE, (count, 2)) - 0.5
    right = left - np.stack([rng.uniform(5, 60, count), np.zeros(count)], axis=1)
    return Matches(left, move(right), count, count, 0), right


def turned(points, dy=0.0, roll=0.0, scale=1.0):
    middle = (np.array(SIZE) - 1) / 2
    angle = np.radians(roll)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return scale * (points - middle) @ turn.T + middle + (0, dy)


@pytest.fixture(scope="module")
def images(motorcycle):
    return motorcycle.pair.left.image, motorcycle.pair.right.image


def mended(left, right, rig=None):
    return mend_pair(View(np.ascontiguousarray(left)), View(np.ascontiguousarray(right)), rig)


@settings(max_examples=25, deadline=None)
@given(st.floats(-12, 12), st.floats(-2, 2), st.floats(0.97, 1.03))
def test_right_points_go_back_to_where_they_were(dy, roll, scale):
    matches, true = matched(lambda p: turned(p, dy, roll, scale))
    fix = fit_row_fix(matches, SIZE)
    moved = fix.right_points(matches.right)
    # A term below a quarter of a pixel at the border is left alone.
    assert np.abs(moved[:, 1] - true[:, 1]).max() < 0.4
    assert np.abs(moved[:, 0] - true[:, 0]).max() < 0.4


def test_an_offset_moves_rows_alone():
    matches, _ = matched(lambda p: p + np.array([0, 4]))
    fix = fit_row_fix(matches, SIZE)
    assert (fix.roll, fix.scale, fix.quadratic, fix.lens_both) == (0, 0, (0, 0, 0), 0)
    assert fix.shift == pytest.approx(4, abs=0.01)
    assert fix.right_points(matches.right)[:, 0] == pytest.approx(matches.right[:, 0], abs=1e-9)
    assert (fix.left_points(matches.left) == matches.left).all()


def test_a_curve_moves_rows_alone():
    def move(p):
        x, y = ((p + 0.5) / np.array(SIZE) * 2 - 1).T
        return p + np.stack([0 * x, 3 * x * y + 2 * y * y], axis=1)

    matches, _ = matched(move)
    fix = fit_row_fix(matches, SIZE)
    moved = fix.matches(matches)
    assert np.abs(moved.rise).mean() < 0.15
    assert moved.right[:, 0] == pytest.approx(matches.right[:, 0], abs=1e-9)


def test_too_few_points_give_no_correction():
    few = matched(lambda p: p)[0]
    few = Matches(few.left[:8], few.right[:8], 8, 8, 0)
    assert fit_row_fix(few, SIZE) is None


def test_an_image_goes_where_its_points_go():
    """The warp against the slow way: every bright dot is found where `right_points` says."""
    fix = RowFix((200, 150), (90.0, 80.0), 2.5, 1.5, 0.02, (1.0, -2.0, 1.5), 1.0, 0.5)
    for x, y in ((40, 30), (100, 75), (160, 120), (30, 110)):
        image = np.zeros((150, 200, 3), np.float32)
        image[y, x] = 255
        dot = cv2.GaussianBlur(image, (0, 0), 2)
        dot = (dot / dot.max() * 255).astype(np.uint8)
        for warp, points in (
            (fix.right_image, fix.right_points),
            (fix.left_image, fix.left_points),
        ):
            out = warp(dot)[..., 0].astype(float)
            seen = [(out * grid).sum() / out.sum() for grid in np.mgrid[:150, :200]][::-1]
            assert seen == pytest.approx(points(np.array([[x, y]], float))[0], abs=0.12)


def test_an_offset_of_whole_pixels_gives_the_rows_back_bit_for_bit(images):
    right = images[1]
    fix = RowFix((741, 500), (370.0, 249.5), 4.0)
    assert (fix.right_image(np.roll(right, 4, axis=0))[:-4] == right[:-4]).all()
    assert fix.left_image(images[0]) is images[0]


def test_a_good_pair_is_left_as_it_is(images, motorcycle):
    views = motorcycle.pair.left, motorcycle.pair.right
    kept = mend_pair(*views, motorcycle.pair.rig)
    assert (kept.left, kept.right, kept.rig) == (*views, motorcycle.pair.rig)
    assert kept.done == ()
    assert kept.remaining == []


def test_exchanged_and_uneven_views_are_both_mended(images, motorcycle):
    left, right = images
    out = mended(warped(right, 5, 1), left, motorcycle.pair.rig)
    assert out.done[0] == "left and right exchanged"
    assert "turned" in out.done[1]
    assert out.remaining == []
    assert (out.left.image == left).all()
    assert out.rig.as_dict() == motorcycle.pair.rig.as_dict()
    assert out.before.row_error > 3
    assert out.after.row_error < 0.15


@pytest.mark.parametrize("dy", [4, -2.5])
def test_a_vertical_fix_changes_no_disparity(images, motorcycle, dy):
    """The truth still holds: matched points of the mended pair have the true disparity."""
    clean = disparity_errors(mended(*images), motorcycle)
    out = mended(images[0], warped(images[1], dy))
    assert disparity_errors(out, motorcycle) < clean + 0.05


@pytest.mark.parametrize("change", [{"roll": 1.5}, {"scale": 1.02}, {"roll": -1, "dy": 6}])
def test_a_turned_or_zoomed_view_gets_its_disparities_back(images, motorcycle, change):
    out = mended(images[0], warped(images[1], **change))
    assert out.remaining == []
    clean = disparity_errors(mended(*images), motorcycle)
    assert disparity_errors(out, motorcycle) < clean + 0.08


def disparity_errors(out, motorcycle):
    matches = out.after.matches
    x, y = np.rint(matches.left).astype(int).T
    error = matches.disparity - motorcycle.truth.values[y, x]
    return float(np.nanmedian(np.abs(error)))


@pytest.mark.parametrize("lenses", ["right", "both"])
def test_lens_distortion_is_taken_out(images, lenses):
    left, right = images
    pair = (bent(left, 0.2), bent(right, 0.2)) if lenses == "both" else (left, bent(right, 0.04))
    out = mended(*pair)
    assert out.before.row_error > 1
    assert out.after.row_error < 0.3 * out.before.row_error
    assert "unrectified" not in out.after.codes
    assert "unbent" in out.done[0] or "distortion" in out.done[0]


@pytest.mark.parametrize("upper_first", [True, False])
def test_cameras_above_each_other_are_turned_with_their_rig(images, upper_first):
    """A rig on its side, built by hand: the mended rig is the one from before."""
    views = [np.ascontiguousarray(np.rot90(image, -1)) for image in images]
    if not upper_first:
        views = [np.ascontiguousarray(np.rot90(image, 1)) for image in images]
    side = StereoRig.simple(500, 741, 995, 0.193, cx=200, cy=300)
    out = mended(*views, side)
    assert out.remaining == []
    assert out.turned == (-90 if upper_first else 90)
    assert (out.left.image == images[0]).all()
    # clockwise: x' = 499 - y, y' = x of a pixel of the upright image; the other way round here
    expected = (300, 499 - 200) if upper_first else (741 - 1 - 300, 200)
    assert (out.rig.left.cx, out.rig.left.cy) == expected
    assert out.rig.size == (741, 500)
    assert out.rig.baseline == side.baseline
    StereoPair(out.left, out.right, out.rig)


def test_what_cannot_be_mended_is_named_and_left(images):
    left, right = images
    dark = np.clip(right * 0.3, 0, 255).astype(np.uint8)
    out = mended(left, dark)
    assert out.done == ()
    assert [f.code for f in out.remaining] == ["exposure"]
    same = mended(left, left)
    assert (same.done, [f.code for f in same.remaining]) == ((), ["identical"])
    odd = mended(left, right[:, :-20])
    assert (odd.done, [f.code for f in odd.remaining]) == ((), ["size-differs"])


def test_sixteen_bits_stay_sixteen_bits(images):
    deep = [image.astype(np.uint16) * 257 for image in images]
    out = mended(deep[0], warped(deep[1], 3))
    assert out.right.image.dtype == np.uint16
    assert out.after.row_error < 0.15


def test_a_lens_is_taken_out_about_the_middle_of_the_image():
    """By hand: nothing in the middle, the stated pixels at the corner, an eighth half-way there."""
    fix = RowFix(SIZE, (399.5, 299.5), lens_both=4.0)
    middle, corner = np.array([399.5, 299.5]), np.array([799.5, 599.5])
    half_way = (middle + corner) / 2
    moved = fix.left_points(np.stack([middle, corner, half_way]))
    out = np.array([4 * 400 / 300, 4.0])  # along the radius, 4 px of it vertical
    assert moved == pytest.approx(np.stack([middle, corner - out, half_way - out / 8]), abs=1e-9)
