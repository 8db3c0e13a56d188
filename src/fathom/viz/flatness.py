"""What is left of a flat wall when its plane is taken away, as a picture."""

import numpy as np

from fathom.core.arrays import Float32, UInt8
from fathom.core.camera import StereoRig
from fathom.geometry.flatness import Flatness
from fathom.viz.budget import length
from fathom.viz.color import UNKNOWN, Scale
from fathom.viz.grid import Panel, grid


def flatness_picture(
    wall: Flatness, rig: StereoRig, temporal: Float32[np.ndarray, "_h _w"] | None = None
) -> UInt8[np.ndarray, "H W 3"]:
    """The residual from the plane in pixels and in millimetres, and the noise over time in pixels.

    The residual's colours go from blue (farther than the plane) over green to red (nearer), to
    three times its RMS. temporal: standard deviation of each pixel of the region.
    """
    limit = max(3 * wall.subpixel_rms, 1e-3)
    step = wall.distance**2 / (rig.left.fx * rig.baseline)
    values = wall.residual
    panels = [
        Panel(
            f"Residual in pixels of disparity, RMS {wall.subpixel_rms:.3f}",
            values=values,
            scale=Scale(-limit, limit),
            unit="px",
        ),
        Panel(
            f"Residual in mm, RMS {length(wall.plane_fit_rms)} (+ nearer)",
            values=(values * np.float32(1000 * step)).astype(np.float32),
            scale=Scale(-limit * 1000 * step, limit * 1000 * step),
            unit="mm",
        ),
    ]
    if temporal is not None and bool(np.isfinite(temporal).any()):
        top = max(float(np.nanpercentile(temporal, 99)), 1e-3)
        panels.append(
            Panel(
                "Temporal noise in pixels of disparity",
                values=temporal,
                scale=Scale(0, top, "viridis"),
                unit="px",
            )
        )
    title = (
        f"Plane at {length(wall.distance)}, tilted {wall.tilt:.2f} degrees, "
        f"{100 * wall.fill_rate:.1f} % filled"
    )
    return grid(panels, len(panels), title, [(UNKNOWN, "not measured")])
