"""Are depth edges where they belong, and is nothing hanging in the air beside them?"""

import numpy as np

from fathom.core.arrays import Array, Bool, Float32
from fathom.core.errors import UsageError
from fathom.eval.metrics import require_same_size

THRESHOLDS = tuple(float(t) for t in np.linspace(1.05, 1.25, 10))
_MOST = len(THRESHOLDS)
_LIMITS = np.log(np.array(THRESHOLDS, np.float32))
_SMALLEST = np.float32(1e-6)


def boundary_f1(
    estimate: Float32[np.ndarray, "h w"],
    truth: Float32[np.ndarray, "h w"],
    mask: Bool[np.ndarray, "h w"] | None = None,
) -> float:
    """Depth-edge F1, 0..1, bigger is better: Bochkovskii et al., "Depth Pro", ICLR 2025, section 4.

    estimate, truth: inverse depth, up to a factor: disparity plus doffs, or 1 / Z; NaN unknown. Two
    neighbours make an edge if their ratio exceeds t; precision and recall are taken for each of the
    four directions "this side is nearer" and averaged, F1 from them, and the mean over ten t from
    1.05 to 1.25 weighted by t. An edge must be met to the pixel. Unknown pixels have no edges, so
    an unknown one of the estimate costs recall; pairs without truth (or outside `mask`) are not
    judged. Values below 1e-6 count as 1e-6, as in the authors' code; 0 where nothing is met.

    Raises `InputError` for maps of different size.
    """
    require_same_size((estimate.shape[0], estimate.shape[1]), (truth.shape[0], truth.shape[1]))
    judged = ~np.isnan(truth)
    if mask is not None:
        judged &= mask
    logs = [np.log(np.maximum(m, _SMALLEST)) for m in (estimate, truth)]
    # Per axis, how many pairs have which level in the estimate and which in the truth.
    tables = [_joint_levels(logs[0], logs[1], judged, axis) for axis in (0, 1)]
    scores = np.array([_met_found_there(t) for table in tables for t in (table, table[::-1, ::-1])])
    met, found, there = scores.transpose(1, 0, 2)
    recall = (met / np.maximum(there, 1)).mean(axis=0)
    precision = (met / np.maximum(found, 1)).mean(axis=0)
    total = recall + precision
    f1 = np.divide(2 * recall * precision, total, out=np.zeros_like(total), where=total > 0)
    weights = np.array(THRESHOLDS)
    return float(f1 @ (weights / weights.sum()))


def _joint_levels(estimate: Array, truth: Array, judged: Array, axis: int) -> Array:
    """Pairs of neighbours by signed level: [10 + level in the estimate, 10 + level in the truth].

    A level says how many thresholds the step exceeds; its sign, which side is nearer. estimate,
    truth: logarithms. Pairs that no map has an edge at are left out.
    """
    steps = [np.diff(m, axis=axis) for m in (estimate, truth)]
    both = judged[1:] & judged[:-1] if axis == 0 else judged[:, 1:] & judged[:, :-1]
    lowest = _LIMITS[0]
    near = (np.abs(steps[0]) > lowest) | (np.abs(steps[1]) > lowest)
    a, b = (s.reshape(-1)[np.flatnonzero(near & both)] for s in steps)
    a = np.where(np.isnan(a), np.float32(0), a)
    codes = [
        _MOST + np.sign(s).astype(np.intp) * np.searchsorted(_LIMITS, np.abs(s)) for s in (a, b)
    ]
    side = 2 * _MOST + 1
    table: Array = np.bincount(codes[0] * side + codes[1], minlength=side**2).reshape(side, side)
    return table


def _met_found_there(table: Array) -> Array:
    """For each threshold: pairs where both, the estimate, the truth have an edge of this sign."""
    levels = range(_MOST + 1, 2 * _MOST + 1)
    counts = [(table[k:, k:].sum(), table[k:].sum(), table[:, k:].sum()) for k in levels]
    return np.array(counts).T


def depth_edges(
    truth: Float32[np.ndarray, "h w"], step: float = 2.0, side: int = 5
) -> Bool[np.ndarray, "h w"]:
    """Pixels whose side x side window holds truths more than `step` apart; unknown ones are not.

    truth: NaN unknown. The depth discontinuities of Scharstein and Szeliski, IJCV 2002, section
    5.1, are step 2 px, side 9.

    Raises `UsageError` for an even side.
    """
    low, high = window_extremes(truth, side)
    with np.errstate(invalid="ignore", over="ignore"):
        edges: Array = (high - low > step) & ~np.isnan(truth)
    return edges


def flying(
    estimate: Float32[np.ndarray, "h w"],
    truth: Float32[np.ndarray, "h w"],
    step: float = 2.0,
    side: int = 5,
) -> tuple[Bool[np.ndarray, "h w"], Bool[np.ndarray, "h w"]]:
    """Pixels of the estimate that hang between two surfaces where the truth has a step; and the
    pixels beside such a step (`depth_edges`), of which they are a part.

    A pixel beside a step flies if its value lies between the smallest and the largest true value of
    its window, more than a quarter of their distance from both, and from its own truth. In the
    maps' unit. `fathom.geometry.consistency.flying_pixels` finds most of them without a truth, by
    their neighbours.

    Raises `InputError` for maps of different size, `UsageError` for an even side.
    """
    require_same_size((estimate.shape[0], estimate.shape[1]), (truth.shape[0], truth.shape[1]))
    low, high = window_extremes(truth, side)
    with np.errstate(invalid="ignore", over="ignore"):
        height = high - low
        beside = (height > step) & ~np.isnan(truth)
        # Few pixels stand beside a step: only they are looked at.
        at = np.flatnonzero(beside)
        value, margin = estimate.reshape(-1)[at], height.reshape(-1)[at] * np.float32(0.25)
        hangs = (value - low.reshape(-1)[at] > margin) & (high.reshape(-1)[at] - value > margin)
        hangs &= np.abs(value - truth.reshape(-1)[at]) > margin
    hanging = np.zeros(truth.shape, dtype=np.bool_)
    hanging.reshape(-1)[at] = hangs
    return hanging, beside


def window_extremes(values: Float32[np.ndarray, "h w"], side: int) -> tuple[Array, Array]:
    """Smallest and largest known value of the side x side window around each pixel.

    Windows without a known pixel have inf and -inf.

    Raises `UsageError` for an even side.
    """
    import cv2

    if side < 1 or side % 2 == 0:
        raise UsageError("is no window", field="side", value=side, expected="1, 3, 5 ...")
    kernel = np.ones((side, side), np.uint8)
    found = []
    for operation, neutral in ((cv2.erode, np.inf), (cv2.dilate, -np.inf)):
        filled = values.copy()
        cv2.patchNaNs(filled, neutral)
        found.append(operation(filled, kernel))
    return found[0], found[1]
