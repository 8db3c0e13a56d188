"""Census, and semi-global matching in two fused sweeps over the image.

A sweep walks over all pixels once and advances the paths that come from behind: from the left,
from above, and on both diagonals from above. The second sweep is the first one on the image
turned by 180 degrees; it adds its four paths to the stored sums and takes the winner at once.
Costs are made on the fly from the census bits of a row, so the only volume in memory is the
16-bit sum of the first sweep.

In the coordinates u = x + y and y, every predecessor of a pixel lies at the same or a smaller u
and y. So rectangles in (u, y) can be worked on side by side as long as each waits for its left
and its upper neighbour, and each path has one slot of costs that is updated in place: a slot a
row, a column, and a diagonal of either kind. The arithmetic is exact in 8 bits as long as
P2 + the largest cost stay below 255.

All arrays are flat and passed in C order; shapes stand in the tuples' docstrings.
"""

from typing import Any

import numpy as np
from numba import types

from fathom.classical.kernels.layout import (
    LANES,
    NOTHING,
    PLANES,
    WINDOW_HEIGHT,
    WINDOW_WIDTH,
    Costs,
    Frame,
    Paths,
    Scratch,
    Tile,
    Winners,
)
from fathom.classical.kernels.simd import (
    add,
    both,
    count_ones,
    differing,
    either,
    index_of,
    inlined,
    keyed,
    least,
    load,
    narrow,
    smallest,
    splat8,
    splat16,
    store,
    sub,
    widen,
    with_bit,
)
from fathom.classical.native import kernel

_u8, _u16 = types.uint8[::1], types.uint16[::1]
_u32, _f32 = types.uint32[::1], types.float32[::1]
_int = types.int64


def _tuple(kind: Any, members: list[Any]) -> Any:
    if all(m == members[0] for m in members):
        return types.NamedUniTuple(members[0], len(members), kind)  # type: ignore[no-untyped-call]
    return types.NamedTuple(members, kind)  # type: ignore[no-untyped-call]


SIGNATURE = types.void(
    _tuple(Costs, [_u8] * 8),
    _tuple(Paths, [_u8, _u8, _u16]),
    _tuple(Winners, [_f32, _u16, _u16, _u32]),
    _tuple(Frame, [_int] * 6),
    _tuple(Scratch, [_u8, _u16]),
    _tuple(Tile, [_int] * 5),
)


@kernel(types.void(_u16, _u8, _int, _int, _int, _int, _int, _int))
def census(
    image: Any, out: Any, width: int, reach: int, first: int, flip: int, top: int, end: int
) -> None:
    """Census transform 9 x 7 (Zabih and Woodfill, ECCV 1994): bit set where a neighbour is darker.

    image: (h + 6, w + 40) 16-bit intensities with 3 and 4 pixels of border and 32 to overrun.
    out: (h, 8, reach) bytes; pixel x goes to first + x. flip: 1 if the image runs backwards; its
    window is mirrored so that both views have the same bits in the same place. Rows top..end-1.
    """
    row = width + WINDOW_WIDTH - 1 + LANES
    for y in range(top, end):
        for x in range(0, width, LANES):
            centre = load(image, (y + WINDOW_HEIGHT // 2) * row + x + WINDOW_WIDTH // 2)
            bits = splat16(np.uint16(0))
            number = 0
            for j in range(WINDOW_HEIGHT):
                for k in range(WINDOW_WIDTH):
                    if j == WINDOW_HEIGHT // 2 and k == WINDOW_WIDTH // 2:
                        continue
                    dx = WINDOW_WIDTH - 1 - k if flip == 1 else k
                    bits = with_bit(bits, load(image, (y + j) * row + x + dx), centre)
                    number += 1
                    if number % 8 == 0:
                        place = (y * PLANES + number // 8 - 1) * reach + first + x
                        store(out, place, narrow(bits))
                        bits = splat16(np.uint16(0))
            place = (y * PLANES + PLANES - 1) * reach + first + x
            store(out, place, narrow(bits))


@inlined
def _hamming(costs: Any, frame: Any, y: int, x: int, step: int, count: int, out: Any) -> Any:
    """Costs of `count` pixels from (x, y) on in the direction `step`, to out (count, levels)."""
    stride = frame.width + LANES
    reach = frame.reach
    for k in range(count):
        at = y * PLANES * stride + x
        start = frame.origin - x
        row = y * PLANES * reach + start
        b0 = splat8(costs.left[at])
        b1 = splat8(costs.left[at + stride])
        b2 = splat8(costs.left[at + 2 * stride])
        b3 = splat8(costs.left[at + 3 * stride])
        b4 = splat8(costs.left[at + 4 * stride])
        b5 = splat8(costs.left[at + 5 * stride])
        b6 = splat8(costs.left[at + 6 * stride])
        b7 = splat8(costs.left[at + 7 * stride])
        for i in range(0, frame.levels, LANES):
            j = row + i
            c = count_ones(differing(b0, load(costs.right, j)))
            c = add(c, count_ones(differing(b1, load(costs.right, j + reach))))
            c = add(c, count_ones(differing(b2, load(costs.right, j + 2 * reach))))
            c = add(c, count_ones(differing(b3, load(costs.right, j + 3 * reach))))
            c = add(c, count_ones(differing(b4, load(costs.right, j + 4 * reach))))
            c = add(c, count_ones(differing(b5, load(costs.right, j + 5 * reach))))
            c = add(c, count_ones(differing(b6, load(costs.right, j + 6 * reach))))
            c = add(c, count_ones(differing(b7, load(costs.right, j + 7 * reach))))
            inside = both(c, load(costs.inside, start + i))
            c = either(inside, load(costs.outside, start + i))
            store(out, k * frame.levels + i, either(c, load(costs.beyond, i)))
        x += step


@inlined
def _advance(slots: Any, at: int, before: Any, low: Any, limit: Any, p1: Any, cost: Any) -> Any:
    """One vector of one path: L = C + min(L', L'(d-1) + P1, L'(d+1) + P1, min L' + P2) - min L'.

    Hirschmueller 2008, equation 13. `before` are the old costs one level below; the new costs
    overwrite the old ones, so those that the next vector needs are read first and returned.
    """
    same = load(slots, at)
    above = load(slots, at + 1)
    after = load(slots, at + LANES - 1)
    cheapest = least(least(same, limit), add(least(before, above), p1))
    value = add(sub(cheapest, low), cost)
    store(slots, at, value)
    return value, after


@inlined
def _jump(costs: Any, here: int, there: int) -> Any:
    """P2 between two pixels."""
    return costs.penalty[abs(np.int64(costs.gray[here]) - np.int64(costs.gray[there]))]


@inlined
def _winner(sums: Any, frame: Any, found: Any, y: int, x: int, lowest: Any) -> Any:
    """The best level of pixel (x, y), sub-pixel, its margin, and its offers to right pixels."""
    row = y * frame.reach + frame.origin - x
    where = splat16(np.uint16(NOTHING))
    for i in range(0, frame.levels, LANES):
        values = load(sums, LANES + i)
        where = least(where, index_of(values, lowest, np.uint16(i)))
        offers = keyed(values, np.uint32(i))
        store(found.keys, row + i, least(load(found.keys, row + i), offers))
    level = np.int64(smallest(where))
    below, above = sums[LANES + level - 1], sums[LANES + level + 1]
    sums[LANES + level - 1 : LANES + level + 2] = NOTHING
    rest = splat16(np.uint16(NOTHING))
    for i in range(0, frame.levels, LANES):
        rest = least(rest, load(sums, LANES + i))
    # levels past the last one, and none at all, count as the largest sum there can be
    largest = np.uint16(255 * frame.paths)
    pixel = y * frame.width + x
    found.best[pixel] = lowest
    found.margin[pixel] = min(smallest(rest), largest) - lowest
    value = np.float32(level)
    if below != NOTHING and above < largest:
        rise, fall = np.float32(above - lowest), np.float32(below - lowest)
        # symmetric V: both flanks have the slope of the steeper one; a parabola would pull the
        # result towards whole pixels (Haller and Nedevschi, IEEE TIP 2012)
        if max(rise, fall) > 0:
            value += np.float32(0.5) * (fall - rise) / max(rise, fall)
    found.disparity[pixel] = value
    sums[LANES - 1] = NOTHING
    sums[LANES + frame.levels] = NOTHING


@kernel(SIGNATURE)
def sweep(  # noqa: PLR0915
    costs: Any, paths: Any, found: Any, frame: Any, room: Any, tile: Any
) -> None:
    """Advances half of the paths over one tile; in the second sweep also takes the winners."""
    height, width, levels = frame.height, frame.width, frame.levels
    step = -1 if tile.last_sweep == 1 else 1
    scratch, sums = room.costs, room.sums
    slot = levels + LANES
    columns = height
    falling = columns + width + height - 1
    rising = columns + width + width + height - 1
    p1 = splat8(costs.p1[0])
    full = splat8(np.uint8(255))
    for v in range(tile.top, tile.bottom):
        start, end = max(0, tile.first - v), min(width, tile.last - v)
        if start >= end:
            continue
        y = height - 1 - v if tile.last_sweep == 1 else v
        x = width - 1 - start if tile.last_sweep == 1 else start
        _hamming(costs, frame, y, x, step, end - start, scratch)
        back = step * width if v > 0 else 0
        for u in range(start, end):
            pixel = y * width + x
            side = step if u > 0 else 0
            other = step if u < width - 1 else 0
            s0, s1, s2, s3 = v, columns + u, falling + u - v, rising + u + v
            a0, a1 = LANES + s0 * slot, LANES + s1 * slot
            a2, a3 = LANES + s2 * slot, LANES + s3 * slot
            l0, l1 = splat8(paths.lows[s0]), splat8(paths.lows[s1])
            l2, l3 = splat8(paths.lows[s2]), splat8(paths.lows[s3])
            m0 = add(l0, splat8(_jump(costs, pixel, pixel - side)))
            m1 = add(l1, splat8(_jump(costs, pixel, pixel - back)))
            m2 = add(l2, splat8(_jump(costs, pixel, pixel - back - side)))
            m3 = add(l3, splat8(_jump(costs, pixel, pixel - back + other)))
            b0, b1 = load(paths.slots, a0 - 1), load(paths.slots, a1 - 1)
            b2, b3 = load(paths.slots, a2 - 1), load(paths.slots, a3 - 1)
            n0, n1, n2, n3 = full, full, full, full
            low = splat16(np.uint16(NOTHING))
            for i in range(0, levels, LANES):
                cost = load(scratch, (u - start) * levels + i)
                c0, b0 = _advance(paths.slots, a0 + i, b0, l0, m0, p1, cost)
                c1, b1 = _advance(paths.slots, a1 + i, b1, l1, m1, p1, cost)
                n0, n1 = least(n0, c0), least(n1, c1)
                total = add(widen(c0), widen(c1))
                if frame.paths == 8:
                    c2, b2 = _advance(paths.slots, a2 + i, b2, l2, m2, p1, cost)
                    c3, b3 = _advance(paths.slots, a3 + i, b3, l3, m3, p1, cost)
                    n2, n3 = least(n2, c2), least(n3, c3)
                    total = add(total, add(widen(c2), widen(c3)))
                if tile.last_sweep == 1:
                    total = add(total, load(paths.sums, pixel * levels + i))
                    store(sums, LANES + i, total)
                    low = least(low, total)
                else:
                    store(paths.sums, pixel * levels + i, total)
            paths.lows[s0], paths.lows[s1] = smallest(n0), smallest(n1)
            if frame.paths == 8:
                paths.lows[s2], paths.lows[s3] = smallest(n2), smallest(n3)
            if tile.last_sweep == 1:
                _winner(sums, frame, found, y, x, smallest(low))
            x += step


@kernel(types.void(_u32, _f32, _f32, _int, _int, _int, _int, _int))
def disagreement(
    keys: Any, disparity: Any, out: Any, width: int, reach: int, first: int, low: int, levels: int
) -> Any:
    """|d - d_right(x - d)| for each left pixel, NaN where the match leaves the right image.

    keys: (h, reach) of `Winners`, the right image's pixel 0 at first + width - 1. disparity: (h,
    w) levels above `low`, turned into pixels here. levels: the number of true levels.
    """
    for y in range(len(disparity) // width):
        for x in range(width):
            value = disparity[y * width + x] + np.float32(low)
            disparity[y * width + x] = value
            xr = x - np.int64(np.floor(value + np.float32(0.5)))
            gap = np.float32(np.nan)
            if 0 <= xr < width:
                level = np.int64(keys[y * reach + first + width - 1 - xr] & np.uint32(NOTHING))
                if level < levels:
                    gap = abs(value - np.float32(level + low))
            out[y * width + x] = gap
