"""More Global Matching: semi-global paths with two predecessors.

Facciolo, de Franchis and Meinhardt, "MGM: A Significantly More Global Matching for Stereovision",
BMVC 2015, equation 3: a traversal of the image hands on the mean of what comes from the pixel
behind and from the one beside it, so that costs spread over a quadrant instead of along a line.

A traversal walks over lines. In the coordinates u (along a line) and v (number of the line), the
predecessors are (u - 1, v) and (u, v - 1) for the four traversals that spread over quadrants, and
(u - 1, v - 1) and (u + 1, v - 1) for the four that spread along rows and columns.
"""

from typing import Any

import numpy as np
from numba import types

from fathom.classical.kernels.layout import (
    ADD,
    LANES,
    NOTHING,
    Costs,
    Frame,
    Line,
    Paths,
    Scratch,
    Tile,
    Winners,
)
from fathom.classical.kernels.semiglobal import hamming, keep_costs, winner
from fathom.classical.kernels.simd import (
    add,
    get,
    inlined,
    least,
    load,
    mean,
    one_above,
    one_below,
    put,
    smallest,
    splat8,
    splat16,
    store,
    sub,
    widen,
)
from fathom.classical.kernels.views import named
from fathom.classical.native import kernel

_u8, _u16, _f32, _int = types.uint8[::1], types.uint16[::1], types.float32[::1], types.int64
_COSTS = named(Costs, [_u8] * 8)
_FRAME = named(Frame, [_int] * 6)
_SCRATCH = named(Scratch, [_u8, _u8, _u16])


@kernel(types.void(_COSTS, _u8, _FRAME, _SCRATCH, _int, _int))
def cost_rows(costs: Any, cells: Any, frame: Any, room: Any, top: int, bottom: int) -> None:
    """Census costs of the rows top..bottom-1 into cells (h, w, levels)."""
    count = frame.width * frame.levels
    for y in range(top, bottom):
        # its last vector overruns the row, which may be another thread's
        hamming(costs, frame, y, 0, 1, frame.width, room.costs)
        for i in range(0, count, LANES):
            store(cells, y * count + i, load(room.costs, i))


@inlined
def _handed(same: Any, before: Any, after: Any, low: Any, limit: Any, p1: Any) -> Any:
    """min(L', L'(d-1) + P1, L'(d+1) + P1, min L' + P2) - min L' of one predecessor."""
    sides = least(one_below(before, same), one_above(same, after))
    return sub(least(least(same, limit), add(sides, p1)), low)


@inlined
def _jump(costs: Any, here: int, there: int) -> Any:
    """P2 between two pixels."""
    change = abs(np.int64(get(costs.gray, here)) - np.int64(get(costs.gray, there)))
    return get(costs.penalty, change)


@kernel(
    types.void(
        _COSTS,
        _u8,
        named(Paths, [_u8, _u8, _u16]),
        _FRAME,
        named(Line, [_int] * 6),
        named(Tile, [_int] * 6),
    )
)
def traverse_tile(costs: Any, cells: Any, paths: Any, frame: Any, line: Any, tile: Any) -> None:
    """Advances one traversal over one tile and adds its costs to the sums.

    A tile holds the pixels with first <= u + v < last. So both predecessors lie in the same, a
    left or an upper tile, and no tile overwrites a slot that its right neighbour still needs. A
    pixel at the border of the image takes the one predecessor that it has for both; where there
    is none, the costs alone count.
    """
    levels = frame.levels
    slot = levels + LANES
    across, diagonal = line.across, line.diagonal
    nowhere = 2 * across
    p1 = splat8(costs.p1[0])
    full = splat8(np.uint8(255))
    for v in range(tile.top, tile.bottom):
        # diagonal predecessors are still needed when the next pixel is reached: two lines of slots
        mine = across * (v & 1) if diagonal == 1 else 0
        above = across - mine if diagonal == 1 else 0
        for u in range(max(0, tile.first - v), min(across, tile.last - v)):
            here = line.origin + u * line.du + v * line.dv
            if diagonal == 1:
                has_a, has_b = v > 0 and u > 0, v > 0 and u + 1 < across
                s_a, s_b = above + u - 1, above + u + 1
                pixel_a, pixel_b = here - line.du - line.dv, here + line.du - line.dv
            else:
                has_a, has_b = u > 0, v > 0
                s_a, s_b = u - 1, u
                pixel_a, pixel_b = here - line.du, here - line.dv
            if not has_a:
                s_a, pixel_a = s_b, pixel_b
            if not has_b:
                s_b, pixel_b = s_a, pixel_a
            jump_a, jump_b = np.uint8(0), np.uint8(0)
            if has_a or has_b:
                jump_a, jump_b = _jump(costs, here, pixel_a), _jump(costs, here, pixel_b)
            else:
                s_a, s_b = nowhere, nowhere
            a, b, to = LANES + s_a * slot, LANES + s_b * slot, LANES + (mine + u) * slot
            low_a, low_b = splat8(get(paths.lows, s_a)), splat8(get(paths.lows, s_b))
            limit_a, limit_b = add(low_a, splat8(jump_a)), add(low_b, splat8(jump_b))
            before_a, before_b = full, full
            same_a, same_b = load(paths.slots, a), load(paths.slots, b)
            lowest = full
            place = here * levels
            for i in range(0, levels, LANES):
                after_a = load(paths.slots, a + i + LANES)
                after_b = load(paths.slots, b + i + LANES)
                handed = mean(
                    _handed(same_a, before_a, after_a, low_a, limit_a, p1),
                    _handed(same_b, before_b, after_b, low_b, limit_b, p1),
                )
                value = add(load(cells, place + i), handed)
                before_a, same_a = same_a, after_a
                before_b, same_b = same_b, after_b
                store(paths.slots, to + i, value)
                lowest = least(lowest, value)
                total = widen(value)
                if tile.job == ADD:
                    total = add(total, load(paths.sums, place + i))
                store(paths.sums, place + i, total)
            put(paths.lows, mine + u, smallest(lowest))


@kernel(
    types.void(_u8, _u16, named(Winners, [_f32, *[_u16] * 5, _u8]), _FRAME, _SCRATCH, _int, _int)
)
def win_rows(
    cells: Any, sums: Any, found: Any, frame: Any, room: Any, top: int, bottom: int
) -> None:
    """The winners of the rows top..bottom-1 from the sums of all traversals."""
    levels = frame.levels
    for y in range(top, bottom):
        for k in range(frame.width):
            x = frame.width - 1 - k
            place = (y * frame.width + x) * levels
            low = splat16(np.uint16(NOTHING))
            for i in range(0, levels, LANES):
                values = load(sums, place + i)
                store(room.sums, LANES + i, values)
                low = least(low, values)
            level = winner(room.sums, frame, found, y, x, smallest(low))
            keep_costs(cells, place, 0, frame, found, y, x, level)
