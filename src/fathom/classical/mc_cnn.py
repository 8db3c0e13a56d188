"""What MC-CNN does with its costs: aggregation, semi-global matching, checks and refinement.

Žbontar and LeCun, "Stereo Matching by Training a Convolutional Neural Network to Compare Image
Patches", JMLR 17(65), 2016, section 4, with the constants of the authors' code (jzbontar/mc-cnn,
main.lua). The costs may come from anywhere; nothing here needs torch.

Where the code and the paper differ the constants belong to the code, so it is followed: P2 stands
as it is used there (the paper prints P1 P2), P1 is less only on the way down where disparity rises
and on the way up where it falls, and an arm of a cross always takes in the pixel next to it. Where
we differ: filled pixels keep what they were filled with, for a parabola through costs that were
found wrong says nothing; and what was found wrong is filled for Middlebury, too.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from fathom.classical.aggregate import aggregated, cross_arms, cross_support
from fathom.classical.kernels.layout import Means, Window
from fathom.classical.native import Kernel
from fathom.classical.parallel import run_blocks, thread_count
from fathom.classical.path_costs import PathPenalties, path_costs
from fathom.classical.refine import left_right_check, median
from fathom.classical.refine_occlusion import Kind, classify
from fathom.classical.volume import CostVolume
from fathom.classical.winner import take_winner
from fathom.core.arrays import Array, Float32, UInt8
from fathom.core.errors import UsageError
from fathom.core.maps import Disparity, Source
from fathom.core.pair import View
from fathom.geometry.consistency import left_right_difference

_near_mean = Kernel("fathom.classical.kernels.float_paths", "near_mean")
KERNELS = (_near_mean,)
_ROWS = 16
_LUMA = np.array((0.299, 0.587, 0.114))
_FLAT = 1e-3
_MEDIAN = 5
_AGREE = 1.0
"""Left and right disparities in whole pixels agree if they differ by at most this."""
_DIRECTIONS = 16
_PARTS = 1024


@dataclass(frozen=True)
class McCnnSteps:
    """What follows the costs. Grey values are those of `guide`.

    arm, tau: length in pixels and grey step at which an arm of a cross ends. before, after: passes
    of cross-based aggregation before and after the paths. paths: their penalties. blur_sigma,
    blur_limit: of the last filter, pixels on the image and of disparity.

    Raises `UsageError` for passes outside 0..16, or a filter that is not positive.
    """

    paths: PathPenalties
    arm: int = 5
    tau: float = 0.03
    before: int = 0
    after: int = 0
    blur_sigma: float = 6.0
    blur_limit: float = 5.0

    def __post_init__(self) -> None:
        for name in ("before", "after"):
            if not 0 <= getattr(self, name) <= 16:
                raise UsageError(
                    "is no number of passes",
                    field=name,
                    value=getattr(self, name),
                    expected="0 to 16",
                )
        for name in ("blur_sigma", "blur_limit"):
            if not 0 < getattr(self, name) <= 100:
                raise UsageError(
                    "is out of range",
                    field=name,
                    value=getattr(self, name),
                    expected="0 < x <= 100 pixels",
                )


STEPS = {
    "mc-cnn-fast kitti2012": McCnnSteps(
        PathPenalties(4, 55.72, 0.02, 3, 7.5, 1.5), blur_sigma=7.74, blur_limit=5
    ),
    "mc-cnn-fast kitti2015": McCnnSteps(
        PathPenalties(2.3, 18.38, 0.08, 3, 6, 1.25), blur_sigma=4.64, blur_limit=5
    ),
    "mc-cnn-fast middlebury": McCnnSteps(
        PathPenalties(2.3, 24.3, 0.08, 4, 8, 1.5), blur_sigma=6, blur_limit=2
    ),
    "mc-cnn-accurate kitti2012": McCnnSteps(
        PathPenalties(1.32, 24.25, 0.08, 3, 6, 2), 5, 0.13, 2, 0, 5.99, 6
    ),
    "mc-cnn-accurate kitti2015": McCnnSteps(
        PathPenalties(2.3, 24.25, 0.08, 3, 6, 1.75), 5, 0.03, 2, 4, 5.99, 5
    ),
    "mc-cnn-accurate middlebury": McCnnSteps(
        PathPenalties(1.3, 13.9, 0.13, 4.5, 9, 2.75), 14, 0.02, 2, 16, 1.67, 2
    ),
}
"""The constants of main.lua: network and data set -> steps."""


class Found(NamedTuple):
    """disparity: filled throughout where anything agrees, with source. difference: float32 (h, w)
    left-right difference in pixels before filling, NaN where the match leaves the right image."""

    disparity: Disparity
    difference: Float32[np.ndarray, "h w"]


def guide(view: View) -> Float32[np.ndarray, "h w"]:
    """Grey values (ITU-R BT.601) with mean 0 and standard deviation 1, as the network sees them."""
    gray = view.rgb8 @ _LUMA
    out: Array = (gray - gray.mean()) / max(gray.std(ddof=min(1, gray.size - 1)), _FLAT)
    return out.astype(np.float32)


def disparity_of_costs(
    volume: CostVolume,
    left: Float32[np.ndarray, "h w"],
    right: Float32[np.ndarray, "h w"],
    steps: McCnnSteps,
    *,
    border: int = 0,
    threads: int | None = None,
) -> Found:
    """From raw costs to a disparity map, as the paper does it.

    Both views in turn: continued border, aggregation, paths, aggregation, winner. Then the
    left-right check, interpolation of occlusions and mismatches, sub-pixel parabola, median of 5x5,
    and a Gaussian mean of what is near in disparity. left, right: `guide` of both views. border:
    half the patch, see `continue_border`.

    Takes up to four times the memory of the volume. Raises `InputError` for guides of another size.
    """
    seen = []
    for mirror in (True, False):
        guides = (right[:, ::-1], left[:, ::-1]) if mirror else (left, right)
        costs = _smoothed(
            continue_border(mirrored(volume) if mirror else volume, border),
            np.ascontiguousarray(guides[0]),
            np.ascontiguousarray(guides[1]),
            steps,
            threads,
        )
        won = take_winner(costs, "parabola", threads).disparity
        seen.append(won[:, ::-1] if mirror else won)
        del costs
    first, last = volume.range
    return _refined(seen[1], np.ascontiguousarray(seen[0]), (first, last), steps, threads)


def mirrored(volume: CostVolume) -> CostVolume:
    """The same costs as a mirror shows them: views exchanged and flipped left to right.

    C'(x', d) = C(w - 1 - x' + d, d), inf where that lies outside the left image.
    """
    height, width, levels = volume.shape
    margin = max(abs(volume.first), abs(volume.first + levels)) + 1
    row = np.full((width + 2 * margin, levels), np.inf, np.float32)
    start = margin + width - 1 + volume.first
    down, across = row.strides
    shifted = np.lib.stride_tricks.as_strided(
        row[start:], (width, levels), (-down, down + across), writeable=False
    )
    out = np.empty(volume.shape, np.float32)
    for y in range(height):
        row[margin : margin + width] = volume.costs[y]
        out[y] = shifted
    return CostVolume(out, volume.first)


def continue_border(volume: CostVolume, columns: int) -> CostVolume:
    """The last columns take the costs of the column before them, where both have one: patches there
    reach over the border of the image."""
    width = volume.shape[1]
    if not 0 < columns < width:
        return volume
    costs = volume.costs.copy()
    last, kept = costs[:, width - columns :], costs[:, width - columns - 1 : width - columns]
    both = np.isfinite(last) & np.isfinite(kept)
    np.copyto(last, np.broadcast_to(kept, last.shape), where=both)
    return CostVolume(costs, volume.first)


def interpolate(
    values: Float32[np.ndarray, "h w"], kinds: UInt8[np.ndarray, "h w"]
) -> Float32[np.ndarray, "h w"]:
    """Values with what is not `Kind.KNOWN` replaced, section 4.3.1.

    Occluded pixels take the nearest known value of the row to their left (to their right where
    there is none). Then mismatched ones take the median, the higher of two middle ones, of the
    nearest values that are not mismatched in 16 directions. What nothing can be said of is NaN.
    """
    known = kinds == Kind.KNOWN
    columns = np.arange(values.shape[1])
    before = np.maximum.accumulate(np.where(known, columns, -1), axis=1)
    after = np.minimum.accumulate(
        np.where(known, columns, values.shape[1])[:, ::-1], axis=1
    )[:, ::-1]  # fmt: skip
    source = np.where(before >= 0, before, np.minimum(after, values.shape[1] - 1))
    moved = np.take_along_axis(values, source, axis=1)
    moved = np.where(known.any(axis=1, keepdims=True), moved, np.float32(np.nan))
    out = np.where(kinds == Kind.OCCLUDED, moved, values)
    y, x = np.nonzero(kinds == Kind.MISMATCHED)
    around = np.sort(_around(out, kinds == Kind.MISMATCHED, y, x), axis=0)
    count = np.count_nonzero(~np.isnan(around), axis=0)
    out[y, x] = around[np.minimum(count // 2, _DIRECTIONS - 1), np.arange(len(y))]
    return out.astype(np.float32, copy=False)


def near_mean(
    values: Float32[np.ndarray, "h w"], sigma: float, limit: float, threads: int | None = None
) -> Float32[np.ndarray, "h w"]:
    """The Gaussian mean of the neighbours that differ by less than `limit`; section 4.3.3.

    sigma: pixels on the image; the window reaches 3 sigma. NaN stays NaN, and counts for nothing.
    limit is taken to a 1024th.
    """
    height, width = values.shape
    radius = int(np.ceil(3 * sigma))
    line = np.exp(-(np.arange(-radius, radius + 1) ** 2) / (2 * sigma**2))
    weights = np.outer(line, line).astype(np.float32).reshape(-1)
    out = np.empty(height * width, np.float32)
    flat = np.ascontiguousarray(values).reshape(-1)
    run = _near_mean.bound(Means(flat, out), Window(weights, radius, round(limit * _PARTS)))

    def rows(i: int) -> None:
        sums, counts = np.empty((2, width), np.float32)
        run(sums, counts, height, width, i * _ROWS, min((i + 1) * _ROWS, height))

    run_blocks(rows, -(-height // _ROWS), thread_count(threads))
    return out.reshape(height, width)


def _smoothed(
    costs: CostVolume, left: Array, right: Array, steps: McCnnSteps, threads: int | None
) -> CostVolume:
    """Aggregation, paths, aggregation."""
    if not steps.before and not steps.after:
        return path_costs(costs, left, right, steps.paths, threads=threads)
    # the authors' bound is exclusive
    arms = [cross_arms(g[None], max(steps.arm - 1, 1), steps.tau, least=1) for g in (left, right)]
    if steps.before:
        costs = aggregated(costs, cross_support(arms[0], arms[1], steps.before), threads)
    costs = path_costs(costs, left, right, steps.paths, threads=threads)
    if steps.after:
        costs = aggregated(costs, cross_support(arms[0], arms[1], steps.after), threads)
    return costs


def _refined(
    left: Array, right: Array, searched: tuple[int, int], steps: McCnnSteps, threads: int | None
) -> Found:
    """Checked, interpolated and smoothed winners."""
    whole = Disparity(_whole(left))
    other = Disparity(_whole(right))
    kinds = classify(left_right_check(whole, other, _AGREE), other, _AGREE)
    values = interpolate(left, kinds)
    source = np.where(kinds == Kind.KNOWN, np.uint8(Source.MATCHED), np.uint8(Source.FILLED))
    source = np.where(np.isnan(values), np.uint8(Source.UNKNOWN), source)
    smooth = median(Disparity(values), _MEDIAN).values
    values = near_mean(smooth, steps.blur_sigma, steps.blur_limit, threads)
    first, last = searched
    values = np.clip(values, np.float32(first), np.float32(last))
    disparity = Disparity(values, None, source, (float(first), float(last)))
    return Found(disparity, left_right_difference(left, right))


def _whole(values: Array) -> Array:
    """Winners without their sub-pixel part, which is at most half a pixel."""
    out: Array = np.rint(values)
    return out


def _around(values: Array, mismatched: Array, y: Array, x: Array) -> Float32[np.ndarray, "n k"]:
    """For pixels (y, x) the first value in each direction that is not mismatched, or NaN."""
    height, width = values.shape
    out = np.full((_DIRECTIONS, len(y)), np.nan, np.float32)
    for k in range(_DIRECTIONS):
        dx, dy = _direction(k)
        left, row, column = np.arange(len(y)), y.astype(np.float64), x.astype(np.float64)
        while len(left):
            row, column = row + dy, column + dx
            at = np.floor(row + 0.5).astype(np.intp), np.floor(column + 0.5).astype(np.intp)
            inside = (at[0] >= 0) & (at[0] < height) & (at[1] >= 0) & (at[1] < width)
            left, row, column = left[inside], row[inside], column[inside]
            at = at[0][inside], at[1][inside]
            on = mismatched[at]
            out[k, left[~on]] = values[at][~on]
            left, row, column = left[on], row[on], column[on]
    return out


def _direction(k: int) -> tuple[float, float]:
    """Step (dx, dy) of the k-th of 16 directions: the longer part is 1, the other 0, 1/2 or 1."""
    angle = 2 * np.pi * k / _DIRECTIONS
    dx, dy = np.cos(angle), np.sin(angle)
    longest = max(abs(dx), abs(dy))
    return round(2 * dx / longest) / 2, round(2 * dy / longest) / 2
