"""Sub-pixel disparities from the matching costs around a pixel, not from its path sums.

Every path adds up to P1 to the levels beside its winner, the same on both sides, and so pulls a
parabola or a V through the sums towards whole pixels: a wall turned by 2 degrees came out with a
third of its slope. The census costs know nothing of P1. Summed over a window they give a V whose
tip is not drawn anywhere (equiangular fit, Shimizu and Okutomi, ICCV 2001); where they are nearly
flat, for want of texture, the sums know better.
"""

from typing import Any

import numpy as np
from numba import types

from fathom.classical.kernels.layout import (
    BORDER,
    LANES,
    NO_COST,
    SURE_COST,
    Frame,
    Winners,
)
from fathom.classical.kernels.simd import (
    add,
    both,
    either,
    equal,
    get,
    inlined,
    load,
    put,
    splat16,
    store,
    sub,
    widen,
)
from fathom.classical.kernels.views import named
from fathom.classical.native import kernel

_u8, _u16, _f32, _int = types.uint8[::1], types.uint16[::1], types.float32[::1], types.int64


@inlined
def _chosen(same: Any, a: Any, higher: Any, b: Any, lower: Any, c: Any) -> Any:
    """a, b or c, as one of the three masks says."""
    return either(both(same, a), either(both(higher, b), both(lower, c)))


@kernel(
    types.void(named(Winners, [_f32, *[_u16] * 5, _u8]), named(Frame, [_int] * 6), _u16, _int, _int)
)
def subpixel(found: Any, frame: Any, room: Any, top: int, bottom: int) -> None:
    """Moves the sub-pixel level of every pixel of the rows top..bottom-1.

    room: (4 * (w + 32),) working memory. A neighbour in the 5x5 window
    counts where its level differs by at most 1, with its own costs at the pixel's level d and
    beside it. With their means C, and f = C(d-1) - C(d), g = C(d+1) - C(d): the offset is
    (f - g) / (2 max(f, g)), and counts by the share max(f, g) / SURE_COST, at most 1; the rest is
    the offset that was there.
    """
    width = frame.width
    row = width + 2 * BORDER + LANES
    plane = (frame.height + 2 * BORDER) * row
    stride = width + LANES
    one, none = splat16(np.uint16(1)), splat16(np.uint16(NO_COST))
    half, sure = np.float32(0.5), np.float32(SURE_COST)
    for y in range(top, bottom):
        for x in range(0, width, LANES):
            mine = load(found.level, (y + BORDER) * row + x + BORDER)
            count = splat16(np.uint16(0))
            below, here, above = count, count, count
            for j in range((2 * BORDER + 1) ** 2):
                dy, dx = j // (2 * BORDER + 1), j % (2 * BORDER + 1)
                place = (y + dy) * row + x + dx
                level = load(found.level, place)
                same = equal(level, mine)
                higher, lower = equal(level, add(mine, one)), equal(add(level, one), mine)
                c0 = widen(load(found.near, place))
                c1 = widen(load(found.near, plane + place))
                c2 = widen(load(found.near, 2 * plane + place))
                c3 = widen(load(found.near, 3 * plane + place))
                c4 = widen(load(found.near, 4 * plane + place))
                a = _chosen(same, c1, higher, c0, lower, c2)
                b = _chosen(same, c2, higher, c1, lower, c3)
                c = _chosen(same, c3, higher, c2, lower, c4)
                outside = either(equal(a, none), equal(c, none))
                counts = both(sub(one, both(outside, one)), either(same, either(higher, lower)))
                inside = equal(counts, one)
                count = add(count, counts)
                below = add(below, both(inside, a))
                here = add(here, both(inside, b))
                above = add(above, both(inside, c))
            store(room, x, count)
            store(room, stride + x, below)
            store(room, 2 * stride + x, here)
            store(room, 3 * stride + x, above)
        for x in range(width):
            number = np.float32(get(room, x))
            middle = np.float32(get(room, 2 * stride + x))
            f = np.float32(get(room, stride + x)) - middle
            g = np.float32(get(room, 3 * stride + x)) - middle
            steep = max(f, g)
            if steep <= 0:
                continue
            offset = half * (f - g) / steep
            if abs(offset) > 1:
                continue
            offset = min(max(offset, -half), half)
            share = min(steep / (number * sure), np.float32(1))
            level = np.float32(get(found.level, (y + BORDER) * row + x + BORDER))
            old = get(found.disparity, y * width + x)
            put(found.disparity, y * width + x, old + share * (level + offset - old))
