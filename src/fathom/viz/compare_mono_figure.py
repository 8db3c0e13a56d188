"""One frame of one-view methods against stereo: maps, errors and likeness in a grid."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from fathom.core.arrays import Array, Float32, UInt8
from fathom.core.errors import UsageError
from fathom.viz.color import RGB, UNKNOWN, Scale, depth_scale, disparity_scale
from fathom.viz.figure import require_shape
from fathom.viz.grid import ABSENT, Panel, grid

Quantity = Literal["depth", "disparity"]
ERROR_LIMITS: dict[str, float] = {"depth": 0.5, "disparity": 8.0}
"""Errors (relative of a depth, in pixels of a disparity) at the dark end of the scale."""
_BOX: RGB = (0, 70, 255)
_PER_ROW = 4


@dataclass(frozen=True, eq=False)
class FigureMap:
    """One method's map.

    values: float32 (h, w), metres or pixels. caption: its scores in a few words. error: of the
    same size, relative or in pixels, None without truth. alike: the similarity of each window with
    the truth, -1..1. boxes: (x, y, width, height, share wrong) of the worst windows, worst first.
    """

    label: str
    values: Float32[np.ndarray, "h w"]
    caption: str = ""
    error: Float32[np.ndarray, "h w"] | None = None
    alike: Float32[np.ndarray, "h w"] | None = None
    boxes: Sequence[tuple[int, int, int, int, float]] = ()


def mono_figure(
    title: str,
    image: UInt8[np.ndarray, "h w 3"],
    maps: Sequence[FigureMap],
    truth: Float32[np.ndarray, "h w"] | None = None,
    quantity: Quantity = "depth",
) -> UInt8[np.ndarray, "H W 3"]:
    """Maps of several methods beside each other on one colour scale, the truth's.

    With truth each map stands over its error, with the boxes of its worst windows, and over the
    similarity with the truth, window by window. More than four methods continue below.

    Raises `UsageError` without maps, `InputError` if a map differs in size from the image.
    """
    if not maps:
        raise UsageError("there is nothing to compare", field="maps", expected="one map or more")
    for shown in maps:
        require_shape(shown.label, shown.values.shape, (image.shape[0], image.shape[1]))
    reference = np.stack([m.values for m in maps]) if truth is None else truth
    scale = depth_scale(reference) if quantity == "depth" else disparity_scale(reference)
    columns = math.ceil(len(maps) / math.ceil(len(maps) / _PER_ROW))
    panels: list[Panel] = []
    for start in range(0, len(maps), columns):
        part = maps[start : start + columns]
        blank = [Panel("")] * (columns - len(part))
        panels.append(Panel("") if start else Panel("View", image))
        panels += [
            Panel(
                f"{m.label}  {m.caption}".strip(), values=m.values, scale=scale,
                unit="m" if quantity == "depth" else "px", bar=m is part[-1],
            )
            for m in part
        ] + blank  # fmt: skip
        if truth is None:
            continue
        panels.append(
            Panel("") if start else Panel(f"True {quantity}", values=truth, scale=scale, bar=False)
        )
        panels += [_error(m, truth, quantity, m is part[-1]) for m in part] + blank
        panels.append(Panel(""))
        panels += [_likeness(m, m is part[-1]) for m in part] + blank
    legend = [(UNKNOWN, "unknown")]
    if truth is not None:
        legend.append((ABSENT, "no ground truth (SSIM: somewhere in the window)"))
        legend.append((_BOX, "worst windows of the method, 1 = worst"))
    return grid(panels, columns + 1, title, legend)


def _error(shown: FigureMap, truth: Array, quantity: Quantity, bar: bool) -> Panel:
    if shown.error is None:
        return Panel(f"{shown.label}: error", note="not judged")
    relative = quantity == "depth"
    limit = ERROR_LIMITS[quantity] * (100 if relative else 1)
    scale = Scale(0, limit, "error")
    colors = scale.paint(shown.error * np.float32(100 if relative else 1))
    colors[np.isnan(truth)] = ABSENT
    unit = "%" if relative else "px"
    label = f"{shown.label}: error in {'% of the depth' if relative else 'pixels'}"
    return Panel(label, boxed(colors, shown.boxes), scale=scale, unit=unit, bar=bar)


def _likeness(shown: FigureMap, bar: bool) -> Panel:
    if shown.alike is None:
        return Panel(f"{shown.label}: SSIM", note="the truth has no SSIM")
    return Panel(
        f"{shown.label}: SSIM of 7x7 windows, range of the truth", values=shown.alike,
        scale=Scale(0, 1, "viridis"), bar=bar, absent=np.isnan(shown.alike),
    )  # fmt: skip


def boxed(
    picture: UInt8[np.ndarray, "h w 3"], boxes: Sequence[tuple[int, int, int, int, float]]
) -> UInt8[np.ndarray, "h w 3"]:
    """The picture with a frame around each (x, y, width, height, share wrong), numbered from 1.

    Frames lie inside their boxes, so that what they hold can be told to the pixel.
    """
    import cv2

    out: Array = picture.copy()
    thick = max(2, round(min(picture.shape[:2]) / 160))
    for number, (x, y, width, height, _) in enumerate(boxes, 1):
        edge = min(thick, width, height)
        for part in (
            np.s_[y : y + edge, x : x + width],
            np.s_[y + height - edge : y + height, x : x + width],
            np.s_[y : y + height, x : x + edge],
            np.s_[y : y + height, x + width - edge : x + width],
        ):
            out[part] = _BOX
        size = max(0.4, thick / 4)
        at = (x + edge + 2, min(y + edge + round(22 * size) + 2, y + height - edge - 1))
        cv2.putText(out, str(number), at, cv2.FONT_HERSHEY_SIMPLEX, size, _BOX, edge)
    return out
