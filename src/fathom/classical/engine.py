"""Semi-global matching itself: buffers, tiles and the two sweeps.

Hirschmueller, "Stereo Processing by Semiglobal Matching and Mutual Information", PAMI 2008, with
the census cost. What a pixel's disparity is worth is judged elsewhere.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from fathom.classical.kernels import layout as kernels
from fathom.classical.parallel import run_blocks, run_wavefront
from fathom.core.arrays import Array, Float32, UInt8, UInt16

LARGEST_P2 = 190
"""8-bit path costs hold P2 + 62 census bits without saturating."""
SMALLEST_SIZE = (9, 7)
"""Width and height of the census window."""

_LANES = kernels.LANES
_TILE = (64, 32)
"""Columns and rows of a tile: its paths and costs stay in the second-level cache."""
_OUTSIDE = 20
"""Cost of a match outside the right image. The mean census cost of unrelated pixels is 31: a
little less lets the smoothness carry the disparity on over the left border (chosen on the pairs
of shared/data and Motorcycle, as P1 and P2)."""


Sweep = Callable[..., None]


class Match(NamedTuple):
    """disparity: float32 (h, w) pixels. best: uint16 (h, w) sum of path costs of the winner.
    margin: uint16 (h, w) what the best disparity that is no neighbour costs more. difference:
    float32 (h, w) |d - d_right(x - d)| in pixels, NaN where the match leaves the right image."""

    disparity: Float32[np.ndarray, "h w"]
    best: UInt16[np.ndarray, "h w"]
    margin: UInt16[np.ndarray, "h w"]
    difference: Float32[np.ndarray, "h w"]


def bytes_needed(height: int, width: int, levels: int) -> int:
    """Memory in bytes that matching and refining a pair takes at its peak, images excluded."""
    padded = _padded(levels)
    reach = width + levels + padded
    volume = 2 * height * width * padded
    paths = (3 * (height + width)) * (padded + _LANES)
    rows = height * (8 * (width + _LANES + reach) + 4 * reach)
    maps = 64 * height * width
    return volume + paths + rows + maps


def penalties(p1: int, p2: int, gradient: float) -> UInt8[np.ndarray, "256"]:
    """P2 for each difference of 8-bit intensity along a path: P2 / (1 + |dI| / gradient).

    Never less than 1.5 P1, so that a jump costs more than a step. gradient 0: constant P2.
    """
    steps = np.arange(256, dtype=np.float64)
    values = p2 / (1 + steps / gradient) if gradient > 0 else np.full(256, float(p2))
    out: Array = np.clip(values, min(1.5 * p1, p2), p2).astype(np.uint8)
    return out


def semiglobal(
    left: UInt16[np.ndarray, "h w"],
    right: UInt16[np.ndarray, "h w"],
    gray: UInt8[np.ndarray, "h w"],
    first: int,
    levels: int,
    p1: int,
    penalty: UInt8[np.ndarray, "256"],
    paths: int,
    threads: int,
) -> Match:
    """Matches left to right over the disparities first .. first + levels - 1.

    left, right: intensities for the census. gray: 8-bit intensities of the left view, which pick
    P2 from `penalty`. paths: 4 (along rows and columns) or 8 (and along the diagonals).
    """
    height, width = left.shape
    padded = _padded(levels)
    margin = max(0, -first)
    reach = width + margin + max(0, first) + padded
    frame = kernels.Frame(height, width, padded, reach, margin + width - 1 + first, paths)
    inside = np.zeros(reach, np.uint8)
    inside[margin : margin + width] = 255
    costs = kernels.Costs(
        left=_census(left, width + _LANES, 0, False, threads),
        right=_census(right[:, ::-1], reach, margin, True, threads),
        inside=inside,
        outside=np.where(inside > 0, 0, _OUTSIDE).astype(np.uint8),
        beyond=np.where(np.arange(padded) < levels, 0, 255).astype(np.uint8),
        gray=np.ascontiguousarray(gray).reshape(-1),
        penalty=penalty,
        p1=np.array([p1], np.uint8),
    )
    sums = np.empty(height * width * padded, np.uint16)
    found = kernels.Winners(
        disparity=np.empty(height * width, np.float32),
        best=np.empty(height * width, np.uint16),
        margin=np.empty(height * width, np.uint16),
        keys=np.full(height * reach, 2**32 - 1, np.uint32),
    )
    columns, rows = _TILE
    grid = (-(-height // rows), -(-(height + width - 1) // columns))
    for last_sweep in (0, 1):
        state = kernels.Paths(*_fresh_slots(3 * (height + width), padded), sums)
        sweep = kernels.sweep.bound(costs, state, found, frame)

        def tile(row: int, column: int, last_sweep: int = last_sweep, sweep: Sweep = sweep) -> None:
            top, start = row * rows, column * columns
            bottom = min(top + rows, height)
            if start < bottom + width - 1 and start + columns > top:
                part = kernels.Tile(top, bottom, start, start + columns, last_sweep)
                sweep(_scratch(columns, padded), part)

        run_wavefront(tile, *grid, threads)
    difference = np.empty(height * width, np.float32)
    kernels.disagreement(
        found.keys, found.disparity, difference, width, reach, margin, first, levels
    )
    shape = (height, width)
    return Match(
        found.disparity.reshape(shape),
        found.best.reshape(shape),
        found.margin.reshape(shape),
        difference.reshape(shape),
    )


def _scratch(columns: int, levels: int) -> kernels.Scratch:
    sums = np.full(levels + 2 * _LANES, kernels.NOTHING, np.uint16)
    return kernels.Scratch(np.empty(columns * levels, np.uint8), sums)


def _padded(levels: int) -> int:
    return -(-levels // _LANES) * _LANES


def _fresh_slots(count: int, levels: int) -> tuple[Array, Array]:
    """Path costs of 0 (a path starts with C alone), fenced with 255 so that nothing comes from
    beyond the first and last disparity; and their minima."""
    slots = np.zeros(count * (levels + _LANES) + _LANES, np.uint8)
    slots[:-_LANES].reshape(count, -1)[:, :_LANES] = 255
    slots[-_LANES:] = 255
    return slots, np.zeros(count, np.uint8)


def _census(image: Array, reach: int, first: int, flip: bool, threads: int) -> Array:
    """Census bytes (h, 8, reach) flat, the image's first column at `first`."""
    import cv2

    height, width = image.shape
    down, across = kernels.WINDOW_HEIGHT // 2, kernels.WINDOW_WIDTH // 2
    bordered = cv2.copyMakeBorder(
        np.ascontiguousarray(image),
        down,
        down,
        across,
        across + _LANES,
        cv2.BORDER_REPLICATE,
    ).reshape(-1)
    out = np.empty(height * 8 * reach, np.uint8)
    block = 64

    def rows(i: int) -> None:
        end = min((i + 1) * block, height)
        kernels.census(bordered, out, width, reach, first, int(flip), i * block, end)

    run_blocks(rows, -(-height // block), threads)
    return out
