"""Rectification, against points in space that two raw cameras see."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fathom.core import Camera, InputError, StereoCalibration, UsageError, View
from fathom.geometry.rectify import exchange, rectify
from fathom.geometry.window import UNSEEN

LEFT = Camera(640, 480, 520, 525, 310, 250, distortion=(-0.2, 0.05, 0.001, -0.001, 0.0))
RIGHT = Camera(640, 480, 530, 528, 330, 235, distortion=(-0.18, 0.04, -0.001, 0.002, 0.0))
FISHY = tuple(
    replace(c, fx=f, fy=f, model="fisheye", distortion=(0.02, -0.01, 0.003, 0.0))
    for c, f in ((LEFT, 300.0), (RIGHT, 302.0))
)
# A circular image of 190 degrees: 95 degrees are 239 px from the middle of 640x480.
WIDE = tuple(
    Camera(640, 480, f, f, 318, 241, "fisheye", (0.01, -0.002, 0.0, 0.0)) for f in (144, 145)
)
SHIFT = np.array([-0.12, 0.004, -0.003])


def turned(*vector):
    return cv2.Rodrigues(np.array(vector, dtype=float))[0]


def quarter(turns):
    """The rotation about z by quarters, x to y."""
    return np.rint(turned(0, 0, turns * np.pi / 2))


TURN = turned(0.01, -0.03, 0.02)
RAW = StereoCalibration(LEFT, RIGHT, TURN, SHIFT)
FISHEYE = StereoCalibration(*FISHY, TURN, SHIFT)
RIGS = {
    "pinhole": RAW,
    "fisheye": FISHEYE,
    "fisheye 190": StereoCalibration(*WIDE, TURN, SHIFT),
    "rational": replace(
        RAW, left=replace(LEFT, distortion=(0.3, -0.2, 0.001, 0, 0.05, 0.5, -0.1, 0.02))
    ),
    "thin prism, tilted": replace(
        RAW,
        right=replace(RIGHT, distortion=(-0.1, 0.02, *(0.0,) * 6, 1e-3, 0, 2e-3, 0, 0.02, -0.01)),
    ),
    # A barrel whose polynomial turns back at 44 degrees, before the corners of the image.
    "barrel": StereoCalibration(
        replace(LEFT, distortion=(-0.35, 0, 0, 0)),
        replace(RIGHT, distortion=(-0.34, 0, 0, 0)),
        TURN,
        SHIFT,
    ),
    "below": StereoCalibration(LEFT, RIGHT, TURN, np.array([0.003, -0.12, 0.002])),
    "above": StereoCalibration(LEFT, RIGHT, TURN, np.array([0.003, 0.12, 0.002])),
    "fisheye below": StereoCalibration(*FISHY, TURN, np.array([0.003, -0.12, 0.002])),
    "converging": replace(RAW, rotation=turned(0, -0.35, 0), translation=np.array([-0.3, 0, 0.05])),
    "diagonal": replace(RAW, translation=np.array([-0.1, 0.06, 0])),
    "unequal": replace(
        RAW, right=Camera(800, 500, 700, 690, 390, 260, distortion=(-0.1, 0.02, 0, 0))
    ),
    "mixed models": replace(RAW, right=FISHY[1]),
    "right upside down": StereoCalibration(LEFT, RIGHT, quarter(2) @ TURN, quarter(2) @ SHIFT),
    "right on its side": StereoCalibration(
        LEFT,
        replace(RIGHT, width=480, height=640, cx=235, cy=330),
        quarter(1) @ TURN,
        quarter(1) @ SHIFT,
    ),
}


def seen_raw(camera, points):
    """Pixels (n, 2) at which the raw camera sees points (n, 3) of its own frame; OpenCV's word."""
    zero = np.zeros(3)
    if camera.model == "fisheye":
        terms = np.array(camera.distortion or (0.0,) * 4)
        pixels = cv2.fisheye.projectPoints(points[:, None], zero, zero, camera.matrix, terms)[0]
    else:
        terms = np.array(camera.distortion or (0.0,) * 5)
        pixels = cv2.projectPoints(points[:, None], zero, zero, camera.matrix, terms)[0]
    return pixels.reshape(-1, 2)


def points_of(result, count=400, seed=0):
    """Points (left raw frame) that the rectified left image shows, with their pixels and depths."""
    rig, rng = result.rig, np.random.default_rng(seed)
    pixels = rng.uniform((0, 0), np.array(rig.size) - 1, (count, 2))
    z = rng.uniform(1, 30, count) * rig.baseline * 8
    x = (pixels[:, 0] - rig.left.cx) / rig.left.fx
    y = (pixels[:, 1] - rig.left.cy) / rig.left.fy
    return pixels, z, np.stack([x * z, y * z, z], axis=1) @ result.left_rotation


def looked_up(grid, pixels):
    """The map's value between its pixels, bilinear (OpenCV's remap rounds to 1/32 pixel)."""
    height, width = grid.shape[:2]
    x = np.clip(np.floor(pixels[:, 0]).astype(int), 0, width - 2)
    y = np.clip(np.floor(pixels[:, 1]).astype(int), 0, height - 2)
    a, b = (pixels - np.stack([x, y], axis=1)).T[:, :, None]
    upper = (1 - a) * grid[y, x] + a * grid[y, x + 1]
    return (1 - b) * upper + b * ((1 - a) * grid[y + 1, x] + a * grid[y + 1, x + 1])


def inside(pixels, size, margin=3):
    return ((pixels > margin) & (pixels < np.array(size) - 1 - margin)).all(axis=1)


@pytest.mark.parametrize("raw", RIGS.values(), ids=RIGS.keys())
def test_rows_agree_and_disparity_gives_the_depth(raw):
    result = rectify(raw)
    rig = result.rig
    assert rig.baseline == pytest.approx(raw.baseline, rel=1e-9)
    assert rig.doffs == 0
    pixels, z, points = points_of(result)
    raw_left = seen_raw(raw.left, points)
    raw_right = seen_raw(raw.right, points @ raw.rotation.T + raw.translation)
    both = inside(raw_left, raw.left.size) & inside(raw_right, raw.right.size)
    assert both.sum() > 100
    left, right = result.points(raw_left[both], "left"), result.points(raw_right[both], "right")
    np.testing.assert_allclose(left, pixels[both], atol=1e-4)
    np.testing.assert_allclose(right[:, 1], left[:, 1], atol=0.01)
    disparity = rig.left.fx * raw.baseline / z[both]
    np.testing.assert_allclose(left[:, 0] - right[:, 0], disparity, atol=0.01)
    assert (left[:, 0] > right[:, 0]).all()
    # The maps, from which the images are made, say the same.
    for side, at, truth in (("left", left, raw_left[both]), ("right", right, raw_right[both])):
        shown = inside(at, rig.size)
        assert shown.sum() > 50
        grid = getattr(result, f"{side}_map")
        np.testing.assert_allclose(looked_up(grid, at[shown]), truth[shown], atol=0.01)


@pytest.mark.parametrize("raw", RIGS.values(), ids=RIGS.keys())
def test_the_valid_crop_was_seen_and_is_no_smaller_than_it_must_be(raw):
    result = rectify(raw)
    assert result.left_mask.all()
    assert result.right_mask.all()
    narrow = max(result.field)
    # A hair wider, and some pixel is black (unless the field of view itself was the limit).
    camera = replace(result.rig.left, fx=result.rig.left.fx / 1.03, fy=result.rig.left.fy / 1.03)
    from fathom.geometry.window import Eye, undistort_map

    masks = [
        undistort_map(Eye(getattr(raw, side), getattr(result, f"{side}_rotation")), camera)[1]
        for side in ("left", "right")
    ]
    assert narrow > 118 or not (masks[0] & masks[1]).all()


@pytest.mark.parametrize("raw", RIGS.values(), ids=RIGS.keys())
def test_the_full_crop_keeps_every_raw_pixel_and_tells_which_are_seen(raw):
    result = rectify(raw, crop="all")
    assert max(result.field) <= 120
    for side in ("left", "right"):
        camera = getattr(raw, side)
        v, u = np.mgrid[0 : camera.height : 7, 0 : camera.width : 7]
        pixels = np.stack([u.ravel(), v.ravel()], axis=1).astype(float)
        at = result.points(pixels, side)
        kept = ((at > -1.5) & (at < np.array(result.rig.size) + 0.5)).all(axis=1)
        if not any("limited" in note for note in result.notes):
            assert kept[np.isfinite(at).all(axis=1)].all()
        mask = getattr(result, f"{side}_mask")
        grid = getattr(result, f"{side}_map")
        assert 0.05 < mask.mean() <= 1
        assert (grid[~mask] == UNSEEN).all()
        assert (grid[mask] > -1).all()
        # What is shown goes there and back; so nothing is mapped in a second time from beyond.
        rows, columns = np.nonzero(mask)
        some = np.random.default_rng(0).integers(0, len(rows), 200)
        back = result.points(grid[rows[some], columns[some]].astype(float), side)
        there = np.stack([columns[some], rows[some]], axis=1)
        # Close to where a lens model turns back it can hardly be inverted.
        error = np.abs(back - there).max(axis=1)
        assert np.isfinite(error).mean() > 0.95
        assert np.nanquantile(error, 0.95) < 0.02
        assert np.nanmax(error) < 0.5


@pytest.mark.parametrize("raw", RIGS.values(), ids=RIGS.keys())
def test_images_keep_their_orientation(raw):
    """To the right of the middle stays to the right, below stays below: no turn by 180 degrees."""
    result = rectify(raw)
    width, height = raw.left.size
    middle = np.array([width / 2, height / 2])
    cross = middle + np.array([[0, 0], [40, 0], [0, 40]])
    at = result.points(cross, "left")
    right, down = at[1] - at[0], at[2] - at[0]
    expected = {0: ((1, 0), (0, 1)), 90: ((0, 1), (-1, 0)), -90: ((0, -1), (1, 0))}
    for arm, way in zip((right, down), expected[result.turned], strict=True):
        assert arm @ np.array(way) > 0.8 * np.linalg.norm(arm)


@pytest.mark.parametrize(("name", "turn"), [("below", -90), ("above", 90), ("fisheye below", -90)])
def test_cameras_above_each_other_are_turned_and_turned_back(name, turn):
    result = rectify(RIGS[name])
    assert result.turned == turn
    assert result.rig.size == (480, 640)
    assert "above each other" in result.notes[0]
    image = np.zeros((480, 640, 3), np.uint8)
    image[:200] = 255  # the sky is above
    upright = result.turn_back(result(View(image), View(image)).left.image)
    assert upright.shape == (480, 640, 3)
    assert upright[20].mean() > 250
    assert upright[-20].mean() < 5


def test_a_right_camera_on_its_head_is_set_upright():
    plain, odd = rectify(RAW), rectify(RIGS["right upside down"])
    assert odd.turned == 0
    assert "180 degrees" in odd.notes[0]
    np.testing.assert_allclose(odd.left_rotation, plain.left_rotation, atol=1e-12)
    upside = np.zeros((480, 640, 3), np.uint8)
    upside[280:] = 255  # its sky is at the bottom
    upright = odd(View(upside), View(upside)).right.image
    assert upright[20].mean() > 250
    assert upright[-20].mean() < 5


@pytest.mark.parametrize("count", [5, 8, 12, 14])
def test_the_length_of_the_distortion_does_not_matter(count):
    # opencv issue 11131: stereoRectify's result changed with zeros appended to D.
    longer = replace(
        RAW,
        left=replace(LEFT, distortion=(*LEFT.distortion, *(0.0,) * (count - 5))),
        right=replace(RIGHT, distortion=(*RIGHT.distortion, *(0.0,) * (count - 5))),
    )
    assert rectify(longer).rig == rectify(RAW).rig
    short = replace(RAW, left=replace(LEFT, distortion=()), right=replace(RIGHT, distortion=()))
    zeros = replace(
        RAW, left=replace(LEFT, distortion=(0.0,) * count), right=replace(RIGHT, distortion=())
    )
    assert rectify(zeros).rig == rectify(short).rig


def test_an_ideal_rig_stays_what_it_is():
    ideal = Camera(640, 480, 500, 500, 310, 245)
    result = rectify(StereoCalibration(ideal, ideal, np.eye(3), np.array([-0.1, 0, 0])))
    rig = result.rig
    assert (rig.left.fx, rig.left.cx, rig.left.cy) == pytest.approx((500, 310, 245), abs=0.7)
    image = np.random.default_rng(0).integers(0, 256, (480, 640, 3), dtype=np.uint8)
    image = cv2.GaussianBlur(image, (0, 0), 3)
    shown = result(View(image), View(image)).left.image
    assert np.abs(shown.astype(int) - image).max() <= 8


@pytest.mark.parametrize("degrees", [130, 150, 170, 180, 195])
def test_wide_fisheyes_of_all_views_are_stable(degrees):
    focal = 239 / np.radians(degrees / 2)  # the circle of view fits the image's height
    eyes = [replace(c, fx=focal, fy=focal) for c in WIDE]
    result = rectify(StereoCalibration(*eyes, TURN, SHIFT))
    assert result.left_mask.all()
    assert result.right_mask.all()
    assert 85 < max(result.field) <= 120
    assert 0.6 < result.rig.left.fx / focal < 1.6


def test_the_view_of_a_wide_fisheye_is_limited_and_said():
    wide = rectify(RIGS["fisheye 190"])
    assert max(wide.field) == pytest.approx(120, abs=0.1)
    assert "limited to 120 degrees" in wide.notes[0]
    # About the raw resolution in the middle: neither blown up nor thrown away.
    assert 0.8 < wide.rig.left.fx / 144 < 1.6
    assert max(rectify(RIGS["fisheye 190"], field=90).field) == pytest.approx(90, abs=0.1)
    assert not rectify(RAW).notes


@pytest.mark.parametrize("crop", ["valid", "all"])
@pytest.mark.parametrize("size", [(320, 240), (800, 300), (101, 400)])
def test_a_chosen_size(crop, size):
    result = rectify(RAW, size=size, crop=crop)
    assert result.rig.size == size
    assert result.left_map.shape == (size[1], size[0], 2)
    assert result.rig.left.fx == result.rig.left.fy
    if crop == "valid":
        assert result.left_mask.all()
        assert result.right_mask.all()


def test_the_field_of_view_is_what_the_camera_says():
    rig = rectify(RAW).rig
    across = 2 * np.degrees(np.arctan(320 / rig.left.fx))
    assert rectify(RAW).field[0] == pytest.approx(across, abs=2)


def test_a_rectified_pair_has_the_rig_and_its_type():
    image = np.random.default_rng(0).integers(0, 256, (480, 640, 3), dtype=np.uint8)
    pair = rectify(RAW)(View(image), View(image))
    assert pair.rig.size == (640, 480)
    assert pair.left.image.dtype == np.uint8
    wide = rectify(RAW)(View(image.astype(np.uint16) * 257), View(image.astype(np.uint16) * 257))
    assert wide.left.image.dtype == np.uint16
    black = rectify(RAW, crop="all")
    pair = black(View(image | 1), View(image | 1))
    assert not pair.left.image[~black.left_mask].any()
    with pytest.raises(InputError, match="another image size"):
        black(View(image), View(image[:, :600]))


def test_exchanged_cameras_exchange_back():
    swapped = exchange(RAW)
    assert swapped.left == RIGHT
    with pytest.raises(InputError, match="left of the left"):
        rectify(swapped)
    again = exchange(swapped)
    np.testing.assert_allclose(again.translation, RAW.translation, atol=1e-12)
    np.testing.assert_allclose(again.rotation, RAW.rotation, atol=1e-12)


def test_the_calibration_rectifies_itself():
    result = RAW.rectify(crop="all", size=(320, 240))
    assert result.rig == rectify(RAW, crop="all", size=(320, 240)).rig


@pytest.mark.parametrize(
    ("raw", "word"),
    [
        (replace(RAW, translation=np.array([0.12, 0, 0])), "left of the left"),
        (replace(RAW, translation=np.array([-0.01, 0, -0.12])), "behind the other"),
        (replace(RAW, rotation=turned(0.0, 2.5, 0.0)), "turned against each other by 143"),
        (replace(RAW, rotation=turned(0.0, 1.0, 0.0)), "enlarged|no part"),
        (replace(RAW, rotation=turned(0.8, 0.0, 0.0)), "enlarged|no part"),
        (replace(RAW, left=replace(LEFT, distortion=(1e9, 0, 0, 0))), "in common"),
        (replace(RAW, left=replace(LEFT, distortion=(-1e9, 0, 0, 0))), "in common"),
        (replace(RAW, left=replace(LEFT, cx=9000)), "in common"),
    ],
)
def test_what_cannot_be_rectified_is_said(raw, word):
    with pytest.raises(InputError, match=word):
        rectify(raw)


@pytest.mark.usefixtures("unchecked")
def test_what_cannot_be_asked_for_is_said():
    for options, field in (
        ({"crop": "some"}, "crop"),
        ({"size": (640, 1)}, "size"),
        ({"field": 180}, "field"),
    ):
        with pytest.raises(UsageError) as caught:
            rectify(RAW, **options)
        assert caught.value.field == field


ANGLE = st.floats(-0.1, 0.1)


@st.composite
def rigs(draw):
    """Rigs people build: two alike cameras, turned a little, side by side or above each other."""
    width, height = draw(st.sampled_from([(640, 480), (480, 640), (1242, 375), (752, 480)]))
    fish = draw(st.booleans())
    focal = draw(st.floats(0.25, 0.45) if fish else st.floats(0.6, 1.3)) * (width * height) ** 0.5
    cameras = []  # as numbers: what checks types draws random numbers, which a strategy may not
    for _ in range(2):
        center = [draw(st.floats(0.45, 0.55)) * side for side in (width, height)]
        unequal = focal * draw(st.floats(0.97, 1.03))
        terms = (0.02, -0.01, 0.0, 0.0) if fish else (draw(st.floats(-0.15, 0.15)), 0.02, 1e-3, 0.0)
        model = "fisheye" if fish else "pinhole"
        cameras.append((width, height, unequal, unequal * 1.01, *center, model, terms))
    place = np.array([-1, draw(st.floats(-0.2, 0.2)), draw(st.floats(-0.2, 0.2))])
    way = draw(st.sampled_from([0, 1, -1]))
    place = draw(st.floats(0.03, 2)) * (quarter(way) @ place)
    turn = turned(draw(ANGLE), draw(ANGLE), draw(ANGLE))
    return cameras, turn, place, way


@settings(max_examples=25, deadline=None)
@given(rigs())
def test_any_plausible_rig(drawn):
    cameras, turn, place, way = drawn
    raw = StereoCalibration(Camera(*cameras[0]), Camera(*cameras[1]), turn, place)
    result = rectify(raw)
    assert abs(result.turned) == 90 * abs(way)
    assert result.left_mask.all()
    assert result.right_mask.all()
    pixels, z, points = points_of(result, 60)
    raw_left = seen_raw(raw.left, points)
    raw_right = seen_raw(raw.right, points @ raw.rotation.T + raw.translation)
    both = inside(raw_left, raw.left.size) & inside(raw_right, raw.right.size)
    left, right = result.points(raw_left[both], "left"), result.points(raw_right[both], "right")
    np.testing.assert_allclose(left, pixels[both], atol=2e-3)
    np.testing.assert_allclose(right[:, 1], left[:, 1], atol=0.01)
    expected = result.rig.left.fx * raw.baseline / z[both]
    np.testing.assert_allclose(left[:, 0] - right[:, 0], expected, atol=0.01)
