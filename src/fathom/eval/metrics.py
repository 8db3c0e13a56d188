"""Errors of a disparity map against its truth, as pure functions.

Every number is over the pixels where the truth is known. What a function does with pixels that
the estimate leaves unknown is said in its docstring, because published numbers differ in it.
"""

import numpy as np

from fathom.core.arrays import Array, Bool, Float32
from fathom.core.errors import InputError
from fathom.core.maps import Disparity


def end_point_error(
    estimate: Disparity, truth: Disparity, mask: Bool[np.ndarray, "h w"] | None = None
) -> float:
    """EPE: mean |d - d_true| in pixels, over pixels where both are known; NaN if there is none."""
    error = _error(estimate, truth, mask)
    known = error[~np.isnan(error)]
    return float(known.mean(dtype=np.float64)) if known.size else float("nan")


def bad(
    estimate: Disparity,
    truth: Disparity,
    threshold: float,
    mask: Bool[np.ndarray, "h w"] | None = None,
) -> float:
    """bad-k: share 0..1 of pixels whose error exceeds `threshold` pixels.

    Unknown pixels count as wrong (Middlebury v3's "bad" with invalid as error). NaN without truth.
    """
    error = _error(estimate, truth, mask)
    wrong = ~(error <= threshold)
    return float(wrong.mean()) if wrong.size else float("nan")


def share_known(
    estimate: Disparity, truth: Disparity, mask: Bool[np.ndarray, "h w"] | None = None
) -> float:
    """Share 0..1 of the pixels with truth where the estimate has a value; NaN without truth."""
    error = _error(estimate, truth, mask)
    return float((~np.isnan(error)).mean()) if error.size else float("nan")


def _error(
    estimate: Disparity, truth: Disparity, mask: Bool[np.ndarray, "h w"] | None
) -> Float32[np.ndarray, " n"]:
    """|d - d_true| at the pixels with truth (inside `mask`), NaN where the estimate is unknown."""
    if estimate.shape != truth.shape:
        raise InputError(
            "differs in size from the truth",
            field="estimate",
            value=estimate.shape,
            expected=str(truth.shape),
        )
    judged = truth.known if mask is None else truth.known & mask
    error: Array = np.abs(estimate.values[judged] - truth.values[judged])
    return error
