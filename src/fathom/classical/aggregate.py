"""Aggregation: a pixel's costs averaged over the neighbours that likely lie on its surface.

Each way exists twice: as a function on a `CostVolume`, and as a `Support`, which works on one
plane of costs, for matchers that never hold a whole volume.

Costs that do not exist (the match falls outside the right image) are inf before and after; no
average takes them in. Box, guided and bilateral support see the nearest cost of the row there
instead; a cross-based region never reaches there.
"""

from collections.abc import Callable
from functools import partial

import numpy as np

from fathom.classical.native import Kernel
from fathom.classical.parallel import run_blocks, thread_count
from fathom.classical.volume import CostVolume, columns_inside, intensities
from fathom.core.arrays import Array, Float32, UInt8
from fathom.core.errors import InputError, UsageError
from fathom.core.pair import StereoPair, View

Support = Callable[[Array, int], Array]
"""support(plane (h, w), disparity) -> the plane aggregated; planes are inf outside."""

GUIDED_EPSILON = 6.5
"""Hosni et al.'s 0.01^2 for intensities of 0..1, in grey levels squared."""
CROSS_TAU = 20.0
"""Zhang et al.'s threshold of the arms in grey levels."""

_LARGEST_ARM = 255
_LARGEST_BILATERAL = 41
_SLICES = 16
_cross = Kernel("fathom.classical.kernels.local", "cross")
_weighted = Kernel("fathom.classical.kernels.local", "weighted")
KERNELS = (_cross, _weighted)


def box(volume: CostVolume, window: int, *, threads: int | None = None) -> CostVolume:
    """Mean over a square window of odd side in pixels; its time is the same for any window.

    Raises `UsageError` for a window that is not odd and 1..255.
    """
    side = check_window(window)
    return _on_volume(volume, _square_support(partial(box_mean, window=side)), threads)


def guided(
    volume: CostVolume,
    view: View,
    *,
    window: int = 19,
    epsilon: float = GUIDED_EPSILON,
    color: bool = True,
    threads: int | None = None,
) -> CostVolume:
    """Guided filter, the left view being the guide: smooth, with edges where the image has them.

    Hosni et al., "Fast Cost-Volume Filtering for Visual Correspondence and Beyond", PAMI 2013,
    equations 5 to 7. window: odd side in pixels; its time is the same for any window. epsilon:
    variance in grey levels squared (0..255) above which an edge counts as one. color: guided by
    the colours instead of the grey values.

    Raises `UsageError` for a bad window or epsilon, `InputError` if the view has another size.
    """
    guide = _guide(volume, view, color)
    return _on_volume(volume, guided_support(guide, window, epsilon), threads)


def bilateral(
    volume: CostVolume,
    view: View,
    *,
    window: int = 15,
    gamma_color: float = 12.0,
    gamma_space: float = 7.0,
    color: bool = True,
    threads: int | None = None,
) -> CostVolume:
    """Adaptive support weights of the left view: exp(-|colour step| / gamma - distance / gamma).

    Yoon and Kweon, "Adaptive Support-Weight Approach for Correspondence Search", PAMI 2006,
    equation 5, with the mean step over the channels (grey levels) and the weights of the left
    view only, which costs half and lets one set of weights serve all disparities. window: odd
    side, at most 41; time and memory grow with its square. gamma_space: pixels.

    Raises `UsageError` for a bad window or gamma, `InputError` if the view has another size.
    """
    guide = _guide(volume, view, color)
    support = bilateral_support(guide, window, gamma_color, gamma_space)
    return _on_volume(volume, support, threads)


def cross_based(
    volume: CostVolume,
    pair: StereoPair,
    *,
    arm: int = 17,
    tau: float = CROSS_TAU,
    iterations: int = 2,
    color: bool = True,
    threads: int | None = None,
) -> CostVolume:
    """Mean over cross-based regions: the pixels that arms of similar colour reach in both views.

    Zhang, Lu and Lafruit, "Cross-Based Local Stereo Matching Using Orthogonal Integral Images",
    CSVT 2009; with `iterations` as Zbontar and LeCun, JMLR 2016, section 4.1. arm: pixels an arm
    reaches at most, the pixel itself excluded. tau: an arm ends before a pixel whose grey value
    or any colour differs by tau (0..255) or more. color: by the colours instead of the grey.

    Raises `UsageError` for a bad parameter, `InputError` if the pair has another size.
    """
    views = [_guide(volume, view, color) for view in (pair.left, pair.right)]
    left, right = (cross_arms(view, arm, tau) for view in views)
    return _on_volume(volume, cross_support(left, right, iterations), threads)


def aggregated(volume: CostVolume, support: Support, threads: int | None = None) -> CostVolume:
    """The volume with every plane aggregated by `support`. Raises what `support` does."""
    return _on_volume(volume, support, threads)


def box_mean(plane: Float32[np.ndarray, "h w"], window: int) -> Float32[np.ndarray, "h w"]:
    """Mean over a square window, borders repeated outward."""
    import cv2

    if window == 1:
        return plane
    out: Array = cv2.boxFilter(plane, cv2.CV_32F, (window, window), borderType=cv2.BORDER_REPLICATE)
    return out


def guided_support(guide: Float32[np.ndarray, "c h w"], window: int, epsilon: float) -> Support:
    """Guided filter of planes; guide: 0..255. Reaches window - 1 rows. Errors as `guided`."""
    side = check_window(window)
    _positive("epsilon", epsilon)
    mean = np.stack([box_mean(c, side) for c in guide])
    count = len(guide)
    spread = np.empty((*guide.shape[1:], count, count), np.float32)
    for i in range(count):
        for j in range(count):
            spread[..., i, j] = box_mean(guide[i] * guide[j], side) - mean[i] * mean[j]
    spread += np.float32(epsilon) * np.eye(count, dtype=np.float32)
    # channels that are alike make the matrix nearly singular: float32 would lose the slope
    inverse = np.linalg.inv(spread.astype(np.float64)).astype(np.float32)
    inverse = np.ascontiguousarray(inverse.transpose(2, 3, 0, 1))

    def apply(costs: Array) -> Array:
        average = box_mean(costs, side)
        shared = [box_mean(c * costs, side) - m * average for c, m in zip(guide, mean, strict=True)]
        offset, out = average, np.zeros_like(costs)
        for i in range(count):
            slope = sum(inverse[i, j] * shared[j] for j in range(count))
            offset = offset - slope * mean[i]
            out += box_mean(slope, side) * guide[i]
        out += box_mean(offset, side)
        return out

    return _square_support(apply, (guide.shape[1], guide.shape[2]))


def bilateral_support(
    guide: Float32[np.ndarray, "c h w"], window: int, gamma_color: float, gamma_space: float
) -> Support:
    """Bilateral weights on planes; guide: 0..255. Reaches window // 2 rows. Errors as `bilateral`.

    Holds window^2 * 4 bytes a pixel of the guide.
    """
    side = check_window(window)
    if side > _LARGEST_BILATERAL:
        raise UsageError(
            "is too large for bilateral weights",
            field="window",
            value=side,
            expected=f"at most {_LARGEST_BILATERAL}",
            remedy="take the guided filter, whose time does not grow with the window",
        )
    _positive("gamma_color", gamma_color)
    _positive("gamma_space", gamma_space)
    _, height, width = guide.shape
    radius = side // 2
    padded = np.pad(guide, ((0, 0), *((radius, radius),) * 2), mode="edge")
    weights = np.empty((side, height, side, width), np.float32)
    for j in range(side):
        for k in range(side):
            step = np.abs(padded[:, j : j + height, k : k + width] - guide).mean(axis=0)
            far = np.hypot(j - radius, k - radius) / gamma_space
            weights[j, :, k] = np.exp(-step / np.float32(gamma_color) - np.float32(far))
    weights /= weights.sum(axis=(0, 2), keepdims=True)

    def apply(costs: Array) -> Array:
        wide = np.pad(costs, radius, mode="edge")
        out = np.empty(height * width, np.float32)
        size = (height, width, radius, wide.shape[1])
        _weighted(wide.reshape(-1), weights.reshape(-1), out, *size)
        return out.reshape(height, width)

    return _square_support(apply, (height, width))


def cross_arms(
    guide: Float32[np.ndarray, "c h w"], arm: int, tau: float, *, least: int = 0
) -> UInt8[np.ndarray, "4 h w"]:
    """Pixels that the arms of every pixel reach to the left, right, up and down, 0..arm.

    An arm ends at the image border, and before the first pixel that differs by tau or more in any
    channel (grey levels 0..255). least: so many pixels belong to it whatever they look like.

    Raises `UsageError` for an arm outside 1..255 or a tau that is not positive.
    """
    if isinstance(arm, bool) or not isinstance(arm, int) or not 1 <= arm <= _LARGEST_ARM:
        raise UsageError(
            "is no length", field="arm", value=arm, expected=f"whole pixels, 1 to {_LARGEST_ARM}"
        )
    _positive("tau", tau)
    _, height, width = guide.shape
    out = np.zeros((4, height, width), np.uint8)
    for axis, backward, forward in ((2, out[0], out[1]), (1, out[2], out[3])):
        reached = np.ones((height, width), bool)
        ahead = reached.copy()
        for step in range(1, min(arm, guide.shape[axis] - 1) + 1):
            near = np.take(guide, range(guide.shape[axis] - step), axis)
            far = np.take(guide, range(step, guide.shape[axis]), axis)
            alike = (np.abs(far - near).max(axis=0) < tau) | (step <= least)
            border = [(0, 0), (0, 0)]
            border[axis - 1] = (step, 0)
            reached &= np.pad(alike, border)
            border[axis - 1] = (0, step)
            ahead &= np.pad(alike, border)
            np.add(backward, reached, out=backward)
            np.add(forward, ahead, out=forward)
    return out


def cross_support(
    left: UInt8[np.ndarray, "4 h w"], right: UInt8[np.ndarray, "4 h w"], iterations: int
) -> Support:
    """Mean over cross-based regions of planes, from the `cross_arms` of both views.

    Reaches iterations * arm rows.

    Raises `UsageError` for a number of iterations outside 1..16, `InputError` for arms that leave
    the image.
    """
    whole = isinstance(iterations, int) and not isinstance(iterations, bool)
    if not whole or not 1 <= iterations <= 16:
        raise UsageError(
            "is no number of passes", field="iterations", value=iterations, expected="1 to 16"
        )
    _, height, width = left.shape
    # the kernel follows the arms blindly
    x, y = np.arange(width), np.arange(height)[:, None]
    room = np.stack(np.broadcast_arrays(x, width - 1 - x, y, height - 1 - y))
    if left.shape != right.shape or (left > room).any() or (right > room).any():
        raise InputError("leave the image", field="arms", remedy="make them with cross_arms")
    arms = [np.ascontiguousarray(a).reshape(-1) for a in (left, right)]

    def support(plane: Array, disparity: int) -> Array:
        _same_shape(plane, (height, width))
        sums = np.empty((height + 1) * width, np.float64)
        counts = np.empty((height + 1) * width, np.int32)
        running = np.empty(width + 1, np.float64)
        costs = np.ascontiguousarray(plane).reshape(-1)
        for _ in range(iterations):
            out = np.full(height * width, np.inf, np.float32)
            _cross(costs, out, *arms, sums, counts, running, height, width, disparity)
            costs = out
        return costs.reshape(height, width)

    return support


def check_window(window: int) -> int:
    """`window` if it is an odd number of pixels from 1 to 255.

    Raises `UsageError` otherwise.
    """
    whole = isinstance(window, int | np.integer) and not isinstance(window, bool)
    if not whole or not 1 <= window <= 255 or window % 2 == 0:
        raise UsageError(
            "is no window", field="window", value=window, expected="an odd number from 1 to 255"
        )
    return int(window)


def _square_support(
    apply: Callable[[Array], Array], shape: tuple[int, int] | None = None
) -> Support:
    """A filter of full planes made a `Support`: the nearest cost of the row stands outside."""

    def support(plane: Array, disparity: int) -> Array:
        _same_shape(plane, shape)
        height, width = plane.shape
        start, stop = columns_inside(width, disparity)
        out = np.full((height, width), np.inf, np.float32)
        if start < stop:
            inside = plane[:, start:stop]
            full = np.pad(inside, ((0, 0), (start, width - stop)), mode="edge")
            out[:, start:stop] = apply(full)[:, start:stop]
        return out

    return support


def _same_shape(plane: Array, shape: tuple[int, int] | None) -> None:
    if shape is not None and plane.shape != shape:
        raise InputError(
            "differs in size from the image", field="plane", value=plane.shape, expected=str(shape)
        )


def _on_volume(volume: CostVolume, support: Support, threads: int | None) -> CostVolume:
    levels = volume.shape[2]
    workers = thread_count(threads)
    out = np.empty(volume.shape, np.float32)

    def chunk(i: int) -> None:
        part = slice(i * _SLICES, min((i + 1) * _SLICES, levels))
        # a copy even of a single slice: what came in is not ours to write to
        planes = np.array(volume.costs[..., part].transpose(2, 0, 1), order="C")
        for k, plane in enumerate(planes):
            planes[k] = support(plane, volume.first + part.start + k)
        out[..., part] = planes.transpose(1, 2, 0)

    run_blocks(chunk, -(-levels // _SLICES), workers)
    return CostVolume(out, volume.first)


def _guide(volume: CostVolume, view: View, color: bool) -> Array:
    height, width, _ = volume.shape
    if view.shape != (height, width):
        raise InputError(
            "differs in size from the volume",
            field="image size",
            value=f"{view.size[0]}x{view.size[1]}",
            expected=f"{width}x{height}",
        )
    return intensities(view, color=color)


def _positive(name: str, value: float) -> None:
    number = isinstance(value, int | float | np.number) and not isinstance(value, bool)
    if not number or not 0 < value <= 1e6:
        raise UsageError("is out of range", field=name, value=value, expected="0 < x <= 1e6")
