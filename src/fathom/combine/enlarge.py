"""A map of a reduced pair brought to full size without mixing surfaces."""

import numpy as np

from fathom.classical.parallel import run_blocks
from fathom.core.arrays import Array, Float32, UInt8

_STRIP = 64
_COLOUR = 12.0
"""Difference of colours (of 255, mean over channels) at which a neighbour counts e times less."""
_ONE_SURFACE = 1.0
"""Neighbours within so many pixels (of the reduced map) of the chosen one are averaged with it."""


def enlarged(
    values: Float32[np.ndarray, "h w"],
    other: Float32[np.ndarray, "h w"],
    small: UInt8[np.ndarray, "h w 3"],
    large: UInt8[np.ndarray, "H W 3"],
    threads: int = 1,
) -> tuple[Float32[np.ndarray, "H W"], Float32[np.ndarray, "H W"]]:
    """`values` and `other` at the size of `large`, a whole multiple of theirs; values are kept.

    small, large: the image at both sizes. Each new pixel looks at its four old neighbours (those
    of bilinear interpolation), chooses the one that is near and of its colour (weights as in Kopf
    et al., "Joint Bilateral Upsampling", SIGGRAPH 2007), and averages it with those of the four
    that lie on the same surface: an edge stays a step and moves to where the colours change.
    """
    height, width = values.shape
    factor = large.shape[0] // height
    out = np.empty(large.shape[:2], np.float32), np.empty(large.shape[:2], np.float32)
    place = (np.arange(large.shape[1], dtype=np.float32) + np.float32(0.5)) / factor - 0.5
    columns = np.floor(place).astype(np.int64)
    across = place - columns

    def strip(i: int) -> None:
        top = i * _STRIP
        rows = np.arange(top, min(top + _STRIP, large.shape[0]))
        heights = (rows.astype(np.float32) + np.float32(0.5)) / factor - 0.5
        above = np.floor(heights).astype(np.int64)
        down = heights - above
        shown = large[rows].astype(np.float32)
        seen = []
        for y, x in ((0, 0), (0, 1), (1, 0), (1, 1)):
            pick = np.ix_(np.clip(above + y, 0, height - 1), np.clip(columns + x, 0, width - 1))
            far = np.abs(shown - small[pick]).mean(axis=2)
            weight = (down if y else 1 - down)[:, None] * (across if x else 1 - across)
            seen.append((weight * np.exp(-far / np.float32(_COLOUR)), pick))
        weights = np.stack([w for w, _ in seen]).astype(np.float32) + np.float32(1e-12)
        first = np.stack([values[pick] for _, pick in seen])
        chosen = np.take_along_axis(first, weights.argmax(axis=0)[None], axis=0)
        weights *= np.abs(first - chosen) <= _ONE_SURFACE
        weights /= weights.sum(axis=0)
        out[0][rows] = (weights * first).sum(axis=0)
        out[1][rows] = (weights * np.stack([other[pick] for _, pick in seen])).sum(axis=0)

    run_blocks(strip, -(-large.shape[0] // _STRIP), threads)
    return out


def laplace_scaled(confidence: Array, factor: int) -> Array:
    """P(|error| <= 1 px) where `confidence` is P(|error| <= factor px), for Laplace's errors."""
    out: Array = 1 - np.power(1 - confidence, np.float32(1 / factor))
    return out
