"""Errors of a disparity map against its truth, as pure functions: the definitions.

Every number is over the pixels where the truth is known. What a function does with pixels that
the estimate leaves unknown is said in its docstring, because published numbers differ in it.
`fathom.eval.scoring` computes the same numbers for a whole protocol at once; the tests hold it to
these.
"""

import numpy as np

from fathom.core.arrays import Array, Bool, Float32
from fathom.core.errors import InputError, UsageError
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


def root_mean_square(
    estimate: Disparity, truth: Disparity, mask: Bool[np.ndarray, "h w"] | None = None
) -> float:
    """RMS of d - d_true in pixels, over pixels where both are known; NaN if there is none.

    Middlebury's "rms"; the R of Scharstein and Szeliski, IJCV 2002, eq. 1.
    """
    error = _error(estimate, truth, mask)
    known = error[~np.isnan(error)]
    return (
        float(np.sqrt(np.mean(np.square(known, dtype=np.float64)))) if known.size else float("nan")
    )


def d1(
    estimate: Disparity,
    truth: Disparity,
    mask: Bool[np.ndarray, "h w"] | None = None,
    pixels: float = 3.0,
    share: float = 0.05,
) -> float:
    """D1: share 0..1 of pixels whose error exceeds 3 px and 5 % of the true disparity.

    Unknown pixels count as wrong; NaN without truth. Both limits are exceeded strictly, as in
    KITTI 2015's evaluation (Menze and Geiger, CVPR 2015; devkit, evaluate_scene_flow.cpp).
    """
    error = _error(estimate, truth, mask)
    judged = truth.known if mask is None else truth.known & mask
    limit = np.maximum(np.float32(pixels), np.float32(share) * np.abs(truth.values[judged]))
    wrong = ~(error <= limit)
    return float(wrong.mean()) if wrong.size else float("nan")


def error_quantile(
    estimate: Disparity,
    truth: Disparity,
    percent: float,
    mask: Bool[np.ndarray, "h w"] | None = None,
) -> float:
    """A50, A90, A95, A99: the error in pixels that `percent` of the known pixels stay below.

    The element of rank floor(n percent / 100) of the sorted errors, counted from 0, as ETH3D's
    evaluation takes it. Unknown pixels are left out; NaN if none is known.

    Raises `UsageError` for a percentage outside 0..100.
    """
    if not 0 <= percent <= 100:
        raise UsageError("is no percentage", field="percent", value=percent, expected="0..100")
    error = _error(estimate, truth, mask)
    known = error[~np.isnan(error)]
    if known.size == 0:
        return float("nan")
    rank = quantile_rank(known.size, percent)
    return float(np.partition(known, rank)[rank])


def quantile_rank(count: int, percent: float) -> int:
    """Index, from 0, of the error that is the A-`percent` of `count` sorted errors."""
    return min(int(count * percent / 100), count - 1)


def completeness(
    estimate: Disparity, truth: Disparity, mask: Bool[np.ndarray, "h w"] | None = None
) -> float:
    """Share 0..1 of the pixels with truth that were measured: known and not filled in.

    `share_known` counts filled pixels too. NaN without truth.
    """
    require_same_size(estimate.shape, truth.shape)
    judged = truth.known if mask is None else truth.known & mask
    measured = estimate.measured[judged]
    return float(measured.mean()) if measured.size else float("nan")


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
    require_same_size(estimate.shape, truth.shape)
    judged = truth.known if mask is None else truth.known & mask
    error: Array = np.abs(estimate.values[judged] - truth.values[judged])
    return error


def require_same_size(estimate: tuple[int, int], truth: tuple[int, int]) -> None:
    """Raises `InputError` if an estimate's (height, width) is not the truth's."""
    if estimate != truth:
        raise InputError(
            "differs in size from the truth",
            field="estimate",
            value=f"{estimate[1]}x{estimate[0]}",
            expected=f"{truth[1]}x{truth[0]}",
        )
