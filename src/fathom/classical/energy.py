"""The energy of a labelling, and what the solvers that make it small have in common.

E(L) = sum over pixels of data[p, L(p)] + sum over 4-neighbours p, q of
weight(p, q) * min(|L(p) - L(q)|, truncation): truncated linear, and for truncation 1 the model of
Potts. Everything is whole numbers, so energies are exact and results repeat bit for bit.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from fathom.classical.kernels import global_layout as kernels
from fathom.classical.kernels.global_layout import LONGEST
from fathom.classical.parallel import run_blocks
from fathom.core.arrays import Array, Float32, Int32, UInt8, UInt16
from fathom.core.errors import InputError, UsageError

LARGEST = 65000
"""Largest data term plus four largest smoothness terms: sums of 16 bits stay exact."""

_ROWS = 16
"""Rows that a thread takes at a time."""


class Weights(NamedTuple):
    """Smoothness of every edge, uint16 (h, w). across[y, x] is that of the edge from x to x + 1
    (the last column is not used), down[y, x] that of the edge from y to y + 1."""

    across: UInt16[np.ndarray, "h w"]
    down: UInt16[np.ndarray, "h w"]


@dataclass(frozen=True, eq=False)
class Solution:
    """What a solver found.

    labels: int32 (h, w), 0.., -1 where a pixel has none (only `scanline_optimum`). energies: never
    rising, the last one is that of `labels`. offsets: float32 (h, w), sub-pixel part of the label
    within -0.5..0.5. margin: uint16 (h, w), what the best label that is no neighbour of the chosen
    one would cost more.
    """

    labels: Int32[np.ndarray, "h w"]
    energies: tuple[float, ...]
    offsets: Float32[np.ndarray, "h w"]
    margin: UInt16[np.ndarray, "h w"]


def energy(
    labels: Int32[np.ndarray, "h w"],
    data: UInt16[np.ndarray, "h w d"],
    smoothness: int | Weights,
    truncation: int,
) -> float:
    """E(labels), the sum at the head of this module; exact up to 2^53.

    labels: 0..d-1. data: cost of each label. smoothness: lambda of all edges, or of each.
    truncation: largest difference of labels that still costs more; 1 is the model of Potts.

    Raises `InputError` for labels outside 0..d-1, `UsageError` for terms out of range.
    """
    weights = checked(data, smoothness, truncation)
    if labels.min() < 0 or labels.max() >= data.shape[2]:
        raise InputError(
            "holds labels without a data term",
            field="labels",
            value=f"{labels.min()}..{labels.max()}",
            expected=f"0..{data.shape[2] - 1}",
        )
    total = np.take_along_axis(data, labels[..., None].astype(np.int64), axis=2).sum(dtype=np.int64)
    steps = np.minimum(np.abs(np.diff(labels, axis=1)), truncation)
    total += (steps * weights.across[:, :-1].astype(np.int64)).sum()
    steps = np.minimum(np.abs(np.diff(labels, axis=0)), truncation)
    total += (steps * weights.down[:-1].astype(np.int64)).sum()
    return float(total)


def edge_weights(gray: UInt8[np.ndarray, "h w"], smoothness: int, gradient: float = 0.0) -> Weights:
    """lambda / (1 + |dI| / gradient) of every edge, rounded; gradient 0: lambda everywhere.

    gray: 8-bit intensities, whose steps are where depth is likely to change. gradient: the step
    at which lambda is halved; never less than a quarter remains.
    """
    table = np.full(256, smoothness, np.uint16)
    if gradient > 0:
        falling = smoothness / (1 + np.arange(256) / gradient)
        table = np.rint(np.maximum(falling, smoothness / 4)).astype(np.uint16)
    shade = gray.astype(np.int16)
    across, down = (np.full(gray.shape, smoothness, np.uint16) for _ in range(2))
    across[:, :-1] = table[np.abs(np.diff(shade, axis=1))]
    down[:-1] = table[np.abs(np.diff(shade, axis=0))]
    return Weights(across, down)


def checked(data: Array, smoothness: int | Weights, truncation: int) -> Weights:
    """The weights of every edge, after a check of all terms.

    Raises `UsageError` for a truncation that is not 1..64, weights of another size than the data,
    or terms whose sums would leave 16 bits.
    """
    if not 1 <= truncation <= LONGEST:
        raise UsageError(
            "is out of range",
            field="truncation",
            value=truncation,
            expected=f"a whole number of labels from 1 to {LONGEST}",
        )
    shape = data.shape[:2]
    largest = smoothness if isinstance(smoothness, int) else max(int(w.max()) for w in smoothness)
    total = int(data.max()) + 4 * largest * truncation
    if not (largest >= 0 and total <= LARGEST):
        raise UsageError(
            f"data and smoothness terms add up to {total}",
            field="smoothness",
            value=largest,
            expected=f"0 or more, and data + 4 smoothness * truncation at most {LARGEST}",
            remedy="scale all terms down",
        )
    if isinstance(smoothness, int):
        flat = np.full(shape, smoothness, np.uint16)
        return Weights(flat, flat)
    if any(w.shape != shape for w in smoothness):
        raise UsageError(
            "differs in size from the data terms",
            field="smoothness",
            value=smoothness.across.shape,
            expected=str(shape),
        )
    return Weights(*(np.ascontiguousarray(w) for w in smoothness))


def judged(
    labels: Int32[np.ndarray, "h w"],
    energies: tuple[float, ...],
    terms: kernels.Terms,
    shape: kernels.Shape,
    *,
    threads: int,
) -> Solution:
    """The solution with the offsets and margins that its labels and the terms give.

    Offsets come from a parabola through the data terms; a margin is that of one pixel while its
    neighbours' labels stay.
    """
    found = kernels.Found(
        labels.reshape(-1), np.empty(labels.size, np.float32), np.empty(labels.size, np.uint16)
    )

    def part(top: int, bottom: int) -> None:
        kernels.judge(terms, found, np.empty(shape.labels, np.int32), shape, top, bottom)

    over_rows(part, shape.height, threads)
    offsets, margin = (a.reshape(labels.shape) for a in (found.offsets, found.margin))
    return Solution(labels, energies, offsets, margin)


def over_rows(part: Callable[[int, int], None], height: int, threads: int) -> None:
    """part(top, bottom) for blocks of rows, on several threads."""

    def block(i: int) -> None:
        part(i * _ROWS, min((i + 1) * _ROWS, height))

    run_blocks(block, -(-height // _ROWS), threads)
