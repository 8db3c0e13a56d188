"""Whole-number data terms out of a cost volume, their mirror image, and what a labelling is worth.

All arrays are flat and in C order; shapes stand in `global_layout`. Rows top..bottom-1 are worked
on, so that threads can share an image.
"""

from typing import Any

import numpy as np
from numba import types

from fathom.classical.kernels.global_layout import Found, Shape, Terms
from fathom.classical.kernels.layout import NOTHING
from fathom.classical.kernels.simd import inlined
from fathom.classical.native import kernel

u8, u16 = types.uint8[::1], types.uint16[::1]
i32, i64, f32 = types.int32[::1], types.int64[::1], types.float32[::1]
whole = types.int64


def tuple_of(kind: Any, members: list[Any]) -> Any:
    """The numba type of a NamedTuple `kind` with members of these types."""
    if all(m == members[0] for m in members):
        return types.NamedUniTuple(members[0], len(members), kind)  # type: ignore[no-untyped-call]
    return types.NamedTuple(members, kind)  # type: ignore[no-untyped-call]


SHAPE = tuple_of(Shape, [whole] * 5)
TERMS = tuple_of(Terms, [u16] * 3)
FOUND = tuple_of(Found, [i32, f32, u16])


@kernel(types.void(f32, f32, u16, whole, whole, whole))
def quantise_terms(
    costs: Any, constants: Any, data: Any, outside: int, first: int, last: int
) -> None:
    """data = min(cost, truncation) * scale, rounded; `outside` where the cost is infinite.

    constants: (2,) truncation and scale. Elements first..last-1.
    """
    truncation, scale = constants[0], constants[1]
    half = np.float32(0.5)
    for i in range(first, last):
        cost = costs[i]
        if cost < np.float32(np.inf):
            data[i] = np.uint16(max(np.float32(0), min(cost, truncation)) * scale + half)
        else:
            data[i] = np.uint16(outside)


@kernel(types.void(u16, u16, SHAPE, whole, whole, whole, whole))
def mirror_terms(
    data: Any, out: Any, shape: Any, lowest: int, outside: int, top: int, bottom: int
) -> None:
    """The data terms of the mirrored pair: those of the right view, flipped left to right.

    lowest: the disparity of label 0. outside: cost of a match that leaves the left image.
    """
    width, labels = shape.width, shape.labels
    for y in range(top, bottom):
        for x in range(width):
            start = (y * width + x) * labels
            for label in range(labels):
                other = width - 1 - x + lowest + label
                value = np.uint16(outside)
                if 0 <= other < width:
                    value = data[(y * width + other) * labels + label]
                out[start + label] = value


@inlined
def _beside(terms: Any, labels: Any, shape: Any, y: int, x: int, side: int) -> Any:
    """Label and weight of the neighbour to the left, right, above, below; label -1 if none."""
    width = shape.width
    pixel = y * width + x
    if side == 0 and x > 0:
        return np.int64(labels[pixel - 1]), np.int64(terms.across[pixel - 1])
    if side == 1 and x < width - 1:
        return np.int64(labels[pixel + 1]), np.int64(terms.across[pixel])
    if side == 2 and y > 0:
        return np.int64(labels[pixel - width]), np.int64(terms.down[pixel - width])
    if side == 3 and y < shape.height - 1:
        return np.int64(labels[pixel + width]), np.int64(terms.down[pixel])
    return np.int64(-1), np.int64(0)


@kernel(types.void(TERMS, FOUND, i32, SHAPE, whole, whole))
def judge_labels(terms: Any, found: Any, room: Any, shape: Any, top: int, bottom: int) -> None:
    """Sub-pixel offsets and margins of a labelling, its neighbours' labels taken as given.

    The margin is that of the energy of the one pixel; the offset comes from a parabola through
    the data terms, for the smoothness has a kink at the neighbours' labels and would draw the
    result to whole pixels. room: (labels,).
    """
    width, labels = shape.width, shape.labels
    for y in range(top, bottom):
        for x in range(width):
            pixel = y * width + x
            found.offsets[pixel] = np.float32(0)
            found.margin[pixel] = np.uint16(0)
            own = found.labels[pixel]
            if own < 0:
                continue
            start = pixel * labels
            for label in range(labels):
                room[label] = terms.data[start + label]
            for side in range(4):
                there, weight = _beside(terms, found.labels, shape, y, x, side)
                if there >= 0:
                    for label in range(labels):
                        room[label] += weight * min(abs(label - there), shape.truncation)
            rest = room[own] + NOTHING
            for label in range(labels):
                if abs(label - own) > 1:
                    rest = min(rest, room[label])
            found.margin[pixel] = np.uint16(max(0, rest - room[own]))
            if 0 < own < labels - 1:
                fall = np.int64(terms.data[start + own - 1]) - np.int64(terms.data[start + own])
                rise = np.int64(terms.data[start + own + 1]) - np.int64(terms.data[start + own])
                if fall >= 0 and rise >= 0 and fall + rise > 0:
                    found.offsets[pixel] = (
                        np.float32(0.5) * np.float32(fall - rise) / np.float32(fall + rise)
                    )
