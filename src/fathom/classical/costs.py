"""Matching costs: how unlike a pixel of the left view and one of the right are.

Each is a plain function of two aligned arrays (channels, h, w), written so that lower is better;
`cost_volume` slides the right one along the rows. Intensities are 0..255 whatever the bit depth,
so that thresholds mean the same. Costs over several channels are their mean.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from fathom.classical.aggregate import box_mean, check_window
from fathom.classical.memory import check_memory
from fathom.classical.parallel import run_blocks, thread_count
from fathom.classical.volume import CostVolume, columns_inside, intensities
from fathom.core.arrays import Array, Float32, Shaped
from fathom.core.errors import UsageError, unknown_name
from fathom.core.pair import StereoPair

CostName = Literal[
    "absolute",
    "squared",
    "ncc",
    "zncc",
    "census-5x5",
    "census-7x7",
    "census-9x7",
    "ad-census",
    "gradient",
    "birchfield-tomasi",
]
COSTS = (
    "absolute",
    "squared",
    "ncc",
    "zncc",
    "census-5x5",
    "census-7x7",
    "census-9x7",
    "ad-census",
    "gradient",
    "birchfield-tomasi",
)
CORRELATION_WINDOW = 9
"""Side in pixels of the window that is correlated where none is given."""

_ROWS = 32
_FLAT = 1e-3
"""Windows whose squared norm or variance (grey values squared) is below this correlate with
nothing: they hold no more than rounding."""

Features = tuple[Array, ...]


def absolute_difference(
    left: Float32[np.ndarray, "c h w"], right: Float32[np.ndarray, "c h w"]
) -> Float32[np.ndarray, "h w"]:
    """|l - r|, grey levels 0..255, mean over the channels."""
    return _mean(np.abs(left - right))


def squared_difference(
    left: Float32[np.ndarray, "c h w"], right: Float32[np.ndarray, "c h w"]
) -> Float32[np.ndarray, "h w"]:
    """(l - r)^2, grey levels squared, mean over the channels."""
    return _mean(np.square(left - right))


def census_bits(image: Float32[np.ndarray, "c h w"], columns: int, rows: int) -> Array:
    """Census transform (Zabih and Woodfill, ECCV 1994): bit set where a neighbour is darker.

    image: of any unit; only the order of values counts; borders are repeated outward. columns,
    rows: the window, at most 65 pixels, both odd. uint32 (up to 32 bits) or uint64 (c, h, w).
    """
    down, across = rows // 2, columns // 2
    size = 4 if rows * columns <= 33 else 8
    channels, height, width = image.shape
    out = np.zeros((channels, height, width, size), np.uint8)
    for channel, result in zip(image, out, strict=True):
        padded = np.pad(channel, ((down, down), (across, across)), mode="edge")
        shifts = [(y, x) for y in range(rows) for x in range(columns) if (y, x) != (down, across)]
        for start in range(0, len(shifts), 8):
            byte = np.zeros((height, width), np.uint8)
            for y, x in shifts[start : start + 8]:
                byte <<= 1
                byte |= padded[y : y + height, x : x + width] < channel
            result[..., start // 8] = byte
    bits: Array = out.view(np.uint32 if size == 4 else np.uint64)[..., 0]
    return bits


def hamming(
    left: Shaped[np.ndarray, "c h w"], right: Shaped[np.ndarray, "c h w"]
) -> Float32[np.ndarray, "h w"]:
    """Number of census bits that differ, mean over the channels."""
    return _mean(np.bitwise_count(left ^ right).astype(np.float32))


def ad_census(
    difference: Float32[np.ndarray, "h w"],
    census: Float32[np.ndarray, "h w"],
    lambda_difference: float = 10.0,
    lambda_census: float = 30.0,
) -> Float32[np.ndarray, "h w"]:
    """Absolute difference and census joined, 0..2: rho(c, lambda) = 1 - exp(-c / lambda) of each.

    Mei et al., "On Building an Accurate Stereo Matching System on Graphics Hardware", ICCV
    Workshops 2011, equation 3, with their lambdas (for 255 grey levels and a 9x7 census).
    """
    import cv2

    a, b = np.float32(-1 / lambda_difference), np.float32(-1 / lambda_census)
    out: Array = np.float32(2) - cv2.exp(difference * a) - cv2.exp(census * b)
    return out


def slopes(image: Float32[np.ndarray, "c h w"]) -> Float32[np.ndarray, "c h w"]:
    """Derivative along the row by central differences, grey levels a pixel, borders repeated."""
    padded = np.pad(image, ((0, 0), (0, 0), (1, 1)), mode="edge")
    out: Array = (padded[..., 2:] - padded[..., :-2]) * np.float32(0.5)
    return out


def gradient_difference(
    left: tuple[Float32[np.ndarray, "c h w"], Float32[np.ndarray, "c h w"]],
    right: tuple[Float32[np.ndarray, "c h w"], Float32[np.ndarray, "c h w"]],
    weight: float = 0.9,
    largest: float = 7.0,
    largest_slope: float = 2.0,
) -> Float32[np.ndarray, "h w"]:
    """(1 - weight) min(|l - r|, largest) + weight min(|l' - r'|, largest_slope), grey levels.

    left, right: intensities and `slopes`. Hosni et al., "Fast Cost-Volume Filtering for Visual
    Correspondence and Beyond", PAMI 2013, equations 2 to 4, with their constants.
    """
    plain = np.minimum(absolute_difference(left[0], right[0]), np.float32(largest))
    slope = np.minimum(absolute_difference(left[1], right[1]), np.float32(largest_slope))
    out: Array = np.float32(1 - weight) * plain + np.float32(weight) * slope
    return out


def half_pixel_range(
    image: Float32[np.ndarray, "c h w"],
) -> tuple[Float32[np.ndarray, "c h w"], Float32[np.ndarray, "c h w"]]:
    """Least and largest intensity within half a pixel to either side, linearly interpolated."""
    padded = np.pad(image, ((0, 0), (0, 0), (1, 1)), mode="edge")
    before = (padded[..., :-2] + image) * np.float32(0.5)
    after = (padded[..., 2:] + image) * np.float32(0.5)
    least: Array = np.minimum(np.minimum(before, after), image)
    largest: Array = np.maximum(np.maximum(before, after), image)
    return least, largest


def birchfield_tomasi(left: Features, right: Features) -> Float32[np.ndarray, "h w"]:
    """Difference that does not depend on where the pixel grid lies, grey levels.

    left, right: (intensities, least, largest), the latter from `half_pixel_range`, each (c, h, w).
    Birchfield and Tomasi, "A Pixel Dissimilarity Measure That Is Insensitive to Image Sampling",
    PAMI 1998: the smaller of max(0, l - r_max, r_min - l) and the same with l and r exchanged.
    """
    (a, a_low, a_high), (b, b_low, b_high) = left, right
    there = np.maximum(np.maximum(a - b_high, b_low - a), 0)
    back = np.maximum(np.maximum(b - a_high, a_low - b), 0)
    return _mean(np.minimum(there, back))


def window_moments(image: Float32[np.ndarray, "c h w"], window: int, *, centred: bool) -> Features:
    """What correlation needs of one view: float64 (intensities, mean, 1 / norm), each (c, h, w).

    The mean over the window and the root of the mean square (of the variance, if `centred`; the
    mean is 0 otherwise). Where the window is flat 1 / norm is 0. All are continued by window // 2
    pixels to each side; the moments are not meant there.
    """
    radius = window // 2
    padded = np.pad(image, ((0, 0), *((radius, radius),) * 2), mode="edge").astype(np.float64)
    mean = np.stack([_box64(c, window) for c in padded])
    power = np.stack([_box64(c * c, window) for c in padded])
    if centred:
        power -= mean * mean
    else:
        mean = np.zeros_like(mean)
    with np.errstate(divide="ignore", invalid="ignore"):
        inverse = np.where(power > _FLAT, 1 / np.sqrt(np.maximum(power, 0)), 0)
    return padded, mean, inverse


def correlation(left: Features, right: Features, window: int) -> Float32[np.ndarray, "h w"]:
    """1 - (zero-mean) normalised cross-correlation of the windows around each pixel, 0..2.

    left, right: from `window_moments`, window // 2 pixels larger on each side than the result. A
    flat window has correlation 0.
    """
    radius = window // 2
    out = np.zeros(tuple(n - 2 * radius for n in left[0].shape[1:]))
    inner = tuple(slice(radius, radius + n) for n in out.shape)
    for a, b, mean_a, mean_b, scale_a, scale_b in zip(
        left[0], right[0], left[1], right[1], left[2], right[2], strict=True
    ):
        shared = _box64(a * b, window)[inner] - mean_a[inner] * mean_b[inner]
        out += shared * (scale_a[inner] * scale_b[inner])
    distance: Array = np.clip(1 - out / len(left[0]), 0, 2).astype(np.float32)
    return distance


@dataclass(frozen=True, eq=False)
class Matching:
    """A pair made ready for one cost, to be compared at any rows and disparities.

    left, right: features (c, h + 2 border, w + 2 border). compare: aligned features -> costs.
    window: side of the box over which costs are averaged.
    """

    left: Features
    right: Features
    compare: Callable[[Features, Features], Array]
    shape: tuple[int, int]
    border: int = 0
    window: int = 1

    def plane(self, disparity: int, top: int, bottom: int) -> Float32[np.ndarray, "h w"]:
        """Costs of the rows top..bottom-1 at one disparity.

        inf where the match falls outside the right image. Costs are averaged over the window
        where it lies in the image and its matches do too; the outermost of them are repeated.
        """
        height, width = self.shape
        out = np.full((bottom - top, width), np.inf, np.float32)
        start, stop = columns_inside(width, disparity)
        if start == stop:
            return out
        reach = self.window // 2
        low, high = max(top - reach, 0), min(bottom + reach, height)
        rows = slice(low, high + 2 * self.border)
        here = slice(start, stop + 2 * self.border)
        there = slice(start - disparity, stop - disparity + 2 * self.border)
        costs = self.compare(
            tuple(f[:, rows, here] for f in self.left),
            tuple(f[:, rows, there] for f in self.right),
        )
        out[:, start:stop] = box_mean(costs, self.window)[top - low : bottom - low]
        return out

    def planes(self, first: int, end: int, top: int, bottom: int) -> Float32[np.ndarray, "d h w"]:
        """`plane` at each of the disparities first..end-1."""
        out = np.empty((end - first, bottom - top, self.shape[1]), np.float32)
        for plane, disparity in zip(out, range(first, end), strict=True):
            plane[:] = self.plane(disparity, top, bottom)
        return out

    @property
    def bytes_held(self) -> int:
        """Memory in bytes of the features."""
        return sum(f.nbytes for f in (*self.left, *self.right))


def prepare(
    pair: StereoPair, cost: CostName, *, window: int | None = None, color: bool = False
) -> Matching:
    """The pair's features for a cost. Parameters and errors as `cost_volume`."""
    if cost not in COSTS:
        raise unknown_name("cost", str(cost), list(COSTS))
    correlated = cost in ("ncc", "zncc")
    side = (CORRELATION_WINDOW if correlated else 1) if window is None else check_window(window)
    views = [intensities(view, color=color) for view in (pair.left, pair.right)]
    if correlated:
        left, right = (window_moments(v, side, centred=cost == "zncc") for v in views)
        compare = lambda a, b: correlation(a, b, side)  # noqa: E731
        return Matching(left, right, compare, pair.shape, border=side // 2)
    features, compare = _PIXELWISE[cost]
    left, right = (features(v) for v in views)
    return Matching(left, right, compare, pair.shape, window=side)


def cost_volume(
    pair: StereoPair,
    cost: CostName,
    first: int,
    end: int,
    *,
    window: int | None = None,
    color: bool = False,
    threads: int | None = None,
    memory_limit: int | None = None,
) -> CostVolume:
    """The costs of every pixel at the disparities first..end-1 (pixels, of any sign).

    cost: "absolute", "squared" (grey levels), "ncc", "zncc" (1 - correlation), "census-5x5",
    "census-7x7", "census-9x7" (bits), "ad-census" (0..2), "gradient", "birchfield-tomasi" (grey
    levels). window: odd side in pixels of the box over which costs are averaged, default 1; for
    ncc and zncc of the window that is correlated, default 9. color: compare the three channels
    (mean of their costs) instead of the grey values. threads: default all processors; they do not
    change the result. memory_limit: bytes; default 80 % of what is available.

    Raises `UsageError` for an unknown cost, a window that is not odd, or a range without
    disparities; `ResourceError` if the volume exceeds the limit.
    """
    if end <= first:
        raise UsageError(
            "leaves no disparities", field="end", value=end, expected=f"more than first = {first}"
        )
    workers = thread_count(threads)
    height, width = pair.shape
    levels = end - first
    rows = min(_ROWS, height)
    need = 4 * levels * width * (height + workers * rows) + 200 * height * width
    check_memory(pair, levels, need, memory_limit)
    matching = prepare(pair, cost, window=window, color=color)
    out = np.empty((height, width, levels), np.float32)

    def strip(i: int) -> None:
        top, bottom = i * rows, min((i + 1) * rows, height)
        out[top:bottom] = matching.planes(first, end, top, bottom).transpose(1, 2, 0)

    run_blocks(strip, -(-height // rows), workers)
    return CostVolume(out, first)


def _mean(channels: Array) -> Array:
    out: Array = channels[0] if len(channels) == 1 else channels.mean(axis=0, dtype=np.float32)
    return out


def _box64(plane: Array, window: int) -> Array:
    import cv2

    out: Array = cv2.boxFilter(plane, cv2.CV_64F, (window, window), borderType=cv2.BORDER_REPLICATE)
    return out


def _census_pair(columns: int, rows: int) -> tuple[Callable[..., Features], Callable[..., Array]]:
    return lambda v: (census_bits(v, columns, rows),), lambda a, b: hamming(a[0], b[0])


_PIXELWISE: dict[str, tuple[Callable[..., Features], Callable[..., Array]]] = {
    "absolute": (lambda v: (v,), lambda a, b: absolute_difference(a[0], b[0])),
    "squared": (lambda v: (v,), lambda a, b: squared_difference(a[0], b[0])),
    "census-5x5": _census_pair(5, 5),
    "census-7x7": _census_pair(7, 7),
    "census-9x7": _census_pair(9, 7),
    "ad-census": (
        lambda v: (v, census_bits(v, 9, 7)),
        lambda a, b: ad_census(absolute_difference(a[0], b[0]), hamming(a[1], b[1])),
    ),
    "gradient": (lambda v: (v, slopes(v)), gradient_difference),
    "birchfield-tomasi": (lambda v: (v, *half_pixel_range(v)), birchfield_tomasi),
}
