"""Cameras and rigs: what they refuse, and that numbers survive resizing and cropping."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fathom.core import Camera, InputError, StereoCalibration, StereoRig

# These are tests of the checks that fathom itself makes.
pytestmark = pytest.mark.usefixtures("unchecked")

CAMERA = Camera(640, 480, 500, 510, 320, 240)
EYE = np.eye(3)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"width": 0}, "width"),
        ({"height": 1.5}, "height"),
        ({"fx": -1}, "fx"),
        ({"fy": float("nan")}, "fy"),
        ({"cx": float("inf")}, "cx"),
        ({"model": "cube"}, "model"),
        ({"distortion": (1.0, 2.0)}, "distortion"),
        ({"distortion": (1.0, 2.0, 3.0, float("nan"))}, "distortion[3]"),
        ({"model": "fisheye", "distortion": (0.0,) * 5}, "distortion"),
    ],
)
def test_camera_refuses(change, field):
    with pytest.raises(InputError) as caught:
        replace(CAMERA, **change)
    assert caught.value.field == field


def test_camera_matrix_and_ideal():
    assert CAMERA.matrix.tolist() == [[500, 0, 320], [0, 510, 240], [0, 0, 1]]
    assert CAMERA.is_ideal()
    assert replace(CAMERA, distortion=(0.0,) * 5).is_ideal()
    assert not replace(CAMERA, distortion=(0.1, 0, 0, 0)).is_ideal()
    assert not replace(CAMERA, model="fisheye").is_ideal()


def test_halving_an_image_keeps_its_corner():
    # The centre of a 2x2 block of pixels 0 and 1 is at 0.5; it becomes pixel 0.
    half = replace(CAMERA, cx=0.5, cy=0.5).scaled(0.5, 0.5, 320, 240)
    assert (half.cx, half.cy, half.fx, half.fy) == (0.0, 0.0, 250.0, 255.0)


def test_calibration_refuses():
    good = {"left": CAMERA, "right": CAMERA, "rotation": EYE, "translation": np.array([-0.1, 0, 0])}
    assert StereoCalibration(**good).baseline == pytest.approx(0.1)
    for change in (
        {"rotation": EYE * 2},
        {"rotation": -EYE},
        {"rotation": np.full((3, 3), np.nan)},
        {"translation": np.zeros(3)},
        {"translation": np.array([np.nan, 0, 0])},
    ):
        with pytest.raises(InputError) as caught:
            StereoCalibration(**{**good, **change})
        assert caught.value.field == next(iter(change))


def test_rig_refuses():
    for change, field in (
        ({"baseline": 0.0}, "baseline"),
        ({"baseline": -0.1}, "baseline"),
        ({"baseline": float("nan")}, "baseline"),
        ({"right": replace(CAMERA, width=641)}, "width"),
        ({"right": replace(CAMERA, fx=501)}, "fx"),
        ({"right": replace(CAMERA, cy=241)}, "cy"),
        ({"left": replace(CAMERA, distortion=(0.1, 0, 0, 0))}, "left camera"),
        ({"max_disparity": 0}, "max_disparity"),
    ):
        with pytest.raises(InputError) as caught:
            replace(StereoRig(CAMERA, CAMERA, 0.1), **change)
        assert caught.value.field == field


def test_depth_formula_by_hand():
    rig = StereoRig.simple(100, 50, 200.0, 0.5, doffs=10.0)
    depth = rig.depth_of(np.array([[10.0, -10.0, -11.0, np.nan, -9.0]], dtype=np.float32))
    assert depth[0, 0] == 5.0  # 200 * 0.5 / 20
    assert np.isnan(depth[0, 1:4]).all()  # at and behind infinity, unknown
    assert depth[0, 4] == 100.0


@given(
    st.floats(1, 200), st.floats(0.01, 2), st.floats(-20, 20), st.floats(0.1, 1), st.integers(0, 9)
)
def test_a_scaled_or_cropped_rig_measures_the_same_depth(disparity, baseline, doffs, scale, x):
    rig = StereoRig.simple(400, 300, 300.0, baseline, doffs=doffs)
    size = (round(400 * scale), round(300 * scale))
    sx = size[0] / 400
    scaled = rig.scaled(sx, size[1] / 300, *size)
    d = np.array([disparity], dtype=np.float32)
    expected = rig.depth_of(d)
    np.testing.assert_allclose(scaled.depth_of(d * np.float32(sx)), expected, rtol=1e-3)
    cropped = rig.cropped(x, x, 100, 100)
    np.testing.assert_allclose(cropped.depth_of(d), expected, rtol=1e-5)


@given(st.floats(0.2, 500))
def test_disparity_and_depth_are_inverse(z):
    rig = StereoRig.simple(400, 300, 300.0, 0.2, doffs=5.0)
    depth = np.array([z], dtype=np.float32)
    np.testing.assert_allclose(rig.depth_of(rig.disparity_of(depth)), depth, rtol=1e-3)
    assert np.isnan(rig.disparity_of(np.array([0.0, -1.0]))).all()


def test_rig_as_dict_round_trip():
    rig = StereoRig.simple(400, 300, 300.0, 0.2, cx=190.0, doffs=5.0)
    assert StereoRig.from_dict(rig.as_dict()) == rig
    with pytest.raises(InputError):
        StereoRig.from_dict({"fx": 1})
