"""Min-sum belief propagation on the 4-connected grid, 32 labels at a time.

Felzenszwalb and Huttenlocher, "Efficient Belief Propagation for Early Vision", IJCV 2006.
Messages lie at their receiver, (h, w, 4, levels): from the left, right, above, below. A pixel of
one colour of the checkerboard reads what the other colour sent and writes to it only, so all of
them can be worked on at once. Every sum is exact in 16 bits as long as data + 4 weight truncation
stays below 65535; labels that only fill up the last vector saturate there.

A message is a lower envelope of truncated cones, made by shifts of 1, 2, 4, ... labels: each adds
its own length times the weight, so after them every distance up to their sum is covered (the
linear form makes the detour over other labels no cheaper). The shifts run in place for the same
reason.
"""

from typing import Any

import numpy as np
from numba import types

from fathom.classical.kernels.layout import LANES, NOTHING
from fathom.classical.kernels.simd import (
    add,
    index_of,
    inlined,
    least,
    load,
    smallest,
    splat16,
    store,
    sub,
)
from fathom.classical.kernels.terms import FOUND, SHAPE, TERMS, u16, whole
from fathom.classical.native import kernel


@inlined
def _send(messages: Any, room: Any, shape: Any, back: int, to: int, weight: int) -> Any:
    """Writes the message made of the totals in `room` less the one that came `back`."""
    levels = shape.levels
    work = levels + 2 * LANES
    low = splat16(np.uint16(NOTHING))
    for i in range(0, levels, LANES):
        value = sub(load(room, i), load(messages, back + i))
        store(room, work + i, value)
        low = least(low, value)
    lowest = smallest(low)
    step = 1
    while step < shape.truncation:
        slope = splat16(np.uint16(weight * step))
        for i in range(work, work + levels, LANES):
            value = least(load(room, i - step), load(room, i + step))
            store(room, i, least(load(room, i), add(value, slope)))
        step *= 2
    base = splat16(np.uint16(lowest))
    cap = splat16(np.uint16(weight * shape.truncation))
    for i in range(0, levels, LANES):
        store(messages, to + i, least(sub(load(room, work + i), base), cap))


@kernel(types.void(TERMS, u16, u16, SHAPE, whole, whole, whole))
def send_messages(
    terms: Any, messages: Any, room: Any, shape: Any, colour: int, top: int, bottom: int
) -> None:
    """Every pixel of one colour sends to its neighbours. Rows top..bottom-1.

    room: (2 levels + 96,): totals, and from levels + 64 on the working copy between two fences of
    32 lanes of 65535.
    """
    height, width, levels = shape.height, shape.width, shape.levels
    for y in range(top, bottom):
        for x in range((y + colour) % 2, width, 2):
            pixel = y * width + x
            place = 4 * pixel * levels
            for i in range(0, levels, LANES):
                j = place + i
                total = add(load(messages, j), load(messages, j + levels))
                other = add(load(messages, j + 2 * levels), load(messages, j + 3 * levels))
                store(room, i, add(load(terms.data, pixel * levels + i), add(total, other)))
            if x < width - 1:
                to = 4 * (pixel + 1) * levels
                _send(messages, room, shape, place + levels, to, terms.across[pixel])
            if x > 0:
                to = (4 * (pixel - 1) + 1) * levels
                _send(messages, room, shape, place, to, terms.across[pixel - 1])
            if y < height - 1:
                to = (4 * (pixel + width) + 2) * levels
                _send(messages, room, shape, place + 3 * levels, to, terms.down[pixel])
            if y > 0:
                to = (4 * (pixel - width) + 3) * levels
                _send(messages, room, shape, place + 2 * levels, to, terms.down[pixel - width])


@kernel(types.void(TERMS, u16, FOUND, u16, SHAPE, whole, whole))
def take_beliefs(
    terms: Any, messages: Any, found: Any, room: Any, shape: Any, top: int, bottom: int
) -> None:
    """The label of least belief (data + all messages), its sub-pixel offset and its margin."""
    width, labels, levels = shape.width, shape.labels, shape.levels
    for pixel in range(top * width, bottom * width):
        place = 4 * pixel * levels
        low = splat16(np.uint16(NOTHING))
        for i in range(0, levels, LANES):
            j = place + i
            total = add(load(messages, j), load(messages, j + levels))
            other = add(load(messages, j + 2 * levels), load(messages, j + 3 * levels))
            total = add(load(terms.data, pixel * levels + i), add(total, other))
            store(room, i, total)
            low = least(low, total)
        lowest = smallest(low)
        where = splat16(np.uint16(NOTHING))
        for i in range(0, levels, LANES):
            where = least(where, index_of(load(room, i), lowest, np.uint16(i)))
        label = np.int64(smallest(where))
        best = np.int64(lowest)
        offset = np.float32(0)
        if 0 < label < labels - 1:
            fall, rise = np.int64(room[label - 1]) - best, np.int64(room[label + 1]) - best
            if fall + rise > 0:
                offset = np.float32(0.5) * np.float32(fall - rise) / np.float32(fall + rise)
        room[max(0, label - 1) : min(levels, label + 2)] = np.uint16(NOTHING)
        rest = splat16(np.uint16(NOTHING))
        for i in range(0, levels, LANES):
            rest = least(rest, load(room, i))
        found.labels[pixel] = label
        found.offsets[pixel] = offset
        found.margin[pixel] = np.uint16(np.int64(smallest(rest)) - best)


@kernel(types.void(u16, u16, SHAPE, whole, whole, whole))
def coarsen_terms(fine: Any, coarse: Any, shape: Any, ceiling: int, top: int, bottom: int) -> None:
    """Sums of 2x2 pixels less their minimum, at most `ceiling`. Rows top..bottom-1 of `coarse`.

    shape: of the fine grid. The ceiling keeps the beliefs exact; it is met only by labels that
    are out of the question for a whole block.
    """
    height, width, levels = shape.height, shape.width, shape.levels
    half = (width + 1) // 2
    limit = splat16(np.uint16(ceiling))
    for y in range(top, bottom):
        for x in range(half):
            to = (y * half + x) * levels
            low = splat16(np.uint16(NOTHING))
            for i in range(0, levels, LANES):
                total = splat16(np.uint16(0))
                for v in range(2 * y, min(2 * y + 2, height)):
                    for u in range(2 * x, min(2 * x + 2, width)):
                        total = add(total, load(fine, (v * width + u) * levels + i))
                store(coarse, to + i, total)
                low = least(low, total)
            base = splat16(np.uint16(smallest(low)))
            for i in range(0, levels, LANES):
                store(coarse, to + i, least(sub(load(coarse, to + i), base), limit))
            for label in range(shape.labels, levels):
                coarse[to + label] = np.uint16(NOTHING)


@kernel(types.void(u16, u16, SHAPE, whole, whole))
def refine_messages(coarse: Any, fine: Any, shape: Any, top: int, bottom: int) -> None:
    """Each pixel starts with the messages of the 2x2 block it lies in. shape: of the fine grid."""
    width, size = shape.width, 4 * shape.levels
    half = (width + 1) // 2
    for y in range(top, bottom):
        for x in range(width):
            source, to = ((y // 2) * half + x // 2) * size, (y * width + x) * size
            for i in range(0, size, LANES):
                store(fine, to + i, load(coarse, source + i))
