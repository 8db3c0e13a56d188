"""Local matching before anything is judged: costs, aggregation, winner; and what it is worth.

The image is worked on in strips of rows with the overlap that the aggregation needs, so no more
than a strip of the cost volume is ever in memory. The strips depend on the sizes alone: any number
of threads gives the same bits.
"""

from typing import Literal

import numpy as np

from fathom.classical.aggregate import (
    CROSS_TAU,
    GUIDED_EPSILON,
    Support,
    bilateral_support,
    check_window,
    cross_arms,
    cross_support,
    guided_support,
)
from fathom.classical.costs import CostName, Matching, prepare
from fathom.classical.memory import check_memory
from fathom.classical.parallel import run_blocks, thread_count
from fathom.classical.volume import intensities
from fathom.classical.winner import Subpixel, Winner, empty_winner, winner_of_planes
from fathom.core.arrays import Array, Float32
from fathom.core.errors import unknown_name
from fathom.core.pair import StereoPair
from fathom.geometry.consistency import left_right_difference

Aggregation = Literal["box", "guided", "bilateral", "cross"]
AGGREGATIONS = ("box", "guided", "bilateral", "cross")

CROSS_PASSES = 2
CORRELATION = 5
"""Side of the window that is correlated where the aggregation is not the box itself."""

_LARGEST_COST = 4
"""Half the largest window of a cost itself: of census 9x7."""
_STRIP_ITEMS = 2**23
"""Costs of a strip: 32 MB."""
_LEAST_ROWS = 16
_FAR = 4.0


def local_winner(
    pair: StereoPair,
    cost: CostName,
    first: int,
    end: int,
    *,
    window: int,
    aggregation: Aggregation = "box",
    color: bool = False,
    subpixel: Subpixel = "parabola",
    threads: int | None = None,
    memory_limit: int | None = None,
) -> Winner:
    """Winner takes all over aggregated costs at the disparities first..end-1 (pixels).

    cost: as `cost_volume`. window: odd side in pixels: of the box (for ncc and zncc the window
    that is correlated), of the guided filter, of the bilateral weights; for cross-based regions
    arms reach window // 2. Correlations that are not aggregated by a box are of 5x5 windows.

    Raises `UsageError` for a bad cost, window or aggregation; `ResourceError` if the memory needed
    exceeds `memory_limit` (bytes; default 80 % of what is available).
    """
    if aggregation not in AGGREGATIONS:
        raise unknown_name("aggregation", str(aggregation), list(AGGREGATIONS))
    workers = thread_count(threads)
    check_window(window)
    boxed = aggregation == "box"
    reach = 0 if boxed else _reach(aggregation, window)
    height, _ = pair.shape
    rows = _strip_rows(pair.shape, end - first, reach)
    workers = min(workers, -(-height // rows))
    need = bytes_needed(pair.shape, end - first, window, aggregation, color, workers)
    check_memory(pair, end - first, need, memory_limit)
    inner = window if boxed else CORRELATION if cost in ("ncc", "zncc") else 1
    matching = prepare(pair, cost, window=inner, color=color)
    guides = [] if boxed else [intensities(v, color=color) for v in (pair.left, pair.right)]
    out = empty_winner(*pair.shape)

    def strip(i: int) -> None:
        top, bottom = i * rows, min((i + 1) * rows, height)
        low, high = max(top - reach, 0), min(bottom + reach, height)
        parts = [np.ascontiguousarray(g[:, low:high]) for g in guides]
        support = None if boxed else _support(parts, aggregation, window)
        planes = np.empty((end - first, bottom - top, pair.shape[1]), np.float32)
        for plane, disparity in zip(planes, range(first, end), strict=True):
            plane[:] = _costs(matching, support, disparity, low, high)[top - low : bottom - low]
        winner_of_planes(planes, first, subpixel, Winner(*(a[top:bottom] for a in out)))

    run_blocks(strip, -(-height // rows), workers)
    return out


def bytes_needed(
    shape: tuple[int, int],
    levels: int,
    window: int,
    aggregation: Aggregation,
    color: bool,
    threads: int,
) -> int:
    """Memory in bytes that `local_winner` takes at its peak for a pair of (height, width), images
    excluded."""
    height, width = shape
    reach = 0 if aggregation == "box" else _reach(aggregation, window)
    rows = _strip_rows(shape, levels, reach)
    threads = min(threads, -(-height // rows))
    channels = 3 if color else 1
    # correlation keeps three maps of 64 bits a view, of the padded image
    features = 2 * 3 * 8 * channels * (height + window) * (width + window)
    each = {
        "box": 40 * channels + 24,
        "guided": 24 * channels**2 + 24 * channels + 32,
        "bilateral": 4 * window**2 + 40,
        "cross": 40 + 8 * channels,
    }[aggregation]
    strip = 4 * levels * rows * width + (each + 80) * (rows + 2 * reach + window) * width
    return features + threads * strip + 80 * height * width


def witnesses(
    found: Winner, difference: Float32[np.ndarray, "h w"], scale: float
) -> Float32[np.ndarray, "n h w"]:
    """What the confidence is made of, one layer each; cf. Hu and Mordohai, PAMI 2012.

    1, log(1 + margin / scale), best / second cost (peak ratio, 0..1), min(left-right difference,
    4 px) (4 where the match has none), log2(1 + distance to the 7x7 mean, at most 4 px).
    """
    import cv2

    out = np.empty((5, *found.disparity.shape), np.float32)
    out[0] = 1
    # without a rival there is nothing to tell the winner from: no margin
    margin = np.where(np.isfinite(found.second), found.margin, 0)
    np.log1p(margin / np.float32(scale), out=out[1])
    rival = np.isfinite(found.second) & (found.second > 0)
    out[2] = np.divide(found.best, found.second, out=np.ones_like(margin), where=rival)
    out[3] = np.minimum(np.nan_to_num(difference, nan=_FAR), _FAR)
    around = np.nan_to_num(found.disparity)
    away = np.minimum(np.abs(around - cv2.blur(around, (7, 7))), _FAR)
    np.log2(1 + away, out=out[4])
    return out


def disagreement(found: Winner) -> Float32[np.ndarray, "h w"]:
    """|d - d_right(x - d)| in pixels; NaN where the match has no disparity of its own."""
    return left_right_difference(found.disparity, found.right)


def _costs(
    matching: Matching, support: Support | None, disparity: int, low: int, high: int
) -> Array:
    plane = matching.plane(disparity, low, high)
    return plane if support is None else support(plane, disparity)


def _support(guides: list[Array], aggregation: str, window: int) -> Support:
    left, right = guides
    if aggregation == "guided":
        return guided_support(left, window, GUIDED_EPSILON)
    if aggregation == "bilateral":
        return bilateral_support(left, window, 12.0, max(window / 2, 1.0))
    arm = max(window // 2, 1)
    arms = [cross_arms(g, arm, CROSS_TAU) for g in (left, right)]
    return cross_support(arms[0], arms[1], CROSS_PASSES)


def _reach(aggregation: str, window: int) -> int:
    """Rows beyond a strip that its aggregated costs depend on."""
    passes = {"guided": 2, "bilateral": 1, "cross": CROSS_PASSES}[aggregation]
    return passes * max(window // 2, 1)


def support_reach(window: int, aggregation: Aggregation) -> int:
    """Pixels around a pixel that its costs depend on, the largest census window included."""
    boxed = aggregation == "box"
    return window // 2 + _LARGEST_COST if boxed else _reach(aggregation, window) + _LARGEST_COST


def _strip_rows(shape: tuple[int, int], levels: int, reach: int) -> int:
    height, width = shape
    wanted = max(_STRIP_ITEMS // (levels * width), _LEAST_ROWS, 2 * reach)
    return min(wanted, height)
