"""What no real pair of cameras has is named, and what real pairs have is not."""

from dataclasses import replace

import numpy as np
import pytest

from fathom.core import Camera, StereoCalibration, StereoRig
from fathom.geometry.plausible import (
    field_of_view,
    implausibilities,
    implausible_baseline,
    turn,
)

RIG = StereoRig.simple(640, 480, 700, 0.12)
RAW = StereoCalibration(RIG.left, RIG.right, np.eye(3), np.array([-0.12, 0, 0]))


def only(calibration) -> str:
    (line,) = implausibilities(calibration)
    return line


def test_real_rigs_are_plausible(motorcycle):
    assert implausibilities(motorcycle.pair.rig) == []
    assert implausibilities(RIG) == implausibilities(RAW) == []
    kitti = Camera(1242, 375, 721.5, 721.5, 609.6, 172.9)
    assert implausibilities(StereoRig(kitti, kitti, 0.54)) == []
    fisheye = Camera(848, 800, 286, 286, 420, 400, "fisheye", (0, 0.04, -0.03, 0.005))
    assert implausibilities(replace(RAW, left=fisheye, right=fisheye)) == []


def test_rectified_crops_are_plausible(motorcycle):
    rig = motorcycle.pair.rig.cropped(250, 150, 260, 200)
    assert not [line for line in implausibilities(rig) if "scaled" in line]


@pytest.mark.parametrize(
    ("baseline", "guess"),
    [(60.0, "0.06 m"), (120.0, "0.12 m"), (0.0001, "0.1 m"), (0.00012, "0.12 m"), (5e4, "")],
)
def test_baselines(baseline, guess):
    line = only(replace(RIG, baseline=baseline))
    assert f"a baseline of {baseline:.4g} m is implausible" in line and guess in line


def test_baseline_limits():
    assert implausible_baseline(0.002) == implausible_baseline(10) == []
    assert implausible_baseline(0.0019) and implausible_baseline(10.1)
    (line,) = implausible_baseline(0.12 / 700, 700)
    assert "lacks the factor fx (then it is 0.12 m)" in line


def test_k_that_was_not_scaled():
    """A calibration of 1280x960 with images of 640x480, and the other way round."""
    doubled = replace(RIG.left, fx=1400, fy=1400, cx=639.5, cy=479.5)
    lines = implausibilities(StereoRig(doubled, doubled, 0.12))
    assert "middle of an image 2 times as large as 640x480" in lines[0]
    assert "not scaled when the images were resized" in lines[0]
    halved = replace(RIG.left, fx=350, fy=350, cx=159.5, cy=119.5)
    assert "0.5 times" in implausibilities(StereoRig(halved, halved, 0.12))[0]
    assert implausibilities(RIG.scaled(0.5, 0.5, 320, 240)) == []


def test_principal_point_outside():
    far = replace(RIG.left, cx=-5.0)
    assert "lies outside the 640x480 image" in implausibilities(StereoRig(far, RIG.right, 0.12))[0]


def test_focal_lengths():
    tall = replace(RIG.left, fy=900)
    assert "fx 700.0, fy 900.0" in implausibilities(StereoRig(tall, tall, 0.12))[0]
    wide = replace(RIG.left, fx=20, fy=20)
    assert "a view of 173 degrees" in implausibilities(StereoRig(wide, wide, 0.12))[0]
    zoomed = replace(RIG.left, fx=900, fy=900)
    assert "fx 700.0 left, 900.0 right" in only(replace(RAW, right=zoomed))
    # Two resolutions of one camera are no zoom.
    assert implausibilities(replace(RAW, right=RIG.right.scaled(2, 2, 1280, 960))) == []


def test_poses():
    text = only(replace(RAW, translation=np.array([0.12, 0, 0])))
    assert "to the left of the left one" in text and "exchanged" in text
    assert "ahead of or behind" in only(replace(RAW, translation=np.array([0, 0, 0.12])))
    assert implausibilities(replace(RAW, translation=np.array([0, 0.12, 0]))) == []  # vertical
    quarter = np.array([[0.0, 0, 1], [0, 1, 0], [-1, 0, 0]])
    assert "turned against each other by 90 degrees" in only(replace(RAW, rotation=quarter))
    assert turn(replace(RAW, rotation=quarter)) == pytest.approx(90)


def test_field_of_view():
    """Half of 640 over 320 is 45 degrees to each side; equidistant it is one radian."""
    camera = Camera(640, 480, 320, 240, 319.5, 239.5)
    assert field_of_view(camera) == pytest.approx((90, 90))
    eye = replace(camera, model="fisheye")
    assert field_of_view(eye) == pytest.approx((np.degrees(2), np.degrees(2)))
