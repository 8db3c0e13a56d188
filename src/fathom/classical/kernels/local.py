"""Kernels of the local methods: the winner, cross-based regions, bilateral support.

All arrays are flat and in C order; planes are (levels, height, width), so that the inner loops run
along the row, where a vector of pixels does the same thing.
"""

from typing import Any

import numpy as np
from numba import types

from fathom.classical.native import kernel

_f32, _f64 = types.float32[::1], types.float64[::1]
_i32, _u8 = types.int32[::1], types.uint8[::1]
_int = types.int64


@kernel(types.void(_f32, _f32, _f32, _i32, _i32, _f32, _int, _int, _int, _int))
def winner(
    planes: Any,
    best: Any,
    second: Any,
    index: Any,
    right: Any,
    scratch: Any,
    levels: int,
    height: int,
    width: int,
    first: int,
) -> None:
    """Least cost, its level, the least that is no neighbour, and the right view's level.

    best, second: (h, w) costs. index: (h, w) level of the best, 0 where all are inf. right: (h, w)
    level of the right pixel's best, -1 where there is none. scratch: (w).
    """
    inf = np.float32(np.inf)
    for y in range(height):
        row = y * width
        least, rival = best[row : row + width], second[row : row + width]
        chosen, seen = index[row : row + width], right[row : row + width]
        for x in range(width):
            least[x] = inf
            rival[x] = inf
            chosen[x] = 0
            seen[x] = -1
            scratch[x] = inf
        for i in range(levels):
            at = (i * height + y) * width
            costs = planes[at : at + width]
            level = np.int32(i)
            for x in range(width):
                better = costs[x] < least[x]
                least[x] = costs[x] if better else least[x]
                chosen[x] = level if better else chosen[x]
            shift = first + i
            start, end = max(shift, 0), min(width, width + shift)
            if start < end:
                here = planes[at + start : at + end]
                lowest, winners = scratch[start - shift : end - shift], seen[start - shift :]
                for x in range(end - start):
                    better = here[x] < lowest[x]
                    lowest[x] = here[x] if better else lowest[x]
                    winners[x] = level if better else winners[x]
        for i in range(levels):
            at = (i * height + y) * width
            costs = planes[at : at + width]
            level = np.int32(i)
            for x in range(width):
                apart = abs(level - chosen[x]) > 1
                cost = costs[x] if apart else inf
                rival[x] = cost if cost < rival[x] else rival[x]


@kernel(types.void(_f32, _f32, _u8, _u8, _f64, _i32, _f64, _int, _int, _int))
def cross(
    costs: Any,
    out: Any,
    left: Any,
    right: Any,
    sums: Any,
    counts: Any,
    running: Any,
    height: int,
    width: int,
    shift: int,
) -> None:
    """Mean of one plane of costs over the cross-based region of every pixel.

    left, right: (4, h, w) arms to the left, right, up and down of the two views. shift: the
    plane's disparity; only columns whose match is inside are read and written. sums, counts:
    (h + 1, w) running down the columns. running: (w + 1).
    """
    size = height * width
    start, end = max(shift, 0), min(width, width + shift)
    count = end - start
    if count <= 0:
        return
    for x in range(count):
        sums[start + x] = 0
        counts[start + x] = 0
    for y in range(height):
        row = y * width + start
        here, there = row, row - shift
        cost = costs[row : row + count]
        back_left, back_right = left[here : here + count], right[there : there + count]
        here, there = here + size, there + size
        on_left, on_right = left[here : here + count], right[there : there + count]
        total, totals = sums[row : row + count], sums[row + width : row + width + count]
        number, numbers = counts[row : row + count], counts[row + width : row + width + count]
        so_far = 0.0
        running[0] = so_far
        for x in range(count):
            so_far += cost[x]
            running[x + 1] = so_far
        for x in range(count):
            back = min(back_left[x], back_right[x])
            on = min(on_left[x], on_right[x])
            totals[x] = total[x] + (running[x + on + 1] - running[x - back])
            numbers[x] = number[x] + on + back + 1
    for y in range(height):
        row = y * width + start
        here, there = row + 2 * size, row + 2 * size - shift
        up_left, up_right = left[here : here + count], right[there : there + count]
        here, there = here + size, there + size
        down_left, down_right = left[here : here + count], right[there : there + count]
        mean = out[row : row + count]
        for x in range(count):
            low = row + x - min(up_left[x], up_right[x]) * width
            high = row + x + (min(down_left[x], down_right[x]) + 1) * width
            mean[x] = (sums[high] - sums[low]) / (counts[high] - counts[low])


@kernel(types.void(_f32, _f32, _f32, _int, _int, _int, _int))
def weighted(
    costs: Any,
    weights: Any,
    out: Any,
    height: int,
    width: int,
    radius: int,
    reach: int,
) -> None:
    """Weighted sum of one plane of costs over a square window.

    costs: (h + 2 radius, reach) with `radius` columns and rows of border. weights: (side, h, side,
    w), summing up to 1 over the window. out: (h, w).
    """
    side = 2 * radius + 1
    for y in range(height):
        total = out[y * width : (y + 1) * width]
        for x in range(width):
            total[x] = 0
        for j in range(side):
            for k in range(side):
                at = ((j * height + y) * side + k) * width
                source = (y + j) * reach + k
                weight, cost = weights[at : at + width], costs[source : source + width]
                for x in range(width):
                    total[x] += weight[x] * cost[x]
