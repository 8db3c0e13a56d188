"""The nouns of fathom and the one interface; numpy only."""

from fathom.core.camera import Camera, StereoCalibration, StereoRig
from fathom.core.cloud import PointCloud
from fathom.core.errors import (
    FathomError,
    InputError,
    MissingExtraError,
    ResourceError,
    UsageError,
)
from fathom.core.estimator import Estimator, MetricMono, RelativeMono, StereoMatcher
from fathom.core.maps import Depth, Disparity, RelativeDepth, Source, SparseDepth
from fathom.core.pair import StereoPair, View
from fathom.core.planes import PlaneProbability, QuantizedDisparity, SelectedDisparity
from fathom.core.sample import MonoSample, StereoSample

__all__ = [
    "Camera",
    "Depth",
    "Disparity",
    "Estimator",
    "FathomError",
    "InputError",
    "MetricMono",
    "MissingExtraError",
    "MonoSample",
    "PlaneProbability",
    "PointCloud",
    "QuantizedDisparity",
    "RelativeDepth",
    "RelativeMono",
    "ResourceError",
    "SelectedDisparity",
    "Source",
    "SparseDepth",
    "StereoCalibration",
    "StereoMatcher",
    "StereoPair",
    "StereoRig",
    "StereoSample",
    "UsageError",
    "View",
]
