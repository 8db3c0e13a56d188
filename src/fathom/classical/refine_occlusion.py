"""Occlusions and mismatches told apart, and each filled in its own way.

Hirschmueller, "Stereo processing by semiglobal matching and mutual information", PAMI 2008,
section 2.6.3: an occluded pixel belongs to the background beside it, a mismatched one may belong
to anything around it.
"""

from dataclasses import replace
from enum import IntEnum

import numpy as np

from fathom.core.arrays import Array, Float32, UInt8
from fathom.core.errors import InputError, UsageError
from fathom.core.maps import Disparity, Source


class Kind(IntEnum):
    """Why a pixel has no disparity."""

    KNOWN = 0
    OCCLUDED = 1
    MISMATCHED = 2


def classify(
    disparity: Disparity, right: Disparity, tolerance: float = 0.5
) -> UInt8[np.ndarray, "h w"]:
    """A `Kind` for each pixel: known, or unknown for which reason.

    right: disparity (x_left - x_right) seen from the right view. The disparities d that an
    unknown pixel x may have lead to the right pixels x - d: if for one of them d_right(x - d)
    equals d up to `tolerance` pixels, the match line crosses the right disparity, so something
    visible in both views lies there and the match was wrong. If it never does, the right camera
    does not see it: occluded. Half a pixel closes the gaps between the crossings of neighbouring
    right pixels on one surface; more would eat into occlusions from both sides.

    Raises `InputError` for maps of different size, `UsageError` for a negative tolerance.
    """
    if right.shape != disparity.shape:
        raise InputError(
            "differs in size from the left map",
            field="right",
            value=right.shape,
            expected=str(disparity.shape),
        )
    if not 0 <= tolerance <= 1000:
        raise UsageError(
            "is out of range", field="tolerance", value=tolerance, expected="0..1000 pixels"
        )
    width = disparity.shape[1]
    # The crossings of all match lines at once: right pixel u is met by x = u + d_right(u)
    rows, columns = np.nonzero(right.measured)
    met = columns + right.values[rows, columns].astype(np.float64)
    first = np.ceil(met - tolerance)
    seen = np.zeros(disparity.shape, bool)
    for k in range(int(2 * tolerance) + 1):
        x = first + k
        inside = (x <= met + tolerance) & (x >= 0) & (x < width)
        seen[rows[inside], x[inside].astype(np.intp)] = True
    unknown = np.where(seen, np.uint8(Kind.MISMATCHED), np.uint8(Kind.OCCLUDED))
    return np.where(disparity.known, np.uint8(Kind.KNOWN), unknown)


def fill_by_kind(disparity: Disparity, kinds: UInt8[np.ndarray, "h w"]) -> Disparity:
    """Unknown pixels filled from the nearest known pixels in eight directions.

    kinds: as `classify` gives them. Occluded pixels take the second smallest of the (up to eight)
    values, the background without its outliers; mismatched ones their median, the lower of two
    middle ones (eq. 19). Filled pixels are marked `FILLED` and keep their confidence; known ones
    stay bit for bit. Pixels that no known one is in line with stay unknown.

    Raises `InputError` for kinds of another size.
    """
    if kinds.shape != disparity.shape:
        raise InputError(
            "differs in size from the disparity",
            field="kinds",
            value=kinds.shape,
            expected=str(disparity.shape),
        )
    known = disparity.known
    y, x = np.nonzero(~known)
    around = np.sort(nearest_known(disparity.values, y, x), axis=0)
    count = np.count_nonzero(~np.isnan(around), axis=0)
    occluded = kinds[y, x] == Kind.OCCLUDED
    which = np.where(occluded, np.minimum(1, count - 1), (count - 1) // 2)
    values = disparity.values.copy()
    # With nothing in line all eight are NaN, whichever is taken
    values[y, x] = around[np.maximum(which, 0), np.arange(len(y))]
    source = disparity.source
    if source is None:
        source = np.where(known, np.uint8(Source.MATCHED), np.uint8(Source.UNKNOWN))
    filled = ~known & ~np.isnan(values)
    source = np.where(filled, np.uint8(Source.FILLED), source)
    return replace(disparity, values=values, source=source)


def nearest_known(
    values: Float32[np.ndarray, "h w"], y: Array, x: Array
) -> Float32[np.ndarray, "eight n"]:
    """For pixels (y, x) the nearest known value in each of eight directions, NaN where none is."""
    out = [_along_rows(values)[y, x], _along_rows(values[:, ::-1])[:, ::-1][y, x]]
    for flip in (slice(None), slice(None, None, -1)):
        for dx in (-1, 0, 1):
            out.append(_down(values[flip], dx)[flip][y, x])
    return np.stack(out).astype(np.float32, copy=False)


def _along_rows(values: Array) -> Array:
    """The nearest known value at or left of each pixel."""
    columns = np.arange(values.shape[1])
    at = np.maximum.accumulate(np.where(np.isnan(values), -1, columns), axis=1)
    taken: Array = np.take_along_axis(values, np.maximum(at, 0), axis=1)
    return np.where(at >= 0, taken, np.float32(np.nan))


def _down(values: Array, dx: int) -> Array:
    """The nearest known value at or above each pixel, `dx` columns over a row further up."""
    out: Array = np.pad(values, ((0, 0), (1, 1)), constant_values=np.nan)
    width = values.shape[1]
    for y in range(1, len(values)):
        row = out[y, 1:-1]
        np.copyto(row, out[y - 1, 1 + dx : 1 + dx + width], where=np.isnan(row))
    return out[:, 1:-1]
