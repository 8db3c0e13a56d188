"""Rectification from matches: warped real pairs, simulated cameras, and hopeless ones."""

import cv2
import numpy as np
import pytest

from fathom.core import Camera, InputError, View
from fathom.geometry.project import project
from fathom.rigs.bundle_problem import turn
from fathom.rigs.features import Matches, match_features
from fathom.rigs.uncalibrated import _sampson, rectify_uncalibrated

SIZE = (640, 480)
CAMERA = Camera(*SIZE, 560, 560, 325, 236)


def simulated(angles=(0.0, 0.0, 0.0), shift=(-0.3, 0.0, 0.0), seed=0, plane=False, wrong=0.1):
    """Matches of two cameras; angles in degrees, shift in metres as X_right = R X_left + T."""
    rng = np.random.default_rng(seed)
    points = rng.uniform((-3, -2.2, 3), (3, 2.2, 9), (2500, 3))
    if plane:
        points[:, 2] = 5 + 0.3 * points[:, 0]
    left = project(points, CAMERA)
    right = project(points @ turn(np.radians([angles]))[0].T + shift, CAMERA)
    with np.errstate(invalid="ignore"):
        seen = ((left > 0) & (left < SIZE) & (right > 0) & (right < SIZE)).all(axis=1)
    left, right = (x[seen] + rng.normal(size=(seen.sum(), 2)) * 0.2 for x in (left, right))
    bad = rng.random(len(left)) < wrong
    right[bad] = rng.uniform((0, 0), SIZE, (int(bad.sum()), 2))
    return Matches(left, right, np.ones(len(left)))


def mapped(homography, points):
    return cv2.perspectiveTransform(points[:, None], homography)[:, 0]


@pytest.mark.parametrize(
    "angles", [(0, 0, 0), (1, 0, 2), (-3, 8, -4), (0, -12, 0), (6, 5, 10)], ids=str
)
def test_rows_of_simulated_cameras_agree(angles):
    matches = simulated(angles, (-0.3, 0.03, 0.04))
    found = rectify_uncalibrated(matches, SIZE)
    p, q = mapped(found.left, matches.left), mapped(found.right, matches.right)
    rise = (q - p)[found.inliers, 1]
    assert found.after == pytest.approx(np.sqrt(np.mean(rise**2)))
    assert found.after < 0.45  # two coordinates of 0.2 px each, and what the inliers let in
    if any(angles):
        assert found.before > 5 * found.after
    disparity = (p - q)[found.inliers, 0]
    # A wrong match on its right row may lie anywhere along it.
    assert found.disparities[0] == pytest.approx(2)
    assert np.mean(disparity >= 2 - 1e-9) > 0.99
    assert found.disparities == (pytest.approx(2), pytest.approx(disparity.max()))
    # Neither mirrored, nor upside down, nor much distorted.
    for homography in (found.left, found.right):
        corner, across, down = mapped(homography, np.array([[0.0, 0], [639, 0], [0, 479]]))
        assert 450 < across[0] - corner[0] < 900
        assert 330 < down[1] - corner[1] < 700
    assert found.shear < 3
    assert 0.85 < found.aspect < 1.18
    assert np.mean(found.inliers) > 0.85
    assert "metres are unknown" in found.statement


def test_nearer_points_keep_the_larger_disparity():
    matches = simulated((1, 3, 2), wrong=0.0)
    raw = matches.disparity
    found = rectify_uncalibrated(matches, SIZE)
    p, q = mapped(found.left, matches.left), mapped(found.right, matches.right)
    straight = simulated((0, 0, 0), wrong=0.0)
    assert straight.disparity.min() > 0
    assert np.corrcoef((p - q)[:, 0], raw)[0, 1] > 0.5


def test_the_same_matches_give_the_same_result():
    matches = simulated((1, 2, 3))
    a, b = (rectify_uncalibrated(matches, SIZE) for _ in range(2))
    np.testing.assert_array_equal(a.left, b.left)
    np.testing.assert_array_equal(a.right, b.right)


def test_a_warped_real_pair_is_rectified(motorcycle):
    pair = motorcycle.pair
    k = np.array([[1000, 0, 370], [0, 1000, 250], [0, 0, 1.0]])
    views = []
    for view, angles in ((pair.left, (-1, 2, 1)), (pair.right, (2, -3, -3))):
        warp = k @ turn(np.radians([angles]))[0] @ np.linalg.inv(k)
        image = cv2.warpPerspective(np.asarray(view.image), warp, pair.size, flags=cv2.INTER_CUBIC)
        views.append(View(image))
    found = rectify_uncalibrated(match_features(*views, limit=2000), pair.size)
    assert found.before > 20
    assert found.after < 0.6
    made = found(*views)
    assert made.rig is None
    again = match_features(made.left, made.right, limit=1500)
    assert np.median(np.abs(again.rise)) < 0.3
    assert (again.disparity > 0).mean() > 0.95


def test_epipolar_distance_by_hand():
    # Rows that agree: F of a pure shift along x; both coordinates share the error of 3 px.
    shift = np.array([[0.0, 0, 0], [0, 0, -1], [0, 1, 0]])
    p, q = np.array([[10.0, 20.0]]), np.array([[5.0, 23.0]])
    np.testing.assert_allclose(_sampson(shift, p, q), [3 / np.sqrt(2)])


@pytest.mark.parametrize(
    ("matches", "message"),
    [
        (simulated().take(np.arange(20)), "20 matches are too few"),
        (simulated(wrong=1.0), r"only \d+ of \d+ matches agree on one geometry"),
        (simulated((2, 4, 3), (0, 0, 0)), "the cameras only turned"),
        (simulated((2, 4, 3), (-0.3, 0, 0), plane=True), "all lies in one plane|one far plane"),
        (simulated((0, 0, 0), (0.02, 0.01, -1.5)), "the epipole lies in the"),
        (simulated((0, 0, 0), (0, -0.5, 0)), "lines 90 degrees from the rows"),
        (simulated((0, 0, 150)), "rows still differ|degrees from the rows"),
    ],
    ids=["few", "chance", "turned", "plane", "forward", "vertical", "rolled"],
)
def test_what_cannot_be_rectified_is_said(matches, message):
    with pytest.raises(InputError, match=message):
        rectify_uncalibrated(matches, SIZE)


def test_images_of_another_size_are_refused():
    found = rectify_uncalibrated(simulated(), SIZE)
    blank = View(np.zeros((480, 641), np.uint8))
    with pytest.raises(InputError, match=r"641x480.*expected 640x480"):
        found(blank, blank)


def test_a_wrong_match_along_its_row_moves_nothing():
    matches = simulated((1, 0, 2), (-0.3, 0.03, 0.04))
    clean = rectify_uncalibrated(matches, SIZE)
    # Moved along its own epipolar line by most of the image: no epipolar geometry can tell.
    wrong = mapped(clean.right, matches.right[:1]) + np.array([[500.0, 0.0]])
    right = matches.right.copy()
    right[0] = mapped(np.linalg.inv(clean.right), wrong)[0]
    found = rectify_uncalibrated(Matches(matches.left, right, matches.score), SIZE)
    assert found.inliers[0]
    shift = mapped(found.right, matches.right[1:]) - mapped(clean.right, matches.right[1:])
    assert np.abs(shift).max() < 3
