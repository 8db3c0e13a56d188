"""Which pixels of the left view the right camera can see, by the disparity map alone."""

import numpy as np

from fathom.core.arrays import Array, Bool, Float32

_STRIP = 256


def seen_by_right(
    disparity: Float32[np.ndarray, "h w"], tolerance: float = 1.5
) -> Bool[np.ndarray, "h w"]:
    """True where the right view shows what the left one shows at this pixel.

    A pixel is not seen if its match x - d lies outside the right image, if its disparity is
    unknown, or if another pixel of the row that is nearer by more than `tolerance` pixels of
    disparity falls onto the same place (what a z-buffer of the right view would say). The
    tolerance is what a slanted surface may differ by within a pixel of the right view.
    """
    height, width = disparity.shape
    seen = np.empty(disparity.shape, bool)
    columns = np.arange(width, dtype=np.float32)
    for top in range(0, height, _STRIP):
        values = disparity[top : top + _STRIP]
        match = columns - np.where(np.isnan(values), np.float32(2 * width), values)
        inside = (match >= -0.5) & (match <= width - 0.5)
        # a pixel covers the two columns it falls between: stretched surfaces leave no holes
        low = np.clip(np.floor(match), 0, width - 1).astype(np.int64)
        high = np.minimum(low + 1, width - 1)
        row = np.arange(len(values))[:, None] * width
        nearest = np.full(values.size, -np.inf, np.float32)
        near = values[inside]
        np.maximum.at(nearest, (low + row)[inside], near)
        np.maximum.at(nearest, (high + row)[inside], near)
        # it is hidden only if both columns are covered
        cover: Array = np.minimum(nearest[low + row], nearest[high + row])
        seen[top : top + _STRIP] = inside & (cover <= values + np.float32(tolerance))
    return seen
