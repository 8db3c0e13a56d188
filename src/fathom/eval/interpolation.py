"""How benchmarks fill what a submission leaves unknown, so that their numbers can be reproduced."""

import numpy as np

from fathom.core.arrays import Array, Float32
from fathom.core.errors import InputError


def fill_background(values: Float32[np.ndarray, "h w"]) -> Float32[np.ndarray, "h w"]:
    """The map with unknown (NaN) runs of a row set to the smaller disparity of their two ends.

    As KITTI's devkit does before it counts errors (`DisparityImage::interpolateBackground` of the
    stereo 2012 and scene flow 2015 kits): runs at a border take the one value they touch; rows
    without any value above the first or below the last row that has one are copies of that row.
    Such rows in between stay unknown, as there.
    """
    known = ~np.isnan(values)
    height, width = values.shape
    column = np.arange(width)
    before = np.maximum.accumulate(np.where(known, column, -1), axis=1)
    after = np.minimum.accumulate(np.where(known, column, width)[:, ::-1], axis=1)[:, ::-1]
    row = np.arange(height)[:, None]
    left = np.where(before >= 0, values[row, np.maximum(before, 0)], np.float32(np.inf))
    right = np.where(after < width, values[row, np.minimum(after, width - 1)], np.float32(np.inf))
    filled: Array = np.where(known, values, np.minimum(left, right)).astype(np.float32)
    filled[np.isinf(filled)] = np.nan
    rows = np.flatnonzero(known.any(axis=1))
    if rows.size:
        filled[: rows[0]] = filled[rows[0]]
        filled[rows[-1] + 1 :] = filled[rows[-1]]
    return filled


def enlarge(
    values: Float32[np.ndarray, "h w"], shape: tuple[int, int], factors: tuple[int, ...]
) -> tuple[Float32[np.ndarray, "h2 w2"], int]:
    """A disparity map brought to `shape` (height, width), values times the factor; and the factor.

    Each pixel is repeated, as Middlebury's evaldisp does for maps of half or quarter size.

    Raises `InputError` if the truth is not one of `factors` times as large both ways.
    """
    height, width = values.shape
    for factor in factors:
        if (height * factor, width * factor) == shape:
            if factor == 1:
                return values, 1
            grown = np.repeat(np.repeat(values, factor, axis=0), factor, axis=1)
            return grown * np.float32(factor), factor
    whole = (f for f in factors if shape[0] % f == shape[1] % f == 0)
    sizes = " or ".join(f"{shape[1] // f}x{shape[0] // f}" for f in whole)
    raise InputError(
        "differs in size from the truth",
        field="estimate",
        value=f"{width}x{height}",
        expected=sizes,
    )
