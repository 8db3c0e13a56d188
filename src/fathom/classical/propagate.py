"""Values that spread along the image: spatial propagation without a net.

The steps are those of Liu et al., "Learning Affinity via Spatial Propagation Networks", NeurIPS
2017 (`swept`), and Cheng, Wang and Yang, "Depth Estimation via Affinity Learned with Convolutional
Spatial Propagation Network", ECCV 2018 (`diffused`); the affinities are not learned but fall with
the difference of colour, as in Tomasi and Manduchi, "Bilateral Filtering", ICCV 1998. Known pixels
are put back at every step, so they stay bit for bit; every other value is a mean of known ones and
lies between them. Their counterparts in torch, with any affinities, are in `layers/propagation.py`.
"""

import numpy as np

from fathom.classical.parallel import run_blocks
from fathom.core.arrays import Array, Bool, Float32, UInt8

COLOUR = 5.0
"""Difference of colours, of 255, that counts as an edge. Between 4 and 6, which were the best of 4,
6, 8, 10, 20 and 40 for Motorcycle from 1 % of its true disparities."""
NEAR = tuple((y, x) for y in (1, 0, -1) for x in (1, 0, -1) if (y, x) != (0, 0))
"""(dy, dx) of the eight neighbours."""
_LEAST = 1e-6
"""Affinities fall no further: through a closed outline values still come, if no others do."""
_REACH = 10.0
"""Pixels over which a value that meets no edge comes to count e times less in a sweep."""
_FAINT = 1e-30
"""Weights of a sweep fall no further."""
_STRIP = 64


def colour_affinity(difference: Float32[np.ndarray, "*n"], colour: float) -> Array:
    """exp(-(difference / colour)^2), at least 1e-6; both in 0..255, mean of the channels.

    Squared, so that noise, which a value meets at every step, costs it little.
    """
    ratio = difference * np.float32(1 / colour)
    out: Array = np.maximum(np.exp(-(ratio * ratio)), np.float32(_LEAST))
    return out


def edge_affinities(
    image: UInt8[np.ndarray, "h w 3"], colour: float = COLOUR
) -> Float32[np.ndarray, "8 h w"]:
    """Weights of the eight neighbours (`NEAR`) of each pixel, with sum 1; 0 outside the image.

    colour: the difference at which a neighbour counts e times less. Diagonal neighbours are sqrt 2
    times as far, and count so much less.
    """
    height, width = image.shape[:2]
    out = np.zeros((8, height, width), np.float32)
    values = image.astype(np.float32)
    for k, (dy, dx) in enumerate(NEAR):
        here, there = _overlap(dy, dx)
        difference = np.abs(values[here] - values[there]).mean(axis=2)
        out[k][here] = colour_affinity(difference, colour) / np.float32(np.hypot(dy, dx))
    total = out.sum(axis=0)
    out /= np.where(total > 0, total, 1)  # an image of one pixel has no neighbours
    return out


def diffused(
    start: Float32[np.ndarray, "h w"],
    weights: Float32[np.ndarray, "8 h w"],
    kept: Bool[np.ndarray, "h w"],
    steps: int = 24,
    threads: int = 1,
) -> Float32[np.ndarray, "h w"]:
    """h <- sum of w_k h_k + (1 - sum w_k) start, `steps` times; `start` again where `kept`."""
    height, width = start.shape
    rest = (1 - weights.sum(axis=0)) * start
    framed = np.zeros((2, height + 2, width + 2), np.float32)
    framed[0, 1:-1, 1:-1] = start
    for step in range(steps):
        before, after = framed[step % 2], framed[(step + 1) % 2]

        def strip(i: int, before: Array = before, after: Array = after) -> None:
            top, bottom = i * _STRIP, min((i + 1) * _STRIP, height)
            total = rest[top:bottom].copy()
            for w, (dy, dx) in zip(weights, NEAR, strict=True):
                near = before[1 + top + dy : 1 + bottom + dy, 1 + dx : 1 + dx + width]
                total += w[top:bottom] * near
            np.copyto(total, start[top:bottom], where=kept[top:bottom])
            after[1 + top : 1 + bottom, 1:-1] = total

        run_blocks(strip, -(-height // _STRIP), threads)
    return framed[steps % 2, 1:-1, 1:-1].copy()


def swept(
    values: Float32[np.ndarray, "h w"],
    known: Bool[np.ndarray, "h w"],
    image: UInt8[np.ndarray, "h w 3"],
    colour: float = COLOUR,
) -> Float32[np.ndarray, "h w"]:
    """Every pixel's value from the known ones, by a sweep from each side.

    In a sweep a pixel takes the mean of three pixels of the line before it by affinity and weight;
    its own weight is the best of theirs, less with every edge and pixel on the way. Known pixels
    speak for themselves with weight 1. At last the mean of the four answers by their weights is
    taken: where SPN has learned affinities and takes the largest, here the nearest wins. NaN where
    nothing is known at all.
    """
    shown = image.astype(np.float32)
    plain = np.where(known, values, np.float32(0)).astype(np.float64)
    turned = np.ascontiguousarray(shown.transpose(1, 0, 2))
    total = np.zeros(values.shape)
    weight = np.zeros(values.shape)
    for lines, v, k in ((shown, plain, known), (turned, plain.T, known.T)):
        for flip in (1, -1):
            found, sure = _sweep(lines[:, ::flip], v[:, ::flip], k[:, ::flip], colour)
            if lines is turned:
                found, sure = found[:, ::flip].T, sure[:, ::flip].T
            else:
                found, sure = found[:, ::flip], sure[:, ::flip]
            total += found * sure
            weight += sure
    with np.errstate(invalid="ignore"):
        out = (total / weight).astype(np.float32)
    return np.where(known, values, out)


def _sweep(image: Array, values: Array, known: Array, colour: float) -> tuple[Array, Array]:
    """Values and weights (float64) after a sweep from the left; weight 0: nothing heard yet."""
    height, width = values.shape
    found, sure = np.zeros((width, height)), np.zeros((width, height))
    closeness = _closeness(image, colour)
    edge = np.zeros(height + 2)
    before = np.zeros(height + 2)
    found[0] = values[:, 0]
    sure[0] = known[:, 0]
    for x in range(1, width):
        edge[1:-1] = sure[x - 1]
        before[1:-1] = found[x - 1]
        p = closeness[:, x - 1]
        parts = (p[0] * edge[:-2], p[1] * edge[1:-1], p[2] * edge[2:])
        heard_of = parts[0] + parts[1] + parts[2]
        mean = parts[0] * before[:-2] + parts[1] * before[1:-1] + parts[2] * before[2:]
        heard = heard_of > 0
        np.divide(mean, heard_of, out=mean, where=heard)
        weight = np.maximum(np.maximum(parts[0], parts[2]), parts[1])
        np.maximum(weight, _FAINT, out=weight, where=heard)
        found[x] = np.where(known[:, x], values[:, x], mean)
        sure[x] = np.where(known[:, x], 1.0, weight)
    return found.T, sure.T


def _closeness(image: Array, colour: float) -> Float32[np.ndarray, "3 _n h"]:
    """Affinities to the pixels one up, beside and one down on the line before, less the farther."""
    height = image.shape[0]
    out = np.zeros((3, max(image.shape[1] - 1, 0), height), np.float32)
    for i, side in enumerate((-1, 0, 1)):
        here, there = _overlap(side, -1)
        difference = np.abs(image[here] - image[there]).mean(axis=2)
        rows = here[0]
        fade = np.float32(np.exp(-np.hypot(1, side) / _REACH))
        out[i][:, rows] = colour_affinity(difference, colour).T * fade
    return out


def _overlap(dy: int, dx: int) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
    """Where a pixel's neighbour at (dy, dx) lies in the image, and where the neighbours lie."""
    cut = {1: (slice(None, -1), slice(1, None)), -1: (slice(1, None), slice(None, -1))}
    (rows, their_rows), (columns, their_columns) = (
        cut.get(d, (slice(None), slice(None))) for d in (dy, dx)
    )
    return (rows, columns), (their_rows, their_columns)
