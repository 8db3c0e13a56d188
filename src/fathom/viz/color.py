"""Colours for numbers: tables, scales with ticks, and maps painted through them."""

import math
from dataclasses import dataclass
from functools import cache
from typing import Literal

import numpy as np

from fathom.core.arrays import Array, Bool, Float32, Num, UInt8
from fathom.core.errors import UsageError, unknown_name

RGB = tuple[int, int, int]
UNKNOWN: RGB = (40, 40, 40)
"""Colour of pixels without a value; no table holds it, so that it cannot be read as a number."""

_OPENCV = {"turbo": "COLORMAP_TURBO", "viridis": "COLORMAP_VIRIDIS", "inferno": "COLORMAP_INFERNO"}
# Pale for small and dark red for large errors: good stays in the background, bad stands out.
_ERROR_ANCHORS = ((236, 243, 250), (253, 216, 120), (230, 85, 40), (110, 0, 20))
COLOR_MAPS = ("turbo", "viridis", "inferno", "gray", "error")

_PERCENTILE_SAMPLES = 100_000


@dataclass(frozen=True)
class Tick:
    """One mark of a colour bar. at: 0 (low end of the bar) to 1 (high end). label: its number."""

    at: float
    label: str


@dataclass(frozen=True)
class Scale:
    """How numbers become colours, and colours are read back as numbers.

    low, high: the numbers at the ends of the bar. cmap: one of `COLOR_MAPS`. law: "linear", or
    "log" (equal ratios look equal). reverse: the warm end of the table stands for low; depth is
    shown so, since near should be warm.

    Raises `UsageError` for a range that is empty, not finite or, for "log", not positive, and for
    an unknown colour map.
    """

    low: float
    high: float
    cmap: str = "turbo"
    law: Literal["linear", "log"] = "linear"
    reverse: bool = False

    def __post_init__(self) -> None:
        _check_range(self.low, self.high)
        table(self.cmap)
        if self.law == "log" and self.low <= 0:
            raise UsageError(
                "a logarithmic scale cannot reach zero",
                field="low",
                value=self.low,
                expected="a number > 0",
            )

    def positions(self, values: Num[np.ndarray, "..."]) -> Float32[np.ndarray, "..."]:
        """Where values lie on the bar: 0 at `low`, 1 at `high`, beyond them outside; NaN stays.

        On a logarithmic scale values that are not positive lie at -inf.
        """
        numbers = np.asarray(values, dtype=np.float32)
        low, high = self._bend(self.low), self._bend(self.high)
        if self.law == "log":
            with np.errstate(divide="ignore"):
                numbers = np.log(np.maximum(numbers, np.float32(0)))
        out: Array = (numbers - np.float32(low)) * np.float32(1 / (high - low))
        return out

    def paint(
        self,
        values: Num[np.ndarray, "h w"],
        unknown: RGB = UNKNOWN,
        pale: Bool[np.ndarray, "h w"] | None = None,
    ) -> UInt8[np.ndarray, "h w 3"]:
        """`values` as colours; NaN in the colour `unknown`, numbers beyond the ends clipped.

        Pixels of `pale` are mixed with white by half: readable on the bar, but visibly apart.
        """
        entries = np.concatenate([self.colors(), np.array([unknown], dtype=np.uint8)])
        positions = self.positions(values)
        index = np.rint(np.clip(positions, 0, 1) * np.float32(255))
        np.copyto(index, np.float32(256), where=np.isnan(positions))
        codes = index.astype(np.uint16)
        if pale is not None:
            # A second set of colours costs nothing a pixel; mixing each pixel would.
            entries = np.concatenate([entries, 255 - (255 - entries) // 2])
            codes += pale.astype(np.uint16) * np.uint16(257)
        out: Array = entries.take(codes, axis=0)
        return out

    def colors(self) -> UInt8[np.ndarray, "256 3"]:
        """The colours from the low to the high end of the bar."""
        colors = table(self.cmap)
        return colors[::-1] if self.reverse else colors

    def ticks(self, count: int = 5) -> list[Tick]:
        """At most about `count` round numbers with their places on the bar."""
        numbers = (
            _log_ticks(self.low, self.high, count)
            if self.law == "log"
            else nice_ticks(self.low, self.high, count)
        )
        low, high = self._bend(self.low), self._bend(self.high)
        places = [(self._bend(v) - low) / (high - low) for v in numbers]
        labels = tick_labels(numbers)
        return [Tick(min(max(p, 0.0), 1.0), s) for p, s in zip(places, labels, strict=True)]

    def _bend(self, value: float) -> float:
        return math.log(value) if self.law == "log" else float(value)


@cache
def table(cmap: str) -> UInt8[np.ndarray, "256 3"]:
    """The 256 RGB colours of a colour map, read-only.

    turbo (Mikhailov 2019), viridis and inferno come from OpenCV. Raises `UsageError` for a name
    that is not in `COLOR_MAPS`.
    """
    if cmap not in COLOR_MAPS:
        raise unknown_name("colour map", cmap, list(COLOR_MAPS))
    ramp = np.arange(256, dtype=np.uint8)
    if cmap == "gray":
        colors = np.repeat(ramp[:, None], 3, axis=1)
    elif cmap == "error":
        at = np.linspace(0, 255, len(_ERROR_ANCHORS))
        channels = [np.interp(ramp, at, anchors) for anchors in zip(*_ERROR_ANCHORS, strict=True)]
        colors = np.rint(np.stack(channels, axis=1)).astype(np.uint8)
    else:
        import cv2

        bgr = cv2.applyColorMap(ramp[:, None], getattr(cv2, _OPENCV[cmap]))
        colors = np.ascontiguousarray(bgr[:, 0, ::-1], dtype=np.uint8)
    colors.flags.writeable = False
    return colors


def colorize(
    values: Float32[np.ndarray, "h w"],
    low: float,
    high: float,
    cmap: str = "turbo",
    unknown: RGB = UNKNOWN,
) -> UInt8[np.ndarray, "h w 3"]:
    """`values` as colours of `cmap` between `low` and `high`, linearly.

    Numbers beyond the ends take the colour of the end, NaN the colour `unknown`. Raises
    `UsageError` for an empty range or an unknown colour map.
    """
    return Scale(low, high, cmap).paint(values, unknown)


def robust_range(
    values: Num[np.ndarray, "..."], low_percentile: float = 1, high_percentile: float = 99
) -> tuple[float, float]:
    """(low, high) that most finite values lie between; low < high always.

    Without finite values (0, 1). A constant map gets a range around its value that keeps its
    sign. Maps of more than 100,000 values are sampled at an even stride.
    """
    values = np.asarray(values)
    stride = max(1, values.size // _PERCENTILE_SAMPLES)
    while stride > 1 and math.gcd(stride, values.shape[-1]) > 1:
        stride += 1  # a common factor would visit the same columns in every row
    known = values.ravel()[::stride].astype(np.float64)
    known = known[np.isfinite(known)]
    if known.size == 0:
        return 0.0, 1.0
    low, high = (float(v) for v in np.percentile(known, (low_percentile, high_percentile)))
    if high - low <= 1e-6 * max(abs(low), abs(high)):
        pad = 0.05 * max(abs(low), abs(high)) or 0.5
        low, high = low - pad, high + pad
    return low, high


def depth_scale(values: Num[np.ndarray, "..."]) -> Scale:
    """The scale depth is shown on: logarithmic, near is warm, 1st to 99th percentile.

    A linear scale would spend most colours on the far end, where stereo knows least; an inverse
    one would repeat the picture of the disparity.
    """
    low, high = robust_range(values)
    if not low > 0:
        low, high = 0.1, max(high, 1.0)
    return Scale(low, high, "turbo", "log", reverse=True)


def disparity_scale(values: Num[np.ndarray, "..."]) -> Scale:
    """The scale disparity is shown on: linear, large (near) is warm, 1st to 99th percentile."""
    low, high = robust_range(values)
    return Scale(low, high, "turbo")


def nice_ticks(low: float, high: float, n: int = 5) -> list[float]:
    """At most `n` (2 or more) evenly spaced round numbers in [low, high], at least one.

    The step is 1, 2 or 5 times a power of ten. Raises `UsageError` for an empty range.
    """
    _check_range(low, high)
    n = max(n, 2)
    # Divided before subtracting, so that the widest float range does not overflow.
    exponent = math.floor(math.log10(max(high / n - low / n, 1e-300))) - 1
    while True:
        for mantissa in (1, 2, 5):
            step = mantissa * 10.0**exponent
            first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
            if last - first < n:
                return [_multiple(i, mantissa, exponent, low, high) for i in range(first, last + 1)]
        exponent += 1


def tick_labels(numbers: list[float]) -> list[str]:
    """Labels with as few digits as tell the numbers apart, all with the same number of decimals
    unless they span more than a decade."""
    if not numbers:
        return []
    largest = max(abs(v) for v in numbers)
    if largest >= 1e5 or largest < 1e-3:
        return [f"{v:.4g}" for v in numbers]
    decimals = max(_decimals(v) for v in numbers)
    if len(numbers) > 1 and min(numbers) > 0 and largest / min(numbers) > 10:
        return [f"{v:g}" for v in numbers]
    return [f"{v + 0.0:.{decimals}f}" for v in numbers]


def _decimals(value: float) -> int:
    text = f"{value:.6f}".rstrip("0")
    return len(text) - text.index(".") - 1


def _multiple(i: int, mantissa: int, exponent: int, low: float, high: float) -> float:
    # Division keeps 0.3 what it is where 3 * 0.1 would not.
    value = i * mantissa * 10.0**exponent if exponent >= 0 else i * mantissa / 10.0**-exponent
    return min(max(value, low), high)


def _log_ticks(low: float, high: float, n: int) -> list[float]:
    if high / low < 8:
        return nice_ticks(low, high, n)
    n = max(n, 2)
    first, last = math.floor(math.log10(low)), math.floor(math.log10(high))
    for mantissas in ((1, 2, 5), (1, 3), (1,)):
        found = [m * 10.0**e for e in range(first, last + 1) for m in mantissas]
        found = [v for v in found if low <= v <= high]
        if 2 <= len(found) <= n + 1:
            return found
    if last - first < n:
        return nice_ticks(low, high, n)
    stride = math.ceil((last - first) / n)
    return [10.0**e for e in range(first + 1, last + 1, stride)]


def _check_range(low: float, high: float) -> None:
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise UsageError(
            "is no range to show numbers in",
            field="low, high",
            value=f"{low}, {high}",
            expected="two finite numbers, low < high",
        )
