"""A net over a pair of any height: strips of rows that overlap, so that memory stays bounded."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from fathom.core.arrays import Array, Float32, UInt8

OVERLAP = 96
"""Rows that a strip sees beyond what is kept of it, a multiple of every net's divisor."""
NET_BYTES = 700
"""Bytes a pixel that a net of this size takes while it runs; 590 were measured for `fathom-s`."""
_MOST_PIXELS = 1_200_000
"""Larger pairs are done in strips; these take about 0.9 GB."""

Model = Callable[[Mapping[str, Array]], Mapping[str, Array]]
"""As of `fathom.runtime`: named arrays (1, c, h, w) in, `disparity` and `confidence` out, each
(1, 1, h, w)."""


class Strip(NamedTuple):
    """Rows top..bottom-1 are shown to the net, first..last-1 of them are kept."""

    top: int
    bottom: int
    first: int
    last: int


def strips_of(height: int, width: int, divisor: int, limit: int | None = None) -> list[Strip]:
    """Strips of one height that cover (height, width), both multiples of `divisor`.

    limit: bytes that the net may take, where they are fewer than usual; a strip is never lower than
    twice the overlap and a little. What comes out depends on nothing else, so that an answer does
    not depend on how much memory was free.
    """
    most = _MOST_PIXELS if limit is None else min(_MOST_PIXELS, limit // NET_BYTES)
    rows = most // width // divisor * divisor
    rows = max(rows, 2 * OVERLAP + 2 * divisor)
    if height <= rows:
        return [Strip(0, height, 0, height)]
    count = -(-(height - 2 * OVERLAP) // (rows - 2 * OVERLAP))
    kept = -(-(height - 2 * OVERLAP) // (count * divisor)) * divisor
    rows = kept + 2 * OVERLAP
    found, first = [], 0
    while first < height:
        top = min(max(0, first - OVERLAP), height - rows)
        last = height if top + rows == height else top + rows - OVERLAP
        found.append(Strip(top, top + rows, first, last))
        first = last
    return found


def predict(strips: Sequence[Strip], width: int) -> int:
    """Bytes that the net takes at its peak, images and answer excluded."""
    return NET_BYTES * width * max(s.bottom - s.top for s in strips)


def run_strips(
    model: Model,
    inputs: tuple[str, ...],
    left: UInt8[np.ndarray, "h w 3"],
    right: UInt8[np.ndarray, "h w 3"],
    evidence: Float32[np.ndarray, "c h w"],
    strips: Sequence[Strip],
) -> tuple[Float32[np.ndarray, "h w"], Float32[np.ndarray, "h w"]]:
    """Disparity and confidence of the whole, strip by strip. inputs: names that the model takes."""
    values, confidence = (np.empty(left.shape[:2], np.float32) for _ in range(2))
    for strip in strips:
        rows = slice(strip.top, strip.bottom)
        given = {
            "left": lambda rows=rows: left[rows].transpose(2, 0, 1),
            "right": lambda rows=rows: right[rows].transpose(2, 0, 1),
            "evidence": lambda rows=rows: evidence[:, rows],
        }
        arrays = {n: np.ascontiguousarray(given[n](), dtype=np.float32)[None] for n in inputs}
        found = model(arrays)
        kept, inner = (
            slice(strip.first, strip.last),
            slice(strip.first - strip.top, strip.last - strip.top),
        )
        values[kept] = found["disparity"][0, 0, inner]
        confidence[kept] = found["confidence"][0, 0, inner]
    return values, confidence
