"""A curve of error over input size, drawn with Pillow."""

from collections.abc import Sequence

import numpy as np

from fathom.core.arrays import Array, UInt8
from fathom.viz.color import nice_ticks, tick_labels

_SIZE, _LEFT, _RIGHT, _TOP, _BOTTOM = (720, 420), 76, 24, 48, 48
_PAPER, _INK, _FAINT, _LINE = (250, 250, 250), (25, 28, 32), (205, 206, 204), (11, 98, 196)


def size_curve(
    points: Sequence[tuple[int, float]], title: str, label: str = "AbsRel"
) -> UInt8[np.ndarray, "H W 3"]:
    """points: (input size in pixels, error), rising in size. The error's axis begins at 0."""
    from PIL import Image, ImageDraw, ImageFont

    sheet = Image.new("RGB", _SIZE, _PAPER)
    pen = ImageDraw.Draw(sheet)
    small, large = ImageFont.load_default(13), ImageFont.load_default(16)
    known = [(size, error) for size, error in points if np.isfinite(error)]
    top = max((error for _, error in known), default=1.0) * 1.1 or 1.0
    low, high = min(s for s, _ in points), max(s for s, _ in points)
    low, high = (low - 1, high + 1) if low == high else (low, high)

    def place(size: float, error: float) -> tuple[float, float]:
        x = _LEFT + (size - low) / (high - low) * (_SIZE[0] - _LEFT - _RIGHT)
        return x, _SIZE[1] - _BOTTOM - error / top * (_SIZE[1] - _TOP - _BOTTOM)

    pen.text((_LEFT, 14), title, font=large, fill=_INK)
    ticks = nice_ticks(0, top, 6)
    for tick, text in zip(ticks, tick_labels(ticks), strict=True):
        y = place(low, tick)[1]
        pen.line([(_LEFT, y), (_SIZE[0] - _RIGHT, y)], fill=_FAINT)
        pen.text((_LEFT - 8, y), text, font=small, fill=_INK, anchor="rm")
    for size, _ in points:
        x = place(size, 0)[0]
        pen.text((x, _SIZE[1] - _BOTTOM + 8), str(size), font=small, fill=_INK, anchor="ma")
    where = [place(size, error) for size, error in known]
    if len(where) > 1:
        pen.line(where, fill=_LINE, width=2)
    for x, y in where:
        pen.ellipse([(x - 4, y - 4), (x + 4, y + 4)], fill=_LINE)
    pen.text((_SIZE[0] // 2, _SIZE[1] - 18), "input size in pixels", font=small, fill=_INK,
             anchor="ma")  # fmt: skip
    pen.text((8, _TOP - 18), label, font=small, fill=_INK)
    out: Array = np.asarray(sheet)
    return out
