"""Confidence of semi-global matching: P(|error| <= 1 px) of each pixel.

A logistic function of four witnesses, each used in Hu and Mordohai, "A Quantitative Evaluation of
Confidence Measures for Stereo Vision", PAMI 2012: the winner's margin, the left-right difference,
how far the pixel leaves the mean around it, and the cost of the winner.
"""

import numpy as np

from fathom.core.arrays import Array, Float32, UInt16

WEIGHTS = (0.595, 0.938, -0.319, -0.562, -0.44)
"""Weights of the layers of `witnesses`, as `experiments/fit_confidence.py` printed them."""
FILLED = 0.66
"""Share of filled pixels within 1 px of the truth, mean of the same pairs."""

_FAR = 4.0


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
) -> Float32[np.ndarray, "h w"]:
    """P(|error| <= 1 px) of what semi-global matching found, 0..1, before anything is filled.

    The arrays are those of `SgmEvidence`. The weights were fitted by `experiments/
    fit_confidence.py` on Motorcycle and the pairs of shared/data/pairs_gt.
    """
    layers = witnesses(disparity, margin, best, difference, paths)
    score = np.tensordot(np.array(WEIGHTS, np.float32), layers, axes=1)
    out: Array = 1 / (1 + np.exp(-np.clip(score, -30, 30)))
    return out.astype(np.float32, copy=False)
