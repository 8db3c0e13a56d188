"""Back-projection by hand, and clean clouds."""

import numpy as np
import pytest

from fathom.core import (
    Camera,
    Disparity,
    InputError,
    Source,
    StereoPair,
    StereoRig,
    UsageError,
    View,
)
from fathom.geometry.reproject import back_project
from fathom.scene.cloud import CloudOptions, point_cloud


def test_back_projection_by_hand():
    camera = Camera(3, 2, 2.0, 4.0, 1.0, 0.0)
    depth = np.array([[2.0, np.nan, 2.0], [4.0, 4.0, 4.0]], np.float32)
    points = back_project(depth, camera)
    assert points.shape == (5, 3)
    np.testing.assert_allclose(points[0], [-1.0, 0.0, 2.0])
    np.testing.assert_allclose(points[1], [1.0, 0.0, 2.0])
    np.testing.assert_allclose(points[2], [-2.0, 1.0, 4.0])
    mask = np.zeros((2, 3), bool)
    mask[1, 2] = True
    np.testing.assert_allclose(back_project(depth, camera, mask), [[2.0, 1.0, 4.0]])


def test_back_projection_refuses():
    depth = np.ones((2, 3), np.float32)
    with pytest.raises(InputError, match="distortion"):
        back_project(depth, Camera(3, 2, 2, 2, 1, 1, distortion=(0.1, 0, 0, 0)))
    with pytest.raises(InputError, match="another image size"):
        back_project(depth, Camera(4, 2, 2, 2, 1, 1))


def scene():
    """A near square before a wall, one corner of the wall filled in."""
    values = np.full((20, 30), 4.0, np.float32)
    values[5:15, 10:20] = 12
    source = np.full((20, 30), Source.MATCHED, np.uint8)
    source[:, 25:] = Source.FILLED
    confidence = np.full((20, 30), 0.9, np.float32)
    confidence[0] = 0.1
    image = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    pair = StereoPair(View(image), View(image), StereoRig.simple(30, 20, 30.0, 0.4))
    return pair, Disparity(values, confidence, source)


def test_a_cloud_leaves_out_filled_and_flying_pixels():
    pair, disparity = scene()
    cloud = point_cloud(pair, disparity)
    assert len(cloud.colors) == len(cloud)
    z = cloud.points[:, 2]
    assert set(np.round(np.unique(z), 4)) == {1.0, 3.0}
    # 8 x 8 of the square's 10 x 10 pixels remain: its rim borders on the wall.
    assert (z < 2).sum() == 64
    everything = point_cloud(pair, disparity, CloudOptions(keep_filled=True, keep_flying=True))
    assert len(everything) == 600
    assert (everything.colors == pair.left.image.reshape(-1, 3)).all()


def test_cloud_options():
    pair, disparity = scene()
    near = point_cloud(pair, disparity, CloudOptions(z_far=2.0))
    assert near.points[:, 2].max() < 2
    sure = point_cloud(pair, disparity, CloudOptions(min_confidence=0.5))
    assert len(point_cloud(pair, disparity)) - len(sure) == 25  # row 0, less its filled end
    for bad in ({"z_far": 0.0}, {"z_far": -1.0}, {"min_confidence": 1.5}):
        with pytest.raises(UsageError):
            CloudOptions(**bad)
    with pytest.raises(UsageError, match="no calibration"):
        point_cloud(StereoPair(pair.left, pair.right), disparity)
