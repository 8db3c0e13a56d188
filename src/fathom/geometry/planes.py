"""How likely each pixel is nearer than a plane, from a disparity map and its confidence.

The error of a disparity is taken to follow the law of `fathom.core.uncertainty`: Laplace's, whose
P(|error| <= 1 px) is the confidence.
"""

import math

import numpy as np

from fathom.core.arrays import Array
from fathom.core.camera import StereoRig
from fathom.core.maps import Disparity
from fathom.core.planes import PlaneProbability
from fathom.core.uncertainty import DEFAULT_SIGMA_D, sigma_of_confidence


def plane_probability(
    disparity: Disparity, plane: float, rig: StereoRig | None = None
) -> PlaneProbability:
    """P(true disparity > `plane`, in pixels) for each pixel; NaN where the disparity is unknown.

    With e = disparity - plane and Laplace's scale b: 1 - exp(-e / b) / 2 for e >= 0, else
    exp(e / b) / 2. Without a confidence one standard deviation, `DEFAULT_SIGMA_D`, holds for all.

    Raises `InputError` for a plane that is no number.
    """
    if disparity.confidence is None:
        sigma: Array = np.full(disparity.shape, DEFAULT_SIGMA_D, np.float32)
    else:
        sigma = sigma_of_confidence(disparity.confidence)
    ahead = (disparity.values - np.float32(plane)) * (math.sqrt(2) / sigma)
    tail = np.exp(-np.abs(ahead)) / 2
    with np.errstate(invalid="ignore"):
        nearer = np.where(ahead >= 0, 1 - tail, tail)
    nearer[~disparity.known] = np.nan
    return PlaneProbability.seen(nearer.astype(np.float32), plane, rig)
