"""A matcher asked about several looks of one pair: what most of them say alike is sure.

The views as they are, smoothed, and reduced, each matched from the left and from the right. A value
counts where both directions of a look agree; the answer is the mean of those that stand within a
pixel of their median, and its confidence the share of all looks that do. So it can teach on
pictures that the matcher does not know (noise, blur): `docs/training.md`. After test-time ensembles
(Radosavovic et al., "Data Distillation", CVPR 2018) with the left-right check in place of trust.
"""

from dataclasses import dataclass, replace

import numpy as np

from fathom.core.arrays import Array, Float32
from fathom.core.errors import UsageError
from fathom.core.estimator import StereoMatcher
from fathom.core.maps import Disparity
from fathom.core.pair import StereoPair
from fathom.geometry.consistency import left_right_difference
from fathom.geometry.resize import resize_pair

LOOKS = ((0.0, 1), (1.0, 1), (1.8, 1), (0.0, 2), (1.0, 2))
"""(sigma of the Gaussian in pixels of the reduced view, factor it is reduced by)."""
_AGREE = 1.0
_LEAST = 32  # pixels a side: no look is smaller


@dataclass(frozen=True)
class Consensus:
    """What most looks of a pair agree on; unknown where none passes its left-right check.

    matcher: any. looks: see `LOOKS`. agree: pixels within which values are the same.

    Raises `UsageError` without looks, or for one that cannot be made.
    """

    matcher: StereoMatcher
    looks: tuple[tuple[float, int], ...] = LOOKS
    agree: float = _AGREE

    def __post_init__(self) -> None:
        if not self.looks or any(sigma < 0 or factor < 1 for sigma, factor in self.looks):
            raise UsageError(
                "are no looks", field="looks", value=self.looks,
                expected="one or more of (sigma >= 0 px, factor >= 1)",
            )  # fmt: skip

    def __call__(self, pair: StereoPair, /) -> Disparity:
        """The disparity, and as its confidence the share of looks that agree with it. Raises as the
        matcher does."""
        found = np.stack([self._checked(pair, *look) for look in self.looks])
        middle = _median(found)
        with np.errstate(invalid="ignore"):
            alike = np.abs(found - middle) <= self.agree
        count = np.count_nonzero(alike, axis=0)
        mean = np.where(alike, found, np.float32(0)).sum(axis=0) / np.maximum(count, 1)
        known = count > 0
        values = np.where(known, mean, np.float32(np.nan)).astype(np.float32)
        return Disparity(values, (count / len(self.looks)).astype(np.float32))

    def _checked(self, pair: StereoPair, sigma: float, factor: int) -> Float32[np.ndarray, "h w"]:
        """The left disparity by one look, unknown where the right one contradicts it."""
        shape = pair.shape
        if min(shape) // factor < _LEAST:
            factor = 1
        seen = smoothed(pair if factor == 1 else resize_pair(pair, 1 / factor), sigma)
        left, right = both_ways(self.matcher, seen)
        if factor > 1:
            scale = np.float32(shape[1] / seen.shape[1])
            left, right = (scale * _enlarged(values, shape) for values in (left, right))
        difference = left_right_difference(left, right)
        return np.where(difference <= self.agree, left, np.float32(np.nan))


def both_ways(matcher: StereoMatcher, pair: StereoPair) -> tuple[Array, Array]:
    """The disparities of the left and of the right view, the latter by the mirrored pair; float32
    (h, w), NaN where unknown."""
    right = matcher(pair.mirrored()).values[:, ::-1]
    return matcher(pair).values, np.ascontiguousarray(right)


def smoothed(pair: StereoPair, sigma: float) -> StereoPair:
    """Both views, in 8 bits, after a Gaussian of so many pixels; 0 leaves them."""
    if sigma == 0:
        return pair
    import cv2

    views = [
        replace(view, image=cv2.GaussianBlur(view.rgb8, (0, 0), sigma))
        for view in (pair.left, pair.right)
    ]
    return replace(pair, left=views[0], right=views[1])


def _enlarged(values: Array, shape: tuple[int, int]) -> Array:
    import cv2

    out: Array = cv2.resize(values, shape[::-1], interpolation=cv2.INTER_LINEAR)
    return out


def _median(found: Float32[np.ndarray, "n h w"]) -> Float32[np.ndarray, "h w"]:
    """The lower median of the known values of each pixel, NaN where there are none: a value of
    one look, never between two surfaces."""
    ordered = np.sort(found, axis=0)  # NaN comes last
    count = np.count_nonzero(~np.isnan(found), axis=0)
    at = np.maximum(count - 1, 0) // 2
    out: Array = np.take_along_axis(ordered, at[None], axis=0)[0]
    return out
