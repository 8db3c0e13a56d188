"""Calibrating a rig: against known truth, with bad views, and what cannot be calibrated."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
from board_scenes import fisheye_rig, pinhole_rig, poses, seen, turn

from fathom.core import InputError
from fathom.rigs.board_detect import BoardPoints, detect_board
from fathom.rigs.boards import Board
from fathom.rigs.calibrate import calibrate_rig
from fathom.rigs.calibrate_camera import board_pose, calibrate_camera
from fathom.rigs.calibrate_fit import CalibrateOptions
from fathom.rigs.calibrate_quality import Criterion, coverage, judge, seen_by_both, tilts
from fathom.rigs.calibrate_views import BoardView, Poses, guess_rig, moved

SIZES = ((640, 480), (640, 480))
BOARD = Board()
RIG = pinhole_rig()


def z_scores(result, rig) -> np.ndarray:
    """Errors in units of the stated standard deviation."""
    found = result.calibration
    z = [
        (getattr(getattr(found, side), name) - getattr(getattr(rig, side), name))
        / result.sigma[f"{side}.{name}"]
        for side in ("left", "right")
        for name in ("fx", "fy", "cx", "cy")
    ]
    z.append((found.baseline - rig.baseline) / result.sigma["baseline_m"])
    return np.array(z)


@pytest.fixture(scope="module")
def good():
    return seen(RIG, BOARD, poses(RIG, BOARD, 12, seed=5), 0.1, seed=6)


@pytest.fixture(scope="module")
def calibrated(good):
    return calibrate_rig(good, BOARD, SIZES)


def test_estimates_lie_within_their_sigmas_pinhole(calibrated) -> None:
    runs = [calibrated] + [
        calibrate_rig(seen(RIG, BOARD, poses(RIG, BOARD, 12, s), 0.1, s), BOARD, SIZES)
        for s in (11, 12)
    ]
    z = np.stack([z_scores(run, RIG) for run in runs])
    assert np.abs(z).max() < 4
    assert 0.3 < np.sqrt(np.mean(z**2)) < 1.9
    for run in runs:
        assert run.rms == pytest.approx(0.1 * np.sqrt(2), rel=0.1)
        assert run.rows < 0.25
        assert run.rms <= run.rms_before * 1.001


def test_estimates_lie_within_their_sigmas_fisheye() -> None:
    rig = fisheye_rig()
    views = seen(rig, BOARD, poses(rig, BOARD, 12, 7), 0.1, 8)
    result = calibrate_rig(views, BOARD, SIZES, CalibrateOptions(model="fisheye"))
    assert np.abs(z_scores(result, rig)).max() < 4
    assert result.calibration.left.model == "fisheye"
    assert result.rms == pytest.approx(0.1 * np.sqrt(2), rel=0.1)


def test_baseline_sigma_is_that_of_repeated_noise() -> None:
    places = poses(RIG, BOARD, 6, seed=21)
    runs = [calibrate_rig(seen(RIG, BOARD, places, 0.2, s), BOARD, SIZES) for s in range(5)]
    spread = np.std([run.calibration.baseline for run in runs], ddof=1)
    stated = np.mean([run.sigma["baseline_m"] for run in runs])
    assert 0.4 < spread / stated < 2.2


def test_without_refinement_the_cameras_stay(good, calibrated) -> None:
    held = calibrate_rig(good, BOARD, SIZES, CalibrateOptions(refine=False))
    assert not held.refined
    assert "left.fx" not in held.sigma and "baseline_m" in held.sigma
    alone = calibrate_camera([BOARD.points] * len(good), [v.left.pixels for v in good], SIZES[0])
    assert held.calibration.left.fx == pytest.approx(alone.camera.fx, rel=1e-9)
    assert held.calibration.left.distortion == pytest.approx(alone.camera.distortion, abs=1e-6)
    assert calibrated.rms <= held.rms
    assert all("focal" not in c.name for c in judge(held).criteria)


def test_views_are_left_out_with_their_reason(good) -> None:
    rng = np.random.default_rng(0)
    wild = BoardPoints(good[0].left.ids, good[0].left.pixels + rng.normal(0, 4, (54, 2)))
    place = poses(RIG, BOARD, 14, seed=30)[-2:]
    late = seen(RIG, BOARD, place, 0.1, 3)
    views = [
        replace(good[0], name="wild", left=wild),
        *good[1:],
        replace(good[1], name="blind", right=None),
        BoardView("nothing", None, None),
        replace(good[2], name="again"),
        BoardView("moved", late[0].left, late[1].right),
    ]
    result = calibrate_rig(views, BOARD, SIZES)
    reasons = {drop.name: drop for drop in result.dropped}
    assert {name: drop.code for name, drop in reasons.items()} == {
        "wild": "error",
        "blind": "not-found-right",
        "nothing": "not-found",
        "again": "duplicate",
        "moved": "rig-pose",
    }
    assert "in the right image" in reasons["blind"].reason
    assert "view02" in reasons["again"].reason
    assert "px in the left image" in reasons["wild"].reason
    assert result.dropped[0].name == "wild"
    assert len(result.views) == len(good) - 1
    assert np.abs(z_scores(result, RIG)).max() < 4


def test_views_of_one_camera_help_that_camera(good, calibrated) -> None:
    more = seen(RIG, BOARD, poses(RIG, BOARD, 8, seed=77), 0.1, seed=8)
    wild = BoardPoints(
        more[7].right.ids, more[7].right.pixels + np.random.default_rng(0).normal(0, 4, (54, 2))
    )
    lonely = [
        *(replace(v, name=f"l{i}", right=None) for i, v in enumerate(more[:5])),
        *(replace(v, name=f"r{i}", left=None) for i, v in enumerate(more[5:7])),
        BoardView("wild", None, wild),
    ]
    result = calibrate_rig([lonely[0], *good, *lonely[1:]], BOARD, SIZES)
    sides = {single.view.name: single.side for single in result.singles}
    assert sides == {f"l{i}": "left" for i in range(5)} | {"r0": "right", "r1": "right"}
    assert {d.code for d in result.dropped if d.name == "wild"} == {"error", "not-found-left"}
    assert len(result.views) == len(good)
    assert result.sigma["left.fx"] < 0.9 * calibrated.sigma["left.fx"]
    assert np.abs(z_scores(result, RIG)).max() < 4
    assert len(result.residuals("left")) == sum(len(p) for p in result.seen("left")) == 54 * 17
    assert all(single.error == pytest.approx(0.141, rel=0.3) for single in result.singles)


def test_a_small_move_between_the_shots_shows_in_the_rig(good) -> None:
    """Each image fits its own camera; only together are they wrong."""
    pose = poses(RIG, BOARD, 1, seed=40)[0]
    here = seen(RIG, BOARD, [pose], 0.1)[0]
    there = seen(RIG, BOARD, [(pose[0], pose[1] + [0.004, 0, 0])], 0.1)[0]
    result = calibrate_rig([*good, BoardView("late", here.left, there.right)], BOARD, SIZES)
    assert [(d.name, d.code) for d in result.dropped] == [("late", "error")]
    assert "same moment" in result.dropped[0].reason


def test_bad_views_can_be_kept(good) -> None:
    rng = np.random.default_rng(0)
    noisy = BoardPoints(good[0].left.ids, good[0].left.pixels + rng.normal(0, 1.5, (54, 2)))
    views = [replace(good[0], left=noisy), *good[1:]]
    assert not calibrate_rig(views, BOARD, SIZES, CalibrateOptions(reject=False)).dropped
    assert calibrate_rig(views, BOARD, SIZES).dropped


@pytest.mark.parametrize("board", [Board("chessboard", 7, 7), Board("circles", 8, 5, 0.03)])
def test_a_board_read_upside_down_in_one_camera_is_mended(board: Board) -> None:
    views = seen(RIG, board, poses(RIG, board, 8, seed=3), 0.1)
    flipped = [
        replace(v, right=v.right.turned(board.turns[1])) if i in (1, 4) else v
        for i, v in enumerate(views)
    ]
    # Read upside-down in both, a board is just as good.
    flipped[6] = BoardView(
        "view06", views[6].left.turned(board.turns[1]), views[6].right.turned(board.turns[1])
    )
    straight, mended = (calibrate_rig(v, board, SIZES) for v in (views, flipped))
    assert not mended.dropped
    assert {e.name for e in mended.errors if e.turned} == {"view01", "view04"}
    assert mended.calibration.baseline == pytest.approx(straight.calibration.baseline, abs=1e-6)


def test_left_and_right_out_of_step_are_named() -> None:
    views = seen(RIG, BOARD, poses(RIG, BOARD, 10, seed=9), 0.1)
    late = [BoardView(v.name, v.left, views[i - 1].right) for i, v in enumerate(views)][1:]
    with pytest.raises(InputError, match="not in sync: the right views fit the left ones 1 later"):
        calibrate_rig(late, BOARD, SIZES)


def test_views_that_agree_on_no_rig_are_refused() -> None:
    views = seen(RIG, BOARD, poses(RIG, BOARD, 10, seed=9), 0.1)
    order = [7, 3, 9, 0, 8, 2, 1, 5, 4, 6]
    mixed = [BoardView(v.name, v.left, views[i].right) for v, i in zip(views, order, strict=True)]
    with pytest.raises(InputError, match="agree on where the cameras stand"):
        calibrate_rig(mixed, BOARD, SIZES)


def test_too_few_views_are_refused(good) -> None:
    with pytest.raises(InputError, match="2 of 2 views can be used"):
        calibrate_rig(good[:2], BOARD, SIZES)
    blind = [replace(v, right=None) for v in good]
    with pytest.raises(InputError, match=r"0 of 12 views.*12 without it in the right image"):
        calibrate_rig(blind, BOARD, SIZES)
    same = [replace(good[0], name=f"v{i}") for i in range(8)]
    with pytest.raises(InputError, match=r"1 of 8 .*7 in the same pose as another"):
        calibrate_rig(same, BOARD, SIZES)


def test_boards_that_all_face_the_camera_are_refused() -> None:
    places = [
        (np.eye(3), np.array([x, y, z]))
        for x, y, z in (
            (-0.1, -0.06, 0.5),
            (-0.05, -0.05, 0.45),
            (-0.08, -0.09, 0.55),
            (-0.12, -0.03, 0.6),
            (-0.06, -0.08, 0.62),
            (-0.09, -0.05, 0.5),
        )
    ]
    straight = replace(RIG, rotation=np.eye(3))
    with pytest.raises(InputError, match="faces the camera in every view"):
        calibrate_rig(seen(straight, BOARD, places, 0.2), BOARD, SIZES)


def test_a_focal_length_that_is_anyones_guess_is_refused() -> None:
    places = poses(RIG, BOARD, 4, seed=3, tilt=8)
    with pytest.raises(InputError, match=r"views.*(determine|agree|faces)"):
        calibrate_rig(seen(RIG, BOARD, places, 1.5), BOARD, SIZES)


def test_exchanged_cameras_are_named() -> None:
    views = seen(RIG, BOARD, poses(RIG, BOARD, 8, seed=2), 0.1)
    crossed = [BoardView(v.name, v.right, v.left) for v in views]
    with pytest.raises(InputError, match=r"left and right are exchanged.*80 mm"):
        calibrate_rig(crossed, BOARD, SIZES)


def test_partly_seen_boards_serve() -> None:
    board = Board("charuco", 10, 7)
    rng = np.random.default_rng(4)

    def cut(points: BoardPoints) -> BoardPoints:
        keep = np.sort(rng.permutation(len(points))[: rng.integers(20, 50)])
        return BoardPoints(points.ids[keep], points.pixels[keep])

    whole = seen(RIG, board, poses(RIG, board, 12, seed=14), 0.1)
    views = [BoardView(v.name, cut(v.left), cut(v.right)) for v in whole]
    result = calibrate_rig(views, board, SIZES)
    assert np.abs(z_scores(result, RIG)).max() < 4
    assert all(len(v.left) == len(r) for v, r in zip(result.views, result.left, strict=True))


def test_a_camera_that_nothing_determines_is_refused() -> None:
    line = np.stack([np.linspace(100, 200, 54), np.linspace(100, 200, 54)], axis=1)
    for model in ("pinhole", "fisheye"):
        with pytest.raises(InputError, match="do not determine"):
            calibrate_camera([BOARD.points] * 3, [line * 0 + 50] * 3, (640, 480), model)
    assert board_pose(RIG.left, BOARD.points[:3], line[:3]) is None


def test_the_rig_is_found_among_wrong_ones() -> None:
    board = Board("chessboard", 7, 7)
    places = poses(RIG, board, 9, seed=1)
    left = Poses(np.stack([p[0] for p in places]), np.stack([p[1] for p in places]))
    right = Poses(
        RIG.rotation @ left.rotations, left.translations @ RIG.rotation.T + RIG.translation
    )
    spoilt = right.translations.copy()
    spoilt[2] += [0.3, 0, 0]
    guess = guess_rig(board, left, Poses(right.rotations, spoilt))
    np.testing.assert_allclose(guess.rotation, RIG.rotation, atol=1e-9)
    np.testing.assert_allclose(guess.translation, RIG.translation, atol=1e-9)
    assert guess.agree.tolist() == [i != 2 for i in range(9)]
    assert guess.gaps[2] == pytest.approx(0.3, abs=1e-9)


def test_tilts_by_hand() -> None:
    # The board's right side is farther away: turned about the image's vertical axis.
    right_away = turn(0, -0.5, 0)[:, 2]
    lower_away = turn(0.5, 0, 0)[:, 2]
    found = tilts(np.stack([right_away, lower_away]))
    np.testing.assert_allclose(found, [[np.degrees(0.5), 0], [0, np.degrees(0.5)]], atol=1e-9)
    assert (turn(0, -0.5, 0) @ [1, 0, 0])[2] > 0
    assert (turn(0.5, 0, 0) @ [0, 1, 0])[2] > 0


def test_coverage_counts_points() -> None:
    points = BoardPoints(np.arange(4), np.array([[0.0, 0.0], [639, 479], [639.4, 0], [320, 240]]))
    cells = coverage(RIG.left, [points])
    assert cells.shape == (6, 8)
    assert cells.sum() == 4
    assert cells[0, 0] == cells[5, 7] == cells[0, 7] == cells[3, 4] == 1


def test_what_only_one_camera_sees_need_not_be_covered() -> None:
    near = seen_by_both(RIG, "left", 0.3, (6, 8))
    assert not near[:, 0].any() and near[:, 4:].any()
    assert seen_by_both(RIG, "right", 0.3, (6, 8))[2:4, 0].all()


def test_criteria_have_three_levels() -> None:
    assert [Criterion("x", v, "", 1, 2).level for v in (0.5, 1.5, 3, float("nan"))] == [
        "good",
        "usable",
        "poor",
        "poor",
    ]
    assert Criterion("x", 10, "", 10, 5, more=True).level == "good"
    assert Criterion("x", 4, "", 10, 5, more=True).level == "poor"


def test_advice_names_what_is_missing(calibrated) -> None:
    quality = judge(calibrated)
    assert quality.level in ("good", "usable")
    few = [v for v in calibrated.views if v.left.pixels.mean(axis=0)[0] > 300][:4]
    less = judge(calibrate_rig(few, BOARD, SIZES))
    assert less.level == "poor"
    text = " ".join(less.advice)
    assert "more views" in text and "of the left image" in text


def test_moved_is_infinite_without_common_points() -> None:
    a = BoardPoints(np.array([0]), np.zeros((1, 2)))
    b = BoardPoints(np.array([1]), np.zeros((1, 2)))
    assert moved(a, b) == float("inf")


@pytest.mark.shared
def test_opencv_chessboards(shared) -> None:
    folder = shared / "data" / "calibration" / "opencv_chessboards"
    names = [p.stem.removeprefix("left") for p in sorted(folder.glob("left??.jpg"))]
    views = [
        BoardView(
            name,
            *(
                detect_board(cv2.imread(str(folder / f"{side}{name}.jpg"), 0), BOARD)
                for side in ("left", "right")
            ),
        )
        for name in names
    ]
    result = calibrate_rig(views, BOARD, SIZES)
    assert len(result.views) == 13 and not result.dropped
    assert result.rms < 0.25
    assert result.rows < 0.2
    assert result.rms <= result.rms_before and result.rows <= result.rows_before
    # OpenCV's own result for the left camera alone: left_intrinsics.yml, f = 535.9.
    assert abs(result.calibration.left.fx - 535.9) < 3
    assert judge(result).level == "good"
