"""Clusters of numbers on a line: the surfaces that a box of pixels shows, by inverse depth."""

import math
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from fathom.core.arrays import Array, Float32

_BIN = 0.125
_BANDWIDTH = 0.5
_VALLEY = 0.35
_MOST_BINS = 1 << 15


@dataclass(frozen=True)
class Cluster:
    """Values between `low` and `high`, most of them about `peak`; share: of all values, 0..1."""

    low: float
    high: float
    peak: float
    share: float


def clusters(values: Float32[np.ndarray, " n"]) -> list[Cluster]:
    """The clusters of `values` (pixels of disparity), from the smallest to the largest.

    A kernel density (Gaussian, standard deviation 0.5 px; Silverman, "Density Estimation for
    Statistics and Data Analysis", 1986, chapter 2) is cut at every valley that is at most 0.35
    times as high as the lower of the two summits beside it. Every value belongs to one cluster.
    An empty list for no values.
    """
    if values.size == 0:
        return []
    low, high = float(values.min()), float(values.max())
    step = max(_BIN, (high - low) / _MOST_BINS)
    count = int((high - low) / step) + 1
    histogram = np.bincount(((values - low) / step).astype(np.int64), minlength=count)
    density = _smooth(histogram.astype(np.float64), _BANDWIDTH / step)
    cuts = _cuts(density)
    bounds = [0, *cuts, len(density)]
    found = []
    for a, b in pairwise(bounds):
        inside = histogram[a:b]
        if inside.any():
            peak = low + (a + int(density[a:b].argmax()) + 0.5) * step
            ends = (low + a * step, low + b * step)
            share = float(inside.sum()) / values.size
            found.append(Cluster(ends[0], ends[1], min(peak, high), share))
    return found


def _smooth(histogram: Array, sigma: float) -> Array:
    reach = max(1, math.ceil(3 * sigma))
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    padded = np.pad(histogram, reach)
    out: Array = np.convolve(padded, kernel / kernel.sum(), mode="valid")
    return out


def _cuts(density: Array) -> list[int]:
    """Bins of the valleys that part two summits, by one walk along the density.

    The walk keeps the summit since the last cut and the lowest valley after it; once the density
    has risen far enough above that valley, and the summit before it was as high, the valley is a
    cut.
    """
    cuts: list[int] = []
    summit, valley, at = 0.0, math.inf, 0
    for i, value in enumerate(density):
        if value < valley:
            valley, at = float(value), i
        if value > valley and min(float(value), summit) * _VALLEY >= valley:
            cuts.append(at)
            summit, valley, at = float(value), math.inf, i
        elif value > summit:
            summit, valley, at = float(value), float(value), i
    return cuts
