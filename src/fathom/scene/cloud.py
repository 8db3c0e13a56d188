"""Clean point clouds from disparity."""

from dataclasses import dataclass

import numpy as np

from fathom.core.cloud import PointCloud
from fathom.core.errors import UsageError
from fathom.core.maps import Disparity
from fathom.core.pair import StereoPair
from fathom.geometry.consistency import flying_pixels
from fathom.geometry.reproject import back_project


@dataclass(frozen=True)
class CloudOptions:
    """What a cloud leaves out.

    z_far: metres; points farther away are dropped, None keeps them. keep_filled: keep pixels whose
    disparity was filled in from neighbours. keep_flying: keep pixels that hang between two
    surfaces at a depth edge. min_confidence: 0..1, pixels below are dropped.
    """

    z_far: float | None = None
    keep_filled: bool = False
    keep_flying: bool = False
    min_confidence: float = 0.0

    def __post_init__(self) -> None:
        if self.z_far is not None and not self.z_far > 0:
            raise UsageError(
                "is not a distance", field="z-far", value=self.z_far, expected="metres > 0"
            )
        if not 0 <= self.min_confidence <= 1:
            raise UsageError(
                "is out of range",
                field="min-confidence",
                value=self.min_confidence,
                expected="0..1",
            )


def point_cloud(
    pair: StereoPair, disparity: Disparity, options: CloudOptions | None = None
) -> PointCloud:
    """The coloured points of a matched pair, in metres, in the left camera's frame.

    Raises `UsageError` if the pair has no rig, `InputError` if the sizes differ.
    """
    options = options or CloudOptions()
    depth = disparity.to_depth(pair.rig)
    assert pair.rig is not None  # to_depth has raised otherwise
    mask = depth.known.copy()
    if not options.keep_filled:
        mask &= disparity.measured
    if not options.keep_flying:
        # Filled pixels take no part: the edge between a filled and a matched surface is drawn
        # by the filling, not seen.
        seen = np.where(mask, disparity.values, np.float32(np.nan))
        mask &= ~flying_pixels(seen)
    if options.z_far is not None:
        mask &= np.nan_to_num(depth.values, nan=np.inf) <= options.z_far
    if options.min_confidence > 0 and disparity.confidence is not None:
        mask &= disparity.confidence >= options.min_confidence
    points = back_project(depth.values, pair.rig.left, mask)
    return PointCloud(points, pair.left.rgb8[mask], frame="left camera")
