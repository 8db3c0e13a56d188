"""Calibration boards to print: one list of shapes in millimetres, written as PDF, SVG or PNG.

The PDF is made here, from plain operators (ISO 32000-1: 8.5 paths, 9.4 text, 12.2 viewer
preferences); a point is 1/72 inch, so sizes are true when it is printed at 100 %.
"""

import shlex
from dataclasses import dataclass, replace
from html import escape

import numpy as np

from fathom.core.arrays import Bool, UInt8
from fathom.core.errors import UsageError, unknown_name
from fathom.rigs.board_detect import opencv_board
from fathom.rigs.boards import Board

PAPERS = {
    "a0": (841.0, 1189.0),
    "a1": (594.0, 841.0),
    "a2": (420.0, 594.0),
    "a3": (297.0, 420.0),
    "a4": (210.0, 297.0),
    "a5": (148.0, 210.0),
    "letter": (215.9, 279.4),
    "legal": (215.9, 355.6),
    "tabloid": (279.4, 431.8),
}
"""Width and height in millimetres, upright (ISO 216, ANSI)."""
_EDGE = 5.0  # mm that printers cannot reach
_FOOT = 13.0  # mm below the board for ruler and text
_RULER = 100.0
_POINTS = 72 / 25.4
_BEZIER = 0.5522847498  # control points of a quarter circle: 4/3 (sqrt(2) - 1)


@dataclass(frozen=True)
class Rect:
    """A filled rectangle; millimetres from the top-left corner of the page."""

    x: float
    y: float
    width: float
    height: float
    white: bool = False


@dataclass(frozen=True)
class Circle:
    """A filled black circle; millimetres."""

    x: float
    y: float
    radius: float


@dataclass(frozen=True)
class Text:
    """One line of black text, its baseline beginning at (x, y); millimetres, size the height."""

    x: float
    y: float
    size: float
    text: str


Shape = Rect | Circle | Text


@dataclass(frozen=True)
class Sheet:
    """A page: width and height in millimetres, shapes drawn in their order, and a title.

    board: x, y, width and height in millimetres of the printed board without its white border.
    """

    width: float
    height: float
    shapes: tuple[Shape, ...]
    board: Rect
    title: str


def board_sheet(board: Board, paper: str = "a4") -> Sheet:
    """The page with `board` in the middle, a ruler and a line that says what it is.

    paper: one of `PAPERS`; it lies or stands, whichever leaves more room.

    Raises `UsageError` for an unknown paper, or a board that does not fit on it in its true size.
    """
    if paper.lower() not in PAPERS:
        raise unknown_name("paper", paper, list(PAPERS))
    shapes, width, height = board_shapes(board)
    upright = PAPERS[paper.lower()]
    pages = (upright, upright[::-1]) if height > width else (upright[::-1], upright)
    needed = (width + 2 * _EDGE, height + 2 * _EDGE + _FOOT)
    page = next((p for p in pages if needed[0] <= p[0] and needed[1] <= p[1]), None)
    if page is None:
        raise _too_large(board, paper, (width, height))
    x = (page[0] - width) / 2
    y = _EDGE + (page[1] - needed[1]) / 2
    moved = [_moved(shape, x, y) for shape in shapes]
    foot = [*_ruler(page), *_captions(board, page)]
    return Sheet(page[0], page[1], (*moved, *foot), Rect(x, y, width, height), str(board))


def board_shapes(board: Board) -> tuple[list[Shape], float, float]:
    """The board alone: its black shapes, width and height, in millimetres from its corner."""
    step = 1000 * board.square
    if board.radius:
        radius = 1000 * board.radius
        flat = 1000 * board.points[:, :2] + radius
        width, height = (1000 * v + 2 * radius for v in board.extent)
        return [Circle(float(x), float(y), radius) for x, y in flat], width, height
    more = 1 if board.kind == "chessboard" else 0
    columns, rows = board.columns + more, board.rows + more
    # OpenCV's ChArUco board begins with a black square, and so does our chessboard.
    shapes: list[Shape] = [
        Rect(i * step, j * step, step, step)
        for j in range(rows)
        for i in range(columns)
        if (i + j) % 2 == 0
    ]
    if board.kind == "charuco":
        shapes += _markers(board)
    return shapes, columns * step, rows * step


def board_pdf(sheet: Sheet) -> bytes:
    """The page as a PDF of true size: one page, filled paths, Helvetica."""
    lines = ["0 g"]
    for shape in sheet.shapes:
        lines += _pdf_shape(shape, sheet.height)
    content = "\n".join(lines).encode("ascii")
    media = f"[0 0 {_number(sheet.width * _POINTS)} {_number(sheet.height * _POINTS)}]"
    objects = [
        # Without this, most viewers shrink a page to the printer's margins, and the size is lost.
        b"<< /Type /Catalog /Pages 2 0 R /ViewerPreferences << /PrintScaling /None >> >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        (
            f"<< /Type /Page /Parent 2 0 R /MediaBox {media} /Contents 4 0 R "
            "/Resources << /Font << /F1 5 0 R >> >> >>"
        ).encode("ascii"),
        b"<< /Length %d >>\nstream\n%s\nendstream" % (len(content), content),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>",
        f"<< /Title ({_pdf_text(sheet.title)}) /Producer (fathom) >>".encode("ascii"),
    ]
    return _pdf_file(objects)


def board_svg(sheet: Sheet) -> str:
    """The page as an SVG whose units are millimetres."""
    width, height = _number(sheet.width), _number(sheet.height)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}mm" height="{height}mm" '
        f'viewBox="0 0 {width} {height}" shape-rendering="geometricPrecision">',
        f"<title>{escape(sheet.title)}</title>",
        f'<rect width="{width}" height="{height}" fill="white"/>',
    ]
    for shape in sheet.shapes:
        if isinstance(shape, Rect):
            fill = "white" if shape.white else "black"
            x, y, w, h = (_number(v) for v in (shape.x, shape.y, shape.width, shape.height))
            parts.append(f'<rect x="{x}" y="{y}" width="{w}" height="{h}" fill="{fill}"/>')
        elif isinstance(shape, Circle):
            x, y, r = (_number(v) for v in (shape.x, shape.y, shape.radius))
            parts.append(f'<circle cx="{x}" cy="{y}" r="{r}"/>')
        else:
            x, y, size = (_number(v) for v in (shape.x, shape.y, shape.size))
            parts.append(
                f'<text x="{x}" y="{y}" font-size="{size}" '
                f'font-family="Helvetica, Arial, sans-serif">{escape(shape.text)}</text>'
            )
    return "\n".join([*parts, "</svg>", ""])


def board_picture(
    sheet: Sheet, dpi: float = 300, *, text: bool = True
) -> UInt8[np.ndarray, "h w 3"]:
    """The page as pixels, `dpi` of them an inch; edges are smoothed (4 x 4 samples a pixel)."""
    from PIL import Image, ImageDraw, ImageFont

    fine = 4
    scale = dpi / 25.4
    size = (round(sheet.width * scale), round(sheet.height * scale))
    image = Image.new("L", (size[0] * fine, size[1] * fine), 255)
    pen = ImageDraw.Draw(image)
    many = scale * fine
    for shape in sheet.shapes:
        if isinstance(shape, Rect):
            # Pillow draws the last pixel, too; half-open boxes keep neighbours apart.
            corners = (shape.x, shape.y, shape.x + shape.width, shape.y + shape.height)
            left, top, right, bottom = (round(v * many) for v in corners)
            if right > left and bottom > top:
                pen.rectangle((left, top, right - 1, bottom - 1), fill=255 if shape.white else 0)
        elif isinstance(shape, Circle):
            x, y, r = shape.x * many, shape.y * many, shape.radius * many
            pen.ellipse((x - r - 0.5, y - r - 0.5, x + r - 0.5, y + r - 0.5), fill=0)
        elif text:
            font = ImageFont.load_default(max(1.0, shape.size * many))
            pen.text((shape.x * many, shape.y * many), shape.text, font=font, fill=0, anchor="ls")
    small = image.reduce(fine)
    return np.repeat(np.asarray(small)[..., None], 3, axis=2)


def _moved(shape: Shape, x: float, y: float) -> Shape:
    return replace(shape, x=shape.x + x, y=shape.y + y)


def _markers(board: Board) -> list[Shape]:
    """The markers: black squares with their white cells on top, runs of a row in one piece."""
    import cv2

    target = opencv_board(board)
    dictionary = target.getDictionary()
    cells = dictionary.markerSize + 2
    assert board.marker is not None
    side = 1000 * board.marker
    cell = side / cells
    shapes: list[Shape] = []
    for number, corners in zip(target.getIds().ravel(), target.getObjPoints(), strict=True):
        x, y = (1000 * float(v) for v in np.asarray(corners).reshape(-1, 3)[0, :2])
        shapes.append(Rect(x, y, side, side))
        bits = cv2.aruco.generateImageMarker(dictionary, int(number), cells)
        for row in range(cells):
            for start, stop in _runs(bits[row] > 127):
                shapes.append(
                    Rect(x + start * cell, y + row * cell, (stop - start) * cell, cell, white=True)
                )
    return shapes


def _runs(flags: Bool[np.ndarray, " n"]) -> list[tuple[int, int]]:
    """Where the flags are set: (first, one past the last) of each run."""
    edges = np.flatnonzero(np.diff(flags.astype(np.int8), prepend=0, append=0))
    return [(int(a), int(b)) for a, b in zip(edges[::2], edges[1::2], strict=True)]


def _ruler(page: tuple[float, float]) -> list[Shape]:
    """A line of 100 mm (50 mm on a small page) with a tick each centimetre."""
    length = _RULER if page[0] >= _RULER + 2 * _EDGE + 40 else 50.0
    x, y = _EDGE + 3, page[1] - _EDGE - 1
    shapes: list[Shape] = [Rect(x, y, length, 0.25)]
    for i in range(int(length) // 10 + 1):
        tall = 3.0 if i % 5 == 0 else 1.8
        # The middle of each tick stands on its centimetre.
        shapes.append(Rect(x + 10 * i - 0.125, y - tall, 0.25, tall + 0.25))
    note = f"this line is {length:.0f} mm: measure it, and print at 100 % if it is not"
    shapes.append(Text(x + length + 3, y, 2.4, note if page[0] > 200 else f"{length:.0f} mm"))
    return shapes


def _captions(board: Board, page: tuple[float, float]) -> list[Shape]:
    y = page[1] - _EDGE - 5.6
    command = shlex.join(["fathom", "calibrate", "LEFT", "RIGHT", *board.flags()])
    what = f"{board}, {1000 * board.square:g} mm"
    if board.kind == "charuco":
        assert board.marker is not None
        what += f", markers {1000 * board.marker:g} mm"
    size = 2.4
    room = page[0] - 2 * (_EDGE + 3)
    # Helvetica is about half as wide as high.
    longest = max(len(what), len(command))
    size = min(size, room / (0.52 * longest))
    x = _EDGE + 3
    return [Text(x, y - 1.3 * size, size, what), Text(x, y, size, command)]


def _too_large(board: Board, paper: str, size: tuple[float, float]) -> UsageError:
    upright = PAPERS[paper.lower()]
    fitting = 0.0
    for page in (upright, upright[::-1]):
        room = (page[0] - 2 * _EDGE, page[1] - 2 * _EDGE - _FOOT)
        fitting = max(fitting, min(room[0] / size[0], room[1] / size[1]))
    square = int(1000 * board.square * fitting * 2) / 2
    larger = [
        name
        for name, (w, h) in sorted(PAPERS.items(), key=lambda item: item[1][0] * item[1][1])
        if any(
            size[0] + 2 * _EDGE <= a and size[1] + 2 * _EDGE + _FOOT <= b
            for a, b in ((w, h), (h, w))
        )
    ]
    remedy = f"take --square {square:g}mm" if square > 0 else "take fewer columns and rows"
    if larger:
        remedy += f" or --paper {larger[0]}"
    return UsageError(
        f"a board of {size[0]:.0f} x {size[1]:.0f} mm with its ruler does not fit",
        field="paper",
        value=paper,
        expected=f"a board within {upright[1]:.0f} x {upright[0]:.0f} mm",
        remedy=remedy,
    )


def _pdf_shape(shape: Shape, height: float) -> list[str]:
    """Operators of one shape; PDF's y goes up from the bottom of the page."""
    if isinstance(shape, Text):
        x, y = shape.x * _POINTS, (height - shape.y) * _POINTS
        size = _number(shape.size * _POINTS)
        at = f"{_number(x)} {_number(y)}"
        return [f"BT /F1 {size} Tf {at} Td ({_pdf_text(shape.text)}) Tj ET"]
    if isinstance(shape, Rect):
        x, y = shape.x, height - shape.y - shape.height
        box = " ".join(_number(v * _POINTS) for v in (x, y, shape.width, shape.height))
        return [f"1 g {box} re f 0 g" if shape.white else f"{box} re f"]
    x, y, r = (v * _POINTS for v in (shape.x, height - shape.y, shape.radius))
    k = _BEZIER * r
    curves = (
        (x + r, y + k, x + k, y + r, x, y + r),
        (x - k, y + r, x - r, y + k, x - r, y),
        (x - r, y - k, x - k, y - r, x, y - r),
        (x + k, y - r, x + r, y - k, x + r, y),
    )
    lines = [f"{_number(x + r)} {_number(y)} m"]
    lines += [" ".join(_number(v) for v in curve) + " c" for curve in curves]
    return [*lines, "f"]


def _pdf_file(objects: list[bytes]) -> bytes:
    """Objects numbered from 1, the table of where they are, and the trailer."""
    data = bytearray(b"%PDF-1.6\n%\xe2\xe3\xcf\xd3\n")
    places = []
    for i, body in enumerate(objects):
        places.append(len(data))
        data += b"%d 0 obj\n%s\nendobj\n" % (i + 1, body)
    start = len(data)
    data += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    for place in places:
        data += b"%010d 00000 n \n" % place
    info = len(objects)
    data += b"trailer\n<< /Size %d /Root 1 0 R /Info %d 0 R >>\n" % (len(objects) + 1, info)
    return bytes(data + b"startxref\n%d\n%%%%EOF\n" % start)


def _pdf_text(text: str) -> str:
    plain = text.encode("ascii", errors="replace").decode("ascii")
    return plain.replace("\\", "\\\\").replace("(", "\\(").replace(")", "\\)")


def _number(value: float) -> str:
    """Four decimals: a 28000th of a millimetre in points."""
    return f"{value:.4f}".rstrip("0").rstrip(".")
