"""What two views say about each other, and a map about itself."""

import numpy as np

from fathom.core.arrays import Array, Bool, Float32


def left_right_difference(
    left: Float32[np.ndarray, "h w"], right: Float32[np.ndarray, "h w"]
) -> Float32[np.ndarray, "h w"]:
    """|d_left(x) - d_right(x - d_left(x))| in pixels.

    left, right: disparities (x_left - x_right, pixels) seen from the left and from the right
    view. The right one is read at the nearest pixel. NaN where either is unknown or the pixel
    falls outside the right image.
    """
    height, width = left.shape
    known = ~np.isnan(left)
    target = np.rint(np.arange(width, dtype=np.float32) - np.where(known, left, 0))
    inside = known & (target >= 0) & (target < width)
    column = np.where(inside, target, 0).astype(np.intp)
    seen = right[np.arange(height)[:, None], column]
    return np.where(inside, np.abs(left - seen), np.float32(np.nan)).astype(np.float32)


def flying_pixels(
    disparity: Float32[np.ndarray, "h w"], step: float = 1.0
) -> Bool[np.ndarray, "h w"]:
    """True at pixels that hang between two surfaces at a depth edge.

    A pixel is flagged if its 3x3 neighbourhood is no plane (largest residual of the least squares
    plane above `step` / 3, which is what a straight step of `step` pixels leaves), or if disparity
    rises or falls by more than `step` per pixel across it (a surface that steep cannot be seen by
    both cameras). A slanted plane, whose disparity is linear, is not flagged. Pixels with fewer
    than two known neighbours in a row or column are flagged: nothing supports them. Unknown
    pixels are not flagged.
    """
    known = ~np.isnan(disparity)
    values = np.where(known, disparity, np.float32(0))
    padded = np.pad(values, 1)
    weight = np.pad(known, 1)
    height, width = disparity.shape

    def at(dy: int, dx: int) -> tuple[Array, Array]:
        window = (slice(1 + dy, 1 + dy + height), slice(1 + dx, 1 + dx + width))
        # An unknown neighbour says nothing: it takes the centre's own value.
        return np.where(weight[window], padded[window], values), weight[window]

    near = {(dy, dx): at(dy, dx)[0] for dy in (-1, 0, 1) for dx in (-1, 0, 1)}
    mean = sum(near.values()) / np.float32(9)
    slope_x = sum(near[dy, 1] - near[dy, -1] for dy in (-1, 0, 1)) / np.float32(6)
    slope_y = sum(near[1, dx] - near[-1, dx] for dx in (-1, 0, 1)) / np.float32(6)
    residual = np.zeros_like(values)
    for (dy, dx), value in near.items():
        np.maximum(residual, np.abs(value - mean - slope_x * dx - slope_y * dy), out=residual)
    steep = (np.abs(slope_x) > step) | (np.abs(slope_y) > step)
    support = sum(at(dy, dx)[1].astype(np.uint8) for dy, dx in ((0, 1), (0, -1), (1, 0), (-1, 0)))
    lonely = support < 2
    flying: Array = known & ((residual > step / 3) | steep | lonely)
    return flying
