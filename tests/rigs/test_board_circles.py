"""Circle grids: found under bent rows, and rid of the shift of their centroids."""

from dataclasses import replace

import numpy as np
import pytest
from board_scenes import (
    fine_rays,
    fisheye_rig,
    pinhole_rig,
    pixels_of,
    poses,
    render,
    right_pose,
    turn,
)

from fathom.core import Camera, UsageError
from fathom.geometry.project import project
from fathom.rigs.board_circles import centroid_shift, find_circles
from fathom.rigs.board_detect import detect_board
from fathom.rigs.boards import Board
from fathom.rigs.calibrate import calibrate_rig
from fathom.rigs.calibrate_fit import CalibrateOptions
from fathom.rigs.calibrate_views import BoardView
from fathom.viz.board import board_picture, board_sheet

KINDS = (Board("circles", 7, 6, 0.025), Board("asymmetric-circles", 4, 11, 0.015))


@pytest.mark.parametrize("rig", [pinhole_rig(), fisheye_rig()], ids=["pinhole", "fisheye"])
def test_the_shift_has_a_slow_twin(rig) -> None:
    """The centroid of very many points spread evenly over the disc, weighted by image area."""
    board = KINDS[0]
    pose = poses(rig, board, 3, seed=7)[2]
    ids = np.array([0, 20, 41])
    shift = centroid_shift(rig.left, board, ids, *pose)
    radii = (np.arange(200) + 0.5) / 200 * board.radius
    angles = np.arange(60) * 2 * np.pi / 60
    disc = np.stack(
        [np.outer(radii, np.cos(angles)).ravel(), np.outer(radii, np.sin(angles)).ravel()], axis=1
    )
    tiny = 1e-7
    for i, point in enumerate(ids):
        flat = np.concatenate([disc, np.zeros((len(disc), 1))], axis=1) + board.points[point]
        at, right, down = (
            project((flat + step) @ pose[0].T + pose[1], rig.left)
            for step in ([0, 0, 0], [tiny, 0, 0], [0, tiny, 0])
        )
        u, v = right - at, down - at
        weight = np.abs(u[:, 0] * v[:, 1] - u[:, 1] * v[:, 0]) * np.repeat(radii, len(angles))
        centre = project(board.points[[point]] @ pose[0].T + pose[1], rig.left)[0]
        assert shift[i] == pytest.approx(np.average(at, axis=0, weights=weight) - centre, abs=2e-4)
    assert np.abs(shift).max() > 0.02


def test_the_shift_of_an_ellipse_by_hand() -> None:
    """A disc of radius r at depth Z, tilted by a about x, shows from Y = -r cos a to r cos a; the
    middle of the ellipse lies midway between the images of its ends."""
    r, a, z, f = 0.01, 0.7, 0.2, 500.0
    board = Board("circles", 3, 3, 0.03, diameter=2 * r)
    ends = [s * f * r * np.cos(a) / (z + s * r * np.sin(a)) for s in (1, -1)]
    camera = Camera(640, 480, f, f, 320.0, 240.0)
    shift = centroid_shift(camera, board, np.array([0]), turn(a, 0, 0), np.array([0, 0, z]))
    assert shift[0] == pytest.approx([0, sum(ends) / 2], abs=1e-9)
    behind = centroid_shift(camera, board, np.array([0]), np.eye(3), np.array([0, 0, -z]))
    assert behind.tolist() == [[0, 0]]


@pytest.mark.parametrize("board", KINDS[:1], ids=lambda b: b.kind)
def test_parameters_are_right_within_their_sigmas(board: Board) -> None:
    """On a wide fisheye lens, where without the shift they are some ten sigmas off."""
    rig = fisheye_rig(480, 360)
    looks = fine_rays(rig.left), fine_rays(rig.right)
    views = []
    for i, pose in enumerate(poses(rig, board, 8, seed=7)):
        left = detect_board(render(rig.left, board, pose, looks[0]), board)
        right = detect_board(render(rig.right, board, right_pose(rig, pose), looks[1]), board)
        views.append(BoardView(f"{i}", left, right))
    assert sum(v.left is not None and v.right is not None for v in views) >= 7
    worst = []
    for target in (board, replace(board, diameter=1e-4 * board.square)):
        result = calibrate_rig(views, target, (rig.left.size,) * 2, CalibrateOptions("fisheye"))
        z = [
            (getattr(getattr(result.calibration, side), n) - getattr(getattr(rig, side), n))
            / result.sigma[f"{side}.{n}"]
            for side in ("left", "right")
            for n in ("fx", "fy", "cx", "cy")
        ]
        z.append((result.calibration.baseline - rig.baseline) / result.sigma["baseline_m"])
        worst.append(float(np.abs(z).max()))
    assert worst[0] < 3 < worst[1]


def test_bent_rows_are_read() -> None:
    """A view that OpenCV's own finder reads wrongly: some circles are far from their places."""
    rig = fisheye_rig()
    board = KINDS[0]
    pose = poses(rig, board, 6, seed=7)[5]
    found = find_circles(render(rig.left, board, pose), board)
    assert found is not None
    true = pixels_of(rig, board, pose)[0]
    gap = min(np.linalg.norm(found[t] - true, axis=1).max() for t in board.turns)
    assert gap < 1.3


def test_a_grid_with_a_row_more_is_another_board() -> None:
    sheet = board_picture(board_sheet(Board("circles", 8, 6, 0.02)), 80)[..., 0].copy()
    assert find_circles(sheet, Board("circles", 8, 6)) is not None
    assert find_circles(sheet, Board("circles", 7, 6)) is None
    assert find_circles(np.full((90, 120), 200, np.uint8), Board("circles", 7, 6)) is None


def test_diameters_are_those_of_the_print_or_given() -> None:
    assert Board("circles", 7, 6, 0.02).diameter == pytest.approx(0.012)
    assert Board("asymmetric-circles", 4, 11, 0.02).radius == pytest.approx(0.009)
    assert Board().radius == 0 and "--diameter" not in Board().flags()
    given = Board("circles", 7, 6, 0.02, diameter=0.01)
    assert given.flags()[-2:] == ["--diameter", "10mm"] and given.as_dict()["diameter_m"] == 0.01
    with pytest.raises(UsageError, match=r"diameter = '20mm': does not fit .*below 20mm"):
        Board("circles", 7, 6, 0.02, diameter=0.02)
