"""The picture of the pair check: do the rows of the two views agree?"""

from collections.abc import Sequence

import numpy as np

from fathom.combine.check import Examination
from fathom.core import View
from fathom.core.arrays import Array, UInt8
from fathom.viz.color import colorize
from fathom.viz.grid import Panel, grid

_LINES = 12
_WIDEST = 880  # pixels of one view in the picture
_ARROWS = 300
_LINE = (255, 214, 64)
_RED = 3.0  # pixels


def rows_figure(
    stages: Sequence[tuple[str, View, View, Examination]], title: str = ""
) -> UInt8[np.ndarray, "H W 3"]:
    """Left and right view with the same row lines, one stage ("before", "after") below the other.

    stages: name, the two views, and their check. In the right view an arrow starts on the row
    where each matched point should be and ends, lengthened, towards where it is; its colour is
    the row error in pixels, from blue (0) to red (3 and more).
    """
    panels = []
    for name, left, right, seen in stages:
        said = f"{name}: " if name else ""
        rms = "" if seen.rows is None else f", rows {seen.rows.total:.2f} px apart"
        gain = _gain(seen, right.size[0])
        arrows = f", errors x {gain:.0f}" if seen.matches is not None else ""
        panels.append(Panel(f"{said}left, {_count(seen)} points", _drawn(left, seen, "left", gain)))
        panels.append(Panel(f"{said}right{rms}{arrows}", _drawn(right, seen, "right", gain)))
    return grid(panels, 2, title)


def _count(seen: Examination) -> int:
    return 0 if seen.matches is None else len(seen.matches)


def _gain(seen: Examination, width: int) -> float:
    """How often arrows are lengthened: usual errors are seen, large ones do not cross the image."""
    if seen.matches is None or len(seen.matches) == 0:
        return 1.0
    usual = float(np.percentile(np.abs(seen.matches.rise), 80))
    return float(np.clip(round(0.03 * width / max(usual, 1e-3)), 1, 20))


def _drawn(view: View, seen: Examination, side: str, gain: float) -> Array:
    """One view with row lines and, for the right one, arrows."""
    import cv2

    width, height = view.size
    factor = min(1.0, _WIDEST / width) if width > _WIDEST else max(1.0, 360 / width)
    size = max(1, round(width * factor)), max(1, round(height * factor))
    method = cv2.INTER_AREA if factor < 1 else cv2.INTER_LINEAR
    # Paler, so that lines and arrows stand out on any content.
    picture = (cv2.resize(view.rgb8, size, interpolation=method) * 0.7 + 60).astype(np.uint8)
    for i in range(_LINES):
        y = round((i + 0.5) * size[1] / _LINES)
        cv2.line(picture, (0, y), (size[0] - 1, y), _LINE, 1)
    if seen.matches is None or len(seen.matches) == 0:
        return picture
    step = -(-len(seen.matches) // _ARROWS)
    points = getattr(seen.matches, side)[::step]
    rise = seen.matches.rise[::step]
    colors = colorize(np.abs(rise)[None].astype(np.float32), 0.0, _RED)[0]
    for (x, y), error, color in zip(points, rise, colors, strict=True):
        paint = tuple(int(v) for v in color)
        if side == "left":
            at = round((x + 0.5) * factor - 0.5), round((y + 0.5) * factor - 0.5)
            cv2.circle(picture, at, 2, paint, -1, cv2.LINE_AA)
            continue
        start = (x + 0.5) * factor - 0.5, (y - error + 0.5) * factor - 0.5
        end = start[0], start[1] + error * gain * factor
        ends = [tuple(round(float(v)) for v in p) for p in (start, end)]
        cv2.circle(picture, ends[0], 2, paint, -1, cv2.LINE_AA)
        cv2.arrowedLine(picture, ends[0], ends[1], paint, 1, cv2.LINE_AA, tipLength=0.25)
    return picture
