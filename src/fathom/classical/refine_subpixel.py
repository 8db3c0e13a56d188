"""Sub-pixel disparity from the costs before, at and after the best one.

All three draw a curve through three costs and give where its minimum lies, as an offset from the
middle one in pixels, -0.5 .. 0.5. Which curve fits depends on the cost: a parabola suits squared
differences, a V absolute differences (Shimizu and Okutomi, "Sub-pixel estimation error
cancellation on area-based matching", IJCV 2005). Where the wrong one is drawn, results gather at
whole pixels ("pixel locking"); so they do even with the V for the sums of semi-global matching,
which Haller and Nedevschi measured and answered with curves of their own ("Design of
interpolation functions for subpixel-accuracy stereo-vision systems", IEEE TIP 2012).

Below l = before - at and r = after - at, both >= 0 at a minimum, and k = min(l, r) / max(l, r),
which is 1 for a minimum at the whole pixel and 0 for one halfway to a neighbour.
"""

from collections.abc import Callable

import numpy as np

from fathom.core.arrays import Array, Float32, Num
from fathom.core.errors import UsageError, unknown_name

Curve = Callable[[Array], Array]


def parabola(
    before: Num[np.ndarray, "*shape"],
    at: Num[np.ndarray, "*shape"],
    after: Num[np.ndarray, "*shape"],
) -> Float32[np.ndarray, "*shape"]:
    """Offset (l - r) / (2 (l + r)) in pixels: the vertex of the parabola through three costs.

    The costs may be of any numeric type. 0 where `at` is no minimum, all three are equal, or one
    is not finite. Shimizu and Okutomi 2005, eq. 4.

    Raises `UsageError` if the three arrays differ in shape.
    """
    return _offset(before, at, after, lambda k: (1 - k) / (2 * (1 + k)))


def equiangular(
    before: Num[np.ndarray, "*shape"],
    at: Num[np.ndarray, "*shape"],
    after: Num[np.ndarray, "*shape"],
) -> Float32[np.ndarray, "*shape"]:
    """Offset (l - r) / (2 max(l, r)) in pixels: the tip of a V whose flanks are equally steep.

    The steeper flank gives the slope of both. For absolute differences and the census. 0 and
    `UsageError` as for `parabola`. Shimizu and Okutomi 2005, eq. 6.
    """
    return _offset(before, at, after, lambda k: (1 - k) / 2)


def symmetric_v(
    before: Num[np.ndarray, "*shape"],
    at: Num[np.ndarray, "*shape"],
    after: Num[np.ndarray, "*shape"],
) -> Float32[np.ndarray, "*shape"]:
    """Offset sign(l - r) (1/2 - (k + k^2) / 4) in pixels, for the sums of semi-global matching.

    Farther from whole pixels than `equiangular` for every k between 0 and 1. 0 and `UsageError`
    as for `parabola`. Haller and Nedevschi 2012, "SymmetricV".
    """
    return _offset(before, at, after, lambda k: np.float32(0.5) - (k + k * k) / 4)


SUBPIXEL = {"parabola": parabola, "equiangular": equiangular, "symmetric-v": symmetric_v}
"""The three by the names that settings use."""


def subpixel_offset(
    kind: str,
    before: Num[np.ndarray, "*shape"],
    at: Num[np.ndarray, "*shape"],
    after: Num[np.ndarray, "*shape"],
) -> Float32[np.ndarray, "*shape"]:
    """The offset by the curve of that name in `SUBPIXEL`; "none" gives 0.

    Raises `UsageError` with close matches for an unknown name, or arrays of different shapes.
    """
    if kind == "none":
        return np.zeros(np.shape(at), np.float32)
    if kind not in SUBPIXEL:
        raise unknown_name("sub-pixel curve", kind, [*SUBPIXEL, "none"])
    return SUBPIXEL[kind](before, at, after)


def _offset(before: Array, at: Array, after: Array, curve: Curve) -> Array:
    if not before.shape == at.shape == after.shape:
        raise UsageError(
            "the three costs differ in shape",
            field="before, at, after",
            value=f"{before.shape}, {at.shape}, {after.shape}",
            expected="one shape",
        )
    # Integer costs are often unsigned, whose difference would wrap
    middle = at.astype(np.float32)
    with np.errstate(invalid="ignore"):
        left, right = before.astype(np.float32) - middle, after.astype(np.float32) - middle
    high, low = np.maximum(left, right), np.minimum(left, right)
    usable = np.isfinite(left) & np.isfinite(right) & (low >= 0) & (high > 0)
    share = np.divide(low, high, out=np.ones_like(high), where=usable)
    offset: Array = np.sign(np.where(usable, left - right, 0)) * curve(share)
    return offset.astype(np.float32, copy=False)
