"""Is the confidence worth its name? Sparsification curves and calibration, as pure functions.

Everything is over the pixels where truth and estimate are both known: a confidence is asked about
values, and there is none where nothing is known. How many those are, `metrics.share_known` tells.
Pixels of equal confidence cannot be put in order, so they are taken in equal parts: the result does
not depend on how the pixels are stored, and a constant confidence is exactly as good as chance.
"""

import numpy as np

from fathom.core.arrays import Array, Bool, Float64
from fathom.core.errors import InputError, UsageError
from fathom.core.maps import Disparity

_STEPS = 100


def errors_and_confidence(
    estimate: Disparity, truth: Disparity, mask: Bool[np.ndarray, "h w"] | None = None
) -> tuple[Float64[np.ndarray, " n"], Float64[np.ndarray, " n"]]:
    """|d - d_true| in pixels and the confidence 0..1 of each pixel where both maps are known.

    Raises `InputError` if the sizes differ, or the estimate has no confidence.
    """
    if estimate.shape != truth.shape:
        raise InputError(
            "differs in size from the truth",
            field="estimate",
            value=estimate.shape,
            expected=str(truth.shape),
        )
    if estimate.confidence is None:
        raise InputError(
            "has no confidence to be judged",
            field="estimate",
            remedy="run the method with confidence=True",
        )
    judged = truth.known & estimate.known
    if mask is not None:
        judged &= mask
    errors = np.abs(estimate.values[judged].astype(np.float64) - truth.values[judged])
    return errors, estimate.confidence[judged].astype(np.float64)


def sparsification_curve(
    wrong: Float64[np.ndarray, " n"],
    confidence: Float64[np.ndarray, " n"],
    steps: int = _STEPS,
) -> Float64[np.ndarray, " steps"]:
    """Mean of `wrong` over what remains after the least certain pixels were removed.

    wrong: per pixel 1 where it is bad and 0 elsewhere, or an error in pixels. confidence: any
    number that grows with certainty. Element i is for a share of i / steps removed, i = 0 ..
    steps - 1; the share is met exactly, with part of a pixel if need be. All NaN without a pixel.

    Raises `InputError` if the lengths differ or a confidence is NaN, `UsageError` for fewer than
    two steps.
    """
    _check(wrong, confidence)
    if steps < 2:
        raise UsageError("leaves no curve", field="steps", value=steps, expected="2 or more")
    if wrong.size == 0:
        return np.full(steps, np.nan)
    order = np.argsort(-confidence, kind="stable")
    ranked = wrong[order]
    # every run of equal confidence is worth its mean, whichever of its pixels is taken
    starts = np.flatnonzero(np.diff(confidence[order], prepend=np.nan) != 0)
    lengths = np.diff(starts, append=wrong.size)
    level = np.repeat(np.add.reduceat(ranked, starts) / lengths, lengths)
    total = np.concatenate([[0.0], np.cumsum(level)])
    kept = wrong.size * (1 - np.arange(steps) / steps)
    out: Array = np.interp(kept, np.arange(wrong.size + 1), total) / kept
    return out


def area_under(curve: Float64[np.ndarray, " steps"]) -> float:
    """Area under a sparsification curve over the share removed, 0..1 (trapezoids).

    The curve ends one step short of 1, where nothing remains: the area is divided by the width
    that was covered. Published numbers are mostly x 100 (Hu and Mordohai, PAMI 2012).
    """
    return float(np.trapezoid(curve) / (len(curve) - 1))


def sparsification_auc(
    wrong: Float64[np.ndarray, " n"], confidence: Float64[np.ndarray, " n"], steps: int = _STEPS
) -> float:
    """Area under the sparsification curve; parameters and errors as `sparsification_curve`."""
    return area_under(sparsification_curve(wrong, confidence, steps))


def oracle_auc(wrong: Float64[np.ndarray, " n"], steps: int = _STEPS) -> float:
    """The smallest area that any confidence can reach: the worst pixels are removed first."""
    return sparsification_auc(wrong, -wrong, steps)


def ause(
    wrong: Float64[np.ndarray, " n"], confidence: Float64[np.ndarray, " n"], steps: int = _STEPS
) -> float:
    """Area under the sparsification error: what the confidence loses to the oracle, >= 0.

    Ilg et al., "Uncertainty estimates and multi-hypotheses networks for optical flow", ECCV 2018.
    """
    return sparsification_auc(wrong, confidence, steps) - oracle_auc(wrong, steps)


def reliability(
    good: Bool[np.ndarray, " n"], confidence: Float64[np.ndarray, " n"], bins: int = 10
) -> Float64[np.ndarray, "bins 3"]:
    """What was said and what came true: a row of (mean confidence, share good, pixels) per bin.

    good: True where the error is at most what the confidence speaks of (1 px). The bins cut 0..1
    into equal parts; 1 falls into the last. Empty bins have NaN, NaN, 0.

    Raises `InputError` if the lengths differ or a confidence is NaN or outside 0..1, `UsageError`
    for no bins.
    """
    _check(good, confidence)
    if bins < 1:
        raise UsageError("are too few", field="bins", value=bins, expected="1 or more")
    if confidence.size and not (confidence.min() >= 0 and confidence.max() <= 1):
        raise InputError("leaves the range 0..1", field="confidence", expected="0..1")
    which = np.minimum((confidence * bins).astype(np.intp), bins - 1)
    count = np.bincount(which, minlength=bins).astype(np.float64)
    said = np.bincount(which, confidence, bins)
    came = np.bincount(which, good.astype(np.float64), bins)
    empty = np.where(count > 0, count, np.nan)
    return np.stack([said / empty, came / empty, count], axis=1)


def calibration_error(
    good: Bool[np.ndarray, " n"], confidence: Float64[np.ndarray, " n"], bins: int = 10
) -> float:
    """Expected calibration error 0..1: mean |said - came true| over the bins, by their pixels.

    NaN without a pixel. Guo et al., "On calibration of modern neural networks", ICML 2017, eq. 3.
    Raises as `reliability`.
    """
    rows = reliability(good, confidence, bins)
    total = rows[:, 2].sum()
    if total == 0:
        return float("nan")
    return float(np.nansum(np.abs(rows[:, 0] - rows[:, 1]) * rows[:, 2]) / total)


def _check(values: Array, confidence: Array) -> None:
    if values.shape != confidence.shape:
        raise InputError(
            "differs in length from the errors",
            field="confidence",
            value=confidence.shape,
            expected=str(values.shape),
        )
    if np.isnan(confidence).any():
        raise InputError("holds NaN", field="confidence", expected="a number for each pixel")
