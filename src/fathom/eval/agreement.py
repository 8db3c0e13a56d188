"""Judging a disparity map without truth: do both maps and both images tell the same story?"""

import numpy as np

from fathom.core.arrays import Array, Float32, UInt8
from fathom.core.errors import InputError
from fathom.core.maps import Disparity
from fathom.core.pair import StereoPair
from fathom.geometry.consistency import left_right_difference

_UNKNOWN = 0.5
_AGREE = 1.0
_WINDOW = (5, 5)
_NOISE = 4.0
"""Variance of grey levels (of 255, squared) that is noise: two flat patches are alike."""


def consistency_cost(left: Disparity, right: Disparity, pair: StereoPair) -> float:
    """How badly two maps and two images contradict each other, 0..1; no truth is needed.

    left: disparity of the left view, right: of the right view (x_left - x_right both). The mean
    over all pixels of: 1/2 where nothing is known, or the match is outside or unknown in the
    right map; 1 where the right map says otherwise by more than 1 px; else (1 - c) / 2, c the
    correlation -1..1 of the 5x5 window with the right image at the match (flat windows count as
    alike). So what was left unknown costs as much as a guess; a constant map agrees with itself,
    but its windows do not correlate; a map of best windows correlates, but its two sides differ.

    Raises `InputError` if a map is not of the pair's size.
    """
    for name, disparity in (("left", left), ("right", right)):
        if disparity.shape != pair.shape:
            raise InputError(
                "differs in size from the pair",
                field=name,
                value=disparity.shape,
                expected=str(pair.shape),
            )
    difference = left_right_difference(left.values, right.values)
    alike = window_correlation(pair.left.gray8, pair.right.gray8, left.values)
    cost = np.where(difference <= _AGREE, (1 - alike) / 2, 1)
    cost = np.where(np.isnan(difference) | np.isnan(alike), _UNKNOWN, cost)
    return float(cost.mean(dtype=np.float64))


def window_correlation(
    left: UInt8[np.ndarray, "h w"],
    right: UInt8[np.ndarray, "h w"],
    disparity: Float32[np.ndarray, "h w"],
) -> Float32[np.ndarray, "h w"]:
    """Zero-mean normalised correlation -1..1 of the 5x5 window around each pixel with the right
    image read at x - d (linearly); NaN where d is unknown or the match outside.

    A variance of 4 (grey levels squared) is taken as noise and added to all three moments, so
    that windows without texture count as alike instead of as random.
    """
    import cv2

    height, width = left.shape
    known = ~np.isnan(disparity)
    x = np.arange(width, dtype=np.float32) - np.where(known, disparity, np.float32(0))
    y = np.repeat(np.arange(height, dtype=np.float32)[:, None], width, axis=1)
    a = left.astype(np.float32)
    b = cv2.remap(right.astype(np.float32), x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)

    def mean(values: Array) -> Array:
        out: Array = cv2.boxFilter(values, -1, _WINDOW, borderType=cv2.BORDER_REPLICATE)
        return out

    mean_a, mean_b = mean(a), mean(b)
    noise = np.float32(_NOISE)
    both = mean(a * b) - mean_a * mean_b + noise
    alone = (np.maximum(mean(v * v) - m * m, 0) + noise for v, m in ((a, mean_a), (b, mean_b)))
    alike = np.clip(both / np.sqrt(np.multiply(*alone)), -1, 1)
    inside = known & (x >= -0.5) & (x <= width - 0.5)
    return np.where(inside, alike, np.float32(np.nan)).astype(np.float32, copy=False)
