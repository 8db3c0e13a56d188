"""Is the confidence worth its name? Sparsification curves and calibration, as pure functions.

Everything is over the pixels where truth and estimate are both known: a confidence is asked about
values, and there is none where nothing is known. How many those are, `metrics.share_known` tells.
Pixels of equal confidence cannot be put in order, so they are taken in equal parts: the result does
not depend on how the pixels are stored, and a constant confidence is exactly as good as chance.
"""

import numpy as np

from fathom.core.arrays import Array, Bool, Float32, Float64
from fathom.core.errors import InputError, UsageError
from fathom.core.maps import Disparity

_STEPS = 100
_BITS_OF_ONE = np.float32(1).view(np.uint32)


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
    confidence: Float64[np.ndarray, " n"] | Float32[np.ndarray, " n"],
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
    _check_steps(steps)
    if wrong.size == 0:
        return np.full(steps, np.nan)
    # Equal confidences are averaged below, so the order among them (a stable sort's) is not needed.
    order = np.argsort(-confidence)
    ranked = wrong[order]
    # every run of equal confidence is worth its mean, whichever of its pixels is taken
    return _curve(ranked, np.diff(confidence[order], prepend=np.nan) != 0, steps)


def _curve(ranked: Array, new: Array, steps: int) -> Array:
    """The curve of errors ranked from certain to uncertain; new: a confidence begins here."""
    starts = np.flatnonzero(new)
    # Inside a run of equal confidence the sum grows evenly, so only its two ends are read.
    total = np.cumsum(ranked, dtype=np.float64 if ranked.dtype.kind == "f" else np.int32)
    kept = ranked.size * (1 - np.arange(steps) / steps)
    run = np.searchsorted(starts, kept, side="right") - 1
    after = np.minimum(run + 1, starts.size - 1)
    first, last = starts[run], np.where(run + 1 < starts.size, starts[after], ranked.size)
    before = np.where(first > 0, total[first - 1], 0.0)
    out: Array = before + (total[last - 1] - before) * (kept - first) / (last - first)
    return out / kept


def wrong_curve(
    wrong: Bool[np.ndarray, " n"], confidence: Float32[np.ndarray, " n"], steps: int = _STEPS
) -> Float64[np.ndarray, " steps"]:
    """`sparsification_curve` of right and wrong pixels and a confidence 0..1, many times faster.

    Confidence and verdict share one whole number, so that sorting moves both.

    Raises `InputError` if the lengths differ or a confidence is outside 0..1, `UsageError` for
    fewer than two steps.
    """
    _check(wrong, confidence)
    _check_steps(steps)
    _check_range(confidence)
    if wrong.size == 0:
        return np.full(steps, np.nan)
    # Bits of a float32 >= 0 are ordered as the numbers are; adding 0 turns -0 into 0. The most
    # certain come first.
    bits = np.ascontiguousarray(confidence + np.float32(0), dtype=np.float32).view(np.uint32)
    keys = np.sort(((_BITS_OF_ONE - bits) << 1) | wrong)
    certain = keys >> 1
    new = np.ones(keys.size, dtype=np.bool_)
    np.not_equal(certain[1:], certain[:-1], out=new[1:])
    return _curve(keys & 1, new, steps)


def wrong_oracle(wrong: int, pixels: int, steps: int = _STEPS) -> Float64[np.ndarray, " steps"]:
    """`oracle_curve` of `wrong` wrong pixels of `pixels`: the wrong ones are removed first.

    Raises `UsageError` for fewer than two steps.
    """
    _check_steps(steps)
    if pixels == 0:
        return np.full(steps, np.nan)
    kept = pixels * (1 - np.arange(steps) / steps)
    out: Array = np.maximum(wrong - (pixels - kept), 0) / kept
    return out


def oracle_curve(
    wrong: Float64[np.ndarray, " n"], steps: int = _STEPS
) -> Float64[np.ndarray, " steps"]:
    """The curve of a confidence that knows the errors: `sparsification_curve(wrong, -wrong)`.

    Raises `InputError` if an error is NaN, `UsageError` for fewer than two steps.
    """
    _check(wrong, wrong)
    _check_steps(steps)
    if wrong.size == 0:
        return np.full(steps, np.nan)
    kept = wrong.size * (1 - np.arange(steps) / steps)
    total = np.concatenate([[0.0], np.cumsum(np.sort(wrong))])
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
    return area_under(oracle_curve(wrong, steps))


def ause(
    wrong: Float64[np.ndarray, " n"], confidence: Float64[np.ndarray, " n"], steps: int = _STEPS
) -> float:
    """Area under the sparsification error: what the confidence loses to the oracle, >= 0.

    Ilg et al., "Uncertainty estimates and multi-hypotheses networks for optical flow", ECCV 2018.
    """
    return sparsification_auc(wrong, confidence, steps) - oracle_auc(wrong, steps)


def reliability(
    good: Bool[np.ndarray, " n"],
    confidence: Float64[np.ndarray, " n"] | Float32[np.ndarray, " n"],
    bins: int = 10,
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
    _check_range(confidence)
    which = (confidence * confidence.dtype.type(bins)).astype(np.intp)
    np.minimum(which, bins - 1, out=which)
    said = np.bincount(which, confidence, bins)
    which *= 2
    which += good
    wrong, came = np.bincount(which, minlength=2 * bins).reshape(bins, 2).T
    count = (wrong + came).astype(np.float64)
    empty = np.where(count > 0, count, np.nan)
    return np.stack([said / empty, came / empty, count], axis=1)


def calibration_error(
    good: Bool[np.ndarray, " n"],
    confidence: Float64[np.ndarray, " n"] | Float32[np.ndarray, " n"],
    bins: int = 10,
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


def _check_steps(steps: int) -> None:
    if steps < 2:
        raise UsageError("leaves no curve", field="steps", value=steps, expected="2 or more")


def _check_range(confidence: Array) -> None:
    if confidence.size and not (confidence.min() >= 0 and confidence.max() <= 1):
        raise InputError("leaves the range 0..1", field="confidence", expected="0..1")
