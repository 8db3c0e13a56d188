"""Confidence of semi-global matching: P(|error| <= 1 px) of each pixel.

A logistic function of four witnesses, each used in Hu and Mordohai, "A Quantitative Evaluation of
Confidence Measures for Stereo Vision", PAMI 2012: the winner's margin, the left-right difference,
how far the pixel leaves the mean around it, and the cost of the winner.
"""

import numpy as np

from fathom.classical.parallel import run_blocks
from fathom.core.arrays import Float32, UInt16

WEIGHTS = (0.595, 0.938, -0.319, -0.562, -0.44)
"""Weights of the layers of `witnesses`, as `experiments/fit_confidence.py` printed them."""
FILLED = 0.66
"""Share of filled pixels within 1 px of the truth, mean of the same pairs."""

_FAR = 4.0
_STRIP = 64


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
