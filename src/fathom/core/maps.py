"""Maps of numbers over one view: disparity, depth, relative depth, sparse depth.

A value is finite or NaN, and NaN always means "unknown". Confidence is 0..1 and higher is better.
"""

from dataclasses import dataclass, replace
from enum import IntEnum
from typing import Any, Literal

import numpy as np

from fathom.core.arrays import Array, Bool, Float32, UInt8, as_map, frozen
from fathom.core.camera import StereoRig
from fathom.core.errors import InputError, UsageError
from fathom.core.uncertainty import DEFAULT_SIGMA_D, sigma_of_confidence

Ambiguity = Literal["scale", "affine", "affine_inverse"]


class Source(IntEnum):
    """Where a pixel's value comes from. What was not seen is never sold as seen."""

    UNKNOWN = 0
    MATCHED = 1
    FILLED = 2
    MONOCULAR = 3
    SPARSE = 4
    TRUTH = 5


class _Map:
    """What every dense map shares. Not a base of the public interface, only of this file."""

    values: Array
    confidence: Array | None
    source: Array | None

    def _check_layers(self) -> None:
        shape = self.values.shape
        if np.isinf(self.values).any():
            raise InputError(
                "holds infinite values", field="values", expected="finite numbers, NaN for unknown"
            )
        if self.confidence is not None:
            confidence = as_map(self.confidence, "confidence", shape=shape)
            if not bool(((confidence >= 0) & (confidence <= 1)).all()):
                raise InputError("leaves the range 0..1", field="confidence", expected="0..1")
            object.__setattr__(self, "confidence", confidence)
        if self.source is not None:
            source = np.asarray(self.source)
            if source.shape != shape or source.dtype != np.uint8:
                raise InputError(
                    "is not a code per pixel",
                    field="source",
                    value=f"{source.dtype} {source.shape}",
                    expected=f"uint8 {shape}",
                )
            object.__setattr__(self, "source", frozen(source))

    @property
    def shape(self) -> tuple[int, int]:
        """(height, width) in pixels."""
        return self.values.shape[0], self.values.shape[1]

    @property
    def known(self) -> Bool[np.ndarray, "h w"]:
        """True where there is a value."""
        return ~np.isnan(self.values)

    @property
    def measured(self) -> Bool[np.ndarray, "h w"]:
        """True where there is a value that was not filled in from its neighbours."""
        known = self.known
        return known if self.source is None else known & (self.source != Source.FILLED)

    @property
    def share_known(self) -> float:
        """Share of pixels with a value, 0..1."""
        return float(np.count_nonzero(self.known)) / self.values.size


@dataclass(frozen=True, eq=False)
class Disparity(_Map):
    """Disparity seen from the left view: x_left - x_right in pixels.

    values: float32 (h, w), finite of any sign, NaN = unknown. confidence: float32 (h, w), 0..1 =
    P(error <= 1 px). source: uint8 (h, w) of `Source` codes. range: the disparities [first, last]
    in pixels that were searched, where the map comes from a search.

    Raises `InputError` for infinite values, confidence outside 0..1 or layers of another size.
    """

    values: Float32[np.ndarray, "h w"]
    confidence: Float32[np.ndarray, "h w"] | None = None
    source: UInt8[np.ndarray, "h w"] | None = None
    range: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "values", as_map(self.values, "values"))
        self._check_layers()

    def to_depth(self, rig: StereoRig | None, *, sigma_d: float | None = None) -> "Depth":
        """Depth in metres seen from the left camera: Z = fx b / (d + doffs).

        Unknown disparities, and those at or behind infinity (d + doffs <= 0), give NaN.
        Confidence and source are carried along. sigma is sigma_Z = Z^2 sigma_d / (fx b), the
        first order of the propagation. sigma_d: standard deviation of the disparity in pixels, one
        for all; by default each pixel's, from its confidence (`core.uncertainty`), and
        `DEFAULT_SIGMA_D` for a map without confidence.

        Raises `UsageError` without a rig: metres need a calibration, and none is invented.
        Raises `InputError` if the rig is for another image size.
        """
        if rig is None:
            raise UsageError(
                "there is no calibration, so disparity cannot become metres",
                remedy="read the pair with calib=FILE, or give focal= and baseline=",
            )
        self._require(rig)
        depth = rig.depth_of(self.values)
        sigma = self._sigma(depth, rig, sigma_d)
        source = self.source
        if source is not None:
            source = np.where(np.isnan(depth), np.uint8(Source.UNKNOWN), source)
        return Depth(depth, sigma, self.confidence, source)

    def _sigma(self, depth: Array, rig: StereoRig, sigma_d: float | None) -> Array:
        factor = np.float32(1 / (rig.left.fx * rig.baseline))
        if sigma_d is None and self.confidence is not None:
            sigma = sigma_of_confidence(self.confidence)
            sigma *= factor
        else:
            one = DEFAULT_SIGMA_D if sigma_d is None else sigma_d
            sigma = np.full(depth.shape, factor * np.float32(one), np.float32)
        with np.errstate(over="ignore"):
            sigma *= depth
            sigma *= depth
        np.minimum(sigma, np.finfo(np.float32).max, out=sigma)
        return sigma

    def with_unknown(self, mask: Bool[np.ndarray, "h w"]) -> "Disparity":
        """The same map with the pixels of `mask` set to unknown (confidence 0)."""
        values = np.where(mask, np.float32(np.nan), self.values)
        confidence = self.confidence
        if confidence is not None:
            confidence = np.where(mask, np.float32(0), confidence)
        source = self.source
        if source is not None:
            source = np.where(mask, np.uint8(Source.UNKNOWN), source)
        return replace(self, values=values, confidence=confidence, source=source)

    def _require(self, rig: StereoRig) -> None:
        height, width = self.shape
        if rig.size != (width, height):
            raise InputError(
                "the calibration is for another image size",
                field="rig",
                value=f"{rig.size[0]}x{rig.size[1]}",
                expected=f"{width}x{height}",
            )


@dataclass(frozen=True, eq=False)
class Depth(_Map):
    """Depth along the optical axis of the view it belongs to, in metres.

    values: float32 (h, w), > 0, NaN = unknown. sigma: float32 (h, w), one standard deviation in
    metres. confidence and source as in `Disparity`.

    Raises `InputError` for values that are infinite, zero or negative, or layers of another size.
    """

    values: Float32[np.ndarray, "h w"]
    sigma: Float32[np.ndarray, "h w"] | None = None
    confidence: Float32[np.ndarray, "h w"] | None = None
    source: UInt8[np.ndarray, "h w"] | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "values", as_map(self.values, "values"))
        self._check_layers()
        if bool((self.values <= 0).any()):
            raise InputError(
                "holds zero or negative depths",
                field="values",
                value=float(np.nanmin(self.values)),
                expected="metres > 0, NaN for unknown",
            )
        if self.sigma is not None:
            object.__setattr__(self, "sigma", as_map(self.sigma, "sigma", shape=self.values.shape))

    @property
    def extent(self) -> tuple[float, float] | None:
        """Nearest and farthest known depth in metres; None if nothing is known."""
        known = self.values[self.known]
        return (float(known.min()), float(known.max())) if known.size else None


@dataclass(frozen=True, eq=False)
class RelativeDepth(_Map):
    """Depth up to an unknown transformation; only `geometry.align` makes it a `Depth`.

    values: float32 (h, w), NaN = unknown. ambiguity: "scale" (Z = s v), "affine" (Z = s v + t) or
    "affine_inverse" (1 / Z = s v + t).
    """

    values: Float32[np.ndarray, "h w"]
    ambiguity: Ambiguity
    confidence: Float32[np.ndarray, "h w"] | None = None
    source: UInt8[np.ndarray, "h w"] | None = None

    def __post_init__(self) -> None:
        if self.ambiguity not in ("scale", "affine", "affine_inverse"):
            raise InputError(
                "is no ambiguity fathom knows",
                field="ambiguity",
                value=self.ambiguity,
                expected="scale, affine or affine_inverse",
            )
        object.__setattr__(self, "values", as_map(self.values, "values"))
        self._check_layers()


@dataclass(frozen=True, eq=False)
class SparseDepth:
    """Depth at single pixels of one view: LiDAR, radar or hints.

    pixels: float32 (n, 2), x and y. depth: float32 (n,) metres > 0. sigma: float32 (n,) metres.

    Raises `InputError` for other shapes or depths that are not positive numbers.
    """

    pixels: Float32[np.ndarray, "n 2"]
    depth: Float32[np.ndarray, " n"]
    sigma: Float32[np.ndarray, " n"] | None = None

    def __post_init__(self) -> None:
        pixels = _rows(self.pixels, "pixels", 2)
        count = len(pixels)
        depth = _column(self.depth, "depth", count)
        if not bool((np.isfinite(depth) & (depth > 0)).all()):
            raise InputError("holds values that are not metres > 0", field="depth")
        object.__setattr__(self, "pixels", pixels)
        object.__setattr__(self, "depth", depth)
        if self.sigma is not None:
            object.__setattr__(self, "sigma", _column(self.sigma, "sigma", count))


def _rows(values: Any, name: str, width: int) -> Array:
    array = np.ascontiguousarray(values, dtype=np.float32)
    if array.ndim != 2 or array.shape[1] != width:
        raise InputError(
            "has a wrong shape", field=name, value=array.shape, expected=f"(n, {width})"
        )
    if not np.isfinite(array).all():
        raise InputError("holds values that are not finite", field=name)
    return frozen(array)


def _column(values: Any, name: str, count: int) -> Array:
    array = np.ascontiguousarray(values, dtype=np.float32)
    if array.shape != (count,):
        raise InputError("has a wrong shape", field=name, value=array.shape, expected=str((count,)))
    return frozen(array)
