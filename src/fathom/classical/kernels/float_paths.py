"""Semi-global sums of a given volume of real costs, and a mean within a range of values.

All arrays are flat and in C order; volumes are (h, w, levels), so that the inner loops run along
the disparities of a pixel, where a vector of disparities does the same thing.
"""

# a kernel takes every buffer and size by itself
# ruff: noqa: PLR0917

from typing import Any

import numpy as np
from numba import types

from fathom.classical.kernels.simd import inlined
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


@kernel(types.void(_f32, _f32, _u8, _u8, _f32, _f32, *[_int] * 7))
def float_paths(
    costs: Any,
    out: Any,
    left: Any,
    right: Any,
    table: Any,
    room: Any,
    levels: int,
    height: int,
    width: int,
    down: int,
    backward: int,
    start: int,
    end: int,
) -> None:
    """Adds a quarter of the path costs of one direction to `out`, along the lines start..end-1.

    L(p, d) = C(p, d) + min(L(q, d), L(q, d - 1) + P1, L(q, d + 1) + P1', min L(q) + P2) - min L(q),
    q the pixel before p. Lines are rows, or columns where `down` is 1; `backward`: 1 if they are
    walked from their end. left: (h, w) 1 where the left view has an edge between p and q. right:
    (h, w - 1 + levels) the same of the right view, of the match of pixel x at level i in place
    w - 1 - x + i. table: (3, 3) P1, P1' and P2 for none, one and both of these edges. room:
    (end - start, 2, levels + 2). A pixel without any finite cost lets the path begin anew.
    """
    inf = np.float32(np.inf)
    quarter = np.float32(0.25)
    steps = height if down == 1 else width
    stride = levels + 2
    reach = width - 1 + levels
    for k in range((end - start) * 2):
        room[k * stride] = inf
        room[k * stride + levels + 1] = inf
    for step in range(steps):
        s = steps - 1 - step if backward == 1 else step
        for line in range(start, end):
            y = s if down == 1 else line
            x = line if down == 1 else s
            pixel = y * width + x
            cost = costs[pixel * levels : (pixel + 1) * levels]
            total = out[pixel * levels : (pixel + 1) * levels]
            base = (line - start) * 2 * stride
            old, new = base + (step & 1) * stride, base + (1 - (step & 1)) * stride
            here = room[new + 1 : new + 1 + levels]
            low = inf
            if step > 0:
                low = _smallest(room[old + 1 : old + 1 + levels], levels)
            if low < inf:
                edge = right[y * reach + width - 1 - x : y * reach + width - 1 - x + levels]
                row = 3 * int(left[pixel])
                a1, a2, a3 = table[row], table[row + 1], table[row + 2] + low
                b1, b2, b3 = table[row + 3], table[row + 4], table[row + 5] + low
                path = room[old : old + levels + 2]
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
            else:
                for i in range(levels):
                    here[i] = cost[i]
            for i in range(levels):
                total[i] += quarter * here[i]


@kernel(types.void(_f32, _f32, _f32, _f32, _f32, *[_int] * 6))
def near_mean(
    values: Any,
    weights: Any,
    out: Any,
    sums: Any,
    counts: Any,
    limit: int,
    radius: int,
    height: int,
    width: int,
    top: int,
    end: int,
) -> None:
    """The weighted mean of the neighbours that differ by less than limit / 1024, rows top..end-1.

    values, out: (h, w); NaN is near to nothing. weights: (2 radius + 1) squared. sums, counts: (w).
    """
    side = 2 * radius + 1
    bound = np.float32(limit) / np.float32(1024)
    nothing = np.float32(0)
    for y in range(top, end):
        for x in range(width):
            sums[x] = nothing
            counts[x] = nothing
        for j in range(max(0, y - radius), min(height, y + radius + 1)):
            for k in range(side):
                weight = weights[(j - y + radius) * side + k]
                shift = k - radius
                first, last = max(0, -shift), min(width, width - shift)
                if first >= last:
                    continue
                centre = values[y * width + first : y * width + last]
                other = values[j * width + first + shift : j * width + last + shift]
                total, count = sums[first:last], counts[first:last]
                for x in range(last - first):
                    near = abs(other[x] - centre[x]) < bound
                    total[x] += weight * (other[x] - centre[x]) if near else nothing
                    count[x] += weight if near else nothing
        for x in range(width):
            at = y * width + x
            out[at] = values[at] + sums[x] / counts[x] if counts[x] > 0 else values[at]
