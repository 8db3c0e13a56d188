"""Boards: their points and turns, finding them, and saying which board is there instead."""

import cv2
import numpy as np
import pytest
from board_scenes import fine_rays, pinhole_rig, pixels_of, poses, render
from hypothesis import given
from hypothesis import strategies as st

from fathom.core import InputError, UsageError
from fathom.rigs.board_detect import BoardPoints, detect_board, opencv_board, sharpness
from fathom.rigs.board_guess import chessboard_size, guess_board, larger_chessboard
from fathom.rigs.boards import Board, object_points, parse_length
from fathom.viz.board import board_picture, board_sheet

BOARDS = [
    Board(),
    Board("chessboard", 7, 7, 0.02),
    Board("circles", 7, 6, 0.025),
    Board("asymmetric-circles", 4, 11, 0.015),
    Board("charuco", 10, 7, 0.025),
]


def page(board: Board, dpi: float = 80) -> np.ndarray:
    return board_picture(board_sheet(board), dpi)[..., 0].copy()


def test_points_are_in_metres_row_by_row() -> None:
    points = Board().points
    assert points.shape == (54, 3)
    assert points[0].tolist() == [0, 0, 0]
    assert points[1].tolist() == [0.025, 0, 0]
    assert points[9].tolist() == [0, 0.025, 0]
    shifted = Board("asymmetric-circles", 4, 11, 0.02).points
    np.testing.assert_allclose(shifted[[0, 1, 4]], [[0, 0, 0], [0.04, 0, 0], [0.02, 0.02, 0]])
    assert Board("charuco", 10, 7).grid == (9, 6)
    np.testing.assert_array_equal(object_points(Board(), np.array([9])), points[9:10])


@pytest.mark.parametrize(
    ("board", "turns"),
    [
        (Board("chessboard", 9, 6), 1),
        (Board("chessboard", 8, 6), 2),
        (Board("chessboard", 7, 7), 2),
        (Board("chessboard", 8, 8), 4),
        (Board("circles", 7, 6), 2),
        (Board("circles", 6, 6), 4),
        (Board("asymmetric-circles", 4, 11), 1),
        (Board("asymmetric-circles", 4, 10), 2),
        (Board("charuco", 10, 7), 1),
    ],
)
def test_turns_are_those_under_which_the_print_looks_the_same(board: Board, turns: int) -> None:
    assert len(board.turns) == turns
    picture = page(Board(board.kind, board.columns, board.rows, 0.012), 60)
    sheet = board_sheet(Board(board.kind, board.columns, board.rows, 0.012))
    scale = 60 / 25.4
    box = sheet.board
    x, y = round(box.x * scale), round(box.y * scale)
    part = picture[y : y + round(box.height * scale), x : x + round(box.width * scale)]
    twin = np.rot90(part, 2).astype(float)
    same = float(np.abs(twin - part).mean()) < 40
    assert same == (turns > 1)


@given(st.floats(0.5, 900))
def test_lengths_come_back(millimetres: float) -> None:
    board = Board(square=float(f"{millimetres / 1000:.9g}"))
    words = board.flags()
    assert parse_length(words[words.index("--square") + 1]) == pytest.approx(board.square, rel=1e-9)


def test_units_are_read() -> None:
    for text in ("25mm", "2.5 cm", "0.025m", "0.025", "25 MM", "25000um"):
        assert parse_length(text) == 0.025
    assert parse_length("1in") == 0.0254
    for text in ("", "mm", "25 furlongs", "-3mm", "0", "nan", "inf"):
        with pytest.raises(UsageError, match="no length"):
            parse_length(text)


@pytest.mark.parametrize("square", [2.5, 25.0, 1e-5])
def test_absurd_squares_are_refused(square: float) -> None:
    with pytest.raises(UsageError, match=r"square = .*plausible size.*--square 25mm"):
        Board(square=square)


def test_absurd_boards_are_refused() -> None:
    with pytest.raises(UsageError, match="columns = 1"):
        Board(columns=1)
    with pytest.raises(UsageError, match="rows = 1000"):
        Board(rows=1000)
    with pytest.raises(UsageError, match="does not fit into its square"):
        Board("charuco", marker=0.03)
    with pytest.raises(UsageError, match="unknown dictionary"):
        opencv_board(Board("charuco", dictionary="DICT_5X5_251"))
    with pytest.raises(UsageError, match="has 50 markers and the board needs 70"):
        opencv_board(Board("charuco", 14, 10, dictionary="DICT_4X4_50"))


@pytest.mark.usefixtures("unchecked")
def test_unknown_kinds_and_shapes_are_refused() -> None:
    with pytest.raises(UsageError, match="did you mean chessboard"):
        Board("chesboard")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="no points of a board"):
        BoardPoints(np.arange(3), np.zeros((2, 2)))


@pytest.mark.parametrize("board", BOARDS, ids=lambda b: f"{b.kind}{b.columns}")
def test_the_printed_page_is_found_in_its_true_size(board: Board) -> None:
    dpi = 80
    sheet = board_sheet(board)
    found = detect_board(page(board, dpi), board)
    assert found is not None and len(found) == len(board.points)
    scale = dpi / 0.0254
    flat = board.points[:, :2] - board.points[:, :2].mean(axis=0)
    seen = found.pixels - found.pixels.mean(axis=0)
    errors = [np.abs(seen[np.argsort(t)] - flat * scale).max() for t in board.turns]
    assert min(errors) < 0.25  # edges of the picture lie on quarters of a pixel
    assert sheet.board.width <= sheet.width


def test_no_board_is_none() -> None:
    for board in BOARDS:
        assert detect_board(np.full((120, 160), 128, dtype=np.uint8), board) is None


def test_a_board_upside_down_is_read_by_its_colours() -> None:
    board = Board()
    image = page(board)
    upright = detect_board(image, board)
    turned = detect_board(np.ascontiguousarray(np.rot90(image, 2)), board)
    assert upright is not None and turned is not None
    expected = np.array(image.shape[::-1]) - 1 - upright.pixels
    np.testing.assert_allclose(turned.pixels, expected, atol=0.1)


def test_a_part_of_a_charuco_board_is_enough() -> None:
    board = Board("charuco", 10, 7)
    image = page(board)
    whole = detect_board(image, board)
    image[:, image.shape[1] // 2 :] = 255
    part = detect_board(image, board)
    assert whole is not None and part is not None
    assert 6 <= len(part) < len(whole)
    np.testing.assert_allclose(part.pixels, whole.pixels[part.ids], atol=0.3)


def test_large_images_are_searched_reduced_and_refined_whole() -> None:
    image = page(Board(), 200)
    assert image.shape == (1654, 2339)
    found = detect_board(image, Board())
    assert found is not None
    step = np.diff(found.pixels[:9, 0])
    np.testing.assert_allclose(step, 25 / 25.4 * 200, atol=0.2)


def test_rendered_boards_are_found_to_a_part_of_a_pixel() -> None:
    rig = pinhole_rig(400, 300)
    looks = fine_rays(rig.left)
    for board in (Board(), Board("charuco", 9, 6, 0.03)):
        pose = poses(rig, board, 1, seed=4)[0]
        found = detect_board(render(rig.left, board, pose, looks), board)
        assert found is not None
        truth = pixels_of(rig, board, pose)[0][found.ids]
        assert np.sqrt(np.mean((found.pixels - truth) ** 2)) < 0.2


def test_sharpness_falls_with_blur() -> None:
    image = page(Board())
    assert sharpness(cv2.GaussianBlur(image, (0, 0), 3)) < 0.2 * sharpness(image)


def test_another_board_is_named() -> None:
    chess = page(Board("chessboard", 7, 5))
    assert chessboard_size(chess) in {(7, 5), (5, 7)}
    assert "7 x 5 inner corners" in str(guess_board([chess], Board()))
    charuco = page(Board("charuco", 8, 6, 0.03, dictionary="DICT_6X6_250"), 100)
    assert "DICT_6X6 with ids up to 23" in str(guess_board([charuco], Board()))
    same = guess_board([charuco], Board("charuco", 5, 4, 0.03, dictionary="DICT_6X6_250"))
    assert "5 x 4 squares have 9 at most" in str(same)
    circles = page(Board("asymmetric-circles", 4, 11, 0.015))
    found = guess_board([circles], Board("asymmetric-circles", 4, 9, 0.015))
    assert "--columns 4 --rows 11" in str(found)
    assert guess_board([np.full((90, 90), 90, dtype=np.uint8)], Board()) is None


def test_a_board_that_is_part_of_a_larger_one_is_noticed() -> None:
    image = page(Board())
    assert larger_chessboard([image, image], Board("chessboard", 7, 4)) in {(9, 6), (6, 9)}
    assert larger_chessboard([image, image], Board()) is None
    assert larger_chessboard([image], Board("chessboard", 7, 4)) is None
