"""Triangulation by hand, against truth, against a slow twin, and its covariance by Monte Carlo."""

import time
from dataclasses import replace

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import least_squares

from fathom.core import (
    Camera,
    InputError,
    StereoCalibration,
    StereoPair,
    StereoRig,
    UsageError,
    View,
)
from fathom.rigs.features import Matches
from fathom.rigs.triangulate import (
    PosedCamera,
    posed_pair,
    reprojection,
    sparse_depth,
    triangulate,
)

RIG = StereoRig.simple(640, 480, 500.0, 0.2, doffs=4.0)
LEFT = Camera(640, 480, 520, 525, 310, 250, distortion=(-0.2, 0.05, 0.001, -0.001, 0.0))
RIGHT = Camera(640, 480, 530, 528, 330, 235, distortion=(-0.18, 0.04, -0.001, 0.002, 0.0))
RAW = StereoCalibration(
    LEFT, RIGHT, cv2.Rodrigues(np.array([0.01, -0.03, 0.02]))[0], np.array([-0.12, 0.004, -0.003])
)
FISHEYE = replace(
    RAW,
    left=replace(LEFT, model="fisheye", distortion=(0.02, -0.01, 0.003, 0.0)),
    right=replace(RIGHT, model="fisheye", distortion=(0.01, -0.01, 0.003, 0.0)),
)


def cloud(count, seed=0):
    rng = np.random.default_rng(seed)
    z = rng.uniform(1.5, 6, count)
    return np.stack([rng.uniform(-0.4, 0.4, count) * z, rng.uniform(-0.3, 0.3, count) * z, z], 1)


def three_views(calibration=RAW):
    left, right = posed_pair(calibration)
    turn = cv2.Rodrigues(np.array([0.05, 0.1, -0.03]))[0]
    return [left, right, PosedCamera(left.camera, turn, np.array([-0.3, 0.1, 0.2]))]


def test_by_hand():
    # f 500, b 0.2, d + doffs = 50: two metres; x = 2 (360 - 319.5) / 500.
    pixels = np.array([[[360.0, 239.5]], [[360.0 - 46.0, 239.5]]])
    found = triangulate(posed_pair(RIG), pixels)
    np.testing.assert_allclose(found.points, [[2 * 40.5 / 500, 0, 2]], atol=1e-9)
    assert found.error[0] < 1e-9
    assert found.ahead[0]
    # Rays from (0, 0) and (0.2, 0) to (0.162, 0, 2).
    angle = np.degrees(np.arctan2(0.162, 2) + np.arctan2(0.2 - 0.162, 2))
    assert found.angle[0] == pytest.approx(angle, abs=1e-9)


@pytest.mark.parametrize("calibration", [RIG, RAW, FISHEYE], ids=["rig", "brown", "fisheye"])
def test_exact_pixels_give_the_points_back(calibration):
    views = posed_pair(calibration)
    points = cloud(200)
    found = triangulate(views, reprojection(views, points))
    np.testing.assert_allclose(found.points, points, atol=1e-6)
    assert found.good().all()


def test_a_slow_twin_finds_the_same_minimum():
    views, points = three_views(), cloud(15)
    pixels = reprojection(views, points) + np.random.default_rng(1).normal(size=(3, 15, 2))
    pixels[2, :5] = np.nan
    found = triangulate(views, pixels, sigma=0.7)
    for i, start in enumerate(points):
        seen = np.isfinite(pixels[:, i, 0])

        def residuals(x, i=i, seen=seen):
            return (reprojection(views, x[None])[:, 0] - pixels[:, i])[seen].ravel()

        done = least_squares(residuals, start, xtol=1e-12, ftol=1e-14, gtol=1e-12)
        np.testing.assert_allclose(found.points[i], done.x, atol=2e-4)
        np.testing.assert_allclose(
            found.covariance[i], 0.49 * np.linalg.inv(done.jac.T @ done.jac), rtol=0.01, atol=1e-9
        )
        assert found.error[i] == pytest.approx(np.sqrt(2 * done.cost / seen.sum()), abs=1e-6)


def test_covariance_agrees_with_monte_carlo():
    views, point, sigma = three_views(), np.array([[0.3, -0.2, 2.5]]), 0.4
    exact = reprojection(views, point)
    draws = exact + np.random.default_rng(2).normal(size=(3, 4000, 2)) * sigma
    found = triangulate(views, draws, sigma=sigma)
    # 4000 draws: a variance is known to 2.2 %, a ratio of deviations to 1.1 %.
    scatter = np.cov(found.points.T)
    told = triangulate(views, exact, sigma=sigma).covariance[0]
    whitened = np.linalg.solve(np.linalg.cholesky(told), np.linalg.cholesky(scatter))
    np.testing.assert_allclose(whitened, np.eye(3), atol=0.06)
    np.testing.assert_allclose(found.points.mean(axis=0), point[0], atol=0.003)


def test_covariance_of_a_rectified_rig_is_the_formula():
    rig = StereoRig.simple(640, 480, 500.0, 0.2)
    views = posed_pair(rig)
    for z in (1.0, 3.0, 9.0):
        found = triangulate(views, reprojection(views, np.array([[0.0, 0.0, z]])), sigma=0.3)
        sigma_d = np.sqrt(2) * 0.3
        formula = z**2 * sigma_d / (500 * 0.2)
        assert np.sqrt(found.covariance[0, 2, 2]) == pytest.approx(formula, rel=0.01)


@settings(max_examples=30, deadline=None)
@given(st.floats(-0.4, 0.4), st.floats(-0.3, 0.3), st.floats(0.8, 20), st.floats(0.05, 1.0))
def test_the_covariance_is_symmetric_and_positive(x, y, z, sigma):
    views = three_views()
    found = triangulate(views, reprojection(views, np.array([[x * z, y * z, z]])), sigma=sigma)
    np.testing.assert_allclose(found.covariance[0], found.covariance[0].T, rtol=1e-6)
    assert (np.linalg.eigvalsh(found.covariance[0]) > 0).all()


def test_parallel_diverging_and_lonely_rays():
    views = posed_pair(StereoRig.simple(640, 480, 500.0, 0.2))
    pixels = np.array(
        [
            [[300.0, 200.0], [300.0, 200.0], [300.0, 200.0], [300.0, 200.0]],
            [[300.0, 200.0], [310.0, 200.0], [np.nan, np.nan], [290.0, 200.0]],
        ]
    )
    found = triangulate(views, pixels)
    parallel, behind, lonely, plain = range(4)
    assert found.angle[parallel] < 1e-6
    assert not found.good()[parallel]
    assert not found.ahead[behind]
    assert np.isinf(found.error[behind])
    assert np.isnan(found.points[lonely]).all()
    assert np.isnan(found.angle[lonely])
    assert not found.ahead[lonely]
    assert found.good().tolist() == [False, False, False, True]
    assert found.points[plain, 2] == pytest.approx(10)
    # Two views on one spot say nothing about depth.
    same = triangulate([views[0], views[0]], pixels[[0, 0], 3:])
    assert not same.good().any()


def test_a_hundred_thousand_points_take_seconds_at_most():
    views = posed_pair(RIG)
    pixels = reprojection(views, cloud(100_000))
    pixels += np.random.default_rng(0).normal(size=pixels.shape) * 0.3
    begin = time.process_time()
    found = triangulate(views, pixels)
    assert time.process_time() - begin < 4  # 0.9 s on a core of its own
    assert np.isfinite(found.points).all()


def test_no_points_are_no_error():
    assert len(triangulate(posed_pair(RIG), np.zeros((2, 0, 2))).points) == 0


def test_wrong_requests_are_named(unchecked):
    views = posed_pair(RIG)
    with pytest.raises(InputError, match="two or more"):
        triangulate(views[:1], np.zeros((1, 3, 2)))
    with pytest.raises(InputError, match=r"expected \(2, n, 2\)"):
        triangulate(views, np.zeros((3, 5, 2)))
    with pytest.raises(UsageError, match="sigma"):
        triangulate(views, np.zeros((2, 5, 2)), sigma=0.0)
    with pytest.raises(InputError, match="wrong shape"):
        PosedCamera(LEFT, np.eye(2), np.zeros(3))
    for rotation, shift in ((2 * np.eye(3), 0.0), (np.diag([1, 1, -1]), 0.0), (np.eye(3), np.nan)):
        with pytest.raises(InputError, match="is no pose"):
            PosedCamera(LEFT, rotation, np.full(3, shift))


def test_the_center_is_where_the_camera_stands():
    np.testing.assert_allclose(posed_pair(RIG)[1].center, [0.2, 0, 0])
    right = posed_pair(RAW)[1]
    np.testing.assert_allclose(right.rotation @ right.center + right.translation, 0, atol=1e-12)


@pytest.mark.parametrize(("method", "low", "high"), [("sift", 0.7, 1.4), ("orb", 0.7, 2.2)])
def test_sparse_depth_knows_its_own_error(motorcycle, method, low, high):
    pair = motorcycle.pair
    found = sparse_depth(pair, method=method)
    x, y = np.rint(found.pixels).astype(int).T
    true = motorcycle.truth.to_depth(pair.rig).values[y, x]
    ratio = (found.depth - true) / found.sigma
    # The median of |normal| is 0.674 sigma; wrong matches do not move it.
    assert low < 1.4826 * np.nanmedian(np.abs(ratio)) < high
    assert len(found.depth) > 400


def test_sparse_depth_by_hand():
    blank = View(np.zeros((480, 640), np.uint8))
    left = np.array([[300.0, 100.0], [300.0, 200.0], [300.0, 300.0], [300.0, 50.0]])
    right = np.array([[254.0, 100.0], [304.0, 200.0], [254.0, 340.0], [303.5, 50.0]])
    found = sparse_depth(
        StereoPair(blank, blank, RIG), matches=Matches(left, right, np.ones(4)), sigma=0.25
    )
    # The second lies at infinity (d = -doffs), the third off its row, the fourth too far to tell.
    np.testing.assert_allclose(found.pixels, [[300, 100]])
    np.testing.assert_allclose(found.depth, [2.0], rtol=1e-6)
    np.testing.assert_allclose(found.sigma, [4 * np.sqrt(2) * 0.25 / 100], rtol=0.01)


def test_sparse_depth_says_what_is_missing(motorcycle):
    blank = View(np.zeros((480, 640), np.uint8))
    with pytest.raises(UsageError, match="no calibration"):
        sparse_depth(StereoPair(blank, blank))
    at = np.array([[300.0, 100.0]])
    with pytest.raises(InputError, match="none of 1 matches"):
        sparse_depth(StereoPair(blank, blank, RIG), matches=Matches(at, at + 90, np.ones(1)))
