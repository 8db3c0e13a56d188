"""How far a disparity may be off: one standard deviation from a confidence.

Confidence says P(|error| <= 1 px). Errors of matching are sharply peaked with heavy tails, so they
are taken to follow Laplace's law rather than Gauss's (so do Ilg et al., "Uncertainty Estimates and
Multi-Hypotheses Networks for Optical Flow", ECCV 2018, section 3). With density
exp(-|e| / b) / (2 b):

    P(|e| <= 1) = 1 - exp(-1 / b) = c,   so   b = -1 / ln(1 - c)   and   sigma_d = sqrt(2) b.

Under that law 75.7 % of the errors lie within one and 94.1 % within two standard deviations;
`benchmarks/sigma.py` prints how well real pairs agree.
"""

import math

import numpy as np

from fathom.core.arrays import Array, Float32

SUBPIXEL_NOISE = 0.1
"""Least standard deviation of a disparity in pixels. Grunnet-Jepsen et al., "Best-Known-Methods for
Tuning Intel RealSense D400 Depth Cameras" (2018), find 0.05 to 0.1 px on well-textured targets."""
DEFAULT_SIGMA_D = 0.5
"""Standard deviation in pixels of a map without confidence. On 25 real pairs with ground truth,
82 % of sgm's filled maps lie within it and 90 % within twice it (benchmarks/sigma.py)."""

_LEAST = 0.05
"""Confidence below which pixels are all alike: sigma_d stays below 28 px."""
_MOST = 1 - math.exp(-math.sqrt(2) / SUBPIXEL_NOISE)
"""Confidence at which Laplace's law reaches SUBPIXEL_NOISE."""


def sigma_of_confidence(confidence: Float32[np.ndarray, "h w"]) -> Float32[np.ndarray, "h w"]:
    """One standard deviation of the disparity in pixels, from P(|error| <= 1 px) in 0..1.

    sqrt(2) / -ln(1 - c), at least `SUBPIXEL_NOISE`; confidences below 0.05 count as 0.05.
    """
    out: Array = np.clip(confidence, np.float32(_LEAST), np.float32(_MOST))
    np.subtract(np.float32(1), out, out=out)
    np.log(out, out=out)
    np.divide(np.float32(-math.sqrt(2)), out, out=out)
    np.maximum(out, np.float32(SUBPIXEL_NOISE), out=out)
    return out
