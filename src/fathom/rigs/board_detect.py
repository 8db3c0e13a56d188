"""Finding a calibration board in an image, to a small part of a pixel, and naming what is there.

Chessboard corners are found by OpenCV's quad detector, with the sector-based one (Duda and Frese,
BMVC 2018) where that fails, and refined by the gradients around each (Foerstner's condition, as
cv2.cornerSubPix solves it): on real boards the refined corners fit a camera better than the
sector-based ones.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from fathom.core.arrays import Array, Float64, Num, UInt8, frozen
from fathom.core.errors import InputError, UsageError, unknown_name
from fathom.rigs.board_circles import find_circles
from fathom.rigs.boards import Board

FEWEST = 6
"""Points of a partly seen ChArUco board below which a view says too little."""
_REDUCED = 1000
"""Chessboards are first looked for in an image of at most so many pixels in width and height."""
_LARGEST_WINDOW = 15


@dataclass(frozen=True, eq=False)
class BoardPoints:
    """Points of a board seen in one image.

    ids: int64 (n,), which points of `Board.points`, rising. pixels: float64 (n, 2), x and y.

    Raises `InputError` for shapes that differ or pixels that are not finite.
    """

    ids: Num[np.ndarray, " n"]
    pixels: Float64[np.ndarray, "n 2"]

    def __post_init__(self) -> None:
        ids = np.ascontiguousarray(self.ids, dtype=np.int64)
        pixels = np.ascontiguousarray(self.pixels, dtype=np.float64)
        if pixels.shape != (len(ids), 2) or not np.isfinite(pixels).all():
            raise InputError(
                "are no points of a board",
                field="pixels",
                value=pixels.shape,
                expected=f"finite numbers, {(len(ids), 2)}",
            )
        object.__setattr__(self, "ids", frozen(ids))
        object.__setattr__(self, "pixels", frozen(pixels))

    def __len__(self) -> int:
        return len(self.ids)

    def turned(self, turn: Num[np.ndarray, " m"]) -> "BoardPoints":
        """The same pixels, read as the board turned by one of `Board.turns`."""
        ids = np.asarray(turn)[self.ids]
        order = np.argsort(ids)
        return BoardPoints(ids[order], self.pixels[order])


def detect_board(
    image: UInt8[np.ndarray, "h w"], board: Board, *, thorough: bool = True
) -> BoardPoints | None:
    """The board's points in a grey image, or None where it is not (wholly) seen.

    ChArUco boards may be seen in part, from `FEWEST` points in two rows and columns on; the others
    have to be seen whole. Boards whose colours tell which way up they are come out the right way
    up; for the others see `Board.turns`. thorough=False leaves out the slow second search.
    """
    if board.kind == "chessboard":
        pixels = _chessboard(image, board.grid, thorough)
    elif board.kind == "charuco":
        return _charuco(image, board)
    else:
        pixels = find_circles(image, board, thorough=thorough)
    if pixels is None:
        return None
    return BoardPoints(np.arange(len(pixels)), _upright(image, board, _right_handed(board, pixels)))


def sharpness(image: UInt8[np.ndarray, "h w"]) -> float:
    """How sharp an image is: the variance of its Laplacian at most 640 pixels wide; no unit."""
    import cv2

    factor = math.ceil(max(image.shape) / 640)
    small = cv2.resize(image, None, fx=1 / factor, fy=1 / factor, interpolation=cv2.INTER_AREA)
    return float(cv2.Laplacian(small, cv2.CV_32F).var())


def _chessboard(image: Array, grid: tuple[int, int], thorough: bool) -> Array | None:
    import cv2

    factor = max(1.0, max(image.shape) / _REDUCED)
    small = image
    if factor > 1:
        size = (round(image.shape[1] / factor), round(image.shape[0] / factor))
        small = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    flags = cv2.CALIB_CB_ADAPTIVE_THRESH | cv2.CALIB_CB_NORMALIZE_IMAGE
    if not thorough:
        flags |= cv2.CALIB_CB_FAST_CHECK
    found, corners = cv2.findChessboardCorners(small, grid, flags=flags)
    if not found and thorough:
        flags = cv2.CALIB_CB_NORMALIZE_IMAGE | cv2.CALIB_CB_EXHAUSTIVE
        found, corners = cv2.findChessboardCornersSB(small, grid, flags=flags)
        if not found and factor > 1:
            found, corners = cv2.findChessboardCornersSB(image, grid, flags=0)
            small = image
    if not found:
        return None
    scale = np.array([image.shape[1] / small.shape[1], image.shape[0] / small.shape[0]])
    rough = (corners.reshape(-1, 2).astype(np.float64) + 0.5) * scale - 0.5
    return _refined(image, rough, grid)


def _refined(image: Array, rough: Array, grid: tuple[int, int]) -> Array | None:
    """Corners at sub-pixel places; None if one has run away to something else."""
    import cv2

    square = rough.reshape(grid[1], grid[0], 2)
    steps = np.concatenate(
        [np.linalg.norm(np.diff(square, axis=axis), axis=2).ravel() for axis in (0, 1)]
    )
    # The window has to end before the next corner, also for the smallest square of a slanted board.
    half = int(np.clip(0.35 * steps.min(), 2, _LARGEST_WINDOW))
    start = rough.astype(np.float32).reshape(-1, 1, 2)
    stop = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_MAX_ITER, 50, 1e-4)
    pixels = cv2.cornerSubPix(image, start.copy(), (half, half), (-1, -1), stop)
    moved = np.linalg.norm(pixels - start, axis=2).max()
    if moved > max(3.0, 0.5 * float(steps.min())):
        return None
    out: Array = pixels.reshape(-1, 2).astype(np.float64)
    return out


def _charuco(image: Array, board: Board) -> BoardPoints | None:
    import cv2

    best: tuple[Array, Array] | None = None
    # Boards of an even number of rows from before OpenCV 4.6 begin with a white square.
    for legacy in (False, True):
        target = opencv_board(board)
        target.setLegacyPattern(legacy)
        corners, ids, _, _ = cv2.aruco.CharucoDetector(target).detectBoard(image)
        if ids is not None and (best is None or len(ids) > len(best[0])):
            best = (ids.ravel(), corners.reshape(-1, 2))
    if best is None or len(best[0]) < FEWEST:
        return None
    order = np.argsort(best[0])
    ids, pixels = best[0][order], best[1][order].astype(np.float64)
    columns = board.grid[0]
    if len(np.unique(ids // columns)) < 2 or len(np.unique(ids % columns)) < 2:
        return None
    return BoardPoints(ids, pixels)


def opencv_board(board: Board) -> Any:
    """The cv2.aruco.CharucoBoard of a ChArUco board, metres.

    Raises `UsageError` for a dictionary that OpenCV does not have, or one with too few markers.
    """
    import cv2

    known = [n for n in dir(cv2.aruco) if n.startswith("DICT_")]
    if board.dictionary not in known:
        raise unknown_name("dictionary", board.dictionary, known)
    dictionary = cv2.aruco.getPredefinedDictionary(getattr(cv2.aruco, board.dictionary))
    needed, there = board.columns * board.rows // 2, len(dictionary.bytesList)
    if needed > there:
        raise UsageError(
            f"has {there} markers and the board needs {needed}",
            field="dictionary",
            value=board.dictionary,
            remedy="take a larger dictionary, or a smaller board",
        )
    size = (board.columns, board.rows)
    assert board.marker is not None
    return cv2.aruco.CharucoBoard(size, board.square, board.marker, dictionary)


def _right_handed(board: Board, pixels: Array) -> Array:
    """The points in an order that is no mirror image of the board."""
    flat = board.points[:, :2] - board.points[:, :2].mean(axis=0)
    linear, *_ = np.linalg.lstsq(flat, pixels - pixels.mean(axis=0), rcond=None)
    if np.linalg.det(linear) > 0:
        return pixels
    columns, rows = board.grid
    out: Array = pixels.reshape(rows, columns, 2)[:, ::-1].reshape(-1, 2)
    if board.kind == "asymmetric-circles":
        out = pixels.reshape(rows, columns, 2)[::-1].reshape(-1, 2)
    return out


def _upright(image: Array, board: Board, pixels: Array) -> Array:
    """A chessboard's corners in the reading that begins at a dark square."""
    if board.kind != "chessboard" or _first_is_dark(image, board, pixels):
        return pixels
    columns, rows = board.grid
    square = pixels.reshape(rows, columns, 2)
    quarters = (2, 1, 3) if columns == rows else (2,)
    for quarter in quarters:
        turned: Array = np.rot90(square, quarter).reshape(-1, 2)
        if _first_is_dark(image, board, turned):
            return turned
    return pixels


def _first_is_dark(image: Array, board: Board, pixels: Array) -> bool:
    """Whether the square inside the first four corners, and every second one, is the darker."""
    columns, rows = board.grid
    square = pixels.reshape(rows, columns, 2)
    middles = (square[1:, 1:] + square[:-1, 1:] + square[1:, :-1] + square[:-1, :-1]) / 4
    x = np.clip(np.rint(middles[..., 0]), 0, image.shape[1] - 1).astype(np.int64)
    y = np.clip(np.rint(middles[..., 1]), 0, image.shape[0] - 1).astype(np.int64)
    grey = image[y, x].astype(np.float64)
    odd = np.add.outer(np.arange(rows - 1), np.arange(columns - 1)) % 2 == 1
    return bool(grey[~odd].mean() < grey[odd].mean())
