"""fathom: depth in metres from one or two cameras.

>>> import fathom
>>> pair = fathom.read_pair("left.png", "right.png", calib="calib.txt")  # doctest: +SKIP
>>> disparity = fathom.create("default")(pair)  # doctest: +SKIP
>>> depth = disparity.to_depth(pair.rig)  # doctest: +SKIP

Names are loaded when they are first used, so that `import fathom` stays light.
"""

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from fathom.catalog import Entry, create, entries
    from fathom.combine.check import Finding, check_pair
    from fathom.core import (
        Camera,
        Depth,
        Disparity,
        Estimator,
        FathomError,
        InputError,
        MetricMono,
        MissingExtraError,
        MonoSample,
        PointCloud,
        RelativeDepth,
        RelativeMono,
        ResourceError,
        Source,
        SparseDepth,
        StereoCalibration,
        StereoMatcher,
        StereoPair,
        StereoRig,
        StereoSample,
        UsageError,
        View,
    )
    from fathom.geometry.rectify import Rectification, rectify
    from fathom.io.calibration import read_calibration
    from fathom.io.images import read_view
    from fathom.io.result import Result, read_result
    from fathom.scene.cloud import CloudOptions, point_cloud
    from fathom.workflows.pairs import read_pair

_HOMES = {
    "fathom.catalog": ("Entry", "create", "entries"),
    "fathom.combine.check": ("Finding", "check_pair"),
    "fathom.core": (
        "Camera",
        "Depth",
        "Disparity",
        "Estimator",
        "FathomError",
        "InputError",
        "MetricMono",
        "MissingExtraError",
        "MonoSample",
        "PointCloud",
        "RelativeDepth",
        "RelativeMono",
        "ResourceError",
        "Source",
        "SparseDepth",
        "StereoCalibration",
        "StereoMatcher",
        "StereoPair",
        "StereoRig",
        "StereoSample",
        "UsageError",
        "View",
    ),
    "fathom.geometry.rectify": ("Rectification", "rectify"),
    "fathom.io.calibration": ("read_calibration",),
    "fathom.io.images": ("read_view",),
    "fathom.io.result": ("Result", "read_result"),
    "fathom.scene.cloud": ("CloudOptions", "point_cloud"),
    "fathom.workflows.pairs": ("read_pair",),
}
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names}

__all__ = [
    "Camera",
    "CloudOptions",
    "Depth",
    "Disparity",
    "Entry",
    "Estimator",
    "FathomError",
    "Finding",
    "InputError",
    "MetricMono",
    "MissingExtraError",
    "MonoSample",
    "PointCloud",
    "Rectification",
    "RelativeDepth",
    "RelativeMono",
    "ResourceError",
    "Result",
    "Source",
    "SparseDepth",
    "StereoCalibration",
    "StereoMatcher",
    "StereoPair",
    "StereoRig",
    "StereoSample",
    "UsageError",
    "View",
    "__version__",
    "check_pair",
    "create",
    "entries",
    "point_cloud",
    "read_calibration",
    "read_pair",
    "read_result",
    "read_view",
    "rectify",
]


def __getattr__(name: str) -> Any:
    if name in _HOME_OF:
        value = getattr(importlib.import_module(_HOME_OF[name]), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module 'fathom' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
