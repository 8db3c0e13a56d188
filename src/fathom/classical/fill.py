"""Filling the unknown pixels of a disparity map.

A pixel that only the left camera sees belongs to the background beside it, so an unknown run of
pixels in a row takes the farther of its two ends. Plain constants are wrong on slanted surfaces
(walls and fences along a road): the ends are continued with the local slope of the surface, as
far as it can be told from the matched pixels around.

An occlusion is as wide as its step is high: a run whose right end is d px nearer than its left one
hides d px of background. A much longer run holds failed matches as well, often of a surface that is
slanted across rows (a road before a car), so its ends say little about its middle: it lies on the
surface that is matched above and below, continued with its slope down the column.
"""

from dataclasses import replace

import numpy as np

from fathom.classical.parallel import run_blocks
from fathom.core.arrays import Array, Bool, Float32
from fathom.core.maps import Disparity, Source

_REACH = 4
"""A slope is measured between pixels this far to the left and right, in pixels."""
_STEEPEST = 2.0
"""Differences over 2 x `_REACH` pixels above this are edges and not slopes, in pixels."""
_WINDOW = (31, 11)
"""Width and height of the window in which slopes are averaged, in pixels."""
_PRIOR = 50
"""The average is drawn to 0 as if by so many pixels without slope."""
_FLUSH, _FLUSH_SLOPE = 2.0, 0.02
"""Ends that differ by less than 2 px + 0.02 px a pixel of the run are one surface."""
_FLUSH_DOWN = 0.1
"""As `_FLUSH_SLOPE`, down a column: a road slants more across rows than a wall does along them."""
_LONGEST, _LONGEST_EXTRA = 1.5, 3
"""Runs longer than 1.5 times their step and 3 px are no mere occlusions."""
_SMOOTHING = 5
LARGE = 4 * 10**6
"""Pixels from which on maps are filled in strips, to spare memory."""
_STRIP, _BESIDE = 128, 32
"""Rows of a strip, and those it sees above and below."""


def fill(disparity: Disparity, threads: int = 1) -> Disparity:
    """The same map with every unknown pixel filled, if anything at all is known.

    Known values stay bit for bit; filled pixels are marked `Source.FILLED` and keep their
    confidence (0 or what the matcher sets). Runs with one end, at the image border, continue that
    end; rows without any known pixel take the nearest filled row. Filled values stay in the
    searched range (without one, within twice the span of the known values). At last, filled
    pixels take the median of their 5x5 neighbourhood, which ties the rows together. The constants
    were chosen on Motorcycle and the pairs of shared/data/pairs_gt.
    """
    known = disparity.known
    source = disparity.source
    if source is None:
        source = np.where(known, np.uint8(Source.MATCHED), np.uint8(Source.UNKNOWN))
    if known.all() or not known.any():
        return replace(disparity, source=source)
    filled = _smoothed(_fill_rows(disparity.values, known, threads), known)
    values = np.clip(filled, *_limits(disparity))
    return replace(
        disparity,
        values=np.where(known, disparity.values, values),
        source=np.where(known, source, np.uint8(Source.FILLED)),
    )


def fill_large(disparity: Disparity, threads: int = 1) -> Disparity:
    """`fill`, for a map of more than 4 million pixels in strips of rows that know some rows of
    their neighbours: a fraction of the memory."""
    if disparity.values.size <= LARGE:
        return fill(disparity, threads)
    height = disparity.shape[0]
    values, source = disparity.values.copy(), disparity.source
    codes = np.empty(disparity.shape, np.uint8)

    def strip(i: int) -> None:
        top, bottom = i * _STRIP, min((i + 1) * _STRIP, height)
        start, end = max(0, top - _BESIDE), min(height, bottom + _BESIDE)
        layer = None if source is None else source[start:end]
        part = fill(Disparity(disparity.values[start:end], None, layer, disparity.range))
        inner = slice(top - start, bottom - start)
        values[top:bottom] = part.values[inner]
        codes[top:bottom] = 0 if part.source is None else part.source[inner]

    # every thread holds a strip's maps
    run_blocks(strip, -(-height // _STRIP), min(4, threads))
    merged = replace(disparity, values=values, source=codes)
    # strips without any match are left to the rows next to them
    return fill(merged) if not merged.known.all() else merged


def row_slopes(
    values: Float32[np.ndarray, "h w"], known: Bool[np.ndarray, "h w"]
) -> Float32[np.ndarray, "h w"]:
    """Robust slope of the disparity along the row, in pixels a pixel, around every pixel."""
    return _slopes(np.where(known, values, np.float32(0)), known, 1)


def _slopes(flat: Array, known: Array, axis: int) -> Array:
    """`row_slopes` along an axis; flat: values, 0 where unknown."""
    import cv2

    slopes = np.zeros(flat.shape, np.float32)
    counts = np.zeros(flat.shape, np.float32)
    if flat.shape[axis] > 2 * _REACH:
        ahead, behind, middle = (
            (slice(None),) * axis + (part,)
            for part in (slice(2 * _REACH, None), slice(-2 * _REACH), slice(_REACH, -_REACH))
        )
        step = flat[ahead] - flat[behind]
        usable = known[ahead] & known[behind] & (np.abs(step) <= _STEEPEST)
        np.multiply(step, usable, out=slopes[middle])
        counts[middle] = usable
    window = _WINDOW if axis == 1 else _WINDOW[::-1]
    total, number = (
        cv2.boxFilter(a, -1, window, normalize=False, borderType=cv2.BORDER_CONSTANT)
        for a in (slopes, counts)
    )
    out: Array = total / ((number + np.float32(_PRIOR)) * np.float32(2 * _REACH))
    return out


def _fill_rows(values: Array, known: Array, threads: int) -> Array:
    height = len(values)
    rows = np.flatnonzero(known.any(axis=1))
    flat = np.where(known, values, np.float32(0))
    slopes: list[Array] = [flat, flat]

    def measure(axis: int) -> None:
        slopes[axis] = _slopes(flat, known, axis)

    run_blocks(measure, 2, threads)
    down, along = slopes
    if len(rows) == height:
        return _fill_runs(values, known, along, down)
    out = values.copy()
    out[rows] = _fill_runs(values[rows], known[rows], along[rows], down[rows])
    if len(rows) < height:
        nearest = np.abs(np.arange(height)[:, None] - rows[None]).argmin(axis=1)
        out = out[rows[nearest]]
    return out


def _fill_runs(values: Array, known: Array, slopes: Array, down: Array) -> Array:
    """Fills rows that each have a known pixel, by the slopes along rows and down columns."""
    width = values.shape[1]
    columns = np.arange(width, dtype=np.int32)
    before = np.maximum.accumulate(np.where(known, columns, -1), axis=1)
    after = np.minimum.accumulate(np.where(known, columns, width)[:, ::-1], axis=1)[:, ::-1]
    y, x = np.nonzero(~known)
    left, right = before[y, x], after[y, x]
    has_left, has_right = left >= 0, right < width
    left, right = np.where(has_left, left, right), np.where(has_right, right, left)
    a, b = values[y, left], values[y, right]
    from_left = a + slopes[y, left] * (x - left)
    from_right = b + slopes[y, right] * (x - right)
    length = np.maximum(right - left, 1)
    flush = np.abs(a - b) <= _FLUSH + _FLUSH_SLOPE * length
    between = (a * (right - x) + b * (x - left)) / length
    # the background may come nearer along its slope, but never before the foreground
    behind = np.where(a < b, np.minimum(from_left, b), np.minimum(from_right, a))
    failed = (
        has_left & has_right & ~flush & (length > _LONGEST * (b - a) + _LONGEST_EXTRA) & (a < b)
    )
    behind[failed] = _across_rows(values, known, down, y[failed], x[failed], behind[failed])
    both = np.where(flush, between, behind)
    filled = np.where(has_left & has_right, both, np.where(has_left, from_left, from_right))
    out = values.copy()
    out[y, x] = filled
    return out


def _across_rows(
    values: Array, known: Array, slopes: Array, y: Array, x: Array, otherwise: Array
) -> Array:
    """What the nearest known pixels above and below (y, x) say of it, if there is one.

    The line between both if they are of one surface, else the farther of their continuations.
    """
    height = len(values)
    rows = np.arange(height, dtype=np.int32)[:, None]
    above = np.maximum.accumulate(np.where(known, rows, -1), axis=0)[y, x]
    below = np.minimum.accumulate(np.where(known, rows, height)[::-1], axis=0)[::-1][y, x]
    has_above, has_below = above >= 0, below < height
    upper, lower = np.maximum(above, 0), np.minimum(below, height - 1)
    a, b = values[upper, x], values[lower, x]
    from_above = np.where(has_above, a + slopes[upper, x] * (y - above), np.float32(np.nan))
    from_below = np.where(has_below, b + slopes[lower, x] * (y - below), np.float32(np.nan))
    length = np.maximum(below - above, 1)
    flush = has_above & has_below & (np.abs(a - b) <= _FLUSH + _FLUSH_DOWN * length)
    between = (a * (below - y) + b * (y - above)) / length
    found = np.where(flush, between, np.fmin(from_above, from_below))
    return np.where(np.isnan(found), otherwise, found)


def _limits(disparity: Disparity) -> tuple[float, float]:
    """What filled values may reach: the searched range, or twice the span of the known values."""
    if disparity.range is not None:
        return disparity.range
    low, high = float(np.nanmin(disparity.values)), float(np.nanmax(disparity.values))
    margin = (high - low) / 2
    return low - margin, high + margin


def _smoothed(values: Array, known: Array) -> Array:
    import cv2

    blurred = cv2.medianBlur(np.ascontiguousarray(values, dtype=np.float32), _SMOOTHING)
    return np.where(known, values, blurred)
