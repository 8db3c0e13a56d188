"""Confidence of semi-global matching, and of what any method filled: P(|error| <= 1 px).

A logistic function of four witnesses, each used in Hu and Mordohai, "A Quantitative Evaluation of
Confidence Measures for Stereo Vision", PAMI 2012: the winner's margin, the left-right difference,
how far the pixel leaves the mean around it, and the cost of the winner.
"""

from dataclasses import replace

import numpy as np

from fathom.classical.parallel import run_blocks
from fathom.core.arrays import Array, Float32, UInt16
from fathom.core.maps import Disparity, Source

WEIGHTS = (0.591, 0.928, -0.313, -0.599, -0.426)
"""Weights of the layers of `witnesses`, as `experiments/fit_confidence.py` printed them."""
FILLED_WEIGHTS = (2.903, -0.699, -0.972)
"""Weights of what `with_filled` looks at, of the same experiment."""

_FAR = 4.0
_STRIP = 64
_AROUND = 15
"""Side of the window in which filled values are compared with those around, in pixels."""


def witnesses(
    disparity: Float32[np.ndarray, "h w"],
    margin: UInt16[np.ndarray, "h w"],
    best: UInt16[np.ndarray, "h w"],
    difference: Float32[np.ndarray, "h w"],
    paths: int,
) -> Float32[np.ndarray, "n h w"]:
    """What the confidence is made of, one layer each.

    1, log(1 + margin of the mean path), min(left-right difference, 4 px) (4 where the match is
    outside the right image), log2(1 + distance to the 7x7 mean, at most 4 px), cost of the mean
    path divided by 16.
    """
    import cv2

    out = np.empty((5, *disparity.shape), np.float32)
    out[0] = 1
    np.log1p(margin * np.float32(1 / paths), out=out[1])
    out[2] = np.minimum(np.nan_to_num(difference, nan=_FAR), _FAR)
    around = cv2.blur(disparity, (7, 7))
    np.log2(1 + np.minimum(np.abs(disparity - around), _FAR), out=out[3])
    out[4] = best * np.float32(1 / (paths * 16))
    return out


def sgm_confidence(
    disparity: Float32[np.ndarray, "h w"],
    margin: UInt16[np.ndarray, "h w"],
    best: UInt16[np.ndarray, "h w"],
    difference: Float32[np.ndarray, "h w"],
    paths: int,
    threads: int = 1,
) -> Float32[np.ndarray, "h w"]:
    """P(|error| <= 1 px) of what semi-global matching found, 0..1, before anything is filled.

    The arrays are those of `SgmEvidence`. The weights were fitted by `experiments/
    fit_confidence.py` on Motorcycle and the pairs of shared/data/pairs_gt.
    """
    import cv2

    around = cv2.blur(disparity, (7, 7))
    # margin and best are small whole numbers: their terms come from tables
    highest = int(max(margin.max(), best.max()))
    steps = np.arange(highest + 1, dtype=np.float32)
    constant, of_margin, of_difference, of_mean, of_best = (np.float32(w) for w in WEIGHTS)
    by_margin = constant + of_margin * np.log1p(steps / np.float32(paths))
    by_best = of_best * steps / np.float32(16 * paths)
    out = np.empty(disparity.shape, np.float32)

    def strip(i: int) -> None:
        rows = slice(i * _STRIP, (i + 1) * _STRIP)
        score = by_margin[margin[rows]]
        score += by_best[best[rows]]
        gap = np.minimum(np.nan_to_num(difference[rows], nan=_FAR), _FAR)
        score += of_difference * gap
        away = np.minimum(np.abs(disparity[rows] - around[rows]), _FAR)
        score += of_mean * np.log2(1 + away)
        np.clip(score, -30, 30, out=score)
        np.divide(1, 1 + np.exp(-score), out=out[rows])

    run_blocks(strip, -(-len(out) // _STRIP), threads)
    return out


def with_filled(
    disparity: Disparity, trust: Float32[np.ndarray, "h w"], threads: int = 1
) -> Disparity:
    """The map with its confidence: `trust` where matched, less where filled, 0 where unknown.

    A filled pixel is the less certain the farther the next matched one is (the distance along rows
    and columns, px) and the more the filled map varies around it (its standard deviation in a
    window of 15x15, px): 1 / (1 + exp(-(a + b log(1 + distance) + c log(1 + deviation)))). a, b
    and c were fitted by `experiments/fit_confidence.py` to what `sgm` fills.
    """
    import cv2

    out = np.where(disparity.measured, trust, np.float32(0))
    if disparity.source is not None and (disparity.source == Source.FILLED).any():
        filled = disparity.source == Source.FILLED
        distance = cv2.distanceTransform(filled.astype(np.uint8), cv2.DIST_L1, 3)

        def strip(i: int) -> None:
            top, bottom = i * _STRIP, min((i + 1) * _STRIP, len(out))
            here = filled[top:bottom]
            if not here.any():
                return
            deviation = local_deviation(disparity.values, top, bottom)[here]
            constant, of_distance, of_deviation = FILLED_WEIGHTS
            score = constant + of_distance * np.log1p(distance[top:bottom][here])
            score += of_deviation * np.log1p(deviation)
            out[top:bottom][here] = 1 / (1 + np.exp(-score))

        run_blocks(strip, -(-len(out) // _STRIP), threads)
    return replace(disparity, confidence=out)


def local_deviation(values: Float32[np.ndarray, "h w"], top: int, bottom: int) -> Array:
    """Standard deviation in a window of 15x15 around the pixels of the rows top..bottom-1."""
    import cv2

    start, beside = max(0, top - _AROUND // 2), _AROUND // 2
    part = np.nan_to_num(values[start : bottom + beside].astype(np.float64))
    mean, square = (cv2.blur(a, (_AROUND, _AROUND)) for a in (part, part * part))
    deviation = np.sqrt(np.maximum(square - mean * mean, 0))
    out: Array = deviation[top - start : bottom - start]
    return out
