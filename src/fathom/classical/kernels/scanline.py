"""Exact minima along each row by dynamic programming. Rows are independent of each other."""

from typing import Any

import numpy as np
from numba import types

from fathom.classical.kernels.simd import inlined
from fathom.classical.kernels.terms import SHAPE, TERMS, i32, i64, u8, u16, whole
from fathom.classical.native import kernel

MATCHED, SKIPPED, RISEN, FALLEN, BEGUN = 0, 1, 2, 4, 8


@inlined
def _follow(trace: Any, labels: Any, row: int, count: int, end: int, label: int) -> None:
    """Walks an alignment back from its last match, at pixel end - 1, and writes its labels."""
    for x in range(end - 1, -1, -1):
        how = trace[x * count + label] & 3
        if how == MATCHED:
            labels[row + x] = label
        elif how == RISEN:
            label -= 1
        while trace[x * count + label] & FALLEN:
            label += 1
        if trace[x * count + label] & BEGUN:
            break


@kernel(types.void(u16, i32, i64, i64, u8, SHAPE, whole, whole, whole))
def align_rows(
    data: Any,
    labels: Any,
    energies: Any,
    room: Any,
    trace: Any,
    shape: Any,
    occlusion: int,
    top: int,
    bottom: int,
) -> None:
    """The best alignment of a left and a right row that keeps order and uniqueness.

    Cox, Hingorani, Rao and Maggs, "A Maximum Likelihood Stereo Algorithm", CVIU 1996: every pixel
    of either row is matched with one of the other, in order, or left out at the cost `occlusion`.
    A state is a label (diagonal of the lattice). A left pixel left out raises it by one, a right
    pixel left out lowers it by one; leaving out one of each keeps it. What lies before the first
    match and behind the last costs only the left pixels.
    room: (2, labels) costs. trace: (w, labels) how each state was reached.
    """
    width, labels_ = shape.width, shape.labels
    for y in range(top, bottom):
        for label in range(labels_):
            room[label] = 0
        ending, end, last = 0, 0, 0
        old, new = 0, labels_
        for x in range(width):
            start = (y * width + x) * labels_
            for label in range(labels_ - 1, -1, -1):
                how = 0
                if x * occlusion <= room[old + label]:
                    room[old + label] = x * occlusion
                    how = BEGUN
                if label + 1 < labels_ and room[old + label + 1] + occlusion < room[old + label]:
                    room[old + label] = room[old + label + 1] + occlusion
                    how = FALLEN
                trace[x * labels_ + label] = how
            ending += occlusion
            for label in range(labels_):
                best = room[old + label] + np.int64(data[start + label])
                how = MATCHED
                if room[old + label] + 2 * occlusion < best:
                    best, how = room[old + label] + 2 * occlusion, SKIPPED
                if label > 0 and room[old + label - 1] + occlusion < best:
                    best, how = room[old + label - 1] + occlusion, RISEN
                room[new + label] = best
                trace[x * labels_ + label] |= how
                # of equal costs: match rather than leave out, and the smallest label
                better = best < ending or (best == ending and end != x + 1)
                if how == MATCHED and better:
                    ending, end, last = best, x + 1, label
            old, new = new, old
        energies[y] = ending
        for x in range(width):
            labels[y * width + x] = -1
        _follow(trace, labels, y * width, labels_, end, last)


@inlined
def _envelope(room: Any, trace: Any, row: int, count: int, weight: int, truncation: int) -> None:
    """The lower envelope of truncated cones rooted in `room`, in place, and where they stand."""
    source = 0
    for label in range(count):
        trace[row + label] = label
        if room[label] < room[source]:
            source = label
    cap = room[source] + weight * truncation
    for label in range(1, count):
        if room[label - 1] + weight < room[label]:
            room[label] = room[label - 1] + weight
            trace[row + label] = trace[row + label - 1]
    for label in range(count - 2, -1, -1):
        if room[label + 1] + weight < room[label]:
            room[label] = room[label + 1] + weight
            trace[row + label] = trace[row + label + 1]
    for label in range(count):
        if cap < room[label]:
            room[label] = cap
            trace[row + label] = source


@kernel(types.void(TERMS, i32, i64, i64, u16, SHAPE, whole, whole))
def chain_rows(
    terms: Any,
    labels: Any,
    energies: Any,
    room: Any,
    trace: Any,
    shape: Any,
    top: int,
    bottom: int,
) -> None:
    """The exact minimum of data and smoothness terms of each row alone (Viterbi's algorithm).

    The lower envelope of the truncated cones is made in one pass up and one down the labels.
    room: (labels,) costs. trace: (w, labels) the label that each state came from.
    """
    width, count = shape.width, shape.labels
    for y in range(top, bottom):
        start = y * width * count
        for label in range(count):
            room[label] = terms.data[start + label]
        for x in range(1, width):
            weight = np.int64(terms.across[y * width + x - 1])
            _envelope(room, trace, x * count, count, weight, shape.truncation)
            for label in range(count):
                room[label] += terms.data[start + x * count + label]
        best = 0
        for label in range(1, count):
            if room[label] < room[best]:
                best = label
        energies[y] = room[best]
        for x in range(width - 1, 0, -1):
            labels[y * width + x] = best
            best = trace[x * count + best]
        labels[y * width] = best
