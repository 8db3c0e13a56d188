"""Confidence for a matcher that has none of its own, from a second look through a mirror."""

from dataclasses import dataclass

import numpy as np

from fathom.classical.confidence import with_filled
from fathom.core.arrays import Array, Float32
from fathom.core.estimator import StereoMatcher
from fathom.core.maps import Disparity
from fathom.core.pair import StereoPair
from fathom.geometry.consistency import left_right_difference

# P(error <= 1 px) for left-right differences in pixels, and for pixels that the right view says
# nothing about: shares of right pixels, mean over Motorcycle, 23 Middlebury pairs and
# both OpenCV matchers (experiments/fit_flip.py, which was chosen and judged on the same pairs).
_DIFFERENCE = np.array([0.0, 0.5, 1.0, 2.0, 4.0], dtype=np.float32)
_MATCHED = np.array([0.96, 0.82, 0.57, 0.34, 0.33], dtype=np.float32)
_UNSEEN = np.float32(0.65)


@dataclass(frozen=True)
class FlipConfidence:
    """A matcher with the confidence of a left-right check by mirroring.

    The matcher is asked twice: for the pair, and for the pair in a mirror (views exchanged and
    flipped), whose answer is the right view's disparity. Where both agree, the left answer is
    likely right. It costs a second run.
    """

    matcher: StereoMatcher

    def __call__(self, pair: StereoPair) -> Disparity:
        disparity = self.matcher(pair)
        difference = mirror_difference(self.matcher, pair, disparity)
        return with_filled(disparity, confidence_of_difference(difference))


def mirror_difference(
    matcher: StereoMatcher, pair: StereoPair, disparity: Disparity
) -> Float32[np.ndarray, "h w"]:
    """How far, in pixels, the matcher's disparity of the pair is from what it finds for the right
    view, by asking it for the pair in a mirror; NaN where either says nothing or only filled in."""
    mirrored = matcher(pair.mirrored())
    right = np.where(mirrored.measured, mirrored.values, np.float32(np.nan))[:, ::-1]
    return left_right_difference(disparity.values, right)


def confidence_of_difference(difference: Float32[np.ndarray, "h w"]) -> Float32[np.ndarray, "h w"]:
    """P(error <= 1 px), 0..1, of a left-right difference in pixels (NaN = nothing to compare)."""
    seen = ~np.isnan(difference)
    table: Array = np.interp(np.where(seen, difference, 0), _DIFFERENCE, _MATCHED)
    return np.where(seen, table, _UNSEEN).astype(np.float32)
