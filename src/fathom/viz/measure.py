"""What was measured, drawn on the image: points, lengths, boxes and the objects in them."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from fathom.core.arrays import Array, UInt8
from fathom.geometry.measuring import LengthMeasure, ObjectMeasure, PointMeasure
from fathom.viz.budget import length
from fathom.viz.color import RGB
from fathom.viz.grid import MAX_WIDTH

if TYPE_CHECKING:
    from PIL.ImageDraw import ImageDraw
    from PIL.ImageFont import FreeTypeFont, ImageFont

_COLORS: tuple[RGB, ...] = ((255, 214, 64), (90, 200, 255), (255, 120, 150), (140, 230, 120))
_DARK: RGB = (20, 22, 26)
_COMFORTABLE = 900  # width in pixels to which small images are enlarged by whole numbers


def measure_picture(
    image: UInt8[np.ndarray, "h w 3"],
    measures: Sequence[PointMeasure | ObjectMeasure | LengthMeasure],
) -> UInt8[np.ndarray, "H W 3"]:
    """`image` with each measurement and its result on it; measured objects are tinted.

    Small images are enlarged by whole numbers, large ones reduced to at most `grid.MAX_WIDTH`.
    """
    from PIL import Image, ImageDraw, ImageFont

    height, width = image.shape[:2]
    tinted = image.copy()
    for i, measure in enumerate(measures):
        if isinstance(measure, ObjectMeasure):
            tint = np.array(_COLORS[i % len(_COLORS)], np.uint16)
            tinted[measure.pixels] = (tinted[measure.pixels] * np.uint16(2) + tint) // 3
    factor = min(MAX_WIDTH / width, float(max(1, _COMFORTABLE // width)))
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    way = Image.Resampling.BOX if factor < 1 else Image.Resampling.NEAREST
    sheet = Image.fromarray(tinted).resize(size, way)
    pen = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(15)
    taken: list[tuple[float, float, float, float]] = []
    for i, measure in enumerate(measures):
        color = _COLORS[i % len(_COLORS)]
        if isinstance(measure, PointMeasure):
            at = _place(measure.pixel, factor)
            _cross(pen, at, color)
            words = f"{i + 1}: {value(measure.distance, measure.distance_sigma)}"
        elif isinstance(measure, LengthMeasure):
            ends = [_place(p.pixel, factor) for p in (measure.first, measure.second)]
            pen.line([*ends[0], *ends[1]], fill=_DARK, width=5)
            pen.line([*ends[0], *ends[1]], fill=color, width=2)
            for end in ends:
                _cross(pen, end, color)
            at = ((ends[0][0] + ends[1][0]) / 2, (ends[0][1] + ends[1][1]) / 2)
            words = f"{i + 1}: {value(measure.length, measure.length_sigma)}"
        else:
            x0, y0, x1, y1 = (v * factor for v in measure.box)
            pen.rectangle([x0, y0, x1 - 1, y1 - 1], outline=color, width=2)
            at = (x0, y0)
            words = (
                f"{i + 1}: {value(measure.distance, measure.distance_sigma)} away, "
                f"{length(measure.width)} x {length(measure.height)}"
            )
        _label(pen, words, at, taken, size, color, font)
    out: Array = np.asarray(sheet)
    return out


def value(metres: float, sigma: float) -> str:
    """A length with its error bar in one unit: 2.345, 0.012 -> "2.345 +- 0.012 m".

    Two significant digits of the error bar decide where both are cut; without one (NaN) four of the
    length.
    """
    if np.isnan(sigma):
        return length(metres)
    scale, unit = (1.0, "m") if abs(metres) >= 1 or sigma >= 1 else (100.0, "cm")
    if abs(metres) < 0.1 and sigma < 0.1:
        scale, unit = 1000.0, "mm"
    number, error = metres * scale, sigma * scale
    digits = 4
    if error > 0:
        digits = min(4, max(0, 1 - int(np.floor(np.log10(error)))))
    return f"{number:.{digits}f} +- {error:.{digits}f} {unit}"


def _place(pixel: tuple[int, int], factor: float) -> tuple[float, float]:
    return (pixel[0] + 0.5) * factor, (pixel[1] + 0.5) * factor


def _cross(pen: "ImageDraw", at: tuple[float, float], color: RGB) -> None:
    x, y = at
    for paint, width, reach in ((_DARK, 5, 10), (color, 2, 9)):
        pen.line([x - reach, y, x + reach, y], fill=paint, width=width)
        pen.line([x, y - reach, x, y + reach], fill=paint, width=width)


def _label(
    pen: "ImageDraw",
    words: str,
    at: tuple[float, float],
    taken: list[tuple[float, float, float, float]],
    size: tuple[int, int],
    color: RGB,
    font: "FreeTypeFont | ImageFont",
) -> None:
    """Words beside a place, moved so that they stay within the picture and off those `taken`."""
    x0, y0, x1, y1 = pen.textbbox((0, 0), words, font=font)
    width, height = x1 - x0 + 10, y1 - y0 + 8
    x = min(max(2.0, at[0] + 12), max(2.0, size[0] - width - 2))
    lowest = max(2.0, size[1] - height - 2)
    y = min(max(2.0, at[1] - height - 8), lowest)
    places = sorted(np.arange(2.0, lowest + 1, 4.0).tolist(), key=lambda place: abs(place - y))
    for place in [y, *places]:
        if not any(
            x < c and a < x + width and place < d and b < place + height for a, b, c, d in taken
        ):
            y = place
            break
    taken.append((x, y, x + width, y + height))
    pen.rectangle([x, y, x + width, y + height], fill=_DARK)
    pen.text((x + 5 - x0, y + 4 - y0), words, font=font, fill=color)
