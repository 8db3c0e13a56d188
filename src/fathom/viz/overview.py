"""The one figure of a result: left image, disparity, depth and confidence.

Drawn with Pillow and OpenCV: a plotting library would cost more time than the matching.
"""

import numpy as np

from fathom.core import Depth, Disparity, StereoPair
from fathom.core.arrays import Array, UInt8
from fathom.viz.color import RGB, UNKNOWN, Scale, depth_scale, disparity_scale
from fathom.viz.figure import filled, require_shape
from fathom.viz.grid import Panel, grid

NO_DEPTH = "No depth: there is no calibration, and metres need one."
NO_CONFIDENCE = "No confidence: it was switched off, or the method has none."


def overview(
    pair: StereoPair,
    disparity: Disparity,
    depth: Depth | None = None,
    title: str = "",
    *,
    no_depth: str = NO_DEPTH,
    no_confidence: str = NO_CONFIDENCE,
) -> UInt8[np.ndarray, "H W 3"]:
    """One figure of a result: left image, disparity (px), depth (m), confidence (0..1).

    Two by two; one column for panoramas, one row for very tall images. At most `grid.MAX_WIDTH`
    pixels wide. Unknown pixels are dark grey, filled ones paler. no_depth, no_confidence: what to
    say where that map is missing.

    Raises `InputError` if a map differs in size from the pair.
    """
    for name, shape in (("disparity", disparity.shape), ("depth", depth and depth.shape)):
        require_shape(name, shape or pair.shape, pair.shape)
    width, height = pair.size
    guessed = filled(disparity)
    panels = [
        Panel(f"Left image, {width} x {height} px", pair.left.rgb8),
        Panel(
            f"Disparity in pixels, {_percent(disparity.share_known)} known",
            values=disparity.values,
            scale=disparity_scale(disparity.values),
            unit="px",
            pale=guessed,
        ),
        Panel("Depth", note=no_depth)
        if depth is None
        else Panel(
            "Depth in metres, logarithmic colours",
            values=depth.values,
            scale=depth_scale(depth.values),
            unit="m",
            pale=filled(depth),
        ),
        Panel("Confidence", note=no_confidence)
        if disparity.confidence is None
        else Panel(
            "Confidence: probability that the error is at most 1 px",
            values=disparity.confidence,
            scale=Scale(0, 1, "viridis"),
        ),
    ]
    columns = 1 if width > 3 * height else 4 if height > 2 * width else 2
    return grid(panels, columns, title, _legend(disparity, guessed))


def _legend(disparity: Disparity, guessed: Array | None) -> list[tuple[RGB, str]]:
    legend = [(UNKNOWN, f"unknown ({_percent(1 - disparity.share_known)})")]
    if guessed is not None and guessed.any():
        share = float(np.count_nonzero(guessed)) / guessed.size
        legend.append(((190, 170, 160), f"paler: filled in, not measured ({_percent(share)})"))
    return legend


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"
