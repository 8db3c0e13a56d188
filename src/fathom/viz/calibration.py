"""Pictures of a calibration: corners, residuals, coverage, rectified rows."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from fathom.core.arrays import Array, Float64, Int32, UInt8
from fathom.core.pair import StereoPair
from fathom.rigs.board_detect import BoardPoints
from fathom.rigs.boards import Board
from fathom.viz.color import RGB, Scale
from fathom.viz.grid import Panel, grid

if TYPE_CHECKING:
    from PIL.ImageDraw import ImageDraw

_WIDTH = 460
_GREEN: RGB = (30, 200, 90)
_MAGENTA: RGB = (235, 40, 160)
_YELLOW: RGB = (255, 205, 40)


def corners_picture(
    shots: Sequence[tuple[str, UInt8[np.ndarray, "h w 3"], BoardPoints | None]],
    board: Board,
    columns: int = 4,
) -> UInt8[np.ndarray, "H W 3"]:
    """Each shot (its label, image and points) with the corners found, joined along the rows.

    The first point is ringed, so that a board read upside-down shows.
    """
    panels = []
    for label, image, points in shots:
        small, scale = _reduced(image)
        drawn = small if points is None else _corners(small, points, board, scale)
        panels.append(Panel(label, drawn))
    return grid(panels, columns)


def residual_picture(
    size: tuple[int, int],
    pixels: Float64[np.ndarray, "n 2"],
    residuals: Float64[np.ndarray, "n 2"],
    label: str,
) -> UInt8[np.ndarray, "H W 3"]:
    """All residuals of one camera as arrows from where a point was seen to where it should be.

    size: (width, height) of the image in pixels. Arrows are enlarged by a round factor, which the
    label tells; they should point anywhere, without a pattern.
    """
    from PIL import Image, ImageDraw

    scale = 900 / size[0]
    sheet = Image.new("RGB", (900, max(1, round(size[1] * scale))), (250, 250, 250))
    pen = ImageDraw.Draw(sheet)
    lengths = np.linalg.norm(residuals, axis=1)
    typical = float(np.percentile(lengths, 90)) if len(lengths) else 1.0
    factor = _round_factor(18 / max(typical * scale, 1e-9))
    tips = pixels + residuals * factor
    paints = Scale(0, max(typical * 1.5, 1e-6), "turbo").paint(lengths[None])[0]
    for (x, y), (u, v), color in zip(pixels, tips, paints, strict=True):
        _arrow(
            pen,
            ((x + 0.5) * scale, (y + 0.5) * scale),
            ((u + 0.5) * scale, (v + 0.5) * scale),
            tuple(int(c) for c in color),
        )
    text = f"{label}: residuals, arrows {factor:g} times as long"
    return grid([Panel(text, np.asarray(sheet))], 1)


def coverage_picture(
    image: UInt8[np.ndarray, "h w 3"],
    cells: Int32[np.ndarray, "r c"],
    pixels: Float64[np.ndarray, "n 2"],
    label: str,
) -> UInt8[np.ndarray, "H W 3"]:
    """Where in one camera's image the board's points lay: dots, and cells without any in red.

    cells: points per cell, -1 for cells that the other camera does not see (shown in grey).
    """
    from PIL import Image, ImageDraw

    scale = 900 / image.shape[1]
    size = (900, max(1, round(image.shape[0] * scale)))
    pale = Image.fromarray(image).resize(size).convert("L").convert("RGB")
    pale = Image.blend(pale, Image.new("RGB", size, (255, 255, 255)), 0.55)
    pen = ImageDraw.Draw(pale, "RGBA")
    rows, columns = cells.shape
    most = max(1, int(cells.max()))
    for r in range(rows):
        for c in range(columns):
            box = [c * size[0] / columns, r * size[1] / rows]
            box += [(c + 1) * size[0] / columns - 1, (r + 1) * size[1] / rows - 1]
            count = int(cells[r, c])
            share = (max(count, 0) / most) ** 0.5
            fill = (225, 50, 40, 120) if count == 0 else (130, 130, 130, 130)
            if count > 0:
                fill = (40, 160, 80, round(40 + 120 * share))
            pen.rectangle(tuple(box), fill=fill, outline=(255, 255, 255, 200))
    for x, y in pixels:
        at = ((x + 0.5) * scale, (y + 0.5) * scale)
        pen.ellipse((at[0] - 1.5, at[1] - 1.5, at[0] + 1.5, at[1] + 1.5), fill=(20, 30, 80, 200))
    empty, possible = int((cells == 0).sum()), int((cells >= 0).sum())
    text = f"{label}: {len(pixels)} points; red: {empty} of {possible} cells without any"
    if possible < cells.size:
        text += "; grey: not in the other camera's view"
    return grid([Panel(text, np.asarray(pale))], 1)


def rectified_picture(
    pair: StereoPair,
    rows: Sequence[float] = (),
    label: str = "rectified pair: what lies on a line on the left lies on it on the right",
) -> UInt8[np.ndarray, "H W 3"]:
    """A rectified pair side by side with lines through both images.

    rows: where to draw lines, pixels; evenly spread where none are given.
    """
    from PIL import Image, ImageDraw

    both = np.concatenate([pair.left.rgb8, pair.right.rgb8], axis=1)
    scale = min(1.0, 1700 / both.shape[1])
    size = (max(1, round(both.shape[1] * scale)), max(1, round(both.shape[0] * scale)))
    sheet = Image.fromarray(both).resize(size)
    pen = ImageDraw.Draw(sheet)
    lines = rows or [pair.shape[0] * (i + 0.5) / 16 for i in range(16)]
    for i, y in enumerate(lines):
        at = round((y + 0.5) * scale)
        pen.line([(0, at), (size[0], at)], fill=(_GREEN, _YELLOW, _MAGENTA)[i % 3])
    return grid([Panel(label, np.asarray(sheet))], 1)


def _corners(image: Array, points: BoardPoints, board: Board, scale: float) -> Array:
    from PIL import Image, ImageDraw

    sheet = Image.fromarray(image)
    pen = ImageDraw.Draw(sheet)
    places = [((x + 0.5) * scale, (y + 0.5) * scale) for x, y in points.pixels]
    rows = points.ids // board.grid[0]
    for i in range(1, len(places)):
        if rows[i] == rows[i - 1]:
            pen.line([places[i - 1], places[i]], fill=_GREEN, width=2)
    for x, y in places:
        pen.ellipse((x - 3, y - 3, x + 3, y + 3), outline=_MAGENTA, width=2)
    x, y = places[0]
    pen.ellipse((x - 7, y - 7, x + 7, y + 7), outline=_YELLOW, width=2)
    return np.asarray(sheet)


def _reduced(image: Array) -> tuple[Array, float]:
    import cv2

    scale = min(1.0, _WIDTH / image.shape[1])
    size = (max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale)))
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA), scale


def _arrow(
    pen: "ImageDraw", start: tuple[float, float], end: tuple[float, float], color: tuple[int, ...]
) -> None:
    pen.line([start, end], fill=color, width=1)
    pen.ellipse((start[0] - 1.5, start[1] - 1.5, start[0] + 1.5, start[1] + 1.5), fill=color)


def _round_factor(value: float) -> float:
    """1, 2 or 5 times a power of ten, at most `value`."""
    power = 10.0 ** np.floor(np.log10(max(value, 1e-9)))
    step = next(s for s in (5, 2, 1) if s * power <= value * (1 + 1e-9))
    return float(step * power)
