"""What is nearer than a plane, drawn: the image with it tinted, and its probability beside."""

import numpy as np

from fathom.core.arrays import UInt8
from fathom.core.pair import StereoPair
from fathom.core.planes import PlaneProbability
from fathom.viz.color import RGB, UNKNOWN, Scale
from fathom.viz.figure import require_shape
from fathom.viz.grid import Panel, grid

_NEAR: RGB = (255, 64, 32)


def plane_picture(
    pair: StereoPair, found: PlaneProbability, least: float = 0.5, title: str = ""
) -> UInt8[np.ndarray, "H W 3"]:
    """The left image, with what is nearer with at least that probability tinted red, over the
    probability of being nearer.

    Raises `InputError` if the answers differ in size from the pair, `UsageError` for a probability
    outside 0..1.
    """
    require_shape("probability", found.shape, pair.shape)
    tinted = pair.left.rgb8.copy()
    near = found.nearer(least)
    tinted[near] = (tinted[near].astype(np.uint16) + np.array(_NEAR, np.uint16)) // 2
    tinted[~found.known] = UNKNOWN
    panels = [
        Panel("nearer than the plane", tinted),
        Panel("probability", values=found.probability, scale=Scale(0, 1, "viridis")),
    ]
    legend = [(_NEAR, f"nearer (at least {least:.0%} sure)"), (UNKNOWN, "unknown")]
    return grid(panels, 2, title, legend)
