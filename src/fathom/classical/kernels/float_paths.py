"""Semi-global sums of a given volume of real costs, and a mean within a range of values.

All arrays are flat and in C order; volumes are (h, w, levels), so that the inner loops run along
the disparities of a pixel, where a vector of disparities does the same thing.
"""

from typing import Any

import numpy as np
from numba import types

from fathom.classical.kernels.layout import Edges, Means, Volumes, Walk, Window
from fathom.classical.kernels.simd import inlined
from fathom.classical.kernels.views import named
from fathom.classical.native import kernel

_f32, _u8 = types.float32[::1], types.uint8[::1]
_int = types.int64


@inlined
def _smallest(values: Any, count: int) -> Any:
    """The least of `count` values. Four at a time: a plain loop waits for each comparison."""
    a, b = values[0], values[0]
    c, d = a, b
    rest = count - count % 4
    for i in range(0, rest, 4):
        a = values[i] if values[i] < a else a
        b = values[i + 1] if values[i + 1] < b else b
        c = values[i + 2] if values[i + 2] < c else c
        d = values[i + 3] if values[i + 3] < d else d
    for i in range(rest, count):
        a = values[i] if values[i] < a else a
    a = b if b < a else a
    c = d if d < c else c
    return c if c < a else a


@inlined
def _fenced(room: Any, slots: int, levels: int) -> None:
    """Puts inf below the first and above the last level of each slot: no path comes from there."""
    stride = levels + 2
    for k in range(slots):
        room[k * stride] = np.float32(np.inf)
        room[k * stride + levels + 1] = np.float32(np.inf)


@inlined
def _stepped(path: Any, low: Any, edge: Any, table: Any, row: int, cost: Any, here: Any) -> None:
    """One step of a path: here = L(p), of path = L(q) with its fences and low = min L(q).

    edge: the right view's, of each level. row: where the table begins for the left view's edge.
    """
    levels = len(here)
    a1, a2, a3 = table[row], table[row + 1], table[row + 2] + low
    b1, b2, b3 = table[row + 3], table[row + 4], table[row + 5] + low
    for i in range(levels):
        other = edge[i] != 0
        best = b3 if other else a3
        same = path[i + 1]
        best = same if same < best else best
        from_below = path[i] + (b1 if other else a1)
        best = from_below if from_below < best else best
        from_above = path[i + 2] + (b2 if other else a2)
        here[i] = from_above if from_above < best else best
    for i in range(levels):
        here[i] = cost[i] + (here[i] - low)


@kernel(
    types.void(
        named(Volumes, [_f32] * 2),
        named(Edges, [_u8, _u8, _f32]),
        named(Walk, [_int] * 5),
        _f32,
        _int,
        _int,
    )
)
def float_paths(volumes: Any, edges: Any, walk: Any, room: Any, start: int, end: int) -> None:
    """Adds a quarter of the path costs of one direction to the sums, along the lines start..end-1.

    L(p, d) = C(p, d) + min(L(q, d), L(q, d - 1) + P1, L(q, d + 1) + P1', min L(q) + P2) - min L(q),
    q the pixel before p. room: (end - start, 2, levels + 2). A pixel without any finite cost lets
    the path begin anew.
    """
    inf, quarter = np.float32(np.inf), np.float32(0.25)
    width, levels = walk.width, walk.levels
    steps = walk.height if walk.down == 1 else width
    stride = levels + 2
    reach = width - 1 + levels
    _fenced(room, (end - start) * 2, levels)
    for step in range(steps):
        s = steps - 1 - step if walk.backward == 1 else step
        for line in range(start, end):
            y = s if walk.down == 1 else line
            x = line if walk.down == 1 else s
            pixel = y * width + x
            cost = volumes.costs[pixel * levels : (pixel + 1) * levels]
            total = volumes.sums[pixel * levels : (pixel + 1) * levels]
            base = (line - start) * 2 * stride
            old, new = base + (step & 1) * stride, base + (1 - (step & 1)) * stride
            here = room[new + 1 : new + 1 + levels]
            low = inf
            if step > 0:
                low = _smallest(room[old + 1 : old + 1 + levels], levels)
            if low < inf:
                match = y * reach + width - 1 - x
                edge = edges.right[match : match + levels]
                row = 3 * int(edges.left[pixel])
                _stepped(room[old : old + stride], low, edge, edges.table, row, cost, here)
            else:
                for i in range(levels):
                    here[i] = cost[i]
            for i in range(levels):
                total[i] += quarter * here[i]


@inlined
def _added(centre: Any, other: Any, weight: Any, bound: Any, total: Any, count: Any) -> None:
    """Adds what a row of neighbours says of a row of pixels, and with what weight."""
    nothing = np.float32(0)
    for x in range(len(centre)):
        near = abs(other[x] - centre[x]) < bound
        total[x] += weight * (other[x] - centre[x]) if near else nothing
        count[x] += weight if near else nothing


@kernel(
    types.void(named(Means, [_f32] * 2), named(Window, [_f32, _int, _int]), _f32, _f32, *[_int] * 4)
)
def near_mean(
    maps: Any, window: Any, sums: Any, counts: Any, height: int, width: int, top: int, end: int
) -> None:
    """The weighted mean of the neighbours that differ by less than the window's limit.

    Rows top..end-1. sums, counts: room for a row each.
    """
    radius, side = window.radius, 2 * window.radius + 1
    bound = np.float32(window.limit) / np.float32(1024)
    values = maps.values
    for y in range(top, end):
        for x in range(width):
            sums[x] = np.float32(0)
            counts[x] = np.float32(0)
        for j in range(max(0, y - radius), min(height, y + radius + 1)):
            for k in range(side):
                weight = window.weights[(j - y + radius) * side + k]
                shift = k - radius
                first, last = max(0, -shift), min(width, width - shift)
                if first >= last:
                    continue
                centre = values[y * width + first : y * width + last]
                other = values[j * width + first + shift : j * width + last + shift]
                _added(centre, other, weight, bound, sums[first:last], counts[first:last])
        for x in range(width):
            at = y * width + x
            maps.out[at] = values[at] + sums[x] / counts[x] if counts[x] > 0 else values[at]
