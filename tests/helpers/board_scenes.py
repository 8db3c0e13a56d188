"""Boards before known cameras: their true points with noise, or rendered as images."""

from collections.abc import Sequence
from functools import cache

import cv2
import numpy as np

from fathom.core import Camera, StereoCalibration
from fathom.geometry.project import project, rays
from fathom.rigs.board_detect import BoardPoints
from fathom.rigs.boards import Board
from fathom.rigs.calibrate_views import BoardView
from fathom.viz.board import Rect, Sheet, board_picture, board_shapes

Pose = tuple[np.ndarray, np.ndarray]


def pinhole_rig(width: int = 640, height: int = 480) -> StereoCalibration:
    f = 0.82 * width
    left = Camera(
        width,
        height,
        f,
        f * 1.002,
        width * 0.51,
        height * 0.49,
        "pinhole",
        (-0.22, 0.08, 0.0006, -0.0004, 0.01),
    )
    right = Camera(
        width,
        height,
        f * 1.01,
        f * 1.011,
        width * 0.49,
        height * 0.505,
        "pinhole",
        (-0.24, 0.09, -0.0005, 0.0003, -0.01),
    )
    return StereoCalibration(left, right, turn(0.01, -0.02, 0.006), np.array([-0.08, 0.001, 0.002]))


def fisheye_rig(width: int = 640, height: int = 480) -> StereoCalibration:
    f = 0.36 * width  # about 150 degrees across
    left = Camera(
        width,
        height,
        f,
        f * 1.001,
        width * 0.505,
        height * 0.495,
        "fisheye",
        (-0.02, 0.006, -0.004, 0.001),
    )
    right = Camera(
        width,
        height,
        f * 1.005,
        f * 1.004,
        width * 0.495,
        height * 0.5,
        "fisheye",
        (-0.018, 0.004, -0.003, 0.0008),
    )
    return StereoCalibration(
        left, right, turn(-0.01, 0.015, 0.004), np.array([-0.06, 0.001, -0.001])
    )


def turn(x: float, y: float, z: float) -> np.ndarray:
    return cv2.Rodrigues(np.array([x, y, z], dtype=np.float64))[0]


def poses(
    rig: StereoCalibration, board: Board, count: int, seed: int = 0, tilt: float = 40.0
) -> list[Pose]:
    """Board to left camera, so that both cameras see the whole board; tilt: at most, degrees."""
    rng = np.random.default_rng(seed)
    middle = (board.points.min(axis=0) + board.points.max(axis=0)) / 2
    reach = float(np.linalg.norm(board.extent)) * rig.left.fx / rig.left.width
    found: list[Pose] = []
    while len(found) < count:
        axis = rng.normal(size=2)
        angle = np.radians(rng.uniform(0.2, 1.0) * tilt)
        lean = turn(*(angle * axis / np.linalg.norm(axis)), 0)
        rotation = lean @ turn(0, 0, rng.uniform(-0.6, 0.6))
        spot = rng.uniform([0.1, 0.1], [0.9, 0.9]) * rig.left.size
        look = rays(spot[None], rig.left)[0]
        place = look / np.linalg.norm(look) * reach * rng.uniform(1.1, 2.6)
        translation = place - rotation @ middle
        if _whole(rig, board, (rotation, translation)):
            found.append((rotation, translation))
    return found


def seen(
    rig: StereoCalibration,
    board: Board,
    places: Sequence[Pose],
    noise: float = 0.1,
    seed: int = 1,
) -> list[BoardView]:
    """The views of exact detectors with Gaussian noise (pixels)."""
    rng = np.random.default_rng(seed)
    views = []
    for i, pose in enumerate(places):
        points = [
            BoardPoints(np.arange(len(p)), p + rng.normal(0, noise, p.shape))
            for p in pixels_of(rig, board, pose)
        ]
        views.append(BoardView(f"view{i:02d}", *points))
    return views


def pixels_of(rig: StereoCalibration, board: Board, pose: Pose) -> tuple[np.ndarray, np.ndarray]:
    left = board.points @ pose[0].T + pose[1]
    right = left @ rig.rotation.T + rig.translation
    return project(left, rig.left), project(right, rig.right)


def render(camera: Camera, board: Board, pose: Pose, looks: np.ndarray | None = None) -> np.ndarray:
    """A grey image (h, w) of the printed board on a grey wall; 3 x 3 rays a pixel."""
    fine = 3
    looks = fine_rays(camera) if looks is None else looks
    texture, border, dots = paper(board)
    first = first_point(board) + border  # millimetres from the sheet's corner to point 0
    normal, middle = pose[0][:, 2], pose[1]
    with np.errstate(invalid="ignore", divide="ignore"):
        reach = (normal @ middle) / (looks @ normal)
        reach = np.where(reach > 0, reach, np.nan)
        flat = (looks * reach[:, None] - middle) @ pose[0]
    xy = (flat[:, :2] * 1000 + first) * dots - 0.5
    grid = np.nan_to_num(xy, nan=-1e4).reshape(camera.height * fine, camera.width * fine, 2)
    grid = np.clip(grid, -1e4, 1e4).astype(np.float32)
    big = cv2.remap(
        texture,
        grid[..., 0],
        grid[..., 1],
        cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_CONSTANT,
        borderValue=150,
    )
    big = (40 + big.astype(np.float32) * (180 / 255)).reshape(
        camera.height, fine, camera.width, fine
    )
    return np.rint(big.mean(axis=(1, 3))).astype(np.uint8)


@cache
def paper(board: Board) -> tuple[np.ndarray, float, float]:
    """The printed board as pixels, its border in millimetres, and pixels a millimetre."""
    shapes, width, height = board_shapes(board)
    border, dots = 12.0, 4.0
    moved = [type(s)(**{**s.__dict__, "x": s.x + border, "y": s.y + border}) for s in shapes]
    sheet = Sheet(width + 2 * border, height + 2 * border, tuple(moved), Rect(0, 0, 0, 0), "")
    return board_picture(sheet, dots * 25.4, text=False)[..., 0].copy(), border, dots


def fine_rays(camera: Camera, fine: int = 3) -> np.ndarray:
    """Directions of fine x fine places in each pixel, by the slope of those of the pixels."""
    y, x = np.mgrid[0 : camera.height, 0 : camera.width].astype(np.float64)
    looks = rays(np.stack([x.ravel(), y.ravel()], axis=1), camera)
    looks = looks.reshape(camera.height, camera.width, 3)
    down, across = np.gradient(looks, axis=(0, 1))
    steps = (np.arange(fine) + 0.5) / fine - 0.5
    out = (
        looks[:, None, :, None]
        + steps[:, None, None, None] * down[:, None, :, None]
        + steps[:, None] * across[:, None, :, None]
    )
    return out.reshape(-1, 3)


def first_point(board: Board) -> np.ndarray:
    """Millimetres from the printed board's corner to its point 0."""
    step = 1000 * board.square
    if board.kind in ("chessboard", "charuco"):
        return np.array([step, step])
    return np.full(2, 1000 * board.radius)


def right_pose(rig: StereoCalibration, pose: Pose) -> Pose:
    return rig.rotation @ pose[0], rig.rotation @ pose[1] + rig.translation


def _whole(rig: StereoCalibration, board: Board, pose: Pose) -> bool:
    for camera, pixels in zip((rig.left, rig.right), pixels_of(rig, board, pose), strict=True):
        if not np.isfinite(pixels).all():
            return False
        margin = 0.06 * camera.width
        low, high = pixels.min(axis=0), pixels.max(axis=0)
        if (low < margin).any() or (high > np.array(camera.size) - margin).any():
            return False
    return True
