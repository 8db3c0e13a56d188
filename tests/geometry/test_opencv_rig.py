"""The rig of images that OpenCV rectified."""

from dataclasses import replace

import cv2
import numpy as np
import pytest

from fathom.core import Camera, InputError, StereoCalibration
from fathom.geometry.opencv_rig import opencv_rig

LEFT = Camera(640, 480, 520, 525, 310, 250, distortion=(-0.2, 0.05, 0.001, -0.001, 0.0))
RIGHT = Camera(640, 480, 530, 528, 330, 235, distortion=(-0.18, 0.04, -0.001, 0.002, 0.0))
TURN = cv2.Rodrigues(np.array([0.01, -0.03, 0.02]))[0]
RAW = StereoCalibration(LEFT, RIGHT, TURN, np.array([-0.12, 0.004, -0.003]))


@pytest.mark.parametrize("model", ["pinhole", "fisheye"])
def test_it_is_what_opencv_says(model):
    raw = RAW
    if model == "fisheye":
        terms = (0.02, -0.01, 0.003, 0.0)
        eyes = [replace(c, model=model, distortion=terms) for c in (LEFT, RIGHT)]
        raw = replace(RAW, left=eyes[0], right=eyes[1])
    rig = opencv_rig(raw)
    k1, k2 = raw.left.matrix, raw.right.matrix
    d1, d2 = np.array(raw.left.distortion), np.array(raw.right.distortion)
    pose = (np.array(raw.rotation), np.array(raw.translation)[:, None])
    if model == "fisheye":
        p2 = cv2.fisheye.stereoRectify(
            k1, d1, k2, d2, (640, 480), *pose, flags=cv2.CALIB_ZERO_DISPARITY, balance=0.0
        )[3]
    else:
        p2 = cv2.stereoRectify(k1, d1, k2, d2, (640, 480), *pose, alpha=0)[3]
    assert (rig.left.fx, rig.right.cx, rig.left.cy) == pytest.approx((p2[0, 0], p2[0, 2], p2[1, 2]))
    assert rig.baseline == pytest.approx(raw.baseline)
    assert rig.baseline == pytest.approx(-p2[0, 3] / p2[0, 0], rel=1e-6)


@pytest.mark.parametrize(
    "change",
    [
        {"translation": np.array([0.0, -0.12, 0])},
        {"right": replace(RIGHT, width=642)},
        {"right": replace(RIGHT, model="fisheye", distortion=())},
        {"translation": np.array([0.12, 0, 0])},
    ],
)
def test_what_has_no_such_rig(change):
    with pytest.raises(InputError):
        opencv_rig(replace(RAW, **change))


def test_opencv_finds_nothing(monkeypatch):
    def fails(*arguments, **options):
        raise cv2.error("no")

    nothing = np.full((3, 4), np.nan)
    monkeypatch.setattr(cv2, "stereoRectify", lambda *a, **k: (0, 0, nothing, nothing))
    with pytest.raises(InputError, match="no common image"):
        opencv_rig(RAW)
    monkeypatch.setattr(cv2, "stereoRectify", fails)
    with pytest.raises(InputError, match="OpenCV cannot rectify"):
        opencv_rig(RAW)
