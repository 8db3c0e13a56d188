"""Errors of depths in metres against their truth, as pure functions: the definitions.

estimate, truth: float32 of one length, the pixels where the truth is known; metres > 0. NaN in the
estimate is "unknown": such pixels are left out of means and count as wrong in `delta`. Without a
pixel the answer is NaN. The set of Eigen et al., NIPS 2014, as monodepth2 computes it.
"""

import numpy as np

from fathom.core.arrays import Array, Float32
from fathom.core.errors import InputError, UsageError

Values = Float32[np.ndarray, " n"]


def mean_absolute_error(estimate: Values, truth: Values) -> float:
    """MAE: mean |z - z_true| in metres."""
    z, true = _both(estimate, truth)
    return _mean(np.abs(z - true))


def mean_square_error(estimate: Values, truth: Values) -> float:
    """MSE: mean (z - z_true)^2 in square metres."""
    z, true = _both(estimate, truth)
    return _mean((z - true) ** 2)


def root_mean_square_error(estimate: Values, truth: Values) -> float:
    """RMSE in metres: the root of the mean over the pixels of one image."""
    return float(np.sqrt(mean_square_error(estimate, truth)))


def abs_rel(estimate: Values, truth: Values) -> float:
    """AbsRel: mean |z - z_true| / z_true."""
    z, true = _both(estimate, truth)
    return _mean(np.abs(z - true) / true)


def sq_rel(estimate: Values, truth: Values) -> float:
    """SqRel: mean (z - z_true)^2 / z_true in metres, not divided by the square of z_true.

    As Eigen's and monodepth2's code has it; some papers print z_true^2.
    """
    z, true = _both(estimate, truth)
    return _mean((z - true) ** 2 / true)


def rmse_log(estimate: Values, truth: Values) -> float:
    """RMSElog: root of the mean (ln z - ln z_true)^2."""
    return float(np.sqrt(_mean(_log_ratio(estimate, truth) ** 2)))


def log10(estimate: Values, truth: Values) -> float:
    """log10: mean |log10 z - log10 z_true|."""
    return _mean(np.abs(_log_ratio(estimate, truth))) / float(np.log(10))


def silog(estimate: Values, truth: Values) -> float:
    """SILog as KITTI prints it: 100 sqrt(mean(e^2) - mean(e)^2), e = ln z - ln z_true.

    Blind to a common factor. Eigen's own scale-invariant error (NIPS 2014, eq. 1) is the square
    without the factor, and their training loss subtracts only half of mean(e)^2: see
    `scale_invariant_error`.
    """
    e = _log_ratio(estimate, truth)
    return 100 * float(np.sqrt(max(_mean(e**2) - _mean(e) ** 2, 0))) if e.size else float("nan")


def scale_invariant_error(estimate: Values, truth: Values, weight: float = 1.0) -> float:
    """mean(e^2) - weight mean(e)^2, e = ln z - ln z_true: Eigen et al., NIPS 2014, eq. 3 and 4.

    weight 1 is their error, 0.5 their loss. SILog is 100 times the root of it at weight 1.
    """
    e = _log_ratio(estimate, truth)
    return _mean(e**2) - weight * _mean(e) ** 2


def delta(estimate: Values, truth: Values, power: int = 1) -> float:
    """delta: share 0..1 of pixels with max(z / z_true, z_true / z) < 1.25^power; bigger is better.

    Unknown pixels count as wrong.

    Raises `UsageError` for a power below 1.
    """
    if power < 1:
        raise UsageError("is below 1", field="power", value=power, expected="1, 2 or 3")
    _check(estimate, truth)
    if truth.size == 0:
        return float("nan")
    ratio = np.maximum(estimate.astype(np.float64) / truth, truth / estimate.astype(np.float64))
    return float(np.mean(ratio < 1.25**power))


def _check(estimate: Array, truth: Array) -> None:
    if estimate.shape != truth.shape:
        raise InputError(
            "differs in length from the truth",
            field="estimate",
            value=estimate.shape,
            expected=str(truth.shape),
        )
    for name, values in (("estimate", estimate), ("truth", truth)):
        if bool((values <= 0).any()):
            raise InputError(
                "holds zero or negative depths",
                field=name,
                value=float(np.nanmin(values)),
                expected="metres > 0, NaN for unknown",
            )


def _both(estimate: Array, truth: Array) -> tuple[Array, Array]:
    """The pixels known in both, in double precision."""
    _check(estimate, truth)
    known = ~(np.isnan(estimate) | np.isnan(truth))
    return estimate[known].astype(np.float64), truth[known].astype(np.float64)


def _log_ratio(estimate: Array, truth: Array) -> Array:
    z, true = _both(estimate, truth)
    ratio: Array = np.log(z) - np.log(true)
    return ratio


def _mean(values: Array) -> float:
    return float(values.mean()) if values.size else float("nan")
