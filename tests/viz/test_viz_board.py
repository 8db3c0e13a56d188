"""Printed boards: true size in the file, a ruler, and what does not fit."""

import re
from xml.etree import ElementTree

import numpy as np
import pytest

from fathom.core import UsageError
from fathom.rigs.board_detect import detect_board
from fathom.rigs.boards import Board
from fathom.viz.board import PAPERS, Rect, Text, board_pdf, board_picture, board_sheet, board_svg

POINT = 25.4 / 72
BOARDS = [Board(), Board("charuco", 10, 7), Board("asymmetric-circles", 4, 11, 0.015)]


def parsed(data: bytes) -> tuple[list[float], str]:
    """The media box in points and the page's operators, by the file's own table of objects."""
    start = int(re.search(rb"startxref\n(\d+)\n%%EOF", data)[1])
    table = data[start:].split(b"\n")
    assert table[0] == b"xref"
    count = int(table[1].split()[1])
    bodies = {}
    for number in range(1, count):
        place = int(table[2 + number].split()[0])
        assert data[place:].startswith(b"%d 0 obj\n" % number)
        bodies[number] = data[place : data.index(b"endobj", place)]
        assert all(len(line) == 19 for line in table[2 : 2 + count])
    page = bodies[3].decode()
    box = [float(v) for v in re.search(r"/MediaBox \[([^\]]*)\]", page)[1].split()]
    content = bodies[4]
    length = int(re.search(rb"/Length (\d+)", content)[1])
    stream = content.split(b"\nstream\n", 1)[1].split(b"\nendstream")[0]
    assert len(stream) == length
    assert b"/PrintScaling /None" in bodies[1]
    return box, stream.decode("ascii")


def rectangles(stream: str) -> np.ndarray:
    """x, y, width, height in millimetres of every black rectangle; y from the bottom."""
    found = re.findall(r"^([-\d.]+) ([-\d.]+) ([-\d.]+) ([-\d.]+) re f$", stream, re.MULTILINE)
    return np.array(found, dtype=float) * POINT


def rastered(data: bytes, dpi: float) -> np.ndarray:
    """The PDF's rectangles and circles as pixels, read from its operators alone."""
    from PIL import Image, ImageDraw

    box, stream = parsed(data)
    scale = dpi / 72 * 4
    image = Image.new("L", (round(box[2] * scale), round(box[3] * scale)), 255)
    pen = ImageDraw.Draw(image)
    shade, path = 0, []
    for line in stream.splitlines():
        words = line.split()
        if words[:2] == ["1", "g"]:
            shade, words = 255, words[2:]
        if words[-1:] == ["g"] and len(words) > 2:
            words = words[:-2]
        if words[-2:] == ["re", "f"]:
            x, y, w, h = (float(v) * scale for v in words[:4])
            top = image.height - y - h
            pen.rectangle((round(x), round(top), round(x + w) - 1, round(top + h) - 1), fill=shade)
        elif words[-1] in ("m", "c"):
            path.append([float(v) * scale for v in words[:-1]][-2:])
        elif words == ["f"]:
            at = np.array(path)
            x0, y0 = at.min(axis=0)
            x1, y1 = at.max(axis=0)
            pen.ellipse((x0, image.height - y1, x1, image.height - y0), fill=0)
            path = []
        shade = 0
    return np.asarray(image.reduce(4))


def test_a_pdf_has_the_true_size() -> None:
    box, stream = parsed(board_pdf(board_sheet(Board(), "a4")))
    assert box[:2] == [0, 0]
    np.testing.assert_allclose(np.array(box[2:]) * POINT, [297, 210], atol=1e-3)
    found = rectangles(stream)
    squares = found[np.abs(found[:, 2] - 25) < 1e-3]
    assert len(squares) == 35  # 10 x 7 squares, every second one black
    np.testing.assert_allclose(squares[:, 3], 25, atol=1e-3)
    span = squares.max(axis=0) + 25 - squares.min(axis=0)
    np.testing.assert_allclose(span[:2], [250, 175], atol=1e-3)
    np.testing.assert_allclose(squares[:, 0].min(), (297 - 250) / 2, atol=1e-3)


def test_the_ruler_is_a_hundred_millimetres() -> None:
    _, stream = parsed(board_pdf(board_sheet(Board())))
    found = rectangles(stream)
    ruler = found[np.abs(found[:, 3] - 0.25) < 1e-3]
    assert len(ruler) == 1 and ruler[0, 2] == pytest.approx(100, abs=1e-3)
    ticks = found[np.abs(found[:, 2] - 0.25) < 1e-3]
    np.testing.assert_allclose(np.diff(np.sort(ticks[:, 0])), 10, atol=1e-3)
    assert len(ticks) == 11


@pytest.mark.parametrize("board", BOARDS, ids=lambda b: b.kind)
def test_the_pdf_shows_the_board(board: Board) -> None:
    dpi = 80
    found = detect_board(rastered(board_pdf(board_sheet(board)), dpi), board)
    assert found is not None and len(found) == len(board.points)
    flat = board.points[:, :2] - board.points[:, :2].mean(axis=0)
    seen = found.pixels - found.pixels.mean(axis=0)
    assert np.abs(seen * 0.0254 / dpi - flat).max() < 1e-4  # metres on paper


def test_the_page_says_what_it_is() -> None:
    sheet = board_sheet(Board("charuco", 10, 7))
    text = " ".join(shape.text for shape in sheet.shapes if isinstance(shape, Text))
    for part in ("charuco of 10 x 7 squares", "25 mm", "markers 18.75 mm", "this line is 100 mm"):
        assert part in text
    assert (
        "fathom calibrate LEFT RIGHT --board charuco --columns 10 --rows 7 --square 25mm "
        "--marker 18.75mm --dictionary DICT_5X5_250" in text
    )
    _, stream = parsed(board_pdf(board_sheet(Board("chessboard", 9, 6))))
    assert "\\(squares - 1\\)" in stream


def test_foot_and_board_do_not_touch() -> None:
    for board in (Board(), Board("chessboard", 9, 6, 0.026), Board("circles", 7, 6)):
        sheet = board_sheet(board)
        low = sheet.board.y + sheet.board.height
        tops = [
            s.y - (s.size if isinstance(s, Text) else 0)
            for s in sheet.shapes
            if isinstance(s, Rect | Text) and s.y > low
        ]
        assert min(tops) - low > 1
        assert sheet.board.y >= 5 and sheet.board.x >= 5


def test_svg_is_in_millimetres() -> None:
    root = ElementTree.fromstring(board_svg(board_sheet(Board(), "letter")))
    assert (root.get("width"), root.get("height")) == ("279.4mm", "215.9mm")
    assert root.get("viewBox") == "0 0 279.4 215.9"
    names = [child.tag.rsplit("}")[-1] for child in root]
    assert names.count("rect") > 35 and names.count("text") >= 3
    circles = ElementTree.fromstring(board_svg(board_sheet(Board("circles", 7, 6))))
    assert sum(child.tag.endswith("circle") for child in circles) == 42


def test_what_does_not_fit_is_refused_with_what_would() -> None:
    with pytest.raises(UsageError, match=r"500 x 350 mm .* --square 26.5mm or --paper a2"):
        board_sheet(Board(square=0.05))
    board_sheet(Board(square=0.0265))
    board_sheet(Board(square=0.05), "a2")
    with pytest.raises(UsageError, match=r"take fewer columns and rows|--square"):
        board_sheet(Board(columns=100, rows=100, square=0.1), "a0")
    with pytest.raises(UsageError, match="unknown paper 'a9'"):
        board_sheet(Board(), "a9")
    assert set(PAPERS) >= {"a3", "a4", "letter"}


def test_pictures_have_the_dots_they_promise() -> None:
    picture = board_picture(board_sheet(Board()), 100)
    assert picture.shape == (round(210 / 25.4 * 100), round(297 / 25.4 * 100), 3)
    assert set(np.unique(board_picture(board_sheet(Board()), 50))) >= {0, 255}
