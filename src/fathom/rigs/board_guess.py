"""What board is in an image, where the one that was asked for is not."""

from collections.abc import Sequence

import numpy as np

from fathom.core.arrays import Array, UInt8
from fathom.rigs.board_detect import detect_board
from fathom.rigs.boards import Board

_FAMILIES = (
    "DICT_4X4_250",
    "DICT_5X5_250",
    "DICT_6X6_250",
    "DICT_7X7_250",
)
_FEW_MARKERS = 4


def guess_board(images: Sequence[UInt8[np.ndarray, "_h _w"]], board: Board) -> str | None:
    """A phrase for the board that the grey images show, None if there is none that fathom knows.

    Looks for a chessboard of any size, markers of any dictionary, and the mirrored or slightly
    smaller and larger circle grids.
    """
    for image in images:
        markers = _markers(image, board)
        if markers is not None:
            return markers
        size = chessboard_size(image)
        if size is not None:
            return _chessboard(size)
        circles = _circle_grid(image, board)
        if circles is not None:
            return circles
    return None


def larger_chessboard(
    images: Sequence[UInt8[np.ndarray, "_h _w"]], board: Board
) -> tuple[int, int] | None:
    """(columns, rows) of inner corners, if at least two images show a chessboard that `board`,
    found in them, is just a part of."""
    sizes = [chessboard_size(image, board.grid) for image in images]
    found = [size for size in sizes if size is not None and sum(size) > sum(board.grid)]
    agreed = [size for size in found if found.count(size) >= 2]
    return agreed[0] if agreed else None


def chessboard_size(
    image: UInt8[np.ndarray, "h w"], least: tuple[int, int] = (3, 3)
) -> tuple[int, int] | None:
    """(columns, rows) of inner corners of a chessboard of at least that size; None without one."""
    import cv2

    factor = max(1.0, max(image.shape) / 1000)
    small = cv2.resize(image, None, fx=1 / factor, fy=1 / factor, interpolation=cv2.INTER_AREA)
    flags = cv2.CALIB_CB_LARGER | cv2.CALIB_CB_NORMALIZE_IMAGE
    found, _, meta = cv2.findChessboardCornersSBWithMeta(small, least, flags)
    if not found:
        return None
    rows, columns = np.asarray(meta).shape[:2]
    return int(columns), int(rows)


def _chessboard(size: tuple[int, int]) -> str:
    wide, high = max(size), min(size)
    return f"a chessboard of {wide} x {high} inner corners (--columns {wide} --rows {high})"


def _markers(image: Array, board: Board) -> str | None:
    import cv2

    best, most = None, _FEW_MARKERS - 1
    for name in _FAMILIES:
        dictionary = cv2.aruco.getPredefinedDictionary(getattr(cv2.aruco, name))
        _, ids, _ = cv2.aruco.ArucoDetector(dictionary).detectMarkers(image)
        if ids is not None and len(ids) > most:
            best, most = (name, int(ids.max())), len(ids)
    if best is None:
        return None
    name, last = best
    small = name.rsplit("_", 1)[0]
    what = f"a ChArUco or marker board of {small} with ids up to {last}"
    if board.kind == "charuco" and board.dictionary.startswith(small):
        return (
            f"{what}, and {board.columns} x {board.rows} squares have {_count(board) - 1} at most"
        )
    return what


def _count(board: Board) -> int:
    return board.columns * board.rows // 2


def _circle_grid(image: Array, board: Board) -> str | None:
    columns, rows = board.columns, board.rows
    near = [(columns + i, rows + j) for i in (0, -1, 1) for j in (0, -1, 1)]
    tried = [("asymmetric-circles", c, r) for c, r in ((4, 11), (3, 9), (rows, columns))]
    tried += [("circles", c, r) for c, r in ((rows, columns), (7, 6), (9, 6))]
    if board.kind in ("circles", "asymmetric-circles"):
        tried += [(board.kind, c, r) for c, r in near]
    for kind, c, r in dict.fromkeys(tried):
        if min(c, r) < 3 or (kind, c, r) == (board.kind, columns, rows):
            continue
        other = Board(kind, c, r)  # type: ignore[arg-type]
        if detect_board(image, other) is not None:
            return f"a grid of circles (--board {kind} --columns {c} --rows {r})"
    return None
