"""The matching cost of every pixel at every disparity: what the textbook's steps hand on.

Scharstein and Szeliski, "A Taxonomy and Evaluation of Dense Two-Frame Stereo Correspondence
Algorithms", IJCV 2002: costs, aggregation, optimisation, refinement.
"""

from dataclasses import dataclass

import numpy as np

from fathom.core.arrays import Array, Float32
from fathom.core.errors import InputError
from fathom.core.pair import View


@dataclass(frozen=True, eq=False)
class CostVolume:
    """Matching costs over the left view.

    costs: float32 (h, w, d), lower is better; `np.inf` where the match x - disparity falls
    outside the right image, and nowhere else. C order where fathom makes it. first: disparity of
    slice 0 in pixels, of any sign; slice i belongs to disparity first + i.

    Raises `InputError` for another type, number of axes, or an empty volume.
    """

    costs: Float32[np.ndarray, "h w d"]
    first: int = 0

    def __post_init__(self) -> None:
        costs = self.costs
        if costs.dtype != np.float32 or costs.ndim != 3 or costs.size == 0:
            raise InputError(
                "is no cost volume",
                field="costs",
                value=f"{costs.dtype} {costs.shape}",
                expected="float32 (height, width, disparities), none of them 0",
            )

    @property
    def shape(self) -> tuple[int, int, int]:
        """(height, width, disparities)."""
        height, width, levels = self.costs.shape
        return height, width, levels

    @property
    def range(self) -> tuple[int, int]:
        """First and last disparity in pixels."""
        return self.first, self.first + self.costs.shape[2] - 1


def columns_inside(width: int, disparity: int) -> tuple[int, int]:
    """First column and the one after the last whose match lies in a right image of that width.

    0 <= x - disparity < width. Both are equal where there is none.
    """
    start = min(max(disparity, 0), width)
    return start, max(min(width, width + disparity), start)


def intensities(view: View, *, color: bool = False) -> Float32[np.ndarray, "c h w"]:
    """The view's grey values (one channel) or colours (three), 0..255; 16-bit values / 257."""
    image = view.image.transpose(2, 0, 1) if color else view.gray[None]
    out: Array = np.ascontiguousarray(image, dtype=np.float32)
    return out / np.float32(257) if view.image.dtype == np.uint16 else out
