"""Resizing and cropping pairs and maps; the rig and the disparities go along."""

import math

import numpy as np

from fathom.core.arrays import Array
from fathom.core.errors import UsageError
from fathom.core.maps import Disparity
from fathom.core.pair import StereoPair, View


def resize_pair(pair: StereoPair, scale: float) -> StereoPair:
    """The pair resized by `scale` (0 < scale <= 4), its rig with it.

    The new size is rounded, and the rig is scaled by the exact ratio of sizes, so that
    (-0.5, -0.5), the corner of the image, stays where it is.

    Raises `UsageError` for a scale outside 0..4, or one that leaves no pixel.
    """
    if not (math.isfinite(scale) and 0 < scale <= 4):
        raise UsageError("is out of range", field="scale", value=scale, expected="0 < scale <= 4")
    if scale == 1:
        return pair
    width, height = pair.size
    new = (round(width * scale), round(height * scale))
    if min(new) < 1:
        raise UsageError(f"leaves no pixel of a {width}x{height} image", field="scale", value=scale)
    rig = pair.rig and pair.rig.scaled(new[0] / width, new[1] / height, *new)
    return StereoPair(
        View(resize_image(pair.left.image, new)), View(resize_image(pair.right.image, new)), rig
    )


def resize_image(image: Array, size: tuple[int, int]) -> Array:
    """`image` resized to (width, height): area average when shrinking, cubic when growing."""
    import cv2

    shrinks = size[0] * size[1] < image.shape[0] * image.shape[1]
    method = cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
    out: Array = cv2.resize(image, size, interpolation=method)
    return out


def crop_pair(pair: StereoPair, x: int, y: int, width: int, height: int) -> StereoPair:
    """The window whose top-left pixel is (x, y), cut out of both images; the rig goes along.

    Raises `UsageError` if the window leaves the image.
    """
    full_width, full_height = pair.size
    inside = 0 <= x < x + width <= full_width and 0 <= y < y + height <= full_height
    if not inside:
        raise UsageError(
            "leaves the image",
            field="crop",
            value=(x, y, width, height),
            expected=f"a window inside {full_width}x{full_height}",
        )
    window = (slice(y, y + height), slice(x, x + width))
    rig = pair.rig and pair.rig.cropped(x, y, width, height)
    return StereoPair(View(pair.left.image[window]), View(pair.right.image[window]), rig)


def resize_disparity(disparity: Disparity, size: tuple[int, int]) -> Disparity:
    """The map brought to (width, height), values times the ratio of widths.

    Nearest neighbour: values of two surfaces are never mixed, unknown stays unknown.
    """
    height, width = disparity.shape
    if (width, height) == size:
        return disparity
    rows = nearest_indices(height, size[1])
    columns = nearest_indices(width, size[0])
    pick = np.ix_(rows, columns)
    ratio = size[0] / width
    layers = [None if a is None else a[pick] for a in (disparity.confidence, disparity.source)]
    limits = disparity.range and (disparity.range[0] * ratio, disparity.range[1] * ratio)
    return Disparity(disparity.values[pick] * np.float32(ratio), layers[0], layers[1], limits)


def nearest_indices(old: int, new: int) -> Array:
    """Index of the old pixel whose area holds the centre of each new pixel."""
    return np.minimum(((np.arange(new) + 0.5) * (old / new)).astype(np.intp), old - 1)
