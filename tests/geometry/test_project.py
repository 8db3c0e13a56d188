"""Projection through both lens models: its derivatives, its inverse, and hand-computed pixels."""

import numpy as np
import pytest

from fathom.core import Camera
from fathom.geometry.project import (
    intrinsic_names,
    intrinsics,
    project,
    project_with_derivatives,
    rays,
    with_intrinsics,
)

IDEAL = Camera(640, 480, 500, 510, 320, 240)
BROWN = Camera(640, 480, 520, 525, 310, 250, distortion=(-0.2, 0.05, 0.001, -0.001, 0.01))
TERMS = "-0.2 0.05 0.001 -0.001 0.01 0.01 0.01 0.002 0.001 0.002 0.001 0.002 0.01 0.02"
FULL = Camera(640, 480, 520, 525, 310, 250, distortion=tuple(map(float, TERMS.split())))
FISHEYE = Camera(640, 480, 300, 305, 310, 250, "fisheye", (0.02, -0.01, 0.003, 0.001))
BARE_FISHEYE = Camera(640, 480, 300, 305, 310, 250, "fisheye")
CAMERAS = {
    "ideal": IDEAL, "brown": BROWN, "full": FULL, "fisheye": FISHEYE, "bare fisheye": BARE_FISHEYE,
}  # fmt: skip


def points(count=40):
    rng = np.random.default_rng(0)
    return rng.normal(size=(count, 3)) * [1, 1, 0.5] + [0, 0, 4]


@pytest.mark.parametrize("camera", CAMERAS.values(), ids=CAMERAS)
def test_derivatives_are_those_of_finite_differences(camera):
    made = project_with_derivatives(points(), camera)
    step = 1e-6
    for k, axis in enumerate(np.eye(3)):
        ends = [project(points() + s * step * axis, camera) for s in (1, -1)]
        np.testing.assert_allclose(
            made.by_point[..., k], (ends[0] - ends[1]) / (2 * step), atol=1e-5
        )
    values = intrinsics(camera)
    assert len(intrinsic_names(camera)) == len(values) == made.by_intrinsics.shape[2]
    for k, axis in enumerate(np.eye(len(values))):
        ends = [
            project(points(), with_intrinsics(camera, values + s * step * axis)) for s in (1, -1)
        ]
        np.testing.assert_allclose(
            made.by_intrinsics[..., k], (ends[0] - ends[1]) / (2 * step), atol=1e-5
        )


@pytest.mark.parametrize("camera", CAMERAS.values(), ids=CAMERAS)
def test_rays_undo_the_projection(camera):
    space = points()
    np.testing.assert_allclose(
        rays(project(space, camera), camera), space / space[:, 2:], atol=1e-8
    )


def test_by_hand():
    np.testing.assert_allclose(
        project(np.array([[1.0, 2.0, 4.0]]), IDEAL), [[320 + 500 / 4, 240 + 510 / 2]]
    )
    # An equidistant fisheye: the radius is the focal length times the angle, 45 degrees here.
    np.testing.assert_allclose(
        project(np.array([[3.0, 0.0, 3.0]]), BARE_FISHEYE), [[310 + 300 * np.pi / 4, 250]]
    )


def test_behind_the_camera_there_are_no_pixels():
    assert np.isnan(project(np.array([[0.0, 0.0, -1.0], [1.0, 1.0, 0.0]]), IDEAL)).all()
    assert np.isnan(project(np.array([[0.0, 0.0, -1.0]]), BROWN)).all()


def test_pixels_beyond_the_lens_model_have_no_ray():
    # r (1 - 0.3 r^2) has its largest value, 0.703, at r = 1.054: 366 pixels from the middle.
    barrel = Camera(2000, 2000, 520, 520, 1000, 1000, distortion=(-0.3, 0, 0, 0))
    inside, outside = rays(np.array([[1300.0, 1000.0], [1500.0, 1000.0]]), barrel)
    assert np.isfinite(inside).all()
    assert np.isnan(outside).all()
    assert rays(np.zeros((0, 2)), barrel).shape == (0, 3)


def test_unknown_pixels_stay_unknown():
    for camera in (BROWN, FISHEYE, IDEAL):
        assert np.isnan(rays(np.array([[np.nan, 3.0]]), camera)[0, 0])
