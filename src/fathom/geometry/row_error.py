"""How far the rows of matched points are apart, before and after rectification."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from fathom.core.arrays import Array, Float64

LEAST = 20
"""Fewer points tell nothing about a whole image."""


@dataclass(frozen=True)
class RowError:
    """Distances in pixels across the direction of matching, of points in both images.

    median, most: of their absolute values the median, and what 90 % stay below; a few wrong
    matches move neither. points: how many.
    """

    median: float
    most: float
    points: int

    def as_dict(self) -> dict[str, Any]:
        """Plain numbers, with their unit in the names."""
        return {"median_px": self.median, "below_90_percent_px": self.most, "points": self.points}

    def __str__(self) -> str:
        return f"{self.median:.2f} px (median; 90 % below {self.most:.2f})"


def row_error(differences: Float64[np.ndarray, " n"]) -> RowError | None:
    """The error of row differences in pixels; None for fewer than `LEAST` of them."""
    if len(differences) < LEAST:
        return None
    size = np.abs(differences)
    median, most = np.quantile(size, (0.5, 0.9))
    return RowError(float(median), float(most), len(differences))


def one_geometry(left: Float64[np.ndarray, "n 2"], right: Float64[np.ndarray, "n 2"]) -> Array:
    """Bool (n,): the matches that agree with one epipolar geometry, whichever it is.

    It knows nothing of a calibration, so that the rows it keeps may still disagree. Points of
    images without distortion, found by MAGSAC (Barath et al., CVPR 2020) to a pixel.
    """
    import cv2

    if len(left) < LEAST:
        return np.zeros(len(left), dtype=bool)
    found: Any = cv2.findFundamentalMat(left, right, cv2.USAC_MAGSAC, 1.0, 0.999, 10_000)
    mask = found[1]
    if mask is None:
        return np.zeros(len(left), dtype=bool)
    out: Array = np.asarray(mask).ravel() > 0
    return out
