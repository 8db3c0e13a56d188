"""Rectification, against points in space that two raw cameras see."""

from dataclasses import replace

import cv2
import numpy as np
import pytest

from fathom.core import Camera, InputError, StereoCalibration, View
from fathom.geometry.rectify import rectify

LEFT = Camera(640, 480, 520, 525, 310, 250, distortion=(-0.2, 0.05, 0.001, -0.001, 0.0))
RIGHT = Camera(640, 480, 530, 528, 330, 235, distortion=(-0.18, 0.04, -0.001, 0.002, 0.0))
TURN = cv2.Rodrigues(np.array([0.01, -0.03, 0.02]))[0]
RAW = StereoCalibration(LEFT, RIGHT, TURN, np.array([-0.12, 0.004, -0.003]))
FISHEYE = StereoCalibration(
    *(replace(c, model="fisheye", distortion=(0.02, -0.01, 0.003, 0.0)) for c in (LEFT, RIGHT)),
    TURN,
    np.array([-0.12, 0.004, -0.003]),
)


def turned(*vector):
    return cv2.Rodrigues(np.array(vector))[0]


def seen_raw(camera, points):
    """Pixels (n, 2) at which the raw camera sees points (n, 3) of its own frame."""
    project = cv2.fisheye.projectPoints if camera.model == "fisheye" else cv2.projectPoints
    zero = np.zeros(3)
    pixels = project(points[:, None], zero, zero, camera.matrix, np.array(camera.distortion))[0]
    return pixels.reshape(-1, 2)


@pytest.mark.parametrize("raw", [RAW, FISHEYE], ids=["pinhole", "fisheye"])
def test_rows_agree_and_disparity_gives_the_depth(raw):
    result = rectify(raw)
    rig = result.rig
    assert rig.baseline == pytest.approx(raw.baseline, rel=1e-6)
    # Take rectified pixels and depths, go back to the raw images by way of space.
    rng = np.random.default_rng(0)
    u, v = rng.uniform(150, 490, 50), rng.uniform(120, 360, 50)
    z = rng.uniform(1, 8, 50)
    d = rig.disparity_of(z.astype(np.float32))
    left_at = np.stack([u, v], axis=1).round()
    raw_left = result.left_map[left_at[:, 1].astype(int), left_at[:, 0].astype(int)]
    # The ray of the raw left pixel, at the depth the rectified pixel claims.
    if raw.left.model == "fisheye":
        ray = cv2.fisheye.undistortPoints(
            raw_left[:, None].astype(np.float64), raw.left.matrix, np.array(raw.left.distortion)
        )
    else:
        ray = cv2.undistortPoints(
            raw_left[:, None].astype(np.float64),
            raw.left.matrix,
            np.array(raw.left.distortion),
            criteria=(cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 100, 1e-12),
        )
    ray = np.concatenate([ray.reshape(-1, 2), np.ones((50, 1))], axis=1)
    x = (left_at[:, 0] - rig.left.cx) / rig.left.fx
    y = (left_at[:, 1] - rig.left.cy) / rig.left.fy
    length = np.linalg.norm(np.stack([x, y, np.ones(50)], 1), axis=1) * z
    in_left = ray / np.linalg.norm(ray, axis=1, keepdims=True) * length[:, None]
    in_right = in_left @ raw.rotation.T + raw.translation
    raw_right = seen_raw(raw.right, in_right)
    # The right map must send the pixel shifted by d, on the same row, to where the camera saw it.
    column, row = left_at[:, 0] - d, left_at[:, 1]
    sampled = np.stack(
        [
            cv2.remap(
                np.ascontiguousarray(result.right_map[..., k]),
                column.astype(np.float32)[None],
                row.astype(np.float32)[None],
                cv2.INTER_LINEAR,
            )[0]
            for k in (0, 1)
        ],
        axis=1,
    )
    np.testing.assert_allclose(sampled, raw_right, atol=0.05)


def test_a_rectified_pair_has_the_rig():
    image = np.random.default_rng(0).integers(0, 256, (480, 640, 3), dtype=np.uint8)
    pair = rectify(RAW)(View(image), View(image))
    assert pair.rig.size == (640, 480)
    assert pair.left.image.dtype == np.uint8
    wide = rectify(RAW)(View(image.astype(np.uint16) * 257), View(image.astype(np.uint16) * 257))
    assert wide.left.image.dtype == np.uint16


@pytest.mark.parametrize(
    ("raw", "word"),
    [
        (replace(RAW, right=replace(RIGHT, width=641)), "image size"),
        (replace(RAW, right=replace(RIGHT, model="fisheye", distortion=())), "fisheye"),
        (replace(RAW, translation=np.array([0.12, 0, 0])), "left of the left"),
        (replace(RAW, translation=np.array([0.0, -0.12, 0])), "above each other"),
        (replace(RAW, rotation=turned(0.0, 2.5, 0.0)), "turned against each other by 143"),
        (replace(RAW, rotation=turned(0.0, 1.0, 0.0)), "would be seen"),
        (replace(RAW, rotation=turned(0.8, 0.0, 0.0)), "enlarged 1[0-9]"),
        (replace(RAW, left=replace(LEFT, distortion=(1e9, 0, 0, 0))), "common image|would be seen"),
    ],
)
def test_what_cannot_be_rectified_is_said(raw, word):
    with pytest.raises(InputError, match=word):
        rectify(raw)
