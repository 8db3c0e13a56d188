"""Errors of any map by region and by window, whatever its unit: for depths as for disparities."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from fathom.core.arrays import Array, Bool, Float32
from fathom.core.errors import InputError, UsageError
from fathom.eval.metrics import require_same_size
from fathom.eval.regions import Box

_CAP = 10.0  # errors count up to so many times the threshold: one wild pixel is no region


def worst_windows(
    error: Float32[np.ndarray, "h w"],
    judged: Bool[np.ndarray, "h w"],
    threshold: float,
    *,
    count: int = 3,
    side: int | None = None,
) -> tuple[Box, ...]:
    """Up to `count` square windows with the largest sum of errors, worst first, not overlapping.

    Where nearly every pixel is off by more than a threshold, as those of one-view methods are, the
    share of wrong ones (`regions.worst_boxes`) tells no window from another; how far they are off
    does. error: absolute, NaN unknown, of any unit; it counts up to 10 times the threshold, which
    is also what an unknown pixel counts. judged: where there is truth. side: in pixels; None takes
    an eighth of the image's smaller side, at least 16. `bad` is the share of the judged pixels of
    the window above the threshold or unknown. Windows without one are not given.

    Raises `InputError` for maps of different size, `UsageError` for a side, count or threshold
    that is not positive.
    """
    import cv2

    require_same_size((error.shape[0], error.shape[1]), (judged.shape[0], judged.shape[1]))
    for name, value in (("count", count), ("side", 1 if side is None else side)):
        if value < 1:
            raise UsageError("is below 1", field=name, value=value, expected="1 or more")
    if not threshold > 0:
        raise UsageError("is not positive", field="threshold", value=threshold, expected="> 0")
    height, width = judged.shape
    side = min(max(16, min(height, width) // 8) if side is None else side, height, width)
    wrong = judged & ~(error <= threshold)
    weight = np.where(np.isnan(error), _CAP, np.minimum(error / threshold, _CAP))
    weight = np.where(judged, weight, 0.0)

    def sums(values: Array) -> Array:
        table = cv2.integral(values.astype(np.float64), sdepth=cv2.CV_64F)
        total: Array = (
            table[side:, side:]
            - table[:-side, side:]
            - table[side:, :-side]
            + table[:-side, :-side]
        )
        return total

    bad, seen, left = sums(wrong), sums(judged), sums(weight)
    left[bad < 0.5] = 0
    boxes: list[Box] = []
    while len(boxes) < count:
        y, x = (int(i) for i in np.unravel_index(int(left.argmax()), left.shape))
        if left[y, x] <= 0:
            break
        boxes.append(Box(x, y, side, side, float(bad[y, x] / seen[y, x])))
        left[max(0, y - side + 1) : y + side, max(0, x - side + 1) : x + side] = 0
    return tuple(boxes)


@dataclass(frozen=True)
class RegionRow:
    """One map in one region.

    pixels: with truth in it; share: of all pixels with truth. error: mean error of the known ones.
    bad: share 0..1 above the threshold or unknown. known: share. NaN for an empty region.
    """

    name: str
    pixels: int
    share: float
    error: float
    bad: float
    known: float


def region_rows(
    error: Float32[np.ndarray, "h w"],
    judged: Bool[np.ndarray, "h w"],
    found: Mapping[str, Array],
    threshold: float,
) -> tuple[RegionRow, ...]:
    """The error in every region, `all` first; error, judged and threshold as in `worst_windows`.

    Raises `InputError` for maps or regions of different size.
    """
    require_same_size((error.shape[0], error.shape[1]), (judged.shape[0], judged.shape[1]))
    total = max(int(np.count_nonzero(judged)), 1)
    rows = []
    for name, mask in {"all": judged, **found}.items():
        if mask.shape != judged.shape:
            raise InputError(
                "differs in size from the truth", field=f"region {name}", value=mask.shape,
                expected=str(judged.shape),
            )  # fmt: skip
        errors = error[mask & judged]
        known = errors[~np.isnan(errors)].astype(np.float64)
        count, nan = errors.size, float("nan")
        rows.append(
            RegionRow(
                name,
                count,
                count / total,
                float(known.mean()) if known.size else nan,
                float(1 - np.count_nonzero(known <= threshold) / count) if count else nan,
                known.size / count if count else nan,
            )
        )
    return tuple(rows)
