"""Semi-global matching in two fused sweeps over the image.

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
    BORDER,
    FINISH,
    LANES,
    NO_COST,
    NOTHING,
    PACKED,
    PLANES,
    STORE,
    Costs,
    Frame,
    Mode,
    Paths,
    Row,
    Scratch,
    Tile,
    Ways,
    Winners,
)
from fathom.classical.kernels.simd import (
    add,
    apart,
    both,
    count_ones,
    differing,
    either,
    get,
    index_of,
    inlined,
    least,
    load,
    load_wide,
    narrow,
    no_more,
    one_above,
    one_below,
    prefetch,
    put,
    shift_left,
    shift_right,
    smallest,
    splat8,
    splat8_wide,
    splat16,
    store,
    sub,
    widen,
)
from fathom.classical.kernels.views import named
from fathom.classical.native import kernel

_u8, _u16 = types.uint8[::1], types.uint16[::1]
_f32 = types.float32[::1]
_int = types.int64


SIGNATURE = types.void(
    named(Costs, [_u8] * 8),
    named(Paths, [_u8, _u8, _u16]),
    named(Winners, [_f32, *[_u16] * 5, _u8]),
    named(Frame, [_int] * 6),
    named(Ways, [_int] * 13),
    named(Scratch, [_u8, _u8, _u16]),
    named(Tile, [_int] * 6),
)


@inlined
def _carry(a: Any, b: Any, c: Any) -> Any:
    """Sum and carry of three bits in each place."""
    ab = differing(a, b)
    return differing(ab, c), either(both(a, b), both(ab, c))


@inlined
def hamming(costs: Any, frame: Any, y: int, x: int, step: int, count: int, out: Any) -> Any:
    """Costs of `count` pixels from (x, y) on in the direction `step`, to out (count, levels).

    In vectors of twice the length; the second half of a last one is overwritten by the next pixel.
    """
    stride = frame.width + LANES
    reach = frame.reach
    for k in range(count):
        at = y * PLANES * stride + x
        start = frame.origin - x
        row = y * PLANES * reach + start
        b0 = splat8_wide(get(costs.left, at))
        b1 = splat8_wide(get(costs.left, at + stride))
        b2 = splat8_wide(get(costs.left, at + 2 * stride))
        b3 = splat8_wide(get(costs.left, at + 3 * stride))
        b4 = splat8_wide(get(costs.left, at + 4 * stride))
        b5 = splat8_wide(get(costs.left, at + 5 * stride))
        b6 = splat8_wide(get(costs.left, at + 6 * stride))
        b7 = splat8_wide(get(costs.left, at + 7 * stride))
        for i in range(0, frame.levels, 2 * LANES):
            j = row + i
            # seven planes are added bit by bit first (carry-save), so that four counts do for eight
            d0 = differing(b0, load_wide(costs.right, j))
            d1 = differing(b1, load_wide(costs.right, j + reach))
            d2 = differing(b2, load_wide(costs.right, j + 2 * reach))
            d3 = differing(b3, load_wide(costs.right, j + 3 * reach))
            d4 = differing(b4, load_wide(costs.right, j + 4 * reach))
            d5 = differing(b5, load_wide(costs.right, j + 5 * reach))
            d6 = differing(b6, load_wide(costs.right, j + 6 * reach))
            d7 = differing(b7, load_wide(costs.right, j + 7 * reach))
            ones, twos0 = _carry(d0, d1, d2)
            rest, twos1 = _carry(d3, d4, d5)
            ones, twos2 = _carry(ones, rest, d6)
            twos, fours = _carry(twos0, twos1, twos2)
            c = count_ones(fours)
            c = add(add(c, c), count_ones(twos))
            c = add(add(c, c), add(count_ones(ones), count_ones(d7)))
            inside = both(c, load_wide(costs.inside, start + i))
            c = either(inside, load_wide(costs.outside, start + i))
            store(out, k * frame.levels + i, either(c, load_wide(costs.beyond, i)))
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
def _advance_near(
    slots: Any, at: int, same: Any, before: Any, low: Any, limit: Any, p1: Any, cost: Any
) -> Any:
    """`_advance` for the path along the row, whose slot was written a moment ago.

    A load that spans two stores under way waits for both. So every load here is of what one store
    wrote, and the neighbours are made in registers.
    """
    after = load(slots, at + LANES)
    sides = least(one_below(before, same), one_above(same, after))
    cheapest = least(least(same, limit), add(sides, p1))
    value = add(sub(cheapest, low), cost)
    store(slots, at, value)
    return value, same, after


@inlined
def winner(sums: Any, frame: Any, found: Any, y: int, x: int, lowest: Any) -> Any:
    """The best level of pixel (x, y), sub-pixel, its margin, and its offers to right pixels.

    Returns the level."""
    row = y * frame.reach + frame.origin - x
    where = splat16(np.uint16(NOTHING))
    for i in range(0, frame.levels, LANES):
        values = load(sums, LANES + i)
        where = least(where, index_of(values, lowest, np.uint16(i)))
        # x runs backwards in the last sweep, so an equal offer comes from a smaller level
        old = load(found.right_best, row + i)
        levels = no_more(values, old, np.uint16(i), load(found.right_level, row + i))
        store(found.right_best, row + i, least(values, old))
        store(found.right_level, row + i, levels)
    level = np.int64(smallest(where))
    rest = splat16(np.uint16(NOTHING))
    for i in range(0, frame.levels, LANES):
        rest = least(rest, apart(load(sums, LANES + i), np.uint16(i + 1 - level)))
    below, above = get(sums, LANES + level - 1), get(sums, LANES + level + 1)
    # levels past the last one, and none at all, count as the largest sum there can be
    largest = np.uint16(255 * frame.paths)
    pixel = y * frame.width + x
    put(found.best, pixel, lowest)
    put(found.margin, pixel, np.uint16(min(smallest(rest), largest) - lowest))
    value = np.float32(level)
    if below != NOTHING and above < largest:
        rise, fall = np.float32(above - lowest), np.float32(below - lowest)
        # Equiangular lines: both flanks have the slope of the steeper one. A parabola would pull
        # the result towards whole pixels (Shimizu and Okutomi, ICCV 2001).
        if max(rise, fall) > 0:
            value += np.float32(0.5) * (fall - rise) / max(rise, fall)
    put(found.disparity, pixel, value)
    return level


@inlined
def keep_costs(
    cells: Any, start: int, shift: int, frame: Any, found: Any, y: int, x: int, level: int
) -> None:
    """Keeps the costs around the winner of pixel (x, y), which begin at `start` in `cells`."""
    row = frame.width + 2 * BORDER + LANES
    place = (y + BORDER) * row + x + BORDER
    plane = (frame.height + 2 * BORDER) * row
    put(found.level, place, np.uint16(level))
    for j in range(2 * BORDER + 1):
        i = level + j - BORDER
        cost = np.int64(NO_COST)
        if 0 <= i < frame.levels:
            cost = min(np.int64(get(cells, start + i)) >> shift, cost)
        put(found.near, j * plane + place, np.uint8(cost))


@inlined
def _row_of(frame: Any, ways: Any, tile: Any, v: int) -> Any:
    """Row v of a tile; it may be empty, for tiles are slanted."""
    start = max(0, tile.first - ways.skew * v)
    end = min(frame.width, tile.last - ways.skew * v)
    step = -1 if tile.turned == 1 else 1
    y = frame.height - 1 - v if tile.turned == 1 else v
    x = frame.width - 1 - start if tile.turned == 1 else start
    return Row(v, start, end, x, y, y * frame.width + x, step, tile.last - tile.first)


@inlined
def _jumps(costs: Any, frame: Any, row: Any, x: int, y: int, out: Any, place: int) -> None:
    """P2 of the direction (x, y) for the pixels of a row, to out[place..].

    0 where a path begins: nothing has been paid there, so nothing is saved by a jump.
    """
    back = row.step * (y * frame.width + x)
    first, last = max(row.start, x), min(row.end, frame.width + min(x, 0))
    if row.v < y:
        first, last = row.end, row.end
    for u in range(row.start, row.end):
        put(out, place + u - row.start, np.uint8(0))
    for u in range(first, last):
        pixel = row.here + row.step * (u - row.start)
        change = abs(np.int64(get(costs.gray, pixel)) - np.int64(get(costs.gray, pixel - back)))
        put(out, place + u - row.start, get(costs.penalty, change))


@inlined
def _limits(paths: Any, slot: int, jump: Any) -> Any:
    """Of one path that comes to a pixel: min L', and min L' + P2."""
    low = splat8(get(paths.lows, slot))
    return low, add(low, splat8(jump))


@inlined
def _cost_and_sum(
    costs: Any, paths: Any, room: Any, mode: Any, place: int, within: int, i: int
) -> Any:
    """One vector, from level i on, of a pixel's costs and of the sums so far.

    place: in `Paths.sums`. within: in `Scratch.costs`.
    """
    old = load(paths.sums, place)
    if mode.packed == 1 and mode.job == FINISH:
        cost = either(narrow(shift_right(old, PACKED)), load(costs.beyond, i))
        old = both(old, splat16(np.uint16(2**PACKED - 1)))
    else:
        cost = load(room.costs, within)
    return cost, old


@inlined
def _keep_sum(
    paths: Any, room: Any, mode: Any, place: int, i: int, total: Any, cost: Any, low: Any
) -> Any:
    """Writes one vector of sums, for the winner or for the next sweep.

    Returns the least sums so far, of `low` and of these, if it is for the winner.
    """
    if mode.job == FINISH:
        store(room.sums, LANES + i, total)
        low = least(low, total)
    else:
        if mode.packed == 1:
            total = either(total, shift_left(widen(cost), PACKED))
        store(paths.sums, place, total)
    return low


@inlined
def _advance_all(
    costs: Any, paths: Any, frame: Any, room: Any, row: Any, mode: Any, k: int, slots: Any
) -> Any:
    """Advances all paths, which have these slots, to the k-th pixel of a row.

    Returns the least sum of the pixel where the job is to find winners.
    """
    levels, columns = frame.levels, row.columns
    size = levels + LANES
    s0, s1, s2, s3 = slots
    a0, a1, a2, a3 = LANES + s0 * size, LANES + s1 * size, LANES + s2 * size, LANES + s3 * size
    l0, m0 = _limits(paths, s0, get(room.jumps, k))
    l1, m1 = _limits(paths, s1, get(room.jumps, columns + k))
    l2, m2 = _limits(paths, s2, get(room.jumps, 2 * columns + k))
    l3, m3 = _limits(paths, s3, get(room.jumps, 3 * columns + k))
    p1, full = splat8(costs.p1[0]), splat8(np.uint8(255))
    b0, h0, b1 = full, load(paths.slots, a0), load(paths.slots, a1 - 1)
    b2, b3 = load(paths.slots, a2 - 1), load(paths.slots, a3 - 1)
    n0, n1, n2, n3 = full, full, full, full
    low = splat16(np.uint16(NOTHING))
    start = (row.here + row.step * k) * levels
    for i in range(0, levels, LANES):
        cost, old = _cost_and_sum(costs, paths, room, mode, start + i, k * levels + i, i)
        prefetch(paths.sums, start + i + 6 * row.step * levels)
        c0, b0, h0 = _advance_near(paths.slots, a0 + i, h0, b0, l0, m0, p1, cost)
        c1, b1 = _advance(paths.slots, a1 + i, b1, l1, m1, p1, cost)
        n0, n1 = least(n0, c0), least(n1, c1)
        total = add(widen(c0), widen(c1))
        if mode.four == 1:
            c2, b2 = _advance(paths.slots, a2 + i, b2, l2, m2, p1, cost)
            c3, b3 = _advance(paths.slots, a3 + i, b3, l3, m3, p1, cost)
            n2, n3 = least(n2, c2), least(n3, c3)
            total = add(total, add(widen(c2), widen(c3)))
        if mode.job != STORE:
            total = add(total, old)
        low = _keep_sum(paths, room, mode, start + i, i, total, cost, low)
    put(paths.lows, s0, smallest(n0))
    put(paths.lows, s1, smallest(n1))
    if mode.four == 1:
        put(paths.lows, s2, smallest(n2))
        put(paths.lows, s3, smallest(n3))
    return smallest(low)


@inlined
def _finish(
    paths: Any, found: Any, frame: Any, room: Any, row: Any, mode: Any, k: int, lowest: Any
) -> None:
    """The winner of the k-th pixel of a row, and the costs around it."""
    x = row.x + row.step * k
    level = winner(room.sums, frame, found, row.y, x, lowest)
    if mode.packed == 1:
        start = (row.here + row.step * k) * frame.levels
        keep_costs(paths.sums, start, PACKED, frame, found, row.y, x, level)
    else:
        keep_costs(room.costs, k * frame.levels, 0, frame, found, row.y, x, level)


@inlined
def _walk(
    costs: Any, paths: Any, found: Any, frame: Any, ways: Any, room: Any, tile: Any, mode: Any
) -> None:
    """Advances two or four paths over one tile."""
    for v in range(tile.top, tile.bottom):
        row = _row_of(frame, ways, tile, v)
        count, jumps = row.end - row.start, room.jumps
        if count <= 0:
            continue
        if mode.packed == 0 or mode.job == STORE:
            hamming(costs, frame, row.y, row.x, row.step, count, room.costs)
        _jumps(costs, frame, row, ways.x0, ways.y0, jumps, 0)
        _jumps(costs, frame, row, ways.x1, ways.y1, jumps, row.columns)
        if mode.four == 1:
            _jumps(costs, frame, row, ways.x2, ways.y2, jumps, 2 * row.columns)
            _jumps(costs, frame, row, ways.x3, ways.y3, jumps, 3 * row.columns)
        s0 = ways.base0 + ways.y0 * row.start - ways.x0 * v
        s1 = ways.base1 + ways.y1 * row.start - ways.x1 * v
        s2 = ways.base2 + ways.y2 * row.start - ways.x2 * v
        s3 = ways.base3 + ways.y3 * row.start - ways.x3 * v
        for k in range(count):
            slots = (s0, s1, s2, s3)
            lowest = _advance_all(costs, paths, frame, room, row, mode, k, slots)
            if mode.job == FINISH:
                _finish(paths, found, frame, room, row, mode, k, lowest)
            s0, s1, s2, s3 = s0 + ways.y0, s1 + ways.y1, s2 + ways.y2, s3 + ways.y3


@kernel(SIGNATURE)
def first_sweep(
    costs: Any, paths: Any, found: Any, frame: Any, ways: Any, room: Any, tile: Any
) -> None:
    """The first four of eight paths over one tile: cost and sum are packed into `Paths.sums`."""
    _walk(costs, paths, found, frame, ways, room, tile, Mode(STORE, 1, 1))


@kernel(SIGNATURE)
def last_sweep(
    costs: Any, paths: Any, found: Any, frame: Any, ways: Any, room: Any, tile: Any
) -> None:
    """The last four of eight paths over one tile, and the winners."""
    _walk(costs, paths, found, frame, ways, room, tile, Mode(FINISH, 1, 1))


@kernel(SIGNATURE)
def sweep(costs: Any, paths: Any, found: Any, frame: Any, ways: Any, room: Any, tile: Any) -> None:
    """Two of four or four of sixteen paths over one tile, `Tile.job` telling what comes of them."""
    mode = Mode(tile.job, 0 if frame.paths == 4 else 1, 0)
    _walk(costs, paths, found, frame, ways, room, tile, mode)
