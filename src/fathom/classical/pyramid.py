"""Coarse-to-fine matching: large pairs in little memory.

The pair is matched at a reduced size first. The full size is then matched region by region, each
over the disparities that the reduced map shows there and a margin, so that no volume of the whole
pair is ever held. The idea is that of Rothermel et al., "SURE: photogrammetric surface
reconstruction from imagery" (2012); here a region has one range, so that all its pixels
share one regular volume. Regions overlap by as much as a path needs to forget where it began, and
by their range to the sides, so that every match and its left-right check lie inside the region.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from fathom.classical.engine import SMALLEST_SIZE, Match
from fathom.classical.memory import predict
from fathom.core.arrays import Array, Float32

OVERLAP = 32
"""Rows, and at least so many columns, that a region is matched beyond what is kept of it."""
REGION = (1024, 384)
"""Columns and rows kept of a region at most."""
REGION_BYTES = 3 * 10**8
"""A region's rows are made fewer where its volume would take more than this."""

_FOUND_BYTES = 16
"""A pixel's grey values and what is found of it, held while regions are matched."""
_REFINED_BYTES = 64
"""A pixel's maps while the result is judged, filled and made certain; 53 were measured."""
_FEWEST_ROWS = 32
_SLACK = 8
"""A region is searched by 2 pixels of the reduced map and so many of its own beyond what the
reduced map shows."""


class Grays(NamedTuple):
    """Intensities of both views, (h, w) of 8 or 16 bits, and those of the left one in 8 bits."""

    left: Array
    right: Array
    steps: Array


Matcher = Callable[[Grays, int, int], Match]
"""Called as matcher(part of the images, first, levels)."""


class Region(NamedTuple):
    """Rows top..bottom-1, columns left..right-1; disparities first..first+levels-1."""

    top: int
    bottom: int
    left: int
    right: int
    first: int
    levels: int


def shrinking(height: int, width: int, levels: int) -> int:
    """How many times smaller the coarse pair is: a power of 2, at least 2.

    Raised until its volume fits `REGION_BYTES`, unless it would fall below the census window.
    """
    factor = 2
    while predict(height // factor, width // factor, -(-levels // factor)) > REGION_BYTES:
        small = (width // (2 * factor), height // (2 * factor))
        if small[0] < 8 * SMALLEST_SIZE[0] or small[1] < 8 * SMALLEST_SIZE[1]:
            break
        factor *= 2
    return factor


def predict_coarse_to_fine(height: int, width: int, levels: int, *, mgm: bool = False) -> int:
    """Bytes of memory that coarse-to-fine matching takes at its peak, the pair excluded."""
    factor = shrinking(height, width, levels)
    rows, columns = _kept_rows(width, levels), min(width, REGION[0] + 2 * max(OVERLAP, levels))
    region = predict(min(height, rows + 2 * OVERLAP), columns, levels, mgm=mgm)
    coarse = predict(height // factor, width // factor, -(-levels // factor), mgm=mgm)
    pixels = height * width
    return max(max(region, coarse) + _FOUND_BYTES * pixels, _REFINED_BYTES * pixels)


def regions(
    coarse: Float32[np.ndarray, "hc wc"], height: int, width: int, first: int, end: int
) -> list[Region]:
    """Regions that cover (height, width), each with its range inside first..end-1.

    coarse: the reduced map of the whole image, in its own pixels. Where something is unknown in
    it, the whole range is searched.
    """
    scale = (coarse.shape[0] / height, coarse.shape[1] / width)
    stretch = 1 / scale[1]
    rows, columns = _kept_rows(width, end - first), REGION[0]
    found = []
    for top in range(0, height, rows):
        for left in range(0, width, columns):
            bottom, right = min(top + rows, height), min(left + columns, width)
            part = coarse[
                max(0, int((top - OVERLAP) * scale[0])) : int((bottom + OVERLAP) * scale[0]) + 1,
                max(0, int((left - OVERLAP) * scale[1])) : int((right + OVERLAP) * scale[1]) + 1,
            ]
            slack = 2 * stretch + _SLACK
            low, high = first, end
            if not np.isnan(part).any():
                low = min(max(first, int(np.floor(part.min() * stretch - slack))), end - 1)
                high = max(min(end, int(np.ceil(part.max() * stretch + slack)) + 1), low + 1)
            found.append(Region(top, bottom, left, right, low, high - low))
    return found


def match_regions(
    grays: Grays,
    parts: list[Region],
    matcher: Matcher,
) -> Match:
    """Matches each region with its overlap and puts together what lies inside the regions.

    A match outside its region's range is not looked for; levels past a region's range count as in
    `engine.semiglobal` for the second best.
    """
    shape = grays.left.shape
    out = Match(
        np.empty(shape, np.float32),
        np.empty(shape, np.uint16),
        np.empty(shape, np.uint16),
        np.empty(shape, np.float32),
    )
    for part in parts:
        _match_region(grays, part, matcher, out)
    return out


def _match_region(grays: Grays, part: Region, matcher: Matcher, out: Match) -> None:
    height, width = grays.left.shape
    aside = max(OVERLAP, part.levels)
    top, bottom = max(0, part.top - OVERLAP), min(height, part.bottom + OVERLAP)
    a, b = max(0, part.left - aside), min(width, part.right + aside)
    # the census window needs its size, whatever is left at the border
    top, bottom = max(0, min(top, height - SMALLEST_SIZE[1])), max(bottom, SMALLEST_SIZE[1])
    a, b = max(0, min(a, width - SMALLEST_SIZE[0])), max(b, SMALLEST_SIZE[0])
    # the right part is taken as far aside as the range begins, where the image allows that
    shift = max(b - width, min(a, part.first))
    crop = Grays(
        grays.left[top:bottom, a:b],
        grays.right[top:bottom, a - shift : b - shift],
        grays.steps[top:bottom, a:b],
    )
    found = matcher(crop, part.first - shift, part.levels)
    rows, columns = slice(part.top, part.bottom), slice(part.left, part.right)
    inner = np.s_[part.top - top : part.bottom - top, part.left - a : part.right - a]
    out.disparity[rows, columns] = found.disparity[inner] + np.float32(shift)
    out.best[rows, columns] = found.best[inner]
    out.margin[rows, columns] = found.margin[inner]
    out.difference[rows, columns] = found.difference[inner]


def _kept_rows(width: int, levels: int) -> int:
    columns = min(width, REGION[0] + 2 * max(OVERLAP, levels))
    rows = REGION_BYTES // (2 * columns * levels) - 2 * OVERLAP
    return max(_FEWEST_ROWS, min(REGION[1], rows))
