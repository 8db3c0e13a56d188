"""The plot of an accuracy budget: error of the depth over depth, both logarithmic."""

import math
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from fathom.core.arrays import UInt8
from fathom.core.camera import StereoRig
from fathom.core.errors import UsageError
from fathom.geometry.accuracy import AccuracyAt, MeasurableRange
from fathom.viz.color import RGB

if TYPE_CHECKING:
    from PIL.ImageDraw import ImageDraw

_WIDTH, _HEIGHT = 1100, 720
_LEFT, _RIGHT, _TOP, _BOTTOM = 96, 240, 64, 64
_FINE = 2  # drawn larger by this factor and reduced, so that slanted lines are smooth
_PAPER: RGB = (250, 250, 250)
_INK: RGB = (25, 28, 32)
_FAINT: RGB = (98, 104, 112)
_GRID: RGB = (226, 228, 230)
_OUTSIDE: RGB = (240, 236, 230)
_LINES: tuple[tuple[str, RGB, int, Callable[[AccuracyAt], float]], ...] = (
    ("matching, sigma_Z", (20, 90, 180), 4, lambda a: a.sigma),
    ("calibration", (200, 70, 30), 2, lambda a: a.calibration),
    ("baseline", (110, 60, 150), 2, lambda a: a.baseline),
    ("focal length", (120, 130, 40), 2, lambda a: a.focal),
    ("width of a pixel", (60, 140, 110), 2, lambda a: a.lateral),
)
_GUIDES = (0.001, 0.01, 0.1)


def budget_plot(
    rig: StereoRig,
    curve: Sequence[AccuracyAt],
    marks: Sequence[AccuracyAt],
    span: MeasurableRange,
    sigma_d: float,
    names: Mapping[str, str] | None = None,
) -> UInt8[np.ndarray, "H W 3"]:
    """Standard deviation of the depth, what calibration errors do, and the size of a pixel.

    curve: the budget at increasing depths, two or more; they are the horizontal axis. marks: depths
    whose sigma is written beside the curve. span: shown bright, what lies outside is shaded.
    names: other names for the curves. Grey diagonals are 0.1, 1 and 10 % of the depth.

    Raises `UsageError` for fewer than two depths or depths that do not increase.
    """
    depths = [a.depth for a in curve]
    if len(depths) < 2 or any(b <= a for a, b in pairwise(depths)):
        raise UsageError("needs two or more increasing depths", field="curve", value=depths[:4])
    from PIL import Image, ImageDraw

    errors = [get(a) for a in curve for _, _, _, get in _LINES if get(a) > 0]
    axes = _Axes((depths[0], depths[-1]), (min(errors) / 1.2, max(errors) * 1.2))
    sheet = Image.new("RGB", (_WIDTH * _FINE, _HEIGHT * _FINE), _PAPER)
    pen = ImageDraw.Draw(sheet)
    _shade(pen, axes, span)
    _draw_grid(pen, axes)
    for relative in _GUIDES:
        _line(pen, axes, [(z, relative * z) for z in depths], (185, 188, 192), 1)
    for _, color, width, get in _LINES:
        _line(pen, axes, [(a.depth, get(a)) for a in curve if get(a) > 0], color, width)
    for mark in marks:
        if depths[0] <= mark.depth <= depths[-1]:
            x, y = axes.x(mark.depth) * _FINE, axes.y(mark.sigma) * _FINE
            pen.ellipse([x - 9, y - 9, x + 9, y + 9], fill=_LINES[0][1])
    sheet = sheet.resize((_WIDTH, _HEIGHT), Image.Resampling.BOX)
    title = (
        f"focal length {rig.left.fx:.0f} px, baseline {length(rig.baseline)}, "
        f"sigma_d {sigma_d:g} px"
    )
    _words(ImageDraw.Draw(sheet), axes, title, curve, marks, names or {})
    return np.asarray(sheet)


class _Axes:
    """From metres to pixels of the sheet."""

    def __init__(self, depths: tuple[float, float], errors: tuple[float, float]) -> None:
        self.depths, self.errors = depths, errors

    def x(self, depth: float) -> float:
        low, high = (math.log(v) for v in self.depths)
        return _LEFT + (math.log(depth) - low) / (high - low) * (_WIDTH - _LEFT - _RIGHT)

    def y(self, error: float) -> float:
        low, high = (math.log(v) for v in self.errors)
        share = (math.log(error) - low) / (high - low)
        return _HEIGHT - _BOTTOM - share * (_HEIGHT - _TOP - _BOTTOM)

    def inside(self, error: float) -> bool:
        return self.errors[0] <= error <= self.errors[1]


def _line(
    pen: "ImageDraw", axes: _Axes, points: list[tuple[float, float]], color: RGB, width: int
) -> None:
    pixels = [(axes.x(z) * _FINE, axes.y(e) * _FINE) for z, e in points if axes.inside(e)]
    if len(pixels) > 1:
        pen.line(pixels, fill=color, width=width * _FINE, joint="curve")


def _shade(pen: "ImageDraw", axes: _Axes, span: MeasurableRange) -> None:
    top, bottom = _TOP * _FINE, (_HEIGHT - _BOTTOM) * _FINE
    first, last = axes.depths
    if span.nearest > first:
        edge = axes.x(min(span.nearest, last)) * _FINE
        pen.rectangle([_LEFT * _FINE, top, edge, bottom], fill=_OUTSIDE)
    if span.farthest < last:
        edge = axes.x(max(span.farthest, first)) * _FINE
        pen.rectangle([edge, top, (_WIDTH - _RIGHT) * _FINE, bottom], fill=_OUTSIDE)


def _draw_grid(pen: "ImageDraw", axes: _Axes) -> None:
    for z in _decades(*axes.depths):
        x = axes.x(z) * _FINE
        pen.line([(x, _TOP * _FINE), (x, (_HEIGHT - _BOTTOM) * _FINE)], fill=_GRID, width=_FINE)
    for e in _decades(*axes.errors):
        y = axes.y(e) * _FINE
        pen.line([(_LEFT * _FINE, y), ((_WIDTH - _RIGHT) * _FINE, y)], fill=_GRID, width=_FINE)


def _words(
    pen: "ImageDraw",
    axes: _Axes,
    title: str,
    curve: Sequence[AccuracyAt],
    marks: Sequence[AccuracyAt],
    names: Mapping[str, str],
) -> None:
    from PIL import ImageFont

    font, small, large = (ImageFont.load_default(size) for size in (14, 12, 20))
    pen.text((_LEFT, 16), title, font=large, fill=_INK)
    pen.text((_LEFT, 42), "error of the depth, one standard deviation", font=small, fill=_FAINT)
    for z in _decades(*axes.depths):
        pen.text((axes.x(z), _HEIGHT - _BOTTOM + 8), length(z), font=font, fill=_INK, anchor="mt")
    for e in _decades(*axes.errors):
        pen.text((_LEFT - 8, axes.y(e)), length(e), font=font, fill=_INK, anchor="rm")
    middle = ((_LEFT + _WIDTH - _RIGHT) / 2, _HEIGHT - 14)
    pen.text(middle, "depth (shaded: outside the search)", font=font, fill=_FAINT, anchor="mb")
    for mark in marks:
        if axes.depths[0] <= mark.depth <= axes.depths[1]:
            at = (axes.x(mark.depth) - 8, axes.y(mark.sigma) - 8)
            pen.text(at, length(mark.sigma), font=font, fill=_LINES[0][1], anchor="rb")
    last = curve[-1]
    ends = [
        (get(last), names.get(name, name), color) for name, color, _, get in _LINES if get(last) > 0
    ]
    ends += [(g * last.depth, f"{100 * g:g} % of the depth", _FAINT) for g in _GUIDES]
    below = -math.inf
    for error, name, color in sorted(ends, reverse=True):
        if axes.inside(error):
            below = max(axes.y(error), below + 16)
            pen.text((_WIDTH - _RIGHT + 8, below), name, font=font, fill=color, anchor="lm")


def _decades(low: float, high: float) -> list[float]:
    """1, 2, 5 times powers of ten within (low, high); powers of ten alone for wide ranges."""
    mantissas = (1, 2, 5) if high / low < 3000 else (1,)
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    found = [m * 10.0**e for e in range(first, last + 1) for m in mantissas]
    return [v for v in found if low <= v <= high]


def length(metres: float) -> str:
    """Metres in the unit people would say: 0.0123 -> "12.3 mm", 0.25 -> "25 cm", 3 -> "3 m"."""
    if not math.isfinite(metres):
        return "infinity"
    size = abs(metres)
    if size < 0.0995:
        return f"{1000 * metres:.3g} mm" if size >= 1e-4 else f"{1e6 * metres:.3g} um"
    return f"{100 * metres:.3g} cm" if size < 0.995 else f"{metres:.4g} m"
