"""The weighted median of a window around every pixel, by selection instead of sorting."""

from typing import Any

import numpy as np
from numba import types

from fathom.classical.kernels.simd import inlined
from fathom.classical.native import kernel

_u8, _i32, _f32 = types.uint8[::1], types.int32[::1], types.float32[::1]
_int = types.int64


@inlined
def _middle(a: Any, b: Any, c: Any) -> Any:
    return max(min(a, b), min(max(a, b), c))


@inlined
def _select(room: Any, weights: Any, count: int, total: int) -> Any:
    """The smallest of the first `count` values that holds half of `total`; reorders them."""
    first, last, below = 0, count, 0
    while True:
        pivot = _middle(room[first], room[(first + last) // 2], room[last - 1])
        # three parts: first..small smaller, small..i equal, large..last greater
        small, i, large = first, first, last
        lighter, equal = 0, 0
        while i < large:
            value, weight = room[i], weights[i]
            if value < pivot:
                room[i], weights[i] = room[small], weights[small]
                room[small], weights[small] = value, weight
                lighter += weight
                small += 1
                i += 1
            elif value > pivot:
                large -= 1
                room[i], weights[i] = room[large], weights[large]
                room[large], weights[large] = value, weight
            else:
                equal += weight
                i += 1
        if 2 * (below + lighter) >= total and small > first:
            last = small
        elif 2 * (below + lighter + equal) >= total or large >= last:
            return pivot
        else:
            below += lighter + equal
            first = large


@kernel(types.void(_f32, _u8, _i32, _f32, _f32, _i32, _int, _int, _int, _int))
def weighted_median(
    values: Any,
    rgb: Any,
    table: Any,
    out: Any,
    room: Any,
    weights: Any,
    width: int,
    radius: int,
    top: int,
    bottom: int,
) -> None:
    """The smallest known value of each window that holds at least half of its weight.

    values, out: (h, w), NaN = unknown, stays so. rgb: (h, w, 3). table: (766,) weight for each
    sum of absolute colour differences to the centre. room, weights: (2 radius + 1)^2 numbers of
    working memory. Rows top..bottom-1 are written.
    """
    height = len(values) // width
    for y in range(top, bottom):
        for x in range(width):
            centre = y * width + x
            out[centre] = values[centre]
            if values[centre] != values[centre]:
                continue
            r, g, b = (
                np.int64(rgb[3 * centre]),
                np.int64(rgb[3 * centre + 1]),
                np.int64(rgb[3 * centre + 2]),
            )
            count, total = 0, 0
            for v in range(max(0, y - radius), min(height, y + radius + 1)):
                for u in range(max(0, x - radius), min(width, x + radius + 1)):
                    i = v * width + u
                    if values[i] == values[i]:
                        far = abs(np.int64(rgb[3 * i]) - r) + abs(np.int64(rgb[3 * i + 1]) - g)
                        weight = table[far + abs(np.int64(rgb[3 * i + 2]) - b)]
                        room[count] = values[i]
                        weights[count] = weight
                        count += 1
                        total += weight
            out[centre] = _select(room, weights, count, total)
