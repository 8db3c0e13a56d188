"""Is a stated standard deviation true? Calibration of sigma, as pure functions."""

from dataclasses import dataclass
from math import erf, sqrt

import numpy as np

from fathom.core.arrays import Float64
from fathom.core.errors import InputError

STEPS = (1, 2, 3)


@dataclass(frozen=True)
class SigmaCalibration:
    """What was said and what came true.

    within: share 0..1 of the pixels whose error is at most 1, 2 and 3 sigma; expected: what a
    normal distribution has there (0.683, 0.954, 0.997). rms: root mean square of error / sigma; 1
    is right, above 1 sigma was too small. median: of |error| / sigma; 0.674 is right, and a few
    outliers do not move it. pixels: how many were judged.
    """

    within: tuple[float, ...]
    expected: tuple[float, ...]
    rms: float
    median: float
    pixels: int


def sigma_calibration(
    errors: Float64[np.ndarray, " n"], sigma: Float64[np.ndarray, " n"]
) -> SigmaCalibration:
    """Calibration of standard deviations against errors of either sign, in one unit.

    Pixels where either is NaN are left out. All NaN if none remains.

    Raises `InputError` if the lengths differ or a sigma is not positive.
    """
    if errors.shape != sigma.shape:
        raise InputError(
            "differs in length from the errors",
            field="sigma",
            value=sigma.shape,
            expected=str(errors.shape),
        )
    known = ~(np.isnan(errors) | np.isnan(sigma))
    if bool((sigma[known] <= 0).any()):
        raise InputError("is not positive", field="sigma", expected="> 0, NaN for unknown")
    expected = tuple(erf(k / sqrt(2)) for k in STEPS)
    score = np.abs(errors[known] / sigma[known])
    if score.size == 0:
        nan = float("nan")
        return SigmaCalibration((nan,) * len(STEPS), expected, nan, nan, 0)
    within = tuple(float((score <= k).mean()) for k in STEPS)
    rms = float(np.sqrt(np.mean(score**2)))
    return SigmaCalibration(within, expected, rms, float(np.median(score)), score.size)
