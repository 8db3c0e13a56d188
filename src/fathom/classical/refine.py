"""Refinement of a disparity map: what to trust, and how to smooth it.

Each function takes a `Disparity` and gives a new one. Pixels that become unknown get NaN, source
`UNKNOWN` and confidence 0; the searched range, and the confidence of all other pixels, are carried
along. Only `refine_occlusion.fill_by_kind` and `fill.fill` make unknown pixels known.
"""

from dataclasses import replace

import numpy as np

from fathom.classical.native import Kernel
from fathom.classical.parallel import run_blocks, thread_count
from fathom.core.arrays import Array, Num, UInt8
from fathom.core.errors import InputError, UsageError
from fathom.core.maps import Disparity
from fathom.core.pair import View
from fathom.geometry.consistency import left_right_difference

_STEPS = 64
"""OpenCV's speckle filter takes 16-bit integers: so many steps a pixel, where they fit."""
_MOST_STEPS = 65000
_LARGEST_WINDOW = 31
_WEIGHT_STEPS = 65536
_ROWS = 16

weighted_median_kernel = Kernel("fathom.classical.kernels.weighted_median", "weighted_median")
KERNELS = (weighted_median_kernel,)


def left_right_check(disparity: Disparity, right: Disparity, threshold: float = 1.0) -> Disparity:
    """Unknown where both views disagree: |d(x) - d_right(x - d(x))| > `threshold` pixels.

    right: disparity (x_left - x_right) seen from the right view. Also unknown where the match
    leaves the right image or is unknown there: nothing confirms it. Hirschmueller, PAMI 2008,
    eq. 17.

    Raises `InputError` for maps of different size, `UsageError` for a negative threshold.
    """
    _same_size(disparity, right)
    _at_least_zero("threshold", threshold)
    difference = left_right_difference(disparity.values, right.values)
    return disparity.with_unknown(~(difference <= np.float32(threshold)))


def uniqueness(
    disparity: Disparity,
    best: Num[np.ndarray, "h w"],
    second: Num[np.ndarray, "h w"],
    percent: float,
) -> Disparity:
    """Unknown where the winner does not beat the second best by `percent` of its own cost.

    best, second: costs >= 0 of the winner and of the best disparity that is no neighbour of it
    (inf: there is none). A pixel stays where second - best >= best * percent / 100, as OpenCV's
    uniquenessRatio has it.

    Raises `InputError` for costs of another size, `UsageError` for a negative percentage.
    """
    _at_least_zero("percent", percent)
    for name, costs in (("best", best), ("second", second)):
        if costs.shape != disparity.shape:
            raise InputError(
                "differs in size from the disparity",
                field=name,
                value=costs.shape,
                expected=str(disparity.shape),
            )
    least = best.astype(np.float64)
    with np.errstate(invalid="ignore"):
        unique = second.astype(np.float64) - least >= least * (percent / 100)
    return disparity.with_unknown(~unique)


def remove_speckles(disparity: Disparity, size: int, step: float = 1.0) -> Disparity:
    """Unknown where the pixel belongs to an island of at most `size` pixels.

    Two pixels beside or above each other are on one island if both are known and differ by at
    most `step` pixels (to a 64th of a pixel, coarser for maps of more than 1,000 px). size 0
    changes nothing. The semantics of OpenCV's filterSpeckles.

    Raises `UsageError` for a negative size or step.
    """
    import cv2

    _at_least_zero("size", size)
    _at_least_zero("step", step)
    known = disparity.known
    if size == 0 or not known.any():
        return disparity
    low, high = float(np.nanmin(disparity.values)), float(np.nanmax(disparity.values))
    scale = min(_STEPS, _MOST_STEPS / max(high - low, 1e-6))
    unknown = -(2**15)
    flat = np.where(known, disparity.values, np.float32(low)).astype(np.float64)
    steps = np.rint((flat - low) * scale) + (unknown + 1)
    marks = np.where(known, steps, unknown).astype(np.int16)
    largest = min(step * scale, 2 * 2**15)
    cv2.filterSpeckles(marks, unknown, min(int(size), 2**31 - 1), largest)
    return disparity.with_unknown(known & (marks == unknown))


def median(disparity: Disparity, size: int = 3) -> Disparity:
    """The median of the known pixels of a window around each known pixel.

    size: width of the window, odd. Of an even number of known values the lower middle one is
    taken, so that a result is always a value of the window. Beyond the border the nearest pixel
    counts again. Unknown pixels stay unknown.

    Raises `UsageError` for a size that is not odd or not in 3..31.
    """
    import cv2

    _window("size", size)
    values, known = disparity.values, disparity.known
    if size > 5:
        y, x = np.nonzero(known)
        out = values.copy()
    else:
        # OpenCV knows no NaN, and only 3x3 and 5x5: windows with an unknown pixel are done apart
        out = cv2.medianBlur(np.where(known, values, np.float32(0)), size)
        near = cv2.dilate((~known).astype(np.uint8), np.ones((size, size), np.uint8)) > 0
        y, x = np.nonzero(known & near)
        out = np.where(known, out, np.float32(np.nan))
    padded = np.pad(values, size // 2, mode="edge")
    windows = np.lib.stride_tricks.sliding_window_view(padded, (size, size))
    block = max(1, 2**22 // size**2)
    for start in range(0, len(y), block):
        rows, columns = y[start : start + block], x[start : start + block]
        # NaN is sorted behind every number
        ordered = np.sort(windows[rows, columns].reshape(len(rows), -1), axis=1)
        count = np.count_nonzero(~np.isnan(ordered), axis=1)
        out[rows, columns] = ordered[np.arange(len(rows)), (count - 1) // 2]
    return replace(disparity, values=out)


def weighted_median(
    disparity: Disparity,
    image: View,
    radius: int = 3,
    sigma: float = 12.0,
    threads: int | None = None,
) -> Disparity:
    """The weighted median of the known pixels around each known pixel.

    image: the left view. radius: of the window in pixels, 1..15. A neighbour's weight is
    exp(-c / sigma), where c is the mean absolute difference of its colour to the centre's (of
    255), so edges of the disparity move to edges of the image (Ma et al., "Constant time weighted
    median filtering for stereo matching and beyond", ICCV 2013). Exact: neither values nor
    colours are binned, as they are in OpenCV's weightedMedianFilter. The result is the smallest
    value that holds half of the weight, for any number of threads.

    Raises `InputError` for an image of another size, `UsageError` for parameters out of range.
    """
    rgb = _guide(disparity, image)
    _window("radius", 2 * radius + 1 if isinstance(radius, int) else radius)
    _positive("sigma", sigma)
    table = np.rint(_WEIGHT_STEPS * np.exp(-np.arange(766) / (3 * sigma))).astype(np.int32)
    height, width = disparity.shape
    out = np.empty(height * width, np.float32)
    run = weighted_median_kernel.bound(disparity.values.reshape(-1), rgb.reshape(-1), table, out)

    def rows(i: int) -> None:
        room = np.empty((2 * radius + 1) ** 2, np.float32)
        weights = np.empty(len(room), np.int32)
        run(room, weights, width, radius, i * _ROWS, min((i + 1) * _ROWS, height))

    run_blocks(rows, -(-height // _ROWS), thread_count(threads))
    return replace(disparity, values=out.reshape(height, width))


def bilateral(
    disparity: Disparity,
    image: View,
    radius: int = 5,
    sigma_space: float = 3.0,
    sigma_color: float = 10.0,
) -> Disparity:
    """The mean of the known pixels around each known pixel, weighted by distance and colour.

    The joint bilateral filter (Petschnigg et al., SIGGRAPH 2004, eq. 3) with the left view as its
    guide. A neighbour's weight is exp(-s^2 / (2 sigma_space^2) - c^2 / (2 sigma_color^2)), s in
    pixels, c the sum of its absolute colour differences to the centre (each of 255); where there
    is a confidence it is multiplied by it. A mean blurs edges that the image does not show:
    `weighted_median` does not.

    Raises `InputError` for an image of another size, `UsageError` for parameters out of range.
    """
    import cv2

    guide = _guide(disparity, image).astype(np.float32)
    _window("radius", 2 * radius + 1 if isinstance(radius, int) else radius)
    _positive("sigma_space", sigma_space)
    _positive("sigma_color", sigma_color)
    values, weight, shift = _weighted(disparity)
    layers = np.dstack([values, weight, weight])
    sums = cv2.ximgproc.jointBilateralFilter(
        guide, layers, 2 * radius + 1, sigma_color, sigma_space, borderType=cv2.BORDER_REPLICATE
    )
    return _normalised(disparity, sums[..., 0], sums[..., 1], shift)


def edge_aware_smooth(
    disparity: Disparity, image: View, strength: float = 100.0, sigma_color: float = 8.0
) -> Disparity:
    """Smooth where the left view is, with steps only where it has edges; confidence-weighted.

    Weighted least squares on the whole map, solved by OpenCV's fast global smoother (Min et al.,
    "Fast global image smoothing based on weighted least squares", IEEE TIP 2014). Known values
    pull with their confidence (1 without one), unknown ones not at all. strength: the weight of
    smoothness, > 0. sigma_color: colour differences (of 255) beyond which an edge is one.

    Raises `InputError` for an image of another size, `UsageError` for parameters out of range.
    """
    import cv2

    guide = _guide(disparity, image)
    _positive("strength", strength)
    _positive("sigma_color", sigma_color)
    values, weight, shift = _weighted(disparity)
    sums, total = (
        cv2.ximgproc.fastGlobalSmootherFilter(guide, layer, strength, sigma_color)
        for layer in (values, weight)
    )
    return _normalised(disparity, sums, total, shift)


def _weighted(disparity: Disparity) -> tuple[Array, Array, float]:
    """Values times weight, the weights (0 where unknown), and what was taken off the values."""
    known = disparity.known
    weight = known.astype(np.float32)
    if disparity.confidence is not None:
        # A pixel of confidence 0 still is the best there is where nothing else is known
        weight *= np.maximum(disparity.confidence, np.float32(1e-3))
    shift = float(np.nanmean(disparity.values, dtype=np.float64)) if known.any() else 0.0
    return np.where(known, disparity.values - np.float32(shift), 0) * weight, weight, shift


def _normalised(disparity: Disparity, sums: Array, total: Array, shift: float) -> Disparity:
    """sums / total where known, never outside of what the map held before."""
    known = disparity.known & (total > 0)
    if not known.any():
        return disparity
    mean = np.divide(sums, total, out=disparity.values.copy(), where=known)
    low, high = np.nanmin(disparity.values), np.nanmax(disparity.values)
    mean = np.clip(mean + np.float32(shift), low, high)
    return replace(disparity, values=np.where(known, mean, disparity.values))


def _guide(disparity: Disparity, image: View) -> UInt8[np.ndarray, "h w 3"]:
    if image.shape != disparity.shape:
        raise InputError(
            "differs in size from the disparity",
            field="image",
            value=image.shape,
            expected=str(disparity.shape),
        )
    return np.ascontiguousarray(image.rgb8)


def _same_size(disparity: Disparity, right: Disparity) -> None:
    if right.shape != disparity.shape:
        raise InputError(
            "differs in size from the left map",
            field="right",
            value=right.shape,
            expected=str(disparity.shape),
        )


def _window(name: str, size: int) -> None:
    whole = isinstance(size, int) and not isinstance(size, bool)
    if not whole or size % 2 == 0 or not 3 <= size <= _LARGEST_WINDOW:
        expected = "an odd number" if name == "size" else "a radius of 1..15: a width"
        raise UsageError(
            "is no width of a window",
            field=name,
            value=size,
            expected=f"{expected} from 3 to {_LARGEST_WINDOW}",
        )


def _at_least_zero(name: str, value: float) -> None:
    if not value >= 0:
        raise UsageError("is negative", field=name, value=value, expected="0 or more")


def _positive(name: str, value: float) -> None:
    if not (np.isfinite(value) and value > 0):
        raise UsageError("is out of range", field=name, value=value, expected="a number above 0")
