"""Panels in a grid, with labels, colour bars in units and a legend, drawn with Pillow."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from fathom.core.arrays import Array, Bool, Float32, UInt8
from fathom.viz.color import RGB, Scale

if TYPE_CHECKING:
    from PIL.ImageDraw import ImageDraw
    from PIL.ImageFont import FreeTypeFont, ImageFont

MAX_WIDTH = 1800
"""Largest width of a figure in pixels; larger images are reduced to fit."""
MAX_PANEL_HEIGHT = 1100
_MIN_CELL = (240, 120)  # width, height: below, neither label nor colour bar can be read
_SMALL = 360  # images below this are enlarged by whole numbers up to about it
_MARGIN, _GAP, _LABEL = 16, 14, 24
_BAR_WIDTH, _BAR_ROOM = 16, 76
ABSENT: RGB = (205, 206, 204)
"""Colour of pixels that a map cannot speak of, for example errors where there is no truth."""
_PAPER, _INK, _FAINT, _EMPTY = 250, (25, 28, 32), (98, 104, 112), 222


@dataclass(frozen=True, eq=False)
class Panel:
    """One picture of a grid.

    picture: RGB uint8 (h, w, 3), or None for a grey field that shows `note`. values and scale:
    a map float32 (h, w) to paint instead of a picture, and how. unit: written at the colour bar.
    bar: False where another panel's bar stands for this one. pale: bool (h, w), pixels to show
    paler (filled in). absent: bool (h, w), pixels that the map cannot speak of (no ground truth),
    shown in the colour `ABSENT`.
    """

    label: str
    picture: UInt8[np.ndarray, "h w 3"] | None = None
    values: Float32[np.ndarray, "h w"] | None = None
    scale: Scale | None = None
    unit: str = ""
    note: str = ""
    bar: bool = True
    pale: Bool[np.ndarray, "h w"] | None = None
    absent: Bool[np.ndarray, "h w"] | None = None

    @property
    def size(self) -> tuple[int, int] | None:
        """(width, height) in pixels, None for a field with a note."""
        array = self.picture if self.picture is not None else self.values
        return None if array is None else (array.shape[1], array.shape[0])


def grid(
    panels: Sequence[Panel],
    columns: int,
    title: str = "",
    legend: Sequence[tuple[RGB, str]] = (),
) -> UInt8[np.ndarray, "H W 3"]:
    """The figure of `panels`, row by row; all are drawn at the size of the largest.

    legend: colours and their meaning, written under the panels.
    """
    from PIL import Image, ImageDraw

    columns = max(1, min(columns, len(panels)))
    rows = math.ceil(len(panels) / columns)
    bars = [any(p.scale and p.bar for p in panels[c::columns]) for c in range(columns)]
    room = [_BAR_ROOM if has_bar else 0 for has_bar in bars]
    free = MAX_WIDTH - 2 * _MARGIN - (columns - 1) * _GAP - sum(room)
    cell_w, cell_h = _cell_size(panels, free / columns)
    top = _MARGIN + (30 if title else 0)
    lefts = [_MARGIN + c * (cell_w + _GAP) + sum(room[:c]) for c in range(columns)]
    tops = [top + r * (cell_h + _LABEL + _GAP) + _LABEL for r in range(rows)]
    width = lefts[-1] + cell_w + room[-1] + _MARGIN
    height = tops[-1] + cell_h + _MARGIN + (_LABEL if legend else 0)

    canvas = np.full((height, width, 3), _PAPER, dtype=np.uint8)
    for i, panel in enumerate(panels):
        _place(canvas, panel, lefts[i % columns], tops[i // columns], (cell_w, cell_h))
    sheet = Image.fromarray(canvas)
    pen = ImageDraw.Draw(sheet)
    if title:
        _text(pen, (_MARGIN, _MARGIN - 4), title, 21, _INK, width - 2 * _MARGIN)
    for i, panel in enumerate(panels):
        x, y = lefts[i % columns], tops[i // columns]
        _text(pen, (x, y - _LABEL + 3), panel.label, 15, _INK, cell_w + room[i % columns])
        if panel.note:
            _paragraph(pen, panel.note, (x, y), (cell_w, cell_h))
        if panel.scale and panel.bar:
            _bar_labels(pen, panel, x + cell_w + 8, y, cell_h)
    _draw_legend(pen, legend, _MARGIN, height - _MARGIN - 14)
    return np.asarray(sheet)


def fit(panel: Panel, size: tuple[int, int]) -> UInt8[np.ndarray, "h w 3"]:
    """The panel's picture or painted map at `size` (width, height).

    Photographs are averaged when reduced; maps take the nearest value, since the mean of two
    disparities is no disparity. Enlarging repeats pixels.
    """
    if panel.picture is None:
        assert panel.values is not None and panel.scale is not None
        pale = None if panel.pale is None else _nearest(panel.pale, size)
        colors = panel.scale.paint(_nearest(panel.values, size), pale=pale)
        if panel.absent is not None:
            colors[_nearest(panel.absent, size)] = ABSENT
        return colors
    picture = panel.picture
    if size[0] >= picture.shape[1] or size[1] >= picture.shape[0]:
        return _nearest(picture, size)
    import cv2

    out: Array = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    return out


def _cell_size(panels: Sequence[Panel], room: float) -> tuple[int, int]:
    sizes = [p.size for p in panels if p.size is not None] or [_MIN_CELL]
    sizes = [_drawn_size(size, room) for size in sizes]
    return (
        max(_MIN_CELL[0], *(w for w, _ in sizes)),
        max(_MIN_CELL[1], *(h for _, h in sizes)),
    )


def _drawn_size(size: tuple[int, int], room: float) -> tuple[int, int]:
    w, h = size
    factor = min(math.floor(room) / w, MAX_PANEL_HEIGHT / h)
    if factor >= 1:
        factor = max(1, min(math.floor(factor), math.ceil(_SMALL / max(w, h))))
    return max(1, math.floor(w * factor)), max(1, math.floor(h * factor))


def _place(canvas: Array, panel: Panel, x: int, y: int, cell: tuple[int, int]) -> None:
    """Draw one panel, centred in its cell, and the colours of its bar."""
    width, height = cell
    if panel.size is None:
        if panel.note:
            canvas[y : y + height, x : x + width] = _EMPTY
        return
    factor = min(width / panel.size[0], height / panel.size[1])
    factor = factor if factor < 1 else math.floor(factor)
    w, h = (max(1, round(n * factor)) for n in panel.size)
    x0, y0 = x + (width - w) // 2, y + (height - h) // 2
    canvas[y0 : y0 + h, x0 : x0 + w] = fit(panel, (w, h))
    if panel.scale and panel.bar:
        rows = np.linspace(255, 0, height).round().astype(np.uint8)
        left = x + width + 8
        canvas[y : y + height, left : left + _BAR_WIDTH] = panel.scale.colors()[rows][:, None]


def _bar_labels(pen: "ImageDraw", panel: Panel, x: int, y: int, height: int) -> None:
    assert panel.scale is not None
    ticks = panel.scale.ticks(max(2, min(7, height // 45)))
    for i, tick in enumerate(ticks):
        at = y + round((1 - tick.at) * (height - 1))
        pen.line([(x + _BAR_WIDTH, at), (x + _BAR_WIDTH + 3, at)], fill=_FAINT)
        last = i == len(ticks) - 1
        label = f"{tick.label} {panel.unit}" if last and panel.unit else tick.label
        where = (x + _BAR_WIDTH + 6, min(max(at, y + 7), y + height - 7))
        pen.text(where, label, font=_font(13), fill=_INK, anchor="lm")


def _draw_legend(pen: "ImageDraw", legend: Sequence[tuple[RGB, str]], x: int, y: int) -> None:
    for color, meaning in legend:
        pen.rectangle([(x, y), (x + 12, y + 12)], fill=color)
        pen.text((x + 18, y + 6), meaning, font=_font(13), fill=_FAINT, anchor="lm")
        x += 18 + round(pen.textlength(meaning, font=_font(13))) + 22


def _text(
    pen: "ImageDraw", at: tuple[int, int], text: str, size: int, color: RGB, room: int
) -> None:
    """One line of text, cut with an ellipsis where it does not fit into `room` pixels."""
    font, text = _font(size), " ".join(text.split())
    if pen.textlength(text, font=font) > room:
        while text and pen.textlength(text + "...", font=font) > room:
            text = text[: -max(1, len(text) // 16)]
        text += "..."
    pen.text(at, text, font=font, fill=color)


def _paragraph(pen: "ImageDraw", text: str, at: tuple[int, int], size: tuple[int, int]) -> None:
    """Text in the middle of a field, broken into lines that fit."""
    font, lines = _font(15), [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if lines[-1] and pen.textlength(longer, font=font) > size[0] - 24:
            lines.append(word)
        else:
            lines[-1] = longer
    middle = (at[0] + size[0] / 2, at[1] + size[1] / 2)
    pen.multiline_text(
        middle, "\n".join(lines), font=font, fill=_FAINT, anchor="mm", align="center"
    )


@lru_cache(maxsize=8)
def _font(size: int) -> "FreeTypeFont | ImageFont":
    from PIL import ImageFont

    return ImageFont.load_default(size)


def _nearest(array: Array, size: tuple[int, int]) -> Array:
    height, width = array.shape[:2]
    if size == (width, height):
        return array
    columns = (np.arange(size[0]) * width + width // 2) // size[0]
    rows = (np.arange(size[1]) * height + height // 2) // size[1]
    out: Array = array[rows[:, None], columns[None]]
    return out
