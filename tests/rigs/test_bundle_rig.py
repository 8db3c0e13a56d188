"""Refinement of a stereo rig over views of a board: truth, sigmas, outliers, speed, refusals."""

import time
from dataclasses import replace

import numpy as np
import pytest
from bundles import RAW, ROUGH, board_views

from fathom.core import InputError
from fathom.geometry.project import intrinsic_names, intrinsics
from fathom.rigs.bundle import BundleOptions, refine_rig


def deviations(found, true):
    """Error over sigma of every intrinsic number and of the baseline."""
    out = [(found.calibration.baseline - true.baseline) / found.baseline_sigma]
    for side in ("left", "right"):
        camera = getattr(true, side)
        error = intrinsics(getattr(found.calibration, side)) - intrinsics(camera)
        for name, value in zip(intrinsic_names(camera), error, strict=True):
            if f"{side}.{name}" in found.adjusted.names:
                out.append(value / found.sigma(f"{side}.{name}"))
    return np.array(out)


def test_a_rig_is_found_from_a_rough_start_within_its_sigmas():
    boards, left, right = board_views(np.random.default_rng(0))
    begin = time.process_time()
    found = refine_rig(ROUGH, boards, left, right)
    assert time.process_time() - begin < 8  # 1.1 s on a core of its own
    assert found.adjusted.converged
    assert found.adjusted.noise == pytest.approx(0.2, rel=0.05)
    assert np.abs(deviations(found, RAW)).max() < 3.5  # of 19 numbers
    assert found.baseline_sigma < 0.0005
    assert found.sigma("left.fx") < 3
    turn = found.calibration.rotation @ RAW.rotation.T
    vector = [turn[2, 1], turn[0, 2], turn[1, 0]]
    for name, value in zip(("rx", "ry", "rz"), vector, strict=True):
        assert abs(value) < 3.5 * found.sigma(f"rig.{name}")
    assert len(found.left) == len(found.right) == 20
    assert found.left[0].shape == (54, 2)
    total = np.concatenate([*found.left, *found.right])
    assert np.sqrt(2 * np.mean(total**2)) == pytest.approx(found.adjusted.rms_after)


def test_sigmas_are_right_by_monte_carlo():
    rng = np.random.default_rng(1)
    small = BundleOptions(refine=("focal", "k1"))
    ratios = []
    for _ in range(25):
        boards, left, right = board_views(rng, views=5, grid=(5, 4))
        found = refine_rig(RAW, boards, left, right, options=small)
        ratios.append(deviations(found, RAW))
    spread = np.sqrt(np.mean(np.square(ratios)))
    assert 0.8 < spread < 1.25


def test_a_robust_loss_withstands_five_percent_of_outliers():
    boards, left, right = board_views(np.random.default_rng(2), views=10, outliers=0.05)
    how = BundleOptions(refine=("focal", "center", "distortion"), loss_scale=0.5)
    errors = {}
    for loss in ("soft_l1", "linear"):
        found = refine_rig(RAW, boards, left, right, options=replace(how, loss=loss))
        errors[loss] = abs(found.calibration.left.fx - RAW.left.fx)
        if loss == "soft_l1":
            assert np.abs(deviations(found, RAW)).max() < 4
    assert errors["soft_l1"] < 0.5 * errors["linear"]


def test_fisheyes_are_refined():
    lens = (0.02, -0.01, 0.003, 0.0)
    true = replace(
        RAW,
        left=replace(RAW.left, model="fisheye", distortion=lens),
        right=replace(RAW.right, model="fisheye", distortion=lens),
    )
    boards, left, right = board_views(np.random.default_rng(3), views=12, calibration=true)
    start = replace(
        true,
        left=replace(true.left, fx=505, fy=512, distortion=(0.0,) * 4),
        right=replace(true.right, cx=325, distortion=(0.0,) * 4),
    )
    found = refine_rig(start, boards, left, right)
    assert np.abs(deviations(found, true)).max() < 3.5


def test_views_may_miss_points_and_whole_sides():
    boards, left, right = board_views(np.random.default_rng(4), views=8)
    left[0][10:] = np.nan
    left[1][:] = np.nan
    right[2][:] = np.nan
    found = refine_rig(RAW, boards, left, right)
    assert found.adjusted.rms_before < 0.5  # the poses of such views are found from either side
    assert np.isnan(found.left[1]).all()
    assert np.isnan(found.left[0][10:]).all()
    assert np.isfinite(found.left[0][:10]).all()
    assert np.isfinite(found.right[1]).all()
    assert np.abs(deviations(found, RAW)).max() < 3.5


def test_given_poses_lead_to_the_same_place():
    boards, left, right = board_views(np.random.default_rng(5), views=6)
    first = refine_rig(RAW, boards, left, right)
    again = refine_rig(RAW, boards, left, right, poses=(first.rotations, first.translations))
    assert again.calibration.left.fx == pytest.approx(first.calibration.left.fx, abs=1e-3)


def test_opencvs_own_boards(shared):
    """OpenCV's 13 pairs with OpenCV's own corners: no worse than its 0.6 px."""
    import cv2

    folder = shared / "data" / "calibration" / "opencv_chessboards"
    flat = np.mgrid[0:9, 0:6].T.reshape(-1, 2) * 0.025
    board = np.concatenate([flat, np.zeros((54, 1))], axis=1)
    sides = {"left": [], "right": []}
    for i in (1, 2, 3, 4, 5, 6):
        for side, found in sides.items():
            image = cv2.imread(str(folder / f"{side}{i:02d}.jpg"), cv2.IMREAD_GRAYSCALE)
            good, corners = cv2.findChessboardCorners(image, (9, 6))
            assert good
            stop = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 30, 0.01)
            corners = cv2.cornerSubPix(image, corners, (5, 5), (-1, -1), stop)
            found.append(corners.reshape(-1, 2).astype(np.float64))
    found = refine_rig(ROUGH, [board] * 6, sides["left"], sides["right"])
    assert found.adjusted.rms_after < 0.6
    assert found.calibration.baseline == pytest.approx(0.0834, abs=0.002)


def test_what_cannot_be_refined_is_said():
    boards, left, right = board_views(np.random.default_rng(6), views=3)
    with pytest.raises(InputError, match="differ in number"):
        refine_rig(RAW, boards, left[:2], right)
    with pytest.raises(InputError, match="differ in number"):
        refine_rig(RAW, [], [], [])
    with pytest.raises(InputError, match=r"view 1 = .*: has a wrong shape"):
        refine_rig(RAW, boards, [left[0], left[1][:5], left[2]], right)
    few = [x.copy() for x in left], [x.copy() for x in right]
    few[0][2][3:] = few[1][2][3:] = np.nan
    with pytest.raises(InputError, match="view 2: shows 3 points"):
        refine_rig(RAW, boards, *few)
