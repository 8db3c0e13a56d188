"""Semi-global matching itself: buffers, tiles and the two sweeps.

Hirschmueller, "Stereo Processing by Semiglobal Matching and Mutual Information", PAMI 2008, with
the census cost. What a pixel's disparity is worth is judged elsewhere.
"""

from typing import Any, NamedTuple

import numpy as np

from fathom.classical.buffers import fresh_slots, scratch, volume
from fathom.classical.kernels import layout as kernels
from fathom.classical.moreglobal import traverse
from fathom.classical.parallel import run_blocks, run_wavefront
from fathom.core.arrays import Array, Float32, UInt8, UInt16

LARGEST_P2 = 190
"""8-bit path costs hold P2 + 62 census bits without saturating."""
SMALLEST_SIZE = (9, 7)
"""Width and height of the census window."""

_LANES = kernels.LANES
_ROWS = 32
"""Rows that a thread takes at once where they do not depend on each other."""
_TILE = (256, 48)
"""Largest columns and rows of a tile: its paths and costs stay in the second-level cache, and a
calling the kernel costs a few hundredths of its work."""
_OUTSIDE = 20
"""Cost of a match outside the right image. The mean census cost of unrelated pixels is 31: a
little less lets the smoothness carry the disparity on over the left border (chosen on the pairs
of shared/data and Motorcycle, as P1 and P2)."""


class Match(NamedTuple):
    """disparity: float32 (h, w) pixels. best: uint16 (h, w) sum of path costs of the winner.
    margin: uint16 (h, w) what the best disparity that is no neighbour costs more. difference:
    float32 (h, w) |d - d_right(x - d)| in pixels, NaN where the match leaves the right image."""

    disparity: Float32[np.ndarray, "h w"]
    best: UInt16[np.ndarray, "h w"]
    margin: UInt16[np.ndarray, "h w"]
    difference: Float32[np.ndarray, "h w"]


def penalties(p1: int, p2: int, gradient: float) -> UInt8[np.ndarray, "256"]:
    """P2 for each difference of 8-bit intensity along a path: P2 / (1 + |dI| / gradient).

    Never less than 1.5 P1, so that a jump costs more than a step. gradient 0: constant P2.
    """
    steps = np.arange(256, dtype=np.float64)
    with np.errstate(over="ignore"):  # a gradient near 0 halves P2 at once
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
    *,
    more_global: bool = False,
) -> Match:
    """Matches left to right over the disparities first .. first + levels - 1.

    left, right: intensities for the census. gray: 8-bit intensities of the left view, which pick
    P2 from `penalty`. paths: 4 (along rows and columns), 8 (and along the diagonals) or 16 (and
    between these, as a knight moves in chess). more_global: each of 4 or 8 traversals has two
    predecessors (see `moreglobal`).
    """
    frame, costs, found = _prepared(left, right, gray, first, levels, p1, penalty, paths, threads)
    count = frame.height * frame.width * frame.levels
    with volume(count) as sums:
        if more_global:
            traverse(costs, sums, found, frame, threads)
        else:
            for plan in _plans(paths):
                _sweep(plan, costs, sums, found, frame, threads)
    return _finished(found, frame, first, levels, threads)


def _prepared(
    left: Array,
    right: Array,
    gray: Array,
    first: int,
    levels: int,
    p1: int,
    penalty: Array,
    paths: int,
    threads: int,
) -> tuple[kernels.Frame, kernels.Costs, kernels.Winners]:
    """Sizes, census bits of both views, and room for the results."""
    height, width = left.shape
    padded = _padded(levels)
    margin = max(0, -first)
    reach = width + margin + max(0, first) + padded + _LANES
    inside = np.zeros(reach, np.uint8)
    inside[margin : margin + width] = 255
    costs = kernels.Costs(
        left=_census(left, width + _LANES, 0, False, threads),
        right=_census(right[:, ::-1], reach, margin, True, threads),
        inside=inside,
        outside=np.where(inside > 0, 0, _OUTSIDE).astype(np.uint8),
        beyond=np.where(np.arange(padded + _LANES) < levels, 0, 255).astype(np.uint8),
        gray=np.ascontiguousarray(gray).reshape(-1),
        penalty=penalty,
        p1=np.array([p1], np.uint8),
    )
    border = kernels.BORDER
    places = (height + 2 * border) * (width + 2 * border + _LANES)
    found = kernels.Winners(
        disparity=np.empty(height * width, np.float32),
        best=np.empty(height * width, np.uint16),
        margin=np.empty(height * width, np.uint16),
        right_best=np.full(height * reach, kernels.NOTHING, np.uint16),
        right_level=np.full(height * reach, kernels.NOTHING, np.uint16),
        level=np.full(places, kernels.NOTHING - 2, np.uint16),
        near=np.full((2 * border + 1) * places, kernels.NO_COST, np.uint8),
    )
    frame = kernels.Frame(height, width, padded, reach, margin + width - 1 + first, paths)
    return frame, costs, found


def _finished(
    found: kernels.Winners, frame: kernels.Frame, first: int, levels: int, threads: int
) -> Match:
    """The winners as maps, with better sub-pixel offsets and the left-right difference."""
    height, width = frame.height, frame.width

    difference = np.empty(height * width, np.float32)

    def rows(i: int) -> None:
        part = i * _ROWS, min((i + 1) * _ROWS, height)
        room = np.empty(4 * (width + _LANES), np.uint16)
        kernels.subpixel(found, frame, room, *part)
        kernels.disagreement(
            found.right_level, found.disparity, difference, frame, first, levels, *part
        )

    run_blocks(rows, -(-height // _ROWS), threads)
    shape = (height, width)
    return Match(
        found.disparity.reshape(shape),
        found.best.reshape(shape),
        found.margin.reshape(shape),
        difference.reshape(shape),
    )


class _Plan(NamedTuple):
    """One sweep: its kernel, whether it is turned by 180 degrees, what becomes of its sums, and
    its four directions (x, y) in its own coordinates."""

    kernel: Any
    turned: int
    job: int
    directions: tuple[tuple[int, int], ...]


_STRAIGHT = ((1, 0), (0, 1), (1, 1), (-1, 1))
_KNIGHTS = ((2, 1), (-2, 1), (1, 2), (-1, 2))


def _plans(paths: int) -> list[_Plan]:
    """The sweeps that make up so many paths."""
    if paths == 8:
        return [
            _Plan(kernels.first_sweep, 0, kernels.STORE, _STRAIGHT),
            _Plan(kernels.last_sweep, 1, kernels.FINISH, _STRAIGHT),
        ]
    first, last = (0, kernels.STORE), (1, kernels.FINISH)
    if paths == 4:
        return [_Plan(kernels.sweep, turned, job, _STRAIGHT) for turned, job in (first, last)]
    between = ((0, kernels.ADD), (1, kernels.ADD))
    return [
        _Plan(kernels.sweep, *first, _STRAIGHT),
        *(_Plan(kernels.sweep, turned, job, _KNIGHTS) for turned, job in between),
        _Plan(kernels.sweep, *last, _STRAIGHT),
    ]


def _sweep(
    plan: _Plan,
    costs: kernels.Costs,
    sums: Array,
    found: kernels.Winners,
    frame: kernels.Frame,
    threads: int,
) -> None:
    """One sweep over the whole image, tile by tile."""
    height, width = frame.height, frame.width
    ways, lines = _ways(plan.directions, height, width)
    state = kernels.Paths(*fresh_slots(lines, frame.levels), sums)
    call = plan.kernel.bound(costs, state, found, frame, ways)
    columns, rows = _tile_size(height, threads)
    rooms: list[kernels.Scratch] = []

    def tile(row: int, column: int) -> None:
        top, start = row * rows, column * columns
        bottom = min(top + rows, height)
        if start < ways.skew * (bottom - 1) + width and start + columns > ways.skew * top:
            room = rooms.pop() if rooms else scratch(columns, frame.levels)
            end = start + columns
            call(room, kernels.Tile(top, bottom, start, end, plan.turned, plan.job))
            rooms.append(room)

    across = width + ways.skew * (height - 1)
    run_wavefront(tile, -(-height // rows), -(-across // columns), threads)


def _tile_size(height: int, threads: int) -> tuple[int, int]:
    """Columns and rows of a tile: smaller ones where many threads need work at the same time."""
    columns, rows = _TILE
    return min(columns, max(64, 1024 // threads)), min(rows, max(16, -(-height // (4 * threads))))


def _ways(
    directions: tuple[tuple[int, int], ...], height: int, width: int
) -> tuple[kernels.Ways, int]:
    """Directions with the places of their slots, and the number of slots."""
    flat: list[int] = []
    lines = 0
    for x, y in directions:
        corners = [y * u - x * v for u in (0, width - 1) for v in (0, height - 1)]
        flat += [lines - min(corners), x, y]
        lines += max(corners) - min(corners) + 1
    flat.append(max(-(x // y) for x, y in directions if y))
    return kernels.Ways(*flat), lines


def _padded(levels: int) -> int:
    return -(-levels // _LANES) * _LANES


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
