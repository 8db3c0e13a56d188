"""What is done to each view by itself, before the paths and after them: census, and whether left
and right agree.

All arrays are flat and passed in C order.
"""

from typing import Any

import numpy as np
from numba import types

from fathom.classical.kernels.layout import LANES, PLANES, WINDOW_HEIGHT, WINDOW_WIDTH, Frame
from fathom.classical.kernels.simd import load, narrow, splat16, store, with_bit
from fathom.classical.native import kernel

_u8, _u16 = types.uint8[::1], types.uint16[::1]
_f32 = types.float32[::1]
_int = types.int64


def named(kind: Any, members: list[Any]) -> Any:
    if all(m == members[0] for m in members):
        return types.NamedUniTuple(members[0], len(members), kind)  # type: ignore[no-untyped-call]
    return types.NamedTuple(members, kind)  # type: ignore[no-untyped-call]


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


@kernel(types.void(_u16, _f32, _f32, named(Frame, [_int] * 6), _int, _int, _int, _int))
def disagreement(
    levels_right: Any,
    disparity: Any,
    out: Any,
    frame: Any,
    low: int,
    levels: int,
    top: int,
    bottom: int,
) -> Any:
    """|d - d_right(x - d)| for each left pixel, NaN where the match leaves the right image.

    levels_right: `Winners.right_level`. disparity: (h, w) levels above `low`, turned into pixels
    here. levels: number of true levels. Rows top..bottom-1.
    """
    width = frame.width
    last = frame.origin - low
    for y in range(top, bottom):
        for x in range(width):
            value = disparity[y * width + x] + np.float32(low)
            disparity[y * width + x] = value
            xr = x - np.int64(np.floor(value + np.float32(0.5)))
            gap = np.float32(np.nan)
            if 0 <= xr < width:
                level = np.int64(levels_right[y * frame.reach + last - xr])
                if level < levels:
                    gap = abs(value - np.float32(level + low))
            out[y * width + x] = gap
